/**
 * What clients have settled and no owner has said to be stored: sent again to the next one. In the order in which it was
 * said; those of one attachment are counted, so that its owner can say how many are stored.
 */
import type { Outcome } from '../../broker/ports.ts'
import { HeldSequences } from './held-sequences.ts'
import type { PlacedConsumer } from './placed-consumer.ts'
import type { PlacedQueue } from './placed-queue.ts'

export interface HeldSettlement {
  readonly queue: PlacedQueue
  /** Null: taken by `get`. */
  readonly consumer: PlacedConsumer | null
  readonly first: number
  readonly last: number
  readonly outcome: Outcome
}

export class HeldSettlements {
  #list: (HeldSettlement | null)[] = []
  #head = 0
  /** Settlements forgotten since the attachment began. */
  #dropped = 0

  get length(): number {
    return this.#list.length - this.#head
  }

  add(settlement: HeldSettlement): void {
    this.#list.push(settlement)
  }

  /** From now on they are counted anew: all of them are sent again. */
  begin(): void {
    this.#dropped = 0
  }

  /** The first `count` since `begin` are stored. */
  stored(count: number): void {
    while (this.#dropped < count && this.#head < this.#list.length) {
      this.#dropped++
      this.#list[this.#head++] = null
    }
    if (this.#head < 1_024 || this.#head * 2 < this.#list.length) return
    this.#list = this.#list.slice(this.#head)
    this.#head = 0
  }

  clear(): void {
    this.#list = []
    this.#head = 0
  }

  /**
   * Forgets what was given back and has been delivered to this node again: an owner has done it. Said again, it would take
   * the later delivery away. Only between two attachments.
   */
  forgetOutdated(isHeld: (queue: PlacedQueue, sequence: number) => boolean): void {
    const later = new Map<PlacedQueue, HeldSequences>()
    const kept: HeldSettlement[] = []
    for (const settlement of [...this].reverse()) {
      const { queue, first, last } = settlement
      const seen = later.get(queue) ?? new HeldSequences()
      later.set(queue, seen)
      if (!isGiveBack(settlement)) kept.push(settlement)
      else kept.push(...without(settlement, (sequence) => seen.has(sequence) || isHeld(queue, sequence)))
      for (let sequence = first; sequence <= last; sequence++) seen.add(sequence)
    }
    this.#list = kept.reverse()
    this.#head = 0
  }

  *[Symbol.iterator](): Generator<HeldSettlement> {
    for (let index = this.#head; index < this.#list.length; index++) {
      const settlement = this.#list[index]
      if (settlement !== null && settlement !== undefined) yield settlement
    }
  }
}

/** Others may have been given since what was put back. */
export function isGiveBack({ outcome }: HeldSettlement): boolean {
  return outcome === 'requeue' || outcome === 'fail'
}

/** What is left of a settlement, the last part first. */
function without(settlement: HeldSettlement, isGone: (sequence: number) => boolean): HeldSettlement[] {
  const parts: HeldSettlement[] = []
  let last = settlement.last
  for (let sequence = settlement.last; sequence >= settlement.first; sequence--) {
    if (!isGone(sequence)) continue
    if (sequence < last) parts.push({ ...settlement, first: sequence + 1, last })
    last = sequence - 1
  }
  if (last >= settlement.first) parts.push({ ...settlement, last })
  return parts
}
