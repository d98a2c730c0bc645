import { readText } from './proc.ts'

export interface GcPauses {
  readonly count: number
  readonly totalMs: number
  readonly longestMs: number
}

/** Pauses that began in [from, until), both in milliseconds since 1970, out of what `gc-hook.ts` wrote. */
export function parseGcLog(text: string, from: number, until: number): GcPauses {
  let count = 0
  let totalMs = 0
  let longestMs = 0
  for (const line of text.split('\n')) {
    const [at, duration] = line.split(' ').map(Number)
    if (at === undefined || duration === undefined || !(at >= from && at < until)) continue
    count++
    totalMs += duration
    longestMs = Math.max(longestMs, duration)
  }
  return { count, totalMs, longestMs }
}

/** Null when the file is not there: the broker is not ours. */
export function readGcPauses(path: string | null, from: number, until: number): GcPauses | null {
  const text = path === null ? null : readText(path)
  return text === null ? null : parseGcLog(text, from, until)
}
