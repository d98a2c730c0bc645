import { Crew, type CrewOutcome } from './load/crew.ts'
import { monotonicMs } from './load/monotonic-time.ts'
import type { Topology } from './load/topology.ts'
import { Meter, type MeterReading } from './meter.ts'
import type { QuietConnection } from './quiet-connection.ts'
import { consumeJobs, publishJobs, shares } from './row-jobs.ts'
import type { RunContext } from './run-context.ts'
import { findFaults, phaseResult, type RunResult } from './run-result.ts'
import type { Percentiles } from './stats/histogram.ts'

interface Measured extends MeterReading {
  readonly sent: number
  readonly delivered: number
}

/**
 * Published and consumed at once: warm up, measure for a time, stop publishing, wait until all has arrived, check.
 */
export async function runFlow(
  context: RunContext,
  topology: Topology,
  quiet: QuietConnection | null,
): Promise<RunResult> {
  const publish = publishJobs(context.row, topology, context.jobs)
  const consume = consumeJobs(context.row, topology, context.jobs)
  const crew = await Crew.start(shares(publish, consume, context.jobs.threads))
  const crews = quiet === null ? [crew] : [crew, quiet.crew]
  try {
    await context.watch.wait(crew.order('consume', 'consuming'), crews)
    const published = publishAll(crew)
    await context.watch.sleep(context.warmUpSeconds, crews)
    const measured = await measure(context, crew, quiet)
    await drained(context, crew, published, crews)
    const outcome = await context.watch.wait(crew.finish(), crews)
    return resultOf(context, crew, measured, outcome, (await quiet?.finish()) ?? null)
  } finally {
    await crew.end()
  }
}

/** Starts all publishers; `isOver` turns true once the last has sent and confirmed everything. */
function publishAll(crew: Crew): { isOver: boolean } {
  const state = { isOver: false }
  const end = (): void => {
    state.isOver = true
  }
  // A failing thread is noticed by every wait of the watch; here it only must not be left unhandled.
  crew.order('publish', 'published').then(end, end)
  return state
}

async function measure(context: RunContext, crew: Crew, quiet: QuietConnection | null): Promise<Measured> {
  const { board } = crew
  const crews = quiet === null ? [crew] : [crew, quiet.crew]
  const meter = new Meter(context.target.usage, context.target.gcLogPath, context.target.loopLogPath)
  const sent = board.sent()
  const delivered = board.delivered()
  board.measuredFrom = monotonicMs()
  quiet?.measureFrom(board.measuredFrom)
  await context.watch.sleep(context.seconds, crews, () => meter.look())
  const flow = { sent: board.sent() - sent, delivered: board.delivered() - delivered }
  const reading = meter.stop(flow.delivered)
  board.measuredUntil = monotonicMs()
  quiet?.measureUntil(board.measuredUntil)
  board.stop()
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
  const { sent, delivered, seconds } = measured
  const copies = context.row.isFanout ? context.row.queues : 1
  const faults = findFaults({ due: crew.board.sent() * copies, came: crew.board.delivered(), copies }, outcome)
  return {
    ...phaseResult(measured),
    publishedPerSecond: sent / seconds,
    deliveredPerSecond: delivered / seconds,
    deliverLatency: outcome.deliverLatency.percentiles(),
    confirmLatency: outcome.confirmLatency.percentiles(),
    quietLatency,
    blockedMs: outcome.blockedMs,
    problems: [...outcome.problems, ...faults],
  }
}
