import { Worker } from 'node:worker_threads'
import { Histogram } from '../stats/histogram.ts'
import { Board } from './board.ts'
import type { ConsumeJob, PublishJob, WorkerJob, WorkerOrder, WorkerOutcome, WorkerReport } from './jobs.ts'

/** What all threads of a crew saw together. */
export interface CrewOutcome {
  readonly deliverLatency: Histogram
  readonly confirmLatency: Histogram
  readonly deliveredSequences: number
  readonly sentSequences: number
  readonly nacked: number
  readonly redelivered: number
  readonly blockedMs: number
  readonly problems: readonly string[]
}

/** Jobs of each thread. Publishers and consumers never share one unless they are given together. */
export interface Share {
  readonly publish: readonly PublishJob[]
  readonly consume: readonly ConsumeJob[]
}

/** The generator's threads for one row, and the board they share. */
export class Crew {
  readonly board: Board
  /** Rejects when any thread fails; never resolves. */
  readonly failed: Promise<never>
  readonly #threads: { worker: Worker; inbox: WorkerReport[] }[] = []
  #waiting: (() => void)[] = []
  #fail: (error: Error) => void = () => {}

  /** Starts the threads and waits until all have connected. */
  static async start(shares: readonly Share[]): Promise<Crew> {
    const crew = new Crew(shares)
    try {
      await crew.#all('connected')
    } catch (error) {
      await crew.end()
      throw error
    }
    return crew
  }

  private constructor(shares: readonly Share[]) {
    const publishers = shares.reduce((sum, share) => sum + share.publish.length, 0)
    const consumers = shares.reduce((sum, share) => sum + share.consume.length, 0)
    this.board = new Board(publishers, consumers)
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {})
    for (const share of shares) {
      const job: WorkerJob = { ...share, board: this.board.memory, publishers, consumers }
      this.#add(new Worker(new URL('./worker.js', import.meta.url), { workerData: job }))
    }
  }

  /** Gives an order to all and resolves when all have reported its end. */
  async order(order: WorkerOrder, end: WorkerReport['kind']): Promise<WorkerReport[]> {
    for (const { worker } of this.#threads) worker.postMessage(order)
    return await this.#all(end)
  }

  /** Closes all connections, ends the threads and gathers what they saw. */
  async finish(): Promise<CrewOutcome> {
    const reports = await this.order('finish', 'finished')
    await this.end()
    return gather(reports.flatMap((report) => (report.kind === 'finished' ? [report.outcome] : [])))
  }

  /** Ends the threads at once, whatever they are doing. */
  async end(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #add(worker: Worker): void {
    const inbox: WorkerReport[] = []
    this.#threads.push({ worker, inbox })
    worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))))
    worker.on('message', (report: WorkerReport) => {
      if (report.kind === 'failed') this.#fail(new Error(report.text))
      inbox.push(report)
      const waiting = this.#waiting
      this.#waiting = []
      for (const wake of waiting) wake()
    })
  }

  /** Takes one report of this kind from each thread. */
  async #all(kind: WorkerReport['kind']): Promise<WorkerReport[]> {
    for (;;) {
      const reports = this.#threads.flatMap(({ inbox }) => inbox.find((report) => report.kind === kind) ?? [])
      if (reports.length === this.#threads.length) return reports
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), this.failed])
    }
  }
}

function gather(outcomes: readonly WorkerOutcome[]): CrewOutcome {
  const deliverLatency = new Histogram()
  const confirmLatency = new Histogram()
  for (const outcome of outcomes) {
    deliverLatency.merge(new Histogram(outcome.deliverCounts))
    confirmLatency.merge(new Histogram(outcome.confirmCounts))
  }
  const total = (pick: (outcome: WorkerOutcome) => number): number =>
    outcomes.reduce((sum, outcome) => sum + pick(outcome), 0)
  return {
    deliverLatency,
    confirmLatency,
    deliveredSequences: total((outcome) => outcome.deliveredSequences),
    sentSequences: total((outcome) => outcome.sentSequences),
    nacked: total((outcome) => outcome.nacked),
    redelivered: total((outcome) => outcome.redelivered),
    blockedMs: total((outcome) => outcome.blockedMs),
    problems: outcomes.flatMap((outcome) => outcome.problems),
  }
}
