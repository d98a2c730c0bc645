import type { History } from '../../broker/statistics/recent.ts'

/** How far back, and in what steps, something is remembered. */
export interface Level {
  readonly stepMs: number
  readonly count: number
}

/** Samples of some numbers over time, in rings of fixed size: recent ones in small steps, older ones in larger. */
export class Series implements History {
  readonly #rings: readonly Ring[]

  constructor(width: number, levels: readonly Level[]) {
    this.#rings = levels.map((level) => new Ring(width, level))
  }

  /** Wall time of the last sample in milliseconds; 0: there is none. */
  get lastTime(): number {
    return this.#rings[0]?.lastTime ?? 0
  }

  /** Times never go back; a sample that is no later than the one before is passed over. */
  add(time: number, values: Float64Array): void {
    for (const ring of this.#rings) ring.add(time, values)
  }

  /** The last sample at or before that time, of the finest ring that reaches back so far. */
  at(time: number): Float64Array | null {
    for (const ring of this.#rings) {
      const found = ring.at(time)
      if (found !== null) return found
    }
    return null
  }
}

class Ring {
  lastTime = 0
  readonly #level: Level
  readonly #width: number
  readonly #times: Float64Array
  readonly #values: Float64Array
  #added = 0

  constructor(width: number, level: Level) {
    this.#level = level
    this.#width = width
    this.#times = new Float64Array(level.count)
    this.#values = new Float64Array(level.count * width)
  }

  /**
   * The last one of each step counts: at the end of a step all rings then know the same. Of the first ones a larger ring
   * would know nearly a step less than a smaller, and rates would leap where one takes over from the other.
   */
  add(time: number, values: Float64Array): void {
    const { stepMs, count } = this.#level
    if (this.#added > 0 && time <= this.lastTime) return
    if (this.#added === 0 || Math.floor(time / stepMs) > Math.floor(this.lastTime / stepMs)) this.#added++
    const index = (this.#added - 1) % count
    this.lastTime = time
    this.#times[index] = time
    this.#values.set(values.subarray(0, this.#width), index * this.#width)
  }

  at(time: number): Float64Array | null {
    const { count } = this.#level
    let low = Math.max(0, this.#added - count)
    let high = this.#added
    if (low === high || (this.#times[low % count] as number) > time) return null
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#times[middle % count] as number) <= time) low = middle
      else high = middle
    }
    const from = (low % count) * this.#width
    return this.#values.subarray(from, from + this.#width)
  }
}
