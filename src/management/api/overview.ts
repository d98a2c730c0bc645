import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { exchangeTypes } from '../../broker/topology/exchange.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { nodeColumns } from '../statistics/columns.ts'
import { churnNames, churnOf } from '../statistics/sampler.ts'
import { ok } from './answer.ts'
import { one } from './list.ts'
import { totalStats } from './message-stats.ts'
import { lengthDetails, type Span, spansOf, withDetails } from './rates.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** The whole of it, and who asks. */
export const overviewRoutes: readonly Route[] = [
  route('GET', '/whoami', (_api, { caller }) => ok({ name: caller.username, tags: caller.principal.tags })),
  route('GET', '/overview', async (api, request) => one(request, await overviewJson(api, request))),
  route('GET', '/cluster-name', (api) => ok({ name: api.node.name })),
  route('GET', '/extensions', () => ok([])),
  route('GET', '/auth', () => ok({ enable_uaa: false, uaa_client_id: '', uaa_location: '' })),
]

/** What the overview shows to whoever asks. */
export async function overviewJson(api: Api, request: ApiRequest): Promise<JsonObject> {
  const { rabbitVersion, productVersion } = api.names
  const spans = spansOf(api, request)
  const { messages, objects } = await inSlices(api.runQueue, totalled(api, request))
  const seesAll = request.caller.is('monitoring')
  const counts = [...request.caller.visibleVhosts()].map((vhost) => vhost.counts)
  if (seesAll) counts.push(api.broker.topology.former.messages)
  const places = seesAll ? [api.sampler.node] : counts
  return {
    management_version: rabbitVersion,
    rabbitmq_version: rabbitVersion,
    product_name: 'Warren',
    product_version: productVersion,
    cluster_name: api.node.name,
    node: api.node.name,
    rates_mode: 'basic',
    disable_stats: false,
    enable_queue_totals: false,
    exchange_types: typesJson(),
    message_stats: {},
    ...totalStats(counts, spans.rates, places),
    churn_rates: churnJson(api),
    queue_totals: { ...messages, ...lengthDetails(places, spans.lengths) },
    object_totals: objects,
    statistics_db_event_queue: 0,
    listeners: listenersJson(api),
    contexts: contextsJson(api),
    ...erlangsPlace,
    sample_retention_policies: { global: [600, 3_600, 28_800, 86_400], basic: [600], detailed: [600] },
  }
}

/** Of the vhosts that the caller may see. */
function* totalled(api: Api, { caller }: ApiRequest): Generator<void, { messages: Totals; objects: JsonObject }> {
  const messages = noMessages()
  const seesAll = caller.is('monitoring')
  const objects = { channels: 0, connections: 0, consumers: 0, exchanges: 0, queues: 0 }
  for (const vhost of caller.visibleVhosts()) {
    objects.exchanges += vhost.exchanges.size
    objects.queues += vhost.queues.size
    objects.consumers += yield* addMessages(api, vhost, messages)
  }
  for (const connection of api.connections.openConnections) {
    if (seesAll || connection.username === caller.username) {
      objects.connections++
      objects.channels += connection.channelCount
    }
    yield
  }
  return { messages, objects }
}

export interface Totals {
  messages: number
  messages_ready: number
  messages_unacknowledged: number
}

export const noMessages = (): Totals => ({ messages: 0, messages_ready: 0, messages_unacknowledged: 0 })

/** Adds what is in a vhost's queues; returns how many consumers they have. */
export function* addMessages(api: Api, vhost: VhostState, totals: Totals): Generator<void, number> {
  let count = 0
  for (const queue of vhost.queues.values()) {
    const { ready, unacked, consumers } = api.broker.topology.statusNow(queue)
    totals.messages += ready + unacked
    totals.messages_ready += ready
    totals.messages_unacknowledged += unacked
    count += consumers
    yield
  }
  return count
}

/** What came and went; of the whole node, whoever asks. */
export function churnJson({ broker, connections, sampler }: Api, span: Span | null = null): JsonObject {
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
export function contextsJson({ node }: Api): JsonObject[] {
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

function listenersJson(api: Api): JsonObject[] {
  return api.node.listeners().map(({ protocol, host, port }) => ({
    node: api.node.name,
    protocol,
    ip_address: host === '*' ? '::' : host,
    port,
    socket_opts: {},
  }))
}
