/** Connections, channels and consumers of this node as RabbitMQ shows them. */
import type { OpenChannel, OpenConnection } from '../../broker/connection-directory.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Consumer } from '../../broker/ports.ts'
import type { Webhook } from '../../broker/topology/webhook.ts'
import { trafficColumns } from '../statistics/columns.ts'
import { channelStats } from './message-stats.ts'
import { details, type Spans } from './rates.ts'
import type { ApiParts } from './route.ts'

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

export function connectionJson(api: ApiParts, connection: OpenConnection, spans: Spans): JsonObject {
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

export function channelName({ name }: OpenConnection, { number }: OpenChannel): string {
  return `${name} (${number})`
}

export function channelJson(
  api: ApiParts,
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

export function consumerJson(
  api: ApiParts,
  connection: OpenConnection,
  channel: OpenChannel,
  consumer: Consumer,
): JsonObject {
  return {
    ...ownFacts(consumer),
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

/** A webhook has neither connection nor channel. */
export function pushingJson(api: ApiParts, { name, user, url }: Webhook, consumer: Consumer): JsonObject {
  const { hostname, port } = new URL(url)
  const shown = `webhook ${name}`
  const peer = { peer_host: hostname, peer_port: Number(port) }
  return {
    ...ownFacts(consumer),
    channel_details: { name: shown, number: 0, node: api.node.name, user, connection_name: shown, ...peer },
  }
}

function ownFacts(consumer: Consumer): JsonObject {
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
  }
}
