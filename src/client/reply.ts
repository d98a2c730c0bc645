/** Answers requests: a handler's value, what it throws, or the parts it yields. See `docs/request-reply.md`. */

import { Answer } from './answer.ts'
import { type AnyCodec, type Codec, type CodecName, codecOf, decodeBody, encodeBody } from './codec.ts'
import type { Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import type { Table } from './driver/properties.ts'
import type { Message } from './message.ts'
import { Queue } from './queue.ts'
import type { QueueOptions } from './queue-options.ts'
import { replyChannelOf } from './reply-channel.ts'
import { checked, type StandardSchema } from './schema.ts'

export interface RequestContext {
  /** Correlation id of the request, as the one who asks gave it. */
  readonly id: string
  readonly headers: Table
  /** True: it may have been handled before, by one who did not come to its end. */
  readonly isRedelivered: boolean
  /** Aborted when the answer is wanted no more: cancelled, too late, or the client closes. */
  readonly signal: AbortSignal
}

export type RequestHandler<Req, Res> = (
  request: Req,
  context: RequestContext,
) => Res | Promise<Res> | AsyncIterable<Res>

export interface ResponderOptions<Req, Res> {
  /** Handlers at once; 1 by default. */
  readonly concurrency?: number
  readonly codec?: CodecName | AnyCodec
  readonly schema?: { readonly request?: StandardSchema<unknown, Req>; readonly reply?: StandardSchema<Res, unknown> }
  /** How the queue is declared. */
  readonly queue?: Omit<QueueOptions, 'codec' | 'schema' | 'compression'>
  /** Stops the responder as `stop()` does. */
  readonly signal?: AbortSignal
}

export class Responder<Req, Res> {
  readonly queue: string
  readonly #core: Core
  readonly #handler: RequestHandler<Req, Res>
  readonly #options: ResponderOptions<Req, Res>
  readonly #codec: Codec<unknown>
  #consumer: Consumer<Uint8Array> | null = null

  constructor(core: Core, queue: string, handler: RequestHandler<Req, Res>, options: ResponderOptions<Req, Res>) {
    this.queue = queue
    this.#core = core
    this.#handler = handler
    this.#options = options
    this.#codec = codecOf(options.codec)
  }

  /** Resolves when requests are taken; rejects when the broker refuses. */
  async start(): Promise<this> {
    const { concurrency = 1, signal, queue: queueOptions } = this.#options
    const queue = new Queue<Uint8Array>(this.#core, this.queue, { ...queueOptions, codec: 'bytes' })
    await replyChannelOf(this.#core).opened()
    this.#consumer = await queue.consume((message) => this.#handle(message), {
      concurrency,
      retry: false,
      deadLetter: false,
      ...(signal === undefined ? {} : { signal }),
    })
    return this
  }

  /** Requests whose handlers run or wait for their turn. */
  get inHandCount(): number {
    return this.#consumer?.inHandCount ?? 0
  }

  /** Takes no more, answers those in hand. Never rejects. */
  async stop(): Promise<void> {
    await this.#consumer?.stop()
  }

  /** Rejects only when the answer could not be sent because the client is closed. */
  async #handle(message: Message<Uint8Array>): Promise<void> {
    const answer = new Answer(this.#core, message, (value) => this.#encoded(value))
    try {
      const request = await this.#read(message)
      if (answer.signal.aborted) return
      const { headers, isRedelivered } = message
      const result = this.#handler(request, { id: answer.id, headers, isRedelivered, signal: answer.signal })
      if (isAsyncIterable(result)) await answer.stream(result)
      else await answer.value(await result)
    } catch (error) {
      if (!answer.isWanted && !answer.signal.aborted) this.#core.logFailure(error, this.queue, 1)
      await answer.error(error)
    } finally {
      answer.end()
    }
  }

  async #read({ body }: Message<Uint8Array>): Promise<Req> {
    const what = `A request to '${this.queue}'`
    const value = decodeBody(this.#codec, body, what)
    return (await checked(this.#options.schema?.request ?? null, value, what)).value as Req
  }

  async #encoded(value: unknown): Promise<{ contentType: string; body: Uint8Array }> {
    const what = `A reply from '${this.queue}'`
    await checked(this.#options.schema?.reply ?? null, value, what)
    return { contentType: this.#codec.contentType, body: encodeBody(this.#codec, value, what) }
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
