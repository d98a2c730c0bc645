/** `x-stream-offset`: where a consumer of a stream begins. */
import type { FieldTable, FieldValue } from '../../amqp/field-table.ts'
import { BrokerError } from '../errors.ts'
import { maxAgeMs } from '../topology/argument-checks.ts'
import { typeName, valueText, wholeNumber } from '../topology/field-values.ts'

export type Start =
  | { readonly at: 'first' | 'last' | 'next' }
  | { readonly at: 'offset'; readonly offset: number }
  /** The first message that came at this time or later, milliseconds since 1970. */
  | { readonly at: 'time'; readonly ms: number }

export const offsetArgument = 'x-stream-offset'

/**
 * `first`, `last`, `next` (also when it is not there), an offset, an AMQP timestamp, or how long ago (`1h`, `7D`: a
 * number and one of Y M D h m s). Throws 406 for all else; `what` is how the error names the queue.
 */
export function startOf(what: string, table: FieldTable, nowMs: number): Start {
  const field = table.fields.get(offsetArgument)
  if (field === undefined) return { at: 'next' }
  const start = parse(field, nowMs)
  if (start !== null) return start
  const term = `{invalid_stream_offset_arg,{${typeName(field.tag)},${termOf(field)}}}`
  throw new BrokerError('precondition-failed', `invalid arg '${offsetArgument}' for ${what}: ${term}`)
}

function parse(field: FieldValue, nowMs: number): Start | null {
  if (field.tag === 'S') {
    const { value } = field
    if (value === 'first' || value === 'last' || value === 'next') return { at: value }
    const ageMs = maxAgeMs(value)
    return ageMs === null ? null : { at: 'time', ms: nowMs - ageMs }
  }
  if (field.tag === 'T') return { at: 'time', ms: Number(field.value) * 1000 }
  const offset = wholeNumber(field)
  return offset === null || offset < 0 ? null : { at: 'offset', offset: Number(offset) }
}

function termOf(field: FieldValue): string {
  return field.tag === 'S' ? `<<${JSON.stringify(field.value)}>>` : valueText(field)
}
