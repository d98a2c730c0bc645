/** How the things of a list are shown, found by their names, and sorted by what is in them. */
import { isObject, type JsonObject } from '../../broker/definitions/entry.ts'
import { type Columns, valueAt } from './columns.ts'

/** Names, from the outside in: `message_stats.publish` is two. */
export type Path = readonly string[]

export interface View<T> {
  nameOf(thing: T): string
  /** By which other nodes know it, where they have something to add. */
  idOf?(thing: T): number | string
  json(thing: T): JsonObject
  /** All that may stand in the JSON, each made without the rest. Left out: it can only be made as a whole. */
  readonly fields?: ViewFields<T>
  /** Reads what stands at a path of the JSON, if it can without making all of it; null and undefined: nothing is there. */
  reader(path: Path): (thing: T) => unknown
}

/** By name; undefined: it does not stand in the JSON of this thing. */
export type ViewFields<T> = Readonly<Record<string, (thing: T) => unknown>>

/** The same view, whose JSON has no more than what these columns look at. */
export function shownBy<T>(view: View<T>, columns: Columns): View<T> {
  const { fields } = view
  const { names } = columns
  if (names === null || fields === undefined) return view
  const wanted = Object.entries(fields).filter(([name]) => names.includes(name))
  const json = (thing: T): JsonObject => {
    const made: Record<string, unknown> = {}
    for (const [name, read] of wanted) {
      const value = read(thing)
      if (value !== undefined) made[name] = value
    }
    return made
  }
  return { ...view, json }
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

/** `inside`: what is cheaper to read by its whole path than in its field. */
export function readerOf<T>(path: Path, fields: ViewFields<T>, inside: ViewFields<T> = {}): (thing: T) => unknown {
  const text = path.join('.')
  const [first = '', ...rest] = path
  if (Object.hasOwn(inside, text)) return inside[text] as (thing: T) => unknown
  if (!Object.hasOwn(fields, first)) return () => undefined
  const read = fields[first] as (thing: T) => unknown
  return rest.length === 0 ? read : (thing) => valueIn(read(thing), rest)
}

function valueIn(value: unknown, path: Path): unknown {
  return isObject(value) ? valueAt(value, path) : undefined
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
