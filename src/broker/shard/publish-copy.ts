/** Copies of stored records, appended again to free the segment they are in. */
import type { Log, Position } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { LargeBody } from './large-bodies.ts'
import { readPublishTargets, writeChunkList, writeTarget } from './publish-record.ts'
import { fixedBytesOf, PublishFlag, readContentLength, readU16, targetBytes, writeU16 } from './records.ts'

/** Appends a publish record again with fewer targets, and with the places its body's chunks have now. */
export function copyPublish(
  log: Log,
  record: Uint8Array,
  targets: readonly { queue: LocalQueue; sequence: number }[],
  body: LargeBody | null,
): Position {
  const old = readPublishTargets(record, 0)
  const fixedBytes = fixedBytesOf(old.flags)
  const tailAt = old.traitsAt
  const tail = record.subarray(tailAt)
  const newTailAt = fixedBytes + targets.length * targetBytes
  const at = log.reserve(newTailAt + tail.length)
  const buffer = log.buffer
  buffer.set(record.subarray(0, fixedBytes), at)
  buffer[at + 1] = old.flags | PublishFlag.moved
  writeU16(buffer, at + 2, targets.length)
  targets.forEach(({ queue, sequence }, index) => {
    writeTarget(buffer, at + fixedBytes + index * targetBytes, queue.id, sequence)
  })
  buffer.set(tail, at + newTailAt)
  if (body !== null) {
    const content = at + newTailAt + old.traitsBytes + readU16(record, 4)
    writeChunkList(buffer, content + 4 + readContentLength(buffer, content), body)
  }
  return log.appended
}

export function copyChunk(log: Log, record: Uint8Array): Position {
  const at = log.reserve(record.length)
  log.buffer.set(record, at)
  return log.appended
}
