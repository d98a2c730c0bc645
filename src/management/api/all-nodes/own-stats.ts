import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { exchangeStats, queueStats } from '../message-stats.ts'
import { ownOffsets } from '../queue-view.ts'
import type { Spans } from '../rates.ts'
import type { ApiParts } from '../route.ts'
import { VhostTraffic } from '../vhost-traffic.ts'
import { ownVhostStats } from '../vhosts.ts'
import type { StatsOf } from './question.ts'

/** What happened here to these; those to which nothing has happened, or that are gone, are left out. */
export function* ownStats(
  api: ApiParts,
  of: StatsOf,
  ids: readonly (number | string)[],
  spans: Spans,
): Generator<void, Readonly<Record<string, JsonObject>>> {
  const stats = new Map<string, JsonObject>()
  const traffic = of === 'vhosts' ? yield* VhostTraffic.of(api.connections.openConnections) : null
  for (const id of ids) {
    const found = traffic === null ? statsOf(api, Number(id), spans) : vhostStats(api, String(id), traffic, spans)
    if (Object.keys(found).length > 0) stats.set(String(id), found)
    yield
  }
  return Object.fromEntries(stats)
}

function vhostStats({ broker }: ApiParts, name: string, traffic: VhostTraffic, spans: Spans): JsonObject {
  const vhost = broker.topology.vhosts.get(name)
  return vhost === undefined ? {} : ownVhostStats(vhost, traffic, spans)
}

function statsOf(api: ApiParts, id: number, spans: Spans): JsonObject {
  const definition = api.broker.topology.definition(id)
  if (definition?.kind === 'queue') {
    return { ...queueStats(definition.counts, spans.rates), ...ownOffsets(api, definition) }
  }
  return definition?.kind === 'exchange' ? exchangeStats(definition.counts, spans.rates) : {}
}
