/** The asking end of one request: its time, its signal, and who answers it. Ends once, whatever comes first. */
import type { Timer } from '../base/clock.ts'
import type { Core } from './core.ts'
import type { Delivery, OutgoingMessage } from './driver/driver.ts'
import { WarrenError } from './errors.ts'
import type { Conversation, ReplyChannel } from './reply-channel.ts'
import { type Address, addressOf, controlMessage } from './reply-wire.ts'

export interface CallParts {
  readonly core: Core
  readonly replies: ReplyChannel
  readonly queue: string
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly received: (delivery: Delivery) => void
  /** Null: it ended well. Called once. */
  readonly ended: (error: WarrenError | null) => void
}

export class Call implements Conversation {
  readonly id: string
  readonly #parts: CallParts
  #timer: Timer | null = null
  #address: Address | null = null
  #isOver = false
  /** What was sent, and when; for the hooks. */
  #sent: { readonly request: OutgoingMessage; readonly at: number } | null = null

  constructor(parts: CallParts) {
    this.#parts = parts
    this.id = parts.core.nextId()
    parts.signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  send(request: OutgoingMessage): void {
    const { core, replies, signal } = this.#parts
    if (signal?.aborted === true) return this.#aborted()
    const hooked = this.#hooked(request)
    this.#sent = { request: hooked, at: core.clock.monotonic() }
    replies.ask(this.id, hooked, this)
  }

  #hooked(request: OutgoingMessage): OutgoingMessage {
    const { core } = this.#parts
    try {
      return core.hooks.publishing?.(request) ?? request
    } catch (error) {
      core.failed(error, 'the hook `publishing`')
      return request
    }
  }

  /** A request has settled when it is answered: that is more than its confirm says. */
  #told(error: WarrenError | null): void {
    const { core } = this.#parts
    if (this.#sent === null || core.hooks.published === undefined) return
    const { request: message, at } = this.#sent
    const { exchange, routingKey, body } = message
    try {
      core.hooks.published({
        message,
        exchange,
        routingKey,
        bytes: body.length,
        ms: core.clock.monotonic() - at,
        error,
      })
    } catch (thrown) {
      core.failed(thrown, 'the hook `published`')
    }
  }

  // ---------------------------------------------------------------- time

  /** From now on; for the whole answer, or for its next part. */
  startTimer(): void {
    const { core, timeoutMs } = this.#parts
    this.#timer?.cancel()
    this.#timer = core.clock.after(timeoutMs, () => this.#giveUp(this.#late()))
  }

  stopTimer(): void {
    this.#timer?.cancel()
  }

  #late(): WarrenError {
    const { core, queue, timeoutMs } = this.#parts
    const cause = core.publishing.lastError ?? undefined
    const blocked = core.publishing.blockedReason
    const mend =
      cause !== undefined
        ? `There is no connection: ${cause.message}`
        : blocked !== null
          ? `The broker takes no messages (${blocked}).`
          : 'See that a responder runs and is quick enough, or allow more time with `timeoutMs`.'
    const sentence = `A request to '${queue}' was not answered within ${timeoutMs} ms.`
    return new WarrenError('REQUEST_TIMEOUT', sentence, { mend, cause })
  }

  // ---------------------------------------------------------------- what comes

  received(delivery: Delivery): void {
    this.#address = addressOf(delivery) ?? this.#address
    this.#parts.received(delivery)
  }

  failed(error: WarrenError): void {
    this.end(error)
  }

  /** So many parts more; 0 says that we are still there. */
  grant(credit: number): void {
    if (this.#address !== null) this.#parts.replies.tell(controlMessage(this.#address, 'credit', credit))
  }

  // ---------------------------------------------------------------- the end

  readonly #aborted = (): void => {
    const { queue, signal } = this.#parts
    const mend = 'This is what its signal is for: `cause` is the reason it was given.'
    const details = { mend, cause: signal?.reason as unknown }
    this.#giveUp(new WarrenError('ABORTED', `A request to '${queue}' was aborted.`, details))
  }

  /** Nobody wants the answer: whoever works on it may stop. */
  cancel(): void {
    this.#giveUp(null)
  }

  #giveUp(error: WarrenError | null): void {
    if (this.#isOver) return
    // One that is not known yet is told when its first word comes.
    if (this.#address !== null) this.#parts.replies.tell(controlMessage(this.#address, 'cancel'))
    this.end(error)
  }

  end(error: WarrenError | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer?.cancel()
    this.#parts.replies.forget(this.id)
    this.#parts.signal?.removeEventListener('abort', this.#aborted)
    this.#told(error)
    this.#parts.ended(error)
  }
}
