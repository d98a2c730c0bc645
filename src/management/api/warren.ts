import { type Answer, ApiError, ok } from './answer.ts'
import { durabilityJson } from './durability.ts'
import { overviewJson } from './overview.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** What RabbitMQ has not: how safe what was confirmed is, and rates as they come. */
export const warrenRoutes: readonly Route[] = [
  route('GET', '/durability', (api) => ok(durabilityJson(api)), { level: 'monitoring' }),
  route('GET', '/warren/rates', rates),
]

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
