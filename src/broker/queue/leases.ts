/**
 * How long each delivery of one queue may be kept without being settled (`x-consumer-timeout`). About 100 bytes a
 * delivery that has a lease.
 */
import { DeadlineHeap } from '../../base/deadline-heap.ts'
import type { Consumer } from '../ports.ts'

export interface Lease {
  /** Null: it was taken by a `get`. */
  readonly consumer: Consumer | null
  readonly ms: number
  /** Wall time in milliseconds. */
  endsAt: number
}

export class Leases {
  readonly #leases = new Map<number, Lease>()
  readonly #ends = new DeadlineHeap()

  get nextEnd(): number {
    return this.#ends.firstDeadline
  }

  begin(sequence: number, consumer: Consumer | null, now: number, ms: number): void {
    const endsAt = now + ms
    this.#leases.set(sequence, { consumer, ms, endsAt })
    this.#ends.push(endsAt, sequence)
  }

  /** Gives a delivery `ms` more from now; 0 is as much as it had. */
  extend(sequence: number, consumer: Consumer | null, now: number, ms: number): void {
    const lease = this.#leases.get(sequence)
    if (lease === undefined || lease.consumer !== consumer) return
    lease.endsAt = now + (ms > 0 ? ms : lease.ms)
    this.#ends.push(lease.endsAt, sequence)
  }

  end(sequence: number): void {
    this.#leases.delete(sequence)
    if (this.#ends.size <= 2 * this.#leases.size + 1_024) return
    this.#ends.keep((endsAt, one) => this.#leases.get(one)?.endsAt === endsAt)
  }

  /** One whose time is over, which it forgets; null when there is none. */
  takeEnded(now: number): { sequence: number; consumer: Consumer | null } | null {
    while (this.#ends.firstDeadline <= now) {
      const sequence = this.#ends.firstValue
      const endsAt = this.#ends.firstDeadline
      this.#ends.pop()
      const lease = this.#leases.get(sequence)
      if (lease === undefined || lease.endsAt !== endsAt) continue
      this.#leases.delete(sequence)
      return { sequence, consumer: lease.consumer }
    }
    return null
  }
}
