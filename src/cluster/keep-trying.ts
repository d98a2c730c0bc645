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

/** Does something that NATS has to answer, again and again: while servers come, go and elect, they often do not. */
export async function keepTrying<T>(what: string, work: () => Promise<T>, trying: Trying): Promise<T> {
  const { clock, logger, signal, isFinal } = trying
  for (let wait: number = retryMs.first; ; wait = Math.min(wait * 2, retryMs.most)) {
    try {
      return await work()
    } catch (error) {
      if (signal.aborted || isFinal(error)) throw error
      logger.debug({ error, againInMs: wait }, `${what}: not yet`)
      await pause(clock, wait, signal).catch(() => {})
      if (signal.aborted) throw error
    }
  }
}
