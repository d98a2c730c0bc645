import type { Delivery } from './driver/driver.ts'
import type { MessageProperties, Table } from './driver/properties.ts'
import { WarrenError } from './errors.ts'

export type Settlement =
  | { readonly kind: 'ack' }
  | { readonly kind: 'requeue' }
  | { readonly kind: 'reject' }
  | { readonly kind: 'failed'; readonly error: unknown; readonly isFinal: boolean }

export interface MessageParts<T> {
  readonly body: T
  readonly queue: string
  readonly delivery: Delivery
  /** Which attempt this is, from 1; grows with each retry of the client, and with what the broker counts. */
  readonly attempt: number
  readonly settle: (settlement: Settlement) => void
  readonly extend: (ms: number | undefined) => boolean
}

/** A message as a handler gets it. */
export class Message<T = unknown> {
  readonly body: T
  readonly queue: string
  /** From 1. */
  readonly attempt: number
  readonly #parts: MessageParts<T>
  #abort: AbortController | null = null
  #abortReason: WarrenError | null = null
  #isSettled = false

  constructor(parts: MessageParts<T>) {
    this.body = parts.body
    this.queue = parts.queue
    this.attempt = parts.attempt
    this.#parts = parts
  }

  get exchange(): string {
    return this.#parts.delivery.exchange
  }

  get routingKey(): string {
    return this.#parts.delivery.routingKey
  }

  get properties(): MessageProperties {
    return this.#parts.delivery.properties
  }

  get headers(): Table {
    return this.#parts.delivery.properties.headers ?? noHeaders
  }

  get id(): string {
    return this.#parts.delivery.properties.messageId ?? ''
  }

  /** True: it may have been handled before. */
  get isRedelivered(): boolean {
    return this.#parts.delivery.isRedelivered
  }

  /** The body as it came, decompressed or not. */
  get bytes(): Uint8Array {
    return this.#parts.delivery.body
  }

  /** Settled, or not ours any more. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Aborted when work on this message is in vain: its connection was lost, its lease is over, the consumer stops. */
  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController()
      if (this.#abortReason !== null) this.#abort.abort(this.#abortReason)
    }
    return this.#abort.signal
  }

  /** More time for a message with a lease: `ms` from now, or as much as it had. False: it is not ours any more. */
  extend(ms?: number): boolean {
    return !this.#isSettled && this.#abortReason === null && this.#parts.extend(ms)
  }

  /** Done. A handler that returns does this by itself. Later calls of these methods change nothing. */
  ack(): void {
    this.#settle({ kind: 'ack' })
  }

  /** Back to its place in the queue, at once and without counting. */
  requeue(): void {
    this.#settle({ kind: 'requeue' })
  }

  /** Dropped, or to where the queue sends what is rejected (`x-dead-letter-exchange`). */
  reject(): void {
    this.#settle({ kind: 'reject' })
  }

  /** As if the handler had thrown this: tried again, then dead-lettered. */
  fail(error: unknown): void {
    this.#settle({ kind: 'failed', error, isFinal: error instanceof DoNotRetry })
  }

  #settle(settlement: Settlement): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#parts.settle(settlement)
  }

  /** By the consumer. */
  abort(reason: WarrenError): void {
    if (this.#abortReason !== null) return
    this.#abortReason = reason
    this.#abort?.abort(reason)
  }
}

const noHeaders: Table = {}

/** Thrown by a handler: trying again is in vain, the message is dead-lettered at once. */
export class DoNotRetry extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DoNotRetry'
  }
}

export function abortReason(sentence: string): WarrenError {
  const mend = 'Stop working on this message: it goes to a consumer again.'
  return new WarrenError('CLOSED', sentence, { mend })
}
