import { type ProcessStat, readAllStats, ticksPerSecond } from '../target/proc.ts'
import type { CpuPart } from './cluster-target.ts'

/** CPU seconds of each part so far, by /proc/PID/stat: user and system, all threads. */
export function cpuSeconds(parts: readonly CpuPart[]): ReadonlyMap<string, number> {
  const stats = readAllStats()
  const roots = new Set(parts.flatMap((part) => part.pids()))
  const ticks = (part: CpuPart): number => part.pids().reduce((sum, pid) => sum + ticksBelow(stats, pid, roots), 0)
  return new Map(parts.map((part) => [part.name, ticks(part) / ticksPerSecond]))
}

/** Of a process and all that it has started, without what is counted by itself. */
function ticksBelow(stats: readonly ProcessStat[], pid: number, roots: ReadonlySet<number>): number {
  let ticks = 0
  for (const stat of stats) {
    if (stat.pid === pid) ticks += stat.cpuTicks
    else if (stat.parent === pid && !roots.has(stat.pid)) ticks += ticksBelow(stats, stat.pid, roots)
  }
  return ticks
}
