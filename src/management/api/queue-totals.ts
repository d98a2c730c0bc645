import { inSlices } from '../../base/sliced.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import type { ApiParts } from './route.ts'

/** What is in queues, as RabbitMQ names it. */
export interface MessageTotals {
  messages: number
  messages_ready: number
  messages_unacknowledged: number
}

export interface QueueTotals extends MessageTotals {
  consumers: number
}

export const noTotals = (): QueueTotals => ({
  messages: 0,
  messages_ready: 0,
  messages_unacknowledged: 0,
  consumers: 0,
})

/** Queues between two looks at the time. */
const stepQueues = 32

/** Adds what is in a vhost's queues. Yields wherever it may be interrupted. */
export function* addQueues({ broker }: ApiParts, vhost: VhostState, totals: QueueTotals): Generator<void, void> {
  let seen = 0
  for (const queue of vhost.queues.values()) {
    if (++seen % stepQueues === 0) yield
    const { ready, unacked, consumers } = broker.topology.statusNow(queue)
    totals.messages += ready + unacked
    totals.messages_ready += ready
    totals.messages_unacknowledged += unacked
    totals.consumers += consumers
  }
}

/**
 * What is in all queues of a vhost, added up for several who ask. Whoever asks while it is being added up gets the same
 * sum: all readers of rates wake at the same moment, and vhosts may have 100,000 queues.
 */
export class SharedTotals {
  readonly #running = new Map<VhostState, Promise<QueueTotals>>()

  of(api: ApiParts, vhost: VhostState): Promise<QueueTotals> {
    const running = this.#running.get(vhost)
    if (running !== undefined) return running
    const sum = this.#sum(api, vhost).finally(() => this.#running.delete(vhost))
    this.#running.set(vhost, sum)
    return sum
  }

  async #sum(api: ApiParts, vhost: VhostState): Promise<QueueTotals> {
    const totals = noTotals()
    await inSlices(api.runQueue, addQueues(api, vhost, totals))
    return totals
  }
}
