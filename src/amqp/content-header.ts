import { ByteReader, readUint16, readUint32, readUint64 } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'
import { decodeFieldTable, emptyTable, type FieldTable, writeFieldTable } from './field-table.ts'
import { checkFieldTable, fieldItemsMax } from './field-table-check.ts'
import { ProtocolError, ReplyCodes } from './reply-codes.ts'
import { decodeShortString, encodeShortString } from './short-string.ts'

/**
 * The payload of a content-header frame (AMQP 0-9-1 §4.2.6.1) as raw bytes, and the basic properties in it.
 *
 *     0        2        4            12       14
 *     +--------+--------+------------+--------+ +----------------------------------+
 *     | class  | weight | body size  | flags  | | the properties whose flag is set |
 *     +--------+--------+------------+--------+ +----------------------------------+
 *
 * A message keeps these bytes; whoever wants to know something asks a function here. What comes from a peer passes
 * `checkContentHeader` first, once. All functions that take a range read within it and throw nothing but
 * `ProtocolError`.
 */
export interface Properties {
  readonly contentType: string | null
  readonly contentEncoding: string | null
  readonly headers: FieldTable | null
  readonly deliveryMode: number | null
  readonly priority: number | null
  readonly correlationId: string | null
  readonly replyTo: string | null
  readonly expiration: string | null
  readonly messageId: string | null
  /** Seconds since 1970; a bigint only beyond 2^53-1. */
  readonly timestamp: number | bigint | null
  readonly type: string | null
  readonly userId: string | null
  readonly appId: string | null
  readonly clusterId: string | null
}

/** Some of the properties; those left out are not set, or not changed. */
export type SomeProperties = { readonly [Name in keyof Properties]?: Properties[Name] }

/** One bit per property, from the highest down in the order in which the properties stand. */
export const PropertyFlags = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const satisfies Record<keyof Properties, number>

/** Content headers are those of class basic; there are no others. */
export const basicClassId = 60

/** Class, weight, body size and flags: where the properties begin, in bytes. */
const fixedBytes = 14
/** Bit 1 has no property; bit 0 says that more flags follow. 0-9-1 has fourteen properties and needs neither. */
const noSuchFlags = 0x0003
/** The broker adds headers of its own (a death history, for one) to messages that came with as many as may be. */
const itemsMaxWhenKept = 2 * fieldItemsMax

// ---------------------------------------------------------------- check

/**
 * Throws `ProtocolError` unless `buffer[start..end)` is a well-formed content header of class basic, its headers table
 * included: 501 where lengths do not fit, 502 for values that may not be. Allocates nothing. What the properties mean
 * (a priority of 200, an expiration that is no number) is not its business.
 */
export function checkContentHeader(buffer: Uint8Array, start: number, end: number): void {
  if (end - start < fixedBytes) throw truncated()
  const classId = readUint16(buffer, start)
  if (classId !== basicClassId) throw illegal(`a content header of class ${classId} instead of ${basicClassId}`)
  const weight = readUint16(buffer, start + 2)
  if (weight !== 0) throw illegal(`a content header with weight ${weight}`)
  const flags = readUint16(buffer, start + 12)
  if ((flags & noSuchFlags) !== 0) throw illegal(`unknown property flags in 0x${flags.toString(16)}`)
  let at = start + fixedBytes
  for (let left = flags; left !== 0; ) {
    const flag = highestOf(left)
    const next = skip(buffer, at, end, flag)
    if (flag === PropertyFlags.headers) checkFieldTable(buffer, at + 4, next)
    at = next
    left ^= flag
  }
  if (at < end) throw new ProtocolError(ReplyCodes.FrameError, `${end - at} bytes after the properties`)
}

// ---------------------------------------------------------------- read one thing

/** What is beyond 2^53-1 is read as that: larger than any limit. */
export function bodySizeOf(buffer: Uint8Array, start: number, end: number): number {
  if (end - start < fixedBytes) throw truncated()
  return readUint64(buffer, start + 4)
}

/** The `PropertyFlags` that are set. */
export function flagsOf(buffer: Uint8Array, start: number, end: number): number {
  if (end - start < fixedBytes) throw truncated()
  return readUint16(buffer, start + 12)
}

/** 1, which is transient, where the message does not say. */
export function deliveryModeOf(buffer: Uint8Array, start: number, end: number): number {
  const at = propertyAt(buffer, start, end, PropertyFlags.deliveryMode)
  return at === absent ? 1 : (buffer[at] as number)
}

/** 0 where the message does not say. */
export function priorityOf(buffer: Uint8Array, start: number, end: number): number {
  const at = propertyAt(buffer, start, end, PropertyFlags.priority)
  return at === absent ? 0 : (buffer[at] as number)
}

export function headersOf(buffer: Uint8Array, start: number, end: number): FieldTable {
  const at = propertyAt(buffer, start, end, PropertyFlags.headers)
  if (at === absent) return emptyTable
  return decodeFieldTable(buffer, at + 4, at + 4 + readUint32(buffer, at), itemsMaxWhenKept)
}

/** Where the entries of the headers table begin, whose 32-bit length stands before them; -1 without headers. */
export function headersStart(buffer: Uint8Array, start: number, end: number): number {
  const at = propertyAt(buffer, start, end, PropertyFlags.headers)
  return at === absent ? -1 : at + 4
}

/** Whether the message has this property, one of the short strings, and it is exactly these bytes. */
export function propertyIs(buffer: Uint8Array, start: number, end: number, flag: number, bytes: Uint8Array): boolean {
  const at = propertyAt(buffer, start, end, flag)
  if (at === absent || buffer[at] !== bytes.length) return false
  for (let index = 0; index < bytes.length; index++) if (buffer[at + 1 + index] !== bytes[index]) return false
  return true
}

export function expirationOf(buffer: Uint8Array, start: number, end: number): string | null {
  return stringOf(buffer, start, end, PropertyFlags.expiration)
}

export function replyToOf(buffer: Uint8Array, start: number, end: number): string | null {
  return stringOf(buffer, start, end, PropertyFlags.replyTo)
}

export function userIdOf(buffer: Uint8Array, start: number, end: number): string | null {
  return stringOf(buffer, start, end, PropertyFlags.userId)
}

export function messageIdOf(buffer: Uint8Array, start: number, end: number): string | null {
  return stringOf(buffer, start, end, PropertyFlags.messageId)
}

function stringOf(buffer: Uint8Array, start: number, end: number, flag: number): string | null {
  const at = propertyAt(buffer, start, end, flag)
  return at === absent ? null : decodeShortString(buffer, at + 1, at + 1 + (buffer[at] as number))
}

const absent = -1

/** Where the property begins, which then lies wholly in the range; `absent` when the message has none. */
function propertyAt(buffer: Uint8Array, start: number, end: number, wanted: number): number {
  const flags = flagsOf(buffer, start, end)
  if ((flags & wanted) === 0) return absent
  let at = start + fixedBytes
  for (let before = flags & ~(2 * wanted - 1); before !== 0; before ^= highestOf(before)) {
    at = skip(buffer, at, end, highestOf(before))
  }
  skip(buffer, at, end, wanted)
  return at
}

/** The highest bit that is set: the property that comes first. */
function highestOf(flags: number): number {
  return 0x8000_0000 >>> Math.clz32(flags)
}

/** Where the property of this flag, which begins at `at`, ends. */
function skip(buffer: Uint8Array, at: number, end: number, flag: number): number {
  let next = at
  if (flag === PropertyFlags.deliveryMode || flag === PropertyFlags.priority) next += 1
  else if (flag === PropertyFlags.timestamp) next += 8
  else if (flag === PropertyFlags.headers) next += 4 + (at + 4 > end ? 0 : readUint32(buffer, at))
  else next += 1 + (at + 1 > end ? 0 : (buffer[at] as number))
  if (next > end) throw truncated()
  return next
}

function truncated(): ProtocolError {
  return new ProtocolError(ReplyCodes.FrameError, 'a content header ends inside a property')
}

function illegal(text: string): ProtocolError {
  return new ProtocolError(ReplyCodes.SyntaxError, text)
}

// ---------------------------------------------------------------- all properties

/** All fourteen; null for those that are not set. */
export function decodeProperties(buffer: Uint8Array, start: number, end: number): Properties {
  const flags = flagsOf(buffer, start, end)
  const reader = new ByteReader().reset(buffer, start + fixedBytes, end)
  const string = (flag: number): string | null => ((flags & flag) === 0 ? null : reader.shortString())
  const octet = (flag: number): number | null => ((flags & flag) === 0 ? null : reader.uint8())
  // The order of the lines is the order on the wire.
  return {
    contentType: string(PropertyFlags.contentType),
    contentEncoding: string(PropertyFlags.contentEncoding),
    headers: (flags & PropertyFlags.headers) === 0 ? null : readHeaders(reader),
    deliveryMode: octet(PropertyFlags.deliveryMode),
    priority: octet(PropertyFlags.priority),
    correlationId: string(PropertyFlags.correlationId),
    replyTo: string(PropertyFlags.replyTo),
    expiration: string(PropertyFlags.expiration),
    messageId: string(PropertyFlags.messageId),
    timestamp: (flags & PropertyFlags.timestamp) === 0 ? null : reader.uint64Exact(),
    type: string(PropertyFlags.type),
    userId: string(PropertyFlags.userId),
    appId: string(PropertyFlags.appId),
    clusterId: string(PropertyFlags.clusterId),
  }
}

function readHeaders(reader: ByteReader): FieldTable {
  const length = reader.uint32()
  const at = reader.take(length)
  return decodeFieldTable(reader.buffer, at, at + length, itemsMaxWhenKept)
}

/** Writes the whole payload of a content-header frame. */
export function encodeContentHeader(writer: ByteWriter, bodySize: number, properties: SomeProperties): void {
  writer.uint16(basicClassId)
  writer.uint16(0)
  writer.uint64(bodySize)
  encodeProperties(writer, properties)
}

/** Writes flags and properties. */
export function encodeProperties(writer: ByteWriter, properties: SomeProperties): void {
  const flagsAt = writer.reserve(2)
  let flags = 0
  const string = (flag: number, value: string | null | undefined): void => {
    if (value === null || value === undefined) return
    flags |= flag
    encodeShortString(writer, value)
  }
  const octet = (flag: number, value: number | null | undefined): void => {
    if (value === null || value === undefined) return
    flags |= flag
    writer.uint8(value)
  }
  string(PropertyFlags.contentType, properties.contentType)
  string(PropertyFlags.contentEncoding, properties.contentEncoding)
  if (properties.headers !== null && properties.headers !== undefined) {
    flags |= PropertyFlags.headers
    writeFieldTable(writer, properties.headers)
  }
  octet(PropertyFlags.deliveryMode, properties.deliveryMode)
  octet(PropertyFlags.priority, properties.priority)
  string(PropertyFlags.correlationId, properties.correlationId)
  string(PropertyFlags.replyTo, properties.replyTo)
  string(PropertyFlags.expiration, properties.expiration)
  string(PropertyFlags.messageId, properties.messageId)
  if (properties.timestamp !== null && properties.timestamp !== undefined) {
    flags |= PropertyFlags.timestamp
    writer.uint64Exact(properties.timestamp)
  }
  string(PropertyFlags.type, properties.type)
  string(PropertyFlags.userId, properties.userId)
  string(PropertyFlags.appId, properties.appId)
  string(PropertyFlags.clusterId, properties.clusterId)
  writer.buffer[flagsAt] = flags >>> 8
  writer.buffer[flagsAt + 1] = flags & 0xff
}

/**
 * Writes the content header `buffer[start..end)` with some properties changed: null takes one away, what is left out
 * stays as it is, to the byte.
 */
export function rewriteContentHeader(
  writer: ByteWriter,
  buffer: Uint8Array,
  start: number,
  end: number,
  changes: SomeProperties,
): void {
  const properties = decodeProperties(buffer, start, end)
  encodeContentHeader(writer, bodySizeOf(buffer, start, end), { ...properties, ...changes })
}
