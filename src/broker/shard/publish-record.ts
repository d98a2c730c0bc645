/**
 * The publish record: one message and the (queue, sequence) it has in each target. Written straight from the message's
 * bytes into the log's buffer, read as a view.
 *
 *     u8 kind, u8 flags, u16 targets, u16 route bytes, u16 0, u32 body bytes
 *     targets × (u64 queue id, u64 sequence)
 *     route:   exchange and routing key as short strings
 *     content: frames as they came, or header bytes (u32 in network order), header payload, body,
 *              or (chunked) header bytes, header payload, u32 chunks, chunks × (f64 position, u32 bytes)
 */
import type { Log, Position } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type { LargeBody } from './large-bodies.ts'
import {
  chunkReferenceBytes,
  PublishFlag,
  publishFixedBytes,
  RecordKind,
  readContentLength,
  readU16,
  readU32,
  readU64,
  targetBytes,
  writeU16,
  writeU32,
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

/** Appends the record without its targets' values; returns the offset of the first target in `log.buffer`. */
export function appendPublish(log: Log, message: Message, targets: number, body: LargeBody | null): number {
  const routeBytes = message.routeEnd - message.routeStart
  const contentBytes = message.contentEnd - message.contentStart
  const chunkBytes = body === null ? 0 : 4 + body.positions.length * chunkReferenceBytes
  const at = log.reserve(publishFixedBytes + targets * targetBytes + routeBytes + contentBytes + chunkBytes)
  const buffer = log.buffer
  buffer[at] = RecordKind.publish
  buffer[at + 1] = (message.isFrames ? PublishFlag.frames : 0) | (body === null ? 0 : PublishFlag.chunked)
  writeU16(buffer, at + 2, targets)
  writeU16(buffer, at + 4, routeBytes)
  writeU16(buffer, at + 6, 0)
  writeU32(buffer, at + 8, message.bodyBytes)
  const targetsAt = at + publishFixedBytes
  const routeAt = targetsAt + targets * targetBytes
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
  message.routeStart = start + publishFixedBytes + readU16(buffer, start + 2) * targetBytes
  message.routeEnd = message.routeStart + readU16(buffer, start + 4)
  message.contentStart = message.routeEnd
  message.contentEnd =
    (flags & PublishFlag.chunked) === 0
      ? end
      : message.contentStart + 4 + readContentLength(buffer, message.contentStart)
  message.isFrames = (flags & PublishFlag.frames) !== 0
  message.isPersistent = true
  message.bodyBytes = readU32(buffer, start + 8)
  message.chunks = null
}

/** What replay needs of a publish record. */
export interface PublishTargets {
  readonly flags: number
  readonly bodyBytes: number
  readonly count: number
  readonly at: number
}

export function readPublishTargets(buffer: Uint8Array, start: number): PublishTargets {
  return {
    flags: buffer[start + 1] as number,
    bodyBytes: readU32(buffer, start + 8),
    count: readU16(buffer, start + 2),
    at: start + publishFixedBytes,
  }
}

export function readChunkList(buffer: Uint8Array, start: number): { positions: Position[]; lengths: number[] } {
  const targets = readPublishTargets(buffer, start)
  const content = targets.at + targets.count * targetBytes + readU16(buffer, start + 4)
  const at = content + 4 + readContentLength(buffer, content)
  const positions: Position[] = []
  const lengths: number[] = []
  for (let index = 0; index < readU32(buffer, at); index++) {
    positions.push(readU64(buffer, at + 4 + index * chunkReferenceBytes))
    lengths.push(readU32(buffer, at + 12 + index * chunkReferenceBytes))
  }
  return { positions, lengths }
}
