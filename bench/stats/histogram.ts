const subBucketBits = 6
const subBuckets = 1 << subBucketBits
const bucketCount = (32 - subBucketBits + 1) * subBuckets

export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/**
 * Counts of durations in buckets that grow with the value: up to 64 µs each microsecond has its own, beyond that a
 * bucket is at most 1/64 of its value wide. One array, no allocation per value, mergeable; whole range 0 to 71 minutes.
 */
export class Histogram {
  readonly #counts: Float64Array
  #total = 0
  #max = 0

  constructor(counts: Float64Array = new Float64Array(bucketCount)) {
    this.#counts = counts
    for (let index = 0; index < counts.length; index++) {
      const count = counts[index] as number
      this.#total += count
      if (count > 0) this.#max = upperBound(index)
    }
  }

  /** Adds one duration in milliseconds; below zero counts as zero. */
  add(ms: number): void {
    const micros = ms <= 0 ? 0 : ms >= 4_294_967 ? 0xffffffff : Math.round(ms * 1000) >>> 0
    const index = bucketOf(micros)
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#total++
    if (micros > this.#max) this.#max = micros
  }

  merge(other: Histogram): void {
    for (let index = 0; index < bucketCount; index++) {
      this.#counts[index] = (this.#counts[index] as number) + (other.#counts[index] as number)
    }
    this.#total += other.#total
    this.#max = Math.max(this.#max, other.#max)
  }

  get count(): number {
    return this.#total
  }

  /** The counts, to be sent to another thread and given to the constructor there. */
  get counts(): Float64Array {
    return this.#counts
  }

  /** Milliseconds that the share of values stays at or below: the upper end of its bucket, but never above the maximum. */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#total))
    let seen = 0
    for (let index = 0; index < bucketCount; index++) {
      seen += this.#counts[index] as number
      if (seen >= wanted) return Math.min(upperBound(index), this.#max) / 1000
    }
    return this.#max / 1000
  }

  /** Null when nothing was counted. */
  percentiles(): Percentiles | null {
    if (this.#total === 0) return null
    return {
      count: this.#total,
      p50: this.percentile(0.5),
      p99: this.percentile(0.99),
      p999: this.percentile(0.999),
      max: this.#max / 1000,
    }
  }
}

function bucketOf(micros: number): number {
  const exponent = 31 - Math.clz32(micros | 1)
  if (exponent < subBucketBits) return micros
  const shift = exponent - subBucketBits
  return ((shift + 1) << subBucketBits) + ((micros >>> shift) & (subBuckets - 1))
}

/** The largest value of a bucket, in microseconds. */
function upperBound(index: number): number {
  if (index < subBuckets) return index
  const shift = (index >>> subBucketBits) - 1
  const first = (subBuckets + (index & (subBuckets - 1))) * 2 ** shift
  return first + 2 ** shift - 1
}
