import type { Options } from './options.ts'
import { formatCount, formatMegabytes, formatMs } from './report/format.ts'
import type { Progress } from './report/progress.ts'
import { type Summary, summarise } from './report/summary.ts'
import type { Row } from './row.ts'
import type { RunResult } from './run-result.ts'
import { type NamedResult, runRow } from './runner.ts'
import type { TargetSource } from './target/target.ts'

/** One run as it goes into the result file. */
export interface Recorded {
  readonly row: string
  readonly target: string
  readonly run: number
  readonly result: RunResult
}

/** Rough time one run takes, for the remaining time only. */
export function plannedSeconds(row: Row, options: Options): number {
  if (row.kind === 'held') return 10 + row.messages / 30_000
  return row.kind === 'backlog' ? 3 + row.messages / 100_000 : options.warmUpSeconds + options.seconds + 1
}

/**
 * Measures all rows against all brokers, in turns within a row (A B A B …), so that both see the same machine. A run
 * that fails is a result with a problem; the others go on.
 */
export class Session {
  readonly recorded: Recorded[] = []
  readonly #options: Options
  readonly #sources: readonly TargetSource[]
  readonly #progress: Progress
  readonly #signal: AbortSignal

  constructor(options: Options, sources: readonly TargetSource[], progress: Progress, signal: AbortSignal) {
    this.#options = options
    this.#sources = sources
    this.#progress = progress
    this.#signal = signal
  }

  async measure(rows: readonly Row[]): Promise<void> {
    for (const row of rows) {
      for (let run = 1; run <= this.#options.runs; run++) {
        for (const source of this.#sources) {
          if (this.#signal.aborted) return
          await this.#run(row, run, source)
        }
      }
      // Our own broker starts anew for each row: nobody's memory or code cache speaks in another's figures.
      for (const source of this.#sources) await source.close()
    }
  }

  /** One summary per row and broker, in the order measured. */
  summaries(): Summary[] {
    const keys = new Map(this.recorded.map(({ row, target }) => [`${row}\n${target}`, { row, target }]))
    const order = [...new Set(this.recorded.map(({ row }) => row))]
    const sorted = [...keys.values()].sort((a, b) => order.indexOf(a.row) - order.indexOf(b.row))
    return sorted.map(({ row, target }) => {
      const own = this.recorded.filter((each) => each.row === row && each.target === target)
      return summarise(
        row,
        target,
        own.map(({ result }) => result),
      )
    })
  }

  async #run(row: Row, run: number, source: TargetSource): Promise<void> {
    const label = (name: string): string => `${name} · ${source.name ?? 'broker'} · run ${run}/${this.#options.runs}`
    const planned = plannedSeconds(row, this.#options)
    this.#progress.step(label(row.name))
    try {
      const target = await source.open()
      const { seconds, warmUpSeconds, threads, frameBytesMax } = this.#options
      const report = (text: string): void => this.#progress.update(text)
      const options = { seconds, warmUpSeconds, threads, frameBytesMax, signal: this.#signal, report }
      const results = await runRow(target, row, options)
      for (const { name, result } of results) this.recorded.push({ row: name, target: target.name, run, result })
      this.#progress.done(results.map(describe).join('; '), planned)
    } catch (error) {
      if (this.#signal.aborted) return
      const words = source.lastWords === null ? '' : `; the broker ended and said:\n${source.lastWords}`
      const text = `${error instanceof Error ? error.message : error}${words}`
      const result = failedResult(text)
      this.recorded.push({ row: row.name, target: source.name ?? 'broker', run, result })
      this.#progress.done(`failed: ${text}`, planned)
      await source.close()
    }
  }
}

function describe({ result }: NamedResult): string {
  const parts: string[] = []
  if (result.publishedPerSecond !== null) parts.push(`${formatCount(result.publishedPerSecond)}/s published`)
  if (result.deliveredPerSecond !== null) parts.push(`${formatCount(result.deliveredPerSecond)}/s delivered`)
  if (result.broker !== null) {
    parts.push(`${result.broker.microsPerMessage.toFixed(2)} µs/message`, `${result.broker.cores.toFixed(2)} cores`)
  }
  parts.push(`generator ${result.generatorCores.toFixed(2)} cores`)
  if (result.gc !== null && result.gc.count > 0) parts.push(`longest GC ${formatMs(result.gc.longestMs)} ms`)
  if (result.loop !== null)
    parts.push(
      `longest pause ${formatMs(result.loop.longestMs)} ms, ${result.loop.long} long ones, ${formatMs(result.loop.busiestMs)} ms of its own`,
    )
  if (result.quietLatency !== null) {
    const { p99, max } = result.quietLatency
    parts.push(`quiet p99 ${formatMs(p99)} ms, max ${formatMs(max)} ms`)
  }
  if (result.heldBytes !== null) parts.push(`${formatMegabytes(result.heldBytes)} MB in use`)
  if (result.reopenMs !== null) parts.push(`open again after ${formatMs(result.reopenMs)} ms`)
  if (result.blockedMs > 0) parts.push(`blocked ${formatMs(result.blockedMs)} ms`)
  for (const problem of result.problems) parts.push(`PROBLEM: ${problem}`)
  return parts.join(', ')
}

function failedResult(problem: string): RunResult {
  return {
    seconds: 0,
    publishedPerSecond: null,
    deliveredPerSecond: null,
    deliverLatency: null,
    confirmLatency: null,
    quietLatency: null,
    broker: null,
    generatorCores: 0,
    gc: null,
    loop: null,
    heldBytes: null,
    reopenMs: null,
    blockedMs: 0,
    problems: [problem],
  }
}
