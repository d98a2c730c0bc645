/** How often values were up to some bounds, and what they come to together. Observing one costs a few nanoseconds. */
export class Histogram {
  /** Ascending; what is above the last is counted behind it. */
  readonly bounds: readonly number[]
  /** Of each bound those above the one before, and those above all. */
  readonly counts: Float64Array
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let index = 0
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index++
    this.counts[index] = (this.counts[index] as number) + 1
    this.sum += value
  }

  add(other: Histogram): void {
    for (let index = 0; index < this.counts.length; index++) {
      this.counts[index] = (this.counts[index] as number) + (other.counts[index] ?? 0)
    }
    this.sum += other.sum
  }
}
