import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import { queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { allOf } from './all-nodes/listed-of-all.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { completeOne, completionOf, otherKeys } from './all-nodes/stats-of-all.ts'
import { type Answer, created, noContent, notFound } from './answer.ts'
import { listedBindings } from './bindings.ts'
import { command } from './in-session.ts'
import { listedAs, one } from './list.ts'
import { queueStatNames, statReader } from './message-stats.ts'
import { queueJson, queueView } from './queue-view.ts'
import { spansOf } from './rates.ts'
import { type ApiRequest, isSet, param, vhostOf } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'
import { tableField } from './tables.ts'
import { keyView, type Listing, type Path } from './view.ts'

/** Queues: listed, shown, declared, purged and deleted, by the commands that channels use. */
export const queueRoutes: readonly Route[] = [
  route('GET', '/queues', (api, request) => listOf(api, request, request.caller.visibleVhosts())),
  route('GET', '/queues/{vhost}', (api, request) => listOf(api, request, [vhostOf(request)])),
  route('GET', '/queues/{vhost}/{name}', async (api, request) => {
    const queue = queueOf(request)
    const nodes = new NodesAsked(api)
    const spans = spansOf(api, request)
    const [json, consumers] = await Promise.all([
      completeOne(api, nodes, 'queues', { id: queue.id, json: queueJson(api, queue, spans), spans }),
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
    return listedBindings(api, request, [queue, ...queue.incoming])
  }),
]

async function listOf(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  const others = await otherKeys(api, request, 'queue-keys')
  const view = queueView(api, spansOf(api, request), others)
  const listing = { things: queuesIn(vhosts), view, ...ofType(request) }
  return await listedAs(api, request, listing, completionOf(api, request, 'queues'))
}

function* queuesIn(vhosts: Iterable<VhostState>): Generator<DeclaredQueue> {
  for (const vhost of vhosts) yield* vhost.queues.values()
}

/** `type=stream`: only of that type. */
function ofType({ query }: ApiRequest): Pick<Listing<DeclaredQueue>, 'isOf'> {
  const type = query.get('type')
  return type === null ? {} : { isOf: (queue) => queueTypeOf(queue.arguments) === type }
}

/** What queues that something happened to here are sorted by, for another node. */
export function queueKeys({ broker }: ApiParts, path: Path): Listing<DeclaredQueue> {
  const read = statReader(path, queueStatNames)
  return {
    things: queuesIn(broker.topology.vhosts.values()),
    isOf: ({ counts }) => counts !== null,
    view: keyView(({ counts }) => read?.(counts)),
  }
}

export function queueOf(request: ApiRequest): DeclaredQueue {
  const queue = vhostOf(request).queues.get(param(request, 'name'))
  if (queue === undefined) throw notFound()
  return queue
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
