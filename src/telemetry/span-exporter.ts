import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Residence, ResidenceEnd, ResidenceListener } from '../broker/queue/residences.ts'
import { type QueueSpan, type SpanSource, spansDocument } from './otlp-spans.ts'

/** Traced messages that are in queues at one time; more are not followed. */
export const followedMax = 100_000
/** Spans that wait to be sent; more are dropped. */
export const waitingMax = 8_192
/** Spans in one request. */
export const batchMax = 512
/** The longest a span waits for others, in milliseconds. */
export const batchMs = 1_000
/** After a request that failed, in milliseconds. */
export const pauseMs = 5_000
/** For what is left when the node stops, in milliseconds. */
const lastMsMax = 2_000

export interface SpanExporterParts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly source: SpanSource
  /** Where spans go: OTLP over HTTP, in JSON. */
  readonly url: string
  /** Rejects when they were not taken. */
  post(url: string, document: string): Promise<void>
}

/**
 * Sends spans of traced messages, a request at a time. Whatever the receiver does, the broker goes on as before: what
 * cannot be sent is dropped and counted, and nothing is sent twice.
 */
export class SpanExporter implements ResidenceListener {
  exported = 0
  /** Never sent: there were too many, the receiver did not take them, or their shard went away. */
  dropped = 0
  readonly #parts: SpanExporterParts
  #waiting: QueueSpan[] = []
  #followed = 0
  #timer: Timer | null = null
  #sending: Promise<void> | null = null
  #isFailing = false
  #isStopped = false

  constructor(parts: SpanExporterParts) {
    this.#parts = parts
  }

  readonly now = (): number => this.#parts.clock.now()

  began(): boolean {
    if (this.#followed < followedMax) {
      this.#followed++
      return true
    }
    this.dropped++
    return false
  }

  ended(residence: Residence, end: ResidenceEnd): void {
    this.#followed--
    if (this.#isStopped || this.#waiting.length >= waitingMax) {
      this.dropped++
      return
    }
    const spanId = Buffer.from(this.#parts.random.bytes(8)).toString('hex')
    this.#waiting.push({ spanId, residence, end, endedAt: this.now() })
    if (this.#timer === null && this.#sending === null) this.#sendAfter(batchMs)
    else if (this.#waiting.length === batchMax && this.#sending === null && !this.#isFailing) this.#sendAfter(0)
  }

  lost(count: number): void {
    this.#followed -= count
    this.dropped += count
  }

  /** Sends what waits, as far as that goes in two seconds. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    const all = async (): Promise<void> => {
      await this.#sending
      while (this.#waiting.length > 0) await this.#send()
    }
    const late = new Promise<void>((resolve) => void this.#parts.clock.after(lastMsMax, resolve))
    await Promise.race([all(), late])
    this.dropped += this.#waiting.length
    this.#waiting = []
  }

  #sendAfter(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#parts.clock.after(ms, () => {
      this.#timer = null
      if (this.#isStopped) return
      this.#sending = this.#send().then(() => this.#sent())
    })
  }

  #sent(): void {
    this.#sending = null
    if (this.#waiting.length === 0 || this.#isStopped) return
    if (this.#isFailing) this.#sendAfter(pauseMs)
    else this.#sendAfter(this.#waiting.length >= batchMax ? 0 : batchMs)
  }

  async #send(): Promise<void> {
    const { url, source, logger } = this.#parts
    const batch = this.#waiting.splice(0, batchMax)
    try {
      await this.#parts.post(url, spansDocument(batch, source))
      this.exported += batch.length
      if (this.#isFailing) logger.info({ url, dropped: this.dropped }, 'traces are sent again')
      this.#isFailing = false
    } catch (error) {
      this.dropped += batch.length
      if (!this.#isFailing) logger.warn({ error, url }, 'traces cannot be sent and are dropped')
      this.#isFailing = true
    }
  }
}
