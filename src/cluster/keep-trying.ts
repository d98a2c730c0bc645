import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { pause } from './membership/pause.ts'

export interface Trying {
  readonly clock: Clock
  readonly logger: Logger
  /** Ends it: the last failure is what it rejects with. */
  readonly signal: AbortSignal
  /** Failures that trying again would not mend. */
  isFinal(error: unknown): boolean
}

const retryMs = { first: 200, most: 2_000 } as const
/** How often it is said that one waits, in milliseconds. */
const sayMs = 5_000

/** Does something that NATS has to answer, again and again: while servers come, go and elect, they often do not. */
export async function keepTrying<T>(what: string, work: () => Promise<T>, trying: Trying): Promise<T> {
  const { clock, logger, signal, isFinal } = trying
  let saidAt = clock.monotonic()
  for (let wait: number = retryMs.first; ; wait = Math.min(wait * 2, retryMs.most)) {
    try {
      return await work()
    } catch (error) {
      if (signal.aborted || isFinal(error)) throw error
      const isLong = clock.monotonic() - saidAt >= sayMs
      if (isLong) saidAt = clock.monotonic()
      logger[isLong ? 'warn' : 'debug']({ error, againInMs: wait }, `${what}: not yet`)
      await pause(clock, wait, signal).catch(() => {})
      if (signal.aborted) throw error
    }
  }
}
