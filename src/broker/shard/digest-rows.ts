/** How the rows of a digest are read when a shard is opened: short ones at once, of long ones the ends and the sums. */
import type { Segment } from '../../log/log.ts'
import { chunkEntries } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { DigestRow } from './segment-digest.ts'

/** Runs below this many entries are read at once; longer ones stay away until a consumer comes near. */
export const runEntriesMin = 2_048

/** Where the entries of a sealed segment can be read again, if they are many enough to be let go. */
export function noteRun(segment: Segment, queue: LocalQueue, row: DigestRow): void {
  if (row.count === 0) return
  if (row.count < 256) {
    queue.unpagedBelow = Math.max(queue.unpagedBelow, row.last + 1)
    return
  }
  queue.runs.push({ segmentId: segment.id, first: row.first, last: row.last, count: row.count, offset: row.rowsAt })
}

export function rowBytesOf(row: DigestRow): number {
  return row.isContiguous ? 8 : 12
}

export function isLong(row: DigestRow): boolean {
  return row.isContiguous && row.count >= runEntriesMin
}

/** First sequence of the first chunk that lies wholly in a long run, and of the first behind it that does not. */
export function wholeFrom(row: DigestRow): number {
  return Math.ceil(row.first / chunkEntries) * chunkEntries
}

export function wholeEnd(row: DigestRow): number {
  return Math.floor((row.last + 1) / chunkEntries) * chunkEntries
}

/** Offset and length of what must be read of a row at once: all of a short one, the ends and the sums of a long one. */
export function neededParts(row: DigestRow): [number, number][] {
  const rowBytes = rowBytesOf(row)
  if (!isLong(row)) return [[row.rowsAt, row.count * rowBytes]]
  const parts: [number, number][] = []
  const before = wholeFrom(row) - row.first
  const behind = row.last + 1 - wholeEnd(row)
  if (before > 0) parts.push([row.rowsAt, before * rowBytes])
  if (behind > 0) parts.push([row.rowsAt + (wholeEnd(row) - row.first) * rowBytes, behind * rowBytes])
  const sums = Math.floor(row.last / chunkEntries) - Math.floor(row.first / chunkEntries) + 1
  parts.push([row.sumsAt, sums * 8])
  return parts
}
