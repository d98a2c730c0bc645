import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { exchangeTypes } from '../../broker/topology/exchange.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { nodeColumns } from '../statistics/columns.ts'
import { churnNames, churnOf } from '../statistics/sampler.ts'
import { notFound, ok } from './answer.ts'
import { listed, one } from './list.ts'
import { totalStats } from './message-stats.ts'
import { details, lengthDetails, type Span, spansOf, withDetails } from './rates.ts'
import { type ApiRequest, param } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** The node as a whole, and who asks. */
export const overviewRoutes: readonly Route[] = [
  route('GET', '/whoami', (_api, { caller }) => ok({ name: caller.username, tags: caller.principal.tags })),
  route('GET', '/overview', async (api, request) => one(request, await overviewJson(api, request))),
  route('GET', '/cluster-name', (api) => ok({ name: api.node.name })),
  route('GET', '/extensions', () => ok([])),
  route('GET', '/auth', () => ok({ enable_uaa: false, uaa_client_id: '', uaa_location: '' })),
  route(
    'GET',
    '/nodes',
    (api, request) => listed(api, request, [{ name: api.node.name, json: () => nodeJson(api, request) }]),
    {
      level: 'monitoring',
    },
  ),
  route(
    'GET',
    '/nodes/{name}',
    (api, request) => {
      if (param(request, 'name') !== api.node.name) throw notFound()
      return one(request, nodeJson(api, request))
    },
    { level: 'monitoring' },
  ),
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
    contexts: [],
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

function nodeJson(api: Api, request: ApiRequest): JsonObject {
  const { node, broker, clock } = api
  const spans = spansOf(api, request)
  return {
    name: node.name,
    type: 'disc',
    running: true,
    os_pid: String(node.processId),
    uptime: Math.max(0, clock.now() - node.startedAt),
    rates_mode: 'basic',
    ...churnJson(api, spans.node),
    partitions: [],
    mem_used: node.memoryBytes(),
    mem_used_details: details([api.sampler.node], nodeColumns.mem_used, spans.node),
    mem_limit: node.memoryBytesMax,
    mem_alarm: broker.alarms.includes('memory'),
    disk_free_limit: node.diskFreeBytesMin,
    disk_free_alarm: broker.alarms.includes('disk'),
    sockets_total: node.connectionsMax,
    exchange_types: typesJson(),
    auth_mechanisms: [{ name: 'PLAIN', description: 'SASL PLAIN authentication mechanism', enabled: true }],
    applications: [{ name: 'warren', description: 'Warren', version: api.names.productVersion }],
    contexts: [],
    enabled_plugins: [],
    config_files: [],
    log_files: [],
  }
}

/** What came and went; of the whole node, whoever asks. */
function churnJson({ broker, connections, sampler }: Api, span: Span | null = null): JsonObject {
  const churn = churnOf(broker, connections)
  const columns = Object.fromEntries(churnNames.map((name) => [name, nodeColumns[name]]))
  return withDetails([sampler.node], columns, { now: (name) => churn[name as keyof typeof churn], span })
}

function typesJson(): JsonObject[] {
  return exchangeTypes.map((name) => ({ name, description: '', enabled: true }))
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
