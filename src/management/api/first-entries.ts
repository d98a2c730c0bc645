import { compared, type Keyed } from './sorting.ts'

interface Placed<T> extends Keyed<T> {
  /** How many were offered before it: of two with equal keys the earlier one comes first. */
  readonly at: number
}

/**
 * The first so many of the entries that are offered, in the order that `sortedInSlices` gives them, without sorting the
 * others: a page of a long list. A heap whose root is the last of those that are kept; most entries cost one comparison.
 */
export class FirstEntries<T> {
  readonly #most: number
  readonly #isReversed: boolean
  readonly #heap: Placed<T>[] = []
  #offered = 0

  constructor(most: number, isReversed: boolean) {
    this.#most = most
    this.#isReversed = isReversed
  }

  offer(key: unknown, item: T): void {
    const at = this.#offered++
    const heap = this.#heap
    if (heap.length < this.#most) {
      heap.push({ key, item, at })
      this.#rise(heap.length - 1)
    } else if (heap.length > 0 && this.#order(key, at, heap[0] as Placed<T>) < 0) {
      heap[0] = { key, item, at }
      this.#sink()
    }
  }

  /** In the order of their offers, for a stable sort. */
  get entries(): readonly Keyed<T>[] {
    return [...this.#heap].sort((a, b) => a.at - b.at)
  }

  /** Below 0: it comes before `other`. */
  #order(key: unknown, at: number, other: Placed<T>): number {
    const order = this.#isReversed ? compared(other.key, key) : compared(key, other.key)
    return order === 0 ? at - other.at : order
  }

  #isAfter(entry: Placed<T>, other: Placed<T>): boolean {
    return this.#order(entry.key, entry.at, other) > 0
  }

  #rise(from: number): void {
    const heap = this.#heap
    const entry = heap[from] as Placed<T>
    let at = from
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up] as Placed<T>
      if (!this.#isAfter(entry, parent)) break
      heap[at] = parent
      at = up
    }
    heap[at] = entry
  }

  #sink(): void {
    const heap = this.#heap
    const entry = heap[0] as Placed<T>
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= heap.length) break
      const [left, right] = [heap[down] as Placed<T>, heap[down + 1]]
      if (right !== undefined && this.#isAfter(right, left)) down++
      const child = heap[down] as Placed<T>
      if (!this.#isAfter(child, entry)) break
      heap[at] = child
      at = down
    }
    heap[at] = entry
  }
}
