import { isObject, type JsonObject } from '../../broker/definitions/entry.ts'
import type { Path } from './view.ts'

/** Columns that are looked at; further ones are passed over. */
const columnsMax = 100

/** What `columns` asks for of each object. */
export class Columns {
  /** By the name that stands first: what is wanted inside of it; null: all of it. Null: everything is wanted. */
  readonly #wanted: ReadonlyMap<string, readonly Path[] | null> | null

  /** `columns=name,message_stats.publish`; without it, everything. */
  constructor(query: URLSearchParams) {
    const text = query.get('columns') ?? ''
    const paths = text
      .split(',', columnsMax)
      .map((column) => column.trim().split('.'))
      .filter(([first]) => first !== '')
    this.#wanted = text === '' ? null : byFirst(paths)
  }

  /** Names of fields that are looked at; null: all. */
  get names(): readonly string[] | null {
    return this.#wanted === null ? null : [...this.#wanted.keys()]
  }

  of(json: JsonObject): JsonObject {
    return this.#wanted === null ? json : selected(json, this.#wanted)
  }
}

function byFirst(paths: readonly Path[]): ReadonlyMap<string, readonly Path[] | null> {
  const wanted = new Map<string, readonly Path[] | null>()
  for (const [first = '', ...rest] of paths) {
    const inside = wanted.get(first)
    if (rest.length === 0) wanted.set(first, null)
    else if (inside !== null) wanted.set(first, [...(inside ?? []), rest])
  }
  return wanted
}

function selected(json: JsonObject, wanted: ReadonlyMap<string, readonly Path[] | null>): JsonObject {
  const fields: [string, unknown][] = []
  for (const [name, inside] of wanted) {
    if (!Object.hasOwn(json, name)) continue
    const value = json[name]
    fields.push([name, inside === null || !isObject(value) ? value : selected(value, byFirst(inside))])
  }
  return Object.fromEntries(fields)
}

/** What stands under these names, one in the other; undefined: nothing. */
export function valueAt(json: JsonObject, path: readonly string[]): unknown {
  let value: unknown = json
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}
