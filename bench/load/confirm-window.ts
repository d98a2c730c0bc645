import type { Histogram } from '../stats/histogram.ts'

/**
 * Which publishes wait for their confirm, by sequence from 1 as RabbitMQ counts them; confirms may come singly,
 * multiple, or out of order. A ring of flags and send times, nothing allocated per message.
 *
 * Invariant: everything below `#low` is confirmed; `#low ≤ #next`; `#next - #low ≤ capacity`.
 */
export class ConfirmWindow {
  readonly #mask: number
  readonly #isWaiting: Uint8Array
  readonly #sentAt: Float64Array
  #low = 1
  #next = 1
  #waiting = 0

  constructor(capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, capacity)))
    this.#mask = size - 1
    this.#isWaiting = new Uint8Array(size)
    this.#sentAt = new Float64Array(size)
  }

  /** How many more publishes may be noted now. */
  get room(): number {
    return this.#mask + 1 - (this.#next - this.#low)
  }

  get waiting(): number {
    return this.#waiting
  }

  /** Notes the next publish. Needs `room`. */
  sent(at: number): void {
    const index = this.#next & this.#mask
    this.#isWaiting[index] = 1
    this.#sentAt[index] = at
    this.#next++
    this.#waiting++
  }

  /**
   * Notes a confirm and adds the durations of those sent in [from, to). Returns how many publishes it settled: 0 when
   * it names nothing that waits, which no broker should send.
   */
  settle(sequence: number, isMultiple: boolean, now: number, latency: Histogram, from: number, to: number): number {
    if (sequence >= this.#next || sequence < this.#low) return 0
    let settled = 0
    for (let each = isMultiple ? this.#low : sequence; each <= sequence; each++) {
      const index = each & this.#mask
      if (this.#isWaiting[index] === 0) continue
      this.#isWaiting[index] = 0
      settled++
      const at = this.#sentAt[index] as number
      if (at >= from && at < to) latency.add(now - at)
    }
    this.#waiting -= settled
    while (this.#low < this.#next && this.#isWaiting[this.#low & this.#mask] === 0) this.#low++
    return settled
  }
}
