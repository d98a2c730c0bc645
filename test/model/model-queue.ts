/** One queue, as the model sees it: a plain list of messages, looked through anew for every question. */
import type { QueueSettings } from '../../src/broker/queue/queue-settings.ts'
import type { ModelMessage } from './model-message.ts'

export class ModelConsumer {
  readonly id: number
  readonly isNoAck: boolean
  readonly limit: number
  readonly priority: number
  unacked = 0

  constructor(id: number, options: { isNoAck: boolean; limit: number; priority: number }) {
    this.id = id
    this.isNoAck = options.isNoAck
    this.limit = options.limit
    this.priority = options.priority
  }

  get canTake(): boolean {
    return this.isNoAck || this.limit === 0 || this.unacked < this.limit
  }
}

export class ModelQueue {
  readonly name: string
  readonly isDurable: boolean
  settings: QueueSettings
  messages: ModelMessage[] = []
  consumers: ModelConsumer[] = []
  /** The only one who gets messages, with a single active consumer. */
  active: ModelConsumer | null = null
  /** A dead letter of it was refused: until then no other is tried. */
  blockedUntil = 0
  /** It has delivered since it was opened. The first delivery waits for a mark in the log, and a full queue does not. */
  hasDelivered = false
  /** Nothing has come since it was opened: its limits hold again with the next message. */
  holdsWhatItHeld = false
  #places = 0

  constructor(name: string, isDurable: boolean, settings: QueueSettings) {
    this.name = name
    this.isDurable = isDurable
    this.settings = settings
  }

  // ---------------------------------------------------------------- what is in it

  /** In the order of delivery. */
  get ready(): ModelMessage[] {
    return this.messages.filter((one) => one.state === 'ready').sort((a, b) => this.#compare(a, b))
  }

  get readyBytes(): number {
    return this.ready.reduce((sum, one) => sum + one.bytes, 0)
  }

  count(state: ModelMessage['state']): number {
    return this.messages.filter((one) => one.state === state).length
  }

  #compare(a: ModelMessage, b: ModelMessage): number {
    return this.priorityOf(b) - this.priorityOf(a) || a.place - b.place
  }

  priorityOf(message: ModelMessage): number {
    const { maxPriority } = this.settings
    return maxPriority === null ? 0 : Math.min(message.priority, maxPriority)
  }

  isExpired(message: ModelMessage, now: number): boolean {
    return message.state === 'ready' && message.deadlineIn(this) <= now
  }

  /** One that may not wait at all is still given to whoever waits, at the moment when it comes. */
  mayBeDelivered(message: ModelMessage, now: number): boolean {
    const isNew = message.livesFrom === now && message.redelivered === 'no'
    return !this.isExpired(message, now) || (isNew && message.deadlineIn(this) === now)
  }

  /** Those any of which may be delivered next. */
  firsts(now: number): ModelMessage[] {
    const ready = this.ready.filter((one) => this.mayBeDelivered(one, now))
    const [first] = ready
    return first === undefined ? [] : ready.filter((one) => this.#compare(one, first) === 0)
  }

  /** What it gives up first: the oldest of the lowest priority. */
  firstToDrop(): ModelMessage | undefined {
    const { ready } = this
    const last = ready.at(-1)
    return last === undefined ? undefined : ready.find((one) => this.priorityOf(one) === this.priorityOf(last))
  }

  get isOverfull(): boolean {
    return this.#isTooMuch(this.ready)
  }

  #isTooMuch(messages: readonly ModelMessage[]): boolean {
    const { maxLength, maxLengthBytes, overflow } = this.settings
    if (overflow !== 'drop-head') return false
    if (maxLength !== null && messages.length > maxLength) return true
    return maxLengthBytes !== null && messages.reduce((sum, one) => sum + one.bytes, 0) > maxLengthBytes
  }

  /** Whether a queue that had `gone` as well may have given up `victim` because it was full. */
  mayHaveDropped(victim: ModelMessage, gone: readonly ModelMessage[]): boolean {
    const left = this.ready.filter((one) => !gone.includes(one))
    return this.#isTooMuch([...left, ...gone]) && left.every((one) => this.#isDroppedBefore(victim, one))
  }

  #isDroppedBefore(a: ModelMessage, b: ModelMessage): boolean {
    return this.priorityOf(a) < this.priorityOf(b) || (this.priorityOf(a) === this.priorityOf(b) && a.place <= b.place)
  }

  wouldRefuse(bytes: number, ready = this.ready): boolean {
    const { maxLength, maxLengthBytes, overflow } = this.settings
    if (overflow === 'drop-head') return false
    if (maxLength !== null && ready.length + 1 > maxLength) return true
    return maxLengthBytes !== null && ready.reduce((sum, one) => sum + one.bytes, bytes) > maxLengthBytes
  }

  /** Whether it refuses a message depends on whether what is too old has gone already. */
  mayHaveRefused(bytes: number, now: number): 'no' | 'maybe' | 'yes' {
    if (!this.wouldRefuse(bytes)) return 'no'
    const fresh = this.ready.filter((one) => !this.isExpired(one, now))
    return this.wouldRefuse(bytes, fresh) ? 'yes' : 'maybe'
  }

  // ---------------------------------------------------------------- what happens to it

  /** Puts one behind all others, at once or when it is due. */
  add(message: ModelMessage, sequence: number, now: number, delayMs = 0): void {
    message.sequence = sequence
    this.holdsWhatItHeld = false
    message.arrivedAt = now
    message.livesFrom = now + delayMs
    message.dueAt = now + delayMs
    message.place = this.nextPlace()
    message.state = delayMs > 0 ? 'waiting' : 'ready'
    this.messages.push(message)
  }

  nextPlace(): number {
    return ++this.#places
  }

  remove(message: ModelMessage): void {
    this.messages = this.messages.filter((one) => one !== message)
  }

  // ---------------------------------------------------------------- who takes from it

  /** Those who may get a message now, of the highest priority among them. */
  takers(): ModelConsumer[] {
    const able = this.consumers.filter((one) => one.canTake && (!this.settings.isSingleActive || one === this.active))
    const highest = Math.max(...able.map((one) => one.priority))
    return able.filter((one) => one.priority === highest)
  }

  join(consumer: ModelConsumer): void {
    this.consumers.push(consumer)
    this.active ??= consumer
  }

  leave(consumer: ModelConsumer): void {
    this.consumers = this.consumers.filter((one) => one !== consumer)
    if (this.active !== consumer) return
    const highest = Math.max(...this.consumers.map((one) => one.priority))
    this.active = this.consumers.find((one) => one.priority === highest) ?? null
  }
}
