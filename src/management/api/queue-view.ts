/** How queues are shown, and what lists of them are sorted by without all of their JSON. */
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { StreamOffsets } from '../../broker/ports.ts'
import { LocalQueue } from '../../broker/queue/local-queue.ts'
import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import { queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import { lengthColumns, valueIn } from '../statistics/columns.ts'
import { summedReader } from './all-nodes/stats-of-all.ts'
import { queueStatNames, queueStats, statReader } from './message-stats.ts'
import { toldName } from './nodes.ts'
import { details, lengthDetails, type Spans } from './rates.ts'
import type { Api, ApiParts } from './route.ts'
import { type Path, readerOf, type View, type ViewFields } from './view.ts'

/** `others`: what other nodes add to the numbers that are sorted by. */
export function queueView(api: Api, spans: Spans, others: ReadonlyMap<number, number>): View<DeclaredQueue> {
  const fields = fieldsOf(api, spans)
  return {
    nameOf: ({ name }) => name,
    idOf: ({ id }) => id,
    json: (queue) => queueJson(api, queue, spans),
    fields,
    reader: (path) => summedReader(readerOfQueues(path, fields), others),
  }
}

function readerOfQueues(path: Path, fields: ViewFields<DeclaredQueue>): (queue: DeclaredQueue) => unknown {
  const stat = statReader(path, queueStatNames)
  return stat === null ? readerOf(path, fields, lengthRates) : ({ counts }) => stat(counts)
}

const lengthRates: ViewFields<DeclaredQueue> = Object.fromEntries(
  Object.entries(lengthColumns).map(([name, column]) => [
    `${name}_details.rate`,
    ({ counts }: DeclaredQueue) => valueIn(counts?.recent?.rates, column),
  ]),
)

/** What `queueJson` puts together. */
function fieldsOf(api: Api, spans: Spans): ViewFields<DeclaredQueue> {
  const { topology } = api.broker
  const offsets = (queue: DeclaredQueue): StreamOffsetsJson => offsetsJson(topology.statusNow(queue).offsets)
  const lengths = Object.entries(lengthColumns).map(([name, column]) => [
    `${name}_details`,
    ({ counts }: DeclaredQueue) => details(counts === null ? [] : [counts], column, spans.lengths),
  ])
  return {
    name: ({ name }) => name,
    arguments: ({ arguments: table }) => jsonOfTable(table),
    effective_policy_definition: ({ applied }) => Object.fromEntries(applied.values),
    exclusive_consumer_tag: (queue) => consumerTags(queue).exclusive_consumer_tag,
    single_active_consumer_tag: (queue) => consumerTags(queue).single_active_consumer_tag,
    recoverable_slaves: () => null,
    head_message_timestamp: () => null,
    first_offset: (queue) => offsets(queue).first_offset,
    next_offset: (queue) => offsets(queue).next_offset,
    stream_readers: (queue) => offsets(queue).stream_readers,
    message_stats: ({ counts }) => queueStats(counts, spans.rates).message_stats,
    messages: (queue) => {
      const { ready, unacked } = topology.statusNow(queue)
      return ready + unacked
    },
    messages_ready: (queue) => topology.statusNow(queue).ready,
    messages_unacknowledged: (queue) => topology.statusNow(queue).unacked,
    consumers: (queue) => topology.statusNow(queue).consumers,
    message_bytes_ready: (queue) => bytesOf(queue).message_bytes_ready,
    vhost: ({ vhost }) => vhost,
    type: (queue) => queueTypeOf(queue.arguments),
    durable: ({ isDurable }) => isDurable,
    auto_delete: ({ isAutoDelete }) => isAutoDelete,
    exclusive: ({ exclusiveOwner }) => exclusiveOwner !== null,
    policy: ({ applied }) => applied.policy?.name ?? null,
    operator_policy: ({ applied }) => applied.operatorPolicy?.name ?? null,
    node: (queue) => placeOf(api, queue).node,
    state: (queue) => placeOf(api, queue).state,
    ...Object.fromEntries(lengths),
  }
}

/** RabbitMQ's fields as far as there is something to say. */
export function queueJson(api: Api, queue: DeclaredQueue, spans: Spans): JsonObject {
  const { ready, unacked, consumers, offsets } = api.broker.topology.statusNow(queue)
  const { applied } = queue
  return {
    name: queue.name,
    vhost: queue.vhost,
    type: queueTypeOf(queue.arguments),
    durable: queue.isDurable,
    auto_delete: queue.isAutoDelete,
    exclusive: queue.exclusiveOwner !== null,
    arguments: jsonOfTable(queue.arguments),
    ...placeOf(api, queue),
    policy: applied.policy?.name ?? null,
    operator_policy: applied.operatorPolicy?.name ?? null,
    effective_policy_definition: Object.fromEntries(applied.values),
    consumers,
    ...consumerTags(queue),
    ...bytesOf(queue),
    recoverable_slaves: null,
    head_message_timestamp: null,
    ...offsetsJson(offsets),
    messages: ready + unacked,
    messages_ready: ready,
    messages_unacknowledged: unacked,
    ...lengthDetails(queue.counts === null ? [] : [queue.counts], spans.lengths),
    ...queueStats(queue.counts, spans.rates),
  }
}

/** The same of a stream for another node; nothing where this one does not serve it. */
export function ownOffsets({ broker, cluster }: ApiParts, queue: DeclaredQueue): JsonObject {
  const isServed = cluster === null || cluster.ownerOf(queue.shardId) === cluster.node
  return isServed ? offsetsJson(broker.topology.statusNow(queue).offsets) : {}
}

/** The node that serves it: of a cluster, where its shard is; while no node has that it is down. */
function placeOf(
  { cluster, node }: ApiParts,
  { shardId }: DeclaredQueue,
): { readonly node: string | null; readonly state: 'running' | 'down' } {
  if (cluster === null) return { node: node.name, state: 'running' }
  const owner = cluster.ownerOf(shardId)
  return { node: owner === null ? null : toldName(owner), state: owner === null ? 'down' : 'running' }
}

interface StreamOffsetsJson extends JsonObject {
  readonly first_offset?: number
  readonly next_offset?: number
  readonly stream_readers?: readonly JsonObject[]
}

/** Nothing for queues that are no streams, or served by another node. */
function offsetsJson(offsets: StreamOffsets | undefined): StreamOffsetsJson {
  if (offsets === undefined) return {}
  const { first, next, readers } = offsets
  return { first_offset: first, next_offset: next, stream_readers: readers.map((reader) => ({ ...reader })) }
}

interface ConsumerTags extends JsonObject {
  readonly exclusive_consumer_tag: string | null
  readonly single_active_consumer_tag: string | null
}

/** Of consumers that are alone; null where the queue is on another node. */
function consumerTags({ queue }: DeclaredQueue): ConsumerTags {
  let exclusive: string | null = null
  let active: string | null = null
  if (queue instanceof LocalQueue) {
    for (const consumer of queue.consumers) if (consumer.isExclusive) exclusive = consumer.tag
    if (queue.turns.isSingleActive) active = queue.turns.active?.tag ?? null
  }
  return { exclusive_consumer_tag: exclusive, single_active_consumer_tag: active }
}

/** Of messages that are ready; of a queue on another node it is not known. */
function bytesOf({ queue }: DeclaredQueue): { readonly message_bytes_ready?: number } {
  return queue instanceof LocalQueue ? { message_bytes_ready: queue.entries.readyBytes } : {}
}
