import { parentPort, workerData } from 'node:worker_threads'
import { Histogram } from '../stats/histogram.ts'
import { Board } from './board.ts'
import { Consumer } from './consumer.ts'
import type { WorkerJob, WorkerOrder, WorkerOutcome, WorkerReport } from './jobs.ts'
import { Publisher } from './publisher.ts'

/**
 * Entry of a generator thread: opens its connections, then follows the runner's orders. Everything per message happens
 * in `Publisher` and `Consumer`; the thread only speaks to the runner at the borders of a row.
 */
class Worker {
  readonly #job: WorkerJob
  readonly #board: Board
  readonly #publishers: Publisher[] = []
  readonly #consumers: Consumer[] = []

  constructor(job: WorkerJob) {
    this.#job = job
    this.#board = new Board(job.publishers, job.consumers, job.board)
  }

  async connect(): Promise<void> {
    for (const job of this.#job.consume) {
      const consumer = await Consumer.open(job, this.#board)
      consumer.failed.catch(fail)
      this.#consumers.push(consumer)
    }
    for (const job of this.#job.publish) this.#publishers.push(await Publisher.open(job, this.#board))
    const serverName = (this.#publishers[0] ?? this.#consumers[0])?.serverName ?? ''
    report({ kind: 'connected', serverName })
  }

  async obey(order: WorkerOrder): Promise<void> {
    if (order === 'consume') {
      for (const consumer of this.#consumers) await consumer.start()
      report({ kind: 'consuming' })
    } else if (order === 'publish') {
      const timer = setInterval(() => this.#poll(), 20)
      for (const publisher of this.#publishers) publisher.start()
      await Promise.all(this.#publishers.map((publisher) => publisher.done))
      clearInterval(timer)
      report({ kind: 'published' })
    } else {
      await Promise.all([...this.#publishers, ...this.#consumers].map((connection) => connection.close()))
      report({ kind: 'finished', outcome: this.#outcome() })
    }
  }

  #poll(): void {
    if (!this.#board.isStopped) return
    for (const publisher of this.#publishers) publisher.poll()
  }

  #outcome(): WorkerOutcome {
    const deliver = new Histogram()
    const confirm = new Histogram()
    for (const consumer of this.#consumers) deliver.merge(consumer.deliverLatency)
    for (const publisher of this.#publishers) confirm.merge(publisher.confirmLatency)
    return {
      deliverCounts: deliver.counts,
      confirmCounts: confirm.counts,
      deliveredSequences: sum(this.#consumers.map((consumer) => consumer.sequenceSum)),
      sentSequences: sum(this.#publishers.map((publisher) => publisher.sequenceSum)),
      nacked: sum(this.#publishers.map((publisher) => publisher.nacked)),
      redelivered: sum(this.#consumers.map((consumer) => consumer.redelivered)),
      blockedMs: sum(this.#publishers.map((publisher) => publisher.blockedMs)),
      problems: [...this.#publishers, ...this.#consumers].flatMap((connection) => connection.problems.list()),
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function report(message: WorkerReport): void {
  parentPort?.postMessage(message)
}

function fail(error: unknown): void {
  report({ kind: 'failed', text: error instanceof Error ? error.message : String(error) })
}

if (parentPort !== null) {
  const worker = new Worker(workerData as WorkerJob)
  const connected = worker.connect().catch(fail)
  parentPort.on('message', (order: WorkerOrder) => {
    connected.then(() => worker.obey(order)).catch(fail)
  })
}
