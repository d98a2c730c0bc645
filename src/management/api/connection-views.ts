/** How lists show connections, channels and consumers, and what they are sorted by without all of their JSON. */
import type { OpenChannel, OpenConnection } from '../../broker/connection-directory.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Consumer } from '../../broker/ports.ts'
import type { Webhook } from '../../broker/topology/webhook.ts'
import { trafficColumns, valueIn } from '../statistics/columns.ts'
import { valueAt } from './columns.ts'
import { channelJson, channelName, connectionJson, consumerJson, pushingJson } from './connection-json.ts'
import { channelStatNames, statReader } from './message-stats.ts'
import type { Spans } from './rates.ts'
import type { ApiParts } from './route.ts'
import { readerOf, type View } from './view.ts'

export interface OnConnection {
  readonly connection: OpenConnection
  readonly channel: OpenChannel
}

/** Where a consumer is: on a channel, or a webhook's. */
export type ConsumerPlace =
  | (OnConnection & { readonly consumer: Consumer })
  | { readonly consumer: Consumer; readonly webhook: Webhook }

const ofConnection: Readonly<Record<string, (connection: OpenConnection) => unknown>> = {
  user: ({ username }) => username,
  vhost: ({ vhost }) => vhost,
  state: ({ state }) => state,
  ssl: ({ tls }) => tls !== null,
  auth_mechanism: ({ mechanism }) => mechanism,
  peer_host: ({ peer }) => peer.address,
  peer_port: ({ peer }) => peer.port,
  host: ({ local }) => local.address,
  port: ({ local }) => local.port,
  connected_at: ({ connectedAt }) => connectedAt,
  timeout: ({ heartbeatSeconds }) => heartbeatSeconds,
  frame_max: ({ frameBytesMax }) => frameBytesMax,
  channel_max: ({ channelsMax }) => channelsMax,
  channels: ({ channelCount }) => channelCount,
  recv_oct: ({ bytesRead }) => bytesRead,
  send_oct: ({ bytesWritten }) => bytesWritten,
  send_pend: ({ bytesWaiting }) => bytesWaiting,
  'recv_oct_details.rate': ({ traffic }) => valueIn(traffic.recent?.rates, trafficColumns.recv_oct),
  'send_oct_details.rate': ({ traffic }) => valueIn(traffic.recent?.rates, trafficColumns.send_oct),
}

export function connectionView(api: ApiParts, spans: Spans): View<OpenConnection> {
  const json: View<OpenConnection>['json'] = (connection) => connectionJson(api, connection, spans)
  return {
    nameOf: ({ name }) => name,
    json,
    reader: (path) => {
      const [first, ...rest] = path
      if (first === 'client_properties') {
        return ({ clientProperties }) => valueAt(jsonOfTable(clientProperties), rest)
      }
      return readerOf(path, json, { ...ofConnection, node: () => api.node.name })
    },
  }
}

const ofChannel: Readonly<Record<string, (on: OnConnection) => unknown>> = {
  number: ({ channel }) => channel.number,
  user: ({ connection }) => connection.username,
  vhost: ({ connection }) => connection.vhost,
  state: ({ channel }) => channel.state,
  confirm: ({ channel }) => channel.isConfirming,
  transactional: ({ channel }) => channel.isTransactional,
  consumer_count: ({ channel }) => channel.consumerCount,
  prefetch_count: ({ channel }) => channel.prefetchCount,
  global_prefetch_count: ({ channel }) => channel.sharedPrefetchCount,
  messages_unacknowledged: ({ channel }) => channel.unacked,
  messages_unconfirmed: ({ channel }) => channel.unconfirmed,
  'connection_details.name': ({ connection }) => connection.name,
}

export function channelView(api: ApiParts, spans: Spans): View<OnConnection> {
  const json: View<OnConnection>['json'] = (on) => channelJson(api, on, spans)
  return {
    nameOf: ({ connection, channel }) => channelName(connection, channel),
    json,
    reader: (path) => {
      const stat = statReader(path, channelStatNames)
      if (stat !== null) return ({ channel }) => stat(channel.counts)
      return readerOf(path, json, { ...ofChannel, node: () => api.node.name })
    },
  }
}

const ofConsumer: Readonly<Record<string, (place: ConsumerPlace) => unknown>> = {
  consumer_tag: ({ consumer }) => consumer.tag,
  'queue.name': ({ consumer }) => consumer.queue.definition.name,
  'queue.vhost': ({ consumer }) => consumer.queue.definition.vhost,
  ack_required: ({ consumer }) => !consumer.isNoAck,
  exclusive: ({ consumer }) => consumer.isExclusive,
  prefetch_count: ({ consumer }) => consumer.limit,
  active: ({ consumer }) => consumer.isActive,
}

export function consumerView(api: ApiParts): View<ConsumerPlace> {
  const json: View<ConsumerPlace>['json'] = (place) =>
    'webhook' in place
      ? pushingJson(api, place.webhook, place.consumer)
      : consumerJson(api, place.connection, place.channel, place.consumer)
  return {
    nameOf: ({ consumer }) => consumer.tag,
    json,
    reader: (path) => readerOf(path, json, ofConsumer),
  }
}
