/**
 * The earliest of many deadlines: a binary heap of (deadline, value) in two columns of numbers, 16 bytes a pair. No object
 * is made per pair. The columns double when they are full and halve when three quarters are unused.
 *
 * There is no removing from the middle: whoever no longer wants a pair lets it come up and passes over it, or goes through
 * all of them with `keep`. Pairs of the same deadline come up by value, the lowest first.
 */
export class DeadlineHeap {
  #deadlines = new Float64Array(columnMin)
  #values = new Float64Array(columnMin)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** In milliseconds, of whatever origin those pushed have; `Infinity` when there is none. */
  get firstDeadline(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#deadlines[0] as number)
  }

  /** What belongs to `firstDeadline`; NaN when there is none. */
  get firstValue(): number {
    return this.#size === 0 ? Number.NaN : (this.#values[0] as number)
  }

  get memoryBytes(): number {
    return this.#deadlines.byteLength + this.#values.byteLength
  }

  /** `deadline` is a number of milliseconds and not NaN; `value` any number that its owner understands. */
  push(deadline: number, value: number): void {
    if (this.#size === this.#deadlines.length) this.#resize(this.#size * 2)
    this.#rise(this.#size++, deadline, value)
  }

  /** Takes the earliest pair away. Without effect when there is none. */
  pop(): void {
    if (this.#size === 0) return
    const last = --this.#size
    const deadline = this.#deadlines[last] as number
    const value = this.#values[last] as number
    if (last > 0) this.#sink(deadline, value)
    const columns = this.#deadlines.length
    if (columns > columnMin && last < columns / 4) this.#resize(columns / 2)
  }

  /** Forgets all and gives the memory back. */
  clear(): void {
    this.#size = 0
    this.#resize(columnMin)
  }

  /** Puts a pair in at the free place `from`, or above it. */
  #rise(from: number, deadline: number, value: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!this.#isAfter(parent, deadline, value)) break
      this.#move(parent, at)
      at = parent
    }
    this.#deadlines[at] = deadline
    this.#values[at] = value
  }

  /** Puts a pair in at the top, which is free, or below it. */
  #sink(deadline: number, value: number): void {
    const deadlines = this.#deadlines
    let at = 0
    for (let child = 1; child < this.#size; child = 2 * at + 1) {
      const right = child + 1
      if (right < this.#size && this.#isAfter(child, deadlines[right] as number, this.#values[right] as number)) child = right
      if (this.#isAfter(child, deadline, value)) break
      this.#move(child, at)
      at = child
    }
    deadlines[at] = deadline
    this.#values[at] = value
  }

  /** Keeps the pairs that are wanted. Costs what pushing all of those costs. */
  keep(isWanted: (deadline: number, value: number) => boolean): void {
    const size = this.#size
    const deadlines = this.#deadlines
    const values = this.#values
    this.clear()
    for (let at = 0; at < size; at++) {
      const deadline = deadlines[at] as number
      const value = values[at] as number
      if (isWanted(deadline, value)) this.push(deadline, value)
    }
  }

  /** Whether the pair at `index` comes up after this one. */
  #isAfter(index: number, deadline: number, value: number): boolean {
    const other = this.#deadlines[index] as number
    return other > deadline || (other === deadline && (this.#values[index] as number) > value)
  }

  #move(from: number, to: number): void {
    this.#deadlines[to] = this.#deadlines[from] as number
    this.#values[to] = this.#values[from] as number
  }

  #resize(length: number): void {
    const size = this.#size
    const deadlines = new Float64Array(length)
    const values = new Float64Array(length)
    deadlines.set(this.#deadlines.subarray(0, size))
    values.set(this.#values.subarray(0, size))
    this.#deadlines = deadlines
    this.#values = values
  }
}

/** Pairs there is always room for. */
const columnMin = 16
