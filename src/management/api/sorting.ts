export interface Keyed<T> {
  readonly key: unknown
  readonly item: T
}

/** Runs that are sorted at once, in entries. */
const runLength = 256

/** A merge sort that may be interrupted. Stable, also in reverse; what has no key comes first. */
export function* sortedInSlices<T>(entries: readonly Keyed<T>[], isReversed: boolean): Generator<void, Keyed<T>[]> {
  const compare = isReversed
    ? (a: Keyed<T>, b: Keyed<T>) => compared(b.key, a.key)
    : (a: Keyed<T>, b: Keyed<T>) => compared(a.key, b.key)
  let runs: Keyed<T>[][] = []
  for (let at = 0; at < entries.length; at += runLength) {
    runs.push(entries.slice(at, at + runLength).sort(compare))
    yield
  }
  while (runs.length > 1) {
    const longer: Keyed<T>[][] = []
    for (let at = 0; at < runs.length; at += 2) {
      longer.push(yield* merged(runs[at] ?? [], runs[at + 1] ?? [], compare))
    }
    runs = longer
  }
  return runs[0] ?? []
}

function* merged<T>(left: readonly T[], right: readonly T[], compare: (a: T, b: T) => number): Generator<void, T[]> {
  const result: T[] = []
  let [l, r] = [0, 0]
  while (l < left.length || r < right.length) {
    const takesLeft = r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0)
    result.push((takesLeft ? left[l++] : right[r++]) as T)
    if (result.length % runLength === 0) yield
  }
  return result
}

/** Numbers before texts before anything else. */
export function compared(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
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
