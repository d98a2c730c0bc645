import type { Clock } from '../../base/clock.ts'
import { type Random, randomName } from '../../base/random.ts'
import type { Session } from '../../broker/commands.ts'
import type { Consumer, Outcome, Queue } from '../../broker/ports.ts'
import { countsOf } from '../../broker/statistics/message-counts.ts'
import { ApiError } from './answer.ts'

/** A message that was given out over HTTP and waits for a word. */
export interface Lease {
  readonly username: string
  readonly vhost: Session['vhost']
  readonly queue: Queue
  readonly consumer: Consumer
  readonly sequence: number
  /** When it ends at the latest, by the machine's clock; milliseconds. Its queue, which says when, may be gone by then. */
  until: number
}

/** Of all users together. */
const leasesMax = 100_000
/** How often it is looked for those that are over, and how long after their end, in milliseconds. */
const sweepMs = 60_000
/** Characters of a token: 64 possibilities each, so 192 bits. */
const tokenCharacters = 32

/**
 * The messages that are out, by tokens that nobody can guess. How long each may be out the queue's shard watches, as for
 * any consumer with a timeout; when that is over, or the queue is gone, the token is void.
 */
export class Leases {
  readonly #random: Random
  readonly #clock: Clock
  #sweptAt = 0
  readonly #leases = new Map<string, Lease>()
  /** Tokens by consumer and sequence, for leases that end by themselves. */
  readonly #tokens = new Map<Consumer, Map<number, string>>()

  constructor(random: Random, clock: Clock) {
    this.#random = random
    this.#clock = clock
  }

  /** Whether there is room for so many more. */
  check(count: number): void {
    this.#sweep()
    if (this.#leases.size + count <= leasesMax) return
    throw new ApiError(429, 'too_many_requests', `${leasesMax} messages are out over HTTP already`)
  }

  /** Now and then: what ended without a word, since its queue was gone. */
  #sweep(): void {
    const now = this.#clock.monotonic()
    if (now < this.#sweptAt + sweepMs) return
    this.#sweptAt = now
    for (const [token, { until }] of this.#leases) if (until + sweepMs < now) this.#forget(token)
  }

  add(wish: Omit<Lease, 'until'>, ms: number): string {
    const lease = { ...wish, until: this.#clock.monotonic() + ms }
    const token = randomName(this.#random, tokenCharacters)
    const { consumer, sequence } = lease
    this.#leases.set(token, lease)
    const tokens = this.#tokens.get(consumer) ?? new Map<number, string>()
    this.#tokens.set(consumer, tokens)
    tokens.set(sequence, token)
    return token
  }

  /** The lease came to its end, and the message went back. */
  ended(consumer: Consumer, sequence: number): void {
    const token = this.#tokens.get(consumer)?.get(sequence)
    if (token !== undefined) this.#forget(token)
  }

  /** Nothing that the consumer holds is its own any more. */
  lost(consumer: Consumer): void {
    for (const token of this.#tokens.get(consumer)?.values() ?? []) this.#leases.delete(token)
    this.#tokens.delete(consumer)
  }

  /** Whether it is of this user and queue; false: it has ended, was settled, or never was. */
  has(token: string, username: string, queue: Queue | null): boolean {
    const lease = this.#leases.get(token)
    return lease !== undefined && lease.username === username && lease.queue === queue
  }

  settle(token: string, outcome: Outcome): void {
    const lease = this.#leases.get(token)
    if (lease === undefined) return
    this.#forget(token)
    const { vhost, queue, consumer, sequence } = lease
    if (outcome === 'ack') {
      vhost.counts.ack++
      countsOf(queue.definition).ack++
    }
    vhost.settle(queue, consumer, sequence, sequence, outcome)
  }

  extend(token: string, ms: number): void {
    const lease = this.#leases.get(token)
    if (lease === undefined) return
    lease.until = Math.max(lease.until, this.#clock.monotonic() + ms)
    lease.vhost.extendLease(lease.queue, lease.consumer, lease.sequence, ms)
  }

  #forget(token: string): void {
    const lease = this.#leases.get(token)
    if (lease === undefined) return
    this.#leases.delete(token)
    const tokens = this.#tokens.get(lease.consumer)
    tokens?.delete(lease.sequence)
    if (tokens?.size === 0) this.#tokens.delete(lease.consumer)
  }
}
