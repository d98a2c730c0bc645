import type { Histogram } from '../../base/histogram.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type Answer, ApiError, ok } from './answer.ts'
import { overviewJson } from './overview.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** What RabbitMQ has not: how safe what was confirmed is, and rates as they come. */
export const warrenRoutes: readonly Route[] = [
  route('GET', '/durability', (api) => ok(durability(api)), { level: 'monitoring' }),
  route('GET', '/warren/rates', rates),
]

// ---------------------------------------------------------------- durability

function durability({ machine, broker, cluster }: Api): JsonObject {
  const { io } = machine
  const openings = io?.openings ?? []
  const hasFiles = openings.length > 0
  const known = hasFiles ? io : null
  return {
    storage: cluster !== null ? 'cluster' : hasFiles ? 'files' : 'memory',
    synced: cluster !== null ? 'by a majority, before each confirm' : hasFiles ? 'before each confirm' : 'never',
    publish_gate: broker.publishGate,
    last_commit_at: known === null || known.lastCommitAt === 0 ? null : known.lastCommitAt,
    commits: known === null ? null : total(known.commitSeconds),
    commit_seconds: known === null ? null : histogramJson(known.commitSeconds),
    commit_bytes: known === null ? null : histogramJson(known.commitBytes),
    opened: openings.map(({ log, at, isClean, isTorn, file, offset, copiedBytes }) => ({
      log,
      at,
      was_closed: isClean,
      was_cut: isTorn,
      file,
      offset,
      copied_bytes: copiedBytes,
    })),
  }
}

function total({ counts }: Histogram): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

function histogramJson(histogram: Histogram): JsonObject {
  const { bounds, counts, sum } = histogram
  const count = total(histogram)
  const buckets = [...counts].map((number, index) => ({ up_to: bounds[index] ?? null, count: number }))
  return { mean: count === 0 ? 0 : sum / count, buckets }
}

// ---------------------------------------------------------------- rates as they come

/** Streams of events at one time. */
const streamsMax = 32

/** Server-Sent Events: after each look of the sampler what `/overview` says of messages and totals, for its reader. */
function rates(api: Api, request: ApiRequest): Answer {
  if (api.eventStreams.open >= streamsMax)
    throw new ApiError(429, 'too_many_requests', `${streamsMax} streams of events are open already`)
  return { status: 200, text: events(api, request), headers: { 'content-type': 'text/event-stream' } }
}

async function* events(api: Api, request: ApiRequest): AsyncGenerator<string> {
  const { eventStreams, broker } = api
  eventStreams.open++
  try {
    // Who is deleted meanwhile hears no more.
    while (broker.topology.users.has(request.caller.username)) {
      const { message_stats, queue_totals, object_totals, churn_rates } = await overviewJson(api, request)
      const data = { at: api.sampler.lastLook, message_stats, queue_totals, object_totals, churn_rates }
      yield `event: rates\ndata: ${JSON.stringify(data)}\n\n`
      await nextLook(api)
    }
  } finally {
    eventStreams.open--
  }
}

function nextLook({ sampler }: Api): Promise<void> {
  return new Promise((resolve) => {
    const stop = sampler.hear(() => {
      stop()
      resolve()
    })
  })
}
