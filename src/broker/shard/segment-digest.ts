/**
 * The digest of one sealed segment: everything in it but the bodies, so that a shard opens without reading the segment
 * and finds again the entries it has let go of. `docs/formats/shard-records.md` draws it.
 *
 *     header  u32 version, u32 queues, u32 large bodies, u32 offset of the states, u32 offset of the large bodies, u32 end
 *     index   a row of 64 bytes per queue that the segment has records of
 *     rows    per queue, its entries that were live when the digest was made: contiguous runs as (offset in the segment,
 *             body bytes), all others as (offset, body bytes, sequence − first), u32 each
 *     sums    for a contiguous run, body bytes per chunk of 1,024 sequences (f64)
 *     states  per queue, its queue-state records one after another
 *     large   per message with a chunked body: its position, targets and chunks
 *
 * A digest may know more than its segment (settlements that came later), never less. It is written only when the log
 * has committed everything that it knows.
 */
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { LargeBody } from './large-bodies.ts'
import { type QueueState, queueStateBytes, readQueueState, writeQueueState } from './queue-state.ts'
import { readU32, readU64, writeU32, writeU64 } from './records.ts'

const digestVersion = 1
const headerBytes = 24
export const indexRowBytes = 64

/** What a digest says of one queue. Offsets are from the digest's beginning. */
export interface DigestRow {
  readonly queueId: number
  readonly first: number
  readonly last: number
  readonly count: number
  readonly isContiguous: boolean
  readonly rowsAt: number
  readonly sumsAt: number
  readonly statesAt: number
  readonly statesCount: number
  /** The highest offset in the segment among its entries. */
  readonly offsetMax: number
}

export interface DigestLargeBody {
  readonly offset: number
  readonly targets: { queueId: number; sequence: number }[]
  readonly positions: number[]
  readonly lengths: number[]
}

/** What the rows of one queue will be; they are counted first and then written straight into the digest. */
interface Gathered {
  readonly queue: LocalQueue
  readonly states: QueueState[]
  /** Where its rows begin; what the queue is set to once they are written. */
  readonly from: number
  count: number
  first: number
  last: number
}

export interface DigestSource {
  readonly base: number
  readonly end: number
  readonly queues: readonly LocalQueue[]
  readonly large: readonly LargeBody[]
  /** The durable sent mark of a queue as it must be believed after an unclean stop. */
  sentMarkOf(queue: LocalQueue): number
  statesOf(queue: LocalQueue, sentMark: number): QueueState[]
}

export function buildDigest(source: DigestSource): Uint8Array {
  const gathered = source.queues.map((queue) => gather(source, queue))
  let bytes = headerBytes + gathered.length * indexRowBytes
  for (const one of gathered) bytes += rowsBytes(one) + 8 + sumsBytes(one) + statesBytes(one)
  for (const body of source.large) bytes += 16 + body.targets.length * 16 + body.positions.length * 12
  const digest = new Uint8Array(bytes)
  let cursor = headerBytes + gathered.length * indexRowBytes
  gathered.forEach((one, index) => {
    cursor = writeRows(digest, headerBytes + index * indexRowBytes, cursor, one, source)
  })
  const statesAt = cursor
  gathered.forEach((one, index) => {
    cursor = writeStates(digest, headerBytes + index * indexRowBytes, cursor, one.states)
  })
  const largeAt = cursor
  for (const body of source.large) cursor = writeLarge(digest, cursor, body, source.base)
  const header = [digestVersion, gathered.length, source.large.length, statesAt, largeAt, cursor]
  header.forEach((value, index) => writeU32(digest, index * 4, value))
  return digest.subarray(0, cursor)
}

function gather(source: DigestSource, queue: LocalQueue): Gathered {
  const from = queue.undigestedFrom
  const one: Gathered = {
    queue,
    states: source.statesOf(queue, source.sentMarkOf(queue)),
    from,
    count: 0,
    first: 0,
    last: 0,
  }
  let beyond = 0
  visitEntries(
    queue,
    from,
    source.base,
    (sequence, position) => {
      if (position >= source.end) {
        if (beyond === 0) beyond = sequence
        return
      }
      if (one.count++ === 0) one.first = sequence
      one.last = sequence
    },
    (chunk) => {
      if (!isWholeWithin(chunk, source)) return false
      if (one.count === 0) one.first = chunk.first
      one.count += chunkEntries
      one.last = chunk.first + chunkEntries - 1
      return true
    },
  )
  // Copies of old records may stand behind the segment already: the next digest begins at the first of all that do.
  queue.undigestedFrom = beyond === 0 ? Math.max(from, one.last + 1) : beyond
  return one
}

/** Live durable entries from sequence `from` on whose position is not below `base`, in the order of their sequences. */
function visitEntries(
  queue: LocalQueue,
  from: number,
  base: number,
  visit: (sequence: number, position: number, size: number) => void,
  visitWhole: (chunk: EntryChunk) => boolean,
): void {
  for (const chunk of queue.entries.chunks()) {
    if (chunk.isAway || chunk.first + chunkEntries <= from || chunk.positionMax < base) continue
    if (visitWhole(chunk)) continue
    for (let slot = 0; slot < chunk.flags.length; slot++) {
      const flags = chunk.flags[slot] as number
      if (flags === 0 || (flags & EntryFlag.transient) !== 0) continue
      const position = chunk.positions[slot] as number
      if (position >= base) visit(chunk.base + slot, position, chunk.sizes[slot] as number)
    }
  }
}

/** Every sequence of the chunk is live and its record is in the segment: nothing need be looked at one by one. */
function isWholeWithin(chunk: EntryChunk, source: DigestSource): boolean {
  if (chunk.live !== chunkEntries || chunk.isBound || chunk.base !== chunk.first) return false
  // Positions of a chunk that is not bound ascend.
  return (chunk.positions[0] as number) >= source.base && chunk.positionMax < source.end
}

function isContiguous(one: Gathered): boolean {
  return one.count > 0 && one.last - one.first === one.count - 1
}

function rowsBytes(one: Gathered): number {
  return one.count * (isContiguous(one) ? 8 : 12)
}

function sumsBytes(one: Gathered): number {
  if (!isContiguous(one)) return 0
  return (Math.floor(one.last / chunkEntries) - Math.floor(one.first / chunkEntries) + 1) * 8
}

function statesBytes(one: Gathered): number {
  return one.states.reduce((sum, state) => sum + 4 + queueStateBytes(state), 0)
}

function writeRows(digest: Uint8Array, rowAt: number, at: number, one: Gathered, source: DigestSource): number {
  const contiguous = isContiguous(one)
  const sums = new Float64Array(sumsBytes(one) / 8)
  const firstSum = Math.floor(one.first / chunkEntries)
  let cursor = at
  let offsetMax = 0
  visitEntries(
    one.queue,
    one.from,
    source.base,
    (sequence, position, size) => {
      if (position >= source.end) return
      const offset = position - source.base
      writeU32(digest, cursor, offset)
      writeU32(digest, cursor + 4, size)
      cursor += 8
      if (!contiguous) {
        writeU32(digest, cursor, sequence - one.first)
        cursor += 4
      } else {
        const sum = Math.floor(sequence / chunkEntries) - firstSum
        sums[sum] = (sums[sum] as number) + size
      }
      if (offset > offsetMax) offsetMax = offset
    },
    (chunk) => {
      if (!contiguous || !isWholeWithin(chunk, source)) return false
      cursor = writeWholeChunk(digest, cursor, chunk, source.base)
      sums[Math.floor(chunk.first / chunkEntries) - firstSum] = chunk.sizes.reduce((sum, size) => sum + size, 0)
      if (chunk.positionMax - source.base > offsetMax) offsetMax = chunk.positionMax - source.base
      return true
    },
  )
  const sumsAt = cursor
  for (const sum of sums) {
    writeU64(digest, cursor, sum)
    cursor += 8
  }
  writeU64(digest, rowAt, one.queue.id)
  writeU64(digest, rowAt + 8, one.first)
  writeU64(digest, rowAt + 16, one.last)
  writeU32(digest, rowAt + 24, one.count)
  writeU32(digest, rowAt + 28, contiguous ? 1 : 0)
  writeU32(digest, rowAt + 32, at)
  writeU32(digest, rowAt + 36, sumsAt)
  writeU32(digest, rowAt + 48, offsetMax)
  return cursor
}

/** The rows of 1,024 entries, through words: all offsets in a digest are multiples of 4. */
function writeWholeChunk(digest: Uint8Array, at: number, chunk: EntryChunk, base: number): number {
  const rows = new Uint32Array(digest.buffer, digest.byteOffset + at, chunkEntries * 2)
  for (let slot = 0; slot < chunkEntries; slot++) {
    rows[slot * 2] = (chunk.positions[slot] as number) - base
    rows[slot * 2 + 1] = chunk.sizes[slot] as number
  }
  return at + chunkEntries * 8
}

function writeStates(digest: Uint8Array, rowAt: number, at: number, states: readonly QueueState[]): number {
  writeU32(digest, rowAt + 40, at)
  writeU32(digest, rowAt + 44, states.length)
  let cursor = at
  for (const state of states) {
    const bytes = queueStateBytes(state)
    writeU32(digest, cursor, bytes)
    writeQueueState(digest, cursor + 4, state)
    cursor += 4 + bytes
  }
  return cursor
}

function writeLarge(digest: Uint8Array, at: number, body: LargeBody, base: number): number {
  writeU32(digest, at, body.name - base)
  writeU32(digest, at + 4, body.targets.length)
  writeU32(digest, at + 8, body.positions.length)
  let cursor = at + 16
  for (const target of body.targets) {
    writeU64(digest, cursor, target.queueId)
    writeU64(digest, cursor + 8, target.sequence)
    cursor += 16
  }
  body.positions.forEach((position, index) => {
    writeU64(digest, cursor, position)
    writeU32(digest, cursor + 8, body.lengths[index] as number)
    cursor += 12
  })
  return cursor
}

/** Reads parts of a digest, as `log.readDigest` does. Null: not to be had. */
export type ReadDigest = (offset: number, byteLength: number) => Promise<Uint8Array | null>

export interface DigestIndex {
  readonly rows: DigestRow[]
  /** The parts behind the rows, from `tailAt` to the end: states and large bodies. */
  readonly tail: Uint8Array
  readonly tailAt: number
  readonly largeCount: number
  readonly largeAt: number
}

/** The index of a digest and all but its rows; null when there is none that can be trusted, or it is of another version. */
export async function readDigestIndex(read: ReadDigest): Promise<DigestIndex | null> {
  const header = await read(0, headerBytes)
  if (header === null || readU32(header, 0) !== digestVersion) return null
  const count = readU32(header, 4)
  const tailAt = readU32(header, 12)
  const index = await read(headerBytes, count * indexRowBytes)
  const tail = await read(tailAt, readU32(header, 20) - tailAt)
  if (index === null || tail === null) return null
  const rows: DigestRow[] = []
  for (let at = 0; at < count * indexRowBytes; at += indexRowBytes) rows.push(readRow(index, at))
  return { rows, tail, tailAt, largeCount: readU32(header, 8), largeAt: readU32(header, 16) }
}

function readRow(index: Uint8Array, at: number): DigestRow {
  return {
    queueId: readU64(index, at),
    first: readU64(index, at + 8),
    last: readU64(index, at + 16),
    count: readU32(index, at + 24),
    isContiguous: readU32(index, at + 28) === 1,
    rowsAt: readU32(index, at + 32),
    sumsAt: readU32(index, at + 36),
    statesAt: readU32(index, at + 40),
    statesCount: readU32(index, at + 44),
    offsetMax: readU32(index, at + 48),
  }
}

/** The states of one row. */
export function digestStates(index: DigestIndex, row: DigestRow): QueueState[] {
  const states: QueueState[] = []
  let at = row.statesAt - index.tailAt
  for (let count = 0; count < row.statesCount; count++) {
    states.push(readQueueState(index.tail, at + 4))
    at += 4 + readU32(index.tail, at)
  }
  return states
}

/** The messages with chunked bodies whose publish record is in the segment. */
export function digestLarge(index: DigestIndex): DigestLargeBody[] {
  const bytes = index.tail
  const bodies: DigestLargeBody[] = []
  let at = index.largeAt - index.tailAt
  for (let count = 0; count < index.largeCount; count++) {
    const one: DigestLargeBody = { offset: readU32(bytes, at), targets: [], positions: [], lengths: [] }
    const targets = readU32(bytes, at + 4)
    const chunks = readU32(bytes, at + 8)
    at += 16
    for (let target = 0; target < targets; target++, at += 16) {
      one.targets.push({ queueId: readU64(bytes, at), sequence: readU64(bytes, at + 8) })
    }
    for (let chunk = 0; chunk < chunks; chunk++, at += 12) {
      one.positions.push(readU64(bytes, at))
      one.lengths.push(readU32(bytes, at + 8))
    }
    bodies.push(one)
  }
  return bodies
}
