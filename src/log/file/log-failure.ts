import { LogFailed } from '../log.ts'

/** What is a `LogFailed` already says itself why. */
export function failureOf(name: string, what: string, cause: unknown): LogFailed {
  if (cause instanceof LogFailed) return cause
  return new LogFailed(`log '${name}': ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}
