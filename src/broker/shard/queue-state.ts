/**
 * All that is known of one queue besides its entries, as a record: which sequences are settled and how far it may have
 * been sent. Everything settled below `head`, the `gaps` above it, and one bitmap for each chunk that is settled in part.
 *
 * What is settled stays settled, so a state may be cut into several records, applied in any number and repeated: each
 * says a part of the truth.
 */
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { RecordKind, readU32, readU64, writeU32, writeU64 } from './records.ts'

export interface QueueState {
  queueId: number
  head: number
  next: number
  /** Null in the parts after the first: they say nothing of it. */
  sentMark: number | null
  /** First and last sequence of each gap, in pairs. */
  gaps: number[]
  bitmaps: { first: number; bits: Uint8Array }[]
  /** First and last of what was handed out when the broker stopped in good order, in pairs. */
  sentRanges: number[]
  /** First and last of entries that failed equally often, and how often, in triples. */
  failures: number[]
  /** Entries that wait for another time than their record says, and that time, in pairs. */
  waits: number[]
  /** Ids a queue with deduplication remembers, as its window gives them. */
  ids: Uint8Array
}

const fixedBytes = 48
/** Counts of failures and waits, and bytes of ids, behind the sent ranges where there are any. */
const sideFixedBytes = 12
const StatePart = { mark: 1, side: 2 } as const
/** Ids in one record at most. */
const idsMax = 8_000
const bitmapBytes = 8 + chunkEntries / 8
/**
 * Entries and missing chunks looked at for one record at most: a millisecond or two even where the code runs for the first
 * time, and far below `recordBytesMax`.
 */
const partCostMax = 4 * chunkEntries
/** Numbers that say how entries failed, or until when they wait, with which a record is full. One chunk has 3,072 at most. */
const numbersMax = 8_000

/**
 * The durable state of a queue, in records of bounded size. Whoever takes one may do other things before the next: each is
 * as the queue was when it was made, and none says anything of what came after the first.
 */
export function* queueStates(
  queue: LocalQueue,
  sentMark: number,
  sentRanges: number[] = [],
): Generator<QueueState, void, void> {
  const head = durableHead(queue)
  const { next } = queue.entries
  const part = (mark: number | null): QueueState => {
    const ranges = { gaps: [], bitmaps: [], sentRanges: [], failures: [], waits: [] }
    return { queueId: queue.id, head, next, sentMark: mark, ...ranges, ids: nothing }
  }
  let state = part(sentMark)
  state.sentRanges = sentRanges
  const start = Math.floor(head / chunkEntries) * chunkEntries
  let expected = start
  let cost = 0
  for (let first = start; first < next; first += chunkEntries) {
    const chunk = queue.entries.chunkOf(first)
    if (chunk !== null && addSettled(state, chunk, expected)) expected = first + chunkEntries
    if (chunk !== null && chunk.side !== null && !chunk.isAway) {
      if (queue.hasFailures) addFailures(chunk, state.failures)
      addWaits(chunk, state.waits)
    }
    cost += chunk === null ? 1 : chunkEntries
    if (cost < partCostMax && state.failures.length < numbersMax && state.waits.length < numbersMax) continue
    yield state
    state = part(null)
    cost = 0
  }
  // Behind the last chunk with an entry all is settled, and that too must be said again.
  if (head < expected && expected < next) state.gaps.push(expected, next - 1)
  yield state
  const { window } = queue
  for (let from = window?.firstNumber ?? 0; from < (window?.endNumber ?? 0); from += idsMax) {
    state = part(null)
    state.ids = window?.entriesFrom(from, idsMax) ?? nothing
    yield state
  }
}

/** What is settled of a chunk, and between it and the last one before. False when that is all of it. */
function addSettled(state: QueueState, chunk: EntryChunk, expected: number): boolean {
  if (chunk.first + chunkEntries <= state.head) return false
  const bits = settledForGood(chunk)
  if (bits?.every((byte) => byte === 255)) return false
  if (chunk.first > expected) state.gaps.push(expected, chunk.first - 1)
  if (bits !== null) state.bitmaps.push({ first: chunk.first, bits })
  return true
}

/** What is durable and has failed, neighbours that failed equally often as one. */
function addFailures(chunk: EntryChunk, into: number[]): void {
  for (let slot = 0; slot < chunk.flags.length; slot++) {
    const flags = chunk.flags[slot] as number
    const sequence = chunk.base + slot
    const count = flags === 0 || (flags & EntryFlag.transient) !== 0 ? 0 : chunk.failuresOf(sequence)
    if (count === 0) continue
    const end = into.length
    if (into[end - 2] === sequence - 1 && into[end - 1] === count) into[end - 2] = sequence
    else into.push(sequence, sequence, count)
  }
}

/** What waits for a time that its record does not know. */
function addWaits(chunk: EntryChunk, into: number[]): void {
  if (chunk.side === null || chunk.side.dues === null) return
  for (let slot = 0; slot < chunk.flags.length; slot++) {
    const flags = chunk.flags[slot] as number
    if ((flags & EntryFlag.waiting) === 0 || (flags & EntryFlag.transient) !== 0) continue
    const sequence = chunk.base + slot
    if ((flags & EntryFlag.heldBack) === 0 && !chunk.isRescheduled(sequence)) continue
    into.push(sequence, chunk.dueOf(sequence))
  }
}

/** The lowest sequence whose entry is live and durable. */
function durableHead(queue: LocalQueue): number {
  for (const chunk of queue.entries.chunks()) {
    const bits = settledForGood(chunk)
    if (bits === null) return chunk.first
    for (let index = 0; index < chunkEntries; index++) {
      if (((bits[index >> 3] as number) & (1 << (index & 7))) === 0) return chunk.first + index
    }
  }
  return queue.entries.next
}

/** Sequences of a chunk for which there is no live durable entry, those to come included; null when there is one for each. */
function settledForGood(chunk: EntryChunk): Uint8Array | null {
  const bits = chunk.settledBits()
  if (chunk.isAway || !chunk.isBound) return bits
  const all = bits ?? new Uint8Array(chunkEntries / 8)
  for (let slot = 0; slot < chunk.flags.length; slot++) {
    if (((chunk.flags[slot] as number) & EntryFlag.transient) === 0) continue
    const bit = chunk.base + slot - chunk.first
    all[bit >> 3] = (all[bit >> 3] as number) | (1 << (bit & 7))
  }
  return all
}

export function queueStateBytes(state: QueueState): number {
  const ranges = fixedBytes + state.gaps.length * 8 + state.bitmaps.length * bitmapBytes + state.sentRanges.length * 8
  if (!hasSide(state)) return ranges
  return ranges + sideFixedBytes + (state.failures.length + state.waits.length) * 8 + state.ids.length
}

function hasSide(state: QueueState): boolean {
  return state.failures.length > 0 || state.waits.length > 0 || state.ids.length > 0
}

export function writeQueueState(buffer: Uint8Array, at: number, state: QueueState): void {
  writeU32(buffer, at, RecordKind.queueState)
  writeU32(buffer, at + 4, (state.sentMark === null ? 0 : StatePart.mark) | (hasSide(state) ? StatePart.side : 0))
  writeU64(buffer, at + 8, state.queueId)
  writeU64(buffer, at + 16, state.head)
  writeU64(buffer, at + 24, state.next)
  writeU64(buffer, at + 32, state.sentMark ?? 0)
  // Counts below 65,536 each: two u16 and one u32.
  writeU32(buffer, at + 40, state.gaps.length | (state.bitmaps.length << 16))
  writeU32(buffer, at + 44, state.sentRanges.length)
  let cursor = at + fixedBytes
  for (const sequence of state.gaps) {
    writeU64(buffer, cursor, sequence)
    cursor += 8
  }
  for (const bitmap of state.bitmaps) {
    writeU64(buffer, cursor, bitmap.first)
    buffer.set(bitmap.bits, cursor + 8)
    cursor += bitmapBytes
  }
  for (const sequence of state.sentRanges) {
    writeU64(buffer, cursor, sequence)
    cursor += 8
  }
  if (!hasSide(state)) return
  writeU32(buffer, cursor, state.failures.length)
  writeU32(buffer, cursor + 4, state.waits.length)
  writeU32(buffer, cursor + 8, state.ids.length)
  cursor += sideFixedBytes
  for (const number of [...state.failures, ...state.waits]) {
    writeU64(buffer, cursor, number)
    cursor += 8
  }
  buffer.set(state.ids, cursor)
}

export function readQueueState(buffer: Uint8Array, at: number): QueueState {
  const counts = readU32(buffer, at + 40)
  const parts = readU32(buffer, at + 4)
  const state: QueueState = {
    queueId: readU64(buffer, at + 8),
    head: readU64(buffer, at + 16),
    next: readU64(buffer, at + 24),
    sentMark: (parts & StatePart.mark) === 0 ? null : readU64(buffer, at + 32),
    gaps: [],
    bitmaps: [],
    sentRanges: [],
    failures: [],
    waits: [],
    ids: nothing,
  }
  let cursor = at + fixedBytes
  for (let index = 0; index < (counts & 0xffff); index++, cursor += 8) state.gaps.push(readU64(buffer, cursor))
  for (let index = 0; index < counts >>> 16; index++, cursor += bitmapBytes) {
    state.bitmaps.push({ first: readU64(buffer, cursor), bits: buffer.slice(cursor + 8, cursor + bitmapBytes) })
  }
  const ranges = readU32(buffer, at + 44)
  for (let index = 0; index < ranges; index++, cursor += 8) state.sentRanges.push(readU64(buffer, cursor))
  if ((parts & StatePart.side) !== 0) readSide(state, buffer, cursor)
  return state
}

function readSide(state: QueueState, buffer: Uint8Array, at: number): void {
  const failures = readU32(buffer, at)
  const waits = readU32(buffer, at + 4)
  const idBytes = readU32(buffer, at + 8)
  let cursor = at + sideFixedBytes
  for (let index = 0; index < failures; index++, cursor += 8) state.failures.push(readU64(buffer, cursor))
  for (let index = 0; index < waits; index++, cursor += 8) state.waits.push(readU64(buffer, cursor))
  state.ids = buffer.slice(cursor, cursor + idBytes)
}

const nothing = new Uint8Array(0)
