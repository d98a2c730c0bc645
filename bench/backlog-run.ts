import { Crew, type CrewOutcome } from './load/crew.ts'
import { monotonicMs } from './load/monotonic-time.ts'
import type { Topology } from './load/topology.ts'
import { Meter } from './meter.ts'
import { besideQuiet, type QuietConnection } from './quiet-connection.ts'
import { consumeJobs, publishJobs, shares } from './row-jobs.ts'
import type { RunContext } from './run-context.ts'
import { findFaults, phaseResult, type RunResult } from './run-result.ts'

/** Memory is looked at so long after the last confirm: the waiting messages' share, not the rush's. */
const settleSeconds = 1

/** Fills one queue with confirmed messages, looks at the broker's memory, then drains the queue in order. */
export async function runBacklog(
  context: RunContext,
  topology: Topology,
): Promise<{ fill: RunResult; drain: RunResult }> {
  const publish = publishJobs(context.row, topology, context.jobs)
  const filler = await Crew.start(shares(publish, [], context.jobs.threads))
  const filled = await besideQuiet(context, (quiet) => fill(context, filler, quiet)).finally(() => filler.end())
  const consume = consumeJobs(context.row, topology, context.jobs)
  const drainer = await Crew.start(shares([], consume, context.jobs.threads))
  const work = (quiet: QuietConnection | null) => drain(context, drainer, quiet, filled.outcome)
  const drained = await besideQuiet(context, work).finally(() => drainer.end())
  return { fill: filled.result, drain: drained }
}

/** The crew publishes all it has to; each confirmed. */
export async function fill(
  context: RunContext,
  crew: Crew,
  quiet: QuietConnection | null,
): Promise<{ result: RunResult; outcome: CrewOutcome }> {
  const { board } = crew
  const { messages } = context.row
  const meter = new Meter(context.target.usage, context.target.gcLogPath, context.target.loopLogPath)
  board.measuredFrom = monotonicMs()
  quiet?.measureFrom(board.measuredFrom)
  const published = crew.order('publish', 'published')
  published.catch(() => {})
  const isFull = await context.watch.until(
    () => board.confirmed() >= messages,
    () => board.confirmed(),
    [crew],
  )
  const confirmed = board.confirmed()
  const reading = meter.stop(confirmed)
  const quietLatency = (await quiet?.finish()) ?? null
  if (isFull) await published
  const outcome = await context.watch.wait(crew.finish(), [crew])
  await context.watch.sleep(settleSeconds, [])
  const problems = [...outcome.problems]
  if (!isFull) problems.push(`only ${confirmed} of ${messages} were confirmed`)
  if (outcome.nacked > 0) problems.push(`${outcome.nacked} publishes were refused`)
  const result = { ...phaseResult(reading), publishedPerSecond: confirmed / reading.seconds, problems }
  const rssBytes = context.target.usage?.sample()?.rssBytes ?? 0
  const broker = reading.broker === null ? null : { ...reading.broker, rssBytes }
  const { blockedMs } = outcome
  const confirmLatency = outcome.confirmLatency.percentiles()
  return { result: { ...result, broker, blockedMs, confirmLatency, quietLatency }, outcome }
}

/** The crew consumes until as many have come as were filled in. */
export async function drain(
  context: RunContext,
  crew: Crew,
  quiet: QuietConnection | null,
  filled: CrewOutcome,
): Promise<RunResult> {
  const { board } = crew
  const { messages } = context.row
  const meter = new Meter(context.target.usage, context.target.gcLogPath, context.target.loopLogPath)
  quiet?.measureFrom(monotonicMs())
  await context.watch.wait(crew.order('consume', 'consuming'), [crew])
  const look = (): void => meter.look()
  await context.watch.until(
    () => board.delivered() >= messages,
    () => board.delivered(),
    [crew],
    look,
  )
  const delivered = board.delivered()
  const reading = meter.stop(delivered)
  const quietLatency = (await quiet?.finish()) ?? null
  const outcome = await context.watch.wait(crew.finish(), [crew])
  const whole = { ...outcome, sentSequences: filled.sentSequences }
  const problems = [...outcome.problems, ...findFaults({ due: messages, came: delivered, copies: 1 }, whole)]
  return { ...phaseResult(reading), deliveredPerSecond: delivered / reading.seconds, quietLatency, problems }
}
