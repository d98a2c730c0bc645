/** What lists are sorted by, in the order in which it came, and parts of the order that it makes. */

/** Entries between two looks at the time, and runs that are sorted at once. */
const stepEntries = 256

type Compare = (a: number, b: number) => number

/**
 * Keys of entries that are known by their index: in the order in which they came. Nothing is kept of an entry but its key,
 * for a list of 100,000 entries that all live until it is sorted is a pause of the garbage collector.
 */
export class SortKeys {
  readonly #keys: unknown[] = []

  get count(): number {
    return this.#keys.length
  }

  add(key: unknown): void {
    this.#keys.push(key ?? null)
  }

  at(index: number): unknown {
    return this.#keys[index]
  }

  /**
   * The entries that come at places `from` to `until` when all are sorted, in that order; no others are sorted. Stable,
   * also in reverse; what has no key comes first.
   */
  *range(from: number, until: number, isReversed: boolean): Generator<void, Uint32Array> {
    const keys = this.#keys
    const order = new Uint32Array(keys.length)
    for (let index = 0; index < order.length; index++) order[index] = index
    const end = Math.min(until, order.length)
    const sign = isReversed ? -1 : 1
    // No two are equal, so it makes no difference in which order they are compared.
    const compare: Compare = (a, b) => sign * compared(keys[a], keys[b]) || a - b
    if (from > 0) yield* divide(order, { at: from, from: 0 }, compare)
    if (end < order.length) yield* divide(order, { at: end, from }, compare)
    return yield* sorted(order.slice(from, end), compare)
  }
}

/** Puts what comes before place `at` before it, behind `from`: quickselect. Interrupted as often as it takes time. */
function* divide(
  order: Uint32Array,
  { at, from }: { at: number; from: number },
  compare: Compare,
): Generator<void, void> {
  let [low, high] = [from, order.length]
  let chance = 1
  while (high - low > 1) {
    // By chance, so that no order in which things were made is a slow one.
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0
    const middle = yield* partition(order, { low, high, pivot: low + (chance % (high - low)) }, compare)
    if (middle === at) return
    if (middle < at) low = middle + 1
    else high = middle
  }
}

/** Where the entry at `pivot` has its place: what comes before it is before it then. */
function* partition(
  order: Uint32Array,
  { low, high, pivot }: { low: number; high: number; pivot: number },
  compare: Compare,
): Generator<void, number> {
  const last = high - 1
  const entry = order[pivot] as number
  order[pivot] = order[last] as number
  let middle = low
  for (let index = low; index < last; index++) {
    const other = order[index] as number
    if (compare(other, entry) < 0) {
      order[index] = order[middle] as number
      order[middle++] = other
    }
    if (index % stepEntries === 0) yield
  }
  order[last] = order[middle] as number
  order[middle] = entry
  return middle
}

/** A merge sort. */
function* sorted(entries: Uint32Array, compare: Compare): Generator<void, Uint32Array> {
  for (let at = 0; at < entries.length; at += stepEntries) {
    entries.subarray(at, at + stepEntries).sort(compare)
    yield
  }
  let from = entries
  let into: Uint32Array = new Uint32Array(entries.length)
  for (let length = stepEntries; length < entries.length; length *= 2) {
    for (let at = 0; at < entries.length; at += 2 * length) yield* merge(from, into, { at, length }, compare)
    ;[from, into] = [into, from]
  }
  return from
}

/** Two runs of that length, which stand one behind the other. */
function* merge(
  from: Uint32Array,
  into: Uint32Array,
  { at, length }: { at: number; length: number },
  compare: Compare,
): Generator<void, void> {
  const middle = Math.min(at + length, from.length)
  const end = Math.min(middle + length, from.length)
  let [left, right] = [at, middle]
  for (let index = at; index < end; index++) {
    const takesLeft = right >= end || (left < middle && compare(from[left] as number, from[right] as number) < 0)
    into[index] = from[takesLeft ? left++ : right++] as number
    if (index % stepEntries === 0) yield
  }
}

/** Numbers before texts before anything else. */
export function compared(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  if (a === b) return 0
  const [left, right] = [rank(a), rank(b)]
  if (left !== right) return left - right
  const [x, y] = [JSON.stringify(a) ?? '', JSON.stringify(b) ?? '']
  return x < y ? -1 : x > y ? 1 : 0
}

function rank(value: unknown): number {
  if (value === undefined || value === null) return 0
  if (typeof value === 'number') return 1
  return typeof value === 'string' ? 2 : 3
}
