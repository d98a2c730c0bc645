import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type QueueType, queueTypes } from '../../broker/topology/queue-arguments.ts'
import type { VhostProperties } from '../../broker/topology/vhost-rows.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { completeOne, completionOf } from './all-nodes/stats-of-all.ts'
import { type Answer, badRequest, created, noContent, notFound } from './answer.ts'
import { listed, one } from './list.ts'
import { totalStats } from './message-stats.ts'
import { toldName } from './nodes.ts'
import { addQueues, noTotals } from './queue-totals.ts'
import { lengthDetails, type Spans, spansOf } from './rates.ts'
import { type ApiRequest, type Fields, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { VhostTraffic } from './vhost-traffic.ts'
import type { Row } from './view.ts'

/** Vhosts; who makes one may do everything in it. */
export const vhostRoutes: readonly Route[] = [
  route('GET', '/vhosts', async (api, request) => {
    const own = await inSlices(api.runQueue, countedRows(api, request.caller.visibleVhosts(), spansOf(api, request)))
    const completion = completionOf(api, request, 'vhosts')
    if (completion === null) return await listed(api, request, own)
    // Few enough to know all of them before they are sorted.
    const all = await completion.completed(
      own.map(({ name }) => name),
      own.map((row) => row.json()),
    )
    const rows = all.map((json) => ({ name: String(json['name']), json: () => json }))
    return completion.noted(await listed(api, request, rows))
  }),
  route('GET', '/vhosts/{vhost}', async (api, request) => {
    const nodes = new NodesAsked(api)
    const spans = spansOf(api, request)
    const { name } = vhostOf(request)
    const json = await inSlices(api.runQueue, countedOne(api, vhostOf(request), spans))
    return nodes.noted(one(request, await completeOne(api, nodes, 'vhosts', { id: name, json, spans })))
  }),
  route('PUT', '/vhosts/{vhost}', put, { level: 'administrator', vhost: null }),
  route(
    'DELETE',
    '/vhosts/{vhost}',
    async (api, request) => {
      const { name } = vhostOf(request)
      await api.commits.until(await api.broker.deleteVhost(name))
      api.logger.info({ vhost: name, by: request.caller.username }, 'vhost deleted')
      return noContent
    },
    { level: 'administrator', vhost: 'administer' },
  ),
]

/** Counts first: a vhost may have very many queues. */
function* countedRows(api: Api, vhosts: Iterable<VhostState>, spans: Spans): Generator<void, Row[]> {
  const rows: Row[] = []
  const traffic = yield* VhostTraffic.of(api.connections.openConnections)
  for (const vhost of vhosts) {
    const json = yield* counted(api, vhost, traffic, spans)
    rows.push({ name: vhost.name, json: () => json })
    yield
  }
  return rows
}

function* countedOne(api: Api, vhost: VhostState, spans: Spans): Generator<void, JsonObject> {
  return yield* counted(api, vhost, yield* VhostTraffic.of(api.connections.openConnections), spans)
}

function* counted(api: Api, vhost: VhostState, traffic: VhostTraffic, spans: Spans): Generator<void, JsonObject> {
  const totals = noTotals()
  yield* addQueues(api, vhost, totals)
  const { consumers: _, ...messages } = totals
  const { description = '', tags = [], defaultQueueType } = vhost.metadata ?? {}
  const type = defaultQueueType ?? 'classic'
  return {
    name: vhost.name,
    description,
    tags,
    default_queue_type: type,
    metadata: { description, tags, default_queue_type: type },
    tracing: false,
    cluster_state: Object.fromEntries(runningNodes(api).map((node) => [node, 'running'])),
    ...messages,
    ...lengthDetails([vhost.counts], spans.lengths),
    ...ownVhostStats(vhost, traffic, spans),
  }
}

function runningNodes(api: Api): string[] {
  return [api.node.name, ...new NodesAsked(api).running.map(toldName)]
}

/** What happened in a vhost at this node. */
export function ownVhostStats(vhost: VhostState, traffic: VhostTraffic, spans: Spans): JsonObject {
  return { ...traffic.json(vhost.name, spans.data), ...totalStats([vhost.counts], spans.rates) }
}

/** Makes a vhost in which its maker may do everything, or gives one other metadata. */
async function put(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const name = param(request, 'vhost')
  const properties = propertiesOf(fields)
  const { broker } = api
  const known = broker.topology.vhosts.get(name)
  if (known?.isClosed === true) throw notFound()
  const all = { configure: '.*', write: '.*', read: '.*' }
  const isNew = known === undefined
  let position = await broker.createVhost(name)
  if (properties !== null) position = await broker.putVhostMetadata(name, properties)
  if (isNew) position = await broker.putPermission(request.caller.username, name, all)
  await api.commits.until(position)
  return isNew ? created() : noContent
}

/** Null: nothing is said, and what is known stays. */
function propertiesOf(fields: Fields): VhostProperties | null {
  const given = ['description', 'tags', 'default_queue_type'].filter((key) => fields.has(key))
  if (given.length === 0) return null
  const type = fields.textOr('default_queue_type', 'undefined')
  if (JSON.stringify(fields.json).length > metadataLengthMax) throw badRequest('the metadata is too long')
  return {
    description: fields.textOr('description', ''),
    tags: fields.has('tags') ? fields.words('tags') : [],
    defaultQueueType: type === 'undefined' ? null : queueType(type),
  }
}

/** Of all that is said of a vhost, as JSON in UTF-16 units. */
const metadataLengthMax = 16 * 1024

function queueType(text: string): QueueType {
  const type = queueTypes.find((known) => known === text)
  if (type === undefined) throw badRequest(`default_queue_type '${text}' is not known`)
  return type
}
