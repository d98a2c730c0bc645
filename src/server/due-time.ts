import type { FieldValue } from '../amqp/field-table.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { delayMsMax } from '../broker/message-traits.ts'
import { typeName } from '../broker/topology/field-values.ts'

/**
 * When a delayed message is due: the headers `x-delay` and `x-deliver-at`, as wall time in milliseconds. 0: at once.
 * What cannot be a time, or is further away than `delayMsMax`, is 406.
 */

/**
 * `x-delay`: milliseconds from now. As in RabbitMQ's delayed-message plugin any kind of number counts (fractions are cut
 * off), and so does a string of digits; what is not above 0 means no delay. The plugin also passes over what is no number
 * and what is too long, and delivers at once; here that is refused.
 */
export function dueAfter(delay: FieldValue, now: number): number {
  const ms = delay.tag === 'S' ? numberIn(delay.value) : milliseconds(delay)
  if (Number.isNaN(ms)) throw invalidHeader('x-delay', delay)
  return ms > 0 ? checked('x-delay', now + ms, now) : 0
}

/**
 * `x-deliver-at`: a number of milliseconds since 1970, an AMQP timestamp (seconds since 1970), or a date, or a date with
 * a time and its zone, of ISO 8601 as a string. What is past is due at once.
 */
export function dueAt(time: FieldValue, now: number): number {
  const ms = time.tag === 'S' ? isoTime(time.value) : time.tag === 'T' ? Number(time.value) * 1_000 : milliseconds(time)
  if (Number.isNaN(ms)) throw invalidHeader('x-deliver-at', time)
  return ms > now ? checked('x-deliver-at', ms, now) : 0
}

function checked(name: string, due: number, now: number): number {
  if (due - now <= delayMsMax) return due
  throw invalid(name, `{value_too_large,${due - now}}, at most ${delayMsMax} ms from now are possible`)
}

/** NaN for what is no number, or none of the finite ones. */
function milliseconds(field: FieldValue): number {
  switch (field.tag) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'l':
    case 'L':
      return Number(field.value)
    case 'f':
    case 'd':
      return Number.isFinite(field.value) ? Math.trunc(field.value) : Number.NaN
    default:
      return Number.NaN
  }
}

function numberIn(text: string): number {
  return /^[+-]?\d{1,300}$/.test(text) ? Number(text) : Number.NaN
}

/** Without a zone a time would mean another moment on each machine. */
const isoForm = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d))?$/

function isoTime(text: string): number {
  if (text.length > 40 || !isoForm.test(text)) return Number.NaN
  return Date.parse(text.replace(',', '.').replace(/([+-]\d\d)(\d\d)$/, '$1:$2'))
}

function invalidHeader(name: string, field: FieldValue): ProtocolError {
  if (field.tag === 'S') return invalid(name, `'${field.value.slice(0, 60)}'`)
  return invalid(name, `{unacceptable_type,${typeName(field.tag)}}`)
}

/** 406 for a header of Warren's own, in the form RabbitMQ has for arguments. */
export function invalid(name: string, reason: string): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, `invalid header '${name}': ${reason}`, Methods.BasicPublish)
}
