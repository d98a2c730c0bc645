import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Exchange } from '../../broker/topology/exchange.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { completeOne, completionOf, otherKeys, summedReader } from './all-nodes/stats-of-all.ts'
import { type Answer, created, noContent, notFound } from './answer.ts'
import { bindingsFrom, listedBindings } from './bindings.ts'
import { command } from './in-session.ts'
import { listedAs, one } from './list.ts'
import { exchangeStatReader, exchangeStats } from './message-stats.ts'
import { type Spans, spansOf } from './rates.ts'
import { type ApiRequest, exchangeParam, isSet, vhostOf } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'
import { tableField } from './tables.ts'
import { keyView, type Listing, type Path, readerOf, type View, type ViewFields } from './view.ts'

/** Exchanges: listed, shown, declared and deleted, by the commands that channels use. */
export const exchangeRoutes: readonly Route[] = [
  route('GET', '/exchanges', (api, request) => listOf(api, request, request.caller.visibleVhosts())),
  route('GET', '/exchanges/{vhost}', (api, request) => listOf(api, request, [vhostOf(request)])),
  route('GET', '/exchanges/{vhost}/{name}', async (api, request) => {
    const exchange = exchangeOf(request)
    const nodes = new NodesAsked(api)
    const spans = spansOf(api, request)
    const own = exchangeJson(exchange, spans)
    const json = await completeOne(api, nodes, 'exchanges', { id: exchange.id, json: own, spans })
    return nodes.noted(one(request, { ...json, incoming: [], outgoing: [] }))
  }),
  route('PUT', '/exchanges/{vhost}/{name}', declare),
  route('DELETE', '/exchanges/{vhost}/{name}', async (api, request) => {
    const { name } = exchangeOf(request)
    const ifUnused = isSet(request, 'if-unused')
    await command<void>(api, request, (session, reply) => session.vhost.deleteExchange(session, name, ifUnused, reply))
    return noContent
  }),
  route('GET', '/exchanges/{vhost}/{name}/bindings/source', (api, request) =>
    listedBindings(api, request, bindingsFrom(exchangeOf(request))),
  ),
  route('GET', '/exchanges/{vhost}/{name}/bindings/destination', (api, request) =>
    listedBindings(api, request, exchangeOf(request).incoming),
  ),
]

async function listOf(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  const others = await otherKeys(api, request, 'exchange-keys')
  const listing = { things: exchangesIn(vhosts), view: exchangeView(spansOf(api, request), others) }
  return await listedAs(api, request, listing, completionOf(api, request, 'exchanges'))
}

function* exchangesIn(vhosts: Iterable<VhostState>): Generator<Exchange> {
  for (const vhost of vhosts) yield* vhost.exchanges.values()
}

/** `others`: what other nodes add to the numbers that are sorted by. */
function exchangeView(spans: Spans, others: ReadonlyMap<number, number>): View<Exchange> {
  const fields: ViewFields<Exchange> = {
    ...known,
    message_stats: ({ counts }) => exchangeStats(counts, spans.rates).message_stats,
  }
  return {
    nameOf: ({ name }) => name,
    idOf: ({ id }) => id,
    json: (exchange) => exchangeJson(exchange, spans),
    fields,
    reader: (path) => summedReader(exchangeReader(path) ?? readerOf(path, fields), others),
  }
}

const known: ViewFields<Exchange> = {
  name: ({ name }) => name,
  vhost: ({ home }) => home.name,
  type: ({ type }) => type,
  durable: ({ isDurable }) => isDurable,
  auto_delete: ({ isAutoDelete }) => isAutoDelete,
  internal: ({ isInternal }) => isInternal,
  arguments: ({ arguments: table }) => jsonOfTable(table),
  policy: ({ applied }) => applied.policy?.name ?? null,
  user_who_performed_action: () => '',
}

/** What exchanges that something happened to here are sorted by, for another node. */
export function exchangeKeys({ broker }: ApiParts, path: Path): Listing<Exchange> {
  const read = exchangeReader(path)
  return {
    things: exchangesIn(broker.topology.vhosts.values()),
    isOf: ({ counts }) => counts.publishIn > 0,
    view: keyView((exchange) => read?.(exchange)),
  }
}

function exchangeReader(path: Path): ((exchange: Exchange) => number | null) | null {
  const read = exchangeStatReader(path)
  return read === null ? null : ({ counts }) => read(counts)
}

export function exchangeOf(request: ApiRequest): Exchange {
  const exchange = vhostOf(request).exchanges.get(exchangeParam(request, 'name'))
  if (exchange === undefined) throw notFound()
  return exchange
}

function exchangeJson(exchange: Exchange, spans: Spans): JsonObject {
  return {
    name: exchange.name,
    vhost: exchange.home.name,
    type: exchange.type,
    durable: exchange.isDurable,
    auto_delete: exchange.isAutoDelete,
    internal: exchange.isInternal,
    arguments: jsonOfTable(exchange.arguments),
    policy: exchange.applied.policy?.name ?? null,
    user_who_performed_action: '',
    ...exchangeStats(exchange.counts, spans.rates),
  }
}

async function declare(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const name = exchangeParam(request, 'name')
  const wasThere = vhostOf(request).exchanges.has(name)
  const args = {
    name,
    type: fields.textOr('type', 'direct'),
    isPassive: false,
    isDurable: fields.flag('durable', false),
    isAutoDelete: fields.flag('auto_delete', false),
    isInternal: fields.flag('internal', false),
    arguments: tableField(fields, 'arguments'),
  }
  await command<boolean>(api, request, (session, reply) => session.vhost.declareExchange(session, args, reply))
  return wasThere ? noContent : created()
}
