import { assertNever } from '../base/assert.ts'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { checkFieldTable, fieldItemsMax, valueEnd } from './field-table-check.ts'
import { encodeLongBytes, encodeLongString, encodeShortString } from './short-string.ts'

/**
 * Field tables (AMQP 0-9-1 §4.2.5.5, with RabbitMQ's types): bytes ⇄ values that keep their wire type.
 *
 * A table is its bytes, exactly as they came, and beside them its decoded fields; what is passed on is the bytes. Keys
 * are in a `Map`, so no key is special. Of a key that stands there twice the last value counts.
 *
 * Tags, where RabbitMQ and all its clients differ from the specification: `s` is a 16-bit number, `l` and `L` are both
 * signed 64-bit, `b` signed and `B` unsigned 8-bit, `I` signed and `i` unsigned 32-bit, `x` bytes.
 */
export interface FieldTable {
  /** The encoded entries without the 32-bit length before them. Owned by the table, never changed. */
  readonly bytes: Uint8Array
  readonly fields: ReadonlyMap<string, FieldValue>
}

/** A 64-bit number is a `number` within ±(2^53-1), a `bigint` beyond. A string (`S`) decodes as short strings do. */
export type FieldValue =
  | { readonly tag: 't'; readonly value: boolean }
  | { readonly tag: 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'f' | 'd'; readonly value: number }
  | { readonly tag: 'l' | 'L' | 'T'; readonly value: number | bigint }
  | { readonly tag: 'D'; readonly value: Decimal }
  | { readonly tag: 'S'; readonly value: string }
  | { readonly tag: 'x'; readonly value: Uint8Array }
  | { readonly tag: 'A'; readonly value: readonly FieldValue[] }
  | { readonly tag: 'F'; readonly value: FieldTable }
  | { readonly tag: 'V'; readonly value: null }

export type FieldTag = FieldValue['tag']

/** `value` × 10^-`scale`. */
export interface Decimal {
  readonly scale: number
  readonly value: number
}

export const emptyTable: FieldTable = { bytes: new Uint8Array(0), fields: new Map() }

// ---------------------------------------------------------------- decode

/**
 * The table whose entries are `buffer[start..end)` (without the length). Copies once; nested tables and byte strings
 * point into that copy. Throws `ProtocolError`, 501 where lengths do not fit and 502 for an unknown tag or a limit.
 */
export function decodeFieldTable(
  buffer: Uint8Array,
  start: number,
  end: number,
  itemsMax: number = fieldItemsMax,
): FieldTable {
  if (start === end) return emptyTable
  checkFieldTable(buffer, start, end, itemsMax)
  return tableAt(new ByteReader().reset(buffer.slice(start, end), 0, end - start))
}

/** Reads a 32-bit length and the table behind it. */
export function readFieldTable(reader: ByteReader): FieldTable {
  const length = reader.uint32()
  const at = reader.take(length)
  return decodeFieldTable(reader.buffer, at, at + length)
}

/** The one value whose tag is at `at`. The bytes have passed `checkFieldTable`. */
export function decodeFieldValue(buffer: Uint8Array, at: number): FieldValue {
  const bytes = buffer.slice(at, valueEnd(buffer, at))
  return valueAt(new ByteReader().reset(bytes, 0, bytes.length))
}

/** Everything from the cursor to the end of the reader. The bytes are checked. */
function tableAt(reader: ByteReader): FieldTable {
  const bytes = reader.buffer.subarray(reader.position, reader.end)
  const fields = new Map<string, FieldValue>()
  while (reader.remaining > 0) {
    const key = reader.shortString()
    fields.set(key, valueAt(reader))
  }
  return { bytes, fields }
}

function valueAt(reader: ByteReader): FieldValue {
  const tag = String.fromCharCode(reader.uint8()) as FieldTag
  switch (tag) {
    case 't':
      return { tag, value: reader.uint8() !== 0 }
    case 'b':
      return { tag, value: reader.int8() }
    case 'B':
      return { tag, value: reader.uint8() }
    case 's':
      return { tag, value: reader.int16() }
    case 'u':
      return { tag, value: reader.uint16() }
    case 'I':
      return { tag, value: reader.int32() }
    case 'i':
      return { tag, value: reader.uint32() }
    case 'l':
    case 'L':
      return { tag, value: reader.int64() }
    case 'T':
      return { tag, value: reader.uint64Exact() }
    case 'f':
      return { tag, value: reader.float32() }
    case 'd':
      return { tag, value: reader.float64() }
    case 'D':
      return { tag, value: { scale: reader.uint8(), value: reader.int32() } }
    case 'S':
      return { tag, value: reader.longString() }
    case 'V':
      return { tag, value: null }
    case 'x':
    case 'A':
    case 'F':
      return nestedAt(tag, reader)
    default:
      return assertNever(tag)
  }
}

function nestedAt(tag: 'x' | 'A' | 'F', reader: ByteReader): FieldValue {
  const length = reader.uint32()
  const at = reader.take(length)
  if (tag === 'x') return { tag, value: reader.buffer.subarray(at, at + length) }
  const inner = new ByteReader().reset(reader.buffer, at, at + length)
  if (tag === 'F') return { tag, value: length === 0 ? emptyTable : tableAt(inner) }
  const value: FieldValue[] = []
  while (inner.remaining > 0) value.push(valueAt(inner))
  return { tag, value }
}

// ---------------------------------------------------------------- encode

/** The entries without the length before them. Nested tables are written as their bytes. */
export function encodeFieldTable(fields: ReadonlyMap<string, FieldValue>): Uint8Array {
  const writer = new ByteWriter(256)
  for (const [key, value] of fields) {
    encodeShortString(writer, key)
    writeValue(writer, value)
  }
  return writer.copy()
}

/** A table with these fields. The map belongs to the table from now on. */
export function fieldTable(fields: ReadonlyMap<string, FieldValue>): FieldTable {
  return fields.size === 0 ? emptyTable : { bytes: encodeFieldTable(fields), fields }
}

/** Writes a 32-bit length and the table's bytes. */
export function writeFieldTable(writer: ByteWriter, table: FieldTable): void {
  writer.uint32(table.bytes.length)
  writer.bytes(table.bytes)
}

function writeValue(writer: ByteWriter, field: FieldValue): void {
  writer.uint8(field.tag.charCodeAt(0))
  switch (field.tag) {
    case 't':
      writer.uint8(field.value ? 1 : 0)
      break
    case 'l':
    case 'L':
      writer.int64(field.value)
      break
    case 'T':
      writer.uint64Exact(field.value)
      break
    case 'D':
      writer.uint8(field.value.scale)
      writer.int32(field.value.value)
      break
    case 'S':
      encodeLongString(writer, field.value)
      break
    case 'x':
      encodeLongBytes(writer, field.value)
      break
    case 'A':
      writeArray(writer, field.value)
      break
    case 'F':
      writeFieldTable(writer, field.value)
      break
    case 'V':
      break
    default:
      writeNumber(writer, field.tag, field.value)
  }
}

function writeNumber(writer: ByteWriter, tag: 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'f' | 'd', value: number): void {
  switch (tag) {
    case 'b':
      writer.int8(value)
      break
    case 'B':
      writer.uint8(value)
      break
    case 's':
      writer.int16(value)
      break
    case 'u':
      writer.uint16(value)
      break
    case 'I':
      writer.int32(value)
      break
    case 'i':
      writer.uint32(value)
      break
    case 'f':
      writer.float32(value)
      break
    case 'd':
      writer.float64(value)
      break
    default:
      assertNever(tag)
  }
}

function writeArray(writer: ByteWriter, items: readonly FieldValue[]): void {
  const lengthAt = writer.reserve(4)
  for (const item of items) writeValue(writer, item)
  writer.patchUint32(lengthAt, writer.length - lengthAt - 4)
}

/**
 * The table with some fields changed: null takes one away, any other value is written behind those that stay. What stays
 * does so to the byte and in its place.
 */
export function changeFields(table: FieldTable, changes: ReadonlyMap<string, FieldValue | null>): FieldTable {
  const writer = new ByteWriter(table.bytes.length + 512)
  const reader = new ByteReader().reset(table.bytes, 0, table.bytes.length)
  while (reader.remaining > 0) {
    const start = reader.position
    const isChanged = changes.has(reader.shortString())
    const end = valueEnd(table.bytes, reader.position)
    reader.take(end - reader.position)
    if (!isChanged) writer.bytes(table.bytes.subarray(start, end))
  }
  const fields = new Map(table.fields)
  for (const [key, value] of changes) {
    fields.delete(key)
    if (value === null) continue
    fields.set(key, value)
    encodeShortString(writer, key)
    writeValue(writer, value)
  }
  return writer.length === 0 ? emptyTable : { bytes: writer.copy(), fields }
}

// ---------------------------------------------------------------- build from plain values

/** What `tableOf` takes. */
export type PlainValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Date
  | Uint8Array
  | FieldTable
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue }

/**
 * A table of plain values: whole numbers become `I` where they fit, else `l`; other numbers `d`; strings `S`; a `Date`
 * `T` (seconds); bytes `x`; arrays `A`; objects `F`. Throws a `TypeError` for what has no place in a table.
 */
export function tableOf(values: { readonly [key: string]: PlainValue }): FieldTable {
  const fields = new Map<string, FieldValue>()
  for (const [key, value] of Object.entries(values)) fields.set(key, fieldOf(value))
  return fieldTable(fields)
}

/** One plain value with the tag that `tableOf` would give it. */
export function fieldOf(value: PlainValue): FieldValue {
  if (value === null) return { tag: 'V', value }
  switch (typeof value) {
    case 'string':
      return { tag: 'S', value }
    case 'boolean':
      return { tag: 't', value }
    case 'number':
      return numberField(value)
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw new TypeError(`${value} does not fit in 64 bits`)
      return { tag: 'l', value: Number.isSafeInteger(Number(value)) ? Number(value) : value }
    case 'object':
      return objectField(value)
    default:
      throw new TypeError(`a ${typeof value} has no place in a field table`)
  }
}

function numberField(value: number): FieldValue {
  if ((value | 0) === value && !Object.is(value, -0)) return { tag: 'I', value }
  return { tag: Number.isSafeInteger(value) && value !== 0 ? 'l' : 'd', value }
}

function objectField(value: Exclude<PlainValue, string | number | bigint | boolean | null>): FieldValue {
  if (value instanceof Uint8Array) return { tag: 'x', value: value.slice() }
  if (value instanceof Date) return dateField(value)
  if (isArray(value)) return { tag: 'A', value: value.map(fieldOf) }
  if (isFieldTable(value)) return { tag: 'F', value }
  return { tag: 'F', value: tableOf(value) }
}

function dateField(date: Date): FieldValue {
  const value = Math.floor(date.getTime() / 1000)
  if (!(value >= 0)) throw new TypeError('a date that is not valid or before 1970 has no place in a field table')
  return { tag: 'T', value }
}

function isArray(value: object): value is readonly PlainValue[] {
  return Array.isArray(value)
}

function isFieldTable(value: object): value is FieldTable {
  return 'bytes' in value && value.bytes instanceof Uint8Array && 'fields' in value && value.fields instanceof Map
}
