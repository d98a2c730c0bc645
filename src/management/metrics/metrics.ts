import { inSlices } from '../../base/sliced.ts'
import type { ApiParts } from '../api/route.ts'
import { textParts } from '../api/text-parts.ts'
import { type Family, familyPieces } from './family.ts'
import {
  aggregatedFamilies,
  churn,
  globalFamilies,
  identityFamilies,
  loginFamilies,
  nodeFamilies,
} from './node-families.ts'
import { type Chosen, objectFamilies } from './object-families.ts'
import { ownFamilies } from './own-families.ts'
import { readMachine } from './readings.ts'
import { totalsOf } from './totals.ts'
import { webhookFamilies } from './webhook-families.ts'

/** The pages there are, by path. */
export const metricsPaths = ['/metrics', '/metrics/per-object', '/metrics/detailed'] as const
export type MetricsPath = (typeof metricsPaths)[number]

export function isMetricsPath(path: string): path is MetricsPath {
  return metricsPaths.some((known) => known === path)
}

/**
 * One page, in parts as they are taken: written in slices of the run queue, so that 100,000 queues hold nobody up.
 * `/metrics` adds everything up, `/metrics/per-object` tells of each thing by itself, `/metrics/detailed` of the groups
 * that are asked for (`family=queue_coarse_metrics`), perhaps in some vhosts only (`vhost=…`).
 */
export async function metricsText(
  parts: ApiParts,
  path: MetricsPath,
  query: URLSearchParams,
): Promise<AsyncIterable<string>> {
  return textParts(parts.runQueue, familyPieces(await familiesOf(parts, path, query)))
}

async function familiesOf(parts: ApiParts, path: MetricsPath, query: URLSearchParams): Promise<Iterable<Family>> {
  if (path === '/metrics/detailed') return detailed(parts, query)
  const readings = await readMachine(parts.machine)
  parts.machine.process.resetDelays()
  const totals = await inSlices(parts.runQueue, totalsOf(parts))
  const isAggregated = path === '/metrics'
  return together([
    identityFamilies(parts, isAggregated ? 'aggregated' : 'per-object'),
    nodeFamilies(parts, readings, totals),
    churn(parts, 'rabbitmq_'),
    loginFamilies(parts, 'rabbitmq_'),
    isAggregated ? aggregatedFamilies(parts, totals) : objectFamilies(parts, everything),
    globalFamilies(totals),
    ownFamilies(parts, readings),
    webhookFamilies(parts),
  ])
}

const everything: Chosen = { prefix: 'rabbitmq_', has: () => true, hasVhost: () => true }

function detailed(parts: ApiParts, query: URLSearchParams): Iterable<Family> {
  const groups = new Set(query.getAll('family'))
  const vhosts = new Set(query.getAll('vhost'))
  const prefix = 'rabbitmq_detailed_'
  const chosen: Chosen = {
    prefix,
    has: (group) => groups.has(group),
    hasVhost: (name) => vhosts.size === 0 || vhosts.has(name),
  }
  return together([
    identityFamilies(parts, 'detailed'),
    groups.has('connection_churn_metrics') ? churn(parts, prefix) : [],
    groups.has('auth_attempt_metrics') ? loginFamilies(parts, prefix) : [],
    objectFamilies(parts, chosen),
  ])
}

function* together(groups: readonly Iterable<Family>[]): Generator<Family> {
  for (const group of groups) yield* group
}
