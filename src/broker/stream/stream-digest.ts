/**
 * What a stream keeps beside each sealed segment: the rows of its messages, and how far named consumers had come. With
 * it a stream opens without reading its segments. `docs/formats/stream-records.md` draws it.
 *
 *     header   u32 version, u32 messages, u64 first offset, u64 first and u64 last timestamp, u32 blocks,
 *              u32 filter bytes (0: no message has a filter value), then u32 each: offset of rows, timestamps, flags,
 *              filters, state, end
 *     rows     u32 per message: position in the segment
 *     then per block: u64 timestamp; u8 flags; filter; and one state record
 */
import { readU32, readU64, writeU32, writeU64 } from '../shard/records.ts'
import { blockMessages, type RowPage, type SegmentRows } from './segment-rows.ts'
import { type Places, readState, type State, stateBytes, writeState } from './stream-records.ts'

export const digestVersion = 1
export const digestHeaderBytes = 64

/** Rows that are read from a digest at once: 64 KiB. */
export const pageRows = 16 * blockMessages

export interface DigestSummary {
  readonly count: number
  readonly first: number
  readonly firstTimestamp: number
  readonly lastTimestamp: number
  readonly blocks: number
  /** 0: no message of the segment has a filter value. */
  readonly filterBytes: number
  readonly rowsAt: number
  readonly timestampsAt: number
  readonly flagsAt: number
  readonly filtersAt: number
  readonly stateAt: number
  readonly end: number
}

export function encodeDigest(rows: SegmentRows, state: State): Uint8Array {
  const blocks = rows.timestamps.length
  const filterBytes = rows.hasFilters ? rows.filterBytes : 0
  const timestampsAt = digestHeaderBytes + rows.count * 4
  const flagsAt = timestampsAt + blocks * 8
  const filtersAt = flagsAt + blocks
  const stateAt = filtersAt + blocks * filterBytes
  const end = stateAt + stateBytes(state.places)
  const digest = new Uint8Array(end)
  writeU32(digest, 0, digestVersion)
  writeU32(digest, 4, rows.count)
  writeU64(digest, 8, rows.first)
  writeU64(digest, 16, rows.firstTimestamp)
  writeU64(digest, 24, rows.lastTimestamp)
  const places = [blocks, filterBytes, digestHeaderBytes, timestampsAt, flagsAt, filtersAt, stateAt, end]
  places.forEach((value, index) => writeU32(digest, 32 + index * 4, value))
  writeRows(digest, rows)
  for (let block = 0; block < blocks; block++) {
    writeU64(digest, timestampsAt + block * 8, rows.timestamps[block] as number)
    digest[flagsAt + block] = rows.flags[block] as number
    const bloom = rows.bloom(block)
    if (filterBytes > 0 && bloom !== null) digest.set(bloom, filtersAt + block * filterBytes)
  }
  writeState(digest, stateAt, state)
  return digest
}

/** Of hundreds of thousands of messages at once where the machine's numbers are stored as they are in memory. */
function writeRows(digest: Uint8Array, rows: SegmentRows): void {
  const positions = rows.positions.subarray(0, rows.count)
  if (isLittleEndian) new Uint32Array(digest.buffer, digestHeaderBytes, rows.count).set(positions)
  else for (const [row, position] of positions.entries()) writeU32(digest, digestHeaderBytes + row * 4, position)
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Null for a version that is not known: then the segment itself is read, and another digest written. */
export function readSummary(header: Uint8Array): DigestSummary | null {
  if (readU32(header, 0) !== digestVersion) return null
  const field = (index: number): number => readU32(header, 32 + index * 4)
  return {
    count: readU32(header, 4),
    first: readU64(header, 8),
    firstTimestamp: readU64(header, 16),
    lastTimestamp: readU64(header, 24),
    blocks: field(0),
    filterBytes: field(1),
    rowsAt: field(2),
    timestampsAt: field(3),
    flagsAt: field(4),
    filtersAt: field(5),
    stateAt: field(6),
    end: field(7),
  }
}

export type ReadDigest = (offset: number, byteLength: number) => Promise<Uint8Array | null>

/** A digest that is no longer than this is read as a whole, in bytes. */
const wholeBytesMax = 128 * 1024

/** Reads from what has been read already where a digest is short. */
async function readerOf(summary: DigestSummary, read: ReadDigest): Promise<ReadDigest | null> {
  if (summary.end > wholeBytesMax) return read
  const whole = await read(0, summary.end)
  return whole === null ? null : async (offset, byteLength) => whole.subarray(offset, offset + byteLength)
}

/** The page of rows that holds the `row`th message of a segment; null when the digest cannot be read. */
export async function readPage(
  segment: { readonly id: number; readonly base: number },
  summary: DigestSummary,
  row: number,
  readDigest: ReadDigest,
): Promise<RowPage | null> {
  const read = await readerOf(summary, readDigest)
  if (read === null) return null
  const from = row - (row % pageRows)
  const count = Math.min(pageRows, summary.count - from)
  const firstBlock = from / blockMessages
  const blocks = Math.ceil(count / blockMessages)
  const { filterBytes } = summary
  const rows = await read(summary.rowsAt + from * 4, count * 4)
  const flags = await read(summary.flagsAt + firstBlock, blocks)
  const filters =
    filterBytes === 0 ? null : await read(summary.filtersAt + firstBlock * filterBytes, blocks * filterBytes)
  if (rows === null || flags === null || (filters === null && filterBytes > 0)) return null
  const positions = new Uint32Array(count)
  for (let index = 0; index < count; index++) positions[index] = readU32(rows, index * 4)
  return {
    segmentId: segment.id,
    first: summary.first + from,
    count,
    base: segment.base,
    positions,
    flags,
    bloom: (index) => filters?.subarray(index * filterBytes, (index + 1) * filterBytes) ?? null,
  }
}

export async function readTimestamps(summary: DigestSummary, read: ReadDigest): Promise<number[] | null> {
  const bytes = await read(summary.timestampsAt, summary.blocks * 8)
  if (bytes === null) return null
  return Array.from({ length: summary.blocks }, (_, block) => readU64(bytes, block * 8))
}

export async function readDigestState(summary: DigestSummary, read: ReadDigest): Promise<Places | null> {
  const bytes = await read(summary.stateAt, summary.end - summary.stateAt)
  return bytes === null ? null : readState(bytes, 0).places
}
