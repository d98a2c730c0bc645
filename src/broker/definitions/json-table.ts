import { decodeFieldTable, emptyTable, type FieldTable, type FieldValue, fieldTable } from '../../amqp/field-table.ts'
import { type Entry, isObject, type JsonObject } from './entry.ts'

/**
 * Argument tables ⇄ JSON, as RabbitMQ's definitions have them. JSON has fewer types: whole numbers come back as 64-bit
 * ones, times as their seconds, bytes as text.
 */

/** Within the bounds of a table that comes over the wire, for it is read like one after a start. */
export function tableOfJson(entry: Entry, key: string): FieldTable {
  const table = tableOf(entry, entry.object(key), 0)
  try {
    decodeFieldTable(table.bytes, 0, table.bytes.length)
  } catch (error) {
    throw entry.wrong(error instanceof Error ? error.message : `${key} cannot be a table`)
  }
  return table
}

function tableOf(entry: Entry, object: JsonObject, depth: number): FieldTable {
  if (Object.keys(object).length === 0) return emptyTable
  if (depth > depthMax) throw entry.wrong(`arguments are nested deeper than ${depthMax}`)
  const fields = new Map<string, FieldValue>()
  for (const [key, value] of Object.entries(object)) {
    if (Buffer.byteLength(key) > keyBytesMax)
      throw entry.wrong(`an argument's name is longer than ${keyBytesMax} bytes`)
    fields.set(key, fieldOf(entry, value, depth))
  }
  return fieldTable(fields)
}

function fieldOf(entry: Entry, value: unknown, depth: number): FieldValue {
  if (typeof value === 'string') return { tag: 'S', value }
  if (typeof value === 'boolean') return { tag: 't', value }
  if (typeof value === 'number') return Number.isSafeInteger(value) ? { tag: 'l', value } : { tag: 'd', value }
  if (Array.isArray(value)) return { tag: 'A', value: value.map((item) => fieldOf(entry, item, depth + 1)) }
  return isObject(value) ? { tag: 'F', value: tableOf(entry, value, depth + 1) } : { tag: 'V', value: null }
}

/** As deep as the wire may nest them. */
const depthMax = 32
const keyBytesMax = 255

export function jsonOfTable(table: FieldTable): Record<string, unknown> {
  return Object.fromEntries([...table.fields].map(([key, field]) => [key, jsonOf(field)]))
}

function jsonOf(field: FieldValue): unknown {
  switch (field.tag) {
    case 'F':
      return jsonOfTable(field.value)
    case 'A':
      return field.value.map(jsonOf)
    case 'D':
      return field.value.value / 10 ** field.value.scale
    case 'x':
      return Buffer.from(field.value).toString()
    case 'l':
    case 'L':
    case 'T':
      return Number(field.value)
    default:
      return field.value
  }
}
