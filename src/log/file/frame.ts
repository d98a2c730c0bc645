/**
 * One frame: what is stored by one write and is valid as a whole or not at all.
 *
 *   0  magic, 4 bytes        "WFR1"
 *   4  u16 format version
 *   6  u16 header bytes      80
 *   8  log id, 16 bytes
 *  24  u64 position of this frame (segment base + offset in the file)
 *  32  u64 epoch: position of the frame that opened the epoch
 *  40  u64 k: frames of this epoch before this one
 *  48  u64 ordinal: frames of the log before this one
 *  56  u32 payload bytes
 *  60  u32 blocks
 *  64  u32 CRC-32 of the block table
 *  68  u32 chain of the frame before
 *  72  u32 zero
 *  76  u32 chain: CRC-32 of bytes 0..75
 *  80  payload: records, each u32 length (bit 31: a record of the log itself) and its bytes
 *   …  block table: per block u32 bytes, u32 CRC-32
 *   …  zeros up to a multiple of 8
 *
 * The table stands behind the payload so that a record's position can be its place in the file, fixed at append. The
 * position in the header tells a frame from bytes left by an earlier use of the file: positions are never used twice
 * with different content, but for a tail that was cut.
 */
import { crc32 } from 'node:zlib'
import { areEqual, readUint64, viewOf, writeUint64 } from './byte-codec.ts'
import { alignUp, blockEntryBytes, FormatUnknown, formatVersion, frameAlignBytes, frameHeaderBytes } from './format.ts'

const magic = 0x31524657 // "WFR1"
const chainOffset = 76

/** A decoded header. One object is filled again and again. */
export class FrameHeader {
  position = 0
  epoch = 0
  k = 0
  ordinal = 0
  payloadBytes = 0
  blocks = 0
  tableCrc = 0
  previousChain = 0
  chain = 0

  /** From the first byte of the header to the place where the next frame may begin. */
  get bytes(): number {
    return alignUp(frameHeaderBytes + this.payloadBytes + this.blocks * blockEntryBytes)
  }
}

/** Writes the header, and returns the chain. */
export function encodeFrameHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  logId: Uint8Array,
  header: FrameHeader,
): number {
  view.setUint32(at, magic, true)
  view.setUint16(at + 4, formatVersion, true)
  view.setUint16(at + 6, frameHeaderBytes, true)
  bytes.set(logId, at + 8)
  writeUint64(view, at + 24, header.position)
  writeUint64(view, at + 32, header.epoch)
  writeUint64(view, at + 40, header.k)
  writeUint64(view, at + 48, header.ordinal)
  view.setUint32(at + 56, header.payloadBytes, true)
  view.setUint32(at + 60, header.blocks, true)
  view.setUint32(at + 64, header.tableCrc, true)
  view.setUint32(at + 68, header.previousChain, true)
  view.setUint32(at + 72, 0, true)
  const chain = crc32(bytes.subarray(at, at + chainOffset))
  view.setUint32(at + chainOffset, chain, true)
  return chain
}

/**
 * True when an intact header of this log, written for this very place, stands at `at`; its payload is not looked at.
 * `end` bounds the frame. Throws `FormatUnknown` for an intact header of another version.
 */
export function decodeFrameHeader(place: FramePlace, at: number, end: number, into: FrameHeader): boolean {
  const { bytes, view } = place
  if (at + frameHeaderBytes > end || view.getUint32(at, true) !== magic) return false
  if (!areEqual(bytes, at + 8, place.logId, 0, 16)) return false
  const chain = view.getUint32(at + chainOffset, true)
  if (crc32(bytes.subarray(at, at + chainOffset)) !== chain) return false
  into.position = readUint64(view, at + 24)
  if (into.position !== place.position + at) return false
  const version = view.getUint16(at + 4, true)
  if (version !== formatVersion) {
    throw new FormatUnknown(
      `the frame at position ${into.position} has format ${version}; this program knows format ${formatVersion}`,
    )
  }
  into.epoch = readUint64(view, at + 32)
  into.k = readUint64(view, at + 40)
  into.ordinal = readUint64(view, at + 48)
  into.payloadBytes = view.getUint32(at + 56, true)
  into.blocks = view.getUint32(at + 60, true)
  into.tableCrc = view.getUint32(at + 64, true)
  into.previousChain = view.getUint32(at + 68, true)
  into.chain = chain
  return view.getUint16(at + 6, true) === frameHeaderBytes && at + into.bytes <= end
}

/** A page of bytes, where it stands in the log, and whose it is. */
export interface FramePlace {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Position of `bytes[0]`. */
  readonly position: number
  readonly logId: Uint8Array
}

/** Offset of the first intact header at or after `from`; -1 when there is none before `end`. */
export function findFrame(place: FramePlace, from: number, end: number, into: FrameHeader): number {
  for (let at = from; at + frameHeaderBytes <= end; at += frameAlignBytes) {
    if (place.view.getUint32(at, true) === magic && decodeFrameHeader(place, at, end, into)) return at
  }
  return -1
}

/**
 * True when the bytes hold an intact header of this log whose position is `fromPosition` or later, wherever it stands: for
 * files that do not say where they belong.
 */
export function findAnywhere(bytes: Uint8Array, logId: Uint8Array, fromPosition: number): boolean {
  const view = viewOf(bytes)
  const header = new FrameHeader()
  for (let at = 0; at + frameHeaderBytes <= bytes.byteLength; at += frameAlignBytes) {
    if (view.getUint32(at, true) !== magic) continue
    const position = readUint64(view, at + 24)
    const place = { bytes, view, position: position - at, logId }
    if (position >= fromPosition && decodeFrameHeader(place, at, bytes.byteLength, header)) return true
  }
  return false
}

/** True when the block table of the frame at `at` passes its check and its blocks make up the payload. */
export function isTableIntact(place: FramePlace, at: number, header: FrameHeader): boolean {
  const { bytes, view } = place
  const table = at + frameHeaderBytes + header.payloadBytes
  const tableEnd = table + header.blocks * blockEntryBytes
  if (crc32(bytes.subarray(table, tableEnd)) !== header.tableCrc) return false
  let sum = 0
  for (let entry = table; entry < tableEnd; entry += blockEntryBytes) sum += view.getUint32(entry, true)
  return sum === header.payloadBytes
}

/** True when one block passes its check. `entry` is the offset of its table entry, `start` that of its first byte. */
export function isBlockIntact(place: FramePlace, entry: number, start: number): boolean {
  const end = start + place.view.getUint32(entry, true)
  return crc32(place.bytes.subarray(start, end)) === place.view.getUint32(entry + 4, true)
}

/** True when the table and each block of the frame pass their checks. */
export function isFrameIntact(place: FramePlace, at: number, header: FrameHeader): boolean {
  if (!isTableIntact(place, at, header)) return false
  let start = at + frameHeaderBytes
  let entry = start + header.payloadBytes
  for (let block = 0; block < header.blocks; block++, entry += blockEntryBytes) {
    if (!isBlockIntact(place, entry, start)) return false
    start += place.view.getUint32(entry, true)
  }
  return true
}
