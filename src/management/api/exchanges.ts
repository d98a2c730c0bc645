import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Exchange } from '../../broker/topology/exchange.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { completeOne, completionOf, otherKeys, summedKey } from './all-nodes/stats-of-all.ts'
import { type Answer, created, noContent, notFound } from './answer.ts'
import { bindingJson, bindingsFrom } from './bindings.ts'
import { valueAt } from './columns.ts'
import { command } from './in-session.ts'
import { listed, one, type Row, rowsOf } from './list.ts'
import { exchangeStats } from './message-stats.ts'
import { type Spans, spansOf } from './rates.ts'
import { type ApiRequest, exchangeParam, isSet, vhostOf } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'
import { tableField } from './tables.ts'

/** Exchanges: listed, shown, declared and deleted, by the commands that channels use. */
export const exchangeRoutes: readonly Route[] = [
  route('GET', '/exchanges', (api, request) => listOf(api, request, request.caller.visibleVhosts())),
  route('GET', '/exchanges/{vhost}', (api, request) => listOf(api, request, [vhostOf(request)])),
  route('GET', '/exchanges/{vhost}/{name}', async (api, request) => {
    const nodes = new NodesAsked(api)
    const spans = spansOf(api, request)
    const json = await completeOne(api, nodes, 'exchanges', { row: rowOf(exchangeOf(request), spans), spans })
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
    listed(api, request, bindingsFrom(exchangeOf(request))),
  ),
  route('GET', '/exchanges/{vhost}/{name}/bindings/destination', (api, request) =>
    listed(
      api,
      request,
      rowsOf(exchangeOf(request).incoming, ({ key }) => key, bindingJson),
    ),
  ),
]

async function listOf(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  const others = await otherKeys(api, request, 'exchange-keys')
  const rows = rowsIn(vhosts, spansOf(api, request), others)
  return await listed(api, request, rows, completionOf(api, request, 'exchanges'))
}

/** `others`: what other nodes add to the numbers that are sorted by. */
function* rowsIn(vhosts: Iterable<VhostState>, spans: Spans, others: ReadonlyMap<number, number>): Generator<Row> {
  for (const { exchanges } of vhosts) {
    for (const exchange of exchanges.values()) {
      const row = rowOf(exchange, spans)
      yield { ...row, sortKey: (path) => summedKey(row, path, others) }
    }
  }
}

function rowOf(exchange: Exchange, spans: Spans): Row {
  return { name: exchange.name, id: exchange.id, json: () => exchangeJson(exchange, spans) }
}

/** What exchanges that something happened to here are sorted by, for another node. */
export function* exchangeKeyRows({ broker }: ApiParts, path: readonly string[]): Generator<Row> {
  for (const { exchanges } of broker.topology.vhosts.values()) {
    for (const { id, name, counts } of exchanges.values()) {
      if (counts.publishIn === 0) continue
      yield { name, json: () => ({ id, key: valueAt(exchangeStats(counts, null), path) ?? null }) }
    }
  }
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
