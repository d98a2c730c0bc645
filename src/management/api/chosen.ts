/** What of a list was asked for: by name, in order, a part of it. */
import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { Wish } from './list.ts'
import type { Api } from './route.ts'
import { SortKeys } from './sorting.ts'
import type { Listing, View } from './view.ts'

/** Places in the order of what passes the filter, of which there may be fewer. */
export interface Range {
  readonly from: number
  readonly until: number
}

const all: Range = { from: 0, until: Number.POSITIVE_INFINITY }

/** Things between two looks at the time. */
const stepThings = 32

/** Things that were chosen, for those who do not know what they are. */
export interface Entries {
  readonly length: number
  /** Things that pass the filter, and all that there are. */
  readonly count: number
  readonly total: number
  jsonAt(index: number): JsonObject
  /** What it was sorted by when it was chosen; null: nothing. */
  keyAt(index: number): unknown
}

export class Chosen<T> implements Entries {
  readonly things: readonly T[]
  readonly view: View<T>
  readonly count: number
  readonly total: number
  /** Null: they were not sorted. */
  readonly #keys: readonly unknown[] | null

  constructor(
    { things, keys }: { things: readonly T[]; keys: readonly unknown[] | null },
    view: View<T>,
    { count, total }: Counts,
  ) {
    this.things = things
    this.view = view
    this.count = count
    this.total = total
    this.#keys = keys
  }

  get length(): number {
    return this.things.length
  }

  jsonAt(index: number): JsonObject {
    const thing = this.things[index]
    if (thing === undefined) throw new RangeError(`there is no entry ${index}`)
    return this.view.json(thing)
  }

  keyAt(index: number): unknown {
    return this.#keys?.[index] ?? null
  }
}

interface Counts {
  readonly count: number
  readonly total: number
}

type Choice = Pick<Wish, 'filter' | 'sort' | 'isReversed'>

/** Goes through everything in slices, and keeps what is in the range. */
export async function chosen<T>(
  api: Pick<Api, 'runQueue'>,
  listing: Listing<T>,
  { filter, sort, isReversed }: Choice,
  range: Range = all,
): Promise<Chosen<T>> {
  const { runQueue } = api
  const { view } = listing
  const found: T[] = []
  if (sort === null) {
    const counts = await inSlices(runQueue, kept(listing, filter, range, found))
    return new Chosen({ things: found, keys: null }, view, counts)
  }
  const isByName = sort.length === 1 && sort[0] === 'name'
  const keys = new SortKeys()
  const read = isByName ? (thing: T): unknown => view.nameOf(thing) : view.reader(sort)
  const counts = await inSlices(
    runQueue,
    kept(listing, filter, all, found, (thing) => keys.add(read(thing))),
  )
  const order = await inSlices(runQueue, keys.range(range.from, range.until, isReversed))
  return new Chosen(
    { things: picked(order, (index) => found[index] as T), keys: picked(order, (index) => keys.at(index)) },
    view,
    counts,
  )
}

function* kept<T>(
  { things, view, isOf }: Listing<T>,
  filter: Wish['filter'],
  { from, until }: Range,
  into: T[],
  note: (thing: T) => void = () => {},
): Generator<void, Counts> {
  let [seen, count, total] = [0, 0, 0]
  for (const thing of things) {
    if (++seen % stepThings === 0) yield
    if (isOf?.(thing) === false) continue
    total++
    if (filter !== null && !filter(view.nameOf(thing))) continue
    if (count >= from && count < until) into.push(thing)
    count++
    note(thing)
  }
  return { count, total }
}

function picked<T>(order: Uint32Array, at: (index: number) => T): T[] {
  const some: T[] = []
  for (const index of order) some.push(at(index))
  return some
}
