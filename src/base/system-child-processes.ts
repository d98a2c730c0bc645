/**
 * Real child processes. A shell with the child's process id waits for a word from us and then becomes the program; so all
 * that must be done before the program begins is done: it is watched (`orphan-watch.ts`), and whoever starts it has written
 * down its id. When we end before that word, so does the shell.
 */
import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import {
  type ChildCommand,
  type ChildEnd,
  type ChildEvents,
  type ChildProcess,
  type ChildProcesses,
  type ChildSignal,
  lineLengthMax,
  type OrphanRules,
  type ProgramOutput,
} from './child-processes.ts'
import { OrphanWatch } from './orphan-watch.ts'

const waitingStart = 'read -r word && exec "$@" </dev/null'

const outputBytesMax = 64 * 1024
/** How often it is looked for whether a process that is no child of ours has gone, in milliseconds. */
const lookMs = 500

export class SystemChildProcesses implements ChildProcesses {
  readonly processors = availableParallelism()
  readonly #proc: string

  /** `proc`: where Linux shows its processes. */
  constructor(proc = '/proc') {
    this.#proc = proc
  }

  start({ program, args, environment, orphan }: ChildCommand, events: ChildEvents): ChildProcess {
    // A session of its own: a Ctrl-C in the terminal is for us, and we end the child when its time has come.
    const child = spawn('/bin/sh', ['-c', waitingStart, 'sh', program, ...args], {
      detached: true,
      env: { ...environment, ...process.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const { stdin, stdout, stderr, pid = 0 } = child
    stdin.on('error', () => undefined)
    for (const stream of [stdout, stderr]) readLines(stream, (text) => events.line(text))
    let isEnded = false
    let watch: OrphanWatch | null = null
    const end = (how: ChildEnd): void => {
      if (isEnded) return
      isEnded = true
      stdin.end()
      watch?.end()
      events.ended(how)
    }
    const fail = (error: unknown): void => {
      child.kill('SIGKILL')
      end({ code: null, signal: null, error: error instanceof Error ? error : new Error(String(error)) })
    }
    child.once('error', fail)
    child.once('exit', (code, signal) => end({ code, signal, error: null }))
    if (pid !== 0) {
      watch = new OrphanWatch(pid, null, orphan, fail)
      const written = events.spawned?.(pid) ?? Promise.resolve()
      written.then(() => isEnded || stdin.end('go\n'), fail)
    }
    return {
      pid,
      signal: (name) => {
        if (!isEnded) child.kill(name)
      },
    }
  }

  adopt(pid: number, identity: string, orphan: OrphanRules, events: ChildEvents): ChildProcess {
    // It has a watcher already, of whoever had it before; without one of ours it is only ended sooner.
    const watch = new OrphanWatch(pid, identity, orphan, () => undefined)
    let isEnded = false
    const look = async (): Promise<void> => {
      if ((await this.identity(pid).catch(() => identity)) === identity) {
        setTimeout(() => void look(), lookMs)
        return
      }
      isEnded = true
      watch.end()
      events.ended({ code: null, signal: null, error: null })
    }
    void look()
    return {
      pid,
      signal: (name) => {
        if (isEnded) return
        const signalled = this.identity(pid).then((found) => found === identity && this.signal(pid, name))
        signalled.catch(() => undefined)
      },
    }
  }

  run(program: string, args: readonly string[], msMax: number): Promise<ProgramOutput> {
    return new Promise((resolve, reject) => {
      const options = { timeout: msMax, maxBuffer: outputBytesMax, killSignal: 'SIGKILL' } as const
      execFile(program, args, options, (error, stdout, stderr) => {
        const text = stdout + stderr
        if (error === null) resolve({ code: 0, text })
        else if (typeof error.code === 'number') resolve({ code: error.code, text })
        else reject(error)
      })
    })
  }

  async identity(pid: number): Promise<string | null> {
    if (process.platform !== 'linux') return await this.#identityByPs(pid)
    try {
      const [stat, boot] = await Promise.all([
        readFile(`${this.#proc}/${pid}/stat`, 'utf8'),
        readFile(`${this.#proc}/sys/kernel/random/boot_id`, 'utf8'),
      ])
      // The second field is the name, in parentheses, with anything inside; the third is the state, the 22nd the start.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' ? null : `${boot.trim()} ${fields[19]}`
    } catch (error) {
      if (!isThere(pid)) return null
      throw new Error(`process ${pid} is there, and ${this.#proc} does not show it`, { cause: error })
    }
  }

  async #identityByPs(pid: number): Promise<string | null> {
    const { text } = await this.run('ps', ['-o', 'lstart=', '-p', String(pid)], psMsMax)
    return text.trim() === '' ? null : text.trim().replaceAll(/\s+/g, ' ')
  }

  signal(pid: number, name: ChildSignal): boolean {
    try {
      return process.kill(pid, name)
    } catch {
      return false
    }
  }
}

const psMsMax = 5_000

/** Of another user's process it says no: none of ours has that id then. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** A longer line comes in its first part only. */
function readLines(stream: NodeJS.ReadableStream, line: (text: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = (lines.pop() ?? '').slice(0, lineLengthMax)
    for (const one of lines) line(one.slice(0, lineLengthMax))
  })
  stream.on('end', () => {
    if (rest !== '') line(rest)
  })
  stream.on('error', () => undefined)
}
