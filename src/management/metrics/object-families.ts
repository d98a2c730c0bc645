/** Metrics of single queues, channels, connections and exchanges: RabbitMQ's names, in its groups. */
import type { OpenChannel, OpenConnection } from '../../broker/connection-directory.ts'
import type { QueueStatus } from '../../broker/ports.ts'
import { MessageCounts } from '../../broker/statistics/message-counts.ts'
import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import type { Exchange } from '../../broker/topology/exchange.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import type { ApiParts } from '../api/route.ts'
import { type Family, type LabelText, labelText, type Sample } from './family.ts'

/** One number that there is of each thing of a kind. */
interface Column<T> {
  /** As `/metrics/detailed?family=…` calls it. */
  readonly group: string
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly value: (thing: T) => number
}

const nothing = new MessageCounts()

/** The queue that is looked at just now: one object for all of a walk, so that very many queues leave no garbage. */
class QueueNow {
  readonly #topology: Topology
  #queue: DeclaredQueue | null = null

  constructor(topology: Topology) {
    this.#topology = topology
  }

  at(queue: DeclaredQueue): this {
    this.#queue = queue
    return this
  }

  get ready(): number {
    return this.#status.ready
  }

  get unacked(): number {
    return this.#status.unacked
  }

  get messages(): number {
    const { ready, unacked } = this.#status
    return ready + unacked
  }

  get consumers(): number {
    return this.#status.consumers
  }

  get counts(): MessageCounts {
    return this.#queue?.counts ?? nothing
  }

  get #status(): QueueStatus {
    return this.#queue === null ? noStatus : this.#topology.statusNow(this.#queue)
  }
}

const noStatus: QueueStatus = { ready: 0, unacked: 0, consumers: 0 }

function column<T>(group: string, type: Column<T>['type']) {
  return (name: string, help: string, value: Column<T>['value']): Column<T> => ({ group, type, name, help, value })
}

const length = column<QueueNow>('queue_coarse_metrics', 'gauge')
const delivery = column<QueueNow>('queue_delivery_metrics', 'counter')

export const queueColumns: readonly Column<QueueNow>[] = [
  length('queue_messages_ready', 'Messages ready to be delivered to consumers', ({ ready }) => ready),
  length(
    'queue_messages_unacked',
    'Messages delivered to consumers but not yet acknowledged',
    ({ unacked }) => unacked,
  ),
  length('queue_messages', 'Sum of ready and unacknowledged messages', ({ messages }) => messages),
  column<QueueNow>('queue_consumer_count', 'gauge')('queue_consumers', 'Consumers on a queue', (now) => now.consumers),
  delivery('queue_messages_published_total', 'Messages published to a queue', ({ counts }) => counts.publish),
  delivery('queue_get_ack_total', 'Messages fetched with basic.get, to be acknowledged', ({ counts }) => counts.get),
  delivery('queue_get_total', 'Messages fetched with basic.get, acknowledged at once', ({ counts }) => counts.getNoAck),
  delivery(
    'queue_messages_delivered_ack_total',
    'Messages delivered to be acknowledged',
    ({ counts }) => counts.deliver,
  ),
  delivery(
    'queue_messages_delivered_total',
    'Messages delivered, acknowledged at once',
    (now) => now.counts.deliverNoAck,
  ),
  delivery('queue_messages_redelivered_total', 'Messages delivered again', ({ counts }) => counts.redeliver),
  delivery('queue_messages_acked_total', 'Messages acknowledged', ({ counts }) => counts.ack),
]

const channelGauge = column<OpenChannel>('channel_metrics', 'gauge')
const published = column<{ counts: MessageCounts }>('channel_exchange_metrics', 'counter')
const taken = column<{ counts: MessageCounts }>('channel_queue_metrics', 'counter')

export const channelCounters: readonly Column<{ counts: MessageCounts }>[] = [
  published('channel_messages_published_total', 'Messages published on a channel', ({ counts }) => counts.publish),
  published('channel_messages_confirmed_total', 'Messages confirmed on a channel', ({ counts }) => counts.confirm),
  published(
    'channel_messages_unroutable_returned_total',
    'Mandatory messages that were returned as unroutable',
    ({ counts }) => counts.returnUnroutable,
  ),
  published(
    'channel_messages_unroutable_dropped_total',
    'Messages that were dropped as unroutable',
    ({ counts }) => counts.dropUnroutable,
  ),
  taken('channel_get_ack_total', 'Messages fetched with basic.get, to be acknowledged', ({ counts }) => counts.get),
  taken('channel_get_total', 'Messages fetched with basic.get, acknowledged at once', ({ counts }) => counts.getNoAck),
  taken(
    'channel_messages_delivered_ack_total',
    'Messages delivered to be acknowledged',
    ({ counts }) => counts.deliver,
  ),
  taken(
    'channel_messages_delivered_total',
    'Messages delivered, acknowledged at once',
    ({ counts }) => counts.deliverNoAck,
  ),
  taken('channel_messages_redelivered_total', 'Messages delivered again', ({ counts }) => counts.redeliver),
  taken('channel_messages_acked_total', 'Messages acknowledged', ({ counts }) => counts.ack),
  taken('channel_get_empty_total', 'Times basic.get fetched no message', ({ counts }) => counts.getEmpty),
]

export const channelGauges: readonly Column<OpenChannel>[] = [
  channelGauge('channel_consumers', 'Consumers on a channel', ({ consumerCount }) => consumerCount),
  channelGauge('channel_messages_unacked', 'Delivered but not yet acknowledged messages', ({ unacked }) => unacked),
  channelGauge(
    'channel_messages_unconfirmed',
    'Published but not yet confirmed messages',
    (channel) => channel.unconfirmed,
  ),
  channelGauge('consumer_prefetch', 'Limit of unacknowledged messages for each consumer', (one) => one.prefetchCount),
  channelGauge(
    'channel_prefetch',
    'Limit of unacknowledged messages for all consumers',
    (one) => one.sharedPrefetchCount,
  ),
]

const traffic = column<OpenConnection>('connection_coarse_metrics', 'counter')
const connection = column<OpenConnection>('connection_metrics', 'gauge')

export const connectionColumns: readonly Column<OpenConnection>[] = [
  traffic('connection_incoming_bytes_total', 'Bytes received on a connection', ({ bytesRead }) => bytesRead),
  traffic('connection_outgoing_bytes_total', 'Bytes sent on a connection', ({ bytesWritten }) => bytesWritten),
  connection('connection_channels', 'Channels on a connection', ({ channelCount }) => channelCount),
]

const exchange = column<Exchange>('exchange_metrics', 'counter')

const exchangeColumns: readonly Column<Exchange>[] = [
  exchange(
    'exchange_messages_published_in_total',
    'Messages published to an exchange',
    ({ counts }) => counts.publishIn,
  ),
  exchange(
    'exchange_messages_published_out_total',
    'Messages an exchange put into queues',
    ({ counts }) => counts.publishOut,
  ),
]

// ---------------------------------------------------------------- each thing for itself

export interface Chosen {
  /** Put before each name. */
  readonly prefix: string
  has(group: string): boolean
  hasVhost(name: string): boolean
}

/** Lists are walked once for each family, when it is written: nothing is gathered. */
export function* objectFamilies(parts: ApiParts, chosen: Chosen): Generator<Family> {
  yield* perThing(chosen, queueColumns, () => queuesOf(parts, chosen))
  yield* perThing(chosen, exchangeColumns, () => exchangesOf(parts, chosen))
  yield* perThing(chosen, channelGauges, () => channelsOf(parts, chosen))
  yield* perThing(chosen, channelCounters, () => channelsOf(parts, chosen))
  yield* perThing(chosen, connectionColumns, () => connectionsOf(parts, chosen))
}

type Things<T> = () => Iterable<readonly [LabelText, T]>

function* perThing<T>({ prefix, has }: Chosen, columns: readonly Column<T>[], things: Things<T>): Generator<Family> {
  for (const { group, name, type, help, value } of columns) {
    if (has(group)) yield { name: prefix + name, type, help, samples: samplesOf(things, value) }
  }
}

function* samplesOf<T>(things: Things<T>, value: Column<T>['value']): Generator<Sample> {
  for (const [labels, thing] of things()) yield [labels, value(thing)]
}

function* vhostsOf({ broker }: ApiParts, { hasVhost }: Chosen): Generator<VhostState> {
  for (const vhost of broker.topology.vhosts.values()) if (!vhost.isClosed && hasVhost(vhost.name)) yield vhost
}

function* queuesOf(parts: ApiParts, chosen: Chosen): Generator<[LabelText, QueueNow]> {
  const now = new QueueNow(parts.broker.topology)
  for (const vhost of vhostsOf(parts, chosen)) {
    const home = labelText('vhost', vhost.name)
    for (const queue of vhost.queues.values()) yield [`${home},${labelText('queue', queue.name)}`, now.at(queue)]
  }
}

function* exchangesOf(parts: ApiParts, chosen: Chosen): Generator<[LabelText, Exchange]> {
  for (const vhost of vhostsOf(parts, chosen)) {
    const home = labelText('vhost', vhost.name)
    for (const one of vhost.exchanges.values()) yield [`${home},${labelText('exchange', one.name)}`, one]
  }
}

function* openIn({ connections }: ApiParts, { hasVhost }: Chosen): Generator<OpenConnection> {
  for (const one of connections.openConnections) if (hasVhost(one.vhost)) yield one
}

function* connectionsOf(parts: ApiParts, chosen: Chosen): Generator<[LabelText, OpenConnection]> {
  for (const one of openIn(parts, chosen)) yield [labelText('connection', one.name), one]
}

function* channelsOf(parts: ApiParts, chosen: Chosen): Generator<[LabelText, OpenChannel]> {
  for (const one of openIn(parts, chosen)) {
    for (const channel of one.channels()) yield [labelText('channel', `${one.name} (${channel.number})`), channel]
  }
}
