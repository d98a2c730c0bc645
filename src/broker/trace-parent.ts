/** What a message says of the trace that its publisher records: W3C Trace Context in its headers. */
import { flagsOf, headersStart, PropertyFlags } from '../amqp/content-header.ts'
import { decodeFieldValue } from '../amqp/field-table.ts'
import { findHeader } from '../amqp/known-headers.ts'
import { decodeShortString } from '../amqp/short-string.ts'
import type { Message } from './message.ts'

export interface TraceParent {
  /** Of the trace, 32 hex digits. */
  readonly traceId: string
  /** Of the publisher's span, 16 hex digits. */
  readonly parentId: string
}

const traceParent = new TextEncoder().encode('traceparent')

/** Null when the trace is not recorded, or there is none. */
export function sampledParentOf(message: Message): TraceParent | null {
  const { buffer, contentStart, isFrames } = message
  // Frame: type, channel, length. Parts: length. Then the header payload in both.
  const lengthAt = isFrames ? contentStart + 3 : contentStart
  const start = lengthAt + 4
  const end = start + uint32At(buffer, lengthAt)
  if ((flagsOf(buffer, start, end) & PropertyFlags.headers) === 0) return null
  const tableStart = headersStart(buffer, start, end)
  const table = { start: tableStart, end: tableStart + uint32At(buffer, tableStart - 4) }
  const at = findHeader(buffer, table, traceParent)
  const field = at < 0 ? null : decodeFieldValue(buffer, at)
  return field?.tag === 'S' ? readTraceParent(field.value) : null
}

/** Null when it is malformed, or its last bit says that the trace is not recorded. */
export function readTraceParent(text: string): TraceParent | null {
  const [, version, traceId = '', parentId = '', flags = ''] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/.exec(text) ?? []
  const isValid = version !== undefined && version !== 'ff' && !/^0+$/.test(traceId) && !/^0+$/.test(parentId)
  return isValid && (Number.parseInt(flags, 16) & 1) === 1 ? { traceId, parentId } : null
}

/** `[exchange][routing key]`, both short strings. */
export function routingKeyOf({ buffer, routeStart }: Message): string {
  const keyAt = routeStart + 1 + (buffer[routeStart] as number)
  return decodeShortString(buffer, keyAt + 1, keyAt + 1 + (buffer[keyAt] as number))
}

function uint32At(buffer: Uint8Array, at: number): number {
  return new DataView(buffer.buffer, buffer.byteOffset + at, 4).getUint32(0)
}
