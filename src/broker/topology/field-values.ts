import type { FieldTable, FieldTag, FieldValue } from '../../amqp/field-table.ts'

/** Comparing and naming AMQP values, as declare, bind and the headers exchange need it. */

/**
 * Whether two values are the same to a broker: whole numbers of any width compare with one another, so do the two kinds
 * of fractions; all else must be of one type.
 */
export function isSameValue(a: FieldValue, b: FieldValue): boolean {
  if (classOf[a.tag] !== classOf[b.tag]) return false
  if (isCompound(a) || isCompound(b)) return JSON.stringify(canonical(a)) === JSON.stringify(canonical(b))
  return a.value === b.value
}

function isCompound(value: FieldValue): boolean {
  return typeof value.value === 'object' && value.value !== null
}

/** Types that compare with one another have one class. */
const classOf: Readonly<Record<FieldTag, string>> = {
  t: 'bool',
  b: 'int',
  B: 'int',
  s: 'int',
  u: 'int',
  I: 'int',
  i: 'int',
  l: 'int',
  L: 'int',
  f: 'float',
  d: 'float',
  D: 'decimal',
  T: 'timestamp',
  S: 'longstr',
  x: 'binary',
  A: 'array',
  F: 'table',
  V: 'void',
}

/** The type's name as RabbitMQ writes it in its error texts. */
export function typeName(tag: FieldTag): string {
  return typeNames[tag]
}

const typeNames: Readonly<Record<FieldTag, string>> = {
  ...classOf,
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  l: 'long',
  L: 'long',
  f: 'float',
  d: 'double',
}

/** The value as it stands in an error text. */
export function valueText(field: FieldValue): string {
  if (field.tag === 'V') return 'undefined'
  if (typeof field.value !== 'object') return String(field.value)
  return JSON.stringify(canonical(field))
}

/** A whole number of any width; null for every other type. */
export function wholeNumber(field: FieldValue): number | bigint | null {
  if (classOf[field.tag] !== 'int') return null
  return typeof field.value === 'number' || typeof field.value === 'bigint' ? field.value : null
}

/** The same text for two tables exactly when they have the same fields with the same types and values, in any order. */
export function canonicalText(table: FieldTable): string {
  return JSON.stringify(canonicalTable(table))
}

function canonicalTable(table: FieldTable): unknown[] {
  const keys = [...table.fields.keys()].sort()
  return keys.map((key) => {
    const field = table.fields.get(key)
    return field === undefined ? [key] : [key, canonical(field)]
  })
}

function canonical(field: FieldValue): unknown[] {
  switch (field.tag) {
    case 'A':
      return [field.tag, ...field.value.map(canonical)]
    case 'F':
      return [field.tag, ...canonicalTable(field.value)]
    case 'x':
      return [field.tag, Buffer.from(field.value).toString('base64')]
    case 'D':
      return [field.tag, field.value.scale, field.value.value]
    case 'f':
    case 'd':
    case 'l':
    case 'L':
    case 'T':
      return [field.tag, String(field.value)] // JSON has no infinities and no bigint
    default:
      return [field.tag, field.value]
  }
}
