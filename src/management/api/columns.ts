import { isObject, type JsonObject } from '../../broker/definitions/entry.ts'

/** Takes of an object what `columns` asks for. */
export type Selection = (json: JsonObject) => JsonObject

/** Columns that are looked at; further ones are passed over. */
const columnsMax = 100

/** `columns=name,message_stats.publish`; without it, everything. */
export function columnsOf(query: URLSearchParams): Selection {
  const text = query.get('columns') ?? ''
  if (text === '') return (json) => json
  const paths = text
    .split(',', columnsMax)
    .map((column) => column.trim().split('.'))
    .filter(([first]) => first !== '')
  return (json) => selected(json, paths)
}

function selected(json: JsonObject, paths: readonly (readonly string[])[]): JsonObject {
  const inside = new Map<string, (readonly string[])[]>()
  const result = new Map<string, unknown>()
  for (const [first = '', ...rest] of paths) {
    if (!Object.hasOwn(json, first)) continue
    if (rest.length === 0 || !isObject(json[first])) result.set(first, json[first])
    else if (!result.has(first)) inside.set(first, [...(inside.get(first) ?? []), rest])
  }
  for (const [first, rest] of inside) {
    const value = json[first]
    if (!result.has(first) && isObject(value)) result.set(first, selected(value, rest))
  }
  return Object.fromEntries(result)
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
