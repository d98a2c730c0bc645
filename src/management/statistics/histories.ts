import type { Recent } from '../../broker/statistics/recent.ts'
import { type Level, Series } from './series.ts'

/** Ten minutes, as the charts of a queue show. */
const levels: readonly Level[] = [{ stepMs: 5_000, count: 122 }]
/** Things whose history is kept: of 13 numbers each they take some 13 MB. */
export const historiesMax = 1_024

/** The histories of what moved last, at most so many: what has been quiet longest gives up its own for another. */
export class Histories {
  /** In the order in which they last moved. */
  readonly #kept = new Map<Recent, Series>()
  readonly #max: number

  constructor(max = historiesMax) {
    this.#max = max
  }

  /** It has other totals since `time`; `lookBefore` is when all were looked at before. */
  add(recent: Recent, time: number, lookBefore: number): void {
    const series = this.#kept.get(recent) ?? this.#make(recent, lookBefore)
    if (series === null) return
    this.#kept.delete(recent)
    this.#kept.set(recent, series)
    series.add(time, recent.totals)
  }

  /** Null: all that are kept are moving. */
  #make(recent: Recent, lookBefore: number): Series | null {
    if (this.#kept.size >= this.#max) {
      const [oldest] = this.#kept
      if (oldest === undefined || oldest[1].lastTime >= lookBefore) return null
      this.#kept.delete(oldest[0])
      oldest[0].history = null
    }
    const series = new Series(recent.totals.length, levels)
    recent.history = series
    return series
  }
}
