/** The answering end of one request: where its answer goes, and when nobody wants it any more. */
import type { Timer } from '../base/clock.ts'
import type { Core } from './core.ts'
import type { Delivery } from './driver/driver.ts'
import type { Table } from './driver/properties.ts'
import { WarrenError } from './errors.ts'
import type { Message } from './message.ts'
import { numberHeader, textHeader, toldError } from './remote-error.ts'
import { type Conversation, type ReplyChannel, replyChannelOf } from './reply-channel.ts'
import { stillHereMs } from './reply-stream.ts'
import { conversationBytesMax, directMessage, type ReplyKind, replyQueue, wire } from './reply-wire.ts'

export interface Encoded {
  readonly contentType: string
  readonly body: Uint8Array
}

/** A handler that takes longer tells who it is, so that it can be told to stop; in milliseconds. */
const acceptedMs = 20
/** One who reads no parts and says nothing for so long is gone, in milliseconds. */
const silenceMsMax = 3 * stillHereMs

export class Answer implements Conversation {
  /** What the one who asks calls it. */
  readonly id: string
  readonly #core: Core
  readonly #replies: ReplyChannel
  readonly #replyTo: string | null
  readonly #encode: (value: unknown) => Promise<Encoded>
  /** What it is told comes with this one. */
  readonly #call: string
  readonly #abort = new AbortController()
  readonly #window: number | null
  readonly #message: Message<unknown>
  #credit: number
  #nextPart = 0
  #isCancelled = false
  #hasTold = false
  #wake: (() => void) | null = null
  #deadline: Timer | null = null
  #accepted: Timer | null = null

  constructor(core: Core, message: Message<unknown>, encode: (value: unknown) => Promise<Encoded>) {
    const { correlationId, replyTo } = message.properties
    this.#core = core
    this.#message = message
    this.#encode = encode
    this.#replies = replyChannelOf(core)
    this.id = correlationId ?? ''
    this.#replyTo = replyTo ?? null
    this.#call = core.nextId()
    this.#window = numberHeader(message.headers, wire.window)
    this.#credit = this.#window ?? 0
    const timeoutMs = numberHeader(message.headers, wire.timeout)
    message.signal.addEventListener('abort', this.#lost, { once: true })
    if (message.signal.aborted) this.#lost()
    if (timeoutMs === null && this.#window === null) return
    this.#replies.listen(this.#call, this)
    this.#accepted = core.clock.after(acceptedMs, () => void this.#tell('accepted', noBytes))
    if (timeoutMs !== null) {
      this.#deadline = core.clock.after(timeoutMs, () => this.#stop('The time for this request is over.'))
    }
  }

  /** False: there is nobody to tell. */
  get isWanted(): boolean {
    return this.#replyTo !== null && !this.#isCancelled
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  // ---------------------------------------------------------------- what is told

  /** Resolves when it is written. */
  async value(value: unknown): Promise<void> {
    this.#accepted?.cancel()
    if (!this.isWanted) return
    if (value === undefined) return this.#send('empty', noBytes)
    const { contentType, body } = await this.#encode(value)
    return this.#send('value', body, contentType)
  }

  async error(error: unknown): Promise<void> {
    this.#accepted?.cancel()
    const body = new TextEncoder().encode(JSON.stringify(toldError(error)))
    if (this.isWanted) await this.#send('error', body, 'application/json')
  }

  /** Part after part, as far as there is credit. */
  async stream(parts: AsyncIterable<unknown>): Promise<void> {
    if (this.#window === null && this.isWanted) {
      throw new WarrenError('BAD_OPTION', 'This responder answers in parts.', { mend: 'Ask it with `stream`.' })
    }
    for await (const value of parts) {
      const encoded = await this.#encode(value)
      while (this.#credit === 0 && !this.signal.aborted) await this.#credited()
      if (this.signal.aborted) break
      this.#credit--
      this.#accepted?.cancel()
      await this.#send('part', encoded.body, encoded.contentType)
    }
    this.signal.throwIfAborted()
    await this.#send('end', noBytes)
  }

  #credited(): Promise<void> {
    return new Promise((resolve) => {
      const silence = this.#core.clock.after(silenceMsMax, () => this.#cancelled('Nobody reads this answer.'))
      this.#wake = () => {
        silence.cancel()
        resolve()
      }
    })
  }

  /** Waits for a channel if it must. Rejects with `MESSAGE_TOO_LARGE`, and when the client is closed. */
  async #send(kind: ReplyKind, body: Uint8Array, contentType?: string): Promise<void> {
    if (body.length > conversationBytesMax) {
      const mend = 'Answer in parts, or pass a reference to what is large.'
      throw new WarrenError('MESSAGE_TOO_LARGE', `A reply has ${body.length} bytes, more than 16 MiB.`, { mend })
    }
    while (!this.#tell(kind, body, contentType)) await this.#replies.opened()
  }

  #tell(kind: ReplyKind, body: Uint8Array, contentType?: string): boolean {
    if (this.#replyTo === null) return true
    const isPart = kind === 'part' || kind === 'end'
    // It is heard on this channel, and said once.
    const isFirst = !this.#hasTold && (kind === 'part' || kind === 'accepted')
    const headers: Table = {
      [wire.reply]: kind,
      ...(isPart ? { [wire.part]: this.#nextPart } : {}),
      ...(isFirst ? { [wire.call]: this.#call } : {}),
    }
    const replyTo = isFirst ? replyQueue : undefined
    const properties = { contentType, correlationId: this.id, replyTo, headers }
    if (!this.#replies.tell(directMessage(this.#replyTo, properties, body))) return false
    this.#hasTold ||= isFirst
    if (isPart) this.#nextPart++
    return true
  }

  // ---------------------------------------------------------------- what it is told

  received({ properties }: Delivery): void {
    if (textHeader(properties.headers, wire.control) === 'cancel') {
      this.#cancelled('The one who asked wants no answer any more.')
      return
    }
    this.#credit += Math.max(0, numberHeader(properties.headers, wire.credit) ?? 0)
    this.#wake?.()
  }

  /** The channel was lost: parts may be missing, and nobody can tell us to stop. */
  failed(): void {
    if (this.#nextPart > 0) this.#cancelled('The connection of this answer was lost.')
  }

  readonly #lost = (): void => this.#stop('The request is not ours any more, or the client closes.')

  #cancelled(why: string): void {
    this.#isCancelled = true
    this.#stop(why)
  }

  #stop(why: string): void {
    const mend = 'Stop working on this request.'
    if (!this.signal.aborted) this.#abort.abort(new WarrenError('ABORTED', why, { mend }))
    this.#wake?.()
  }

  /** Whatever happened. */
  end(): void {
    this.#accepted?.cancel()
    this.#deadline?.cancel()
    this.#message.signal.removeEventListener('abort', this.#lost)
    this.#replies.forget(this.#call)
  }
}

const noBytes = new Uint8Array(0)
