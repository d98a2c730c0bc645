/**
 * Of what exists on one side, what the other has not: a migration adds to a cluster and changes nothing in it. An import
 * alone would give users the passwords, and policies the form, that they had on the node that is left.
 */
import { isObject, type JsonObject } from '../client/http-api.ts'

/** By which keys two entries of a category are the same. Others stay as they are when they are imported again. */
const keysOf: Readonly<Record<string, readonly string[]>> = {
  users: ['name'],
  vhosts: ['name'],
  permissions: ['user', 'vhost'],
  topic_permissions: ['user', 'vhost', 'exchange'],
  policies: ['vhost', 'name'],
  parameters: ['vhost', 'component', 'name'],
  global_parameters: ['name'],
}

/** Both as `GET /api/definitions` answers. */
export function newDefinitions(ours: object, theirs: unknown): JsonObject {
  const known = isObject(theirs) ? theirs : {}
  return Object.fromEntries(
    Object.entries(ours).map(([category, entries]) => {
      const keys = keysOf[category]
      if (keys === undefined || !Array.isArray(entries)) return [category, entries]
      const there = new Set(entriesOf(known[category]).map((entry) => keyOf(entry, keys)))
      return [category, entriesOf(entries).filter((entry) => !there.has(keyOf(entry, keys)))]
    }),
  )
}

function entriesOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function keyOf(entry: JsonObject, keys: readonly string[]): string {
  return JSON.stringify(keys.map((key) => entry[key]))
}
