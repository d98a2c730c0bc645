import { readText } from './proc.ts'

/** How late the broker's event loop was. */
export interface LoopPauses {
  readonly longestMs: number
  /** Tenths of a second in which it was more than `longMs` late. */
  readonly long: number
  /** The longest pause without what its thread waited for a core, while others had it. */
  readonly busiestMs: number
}

export const longMs = 10

/** What happened in [from, until), both in milliseconds since 1970, out of what `gc-hook.ts` wrote. */
export function parseLoopLog(text: string, from: number, until: number): LoopPauses {
  let longestMs = 0
  let long = 0
  let busiestMs = 0
  for (const line of text.split('\n')) {
    const [at, lateMs, busyMs = 0] = line.split(' ').map(Number)
    if (at === undefined || lateMs === undefined || Number.isNaN(lateMs) || !(at >= from && at < until)) continue
    longestMs = Math.max(longestMs, lateMs)
    if (lateMs > longMs) long++
    busiestMs = Math.max(busiestMs, busyMs)
  }
  return { longestMs, long, busiestMs }
}

/** Null when the file is not there: the broker is not ours. */
export function readLoopPauses(path: string | null, from: number, until: number): LoopPauses | null {
  const text = path === null ? null : readText(path)
  return text === null ? null : parseLoopLog(text, from, until)
}

/** Bytes held, as the last such line says. */
export function parseHeldBytes(text: string): number | null {
  const lines = text.split('\n').filter((line) => line.includes(' memory '))
  const last = lines[lines.length - 1]
  return last === undefined ? null : Number(last.split(' ')[2])
}
