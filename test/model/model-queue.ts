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
  /** What a queue with deduplication has seen, oldest first. */
  seen: { id: string; at: number; isCertain: boolean; isStored: boolean }[] = []
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
    const isNew = message.livesFrom === now && message.redelivered !== 'yes'
    return !this.isExpired(message, now) || (isNew && message.deadlineIn(this) === now)
  }

  /** Those any of which may be delivered next. Groups take turns among equal priorities, in no certain order. */
  firsts(now: number): ModelMessage[] {
    const all = this.ready.filter((one) => this.mayBeDelivered(one, now))
    const ready = all.filter((one) => this.#hasTurn(one, all))
    // Of those that fall due at the same moment, each is offered as it does.
    const isJustDue = (one: ModelMessage): boolean => one.hasWaited && one.dueAt >= now - 1
    return ready.filter((one) => !ready.some((other) => !isJustDue(other) && this.#isBefore(other, one)))
  }

  /** Of a group, the first ones go, as long as not too many are out. */
  #hasTurn({ group, sequence }: ModelMessage, ready: readonly ModelMessage[]): boolean {
    if (group === '') return true
    if (ready.some((one) => isEarlierOfGroup(one, { group, sequence }))) return false
    const isOut = (one: ModelMessage): boolean =>
      one.group === group && (one.state === 'unacked' || one.state === 'dying' || one.isHeldBack)
    return this.messages.filter(isOut).length < this.settings.groupLimit
  }

  #isBefore(a: ModelMessage, b: ModelMessage): boolean {
    return this.priorityOf(a) > this.priorityOf(b) || (this.priorityOf(a) === this.priorityOf(b) && isOlder(a, b))
  }

  /**
   * Those any of which it may give up next: the oldest of the lowest priority. What is at no certain place may not have
   * been ready when it did.
   */
  firstsToDrop(): ModelMessage[] {
    const { ready } = this
    // Groups wait for their turns: which of them has one is not certain.
    if (ready.some((one) => one.group !== '')) return ready
    const certain = ready.filter((one) => !one.isAnywhere)
    return ready
      .filter((one) => certain.every((other) => other === one || this.#isDroppedBefore(one, other)))
      .sort((a, b) => this.priorityOf(a) - this.priorityOf(b) || a.place - b.place)
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
    if (!this.#isTooMuch([...left, ...gone])) return false
    return left.some((one) => one.group !== '') || left.every((one) => this.#isDroppedBefore(victim, one))
  }

  #isDroppedBefore(a: ModelMessage, b: ModelMessage): boolean {
    if (a.group !== '' || b.group !== '') return true
    return this.priorityOf(a) < this.priorityOf(b) || (this.priorityOf(a) === this.priorityOf(b) && !isOlder(b, a))
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
    message.arrivedAt = now
    message.livesFrom = now + delayMs
    message.dueAt = now + delayMs
    message.hasWaited = delayMs > 0
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

  // ---------------------------------------------------------------- duplicates

  /** Whether a message is one that was seen before. After a restart it may not be known any more. */
  isDuplicate(id: string | null, now: number): 'no' | 'maybe' | 'yes' {
    const { deduplication } = this.settings
    if (deduplication === null || id === null) return 'no'
    this.seen = this.seen.filter((one) => now - one.at < deduplication.windowMs)
    const known = this.seen.find((one) => one.id === id)
    return known === undefined ? 'no' : known.isCertain ? 'yes' : 'maybe'
  }

  /** `isStored`: also after a restart, for that the log says so. */
  remember(id: string | null, now: number, isStored: boolean): void {
    if (id === null || this.settings.deduplication === null) return
    this.seen = [...this.seen.filter((one) => one.id !== id), { id, at: now, isCertain: true, isStored }]
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

function isEarlierOfGroup(a: { group: string; sequence: number }, b: { group: string; sequence: number }): boolean {
  return b.group !== '' && a.group === b.group && a.sequence < b.sequence
}

/** For certain. */
function isOlder(a: ModelMessage, b: ModelMessage): boolean {
  const isCertain = !a.isAnywhere && !b.isAnywhere && (a.group === b.group || (a.group === '' && b.group === ''))
  return isCertain && a.place < b.place
}
