import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { MessageCounts } from '../../broker/statistics/message-counts.ts'
import type { Counted } from '../../broker/statistics/recent.ts'
import { exchangeTypes } from '../../broker/topology/exchange.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { clusterTags, shownClusterName } from '../cluster-name.ts'
import { nodeColumns } from '../statistics/columns.ts'
import { churnNames, churnOf } from '../statistics/sampler.ts'
import { addedUp } from './all-nodes/add-up.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import type { OverviewPart, OverviewScope } from './all-nodes/question.ts'
import { ok } from './answer.ts'
import { one } from './list.ts'
import { totalStats } from './message-stats.ts'
import { type MessageTotals, noTotals } from './queue-totals.ts'
import { lengthDetails, type Span, type Spans, spansOf, withDetails } from './rates.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'

/** The whole of it, and who asks. */
export const overviewRoutes: readonly Route[] = [
  route('GET', '/whoami', (_api, { caller }) => ok({ name: caller.username, tags: caller.principal.tags })),
  route('GET', '/overview', async (api, request) => {
    const nodes = new NodesAsked(api)
    return nodes.noted(one(request, await overviewJson(api, request, nodes)))
  }),
  route('GET', '/extensions', () => ok([])),
  route('GET', '/auth', () => ok({ enable_uaa: false, uaa_client_id: '', uaa_location: '' })),
]

/** What the overview shows to whoever asks. */
export async function overviewJson(
  api: Api,
  request: ApiRequest,
  nodes: NodesAsked = new NodesAsked(api),
): Promise<JsonObject> {
  const { rabbitVersion, productVersion } = api.names
  const spans = spansOf(api, request)
  const { caller } = request
  const visible = [...caller.visibleVhosts()]
  const seesAll = caller.is('monitoring')
  const scope = seesAll ? whole : { own: caller.username, vhosts: visible.map(({ name }) => name) }
  const others = nodes.all({ ask: 'overview', scope, spans })
  const own = await inSlices(api.runQueue, ownOverview(api, scope, spans))
  const { messages, objects } = await totalled(api, visible)
  const all = (await others).reduce((sum, [, part]) => joined(sum, part), own)
  return {
    management_version: rabbitVersion,
    rabbitmq_version: rabbitVersion,
    product_name: 'Warren',
    product_version: productVersion,
    cluster_name: shownClusterName(api.broker.topology, api.cluster, api.node.name),
    cluster_tags: clusterTags(api.broker.topology),
    node: api.node.name,
    rates_mode: 'basic',
    disable_stats: false,
    enable_queue_totals: false,
    exchange_types: typesJson(),
    message_stats: all.message_stats,
    churn_rates: all.churn_rates,
    queue_totals: { ...messages, ...lengthDetails(placesOf(api, scope), spans.lengths) },
    object_totals: { channels: all.channels, connections: all.connections, ...objects },
    statistics_db_event_queue: 0,
    listeners: all.listeners,
    contexts: all.contexts,
    ...erlangsPlace,
    sample_retention_policies: { global: [600, 3_600, 28_800, 86_400], basic: [600], detailed: [600] },
  }
}

/** What a monitor sees. */
const whole: OverviewScope = { own: null, vhosts: null }

function joined(one: OverviewPart, other: OverviewPart): OverviewPart {
  return {
    connections: one.connections + other.connections,
    channels: one.channels + other.channels,
    message_stats: addedUp(one.message_stats, other.message_stats),
    churn_rates: addedUp(one.churn_rates, other.churn_rates),
    listeners: [...one.listeners, ...other.listeners],
    contexts: [...one.contexts, ...other.contexts],
  }
}

/** What of the overview each node of a cluster has a part of: this node's. */
export function* ownOverview(api: ApiParts, scope: OverviewScope, spans: Spans): Generator<void, OverviewPart> {
  const counts: MessageCounts[] = vhostsIn(api, scope).map((vhost) => vhost.counts)
  if (scope.vhosts === null) counts.push(api.broker.topology.former.messages)
  const { message_stats } = totalStats(counts, spans.rates, placesOf(api, scope))
  const objects = { connections: 0, channels: 0 }
  for (const { username, channelCount } of api.connections.openConnections) {
    if (scope.own === null || username === scope.own) {
      objects.connections++
      objects.channels += channelCount
    }
    yield
  }
  const churn_rates = churnJson(api)
  return { ...objects, message_stats, churn_rates, listeners: listenersJson(api), contexts: contextsJson(api) }
}

/** Where rates and lengths are remembered. */
function placesOf(api: ApiParts, scope: OverviewScope): readonly Counted[] {
  return scope.vhosts === null ? [api.sampler.node] : vhostsIn(api, scope).map(({ counts }) => counts)
}

function vhostsIn({ broker }: ApiParts, { vhosts }: OverviewScope): VhostState[] {
  const all = broker.topology.vhosts
  if (vhosts === null) return [...all.values()].filter(({ isClosed }) => !isClosed)
  return vhosts.flatMap((name) => all.get(name) ?? [])
}

/** Every node knows how much is in all queues. */
async function totalled(
  api: Api,
  vhosts: readonly VhostState[],
): Promise<{ messages: MessageTotals; objects: JsonObject }> {
  const sum = noTotals()
  for (const one of await Promise.all(vhosts.map((vhost) => api.totals.of(api, vhost)))) {
    sum.messages += one.messages
    sum.messages_ready += one.messages_ready
    sum.messages_unacknowledged += one.messages_unacknowledged
    sum.consumers += one.consumers
  }
  const { consumers, ...messages } = sum
  const objects = { consumers, exchanges: 0, queues: 0 }
  for (const vhost of vhosts) {
    objects.exchanges += vhost.exchanges.size
    objects.queues += vhost.queues.size
  }
  return { messages, objects }
}

/** What came and went; of this whole node, whoever asks. */
export function churnJson({ broker, connections, sampler }: ApiParts, span: Span | null = null): JsonObject {
  const churn = churnOf(broker, connections)
  const columns = Object.fromEntries(churnNames.map((name) => [name, nodeColumns[name]]))
  return withDetails([sampler.node], columns, { now: (name) => churn[name as keyof typeof churn], span })
}

export function typesJson(): JsonObject[] {
  return exchangeTypes.map((name) => ({ name, description: '', enabled: true }))
}

/** What is told of the machine that RabbitMQ runs on: there is none. */
const erlangsPlace = { erlang_version: '0', erlang_full_version: 'Node.js' } as const

/** Where the API itself is. */
export function contextsJson({ node }: ApiParts): JsonObject[] {
  const own = node.listeners().filter(({ protocol }) => protocol === 'http' || protocol === 'https')
  return own.map(({ protocol, host, port }) => ({
    node: node.name,
    description: 'Management',
    path: '/',
    ip: host === '*' ? '::' : host,
    port: String(port),
    protocol,
    ssl_opts: [],
  }))
}

function listenersJson(api: ApiParts): JsonObject[] {
  return api.node.listeners().map(({ protocol, host, port }) => ({
    node: api.node.name,
    protocol,
    ip_address: host === '*' ? '::' : host,
    port,
    socket_opts: {},
  }))
}
