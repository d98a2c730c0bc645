import { createHash } from 'node:crypto'
import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Binding, Destination } from '../../broker/topology/binding.ts'
import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import type { Exchange } from '../../broker/topology/exchange.ts'
import { canonicalText } from '../../broker/topology/field-values.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, badRequest, created, noContent, notFound } from './answer.ts'
import { command } from './in-session.ts'
import { listedAs, one } from './list.ts'
import { type ApiRequest, exchangeParam, type Fields, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { tableField } from './tables.ts'
import { readerOf, type View, type ViewFields } from './view.ts'

type Kind = Destination['kind']

/** Bindings, by where they come from and where they lead. */
export const bindingRoutes: readonly Route[] = [
  route('GET', '/bindings', (api, request) => listedBindings(api, request, allIn(request.caller.visibleVhosts()))),
  route('GET', '/bindings/{vhost}', (api, request) => listedBindings(api, request, allIn([vhostOf(request)]))),
  ...between('q', 'queue'),
  ...between('e', 'exchange'),
]

/** All bindings of one exchange to one queue, or to one exchange. */
function between(letter: 'q' | 'e', kind: Kind): Route[] {
  const path = `/bindings/{vhost}/e/{source}/${letter}/{destination}`
  return [
    route('GET', path, (api, request) => {
      const ends = endsOf(request, kind)
      return listedBindings(api, request, ends === null ? [] : bindingsTo(ends))
    }),
    route('POST', path, (api, request) => bind(api, request, kind)),
    route('GET', `${path}/{properties}`, (_api, request) => one(request, bindingJson(bindingOf(request, kind)))),
    route('DELETE', `${path}/{properties}`, async (api, request) => {
      const args = argumentsOf(bindingOf(request, kind))
      await command<boolean>(api, request, (session, reply) =>
        kind === 'queue'
          ? session.vhost.unbindQueue(session, args, reply)
          : session.vhost.unbindExchange(session, args, reply),
      )
      return noContent
    }),
  ]
}

/** As long as the wire lets it be. */
function shortText(fields: Fields, key: string): string {
  const text = fields.textOr(key, '')
  if (encodedBytes(text) > shortStringBytesMax) throw badRequest(`${key} is longer than ${shortStringBytesMax} bytes`)
  return text
}

async function bind(api: Api, request: ApiRequest, kind: Kind): Promise<Answer> {
  const fields = await request.fields()
  const [source, destination] = namesOf(request, kind)
  const table = tableField(fields, 'arguments')
  const args = { source, destination, bindingKey: shortText(fields, 'routing_key'), arguments: table }
  await command<boolean>(api, request, (session, reply) =>
    kind === 'queue' ? session.vhost.bindQueue(session, args, reply) : session.vhost.bindExchange(session, args, reply),
  )
  const properties = propertiesKey(args.bindingKey, table.fields.size === 0 ? '' : canonicalText(table))
  return created(`${encodeURIComponent(destination)}/${encodeURIComponent(properties)}`)
}

// ---------------------------------------------------------------- found

function namesOf(request: ApiRequest, kind: Kind): [source: string, destination: string] {
  const destination = kind === 'queue' ? param(request, 'destination') : exchangeParam(request, 'destination')
  return [exchangeParam(request, 'source'), destination]
}

/** Null: there is no such exchange or queue, and so nothing between them. */
function endsOf(request: ApiRequest, kind: Kind): Ends | null {
  const { exchanges, queues } = vhostOf(request)
  const [sourceName, destinationName] = namesOf(request, kind)
  const source = exchanges.get(sourceName)
  const destination = (kind === 'queue' ? queues : exchanges).get(destinationName)
  return source === undefined || destination === undefined ? null : { source, destination }
}

interface Ends {
  readonly source: Exchange
  readonly destination: Destination
}

function bindingOf(request: ApiRequest, kind: Kind): Binding {
  const ends = endsOf(request, kind)
  const properties = param(request, 'properties')
  for (const binding of ends?.destination.incoming ?? []) {
    if (binding.source === ends?.source && keyOf(binding) === properties) return binding
  }
  throw notFound()
}

function argumentsOf({ source, destination, key, arguments: table }: Binding): {
  source: string
  destination: string
  bindingKey: string
  arguments: Binding['arguments']
} {
  return { source: source.name, destination: destination.name, bindingKey: key, arguments: table }
}

// ---------------------------------------------------------------- shown

/** A binding, or a queue: each is bound to the default exchange by its name, without a binding that is kept. */
export type Bound = Binding | DeclaredQueue

export function listedBindings(api: Api, request: ApiRequest, things: Iterable<Bound>): Promise<Answer> {
  return listedAs(api, request, { things, view: bindingView })
}

function* allIn(vhosts: Iterable<VhostState>): Generator<Bound> {
  for (const vhost of vhosts) for (const exchange of vhost.exchanges.values()) yield* bindingsFrom(exchange)
}

export function* bindingsFrom(exchange: Exchange): Generator<Bound> {
  if (exchange.name === '') yield* exchange.home.queues.values()
  for (const binding of exchange.outgoing.values()) if (!binding.isGone) yield binding
}

function* bindingsTo({ source, destination }: Ends): Generator<Bound> {
  if (source.name === '' && destination.kind === 'queue') yield destination
  for (const binding of destination.incoming) if (binding.source === source) yield binding
}

const fieldsOfBinding: ViewFields<Bound> = {
  source: (bound) => ('source' in bound ? bound.source.name : ''),
  vhost: (bound) => ('source' in bound ? bound.source.home.name : bound.vhost),
  destination: (bound) => ('source' in bound ? bound.destination.name : bound.name),
  destination_type: (bound) => ('source' in bound ? bound.destination.kind : 'queue'),
  routing_key: routingKeyOf,
  arguments: (bound) => ('source' in bound ? jsonOfTable(bound.arguments) : {}),
  properties_key: (bound) => ('source' in bound ? keyOf(bound) : propertiesKey(bound.name, '')),
}

const bindingView: View<Bound> = {
  nameOf: routingKeyOf,
  json: (bound) => ('source' in bound ? bindingJson(bound) : defaultBinding(bound)),
  fields: fieldsOfBinding,
  reader: (path) => readerOf(path, fieldsOfBinding),
}

function routingKeyOf(bound: Bound): string {
  return 'source' in bound ? bound.key : bound.name
}

function defaultBinding({ name, vhost }: DeclaredQueue): JsonObject {
  const ends = { source: '', vhost, destination: name, destination_type: 'queue' }
  return { ...ends, routing_key: name, arguments: {}, properties_key: propertiesKey(name, '') }
}

function bindingJson(binding: Binding): JsonObject {
  const { source, destination, key, arguments: table } = binding
  return {
    source: source.name,
    vhost: source.home.name,
    destination: destination.name,
    destination_type: destination.kind,
    routing_key: key,
    arguments: jsonOfTable(table),
    properties_key: keyOf(binding),
  }
}

function keyOf({ key, arguments: table }: Binding): string {
  return propertiesKey(key, table.fields.size === 0 ? '' : canonicalText(table))
}

/** Tells bindings between the same two apart: the key, with a digest of the arguments where there are any. */
function propertiesKey(key: string, argumentsText: string): string {
  const quoted = encodeURIComponent(key.replaceAll(/\p{Cs}/gu, '\ufffd')).replaceAll('~', '%7E')
  if (argumentsText === '') return quoted === '' ? '~' : quoted
  return `${quoted}~${createHash('sha256').update(argumentsText).digest('base64url').slice(0, 12)}`
}
