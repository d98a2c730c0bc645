/**
 * Publishes as fast as the broker confirms: at most so many messages and bytes are unconfirmed, so memory stays bounded
 * and a Ctrl-C has little to wait for. Without confirms a question that the broker answers in order does the same.
 */
import type { DriverChannel, OutgoingMessage, ReturnedMessage } from '../../client/driver/driver.ts'
import type { PublishEvents } from './session.ts'

const messagesUnconfirmedMax = 1_000
const bytesUnconfirmedMax = 16 * 1024 * 1024
/** Added to each body for its frames and properties, in bytes. */
const overheadBytes = 200

export class Publisher implements PublishEvents {
  published = 0
  confirmed = this.#confirmed.bind(this)
  returned = this.#returned.bind(this)
  returnedCount = 0
  nackedCount = 0
  confirmedCount = 0
  /** The first one, for the report. */
  firstReturned: ReturnedMessage | null = null
  readonly #isConfirmed: boolean
  #channel: DriverChannel | null = null
  /** Sequence → bytes, in order. */
  readonly #unconfirmed = new Map<number, number>()
  #bytes = 0
  #messages = 0
  #wake: (() => void) | null = null

  constructor(settings: { isConfirmed: boolean }) {
    this.#isConfirmed = settings.isConfirmed
  }

  async open(channel: DriverChannel): Promise<void> {
    if (this.#isConfirmed) await channel.confirmSelect()
    this.#channel = channel
  }

  /** Resolves when the next one may come; null when it may at once. */
  send(message: OutgoingMessage): Promise<void> | null {
    const sequence = this.#channel?.publish(message) ?? 0
    const bytes = message.body.length + overheadBytes
    this.published++
    this.#messages++
    this.#bytes += bytes
    if (this.#isConfirmed) this.#unconfirmed.set(sequence, bytes)
    return this.#isFull() ? this.#room() : null
  }

  /** Resolves when all are confirmed; without confirms, when the broker has read them. */
  async settled(): Promise<void> {
    if (!this.#isConfirmed) return this.#answered()
    while (this.#unconfirmed.size > 0) await this.#event()
  }

  #isFull(): boolean {
    return this.#messages >= messagesUnconfirmedMax || this.#bytes >= bytesUnconfirmedMax
  }

  async #room(): Promise<void> {
    if (!this.#isConfirmed) return this.#answered()
    while (this.#isFull()) await this.#event()
  }

  /** The broker answers in order, so whatever was published before has been read by then. */
  async #answered(): Promise<void> {
    await this.#channel?.qos(0)
    this.#messages = 0
    this.#bytes = 0
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void {
    if (!isMultiple) this.#settle(sequence, isNack)
    else {
      for (const waiting of this.#unconfirmed.keys()) {
        if (waiting > sequence) break
        this.#settle(waiting, isNack)
      }
    }
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  #settle(sequence: number, isNack: boolean): void {
    const bytes = this.#unconfirmed.get(sequence)
    if (bytes === undefined) return
    this.#unconfirmed.delete(sequence)
    this.#bytes -= bytes
    this.#messages--
    if (isNack) this.nackedCount++
    else this.confirmedCount++
  }

  #returned(message: ReturnedMessage): void {
    this.returnedCount++
    this.firstReturned ??= message
  }
}
