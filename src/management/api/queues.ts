import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { StreamOffsets } from '../../broker/ports.ts'
import { LocalQueue } from '../../broker/queue/local-queue.ts'
import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import { queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Column, lengthColumns, messageColumns, valueIn } from '../statistics/columns.ts'
import { allOf } from './all-nodes/listed-of-all.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { completeOne, completionOf, otherKeys, summedKey } from './all-nodes/stats-of-all.ts'
import { type Answer, created, noContent, notFound } from './answer.ts'
import { bindingJson, defaultBinding } from './bindings.ts'
import { valueAt } from './columns.ts'
import { command } from './in-session.ts'
import { listed, one, type Row, rowsOf } from './list.ts'
import { queueStats } from './message-stats.ts'
import { toldName } from './nodes.ts'
import { lengthDetails, type Spans, spansOf } from './rates.ts'
import { type ApiRequest, isSet, param, vhostOf } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'
import { tableField } from './tables.ts'

/** Queues: listed, shown, declared, purged and deleted, by the commands that channels use. */
export const queueRoutes: readonly Route[] = [
  route('GET', '/queues', (api, request) => listOf(api, request, request.caller.visibleVhosts())),
  route('GET', '/queues/{vhost}', (api, request) => listOf(api, request, [vhostOf(request)])),
  route('GET', '/queues/{vhost}/{name}', async (api, request) => {
    const queue = queueOf(request)
    const nodes = new NodesAsked(api)
    const spans = spansOf(api, request)
    const [json, consumers] = await Promise.all([
      completeOne(api, nodes, 'queues', { row: new QueueRow(api, queue, spans), spans }),
      allOf(api, nodes, 'consumers', { queue: queue.id }),
    ])
    return nodes.noted(one(request, { ...json, consumer_details: consumers, incoming: [], deliveries: [] }))
  }),
  route('PUT', '/queues/{vhost}/{name}', declare),
  route('DELETE', '/queues/{vhost}/{name}', async (api, request) => {
    const { name } = queueOf(request)
    const conditions = { ifUnused: isSet(request, 'if-unused'), ifEmpty: isSet(request, 'if-empty') }
    await command<number>(api, request, (session, reply) => session.vhost.deleteQueue(session, name, conditions, reply))
    return noContent
  }),
  route('DELETE', '/queues/{vhost}/{name}/contents', async (api, request) => {
    const { name } = queueOf(request)
    await command<number>(api, request, (session, reply) => session.vhost.purgeQueue(session, name, reply))
    return noContent
  }),
  route('GET', '/queues/{vhost}/{name}/bindings', (api, request) => {
    const queue = queueOf(request)
    const bound = rowsOf(queue.incoming, (binding) => binding.key, bindingJson)
    return listed(api, request, [{ name: queue.name, json: () => defaultBinding(queue) }, ...bound])
  }),
]

async function listOf(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  const others = await otherKeys(api, request, 'queue-keys')
  return await listed(
    api,
    request,
    rows(api, request, spansOf(api, request), { vhosts, others }),
    completionOf(api, request, 'queues'),
  )
}

/** `type=stream`: only of that type. `others`: what other nodes add to the numbers that are sorted by. */
function* rows(
  api: Api,
  request: ApiRequest,
  spans: Spans,
  { vhosts, others }: { vhosts: Iterable<VhostState>; others: ReadonlyMap<number, number> },
): Generator<Row> {
  const type = request.query.get('type')
  for (const vhost of vhosts) {
    for (const queue of vhost.queues.values()) {
      if (type !== null && queueTypeOf(queue.arguments) !== type) continue
      yield new QueueRow(api, queue, spans, others)
    }
  }
}

const nobodyElse: ReadonlyMap<number, number> = new Map()

/** Of what a list shows. */
class QueueRow implements Row {
  readonly #api: Api
  readonly #queue: DeclaredQueue
  readonly #spans: Spans
  readonly #others: ReadonlyMap<number, number>

  constructor(api: Api, queue: DeclaredQueue, spans: Spans, others = nobodyElse) {
    this.#api = api
    this.#queue = queue
    this.#spans = spans
    this.#others = others
  }

  get name(): string {
    return this.#queue.name
  }

  get id(): number {
    return this.#queue.id
  }

  json(): JsonObject {
    return queueJson(this.#api, this.#queue, this.#spans)
  }

  sortKey(path: string): unknown {
    return summedKey(this, path, this.#others) ?? sortKeyOf(this.#api, this.#queue, path)
  }
}

/** What queues that something happened to here are sorted by, for another node. */
export function* queueKeyRows({ broker }: ApiParts, path: readonly string[]): Generator<Row> {
  for (const { queues } of broker.topology.vhosts.values()) {
    for (const { id, name, counts } of queues.values()) {
      if (counts !== null) yield { name, json: () => ({ id, key: valueAt(queueStats(counts, null), path) ?? null }) }
    }
  }
}

/** What 100,000 queues are sorted by as a rule, without all of their JSON. */
function sortKeyOf({ broker }: Api, queue: DeclaredQueue, path: string): unknown {
  switch (path) {
    case 'messages': {
      const { ready, unacked } = broker.topology.statusNow(queue)
      return ready + unacked
    }
    case 'messages_ready':
      return broker.topology.statusNow(queue).ready
    case 'messages_unacknowledged':
      return broker.topology.statusNow(queue).unacked
    case 'consumers':
      return broker.topology.statusNow(queue).consumers
    case 'vhost':
      return queue.vhost
    case 'type':
      return queueTypeOf(queue.arguments)
    default:
      return rateKeyOf(queue, path)
  }
}

/** Of rates: what `recent` holds; null where nothing has happened. */
function rateKeyOf({ counts }: DeclaredQueue, path: string): number | null | undefined {
  const [, of = '', name = ''] = /^(message_stats\.)?(\w+)_details\.rate$/.exec(path) ?? []
  const columns: Readonly<Record<string, Column>> = of === '' ? lengthColumns : messageColumns
  const column = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (column === undefined) return undefined
  if (counts === null) return of === '' ? 0 : null
  return valueIn(counts.recent?.rates, column)
}

export function queueOf(request: ApiRequest): DeclaredQueue {
  const queue = vhostOf(request).queues.get(param(request, 'name'))
  if (queue === undefined) throw notFound()
  return queue
}

/** RabbitMQ's fields as far as there is something to say. */
function queueJson(api: Api, queue: DeclaredQueue, spans: Spans): JsonObject {
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
    ...(offsets === undefined ? {} : offsetsJson(offsets)),
    messages: ready + unacked,
    messages_ready: ready,
    messages_unacknowledged: unacked,
    ...lengthDetails(queue.counts === null ? [] : [queue.counts], spans.lengths),
    ...queueStats(queue.counts, spans.rates),
  }
}

/** The node that serves it: of a cluster, where its shard is; while no node has that it is down. */
function placeOf({ cluster, node }: Api, { shardId }: DeclaredQueue): JsonObject {
  if (cluster === null) return { node: node.name, state: 'running' }
  const owner = cluster.ownerOf(shardId)
  return { node: owner === null ? null : toldName(owner), state: owner === null ? 'down' : 'running' }
}

function offsetsJson({ first, next, readers }: StreamOffsets): JsonObject {
  return { first_offset: first, next_offset: next, stream_readers: readers.map((reader) => ({ ...reader })) }
}

/** Of consumers that are alone; null where the queue is on another node. */
function consumerTags({ queue }: DeclaredQueue): JsonObject {
  let exclusive: string | null = null
  let active: string | null = null
  if (queue instanceof LocalQueue) {
    for (const consumer of queue.consumers) if (consumer.isExclusive) exclusive = consumer.tag
    if (queue.turns.isSingleActive) active = queue.turns.active?.tag ?? null
  }
  return { exclusive_consumer_tag: exclusive, single_active_consumer_tag: active }
}

/** Of messages that are ready; of a queue on another node it is not known. */
function bytesOf({ queue }: DeclaredQueue): JsonObject {
  return queue instanceof LocalQueue ? { message_bytes_ready: queue.entries.readyBytes } : {}
}

async function declare(api: Api, request: ApiRequest): Promise<{ status: number }> {
  const fields = await request.fields()
  const name = param(request, 'name')
  const wasThere = vhostOf(request).queues.has(name)
  const args = {
    name,
    isPassive: false,
    isDurable: fields.flag('durable', false),
    isExclusive: fields.flag('exclusive', false),
    isAutoDelete: fields.flag('auto_delete', false),
    arguments: tableField(fields, 'arguments'),
  }
  await command(api, request, (session, reply) => session.vhost.declareQueue(session, args, reply))
  return wasThere ? noContent : created()
}
