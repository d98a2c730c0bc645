import { runBacklog } from './backlog-run.ts'
import { runFlow } from './flow-run.ts'
import { runHeld } from './held-run.ts'
import { Topology } from './load/topology.ts'
import { besideQuiet } from './quiet-connection.ts'
import type { Row } from './row.ts'
import { type JobOptions, nextRunId } from './row-jobs.ts'
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
    if (row.kind === 'held') {
      const results = await runHeld(context, topology)
      return results.map(({ phase, result }) => ({ name: `${row.name}-${phase}`, result }))
    }
    const result = await besideQuiet(context, (quiet) => runFlow(context, topology, quiet))
    return [{ name: row.name, result }]
  })
}

async function withTopology<T>(row: Row, jobs: JobOptions, work: (topology: Topology) => Promise<T>): Promise<T> {
  const { queues, isPersistent: isDurable, isFanout, held } = row
  const limit = held?.isFull === true ? { 'x-max-length': row.messages } : {}
  const queueArguments = { ...held?.queueArguments, ...limit }
  const ofHeld = { queueArguments, hasDeadLetters: held?.hasDeadLetters ?? false }
  const options = { queues, isDurable, isFanout, frameBytesMax: jobs.frameBytesMax, ...ofHeld }
  const topology = await Topology.declare(jobs.address, jobs.runId, options)
  try {
    return await work(topology)
  } finally {
    // A broker that has died takes its queues along; the run's own error says more.
    await topology.delete().catch(() => {})
  }
}
