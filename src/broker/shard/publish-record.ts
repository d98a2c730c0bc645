/**
 * The publish record: one message and the (queue, sequence) it has in each target. Written straight from the message's
 * bytes into the log's buffer, read as a view.
 *
 *     u8 kind, u8 flags, u16 targets, u16 route bytes, u16 bytes of traits, u32 body bytes, u48 time of arrival
 *     targets × (u64 queue id, u64 sequence)
 *     traits:  what the publisher asked for besides (`record-traits.ts`)
 *     route:   exchange and routing key as short strings
 *     content: frames as they came, or header bytes (u32 in network order), header payload, body,
 *              or (chunked) header bytes, header payload, u32 chunks, chunks × (f64 position, u32 bytes)
 */
import type { Log, Position } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type { LargeBody } from './large-bodies.ts'
import type { RecordTraits } from './record-traits.ts'
import {
  chunkReferenceBytes,
  fixedBytesOf,
  PublishFlag,
  publishFixedBytes,
  RecordKind,
  readContentLength,
  readU16,
  readU32,
  readU48,
  readU64,
  targetBytes,
  writeU16,
  writeU32,
  writeU48,
  writeU64,
} from './records.ts'

/** Targets in one record at most; a wider fanout is written as several records. */
export const targetsMax = 8_192

/** Copies at and below this many bytes go byte by byte: cheaper than a call with a view. */
const shortCopyBytes = 24

function copy(into: Uint8Array, at: number, from: Uint8Array, start: number, end: number): number {
  if (end - start <= shortCopyBytes)
    for (let index = start, to = at; index < end; ) into[to++] = from[index++] as number
  else into.set(from.subarray(start, end), at)
  return at + end - start
}

/** What a record says besides its message. */
export interface Stamp {
  /** Wall time in milliseconds. */
  readonly arrivedAt: number
  readonly traits: RecordTraits
}

/** Appends the record without its targets' values; returns the offset of the first target in `log.buffer`. */
export function appendPublish(
  log: Log,
  message: Message,
  targets: number,
  body: LargeBody | null,
  stamp: Stamp,
): number {
  const traitsBytes = stamp.traits.length
  const routeBytes = message.routeEnd - message.routeStart
  const contentBytes = message.contentEnd - message.contentStart
  const chunkBytes = body === null ? 0 : 4 + body.positions.length * chunkReferenceBytes
  const at = log.reserve(
    publishFixedBytes + targets * targetBytes + traitsBytes + routeBytes + contentBytes + chunkBytes,
  )
  const buffer = log.buffer
  buffer[at] = RecordKind.publish
  buffer[at + 1] =
    PublishFlag.stamped | (message.isFrames ? PublishFlag.frames : 0) | (body === null ? 0 : PublishFlag.chunked)
  writeU16(buffer, at + 2, targets)
  writeU16(buffer, at + 4, routeBytes)
  writeU16(buffer, at + 6, traitsBytes)
  writeU32(buffer, at + 8, message.bodyBytes)
  writeU48(buffer, at + 12, stamp.arrivedAt)
  const targetsAt = at + publishFixedBytes
  let routeAt = targetsAt + targets * targetBytes
  if (traitsBytes > 0) routeAt = copy(buffer, routeAt, stamp.traits.bytes, 0, traitsBytes)
  const contentAt = copy(buffer, routeAt, message.buffer, message.routeStart, message.routeEnd)
  const end = copy(buffer, contentAt, message.buffer, message.contentStart, message.contentEnd)
  if (body !== null) writeChunkList(buffer, end, body)
  return targetsAt
}

export function writeTarget(buffer: Uint8Array, at: number, queueId: number, sequence: number): void {
  writeU64(buffer, at, queueId)
  writeU64(buffer, at + 8, sequence)
}

export function writeChunkList(buffer: Uint8Array, at: number, body: LargeBody): void {
  writeU32(buffer, at, body.positions.length)
  body.positions.forEach((position, index) => {
    writeU64(buffer, at + 4 + index * chunkReferenceBytes, position)
    writeU32(buffer, at + 12 + index * chunkReferenceBytes, body.lengths[index] as number)
  })
}

/** Points the message at a publish record. `chunks` is left null: the caller attaches a reader to a chunked one. */
export function viewPublish(message: Message, buffer: Uint8Array, start: number, end: number): void {
  const flags = buffer[start + 1] as number
  message.buffer = buffer
  message.routeStart =
    start + fixedBytesOf(flags) + readU16(buffer, start + 2) * targetBytes + readU16(buffer, start + 6)
  message.routeEnd = message.routeStart + readU16(buffer, start + 4)
  message.contentStart = message.routeEnd
  message.contentEnd =
    (flags & PublishFlag.chunked) === 0
      ? end
      : message.contentStart + 4 + readContentLength(buffer, message.contentStart)
  message.isFrames = (flags & PublishFlag.frames) !== 0
  message.isPersistent = true
  message.bodyBytes = readU32(buffer, start + 8)
  message.traits = null
  message.chunks = null
}

/** When it came, wall time in milliseconds; 0 where the record is too old to say. */
export function arrivedAtOf(buffer: Uint8Array, start: number): number {
  return ((buffer[start + 1] as number) & PublishFlag.stamped) === 0 ? 0 : readU48(buffer, start + 12)
}

/** What replay needs of a publish record. */
export interface PublishTargets {
  readonly flags: number
  readonly bodyBytes: number
  readonly count: number
  readonly at: number
  /** Where the traits begin, and their bytes. */
  readonly traitsAt: number
  readonly traitsBytes: number
}

export function readPublishTargets(buffer: Uint8Array, start: number): PublishTargets {
  const flags = buffer[start + 1] as number
  const count = readU16(buffer, start + 2)
  const at = start + fixedBytesOf(flags)
  return {
    flags,
    bodyBytes: readU32(buffer, start + 8),
    count,
    at,
    traitsAt: at + count * targetBytes,
    traitsBytes: readU16(buffer, start + 6),
  }
}

export function readChunkList(buffer: Uint8Array, start: number): { positions: Position[]; lengths: number[] } {
  const targets = readPublishTargets(buffer, start)
  const content = targets.traitsAt + targets.traitsBytes + readU16(buffer, start + 4)
  const at = content + 4 + readContentLength(buffer, content)
  const positions: Position[] = []
  const lengths: number[] = []
  for (let index = 0; index < readU32(buffer, at); index++) {
    positions.push(readU64(buffer, at + 4 + index * chunkReferenceBytes))
    lengths.push(readU32(buffer, at + 12 + index * chunkReferenceBytes))
  }
  return { positions, lengths }
}
