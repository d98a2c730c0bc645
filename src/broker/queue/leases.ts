/**
 * How long each delivery of one queue may be kept without being settled (`x-consumer-timeout`): in columns by sequence, 20
 * bytes a delivery, and 16 for the heap of ends. Nothing is made per delivery, and nothing here takes long.
 */
import { DeadlineHeap } from '../../base/deadline-heap.ts'
import type { Consumer } from '../ports.ts'

/** Leases of so many neighbouring sequences stand together. */
const blockEntries = 256
/** Ends looked at for each lease that ends early, while more than half of them, and `staleMin`, are of no use. */
const looks = 8
const staleMin = 1_024

class LeaseBlock {
  /** Wall time in milliseconds; 0: no lease. */
  readonly endsAt = new Float64Array(blockEntries)
  readonly ms = new Float64Array(blockEntries)
  /** Index among the consumers, plus 1. */
  readonly consumers = new Uint32Array(blockEntries)
  count = 0
}

export class Leases {
  readonly #blocks = new Map<number, LeaseBlock>()
  readonly #ends = new DeadlineHeap()
  #count = 0
  /** Null: it was taken by a `get`. Those without leases are forgotten when there are none at all. */
  #consumers: (Consumer | null)[] = []
  #indexes = new Map<Consumer | null, number>()

  /** Deliveries that have a lease. */
  get size(): number {
    return this.#count
  }

  get nextEnd(): number {
    return this.#ends.firstDeadline
  }

  /** `now` is wall time in milliseconds; the lease lasts `ms` from then. */
  begin(sequence: number, consumer: Consumer | null, now: number, ms: number): void {
    const block = this.#blockFor(sequence)
    const at = sequence % blockEntries
    if (block.endsAt[at] === 0) {
      block.count++
      this.#count++
    }
    block.endsAt[at] = now + ms
    block.ms[at] = ms
    block.consumers[at] = this.#indexOf(consumer) + 1
    this.#ends.push(now + ms, sequence)
  }

  /** Gives a delivery `ms` more from now; 0 is as much as it had. */
  extend(sequence: number, consumer: Consumer | null, now: number, ms: number): void {
    const block = this.#blocks.get(Math.floor(sequence / blockEntries))
    const at = sequence % blockEntries
    if (block === undefined || block.endsAt[at] === 0 || this.#consumerAt(block, at) !== consumer) return
    block.endsAt[at] = now + (ms > 0 ? ms : (block.ms[at] as number))
    this.#ends.push(block.endsAt[at] as number, sequence)
    this.#tidy()
  }

  end(sequence: number): void {
    if (this.#forget(sequence)) this.#tidy()
  }

  /** One whose time is over, which it forgets; null when there is none. */
  takeEnded(now: number): { sequence: number; consumer: Consumer | null } | null {
    while (this.#ends.firstDeadline <= now) {
      const sequence = this.#ends.firstValue
      const endsAt = this.#ends.firstDeadline
      this.#ends.pop()
      const block = this.#blocks.get(Math.floor(sequence / blockEntries))
      if (block === undefined || block.endsAt[sequence % blockEntries] !== endsAt) continue
      const consumer = this.#consumerAt(block, sequence % blockEntries)
      this.#forget(sequence)
      return { sequence, consumer }
    }
    return null
  }

  #forget(sequence: number): boolean {
    const key = Math.floor(sequence / blockEntries)
    const block = this.#blocks.get(key)
    const at = sequence % blockEntries
    if (block === undefined || block.endsAt[at] === 0) return false
    block.endsAt[at] = 0
    this.#count--
    if (--block.count === 0) this.#blocks.delete(key)
    if (this.#count > 0) return true
    this.#consumers = []
    this.#indexes = new Map()
    return true
  }

  #tidy(): void {
    if (this.#ends.size > 2 * this.#count + staleMin) this.#ends.sweep(looks, this.#isEnd)
  }

  readonly #isEnd = (endsAt: number, sequence: number): boolean => {
    return this.#blocks.get(Math.floor(sequence / blockEntries))?.endsAt[sequence % blockEntries] === endsAt
  }

  #blockFor(sequence: number): LeaseBlock {
    const key = Math.floor(sequence / blockEntries)
    const block = this.#blocks.get(key) ?? new LeaseBlock()
    this.#blocks.set(key, block)
    return block
  }

  #consumerAt({ consumers }: LeaseBlock, at: number): Consumer | null {
    return this.#consumers[(consumers[at] as number) - 1] ?? null
  }

  #indexOf(consumer: Consumer | null): number {
    const known = this.#indexes.get(consumer)
    if (known !== undefined) return known
    this.#indexes.set(consumer, this.#consumers.length)
    return this.#consumers.push(consumer) - 1
  }
}
