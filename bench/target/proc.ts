import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/**
 * What Linux tells about processes in /proc, parsed. Text in, values out; the few readers at the end do the I/O and
 * answer null where a file is gone or not ours to read.
 */
export interface ProcessStat {
  readonly pid: number
  readonly parent: number
  /** User and system time of all threads, in clock ticks. */
  readonly cpuTicks: number
  readonly residentPages: number
}

/** Ticks a second as /proc shows them on every Linux architecture that Node supports. */
export const ticksPerSecond = 100
export const pageBytes = 4096

/** A line of /proc/PID/stat. The name stands in parentheses and may hold anything, so count from the last one. */
export function parseStat(text: string): ProcessStat | null {
  const nameEnd = text.lastIndexOf(')')
  const pid = Number.parseInt(text, 10)
  const fields = text.slice(nameEnd + 2).split(' ')
  const parent = Number(fields[1])
  const cpuTicks = Number(fields[11]) + Number(fields[12])
  const residentPages = Number(fields[21])
  if (nameEnd < 0 || [pid, parent, cpuTicks, residentPages].some(Number.isNaN)) return null
  return { pid, parent, cpuTicks, residentPages }
}

/** Socket inodes that listen on this port, from /proc/net/tcp or tcp6. */
export function parseListeners(text: string, port: number): string[] {
  const inodes: string[] = []
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/)
    const localPort = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
    const isListening = fields[3] === '0A'
    const inode = fields[9]
    if (localPort === port && isListening && inode !== undefined) inodes.push(inode)
  }
  return inodes
}

/** `root` and everything below it. */
export function processTree(all: readonly ProcessStat[], root: number): ProcessStat[] {
  const members = new Set([root])
  for (let grown = 0; grown !== members.size; ) {
    grown = members.size
    for (const stat of all) if (members.has(stat.parent)) members.add(stat.pid)
  }
  return all.filter((stat) => members.has(stat.pid))
}

export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Gone between listing and reading, or another user's: the caller counts what there is.
    return null
  }
}

export function readAllStats(): ProcessStat[] {
  const stats: ProcessStat[] = []
  for (const pid of processIds()) {
    const text = readText(`/proc/${pid}/stat`)
    const stat = text === null ? null : parseStat(text)
    if (stat !== null) stats.push(stat)
  }
  return stats
}

/** The process that listens on a local TCP port; null when there is none, or when we may not look. */
export function findListener(port: number): number | null {
  const tables = [readText('/proc/net/tcp'), readText('/proc/net/tcp6')]
  const inodes = tables.flatMap((table) => (table === null ? [] : parseListeners(table, port)))
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`))
  return processIds().find((pid) => wanted.size > 0 && holdsAny(pid, wanted)) ?? null
}

function holdsAny(pid: number, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => sockets.has(linkTarget(`/proc/${pid}/fd/${fd}`)))
  } catch {
    // Another user's process, or one that has just ended.
    return false
  }
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    // A descriptor closed since it was listed.
    return ''
  }
}

function processIds(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger)
  } catch {
    // No /proc: not Linux, and nothing is known about other processes.
    return []
  }
}
