/**
 * A message on the link: bytes as they came, read as a view.
 *
 *     u8 flags, u16 route bytes, u32 content bytes, u32 body bytes, [traits], [u64 queue, u64 sequence of what it is a
 *     dead letter of], [u32 body, u32 pieces], route, content
 *     traits: u8 priority, u64 due at, u64 expiration + 1 (0: none), group and BCC keys as short strings, u16 keys
 */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import { type ByteWriter, writeUint16, writeUint32 } from '../../amqp/byte-writer.ts'
import { encodeShortString } from '../../amqp/short-string.ts'
import type { Message } from '../../broker/message.ts'
import type { MessageTraits } from '../../broker/message-traits.ts'

const Flag = { frames: 1, persistent: 2, traits: 4, body: 8, deadLetter: 16, letterOf: 32 } as const
const fixedBytes = 11
const shortCopyBytes = 24

/** A large body whose pieces go another way. */
export interface BodyReference {
  readonly id: number
  readonly count: number
}

export function writeMessage(writer: ByteWriter, message: Message, body: BodyReference | null): void {
  const { traits } = message
  const letterOf = traits?.letterOf ?? null
  const routeBytes = message.routeEnd - message.routeStart
  const contentBytes = message.contentEnd - message.contentStart
  const at = writer.reserve(fixedBytes)
  const { buffer } = writer
  buffer[at] =
    (message.isFrames ? Flag.frames : 0) |
    (message.isPersistent ? Flag.persistent : 0) |
    (traits === null ? 0 : Flag.traits) |
    (body === null ? 0 : Flag.body) |
    (traits?.isDeadLetter === true ? Flag.deadLetter : 0) |
    (letterOf === null ? 0 : Flag.letterOf)
  writeUint16(buffer, at + 1, routeBytes)
  writeUint32(buffer, at + 3, contentBytes)
  writeUint32(buffer, at + 7, message.bodyBytes)
  if (traits !== null) writeTraits(writer, traits)
  if (letterOf !== null) {
    writer.uint64(letterOf.queueId)
    writer.uint64(letterOf.sequence)
  }
  if (body !== null) {
    writer.uint32(body.id)
    writer.uint32(body.count)
  }
  const routeAt = writer.reserve(routeBytes + contentBytes)
  copy(writer.buffer, routeAt, message.buffer, message.routeStart, message.routeEnd)
  copy(writer.buffer, routeAt + routeBytes, message.buffer, message.contentStart, message.contentEnd)
}

/** Points `message` at what is read; null, or which body is its own. `traits` is filled where the message has some. */
export function readMessage(reader: ByteReader, message: Message, traits: MessageTraits): BodyReference | null {
  const flags = reader.uint8()
  const routeBytes = reader.uint16()
  const contentBytes = reader.uint32()
  message.buffer = reader.buffer
  message.isFrames = (flags & Flag.frames) !== 0
  message.isPersistent = (flags & Flag.persistent) !== 0
  message.bodyBytes = reader.uint32()
  message.traits = (flags & Flag.traits) === 0 ? null : readTraits(reader, traits)
  traits.isDeadLetter = (flags & Flag.deadLetter) !== 0
  traits.letterOf = (flags & Flag.letterOf) === 0 ? null : { queueId: reader.uint64(), sequence: reader.uint64() }
  message.chunks = null
  const body = (flags & Flag.body) === 0 ? null : { id: reader.uint32(), count: reader.uint32() }
  message.routeStart = reader.take(routeBytes + contentBytes)
  message.routeEnd = message.routeStart + routeBytes
  message.contentStart = message.routeEnd
  message.contentEnd = message.contentStart + contentBytes
  return body
}

function writeTraits(writer: ByteWriter, traits: MessageTraits): void {
  writer.uint8(traits.priority)
  writer.uint64(traits.dueAt)
  writer.uint64(traits.expirationMs === null ? 0 : traits.expirationMs + 1)
  encodeShortString(writer, traits.group)
  writer.uint16(traits.blindKeys.length)
  for (const key of traits.blindKeys) encodeShortString(writer, key)
}

function readTraits(reader: ByteReader, traits: MessageTraits): MessageTraits {
  traits.priority = reader.uint8()
  traits.dueAt = reader.uint64()
  const expiration = reader.uint64()
  traits.expirationMs = expiration === 0 ? null : expiration - 1
  traits.group = reader.shortString()
  traits.blindKeys = Array.from({ length: reader.uint16() }, () => reader.shortString())
  return traits
}

/** Short copies go byte by byte: cheaper than a call with a view. */
function copy(into: Uint8Array, at: number, from: Uint8Array, start: number, end: number): void {
  if (end - start > shortCopyBytes) into.set(from.subarray(start, end), at)
  else for (let index = start, to = at; index < end; ) into[to++] = from[index++] as number
}
