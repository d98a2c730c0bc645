/** The exchanges and queues of the kill loop, and where each publish must go. The routes are written by hand, not computed. */
import type { RawClient } from '../support/amqp/raw-client.ts'

export const queues = ['crash.one', 'crash.two', 'crash.three', 'crash.four'] as const

/** Gets the consumers' markers; nobody reads it. */
export const markerQueue = 'crash.markers'

export interface Route {
  readonly exchange: string
  readonly routingKey: string
  readonly queues: readonly string[]
}

export const routes: readonly Route[] = [
  { exchange: '', routingKey: 'crash.one', queues: ['crash.one'] },
  { exchange: 'crash.direct', routingKey: 'one', queues: ['crash.one'] },
  { exchange: 'crash.direct', routingKey: 'both', queues: ['crash.one', 'crash.two'] },
  { exchange: 'crash.fanout', routingKey: '', queues: ['crash.three', 'crash.four'] },
  { exchange: 'crash.topic', routingKey: 'a.b', queues: ['crash.two', 'crash.three'] },
  { exchange: 'crash.topic', routingKey: 'c.b', queues: ['crash.three'] },
]

/** On channel 1 of a client. */
export async function declareStage(client: RawClient): Promise<void> {
  for (const type of ['direct', 'fanout', 'topic']) {
    await client.call(1, 'exchange.declare', { exchange: `crash.${type}`, type, durable: true })
  }
  for (const queue of [...queues, markerQueue]) await client.call(1, 'queue.declare', { queue, durable: true })
  const bindings = [
    ['crash.one', 'crash.direct', 'one'],
    ['crash.one', 'crash.direct', 'both'],
    ['crash.two', 'crash.direct', 'both'],
    ['crash.three', 'crash.fanout', ''],
    ['crash.four', 'crash.fanout', ''],
    ['crash.two', 'crash.topic', 'a.#'],
    ['crash.three', 'crash.topic', '*.b'],
  ] as const
  for (const [queue, exchange, routingKey] of bindings) {
    await client.call(1, 'queue.bind', { queue, exchange, routingKey })
  }
}
