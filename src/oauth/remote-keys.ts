/**
 * The keys an OAuth 2 server publishes (JWKS, RFC 7517). They are fetched soon after the start, so that the log says then what
 * is wrong, or when the first token comes, and again from time to time; whatever goes wrong, the last good ones stay, for so
 * long and no longer. Without keys nobody is let in.
 */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { type GetKey, type KeySource, readKeySet } from './key-source.ts'

export interface RemoteKeysParts {
  readonly url: string
  readonly clock: Clock
  readonly logger: Logger
  /** Rejects with a sentence unless the answer is 200. */
  fetchText(url: string): Promise<string>
}

/** After so long keys are fetched again, in milliseconds. */
export const refreshMs = 10 * 60_000
/** Keys that nobody asked for so long, in milliseconds, are fetched before they are used: one may have been taken back. */
export const quietMs = 2 * refreshMs
/** Between two fetches, in milliseconds, whoever asks: tokens with made-up keys lead to no more. */
export const cooldownMs = 30_000
/** The same while there are none, when nobody gets in. */
export const emptyCooldownMs = 2_000
/** They are fetched so long after the start, in milliseconds. */
export const beginMs = 1_000
/** The same reason is told again after so long, in milliseconds. */
const tellAgainMs = 60_000
/** Keys that could not be fetched again for so long are not used any more, in milliseconds. */
export const staleMsMax = 6 * 3_600_000

export class RemoteKeys implements KeySource {
  readonly #parts: RemoteKeysParts
  #keys: { readonly getKey: GetKey; readonly fetchedAt: number } | null = null
  #triedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | null = null
  /** What the log was told last; null: nothing, or that all is well. */
  #told: { readonly reason: string; readonly at: number } | null = null

  constructor(parts: RemoteKeysParts) {
    this.#parts = parts
  }

  /** Fetches them soon: who operates the node sees in the log of its start that they cannot be had. */
  begin(): void {
    this.#parts.clock.after(beginMs, () => void this.current())
  }

  async current(): Promise<GetKey | null> {
    const now = this.#parts.clock.monotonic()
    const age = this.#keys === null ? Number.POSITIVE_INFINITY : now - this.#keys.fetchedAt
    if (age > quietMs) await this.#fetch()
    // Whoever comes now need not wait for it.
    else if (age > refreshMs) void this.#fetch()
    return this.#fresh
  }

  async renewed(): Promise<GetKey | null> {
    const before = this.#keys
    await this.#fetch()
    return this.#keys === before ? null : this.#fresh
  }

  get #fresh(): GetKey | null {
    if (this.#keys === null) return null
    return this.#parts.clock.monotonic() - this.#keys.fetchedAt > staleMsMax ? null : this.#keys.getKey
  }

  /** One at a time. Does not reject. */
  #fetch(): Promise<void> {
    if (this.#fetching !== null) return this.#fetching
    const now = this.#parts.clock.monotonic()
    if (now - this.#triedAt < (this.#fresh === null ? emptyCooldownMs : cooldownMs)) return Promise.resolve()
    this.#triedAt = now
    this.#fetching = this.#load().finally(() => {
      this.#fetching = null
    })
    return this.#fetching
  }

  async #load(): Promise<void> {
    const { url, clock, logger, fetchText } = this.#parts
    try {
      const getKey = await readKeySet(await fetchText(url))
      this.#keys = { getKey, fetchedAt: clock.monotonic() }
      if (this.#told !== null) logger.info({ url }, 'the keys for tokens could be fetched again')
      this.#told = null
    } catch (error) {
      this.#tell(error instanceof Error ? error.message : String(error))
    }
  }

  /** Who comes every few seconds makes no line of the log each time. */
  #tell(reason: string): void {
    const { url, clock, logger } = this.#parts
    const now = clock.monotonic()
    if (this.#told?.reason === reason && now - this.#told.at < tellAgainMs) return
    this.#told = { reason, at: now }
    const kept = this.#fresh === null ? 'nobody can log in by token' : 'the last good ones are used on'
    logger.error({ url, reason }, `the keys for tokens could not be fetched; ${kept}`)
  }
}
