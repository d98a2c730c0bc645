import type { RunResult } from '../run-result.ts'
import type { Percentiles } from '../stats/histogram.ts'
import { type Spread, spread } from '../stats/spread.ts'

/** The runs of one row against one broker, taken together. Runs with problems do not count for the figures. */
export interface Summary {
  readonly row: string
  readonly target: string
  readonly published: Spread | null
  readonly delivered: Spread | null
  readonly deliverLatency: Percentiles | null
  readonly confirmLatency: Percentiles | null
  readonly quietLatency: Percentiles | null
  readonly brokerCores: Spread | null
  readonly microsPerMessage: Spread | null
  readonly rssBytes: Spread | null
  readonly generatorCores: Spread | null
  /** The longest of all runs, in milliseconds. */
  readonly gcLongestMs: number | null
  /** The longest pause of the event loop of all runs, in milliseconds. */
  readonly loopLongestMs: number | null
  /** The longest of these pauses without what was waited for a core, in milliseconds. */
  readonly loopBusiestMs: number | null
  readonly heldBytes: Spread | null
  readonly reopenMs: Spread | null
  readonly problems: readonly string[]
}

export function summarise(row: string, target: string, results: readonly RunResult[]): Summary {
  const sound = results.filter((result) => result.problems.length === 0)
  const over = (pick: (result: RunResult) => number | null | undefined): Spread | null =>
    spread(sound.map(pick).filter((value) => typeof value === 'number'))
  return {
    row,
    target,
    published: over((result) => result.publishedPerSecond),
    delivered: over((result) => result.deliveredPerSecond),
    deliverLatency: medianPercentiles(sound.map((result) => result.deliverLatency)),
    confirmLatency: medianPercentiles(sound.map((result) => result.confirmLatency)),
    quietLatency: medianPercentiles(sound.map((result) => result.quietLatency)),
    brokerCores: over((result) => result.broker?.cores),
    microsPerMessage: over((result) => result.broker?.microsPerMessage),
    rssBytes: over((result) => result.broker?.rssBytes),
    generatorCores: over((result) => result.generatorCores),
    gcLongestMs: over((result) => result.gc?.longestMs)?.max ?? null,
    loopLongestMs: over((result) => result.loop?.longestMs)?.max ?? null,
    loopBusiestMs: over((result) => result.loop?.busiestMs)?.max ?? null,
    heldBytes: over((result) => result.heldBytes),
    reopenMs: over((result) => result.reopenMs),
    problems: [...new Set(results.flatMap((result) => result.problems))],
  }
}

/** Each percentile's median over the runs; of the maximum, the maximum. */
export function medianPercentiles(all: readonly (Percentiles | null)[]): Percentiles | null {
  const present = all.filter((each) => each !== null)
  const median = (pick: (each: Percentiles) => number): number => spread(present.map(pick))?.median ?? 0
  if (present.length === 0) return null
  return {
    count: present.reduce((sum, each) => sum + each.count, 0),
    p50: median((each) => each.p50),
    p99: median((each) => each.p99),
    p999: median((each) => each.p999),
    max: Math.max(...present.map((each) => each.max)),
  }
}

/** What the ratio of two brokers is about: deliveries, or publishes where nothing is delivered. */
export function rateOf(summary: Summary): number | null {
  return (summary.delivered ?? summary.published)?.median ?? null
}
