import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { exchangeStats, queueStats } from '../message-stats.ts'
import type { Spans } from '../rates.ts'
import type { ApiParts } from '../route.ts'
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
  for (const id of ids) {
    const found = statsOf(api, of, id, spans)
    if (Object.keys(found).length > 0) stats.set(String(id), found)
    yield
  }
  return Object.fromEntries(stats)
}

function statsOf(api: ApiParts, of: StatsOf, id: number | string, spans: Spans): JsonObject {
  const { topology } = api.broker
  if (of === 'vhosts') {
    const vhost = topology.vhosts.get(String(id))
    return vhost === undefined ? {} : ownVhostStats(api, vhost, spans)
  }
  const definition = topology.definition(Number(id))
  if (definition?.kind === 'queue') return queueStats(definition.counts, spans.rates)
  return definition?.kind === 'exchange' ? exchangeStats(definition.counts, spans.rates) : {}
}
