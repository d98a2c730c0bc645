import { inSlices } from '../../base/sliced.ts'
import type { OpenChannel, OpenConnection } from '../../broker/connection-directory.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Consumer } from '../../broker/ports.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { trafficColumns } from '../statistics/columns.ts'
import { noContent, notAuthorised, notFound } from './answer.ts'
import { listed, one, type Row } from './list.ts'
import { channelStats } from './message-stats.ts'
import { details, type Spans, spansOf } from './rates.ts'
import { type ApiRequest, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Connections, their channels and consumers. Who does not monitor sees those of their own. */
export const connectionRoutes: readonly Route[] = [
  route('GET', '/connections', (api, request) =>
    listed(api, request, connectionRows(api, spansOf(api, request), visible(request))),
  ),
  route('GET', '/connections/{name}', async (api, request) =>
    one(request, connectionJson(api, await found(api, request), spansOf(api, request))),
  ),
  route('DELETE', '/connections/{name}', async (api, request) => {
    const connection = await found(api, request)
    if (connection.username !== request.caller.username && !request.caller.is('administrator')) {
      throw notAuthorised('Not administrator user')
    }
    connection.close(reasonOf(request))
    return noContent
  }),
  route('GET', '/connections/username/{user}', (api, request) => {
    const user = param(request, 'user')
    const isTheirs = (connection: OpenConnection): boolean => connection.username === user
    return listed(api, request, connectionRows(api, spansOf(api, request), visible(request, isTheirs)))
  }),
  route(
    'DELETE',
    '/connections/username/{user}',
    async (api, request) => {
      const user = param(request, 'user')
      const reason = reasonOf(request)
      await inSlices(
        api.runQueue,
        closing(api.connections.openConnections, ({ username }) => username === user, reason),
      )
      return noContent
    },
    { level: 'administrator' },
  ),
  route('GET', '/connections/{name}/channels', async (api, request) =>
    listed(api, request, channelsOfConnection(api, await found(api, request), spansOf(api, request))),
  ),
  route('GET', '/vhosts/{vhost}/connections', (api, request) =>
    listed(api, request, connectionRows(api, spansOf(api, request), visible(request, isIn(vhostOf(request))))),
  ),
  route('GET', '/channels', (api, request) =>
    listed(api, request, channelRows(api, spansOf(api, request), visible(request))),
  ),
  route('GET', '/vhosts/{vhost}/channels', (api, request) =>
    listed(api, request, channelRows(api, spansOf(api, request), visible(request, isIn(vhostOf(request))))),
  ),
  route('GET', '/channels/{name}', async (api, request) => {
    const name = param(request, 'name')
    const channel = await inSlices(
      api.runQueue,
      firstNamed(channelRows(api, spansOf(api, request), visible(request)), name),
    )
    const consumers = await consumersOf(api, () => true)
    const theirs = consumers.filter((consumer) => consumerChannel(consumer) === name)
    return one(request, { ...channel.json(), consumer_details: theirs, publishes: [], deliveries: [] })
  }),
  route('GET', '/consumers', (api, request) => {
    const names = new Set([...request.caller.visibleVhosts()].map(({ name }) => name))
    return listed(
      api,
      request,
      consumerRows(api, ({ vhost }) => names.has(vhost)),
    )
  }),
  route('GET', '/consumers/{vhost}', (api, request) => listed(api, request, consumerRows(api, isIn(vhostOf(request))))),
]

type Wanted = (connection: OpenConnection) => boolean

function isIn({ name }: VhostState): Wanted {
  return ({ vhost }) => vhost === name
}

/** Who does not monitor sees connections of their own only. */
function visible({ caller }: ApiRequest, isWanted: Wanted = () => true): Wanted {
  const seesAll = caller.is('monitoring')
  return (connection) => (seesAll || connection.username === caller.username) && isWanted(connection)
}

/** What the client is told of why; without control characters, and short enough for a reply text. */
function reasonOf(request: ApiRequest): string {
  const given = (request.header('x-reason') ?? '').replaceAll(/\p{Cc}/gu, ' ').trim()
  return given === '' ? 'Closed via management plugin' : given.slice(0, reasonMax)
}

/** In UTF-16 units. */
const reasonMax = 200

function found(api: Api, request: ApiRequest): Promise<OpenConnection> {
  const name = param(request, 'name')
  const isVisible = visible(request)
  return inSlices(
    api.runQueue,
    search(api.connections.openConnections, (one) => one.name === name && isVisible(one)),
  )
}

function* search(connections: Iterable<OpenConnection>, isIt: Wanted): Generator<void, OpenConnection> {
  for (const connection of connections) {
    if (isIt(connection)) return connection
    yield
  }
  throw notFound()
}

function* firstNamed(rows: Iterable<Row>, name: string): Generator<void, Row> {
  for (const row of rows) {
    if (row.name === name) return row
    yield
  }
  throw notFound()
}

/** Ends all that are wanted; the reason is cut to what fits a reply text. */
export function* closing(
  connections: Iterable<OpenConnection>,
  isWanted: Wanted,
  reason: string,
): Generator<void, void> {
  for (const connection of connections) {
    if (isWanted(connection)) connection.close(reason.slice(0, reasonMax))
    yield
  }
}

// ---------------------------------------------------------------- rows

function* connectionRows(api: Api, spans: Spans, isWanted: Wanted): Generator<Row> {
  for (const connection of api.connections.openConnections) {
    if (isWanted(connection)) yield { name: connection.name, json: () => connectionJson(api, connection, spans) }
  }
}

function* channelRows(api: Api, spans: Spans, isWanted: Wanted): Generator<Row> {
  for (const connection of api.connections.openConnections) {
    if (isWanted(connection)) yield* channelsOfConnection(api, connection, spans)
  }
}

function* channelsOfConnection(api: Api, connection: OpenConnection, spans: Spans): Generator<Row> {
  for (const channel of connection.channels()) {
    yield { name: channelName(connection, channel), json: () => channelJson(api, { connection, channel }, spans) }
  }
}

function* consumerRows(api: Api, isWanted: Wanted, isIt: (consumer: Consumer) => boolean = () => true): Generator<Row> {
  for (const connection of api.connections.openConnections) {
    if (!isWanted(connection)) continue
    for (const channel of connection.channels()) {
      for (const consumer of channel.consumers) {
        if (isIt(consumer)) yield { name: consumer.tag, json: () => consumerJson(api, connection, channel, consumer) }
      }
    }
  }
}

/** Consumers that are it, as JSON; all connections are looked through, in slices. */
export function consumersOf(api: Api, isIt: (consumer: Consumer) => boolean): Promise<JsonObject[]> {
  return inSlices(api.runQueue, collected(api.connections.openConnections, api, isIt))
}

function* collected(
  connections: Iterable<OpenConnection>,
  api: Api,
  isIt: (consumer: Consumer) => boolean,
): Generator<void, JsonObject[]> {
  const found: JsonObject[] = []
  for (const connection of connections) {
    for (const channel of connection.channels()) {
      for (const consumer of channel.consumers) {
        if (isIt(consumer)) found.push(consumerJson(api, connection, channel, consumer))
      }
      yield
    }
  }
  return found
}

// ---------------------------------------------------------------- JSON

/** What is said of TLS where there is none. */
const noCertificate = {
  ssl_protocol: null,
  ssl_key_exchange: null,
  ssl_cipher: null,
  ssl_hash: null,
  peer_cert_subject: null,
  peer_cert_issuer: null,
  peer_cert_validity: null,
} as const

function connectionJson(api: Api, connection: OpenConnection, spans: Spans): JsonObject {
  const { peer, local, traffic } = connection
  return {
    ...noCertificate,
    name: connection.name,
    node: api.node.name,
    user: connection.username,
    user_who_performed_action: connection.username,
    vhost: connection.vhost,
    state: connection.state,
    type: 'network',
    protocol: 'AMQP 0-9-1',
    auth_mechanism: connection.mechanism,
    ...tlsJson(connection.tls),
    peer_host: peer.address,
    peer_port: peer.port,
    host: local.address,
    port: local.port,
    connected_at: connection.connectedAt,
    timeout: connection.heartbeatSeconds,
    frame_max: connection.frameBytesMax,
    channel_max: connection.channelsMax,
    channels: connection.channelCount,
    client_properties: jsonOfTable(connection.clientProperties),
    recv_oct: connection.bytesRead,
    recv_oct_details: details([traffic], trafficColumns.recv_oct, spans.data),
    send_oct: connection.bytesWritten,
    send_oct_details: details([traffic], trafficColumns.send_oct, spans.data),
    send_pend: connection.bytesWaiting,
  }
}

/** As RabbitMQ shows it; what it takes apart of a cipher suite stands in the suite's name. */
function tlsJson(tls: OpenConnection['tls']): JsonObject {
  const { peer = null, protocol = null, cipher = null } = tls ?? {}
  return {
    ssl: tls !== null,
    ssl_protocol: protocol?.toLowerCase() ?? null,
    ssl_cipher: cipher,
    peer_cert_subject: peer?.subject ?? null,
    peer_cert_issuer: peer?.issuer ?? null,
    peer_cert_validity:
      peer === null ? null : [peer.validFrom, peer.validTo].map((ms) => new Date(ms).toISOString()).join(' - '),
  }
}

function channelName({ name }: OpenConnection, { number }: OpenChannel): string {
  return `${name} (${number})`
}

function channelJson(
  api: Api,
  { connection, channel }: { connection: OpenConnection; channel: OpenChannel },
  spans: Spans,
): JsonObject {
  return {
    name: channelName(connection, channel),
    number: channel.number,
    node: api.node.name,
    user: connection.username,
    user_who_performed_action: connection.username,
    vhost: connection.vhost,
    state: channel.state,
    connection_details: {
      name: connection.name,
      peer_host: connection.peer.address,
      peer_port: connection.peer.port,
    },
    confirm: channel.isConfirming,
    transactional: channel.isTransactional,
    consumer_count: channel.consumerCount,
    prefetch_count: channel.prefetchCount,
    global_prefetch_count: channel.sharedPrefetchCount,
    messages_unacknowledged: channel.unacked,
    messages_unconfirmed: channel.unconfirmed,
    messages_uncommitted: 0,
    acks_uncommitted: 0,
    pending_raft_commands: 0,
    ...channelStats(channel.counts, spans.rates),
  }
}

function consumerJson(api: Api, connection: OpenConnection, channel: OpenChannel, consumer: Consumer): JsonObject {
  const { definition } = consumer.queue
  return {
    consumer_tag: consumer.tag,
    queue: { name: definition.name, vhost: definition.vhost },
    ack_required: !consumer.isNoAck,
    exclusive: consumer.isExclusive,
    prefetch_count: consumer.limit,
    active: consumer.isActive,
    activity_status: consumer.isActive ? 'up' : 'waiting',
    arguments: jsonOfTable(consumer.arguments),
    channel_details: {
      name: channelName(connection, channel),
      number: channel.number,
      node: api.node.name,
      user: connection.username,
      connection_name: connection.name,
      peer_host: connection.peer.address,
      peer_port: connection.peer.port,
    },
  }
}

function consumerChannel({ channel_details: channel }: JsonObject): unknown {
  return (channel as JsonObject | undefined)?.['name']
}
