/** Connections, channels and consumers of this node as lists. */
import type { OpenConnection } from '../../broker/connection-directory.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { Answer } from './answer.ts'
import { chosen, type Entries, type Range } from './chosen.ts'
import { channelName } from './connection-json.ts'
import { type ConsumerPlace, channelView, connectionView, consumerView, type OnConnection } from './connection-views.ts'
import { listedAs, type Wish } from './list.ts'
import type { Spans } from './rates.ts'
import type { ApiRequest } from './request.ts'
import type { Api, ApiParts } from './route.ts'
import { type Listing, shownBy } from './view.ts'

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

export type ConnectionList = 'connections' | 'channels' | 'consumers'

export interface AskedList {
  readonly list: ConnectionList
  readonly scope: Scope
  readonly spans: Spans
}

/** Answers a request with what this node has. */
export function listedOfList(api: Api, request: ApiRequest, asked: AskedList): Promise<Answer> {
  return withListing(api, asked, (listing) => listedAs(api, request, listing))
}

export function chosenOfList(api: ApiParts, asked: AskedList, wish: Wish, range: Range): Promise<Entries> {
  return withListing<Promise<Entries>>(api, asked, ({ things, view }) =>
    chosen(api, { things, view: shownBy(view, wish.columns) }, wish, range),
  )
}

/** Null: there is none. */
export function firstOfList(api: ApiParts, asked: AskedList): JsonObject | null {
  return withListing(api, asked, ({ things, view }) => {
    for (const thing of things) return view.json(thing)
    return null
  })
}

function withListing<R>(api: ApiParts, { list, scope, spans }: AskedList, use: <T>(listing: Listing<T>) => R): R {
  const wanted = connectionsIn(api, scope)
  if (list === 'connections') return use({ things: wanted, view: connectionView(api, spans) })
  if (list === 'channels') return use({ things: channelsIn(wanted, scope), view: channelView(api, spans) })
  return use({ things: consumersIn(api, wanted, scope), view: consumerView(api) })
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

function* channelsIn(connections: Iterable<OpenConnection>, scope: Scope): Generator<OnConnection> {
  for (const connection of connections) {
    for (const channel of connection.channels()) {
      if (isIt(scope.channel, channelName(connection, channel))) yield { connection, channel }
    }
  }
}

function* consumersIn(api: ApiParts, connections: Iterable<OpenConnection>, scope: Scope): Generator<ConsumerPlace> {
  yield* pushingIn(api, scope)
  for (const { connection, channel } of channelsIn(connections, scope)) {
    for (const consumer of channel.consumers) {
      if (isIt(scope.queue, consumer.queue.definition.id)) yield { consumer, connection, channel }
    }
  }
}

/** Webhooks have no channel. */
function* pushingIn(api: ApiParts, scope: Scope): Generator<ConsumerPlace> {
  for (const { webhook, consumer } of api.webhooks.running()) {
    const { name: vhost } = webhook.home
    const isWanted =
      scope.channel === undefined &&
      isIt(scope.vhost, vhost) &&
      isIt(scope.queue, consumer.queue.definition.id) &&
      scope.vhosts?.includes(vhost) !== false
    if (isWanted) yield { consumer, webhook }
  }
}
