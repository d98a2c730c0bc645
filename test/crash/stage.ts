/** The exchanges and queues of the kill loop, and where each publish must go. The routes are written by hand, not computed. */
import type { RawClient } from '../support/amqp/raw-client.ts'
import { typed } from '../support/amqp/wire.ts'

export const queues = ['crash.one', 'crash.two', 'crash.three', 'crash.four'] as const

/** Where the consumers' markers go; each keeps the last, and nobody reads it. So many, that every shard of a cluster has one. */
export const markerQueues = Array.from({ length: 12 }, (_, index) => `crash.markers.${index}`)
export const markerExchange = 'crash.markers'

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
  await client.call(1, 'exchange.declare', { exchange: markerExchange, type: 'fanout', durable: true })
  for (const queue of queues) await client.call(1, 'queue.declare', { queue, durable: true })
  for (const queue of markerQueues) {
    const args = { 'x-max-length': typed('I', 1) }
    await client.call(1, 'queue.declare', { queue, durable: true, arguments: args })
    await client.call(1, 'queue.bind', { queue, exchange: markerExchange, routingKey: '' })
  }
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
