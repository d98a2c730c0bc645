/**
 * Opening a shard: the digests of sealed segments and the records of the others, applied in the order of the log.
 *
 * Replay uses what live operation uses: entries are put and removed by the same calls. What needs everything to be known
 * (which large bodies are still needed, which chunks must have their columns) is done in `finish`.
 */
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { inSlices } from '../../base/sliced.ts'
import type { Log, Position, Segment } from '../../log/log.ts'
import type { Source } from '../message-traits.ts'
import { chunkEntries, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { isLong, neededParts, noteRun, rowBytesOf, wholeEnd, wholeFrom } from './digest-rows.ts'
import { type PlacedEntry, putAside } from './entering.ts'
import { Fates, rememberId } from './fates.ts'
import { type LargeBodies, LargeBody } from './large-bodies.ts'
import type { Paging } from './paging.ts'
import { arrivedAtOf, readChunkList, readPublishTargets } from './publish-record.ts'
import { type QueueState, readQueueState } from './queue-state.ts'
import { ReadTraits } from './record-traits.ts'
import {
  PublishFlag,
  RecordKind,
  readFailed,
  readSentMark,
  readSettled,
  readU32,
  readU64,
  readWaits,
  targetBytes,
} from './records.ts'
import { ReplayedSettlements } from './replayed-settlements.ts'
import {
  type DigestIndex,
  type DigestRow,
  digestLarge,
  digestReader,
  digestStates,
  type ReadDigest,
  readDigestIndex,
} from './segment-digest.ts'
import type { Senders } from './senders.ts'

/** A record of a kind that this version does not know: nothing is skipped, the shard does not open. */
export class UnknownRecord extends Error {
  readonly code = 'UNKNOWN_RECORD'
}

export interface OpeningParts {
  readonly log: Log
  readonly bodies: LargeBodies
  readonly paging: Paging
  readonly logger: Logger
  readonly runQueue: RunQueue
  readonly queues: ReadonlyMap<number, LocalQueue>
  readonly senders: Senders
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
  readonly #settled = new ReplayedSettlements()
  /** Positions of entries whose chunk was away when their copy was met. */
  readonly #late: LateEntry[] = []
  readonly #sentRanges = new Map<LocalQueue, number[]>()
  readonly #fates = new Fates()
  readonly #traits = new ReadTraits()
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
    await this.#readAside(segment, index)
    for (const row of index.rows) {
      const queue = this.#parts.queues.get(row.queueId)
      if (queue === undefined) continue
      for (const state of digestStates(index, row)) this.#applyState(queue, state)
      if (row.count === 0) continue
      if (row.hasAside) noteRun(segment, queue, row)
      else this.#applyRows(segment, queue, row, rows)
    }
    return true
  }

  /** Of queues whose entries have more to them than rows say, the records are read. What is settled follows. */
  async #readAside(segment: Segment, { rows }: DigestIndex): Promise<void> {
    const ids = new Set(
      rows.filter((row) => row.hasAside && this.#parts.queues.has(row.queueId)).map((row) => row.queueId),
    )
    if (ids.size === 0) return
    await this.#parts.log.replay(segment, (position, buffer, start) => {
      if (buffer[start] === RecordKind.publish) this.#applyPublish(position, buffer, start, ids)
    })
  }

  /** The rows that are applied at once, by where they begin in the digest; null when the digest cannot be trusted. */
  async #readShortRows(index: DigestIndex, read: ReadDigest): Promise<Map<number, Uint8Array> | null> {
    const found = new Map<number, Uint8Array>()
    for (const row of index.rows) {
      if (row.count === 0 || row.hasAside || !this.#parts.queues.has(row.queueId)) continue
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
      const bytes = parts.get(at) as Uint8Array
      const rowBytes = rowBytesOf(row)
      this.#putRows(segment, queue, row, bytes, (at - row.rowsAt) / rowBytes, byteLength / rowBytes)
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
      case RecordKind.failed:
        return this.#applyFailed(position, buffer, start)
      case RecordKind.waits:
        return this.#applyWaits(position, buffer, start)
      case RecordKind.origins:
        return this.#parts.senders.origins.read(buffer, start)
      case RecordKind.letters:
        return this.#parts.senders.letters.read(buffer, start)
      default:
        throw new UnknownRecord(
          `record kind ${buffer[start]} of ${end - start} bytes at position ${position}: this version does not know it; start the version that wrote it`,
        )
    }
  }

  /** With `only`, nothing but the entries of these queues: the rest is known from the digest. */
  #applyPublish(position: Position, buffer: Uint8Array, start: number, only: ReadonlySet<number> | null = null): void {
    const targets = readPublishTargets(buffer, start)
    this.#traits.read(buffer, targets.traitsAt, targets.traitsBytes)
    const { source, hash } = this.#traits
    const arrivedAt = arrivedAtOf(buffer, start)
    // A copy of an older record says nothing that its original has not said.
    if (only === null && (targets.flags & PublishFlag.moved) === 0) {
      this.#parts.senders.stored(this.#traits, readU64(buffer, targets.at))
    }
    if (source !== null && only === null) this.#applySource(position, source)
    if ((targets.flags & PublishFlag.chunked) !== 0 && only === null) {
      const list = readChunkList(buffer, start)
      this.#addBody(new LargeBody(true, targets.bodyBytes, list.positions, list.lengths), position)
    }
    for (let index = 0, at = targets.at; index < targets.count; index++, at += targetBytes) {
      const queue = this.#parts.queues.get(readU64(buffer, at))
      if (queue === undefined || only?.has(queue.id) === false) continue
      const sequence = readU64(buffer, at + 8)
      if ((targets.flags & PublishFlag.chunked) !== 0 && only === null)
        this.#bodies.at(-1)?.targets.push({ queueId: queue.id, sequence })
      this.#putRead(queue, { sequence, position, size: targets.bodyBytes, flags: EntryFlag.live, arrivedAt })
      if (only !== null) continue
      if (hash !== null) rememberId(queue, hash, arrivedAt)
      this.#parts.touch(queue, position)
      this.#lowestRead.set(queue, Math.min(sequence, this.#lowestRead.get(queue) ?? sequence))
    }
  }

  /** Puts an entry from its record, with all that is said there. */
  #putRead(queue: LocalQueue, entry: PlacedEntry): void {
    const { sequence, position, size } = entry
    const { dueAt, group, expirationMs } = this.#traits
    const isPlain = dueAt === 0 && group === '' && expirationMs === null && queue.settings.maxPriority === null
    const chunk = queue.entries.chunkOf(sequence)
    const isThere = chunk !== null && (chunk.isAway || chunk.flagsOf(sequence) !== 0)
    if (isPlain || isThere) return this.#put(queue, sequence, position, size)
    const isLarge = this.#parts.bodies.of(position, false) !== null
    putAside(queue, { ...entry, flags: isLarge ? EntryFlag.live | EntryFlag.large : EntryFlag.live }, this.#traits)
  }

  /** The entry that a dead letter came from. */
  #applySource(position: Position, source: Source): void {
    const queue = this.#touched(source.queueId, position)
    if (queue !== undefined) this.#settled.settle(queue, source.sequence, source.sequence)
  }

  #applyFailed(position: Position, buffer: Uint8Array, start: number): void {
    const { queueId, first, last, count } = readFailed(buffer, start)
    const queue = this.#touched(queueId, position)
    if (queue !== undefined) this.#fates.noteFailures({ queue, first, last, count })
  }

  #applyWaits(position: Position, buffer: Uint8Array, start: number): void {
    const { queueId, sequence, dueAt } = readWaits(buffer, start)
    const queue = this.#touched(queueId, position)
    if (queue !== undefined) this.#fates.noteWait(queue, sequence, dueAt)
  }

  #applySettled(position: Position, buffer: Uint8Array, start: number): void {
    const settled = readSettled(buffer, start)
    const queue = this.#touched(settled.queueId, position)
    if (queue !== undefined) this.#settled.settle(queue, settled.first, settled.last)
  }

  #applySentMark(position: Position, buffer: Uint8Array, start: number): void {
    const { queueId, mark } = readSentMark(buffer, start)
    const queue = this.#touched(queueId, position)
    if (queue !== undefined) queue.sentReserved = mark
  }

  #applyStateRecord(position: Position, buffer: Uint8Array, start: number): void {
    const state = readQueueState(buffer, start)
    const queue = this.#touched(state.queueId, position)
    if (queue !== undefined) this.#applyState(queue, state)
  }

  /** The queue that a record names, unless it is gone. */
  #touched(id: number, position: Position): LocalQueue | undefined {
    const queue = this.#parts.queues.get(id)
    if (queue !== undefined) this.#parts.touch(queue, position)
    return queue
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
    this.#settled.settle(queue, queue.entries.head(), state.head - 1)
    for (let index = 0; index < state.gaps.length; index += 2) {
      this.#settled.settle(queue, state.gaps[index] as number, state.gaps[index + 1] as number)
    }
    for (const { first, bits } of state.bitmaps) this.#settled.settleBits(queue, first, bits)
    queue.entries.next = Math.max(queue.entries.next, state.next)
    this.#fates.noteState(queue, state)
    if (state.sentMark === null) return
    queue.sentReserved = state.sentMark
    this.#sentRanges.set(queue, state.sentRanges)
  }

  // ---------------------------------------------------------------- large bodies

  #addBody(body: LargeBody, position: Position): void {
    this.#bodies.push(body)
    this.#parts.bodies.name(body, position, false)
  }

  // ---------------------------------------------------------------- when everything is read

  async #finish(): Promise<void> {
    for (const { queue, sequence } of this.#late) this.#need(queue, sequence)
    this.#fates.concerned((queue, sequence) => this.#needChunk(queue, sequence))
    for (const body of this.#bodies) {
      for (const { queueId, sequence } of body.targets) this.#need(this.#parts.queues.get(queueId), sequence)
    }
    for (const [chunk, queue] of this.#settled.needed)
      if (chunk.isAway && chunk.live > 0) await this.#parts.paging.loadNow(queue, chunk)
    for (const late of this.#late) this.#putLate(late)
    this.#retainBodies()
    await inSlices(this.#parts.runQueue, this.#fates.apply())
    for (const queue of this.#parts.queues.values()) await this.#finishQueue(queue)
  }

  /** The columns of a chunk are needed if this entry of it is live. */
  #need(queue: LocalQueue | undefined, sequence: number): void {
    const chunk = queue?.entries.chunkOf(sequence)
    if (queue !== undefined && chunk?.isAway === true && chunk.isAwayLive(sequence))
      this.#settled.needed.set(chunk, queue)
  }

  #needChunk(queue: LocalQueue, sequence: number): void {
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk?.isAway === true && chunk.live > 0) this.#settled.needed.set(chunk, queue)
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
    queue.foundBelow = queue.entries.next
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
