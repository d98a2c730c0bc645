import { Crew } from './load/crew.ts'
import { monotonicMs } from './load/monotonic-time.ts'
import { Topology } from './load/topology.ts'
import { consumeJobs, nextRunId, publishJobs, quietRow } from './row-jobs.ts'
import type { RunContext } from './run-context.ts'
import type { Percentiles } from './stats/histogram.ts'

/**
 * A light connection pair beside a heavy load, with a queue of its own: it shows what the load costs those who have
 * nothing to do with it. Opened before the load, finished after it.
 */
export class QuietConnection {
  readonly crew: Crew
  readonly #context: RunContext
  readonly #topology: Topology

  /** Connected, and already sending. */
  static async open(context: RunContext): Promise<QuietConnection> {
    const row = quietRow(context.row)
    const jobs = { ...context.jobs, runId: nextRunId() }
    const options = { queues: 1, isDurable: false, isFanout: false, frameBytesMax: jobs.frameBytesMax }
    const topology = await Topology.declare(jobs.address, jobs.runId, options)
    try {
      const publish = publishJobs(row, topology, jobs).map((job) => ({ ...job, isCoarselyPaced: true }))
      const crew = await Crew.start([{ publish, consume: consumeJobs(row, topology, jobs) }])
      const quiet = new QuietConnection(context, topology, crew)
      await context.watch.wait(crew.order('consume', 'consuming'), [crew])
      crew.order('publish', 'published').catch(() => {})
      return quiet
    } catch (error) {
      await topology.delete().catch(() => {})
      throw error
    }
  }

  private constructor(context: RunContext, topology: Topology, crew: Crew) {
    this.#context = context
    this.#topology = topology
    this.crew = crew
  }

  measureFrom(at: number): void {
    this.crew.board.measuredFrom = at
  }

  measureUntil(at: number): void {
    this.crew.board.measuredUntil = at
  }

  /** Stops sending, waits for the last message and returns how long those of the measured time took. */
  async finish(): Promise<Percentiles | null> {
    const { board } = this.crew
    const { watch } = this.#context
    this.measureUntil(Math.min(board.measuredUntil, monotonicMs()))
    board.stop()
    const isQuiet = (): boolean => board.delivered() >= board.sent()
    await watch.until(isQuiet, () => board.delivered(), [this.crew])
    const outcome = await watch.wait(this.crew.finish(), [this.crew])
    return outcome.deliverLatency.percentiles()
  }

  async close(): Promise<void> {
    await this.crew.end()
    // A broker that has died takes its queues along; the run's own error says more.
    await this.#topology.delete().catch(() => {})
  }
}

/** Runs the work beside a quiet connection if the row wants one. */
export async function besideQuiet<T>(
  context: RunContext,
  work: (quiet: QuietConnection | null) => Promise<T>,
): Promise<T> {
  if (!context.row.hasQuietConnection) return await work(null)
  const quiet = await QuietConnection.open(context)
  try {
    return await work(quiet)
  } finally {
    await quiet.close()
  }
}
