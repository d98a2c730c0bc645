import type { Timer } from '../base/clock.ts'
import type { Consumer } from '../broker/ports.ts'
import type { Taken } from '../management/api/taken-message.ts'

/** One message that a webhook holds, from its delivery until it is settled or was taken back. */
export class PushedDelivery {
  readonly consumer: Consumer
  readonly sequence: number
  readonly bodyBytes: number
  /** Null until it has been read. */
  taken: Taken | null = null
  /** How often its receiver asked for a rest. */
  rests = 0
  /** A request is out for it. */
  isSending = false
  /** It waits only to be given back. */
  hasFailed = false
  #isGone = false
  readonly #ending = new AbortController()
  #timer: Timer | null = null

  constructor(consumer: Consumer, sequence: number, bodyBytes: number) {
    this.consumer = consumer
    this.sequence = sequence
    this.bodyBytes = bodyBytes
  }

  /** Ends its request. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** A timer of it is running, and no request. */
  get isWaiting(): boolean {
    return this.#timer !== null
  }

  /** The timer must call something that is passed over when it is gone. */
  wait(timer: Timer): void {
    this.#timer = timer
  }

  waited(): void {
    this.#timer = null
  }

  end(): void {
    this.#isGone = true
    this.#timer?.cancel()
    this.#timer = null
    // What was answered may be read to its end, so that the connection can be used again.
    if (this.isSending) this.#ending.abort()
  }
}
