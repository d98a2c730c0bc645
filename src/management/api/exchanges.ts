import type { JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import type { Exchange } from '../../broker/topology/exchange.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, created, noContent, notFound } from './answer.ts'
import { bindingJson, bindingsFrom } from './bindings.ts'
import { command } from './in-session.ts'
import { listed, one, type Row, rowsOf } from './list.ts'
import { exchangeStats } from './message-stats.ts'
import { type Spans, spansOf } from './rates.ts'
import { type ApiRequest, exchangeParam, isSet, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { tableField } from './tables.ts'

/** Exchanges: listed, shown, declared and deleted, by the commands that channels use. */
export const exchangeRoutes: readonly Route[] = [
  route('GET', '/exchanges', (api, request) =>
    listed(api, request, rows(spansOf(api, request), request.caller.visibleVhosts())),
  ),
  route('GET', '/exchanges/{vhost}', (api, request) =>
    listed(api, request, rows(spansOf(api, request), [vhostOf(request)])),
  ),
  route('GET', '/exchanges/{vhost}/{name}', (api, request) =>
    one(request, {
      ...exchangeJson(exchangeOf(request), spansOf(api, request)),
      incoming: [],
      outgoing: [],
    }),
  ),
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

function* rows(spans: Spans, vhosts: Iterable<VhostState>): Generator<Row> {
  const show = (exchange: Exchange): JsonObject => exchangeJson(exchange, spans)
  for (const { exchanges } of vhosts) yield* rowsOf(exchanges.values(), ({ name }) => name, show)
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
  await command<void>(api, request, (session, reply) => session.vhost.declareExchange(session, args, reply))
  return wasThere ? noContent : created()
}
