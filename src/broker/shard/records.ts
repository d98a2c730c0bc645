/**
 * The durable schema of a shard: its records, byte for byte. `docs/formats/shard-records.md` draws them.
 *
 * Checklist when a record kind is added: give it a number here, encode and decode it here, apply it in `apply.ts`, say in
 * `segment-digest.ts` how a digest carries what it did, draw it in the document, add a saved data directory to
 * `test/formats`.
 *
 * All numbers are little-endian. A queue id and a sequence are two u32: low, high.
 */
export const RecordKind = {
  /** A message in one or more queues. */
  publish: 1,
  /** A piece of a large body, named by a later publish record. */
  bodyChunk: 2,
  /** A range of one queue's sequences is done with: acknowledged, dropped, purged. */
  settled: 3,
  /** From here on, sequences below the mark may have been sent to consumers. */
  sentMark: 4,
  /** All that is known of one queue besides its entries; replaces what was said before. */
  queueState: 5,
  /** A range of one queue's entries has failed so many times. */
  failed: 6,
  /** One entry is not ready before a time: it waits to be tried again, or was given another time. */
  waits: 7,
  /** What other nodes have published here: says again what is in records before it. */
  origins: 8,
  /** Of which entries of other shards there are dead letters here: says again what is in records before it. */
  letters: 9,
} as const

export const PublishFlag = {
  /** The content is the frames as they came; else it is header payload and body. */
  frames: 1,
  /** The body is in chunk records; the content ends with their list. */
  chunked: 2,
  /** A copy of an older record, made to free its segment. */
  moved: 4,
  /** It says when it arrived. All records do since the second version of this format. */
  stamped: 8,
} as const

/** Bytes of a publish record before its targets: kind, flags, target count, route bytes, bytes of traits, body bytes. */
const unstampedBytes = 12
/** The same with the time of arrival behind. */
export const publishFixedBytes = 18
export const failedBytes = 32
export const waitsBytes = 32
export const targetBytes = 16
export const settledBytes = 28
export const sentMarkBytes = 20
/** Kind and padding before the body of a chunk record. */
export const bodyChunkFixedBytes = 4
/** One chunk in the list of a chunked publish: position (f64) and length (u32). */
export const chunkReferenceBytes = 12

/** Where the targets of a publish record with these flags begin. */
export function fixedBytesOf(flags: number): number {
  return (flags & PublishFlag.stamped) === 0 ? unstampedBytes : publishFixedBytes
}

export function writeU16(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value
  buffer[at + 1] = value >>> 8
}

export function writeU32(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value
  buffer[at + 1] = value >>> 8
  buffer[at + 2] = value >>> 16
  buffer[at + 3] = value >>> 24
}

/** The length before a header payload: content is bytes as AMQP has them, in network order. */
export function readContentLength(buffer: Uint8Array, at: number): number {
  const high = (((buffer[at] as number) << 8) | (buffer[at + 1] as number)) * 65_536
  return high + (((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number))
}

/** A whole number below 2^53 as two u32. */
export function writeU64(buffer: Uint8Array, at: number, value: number): void {
  writeU32(buffer, at, value >>> 0)
  writeU32(buffer, at + 4, (value / 4294967296) >>> 0)
}

/** A time in milliseconds since 1970, or any whole number below 2^48. */
export function writeU48(buffer: Uint8Array, at: number, value: number): void {
  writeU32(buffer, at, value >>> 0)
  writeU16(buffer, at + 4, value / 4294967296)
}

export function readU48(buffer: Uint8Array, at: number): number {
  return readU32(buffer, at) + readU16(buffer, at + 4) * 4294967296
}

export function readU16(buffer: Uint8Array, at: number): number {
  return (buffer[at] as number) | ((buffer[at + 1] as number) << 8)
}

export function readU32(buffer: Uint8Array, at: number): number {
  return (
    ((buffer[at] as number) |
      ((buffer[at + 1] as number) << 8) |
      ((buffer[at + 2] as number) << 16) |
      ((buffer[at + 3] as number) << 24)) >>>
    0
  )
}

export function readU64(buffer: Uint8Array, at: number): number {
  return readU32(buffer, at) + readU32(buffer, at + 4) * 4294967296
}

export interface SettledRecord {
  readonly queueId: number
  readonly first: number
  readonly last: number
}

export function writeSettled(buffer: Uint8Array, at: number, queueId: number, first: number, last: number): void {
  writeU32(buffer, at, RecordKind.settled)
  writeU64(buffer, at + 4, queueId)
  writeU64(buffer, at + 12, first)
  writeU64(buffer, at + 20, last)
}

export function readSettled(buffer: Uint8Array, at: number): SettledRecord {
  return { queueId: readU64(buffer, at + 4), first: readU64(buffer, at + 12), last: readU64(buffer, at + 20) }
}

export function writeSentMark(buffer: Uint8Array, at: number, queueId: number, mark: number): void {
  writeU32(buffer, at, RecordKind.sentMark)
  writeU64(buffer, at + 4, queueId)
  writeU64(buffer, at + 12, mark)
}

export function readSentMark(buffer: Uint8Array, at: number): { queueId: number; mark: number } {
  return { queueId: readU64(buffer, at + 4), mark: readU64(buffer, at + 12) }
}

export interface FailedRecord {
  readonly queueId: number
  readonly first: number
  readonly last: number
  /** Failed deliveries so far; a record that says fewer than is known changes nothing. */
  readonly count: number
}

export function writeFailed(buffer: Uint8Array, at: number, record: FailedRecord): void {
  writeU32(buffer, at, RecordKind.failed)
  writeU64(buffer, at + 4, record.queueId)
  writeU64(buffer, at + 12, record.first)
  writeU64(buffer, at + 20, record.last)
  writeU32(buffer, at + 28, record.count)
}

export function readFailed(buffer: Uint8Array, at: number): FailedRecord {
  return {
    queueId: readU64(buffer, at + 4),
    first: readU64(buffer, at + 12),
    last: readU64(buffer, at + 20),
    count: readU32(buffer, at + 28),
  }
}

export interface WaitsRecord {
  readonly queueId: number
  readonly sequence: number
  /** Wall time in milliseconds; 0: it is ready. */
  readonly dueAt: number
}

export function writeWaits(buffer: Uint8Array, at: number, record: WaitsRecord): void {
  writeU32(buffer, at, RecordKind.waits)
  writeU64(buffer, at + 4, record.queueId)
  writeU64(buffer, at + 12, record.sequence)
  writeU64(buffer, at + 20, record.dueAt)
  writeU32(buffer, at + 28, 0)
}

export function readWaits(buffer: Uint8Array, at: number): WaitsRecord {
  return {
    queueId: readU64(buffer, at + 4),
    sequence: readU64(buffer, at + 12),
    dueAt: readU64(buffer, at + 20),
  }
}
