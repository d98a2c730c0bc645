/**
 * The durable schema of a stream: its records, byte for byte. `docs/formats/stream-records.md` draws them.
 *
 * Checklist when a record kind is added: give it a number here, encode and decode it here, apply it in
 * `stream-opening.ts`, say in `stream-digest.ts` how a digest carries what it did, draw it in the document, add a saved
 * data directory to `test/formats`.
 *
 * Numbers are little-endian. u64 is a whole number below 2^53 as two u32: low, high.
 */
import { decodeShortString, encodedBytes, encodeText } from '../../amqp/short-string.ts'
import type { Message } from '../message.ts'
import { readContentLength, readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../shard/records.ts'
import type { Sender } from '../shard/senders.ts'

export const StreamRecordKind = {
  /** One message with its offset. */
  message: 1,
  /** A piece of a large body, named by a later message. */
  bodyChunk: 2,
  /** The offset that comes next, and how far named consumers have come. */
  state: 3,
  /** A message that another node or another shard has sent, and as which of its own. */
  sent: 4,
  /** What is stored of other nodes' publishes. */
  origins: 5,
  /** Of which entries of other shards there are dead letters. */
  letters: 6,
} as const

export const MessageFlag = {
  /** The content is the frames as they came, with the offset put in; else it is header payload and body. */
  frames: 1,
  /** The body is in chunk records; the content ends with their list. */
  chunked: 2,
} as const

/** Bytes of a message record before its route. */
export const messageFixedBytes = 32
/** Bytes that a record has there besides when the message was sent by another node or shard. */
export const senderBytes = 32
/** Kind and padding before the body of a chunk record. */
export const chunkFixedBytes = 4
/** One chunk in the list of a chunked message: position (u64) and length (u32). */
export const chunkReferenceBytes = 12

export interface MessageFields {
  readonly flags: number
  readonly routeBytes: number
  readonly bodyBytes: number
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  /** Where `x-stream-filter-value` is, from the record's first byte; both 0 when the message has none. */
  readonly filterAt: number
  readonly filterBytes: number
}

export function writeMessageFields(buffer: Uint8Array, at: number, fields: MessageFields): void {
  buffer[at] = StreamRecordKind.message
  buffer[at + 1] = fields.flags
  writeU16(buffer, at + 2, fields.routeBytes)
  writeU32(buffer, at + 4, fields.bodyBytes)
  writeU64(buffer, at + 8, fields.offset)
  writeU64(buffer, at + 16, fields.timestamp)
  writeU32(buffer, at + 24, fields.filterAt)
  writeU32(buffer, at + 28, fields.filterBytes)
}

/** Makes what `writeMessageFields` wrote a record with its sender. */
export function writeSender(buffer: Uint8Array, at: number, { origin, letterOf }: Sender): void {
  buffer[at] = StreamRecordKind.sent
  const senderAt = at + messageFixedBytes
  writeU32(buffer, senderAt, origin?.incarnation ?? 0)
  writeU32(buffer, senderAt + 4, 0)
  writeU64(buffer, senderAt + 8, origin?.number ?? 0)
  writeU64(buffer, senderAt + 16, letterOf?.queueId ?? 0)
  writeU64(buffer, senderAt + 24, letterOf?.sequence ?? 0)
}

/** Null where nobody else sent it. */
export function senderOf(buffer: Uint8Array, start: number): Sender | null {
  if (buffer[start] !== StreamRecordKind.sent) return null
  const at = start + messageFixedBytes
  const origin = { incarnation: readU32(buffer, at), number: readU64(buffer, at + 8) }
  const letterOf = { queueId: readU64(buffer, at + 16), sequence: readU64(buffer, at + 24) }
  return {
    origin: origin.incarnation === 0 ? null : origin,
    letterOf: letterOf.queueId === 0 ? null : letterOf,
  }
}

function routeStartOf(buffer: Uint8Array, start: number): number {
  return start + messageFixedBytes + (buffer[start] === StreamRecordKind.sent ? senderBytes : 0)
}

export function offsetOf(buffer: Uint8Array, start: number): number {
  return readU64(buffer, start + 8)
}

export function timestampOf(buffer: Uint8Array, start: number): number {
  return readU64(buffer, start + 16)
}

export function isChunked(buffer: Uint8Array, start: number): boolean {
  return ((buffer[start + 1] as number) & MessageFlag.chunked) !== 0
}

/** Where the filter value begins in the buffer; -1 when the message has none. It is `filterBytesOf` long. */
export function filterStartOf(buffer: Uint8Array, start: number): number {
  const at = readU32(buffer, start + 24)
  return at === 0 ? -1 : start + at
}

export function filterBytesOf(buffer: Uint8Array, start: number): number {
  return readU32(buffer, start + 28)
}

/** Points the message at a record. `chunks` is left null: the caller attaches a reader to a chunked one. */
export function viewMessage(message: Message, buffer: Uint8Array, start: number, end: number): void {
  const flags = buffer[start + 1] as number
  message.buffer = buffer
  message.routeStart = routeStartOf(buffer, start)
  message.routeEnd = message.routeStart + readU16(buffer, start + 2)
  message.contentStart = message.routeEnd
  message.contentEnd =
    (flags & MessageFlag.chunked) === 0
      ? end
      : message.contentStart + 4 + readContentLength(buffer, message.contentStart)
  message.isFrames = (flags & MessageFlag.frames) !== 0
  message.isPersistent = true
  message.bodyBytes = readU32(buffer, start + 4)
  message.traits = null
  message.chunks = null
}

/** Where the pieces of a large body are. */
export interface ChunkList {
  readonly positions: number[]
  readonly lengths: number[]
}

export function chunkListBytes(chunks: ChunkList): number {
  return 4 + chunks.positions.length * chunkReferenceBytes
}

export function writeChunkList(buffer: Uint8Array, at: number, chunks: ChunkList): void {
  writeU32(buffer, at, chunks.positions.length)
  chunks.positions.forEach((position, index) => {
    writeU64(buffer, at + 4 + index * chunkReferenceBytes, position)
    writeU32(buffer, at + 12 + index * chunkReferenceBytes, chunks.lengths[index] as number)
  })
}

export function readChunkList(buffer: Uint8Array, start: number): ChunkList {
  const content = routeStartOf(buffer, start) + readU16(buffer, start + 2)
  const at = content + 4 + readContentLength(buffer, content)
  const positions: number[] = []
  const lengths: number[] = []
  for (let index = 0; index < readU32(buffer, at); index++) {
    positions.push(readU64(buffer, at + 4 + index * chunkReferenceBytes))
    lengths.push(readU32(buffer, at + 12 + index * chunkReferenceBytes))
  }
  return { positions, lengths }
}

// ---------------------------------------------------------------- state

/** Where named consumers go on: the offset behind the last one up to which they have acknowledged everything. */
export type Places = ReadonlyMap<string, number>

const stateFixedBytes = 16

export function stateBytes(places: Places): number {
  let bytes = stateFixedBytes
  for (const name of places.keys()) bytes += 1 + encodedBytes(name) + 8
  return bytes
}

export interface State {
  /** The offset that the next message has at least. */
  readonly next: number
  readonly places: Places
}

export function writeState(buffer: Uint8Array, at: number, state: State): void {
  buffer[at] = StreamRecordKind.state
  buffer[at + 1] = 0
  writeU16(buffer, at + 2, state.places.size)
  writeU32(buffer, at + 4, 0)
  writeU64(buffer, at + 8, state.next)
  let to = at + stateFixedBytes
  for (const [name, place] of state.places) {
    const bytes = encodedBytes(name)
    buffer[to] = bytes
    encodeText(name, buffer, to + 1)
    writeU64(buffer, to + 1 + bytes, place)
    to += 1 + bytes + 8
  }
}

export function readState(buffer: Uint8Array, start: number): State {
  const places = new Map<string, number>()
  let at = start + stateFixedBytes
  for (let left = readU16(buffer, start + 2); left > 0; left--) {
    const bytes = buffer[at] as number
    places.set(decodeShortString(buffer, at + 1, at + 1 + bytes), readU64(buffer, at + 1 + bytes))
    at += 1 + bytes + 8
  }
  return { next: readU64(buffer, start + 8), places }
}
