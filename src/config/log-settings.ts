/** What of the log is written: the options `log-level` and `log-levels` read together. */
import { nearest } from './nearest.ts'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** The parts of the program that may have a level of their own. */
export const logPartNames = ['server', 'http', 'broker', 'log', 'cluster', 'audit'] as const

/** `server=debug,audit=warn`. Throws a sentence when it is not written so. */
export function readLogLevels(text: string): ReadonlyMap<string, LogLevel> {
  const levels = new Map<string, LogLevel>()
  if (text === 'none') return levels
  for (const entry of text.split(',')) {
    const [part = '', level = ''] = entry.split('=').map((word) => word.trim())
    if (!(logPartNames as readonly string[]).includes(part)) {
      const near = nearest(part, [...logPartNames])
      const mend = near === null ? `the parts are ${logPartNames.join(', ')}` : `did you mean ${near}?`
      throw new Error(`log-levels: there is no part '${part}'; ${mend}`)
    }
    const known = logLevels.find((name) => name === level)
    if (known === undefined) {
      throw new Error(`log-levels: '${level}' is no level of ${part}; give one of ${logLevels.join(', ')}`)
    }
    levels.set(part, known)
  }
  return levels
}
