/** Asks, and waits for the answer: one value, or a stream of parts. At most once; see `docs/request-reply.md`. */
import { Call } from './call.ts'
import { type AnyCodec, type Codec, type CodecName, codecOf, decodeBody, encodeBody } from './codec.ts'
import type { Core } from './core.ts'
import type { Delivery, OutgoingMessage } from './driver/driver.ts'
import type { Table } from './driver/properties.ts'
import { badOption, closedByUser, WarrenError } from './errors.ts'
import { RemoteError, readToldError } from './remote-error.ts'
import { type ReplyChannel, replyChannelOf } from './reply-channel.ts'
import { ReplyStream } from './reply-stream.ts'
import { conversationBytesMax, directMessage, kindOf, replyQueue, wire } from './reply-wire.ts'
import { checked, type StandardSchema } from './schema.ts'

export interface RequesterOptions<Req, Res> {
  /** For an answer, or for the next part of one; 30 s by default. */
  readonly timeoutMs?: number
  /** Requests that wait for their answers; further ones reject with `TOO_MANY_WAITING`. 1,000 by default. */
  readonly inFlightMax?: number
  /** Parts of one stream that are on their way or wait for the loop; 32 by default. */
  readonly window?: number
  /** As the responder has it; JSON by default. */
  readonly codec?: CodecName | AnyCodec
  readonly schema?: { readonly request?: StandardSchema<Req, unknown>; readonly reply?: StandardSchema<unknown, Res> }
}

export interface RequestOptions {
  /** In milliseconds, instead of the requester's. */
  readonly timeoutMs?: number
  /** Rejects with `ABORTED`, and aborts the signal of the handler. */
  readonly signal?: AbortSignal
  readonly headers?: Table
  /** 0 to 255; counts in queues with `maxPriority`. */
  readonly priority?: number
}

export class Requester<Req, Res> {
  readonly queue: string
  readonly #core: Core
  readonly #replies: ReplyChannel
  readonly #codec: Codec<unknown>
  readonly #schema: NonNullable<RequesterOptions<Req, Res>['schema']>
  readonly #timeoutMs: number
  readonly #inFlightMax: number
  readonly #window: number
  #inFlight = 0

  constructor(core: Core, queue: string, options: RequesterOptions<Req, Res>) {
    this.queue = queue
    this.#core = core
    this.#replies = replyChannelOf(core)
    this.#codec = codecOf(options.codec)
    this.#schema = options.schema ?? {}
    this.#timeoutMs = positive('timeoutMs', options.timeoutMs ?? 30_000)
    this.#inFlightMax = positive('inFlightMax', options.inFlightMax ?? 1_000)
    this.#window = positive('window', options.window ?? 32)
  }

  /** Requests without an answer yet, streams included. */
  get inFlight(): number {
    return this.#inFlight
  }

  /**
   * Resolves with the answer. Rejects with a `RemoteError` when the handler threw, else with a `WarrenError`; then the
   * request may have been handled or not.
   */
  async request(value: Req, options: RequestOptions = {}): Promise<Res> {
    const timeoutMs = positive('timeoutMs', options.timeoutMs ?? this.#timeoutMs)
    this.#enter()
    try {
      const body = await this.#encoded(value)
      const answer = await new Promise<Delivery>((resolve, reject) => {
        let answer: Delivery | null = null
        const call: Call = new Call({
          ...this.#common(timeoutMs, options.signal),
          received: (delivery) => {
            if (kindOf(delivery) === 'accepted') return
            answer = delivery
            call.end(null)
          },
          ended: (error) => {
            if (answer !== null) resolve(answer)
            else reject(error ?? closedByUser('A request was under way'))
          },
        })
        call.startTimer()
        call.send(this.#message(call.id, body, { ...options, timeoutMs, marks: { [wire.timeout]: timeoutMs } }))
      })
      return await this.#valueOf(answer)
    } finally {
      this.#inFlight--
    }
  }

  /**
   * The parts of an answer, as they come. The responder is `window` parts ahead at most; leaving the loop cancels the
   * rest. `timeoutMs` is for each part that is waited for.
   */
  stream(value: Req, options: RequestOptions = {}): AsyncIterableIterator<Res> {
    const timeoutMs = positive('timeoutMs', options.timeoutMs ?? this.#timeoutMs)
    const marks = { [wire.window]: this.#window }
    return new ReplyStream<Res>({
      ...this.#common(timeoutMs, options.signal),
      window: this.#window,
      begin: async () => {
        this.#enter()
        try {
          const body = await this.#encoded(value)
          return (id) => this.#message(id, body, { ...options, timeoutMs, marks })
        } catch (error) {
          this.#inFlight--
          throw error
        }
      },
      over: () => {
        this.#inFlight--
      },
      read: (delivery) => this.#valueOf(delivery),
    })
  }

  #common(timeoutMs: number, signal: AbortSignal | undefined) {
    return { core: this.#core, replies: this.#replies, queue: this.queue, timeoutMs, signal }
  }

  #enter(): void {
    if (this.#inFlight >= this.#inFlightMax) {
      const mend = 'Await their answers first, or raise `inFlightMax`.'
      const sentence = `${this.#inFlight} requests to '${this.queue}' wait for answers already.`
      throw new WarrenError('TOO_MANY_WAITING', sentence, { mend })
    }
    this.#inFlight++
  }

  async #encoded(value: unknown): Promise<Uint8Array> {
    const what = `A request to '${this.queue}'`
    await checked(this.#schema.request ?? null, value, what)
    const body = encodeBody(this.#codec, value, what)
    if (body.length <= conversationBytesMax) return body
    const sentence = `${what} has ${body.length} bytes, more than ${conversationBytesMax}.`
    throw new WarrenError('MESSAGE_TOO_LARGE', sentence, { mend: 'Pass a reference to what is large.' })
  }

  #message(
    correlationId: string,
    body: Uint8Array,
    { headers, marks, priority, timeoutMs }: RequestOptions & { timeoutMs: number; marks: Table },
  ): OutgoingMessage {
    const message = directMessage(
      this.queue,
      {
        contentType: this.#codec.contentType,
        correlationId,
        messageId: correlationId,
        replyTo: replyQueue,
        // Nobody shall answer what nobody waits for.
        expiration: String(Math.ceil(timeoutMs)),
        timestamp: new Date(this.#core.clock.now()),
        priority,
        headers: { ...headers, ...marks },
      },
      body,
    )
    return { ...message, isMandatory: true }
  }

  /** What a reply says: throws what the handler threw. */
  async #valueOf(delivery: Delivery): Promise<Res> {
    const what = `A reply from '${this.queue}'`
    const kind = kindOf(delivery)
    if (kind === 'error') throw new RemoteError(`A request to '${this.queue}'`, readToldError(delivery.body))
    const value = kind === 'empty' ? undefined : decodeBody(this.#codec, delivery.body, what)
    // The schema's type, or what the codec was said to give.
    return (await checked(this.#schema.reply ?? null, value, what)).value as Res
  }
}

export function positive(name: string, value: number): number {
  if (value >= 1) return value
  throw badOption(`The option '${name}' is ${value}.`, 'Give a number of at least 1.')
}
