/**
 * What clients have settled and no owner has said to be stored: sent again to the next one. In the order in which it was
 * said; those of one attachment are counted, so that its owner can say how many are stored.
 */
import type { Outcome } from '../../broker/ports.ts'
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

  *[Symbol.iterator](): Generator<HeldSettlement> {
    for (let index = this.#head; index < this.#list.length; index++) {
      const settlement = this.#list[index]
      if (settlement !== null && settlement !== undefined) yield settlement
    }
  }
}
