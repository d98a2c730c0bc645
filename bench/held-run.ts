import { drain, fill } from './backlog-run.ts'
import { Crew } from './load/crew.ts'
import { monotonicMs } from './load/monotonic-time.ts'
import type { Topology } from './load/topology.ts'
import { Meter } from './meter.ts'
import { besideQuiet, type QuietConnection } from './quiet-connection.ts'
import { consumeJobs, publishJobs, shares } from './row-jobs.ts'
import type { RunContext } from './run-context.ts'
import { phaseResult, type RunResult } from './run-result.ts'

/** How often is asked how many messages are ready. */
const lookSeconds = 0.25
const turnSecondsMax = 180

export interface HeldResult {
  readonly phase: 'fill' | 'turn' | 'drain'
  readonly result: RunResult
}

/**
 * Fills one queue, kills the broker and opens it again (when it is ours to kill), lets what is held fall due, expire or
 * be published again, and drains what is left.
 */
export async function runHeld(context: RunContext, topology: Topology): Promise<HeldResult[]> {
  const results: HeldResult[] = []
  const filler = await Crew.start(shares(publishJobs(context.row, topology, context.jobs), [], context.jobs.threads))
  const filled = await besideQuiet(context, (quiet) => fill(context, filler, quiet)).finally(() => filler.end())
  const { target } = context
  const heldBytes = (await target.heldBytes?.()) ?? null
  const reopened = (await target.restart?.()) ?? null
  const reopenMs = reopened?.ms ?? null
  results.push({ phase: 'fill', result: { ...filled.result, heldBytes, reopenMs } })
  const after = reopened === null ? context : { ...context, target: reopened.target }
  const turn = context.row.held?.turn ?? 'none'
  if (turn !== 'none') {
    const work = (quiet: QuietConnection | null): Promise<RunResult> =>
      turn === 'again' ? again(after, topology, quiet) : passing(after, topology, quiet)
    results.push({ phase: 'turn', result: await besideQuiet(after, work) })
  }
  if (turn === 'expired') return results
  const drainer = await Crew.start(shares([], consumeJobs(context.row, topology, context.jobs), context.jobs.threads))
  const work = (quiet: QuietConnection | null): Promise<RunResult> => drain(after, drainer, quiet, filled.outcome)
  results.push({ phase: 'drain', result: await besideQuiet(after, work).finally(() => drainer.end()) })
  return results
}

/** As many messages as are there already, with the same ids. */
async function again(context: RunContext, topology: Topology, quiet: QuietConnection | null): Promise<RunResult> {
  const crew = await Crew.start(shares(publishJobs(context.row, topology, context.jobs), [], context.jobs.threads))
  const { result } = await fill(context, crew, quiet).finally(() => crew.end())
  const ready = await topology.countReady(topology.queues[0] ?? '')
  const { messages } = context.row
  return ready === messages ? result : withProblem(result, `the queue holds ${ready} messages, not ${messages}`)
}

/** Everything falls due, or expires, by itself. The rate is that of the time in which messages did. */
async function passing(context: RunContext, topology: Topology, quiet: QuietConnection | null): Promise<RunResult> {
  const { row, target, watch } = context
  const queue =
    row.held?.turn === 'due' || row.held?.hasDeadLetters !== true ? topology.queues[0] : topology.deadLetters
  const isLeaving = row.held?.turn === 'expired' && row.held?.hasDeadLetters !== true
  const count = async (): Promise<number> => {
    const ready = await topology.countReady(queue ?? '')
    return isLeaving ? row.messages - ready : ready
  }
  const meter = new Meter(target.usage, target.gcLogPath, target.loopLogPath)
  quiet?.measureFrom(monotonicMs())
  const before = await count()
  const end = performance.now() + turnSecondsMax * 1000
  let begunAt = performance.now()
  let passed = before
  while (passed < row.messages && performance.now() < end) {
    if (passed === before) begunAt = performance.now()
    await watch.sleep(lookSeconds, [])
    meter.look()
    passed = await count()
  }
  const seconds = (performance.now() - begunAt) / 1000
  const reading = meter.stop(row.messages)
  const quietLatency = (await quiet?.finish()) ?? null
  const result = { ...phaseResult(reading), deliveredPerSecond: (passed - before) / seconds, quietLatency }
  if (passed === row.messages) return before === 0 ? result : withProblem(result, `${before} were too early`)
  return withProblem(result, `${passed} of ${row.messages} after ${turnSecondsMax} s`)
}

function withProblem(result: RunResult, problem: string): RunResult {
  return { ...result, problems: [...result.problems, problem] }
}
