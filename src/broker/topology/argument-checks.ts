import type { FieldTable, FieldValue } from '../../amqp/field-table.ts'
import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'
import { typeName, wholeNumber } from './field-values.ts'

/**
 * Which values an argument may have. Each says what is wrong in RabbitMQ's words (Erlang terms and all, since clients
 * and their tests read them), or null when nothing is. Arguments that only Warren knows get a quoted sentence.
 */
export type Check = (field: FieldValue, all: FieldTable) => string | null

/** Ten years: RabbitMQ's bound of all times, in milliseconds. */
export const expiryMsMax = 315_360_000_000

export function whole(field: FieldValue): string | null {
  return wholeNumber(field) === null ? `"expected integer, got ${typeName(field.tag)}"` : null
}

export function notNegative(field: FieldValue): string | null {
  const number = wholeNumber(field)
  if (number === null) return whole(field)
  return number < 0 ? `{value_negative,${number}}` : null
}

export function positive(field: FieldValue): string | null {
  return isZero(field) ? '{value_zero,0}' : notNegative(field)
}

export function atMost(max: number, check: Check): Check {
  return (field, all) => {
    const wrong = check(field, all)
    if (wrong !== null) return wrong
    return Number(field.value) > max ? `{max_value_exceeded,${field.value}}` : null
  }
}

export function milliseconds(field: FieldValue): string | null {
  const wrong = notNegative(field)
  if (wrong !== null) return wrong
  return Number(field.value) > expiryMsMax ? `{value_too_large,${field.value}}` : null
}

export function positiveMilliseconds(field: FieldValue): string | null {
  return isZero(field) ? '{value_zero,0}' : milliseconds(field)
}

/** A whole number or a fraction; not a number and the infinities are neither. */
export function numberWithin(min: number, max: number): Check {
  return (field) => {
    const isFraction = field.tag === 'f' || field.tag === 'd'
    const number = isFraction ? field.value : wholeNumber(field)
    if (number === null) return `"expected number, got ${typeName(field.tag)}"`
    return number >= min && number <= max ? null : `"expected number from ${min} to ${max}, got ${number}"`
  }
}

export function text(field: FieldValue): string | null {
  return field.tag === 'S' ? null : unacceptable(field)
}

/** A name that a queue could have. */
export function name(field: FieldValue): string | null {
  if (field.tag !== 'S') return unacceptable(field)
  if (field.value === '') return '"expected a name, got nothing"'
  return encodedBytes(field.value) > shortStringBytesMax ? `"longer than ${shortStringBytesMax} bytes"` : null
}

export function boolean(field: FieldValue): string | null {
  return field.tag === 't' ? null : unacceptable(field)
}

export function oneOf(values: readonly string[], wrong: string): Check {
  return (field) => text(field) ?? (values.includes(String(field.value)) ? null : wrong)
}

/** `more` is asked too once the value itself is in order. */
export function both(check: Check, more: Check): Check {
  return (field, all) => check(field, all) ?? more(field, all)
}

/** Says `wrong` when none of these stands beside it. */
export function needs(keys: readonly string[], wrong: string): Check {
  return (_field, all) => (keys.some((key) => all.fields.has(key)) ? null : wrong)
}

/** Two names for one thing, or two ways to do one thing: only one may be said. */
export function without(keys: readonly string[]): Check {
  return (_field, all) => {
    const other = keys.find((key) => all.fields.has(key))
    return other === undefined ? null : `"cannot be combined with '${other}'"`
  }
}

// ---------------------------------------------------------------- single arguments

/** Both versions there have been are taken; neither means anything here. */
export function queueVersion(field: FieldValue): string | null {
  const wrong = notNegative(field)
  if (wrong !== null) return wrong
  const number = Number(field.value)
  return number === 1 || number === 2 ? null : `"unsupported queue version '${field.value}'"`
}

export function queueMode(field: FieldValue): string | null {
  if (field.tag !== 'S') return unacceptable(field)
  return field.value === 'default' || field.value === 'lazy' ? null : `"unsupported queue mode '${field.value}'"`
}

export const maxAge: Check = (field) => {
  if (field.tag !== 'S') return unacceptable(field)
  return maxAgeMs(field.value) === null ? 'invalid_max_age' : null
}

/** `7D` in milliseconds; null where it is none. A year is 365 days, a month 30 (RabbitMQ's streams). */
export function maxAgeMs(written: string): number | null {
  const match = /^(\d{1,12})([YMDhms])$/.exec(written)
  const ms = Number(match?.[1]) * (ageUnitsMs[match?.[2] ?? ''] ?? 0)
  return ms > 0 && ms <= ageMsMax ? ms : null
}

const ageUnitsMs: Readonly<Record<string, number>> = {
  Y: 365 * 86_400_000,
  M: 30 * 86_400_000,
  D: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
}

/** A thousand years. */
const ageMsMax = 1_000 * 365 * 86_400_000

function isZero(field: FieldValue): boolean {
  return Number(wholeNumber(field) ?? 1) === 0
}

function unacceptable(field: FieldValue): string {
  return `{unacceptable_type,${typeName(field.tag)}}`
}
