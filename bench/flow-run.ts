import { Crew, type CrewOutcome } from './load/crew.ts'
import { monotonicMs } from './load/monotonic-time.ts'
import type { Topology } from './load/topology.ts'
import { Meter, type MeterReading } from './meter.ts'
import { consumeJobs, publishJobs, shares } from './row-jobs.ts'
import type { RunContext } from './run-context.ts'
import { findFaults, type RunResult } from './run-result.ts'
import type { Percentiles } from './stats/histogram.ts'

interface Measured extends MeterReading {
  readonly sent: number
  readonly delivered: number
}

/**
 * Published and consumed at once: warm up, measure for a time, stop publishing, wait until all has arrived, check.
 * `quiet` is a light connection's crew that runs beside from the first message to the last.
 */
export async function runFlow(context: RunContext, topology: Topology, quiet: Crew | null): Promise<RunResult> {
  const publish = publishJobs(context.row, topology, context.jobs)
  const consume = consumeJobs(context.row, topology, context.jobs)
  const crew = await Crew.start(shares(publish, consume, context.jobs.threads))
  const crews = quiet === null ? [crew] : [crew, quiet]
  try {
    for (const each of crews) await context.watch.wait(each.order('consume', 'consuming'), crews)
    const published = publishAll(crews)
    await context.watch.sleep(context.warmUpSeconds, crews)
    const measured = await measure(context, crews)
    await drained(context, crew, published, crews)
    const outcome = await context.watch.wait(crew.finish(), crews)
    const quietOutcome = quiet === null ? null : await context.watch.wait(quiet.finish(), [quiet])
    return resultOf(context, crew, measured, outcome, quietOutcome?.deliverLatency.percentiles() ?? null)
  } finally {
    await crew.end()
  }
}

/** Starts all publishers; `isOver` turns true once the last has sent and confirmed everything. */
function publishAll(crews: readonly Crew[]): { isOver: boolean } {
  const state = { isOver: false }
  const end = (): void => {
    state.isOver = true
  }
  // A failing thread is noticed by every wait of the watch; here it only must not be left unhandled.
  Promise.all(crews.map((crew) => crew.order('publish', 'published'))).then(end, end)
  return state
}

async function measure(context: RunContext, crews: readonly Crew[]): Promise<Measured> {
  const meter = new Meter(context.target.usage, context.target.gcLogPath)
  const [crew] = crews
  if (crew === undefined) throw new Error('nothing to measure')
  const sent = crew.board.sent()
  const delivered = crew.board.delivered()
  const from = monotonicMs()
  for (const { board } of crews) board.measuredFrom = from
  await context.watch.sleep(context.seconds, crews, () => meter.look())
  const flow = { sent: crew.board.sent() - sent, delivered: crew.board.delivered() - delivered }
  const reading = meter.stop(flow.delivered)
  const until = monotonicMs()
  for (const { board } of crews) {
    board.measuredUntil = until
    board.stop()
  }
  return { ...flow, ...reading }
}

/** Everything sent has been confirmed and delivered, or does not come any more. */
async function drained(context: RunContext, crew: Crew, published: { isOver: boolean }, crews: readonly Crew[]) {
  const { board } = crew
  const copies = context.row.isFanout ? context.row.queues : 1
  await context.watch.until(
    () => published.isOver,
    () => board.confirmed() + board.delivered(),
    crews,
  )
  await context.watch.until(
    () => board.delivered() >= board.sent() * copies,
    () => board.delivered(),
    crews,
  )
}

function resultOf(
  context: RunContext,
  crew: Crew,
  measured: Measured,
  outcome: CrewOutcome,
  quietLatency: Percentiles | null,
): RunResult {
  const { sent, delivered, seconds, broker, generatorCores, gc } = measured
  const copies = context.row.isFanout ? context.row.queues : 1
  const faults = findFaults({ due: crew.board.sent() * copies, came: crew.board.delivered(), copies }, outcome)
  return {
    seconds,
    publishedPerSecond: sent / seconds,
    deliveredPerSecond: delivered / seconds,
    deliverLatency: outcome.deliverLatency.percentiles(),
    confirmLatency: outcome.confirmLatency.percentiles(),
    quietLatency,
    broker,
    generatorCores,
    gc,
    blockedMs: outcome.blockedMs,
    problems: [...outcome.problems, ...faults],
  }
}
