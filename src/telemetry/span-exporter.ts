import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Residence, ResidenceEnd } from '../broker/queue/residences.ts'
import type { StreamSpan, StreamSpanEnd } from '../broker/stream/stream-tracing.ts'
import type { TraceListener } from '../broker/trace-listener.ts'
import { type EndedSpan, type SpanSource, spanIdOf, spansDocument } from './otlp-spans.ts'

/** Traced messages that are in queues, or out of streams, at one time; more are not followed. */
export const followedMax = 100_000
/** Spans that wait to be sent; more are dropped. */
export const waitingMax = 8_192
/** Spans in one request. */
export const batchMax = 512
/** The longest a span waits for others, in milliseconds. */
export const batchMs = 1_000
/** After a request that failed, in milliseconds: twice as long each time, up to the second, a fifth less by chance. */
export const [pauseMsMin, pauseMsMax] = [1_000, 60_000]
/** For what is left when the node stops, in milliseconds. */
const lastMsMax = 2_000

/** What came of one request. */
export interface Posted {
  /** Of the answer. */
  readonly status: number
  /** For how long the receiver wants to be left alone, in milliseconds; null: it has not said. */
  readonly restMs: number | null
}

export interface SpanExporterParts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly source: SpanSource
  /** Where spans go, for the log: nothing secret. */
  readonly target: string
  /** Sends OTLP in JSON. Rejects when there is no answer. */
  post(document: string): Promise<Posted>
}

/** By the protocol the same request may be sent again later; all other refusals are for good. */
const passingStatuses: ReadonlySet<number> = new Set([408, 429, 502, 503, 504])

/**
 * Sends spans of traced messages, a request at a time. Whatever the receiver does, the broker goes on as before: what a
 * receiver that is away cannot take waits for it, longer each time, and what does not fit meanwhile is dropped and counted.
 */
export class SpanExporter implements TraceListener {
  exported = 0
  /** Never sent: there were too many, the receiver refused them, or their shard went away. */
  dropped = 0
  readonly #parts: SpanExporterParts
  /** The first are those that are being sent. */
  #waiting: EndedSpan[] = []
  #followed = 0
  #timer: Timer | null = null
  #sending: Promise<void> | null = null
  /** Requests that failed one after the other. */
  #failures = 0
  /** For how long the receiver wants to be left alone. */
  #restMs = 0
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
    const { traceId, entry } = residence
    if (!this.#mayWait()) return
    const spanId = entry === null ? this.#anyId() : spanIdOf(traceId, entry)
    this.#add({ kind: 'queue', spanId, residence, end, endedAt: this.now() })
  }

  streamed(span: StreamSpan, end: StreamSpanEnd): void {
    if (!this.#mayWait()) return
    const spanId = span.operation === 'publish' ? spanIdOf(span.traceId, span.entry) : this.#anyId()
    this.#add({ kind: 'stream', spanId, span, end, endedAt: this.now() })
  }

  lost(count: number): void {
    this.#followed -= count
    this.dropped += count
  }

  #anyId(): string {
    return Buffer.from(this.#parts.random.bytes(8)).toString('hex')
  }

  /** It is not followed any more; whether there is room for its span. */
  #mayWait(): boolean {
    this.#followed--
    const hasRoom = !this.#isStopped && this.#waiting.length < waitingMax
    if (!hasRoom) this.dropped++
    return hasRoom
  }

  #add(span: EndedSpan): void {
    this.#waiting.push(span)
    if (this.#sending !== null) return
    if (this.#failures === 0 && this.#waiting.length === batchMax) this.#sendAfter(0)
    else if (this.#timer === null) this.#sendAfter(this.#failures === 0 ? batchMs : this.#pauseMs())
  }

  /** Sends what waits, as far as that goes in two seconds, or the receiver takes it. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    const all = async (): Promise<void> => {
      await this.#sending
      for (let failures = this.#failures; this.#waiting.length > 0 && this.#failures <= failures; ) await this.#send()
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
    if (this.#isStopped || this.#waiting.length === 0) return
    if (this.#failures > 0) this.#sendAfter(this.#pauseMs())
    else this.#sendAfter(this.#waiting.length >= batchMax ? 0 : batchMs)
  }

  #pauseMs(): number {
    const longest = Math.min(pauseMsMax, pauseMsMin * 2 ** (this.#failures - 1))
    const [byte = 0] = this.#parts.random.bytes(1)
    return Math.max(this.#restMs, Math.round(longest * (1 - (0.2 * byte) / 256)))
  }

  async #send(): Promise<void> {
    const batch = this.#waiting.slice(0, batchMax)
    try {
      const { status, restMs } = await this.#parts.post(spansDocument(batch, this.#parts.source))
      if (status >= 200 && status <= 299) this.#succeeded(batch.length)
      else this.#refused(batch.length, status, restMs)
    } catch (error) {
      this.#failed({ error }, null)
    }
  }

  #succeeded(count: number): void {
    const { target: url, logger } = this.#parts
    this.#waiting.splice(0, count)
    this.exported += count
    if (this.#failures > 0) logger.info({ url, dropped: this.dropped }, 'traces are sent again')
    this.#failures = 0
    this.#restMs = 0
  }

  #refused(count: number, status: number, restMs: number | null): void {
    if (!passingStatuses.has(status)) {
      this.#waiting.splice(0, count)
      this.dropped += count
    }
    this.#failed({ status }, restMs)
  }

  #failed(why: { readonly error: unknown } | { readonly status: number }, restMs: number | null): void {
    const { target: url, logger } = this.#parts
    if (this.#failures === 0) logger.warn({ ...why, url }, 'traces cannot be sent; they wait, and some may be dropped')
    this.#failures++
    this.#restMs = restMs ?? 0
  }
}
