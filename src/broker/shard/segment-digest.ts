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
 *
 * Here is the format and how it is read; `digest-builder.ts` makes one.
 */
import type { Log, Segment } from '../../log/log.ts'
import { type QueueState, readQueueState } from './queue-state.ts'
import { readU32, readU64 } from './records.ts'

export const digestVersion = 1
export const digestHeaderBytes = 24
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
  /** Some of its entries have more to them than rows say: their records must be read. */
  readonly hasAside: boolean
}

export interface DigestLargeBody {
  readonly offset: number
  readonly targets: { queueId: number; sequence: number }[]
  readonly positions: number[]
  readonly lengths: number[]
}

/** Reads parts of a digest, as `log.readDigest` does. Null: not to be had. */
export type ReadDigest = (offset: number, byteLength: number) => Promise<Uint8Array | null>

/** Reads from a log. A digest that cannot be read is none: the segment says the same. */
export function digestReader(log: Log, segment: Segment): ReadDigest {
  return async (offset, byteLength) => {
    try {
      return await log.readDigest(segment, offset, byteLength)
    } catch {
      // What is wrong with the disk shows where the records are read.
      return null
    }
  }
}

export interface DigestIndex {
  readonly rows: DigestRow[]
  /** The parts behind the rows, from `tailAt` to the end: states and large bodies. */
  readonly tail: Uint8Array
  readonly tailAt: number
  readonly largeCount: number
  readonly largeAt: number
}

/** Rows of an index between two pauses. */
const rowsPerPause = 4_096

/**
 * The index of a digest and all but its rows; null when there is none that can be trusted, or it is of another version.
 * A long index is gone through in parts, with a `pause` behind each.
 */
export async function readDigestIndex(
  read: ReadDigest,
  pause: () => Promise<void> = () => Promise.resolve(),
): Promise<DigestIndex | null> {
  const header = await read(0, digestHeaderBytes)
  if (header === null || readU32(header, 0) !== digestVersion) return null
  const count = readU32(header, 4)
  const tailAt = readU32(header, 12)
  const index = await read(digestHeaderBytes, count * indexRowBytes)
  const tail = await read(tailAt, readU32(header, 20) - tailAt)
  if (index === null || tail === null) return null
  const rows: DigestRow[] = []
  for (let at = 0; at < count * indexRowBytes; at += indexRowBytes) {
    rows.push(readDigestRow(index, at))
    if (rows.length % rowsPerPause === 0) await pause()
  }
  return { rows, tail, tailAt, largeCount: readU32(header, 8), largeAt: readU32(header, 16) }
}

/** One row of the index. */
export function readDigestRow(index: Uint8Array, at: number): DigestRow {
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
    hasAside: readU32(index, at + 52) === 1,
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
