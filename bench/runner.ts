import { runBacklog } from './backlog-run.ts'
import { runFlow } from './flow-run.ts'
import { Crew } from './load/crew.ts'
import { Topology } from './load/topology.ts'
import type { Row } from './row.ts'
import { consumeJobs, type JobOptions, publishJobs, quietRow } from './row-jobs.ts'
import type { RunContext } from './run-context.ts'
import type { RunResult } from './run-result.ts'
import type { Target } from './target/target.ts'
import { Watch } from './watch.ts'

export interface RunOptions {
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly threads: number
  readonly frameBytesMax: number
  /** Ends the run early, with everything it made deleted. */
  readonly signal: AbortSignal
  /** Told a few times a second what is going on. */
  readonly report: (text: string) => void
}

export interface NamedResult {
  readonly name: string
  readonly result: RunResult
}

/** Runs one row once against one broker, on queues of its own that are deleted whatever happens. */
export async function runRow(target: Target, row: Row, options: RunOptions): Promise<NamedResult[]> {
  const { threads, frameBytesMax, seconds, warmUpSeconds } = options
  const jobs = { address: target.address, runId: nextRunId(), threads, frameBytesMax }
  const watch = new Watch(options.signal, options.report)
  const context = { row, target, jobs, watch, seconds, warmUpSeconds }
  return await withTopology(row, jobs, async (topology) => {
    if (row.kind === 'backlog') {
      const { fill, drain } = await runBacklog(context, topology)
      return [
        { name: `${row.name}-fill`, result: fill },
        { name: `${row.name}-drain`, result: drain },
      ]
    }
    const run = row.hasQuietConnection ? runBesideQuiet(context, topology) : runFlow(context, topology, null)
    return [{ name: row.name, result: await run }]
  })
}

async function runBesideQuiet(context: RunContext, topology: Topology): Promise<RunResult> {
  const row = quietRow(context.row)
  const jobs = { ...context.jobs, runId: nextRunId() }
  return await withTopology(row, jobs, async (own) => {
    const publish = publishJobs(row, own, jobs).map((job) => ({ ...job, isCoarselyPaced: true }))
    const quiet = await Crew.start([{ publish, consume: consumeJobs(row, own, jobs) }])
    return await runFlow(context, topology, quiet).finally(() => quiet.end())
  })
}

async function withTopology<T>(row: Row, jobs: JobOptions, work: (topology: Topology) => Promise<T>): Promise<T> {
  const { queues, isPersistent: isDurable, isFanout } = row
  const options = { queues, isDurable, isFanout, frameBytesMax: jobs.frameBytesMax }
  const topology = await Topology.declare(jobs.address, jobs.runId, options)
  try {
    return await work(topology)
  } finally {
    // A broker that has died takes its queues along; the run's own error says more.
    await topology.delete().catch(() => {})
  }
}

let lastRunId = process.pid

/** Queue names and messages of two runs never mix, of two generators hardly. */
function nextRunId(): number {
  lastRunId = (lastRunId + 1) & 0xffff
  return lastRunId
}
