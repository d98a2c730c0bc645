/** How the things of a list are shown, found by their names, and sorted by what is in them. */
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { valueAt } from './columns.ts'

/** Names, from the outside in: `message_stats.publish` is two. */
export type Path = readonly string[]

export interface View<T> {
  nameOf(thing: T): string
  /** By which other nodes know it, where they have something to add. */
  idOf?(thing: T): number | string
  json(thing: T): JsonObject
  /** Reads what stands at a path of the JSON, if it can without making all of it; null and undefined: nothing is there. */
  reader(path: Path): (thing: T) => unknown
}

/** Things and their view: a list as it is before anybody chooses of it. */
export interface Listing<T> {
  /** Walked in slices: what comes and goes meanwhile may be in it or not. */
  readonly things: Iterable<T>
  readonly view: View<T>
  /** What is not of it is passed over, and counts for nothing. Left out: all is. */
  readonly isOf?: (thing: T) => boolean
}

/** One entry of a list that is never very long. */
export interface Row {
  readonly name: string
  json(): JsonObject
}

const rowView: View<Row> = {
  nameOf: ({ name }) => name,
  json: (row) => row.json(),
  reader: (path) => (row) => valueAt(row.json(), path),
}

export function listingOf(rows: Iterable<Row>): Listing<Row> {
  return { things: rows, view: rowView }
}

export function* rowsOf<T>(
  items: Iterable<T>,
  nameOf: (item: T) => string,
  show: (item: T) => JsonObject,
): Generator<Row> {
  for (const item of items) yield { name: nameOf(item), json: () => show(item) }
}

/** What is cheap to read, by path; anything else is looked for in the JSON. */
export function readerOf<T>(
  path: Path,
  json: (thing: T) => JsonObject,
  known: Readonly<Record<string, (thing: T) => unknown>>,
): (thing: T) => unknown {
  const text = path.join('.')
  const read = Object.hasOwn(known, text) ? known[text] : undefined
  return read ?? ((thing) => valueAt(json(thing), path))
}

/** Shows no more than by what a thing is sorted. */
export function keyView<T extends { readonly id: number; readonly name: string }>(
  keyOf: (thing: T) => unknown,
): View<T> {
  return {
    nameOf: ({ name }) => name,
    json: (thing) => ({ id: thing.id, key: keyOf(thing) ?? null }),
    reader: () => keyOf,
  }
}
