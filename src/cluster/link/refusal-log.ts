import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'

/** Between two lines about the same address, in milliseconds. */
const quietMs = 60_000

/** Addresses that are remembered. While there are more, further ones are counted and not named. */
const addressesMax = 256

/** Says what was refused: once a minute for each address, with how often that was since the last time. */
export class RefusalLog {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #seen = new Map<string, { at: number; unsaid: number }>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  refused(address: string, reason: string): void {
    const now = this.#clock.monotonic()
    const seen = this.#seen.get(address)
    if (seen !== undefined && now - seen.at < quietMs) {
      seen.unsaid++
      return
    }
    if (seen === undefined && this.#seen.size >= addressesMax) this.#forget(now)
    if (this.#seen.size >= addressesMax && seen === undefined) return
    this.#seen.set(address, { at: now, unsaid: 0 })
    this.#logger.warn({ address, unsaid: seen?.unsaid ?? 0 }, `a connection to the cluster port was refused: ${reason}`)
  }

  #forget(now: number): void {
    for (const [address, { at }] of this.#seen) if (now - at >= quietMs) this.#seen.delete(address)
  }
}
