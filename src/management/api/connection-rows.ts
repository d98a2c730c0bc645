/** Connections, channels and consumers of this node as rows of lists. */
import type { OpenConnection } from '../../broker/connection-directory.ts'
import { channelJson, channelName, connectionJson, consumerJson, pushingJson } from './connection-json.ts'
import type { Row } from './list.ts'
import type { Spans } from './rates.ts'
import type { ApiParts } from './route.ts'

/** Which of them; what is left out does not matter. Sent to other nodes as it is. */
export interface Scope {
  readonly vhost?: string
  readonly vhosts?: readonly string[]
  /** Connections of this user. */
  readonly user?: string
  /** Connections of the one who asks, who may see no others. */
  readonly own?: string
  /** Name of the connection, or of the channel. */
  readonly connection?: string
  readonly channel?: string
  /** Id of the queue that consumers have. */
  readonly queue?: number
}

export const connectionLists = ['connections', 'channels', 'consumers'] as const
export type ConnectionList = (typeof connectionLists)[number]

export function rowsOfList(api: ApiParts, list: ConnectionList, scope: Scope, spans: Spans): Iterable<Row> {
  const wanted = connectionsIn(api, scope)
  if (list === 'connections') return connectionRows(api, wanted, spans)
  if (list === 'channels') return channelRows(api, wanted, scope, spans)
  return consumersIn(api, wanted, scope)
}

export function* connectionsIn({ connections }: ApiParts, scope: Scope): Generator<OpenConnection> {
  const vhosts = scope.vhosts === undefined ? null : new Set(scope.vhosts)
  for (const connection of connections.openConnections) {
    const { name, vhost, username } = connection
    const isWanted =
      isIt(scope.connection, name) &&
      scope.channel?.startsWith(`${name} (`) !== false &&
      isIt(scope.vhost, vhost) &&
      isIt(scope.user, username) &&
      isIt(scope.own, username) &&
      vhosts?.has(vhost) !== false
    if (isWanted) yield connection
  }
}

function isIt<T>(wanted: T | undefined, value: T): boolean {
  return wanted === undefined || wanted === value
}

function* connectionRows(api: ApiParts, connections: Iterable<OpenConnection>, spans: Spans): Generator<Row> {
  for (const connection of connections) {
    yield { name: connection.name, json: () => connectionJson(api, connection, spans) }
  }
}

function* channelRows(
  api: ApiParts,
  connections: Iterable<OpenConnection>,
  scope: Scope,
  spans: Spans,
): Generator<Row> {
  for (const connection of connections) {
    for (const channel of connection.channels()) {
      const name = channelName(connection, channel)
      if (isIt(scope.channel, name)) yield { name, json: () => channelJson(api, { connection, channel }, spans) }
    }
  }
}

function* consumersIn(api: ApiParts, connections: Iterable<OpenConnection>, scope: Scope): Generator<Row> {
  yield* pushingRows(api, scope)
  yield* consumerRows(api, connections, scope)
}

/** Webhooks have no channel. */
function* pushingRows(api: ApiParts, scope: Scope): Generator<Row> {
  for (const { webhook, consumer } of api.webhooks.running()) {
    const { name: vhost } = webhook.home
    const isWanted =
      scope.channel === undefined &&
      isIt(scope.vhost, vhost) &&
      isIt(scope.queue, consumer.queue.definition.id) &&
      scope.vhosts?.includes(vhost) !== false
    if (isWanted) yield { name: consumer.tag, json: () => pushingJson(api, webhook, consumer) }
  }
}

function* consumerRows(api: ApiParts, connections: Iterable<OpenConnection>, scope: Scope): Generator<Row> {
  for (const connection of connections) {
    for (const channel of connection.channels()) {
      if (!isIt(scope.channel, channelName(connection, channel))) continue
      for (const consumer of channel.consumers) {
        if (!isIt(scope.queue, consumer.queue.definition.id)) continue
        yield { name: consumer.tag, json: () => consumerJson(api, connection, channel, consumer) }
      }
    }
  }
}
