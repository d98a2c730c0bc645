/**
 * Credit that the consumers of a channel share (`basic.qos` with `global`), given to the owners of other nodes one message
 * at a time: an owner that has a message for a consumer asks, and each in turn is granted one. What is granted counts as
 * used until it is delivered or comes back.
 */
import type { SharedCredit } from '../../broker/ports.ts'
import type { PlacedConsumer } from './placed-consumer.ts'

/** Tells a consumer's owner that it may deliver one message to it. */
export type Grant = (consumer: PlacedConsumer) => void

export class SharedTurns {
  /** Consumers of shards that are served here, which had a message for them and no credit. */
  readonly #refused = new WeakMap<SharedCredit, Set<PlacedConsumer>>()
  readonly #waiting = new WeakMap<SharedCredit, { consumer: PlacedConsumer; grant: Grant }[]>()

  /** The consumer's owner has a message for it. */
  want(consumer: PlacedConsumer, grant: Grant): void {
    const { shared } = consumer.near
    if (shared === null) return
    const waiting = this.#waiting.get(shared) ?? []
    this.#waiting.set(shared, waiting)
    waiting.push({ consumer, grant })
    this.pump(shared)
  }

  /** A shard that is served here has a message for it, and there is no credit. */
  refused(consumer: PlacedConsumer, shared: SharedCredit): void {
    const refused = this.#refused.get(shared) ?? new Set<PlacedConsumer>()
    this.#refused.set(shared, refused)
    refused.add(consumer)
  }

  /** There may be credit again. */
  pump(shared: SharedCredit): void {
    this.#grantWaiting(shared)
    const refused = this.#refused.get(shared)
    if (refused === undefined || (shared.limit !== 0 && shared.unacked >= shared.limit)) return
    this.#refused.delete(shared)
    for (const consumer of refused) if (consumer.isActive) consumer.placed.commands.resume(consumer)
  }

  #grantWaiting(shared: SharedCredit): void {
    const waiting = this.#waiting.get(shared)
    if (waiting === undefined) return
    while (waiting.length > 0 && (shared.limit === 0 || shared.unacked < shared.limit)) {
      const next = waiting.shift()
      if (next === undefined) return
      next.consumer.grants++
      shared.unacked++
      next.grant(next.consumer)
    }
  }

  /** The consumer did not need what it was granted last. */
  returned(consumer: PlacedConsumer): void {
    const { shared } = consumer.near
    if (shared === null || consumer.grants === 0) return
    consumer.grants--
    shared.unacked--
    this.pump(shared)
  }

  /** Its owner is another one from now on, or none: what it was granted or waits for is void. */
  end(consumer: PlacedConsumer): void {
    const { shared } = consumer.near
    if (shared === null) return
    const waiting = this.#waiting.get(shared)
    const at = waiting?.findIndex((one) => one.consumer === consumer) ?? -1
    if (at >= 0) waiting?.splice(at, 1)
    shared.unacked -= consumer.grants
    consumer.grants = 0
    this.pump(shared)
  }
}
