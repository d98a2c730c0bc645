/** Connections, channels and consumers of this node as RabbitMQ shows them. */
import type { PeerCertificate } from '../../base/network.ts'
import type { OpenChannel, OpenConnection } from '../../broker/connection-directory.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Consumer } from '../../broker/ports.ts'
import type { Webhook } from '../../broker/topology/webhook.ts'
import { trafficColumns } from '../statistics/columns.ts'
import { channelStats } from './message-stats.ts'
import { details, type Spans } from './rates.ts'
import type { ApiParts } from './route.ts'

/** Each field for itself: to put objects together here costs ten times as much as all the rest. */
export function connectionJson(api: ApiParts, connection: OpenConnection, spans: Spans): JsonObject {
  const { peer, local, traffic, tls } = connection
  const certificate = tls?.peer ?? null
  return {
    name: connection.name,
    node: api.node.name,
    user: connection.username,
    user_who_performed_action: connection.username,
    vhost: connection.vhost,
    state: connection.state,
    type: 'network',
    protocol: 'AMQP 0-9-1',
    auth_mechanism: connection.mechanism,
    ssl: tls !== null,
    ssl_protocol: tls?.protocol?.toLowerCase() ?? null,
    // As RabbitMQ shows it; what it takes apart of a cipher suite stands in the suite's name.
    ssl_key_exchange: null,
    ssl_cipher: tls?.cipher ?? null,
    ssl_hash: null,
    peer_cert_subject: certificate?.subject ?? null,
    peer_cert_issuer: certificate?.issuer ?? null,
    peer_cert_validity: validityOf(certificate),
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

export function validityOf(certificate: PeerCertificate | null): string | null {
  if (certificate === null) return null
  const { validFrom, validTo } = certificate
  return [validFrom, validTo].map((ms) => new Date(ms).toISOString()).join(' - ')
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
    connection_details: connectionDetails(connection),
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

export function connectionDetails({ name, peer }: OpenConnection): JsonObject {
  return { name, peer_host: peer.address, peer_port: peer.port }
}

/** `place`: its `channel_details`. */
export function consumerJson(consumer: Consumer, place: JsonObject): JsonObject {
  return {
    consumer_tag: consumer.tag,
    queue: queueOfConsumer(consumer),
    ack_required: !consumer.isNoAck,
    exclusive: consumer.isExclusive,
    prefetch_count: consumer.limit,
    active: consumer.isActive,
    activity_status: activityOf(consumer),
    arguments: jsonOfTable(consumer.arguments),
    channel_details: place,
  }
}

export function queueOfConsumer({ queue: { definition } }: Consumer): JsonObject {
  return { name: definition.name, vhost: definition.vhost }
}

export function activityOf({ isActive }: Consumer): string {
  return isActive ? 'up' : 'waiting'
}

export function consumingDetails(api: ApiParts, connection: OpenConnection, channel: OpenChannel): JsonObject {
  return {
    name: channelName(connection, channel),
    number: channel.number,
    node: api.node.name,
    user: connection.username,
    connection_name: connection.name,
    peer_host: connection.peer.address,
    peer_port: connection.peer.port,
  }
}

/** A webhook has neither connection nor channel. */
export function pushingDetails(api: ApiParts, { name, user, url }: Webhook): JsonObject {
  const { hostname, port } = new URL(url)
  const shown = `webhook ${name}`
  const peer = { peer_host: hostname, peer_port: Number(port) }
  return { name: shown, number: 0, node: api.node.name, user, connection_name: shown, ...peer }
}
