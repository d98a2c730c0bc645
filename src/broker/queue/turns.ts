/**
 * Whose turn it is: the consumers of one queue, highest priority first, round robin among equals; or, with a single
 * active consumer, always the same one until it leaves.
 *
 * A consumer that cannot take a message leaves the list and comes back when its credit or its output has room again, so
 * finding the next one costs the same with one consumer and with ten thousand.
 */
import type { Consumer } from '../ports.ts'

interface Group {
  readonly priority: number
  /** Consumers that may be able to take, in turn; served from `at`. */
  waiting: Consumer[]
  at: number
}

export class Turns {
  readonly members = new Set<Consumer>()
  /** Only `active` gets messages. */
  isSingleActive = false
  /** The one that gets them; null while there is none. */
  active: Consumer | null = null
  /** The active one has left, and what it holds comes back before anyone else gets anything. */
  awaited: Consumer | null = null
  /** Highest priority first. */
  #groups: Group[] = []

  add(consumer: Consumer): void {
    this.members.add(consumer)
    this.active ??= consumer
  }

  remove(consumer: Consumer): void {
    this.members.delete(consumer)
    consumer.isActive = false
    if (this.active !== consumer) return
    this.active = this.#successor()
    if (this.isSingleActive && consumer.isLeaving && consumer.unacked > 0) this.awaited = consumer
  }

  /** The one with the highest priority; among equals the one that has waited longest. */
  #successor(): Consumer | null {
    let best: Consumer | null = null
    if (!this.isSingleActive) return best
    for (const consumer of this.members) if (best === null || consumer.priority > best.priority) best = consumer
    return best
  }

  /** The consumer may be able to take again. */
  enter(consumer: Consumer): void {
    if (consumer.isInTurn || !consumer.isActive) return
    if (this.isSingleActive && consumer !== this.active) return
    consumer.isInTurn = true
    this.#groupOf(consumer.priority).waiting.push(consumer)
  }

  /** The consumer whose turn it is, if any can take a message. It stays first until `served`. */
  next(): Consumer | null {
    if (this.awaited !== null) return null
    const groups = this.#groups
    for (let index = 0; index < groups.length; index++) {
      const group = groups[index] as Group
      while (group.at < group.waiting.length) {
        const consumer = group.waiting[group.at] as Consumer
        if (canTake(consumer)) return consumer
        consumer.isInTurn = false
        this.#advance(group)
      }
    }
    return null
  }

  /** The consumer that `next` gave has got its message: to the back. */
  served(consumer: Consumer): void {
    const group = this.#groups.length === 1 ? (this.#groups[0] as Group) : this.#groupOf(consumer.priority)
    // It may have lost its turn already, when its sink asked for more in the middle of the delivery.
    if (group.waiting.length - group.at === 1 || group.waiting[group.at] !== consumer) return
    group.waiting.push(consumer)
    this.#advance(group)
  }

  #advance(group: Group): void {
    group.at++
    if (group.at === group.waiting.length) {
      group.waiting.length = 0
      group.at = 0
    } else if (group.at >= 1024 && group.at * 2 > group.waiting.length) {
      group.waiting = group.waiting.slice(group.at)
      group.at = 0
    }
  }

  #groupOf(priority: number): Group {
    for (const group of this.#groups) if (group.priority === priority) return group
    const group: Group = { priority, waiting: [], at: 0 }
    this.#groups.push(group)
    this.#groups.sort((a, b) => b.priority - a.priority)
    return group
  }
}

/** Whether a consumer may be given one more message now. */
export function canTake(consumer: Consumer): boolean {
  if (!consumer.isActive || !consumer.sink.isReady) return false
  if (consumer.isNoAck) return true
  if (consumer.limit !== 0 && consumer.unacked >= consumer.limit) return false
  const shared = consumer.shared
  return shared === null || shared.limit === 0 || shared.unacked < shared.limit
}
