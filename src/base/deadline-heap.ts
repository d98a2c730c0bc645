/**
 * The earliest of many deadlines: a binary heap of (deadline, value), 16 bytes a pair. No object is made per pair, and no
 * single call takes long: pairs are in pages, so growing copies nothing, and what nobody wants any more is taken out a
 * few pairs at a time.
 *
 * There is no removing from the middle by value: whoever no longer wants a pair lets it come up and passes over it, or
 * has some looked at, now and then, with `sweep`. Pairs of the same deadline come up by value, the lowest first.
 */
export class DeadlineHeap {
  /** Deadline and value in turn. Only the first page is ever smaller than the others. */
  #pages: Float64Array[] = [new Float64Array(2 * pairsMin)]
  #size = 0
  #popped = Number.NEGATIVE_INFINITY
  /** `sweep` goes on below this index. */
  #hand = 0

  get size(): number {
    return this.#size
  }

  /** In milliseconds, of whatever origin those pushed have; `Infinity` when there is none. */
  get firstDeadline(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#deadlineAt(0)
  }

  /** What belongs to `firstDeadline`; NaN when there is none. */
  get firstValue(): number {
    return this.#size === 0 ? Number.NaN : this.#valueAt(0)
  }

  /** The latest deadline of all pairs that `pop` has taken away; `-Infinity` before the first. */
  get popped(): number {
    return this.#popped
  }

  get memoryBytes(): number {
    return this.#pages.reduce((sum, page) => sum + page.byteLength, 0)
  }

  /** `deadline` is a number of milliseconds and not NaN; `value` any number that its owner understands. */
  push(deadline: number, value: number): void {
    this.#makeRoom()
    this.#rise(this.#size++, deadline, value)
  }

  /** Takes the earliest pair away. Without effect when there is none. */
  pop(): void {
    if (this.#size === 0) return
    this.#popped = Math.max(this.#popped, this.#deadlineAt(0))
    this.#remove(0)
  }

  /**
   * Looks at up to `looks` pairs, going on where the last call ended and round and round, and takes out those that are
   * not wanted. Whoever calls it with a few looks for each change, while more than half of the pairs are unwanted, keeps
   * the heap small without ever waiting for it.
   */
  sweep(looks: number, isWanted: (deadline: number, value: number) => boolean): void {
    for (let look = 0; look < looks && this.#size > 0; look++) {
      if (this.#hand === 0 || this.#hand > this.#size) this.#hand = this.#size
      const at = this.#hand - 1
      // The pair that takes the place of one that goes is looked at next.
      if (isWanted(this.#deadlineAt(at), this.#valueAt(at))) this.#hand = at
      else this.#remove(at)
    }
  }

  /** Forgets all and gives the memory back. */
  clear(): void {
    this.#size = 0
    this.#hand = 0
    this.#pages = [new Float64Array(2 * pairsMin)]
  }

  #remove(at: number): void {
    const last = --this.#size
    const deadline = this.#deadlineAt(last)
    const value = this.#valueAt(last)
    if (at < last) {
      const parent = (at - 1) >>> 1
      if (at > 0 && this.#isAfter(parent, deadline, value)) this.#rise(at, deadline, value)
      else this.#sink(at, deadline, value)
    }
    this.#giveBack()
  }

  /** Puts a pair in at the free place `from`, or above it. */
  #rise(from: number, deadline: number, value: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!this.#isAfter(parent, deadline, value)) break
      this.#set(at, this.#deadlineAt(parent), this.#valueAt(parent))
      at = parent
    }
    this.#set(at, deadline, value)
  }

  /** Puts a pair in at the free place `from`, or below it. */
  #sink(from: number, deadline: number, value: number): void {
    let at = from
    for (let child = 2 * at + 1; child < this.#size; child = 2 * at + 1) {
      const right = child + 1
      if (right < this.#size && this.#isAfter(child, this.#deadlineAt(right), this.#valueAt(right))) child = right
      if (this.#isAfter(child, deadline, value)) break
      this.#set(at, this.#deadlineAt(child), this.#valueAt(child))
      at = child
    }
    this.#set(at, deadline, value)
  }

  /** Whether the pair at `index` comes up after this one. */
  #isAfter(index: number, deadline: number, value: number): boolean {
    const other = this.#deadlineAt(index)
    return other > deadline || (other === deadline && this.#valueAt(index) > value)
  }

  #deadlineAt(index: number): number {
    return (this.#pages[index >>> pageBits] as Float64Array)[(index & pageMask) * 2] as number
  }

  #valueAt(index: number): number {
    return (this.#pages[index >>> pageBits] as Float64Array)[(index & pageMask) * 2 + 1] as number
  }

  #set(index: number, deadline: number, value: number): void {
    const page = this.#pages[index >>> pageBits] as Float64Array
    const at = (index & pageMask) * 2
    page[at] = deadline
    page[at + 1] = value
  }

  #makeRoom(): void {
    const [first] = this.#pages as [Float64Array]
    if (this.#size < pagePairs) {
      if (this.#size * 2 === first.length) this.#resizeFirst(first, first.length * 2)
    } else if (this.#size === this.#pages.length * pagePairs) this.#pages.push(new Float64Array(2 * pagePairs))
  }

  /** One page may stay empty, so that a size that goes up and down by one does not make a page each time. */
  #giveBack(): void {
    const pages = Math.ceil(this.#size / pagePairs)
    if (this.#pages.length > pages + 1) this.#pages.pop()
    const [first] = this.#pages as [Float64Array]
    if (this.#size * 8 < first.length && first.length > 2 * pairsMin) {
      this.#pages.length = 1
      this.#resizeFirst(first, first.length / 2)
    }
  }

  #resizeFirst(first: Float64Array, length: number): void {
    const page = new Float64Array(length)
    page.set(first.length > length ? first.subarray(0, length) : first)
    this.#pages[0] = page
  }
}

/** Pairs there is always room for. */
const pairsMin = 16
/** Pairs of a page: 16 KiB. */
const pageBits = 10
const pagePairs = 1 << pageBits
const pageMask = pagePairs - 1
