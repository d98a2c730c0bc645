/** How lists show connections, channels and consumers, and what they are sorted by without all of their JSON. */
import type { OpenChannel, OpenConnection } from '../../broker/connection-directory.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Consumer } from '../../broker/ports.ts'
import type { Webhook } from '../../broker/topology/webhook.ts'
import { trafficColumns, valueIn } from '../statistics/columns.ts'
import {
  activityOf,
  channelJson,
  channelName,
  connectionDetails,
  connectionJson,
  consumerJson,
  consumingDetails,
  pushingDetails,
  queueOfConsumer,
  validityOf,
} from './connection-json.ts'
import { channelStatNames, channelStats, statReader } from './message-stats.ts'
import { details, type Spans } from './rates.ts'
import type { ApiParts } from './route.ts'
import { readerOf, type View, type ViewFields } from './view.ts'

export interface OnConnection {
  readonly connection: OpenConnection
  readonly channel: OpenChannel
}

/** Where a consumer is: on a channel, or a webhook's. */
export type ConsumerPlace =
  | (OnConnection & { readonly consumer: Consumer })
  | { readonly consumer: Consumer; readonly webhook: Webhook }

const ofConnection: ViewFields<OpenConnection> = {
  name: ({ name }) => name,
  user: ({ username }) => username,
  user_who_performed_action: ({ username }) => username,
  vhost: ({ vhost }) => vhost,
  state: ({ state }) => state,
  type: () => 'network',
  protocol: () => 'AMQP 0-9-1',
  auth_mechanism: ({ mechanism }) => mechanism,
  ssl: ({ tls }) => tls !== null,
  ssl_protocol: ({ tls }) => tls?.protocol?.toLowerCase() ?? null,
  ssl_key_exchange: () => null,
  ssl_cipher: ({ tls }) => tls?.cipher ?? null,
  ssl_hash: () => null,
  peer_cert_subject: ({ tls }) => tls?.peer?.subject ?? null,
  peer_cert_issuer: ({ tls }) => tls?.peer?.issuer ?? null,
  peer_cert_validity: ({ tls }) => validityOf(tls?.peer ?? null),
  peer_host: ({ peer }) => peer.address,
  peer_port: ({ peer }) => peer.port,
  host: ({ local }) => local.address,
  port: ({ local }) => local.port,
  connected_at: ({ connectedAt }) => connectedAt,
  timeout: ({ heartbeatSeconds }) => heartbeatSeconds,
  frame_max: ({ frameBytesMax }) => frameBytesMax,
  channel_max: ({ channelsMax }) => channelsMax,
  channels: ({ channelCount }) => channelCount,
  client_properties: ({ clientProperties }) => jsonOfTable(clientProperties),
  recv_oct: ({ bytesRead }) => bytesRead,
  send_oct: ({ bytesWritten }) => bytesWritten,
  send_pend: ({ bytesWaiting }) => bytesWaiting,
}

const inConnection: ViewFields<OpenConnection> = {
  'recv_oct_details.rate': ({ traffic }) => valueIn(traffic.recent?.rates, trafficColumns.recv_oct),
  'send_oct_details.rate': ({ traffic }) => valueIn(traffic.recent?.rates, trafficColumns.send_oct),
}

export function connectionView(api: ApiParts, spans: Spans): View<OpenConnection> {
  const fields: ViewFields<OpenConnection> = {
    ...ofConnection,
    node: () => api.node.name,
    recv_oct_details: ({ traffic }) => details([traffic], trafficColumns.recv_oct, spans.data),
    send_oct_details: ({ traffic }) => details([traffic], trafficColumns.send_oct, spans.data),
  }
  return {
    nameOf: ({ name }) => name,
    json: (connection) => connectionJson(api, connection, spans),
    fields,
    reader: (path) => readerOf(path, fields, inConnection),
  }
}

const ofChannel: ViewFields<OnConnection> = {
  name: ({ connection, channel }) => channelName(connection, channel),
  number: ({ channel }) => channel.number,
  user: ({ connection }) => connection.username,
  user_who_performed_action: ({ connection }) => connection.username,
  vhost: ({ connection }) => connection.vhost,
  state: ({ channel }) => channel.state,
  connection_details: ({ connection }) => connectionDetails(connection),
  confirm: ({ channel }) => channel.isConfirming,
  transactional: ({ channel }) => channel.isTransactional,
  consumer_count: ({ channel }) => channel.consumerCount,
  prefetch_count: ({ channel }) => channel.prefetchCount,
  global_prefetch_count: ({ channel }) => channel.sharedPrefetchCount,
  messages_unacknowledged: ({ channel }) => channel.unacked,
  messages_unconfirmed: ({ channel }) => channel.unconfirmed,
  messages_uncommitted: () => 0,
  acks_uncommitted: () => 0,
  pending_raft_commands: () => 0,
}

const inChannel: ViewFields<OnConnection> = {
  'connection_details.name': ({ connection }) => connection.name,
}

export function channelView(api: ApiParts, spans: Spans): View<OnConnection> {
  const fields: ViewFields<OnConnection> = {
    ...ofChannel,
    node: () => api.node.name,
    message_stats: ({ channel }) => channelStats(channel.counts, spans.rates).message_stats,
  }
  return {
    nameOf: ({ connection, channel }) => channelName(connection, channel),
    json: (on) => channelJson(api, on, spans),
    fields,
    reader: (path) => {
      const stat = statReader(path, channelStatNames)
      if (stat !== null) return ({ channel }) => stat(channel.counts)
      return readerOf(path, fields, inChannel)
    },
  }
}

const ofConsumer: ViewFields<ConsumerPlace> = {
  consumer_tag: ({ consumer }) => consumer.tag,
  queue: ({ consumer }) => queueOfConsumer(consumer),
  ack_required: ({ consumer }) => !consumer.isNoAck,
  exclusive: ({ consumer }) => consumer.isExclusive,
  prefetch_count: ({ consumer }) => consumer.limit,
  active: ({ consumer }) => consumer.isActive,
  activity_status: ({ consumer }) => activityOf(consumer),
  arguments: ({ consumer }) => jsonOfTable(consumer.arguments),
}

const inConsumer: ViewFields<ConsumerPlace> = {
  'queue.name': ({ consumer }) => consumer.queue.definition.name,
  'queue.vhost': ({ consumer }) => consumer.queue.definition.vhost,
}

export function consumerView(api: ApiParts): View<ConsumerPlace> {
  const placeOf = (place: ConsumerPlace): JsonObject =>
    'webhook' in place ? pushingDetails(api, place.webhook) : consumingDetails(api, place.connection, place.channel)
  const fields: ViewFields<ConsumerPlace> = { ...ofConsumer, channel_details: placeOf }
  return {
    nameOf: ({ consumer }) => consumer.tag,
    json: (place) => consumerJson(place.consumer, placeOf(place)),
    fields,
    reader: (path) => readerOf(path, fields, inConsumer),
  }
}
