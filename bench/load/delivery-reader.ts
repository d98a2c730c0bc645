import { frameEnd } from '../wire/frame-end.ts'
import { FrameType, MethodId } from '../wire/method-ids.ts'
import type { FrameReader } from '../wire/read-buffer.ts'
import type { DeliveryChecker } from './delivery-checker.ts'
import type { Problems } from './problems.ts'

export interface DeliveryListener {
  /** One message is complete; `sentAt` is 0 when it carries no time. */
  message(deliveryTag: number, sentAt: number): void
  /** A method frame that is no delivery. */
  control(view: DataView, frameStart: number, frameEndAt: number): void
}

/** Where the reader stands in the content of its channel (AMQP 0-9-1 §4.2.6): what has to come next. */
const Next = { Delivery: -1, Header: -2 } as const
const zeroDigit = 48

/**
 * Parses deliveries where they lie, in frames of any size, and has each body checked. Consumer tags are the decimal
 * indexes of queues. One channel; frames of channel 0 may come in between.
 */
export class DeliveryReader implements FrameReader {
  delivered = 0
  redelivered = 0
  readonly #frameBytesMax: number
  readonly #checker: DeliveryChecker
  readonly #problems: Problems
  readonly #listener: DeliveryListener
  #deliveryTag = 0
  #queue = 0
  /** Bytes of the present body still to come, or one of `Next`. */
  #missing: number = Next.Delivery

  constructor(frameBytesMax: number, checker: DeliveryChecker, problems: Problems, listener: DeliveryListener) {
    this.#frameBytesMax = frameBytesMax
    this.#checker = checker
    this.#problems = problems
    this.#listener = listener
  }

  read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    let at = start
    for (;;) {
      const next = frameEnd(bytes, view, at, end, this.#frameBytesMax)
      if (next === 0) return at
      const type = bytes[at]
      if (type === FrameType.Body) this.#body(bytes, view, at + 7, next - 1)
      else if (type === FrameType.Header) this.#header(view, at)
      else if (type === FrameType.Method) this.#method(bytes, view, at, next)
      at = next
    }
  }

  #method(bytes: Uint8Array, view: DataView, at: number, next: number): void {
    if (view.getUint32(at + 7) !== MethodId.BasicDeliver) {
      this.#listener.control(view, at, next)
      return
    }
    if (this.#missing !== Next.Delivery) throw new Error('the broker began a delivery inside another one')
    const tagEnd = at + 12 + (bytes[at + 11] as number)
    let queue = 0
    for (let index = at + 12; index < tagEnd; index++) queue = queue * 10 + (bytes[index] as number) - zeroDigit
    this.#queue = queue
    const deliveryTag = view.getUint32(tagEnd) * 0x1_0000_0000 + view.getUint32(tagEnd + 4)
    if (deliveryTag !== this.#deliveryTag + 1) {
      this.#problems.add(`delivery tag ${deliveryTag} came after ${this.#deliveryTag}`)
    }
    this.#deliveryTag = deliveryTag
    if (bytes[tagEnd + 8] !== 0) this.redelivered++
    this.#missing = Next.Header
  }

  #header(view: DataView, at: number): void {
    if (this.#missing !== Next.Header) throw new Error('the broker sent a content header without a delivery before it')
    this.#missing = view.getUint32(at + 11) * 0x1_0000_0000 + view.getUint32(at + 15)
    this.#checker.begin(this.#queue, this.#missing)
    if (this.#missing === 0) this.#end()
  }

  #body(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    if (this.#missing < end - start) throw new Error('the broker sent more body than its content header announced')
    this.#missing -= end - start
    this.#checker.piece(this.#queue, bytes, view, start, end)
    if (this.#missing === 0) this.#end()
  }

  #end(): void {
    this.#missing = Next.Delivery
    this.delivered++
    this.#listener.message(this.#deliveryTag, this.#checker.sentAt)
  }
}
