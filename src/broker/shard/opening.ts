/**
 * Opening a shard: the digests of sealed segments and the records of the others, applied in the order of the log.
 *
 * Replay uses what live operation uses: entries are put and removed by the same calls. What needs everything to be known
 * (which large bodies are still needed, which chunks must have their columns) is done in `finish`.
 */
import type { Logger } from '../../base/logger.ts'
import type { Log, Position, Segment } from '../../log/log.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { type LargeBodies, LargeBody } from './large-bodies.ts'
import type { Paging } from './paging.ts'
import { readChunkList, readPublishTargets } from './publish-record.ts'
import { type QueueState, readQueueState } from './queue-state.ts'
import { PublishFlag, RecordKind, readSentMark, readSettled, readU32, readU64, targetBytes } from './records.ts'
import {
  type DigestIndex,
  type DigestRow,
  digestLarge,
  digestReader,
  digestStates,
  type ReadDigest,
  readDigestIndex,
} from './segment-digest.ts'

/** Runs below this many entries are read at once; longer ones stay away until a consumer comes near. */
export const runEntriesMin = 2_048

/** A record of a kind that this version does not know: nothing is skipped, the shard does not open. */
export class UnknownRecord extends Error {
  readonly code = 'UNKNOWN_RECORD'
}

export interface OpeningParts {
  readonly log: Log
  readonly bodies: LargeBodies
  readonly paging: Paging
  readonly logger: Logger
  readonly queues: ReadonlyMap<number, LocalQueue>
  touch(queue: LocalQueue, position: Position): void
}

interface LateEntry {
  readonly queue: LocalQueue
  readonly sequence: number
  readonly position: Position
  readonly bytes: number
}

export class Opening {
  readonly #parts: OpeningParts
  readonly #bodies: LargeBody[] = []
  /** Chunks that are away and whose columns are needed after all. */
  readonly #needed = new Map<EntryChunk, LocalQueue>()
  /** Positions of entries whose chunk was away when their copy was met. */
  readonly #late: LateEntry[] = []
  readonly #sentRanges = new Map<LocalQueue, number[]>()
  /** Per queue, the lowest sequence that was read from a record: the digests of those segments are still to be written. */
  readonly #lowestRead = new Map<LocalQueue, number>()

  constructor(parts: OpeningParts) {
    this.#parts = parts
  }

  /** Reads the whole log. Returns the sealed segments that have no digest. */
  async run(): Promise<Segment[]> {
    const withoutDigest: Segment[] = []
    for (const segment of this.#parts.log.segments) {
      if (segment.isSealed && (await this.#applyDigest(segment))) continue
      await this.#parts.log.replay(segment, (position, buffer, start, end) => this.#apply(position, buffer, start, end))
      if (segment.isSealed) withoutDigest.push(segment)
    }
    await this.#finish()
    return withoutDigest
  }

  // ---------------------------------------------------------------- digests

  async #applyDigest(segment: Segment): Promise<boolean> {
    const read = digestReader(this.#parts.log, segment)
    const index = await readDigestIndex(read)
    if (index === null) return false
    const rows = await this.#readShortRows(index, read)
    if (rows === null) return false
    for (const large of digestLarge(index)) {
      const bodyBytes = large.lengths.reduce((sum, bytes) => sum + bytes, 0)
      const body = new LargeBody(true, bodyBytes, large.positions, large.lengths)
      body.targets = large.targets
      this.#addBody(body, segment.base + large.offset)
    }
    for (const row of index.rows) {
      const queue = this.#parts.queues.get(row.queueId)
      if (queue === undefined) continue
      for (const state of digestStates(index, row)) this.#applyState(queue, state)
      if (row.count > 0) this.#applyRows(segment, queue, row, rows)
    }
    return true
  }

  /** The rows that are applied at once, by where they begin in the digest; null when the digest cannot be trusted. */
  async #readShortRows(index: DigestIndex, read: ReadDigest): Promise<Map<number, Uint8Array> | null> {
    const found = new Map<number, Uint8Array>()
    for (const row of index.rows) {
      if (row.count === 0 || !this.#parts.queues.has(row.queueId)) continue
      for (const [at, byteLength] of neededParts(row)) {
        const bytes = await read(at, byteLength)
        if (bytes === null) return null
        found.set(at, bytes)
      }
    }
    return found
  }

  #applyRows(segment: Segment, queue: LocalQueue, row: DigestRow, parts: Map<number, Uint8Array>): void {
    const positionMax = segment.base + row.offsetMax
    if (isLong(row)) {
      const sums = parts.get(row.sumsAt) as Uint8Array
      const firstSum = Math.floor(row.first / chunkEntries)
      for (let first = wholeFrom(row); first < wholeEnd(row); first += chunkEntries) {
        queue.entries.putAway(first, readU64(sums, (first / chunkEntries - firstSum) * 8), positionMax)
      }
    }
    for (const [at, byteLength] of neededParts(row)) {
      if (at === row.sumsAt && isLong(row)) continue
      this.#putRows(
        segment,
        queue,
        row,
        parts.get(at) as Uint8Array,
        (at - row.rowsAt) / rowBytesOf(row),
        byteLength / rowBytesOf(row),
      )
    }
    noteRun(segment, queue, row)
  }

  #putRows(segment: Segment, queue: LocalQueue, row: DigestRow, bytes: Uint8Array, from: number, count: number): void {
    const rowBytes = rowBytesOf(row)
    for (let index = 0; index < count; index++) {
      const at = index * rowBytes
      const sequence = row.isContiguous ? row.first + from + index : row.first + readU32(bytes, at + 8)
      this.#put(queue, sequence, segment.base + readU32(bytes, at), readU32(bytes, at + 4))
    }
  }

  // ---------------------------------------------------------------- records

  #apply(position: Position, buffer: Uint8Array, start: number, end: number): void {
    switch (buffer[start]) {
      case RecordKind.publish:
        return this.#applyPublish(position, buffer, start)
      case RecordKind.bodyChunk:
        return
      case RecordKind.settled:
        return this.#applySettled(position, buffer, start)
      case RecordKind.sentMark:
        return this.#applySentMark(position, buffer, start)
      case RecordKind.queueState:
        return this.#applyStateRecord(position, buffer, start)
      default:
        throw new UnknownRecord(
          `record kind ${buffer[start]} of ${end - start} bytes at position ${position}: this version does not know it; start the version that wrote it`,
        )
    }
  }

  #applyPublish(position: Position, buffer: Uint8Array, start: number): void {
    const targets = readPublishTargets(buffer, start)
    if ((targets.flags & PublishFlag.chunked) !== 0) {
      const list = readChunkList(buffer, start)
      this.#addBody(new LargeBody(true, targets.bodyBytes, list.positions, list.lengths), position)
    }
    for (let index = 0, at = targets.at; index < targets.count; index++, at += targetBytes) {
      const queue = this.#parts.queues.get(readU64(buffer, at))
      if (queue === undefined) continue
      const sequence = readU64(buffer, at + 8)
      if ((targets.flags & PublishFlag.chunked) !== 0) this.#lastBody().targets.push({ queueId: queue.id, sequence })
      this.#put(queue, sequence, position, targets.bodyBytes)
      this.#parts.touch(queue, position)
      this.#lowestRead.set(queue, Math.min(sequence, this.#lowestRead.get(queue) ?? sequence))
    }
  }

  #applySettled(position: Position, buffer: Uint8Array, start: number): void {
    const settled = readSettled(buffer, start)
    const queue = this.#parts.queues.get(settled.queueId)
    if (queue === undefined) return
    this.#settle(queue, settled.first, settled.last)
    this.#parts.touch(queue, position)
  }

  #applySentMark(position: Position, buffer: Uint8Array, start: number): void {
    const { queueId, mark } = readSentMark(buffer, start)
    const queue = this.#parts.queues.get(queueId)
    if (queue === undefined) return
    queue.sentReserved = mark
    this.#parts.touch(queue, position)
  }

  #applyStateRecord(position: Position, buffer: Uint8Array, start: number): void {
    const state = readQueueState(buffer, start)
    const queue = this.#parts.queues.get(state.queueId)
    if (queue === undefined) return
    this.#applyState(queue, state)
    this.#parts.touch(queue, position)
  }

  // ---------------------------------------------------------------- what both do

  #put(queue: LocalQueue, sequence: number, position: Position, bytes: number): void {
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk?.isAway === true) {
      if (!chunk.isAwayLive(sequence)) return
      this.#late.push({ queue, sequence, position, bytes })
      return
    }
    const isLarge = this.#parts.bodies.of(position, false) !== null
    queue.entries.put(sequence, position, bytes, isLarge ? EntryFlag.live | EntryFlag.large : EntryFlag.live)
  }

  #applyState(queue: LocalQueue, state: QueueState): void {
    this.#settle(queue, queue.entries.head(), state.head - 1)
    for (let index = 0; index < state.gaps.length; index += 2) {
      this.#settle(queue, state.gaps[index] as number, state.gaps[index + 1] as number)
    }
    for (const { first, bits } of state.bitmaps) this.#settleBits(queue, first, bits)
    queue.entries.next = Math.max(queue.entries.next, state.next)
    if (state.sentMark === null) return
    queue.sentReserved = state.sentMark
    this.#sentRanges.set(queue, state.sentRanges)
  }

  #settle(queue: LocalQueue, first: number, last: number): void {
    const end = Math.min(last, queue.entries.next - 1)
    for (let at = first; at <= end; ) {
      const chunkEnd = Math.floor(at / chunkEntries) * chunkEntries + chunkEntries - 1
      const chunk = queue.entries.chunkOf(at)
      if (chunk !== null) this.#settleIn(queue, chunk, at, Math.min(end, chunkEnd))
      at = chunkEnd + 1
    }
  }

  #settleIn(queue: LocalQueue, chunk: EntryChunk, first: number, last: number): void {
    if (first === chunk.first && last === chunk.first + chunkEntries - 1) {
      queue.entries.dropChunk(chunk)
      this.#needed.delete(chunk)
      return
    }
    if (chunk.isAway) {
      this.#needed.set(chunk, queue)
      for (let sequence = first; sequence <= last && chunk.live > 0; sequence++)
        queue.entries.removeAway(chunk, sequence)
      if (chunk.live === 0) this.#needed.delete(chunk)
      return
    }
    for (let sequence = first; sequence <= last; sequence++) {
      if (chunk.flagsOf(sequence) !== 0) queue.entries.remove(chunk, sequence)
    }
  }

  #settleBits(queue: LocalQueue, first: number, bits: Uint8Array): void {
    const chunk = queue.entries.chunkOf(first)
    if (chunk === null) return
    for (let bit = 0; bit < chunkEntries; bit++) {
      if (((bits[bit >> 3] as number) & (1 << (bit & 7))) !== 0) this.#settleIn(queue, chunk, first + bit, first + bit)
    }
  }

  // ---------------------------------------------------------------- large bodies

  #addBody(body: LargeBody, position: Position): void {
    this.#bodies.push(body)
    this.#parts.bodies.name(body, position, false)
  }

  #lastBody(): LargeBody {
    return this.#bodies[this.#bodies.length - 1] as LargeBody
  }

  // ---------------------------------------------------------------- when everything is read

  async #finish(): Promise<void> {
    for (const { queue, sequence } of this.#late) this.#need(queue, sequence)
    for (const body of this.#bodies) {
      for (const { queueId, sequence } of body.targets) this.#need(this.#parts.queues.get(queueId), sequence)
    }
    for (const [chunk, queue] of this.#needed)
      if (chunk.isAway && chunk.live > 0) await this.#parts.paging.loadNow(queue, chunk)
    for (const late of this.#late) this.#putLate(late)
    this.#retainBodies()
    for (const queue of this.#parts.queues.values()) await this.#finishQueue(queue)
  }

  /** The columns of a chunk are needed if this entry of it is live. */
  #need(queue: LocalQueue | undefined, sequence: number): void {
    const chunk = queue?.entries.chunkOf(sequence)
    if (queue !== undefined && chunk?.isAway === true && chunk.isAwayLive(sequence)) this.#needed.set(chunk, queue)
  }

  /** The digests may know a later place than the record that was read when the chunk was away. */
  #putLate({ queue, sequence, position, bytes }: LateEntry): void {
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk === null || chunk.isAway || chunk.flagsOf(sequence) === 0) return
    if (position > (chunk.positions[sequence - chunk.base] as number)) this.#put(queue, sequence, position, bytes)
  }

  /**
   * A body is needed by as many entries as name it. Where a record stands twice, because it was copied and the original
   * not yet freed, that is the copy only: otherwise the original would never be released.
   */
  #retainBodies(): void {
    for (const body of this.#bodies) {
      this.#parts.bodies.retain(body)
      for (const { queueId, sequence } of body.targets) {
        const chunk = this.#parts.queues.get(queueId)?.entries.chunkOf(sequence)
        if (chunk === null || chunk === undefined || chunk.isAway || chunk.flagsOf(sequence) === 0) continue
        if (chunk.positions[sequence - chunk.base] === body.name) this.#parts.bodies.retain(body)
      }
      this.#parts.bodies.release(body)
    }
  }

  /** After an unclean stop everything below the mark may have been sent, and sequences below it are not used again. */
  async #finishQueue(queue: LocalQueue): Promise<void> {
    queue.maybeSentBelow = queue.sentReserved
    queue.sentCommitted = queue.sentReserved
    queue.entries.next = Math.max(queue.entries.next, queue.sentReserved)
    queue.undigestedFrom = this.#lowestRead.get(queue) ?? queue.entries.next
    const ranges = this.#sentRanges.get(queue) ?? []
    for (let index = 0; index < ranges.length; index += 2) {
      await this.#flagSent(queue, ranges[index] as number, ranges[index + 1] as number)
    }
  }

  async #flagSent(queue: LocalQueue, first: number, last: number): Promise<void> {
    queue.flaggedBelow = Math.max(queue.flaggedBelow, last + 1)
    if (first <= queue.entries.head()) {
      queue.maybeSentBelow = Math.max(queue.maybeSentBelow, last + 1)
      return
    }
    for (let sequence = first; sequence <= last; sequence++) {
      const chunk = queue.entries.chunkOf(sequence)
      if (chunk === null) continue
      if (chunk.isAway) await this.#parts.paging.loadNow(queue, chunk)
      if (chunk.flagsOf(sequence) === 0) continue
      const slot = sequence - chunk.base
      chunk.flags[slot] = (chunk.flags[slot] as number) | EntryFlag.redelivered
      chunk.isBound = true
    }
  }
}

/** Where the entries of a sealed segment can be read again, if they are many enough to be let go. */
export function noteRun(segment: Segment, queue: LocalQueue, row: DigestRow): void {
  if (row.count === 0) return
  if (row.count < 256) {
    queue.unpagedBelow = Math.max(queue.unpagedBelow, row.last + 1)
    return
  }
  queue.runs.push({ segmentId: segment.id, first: row.first, last: row.last, count: row.count, offset: row.rowsAt })
}

function rowBytesOf(row: DigestRow): number {
  return row.isContiguous ? 8 : 12
}

function isLong(row: DigestRow): boolean {
  return row.isContiguous && row.count >= runEntriesMin
}

/** First sequence of the first chunk that lies wholly in a long run, and of the first behind it that does not. */
function wholeFrom(row: DigestRow): number {
  return Math.ceil(row.first / chunkEntries) * chunkEntries
}

function wholeEnd(row: DigestRow): number {
  return Math.floor((row.last + 1) / chunkEntries) * chunkEntries
}

/** Offset and length of what must be read of a row at once: all of a short one, the ends and the sums of a long one. */
function neededParts(row: DigestRow): [number, number][] {
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
