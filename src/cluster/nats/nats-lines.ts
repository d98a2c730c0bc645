/**
 * What a nats-server says, as lines of ours: the same warning once a minute, with how often it was said in between.
 * A server that misses another one says so several times a second.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Level } from './nats-log.ts'

/** Between two lines that are the same, in milliseconds. */
const quietMs = 60_000
/** Numbers of attempts and of connections do not make another line, nor ports that whoever connects was given. */
const counters = /\b(?:attempt |[crl]id:)\d+|:\d+(?= - [crl]id:|->)/g
/** Lines that are remembered; the one said longest ago is forgotten, and comes anew. */
const linesMax = 256

export class NatsLines {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #said = new Map<string, { at: number; unsaid: number }>()

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock
    this.#logger = logger
  }

  /** Errors are all said, and so is what is for debugging. */
  say(level: Level, message: string): void {
    if (level !== 'warn') {
      this.#logger[level]({ nats: true }, message)
      return
    }
    const now = this.#clock.monotonic()
    const key = message.replaceAll(counters, '')
    const said = this.#said.get(key)
    if (said !== undefined && now - said.at < quietMs) {
      said.unsaid++
      return
    }
    this.#said.delete(key)
    this.#said.set(key, { at: now, unsaid: 0 })
    const [oldest] = this.#said.keys()
    if (this.#said.size > linesMax && oldest !== undefined) this.#said.delete(oldest)
    const unsaid = said?.unsaid ?? 0
    this.#logger.warn(unsaid === 0 ? { nats: true } : { nats: true, unsaid }, message)
  }
}
