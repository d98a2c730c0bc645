/**
 * The first sector of each segment file, and the identity file of a log, which has the same form.
 *
 *   0  magic, 8 bytes        "WARRENSG"          "WARRENLG"
 *   8  u32 format version
 *  12  u32 header bytes      4096
 *  16  log id, 16 bytes
 *  32  u64                   segment id          frames in the log when it was last closed
 *  40  u64                   base position       position behind the last of them
 *  48  u64                   span bytes          chain of the last of them
 *  56  u32 page bytes
 *  60  u32 CRC-32 of bytes 0..59
 *
 * It is written and synced before the file gets its name, hence never torn: a header that does not pass is damage.
 */
import { crc32 } from 'node:zlib'
import { readUint64, viewOf, writeUint64 } from './byte-codec.ts'
import { FormatUnknown, formatVersion, segmentHeaderBytes } from './format.ts'

export interface SegmentHeader {
  readonly logId: Uint8Array
  readonly id: number
  readonly base: number
  readonly span: number
  readonly pageBytes: number
}

/** Says that a log is here, which, and how far it had come when it was last closed: it is never shorter again. */
export interface Identity {
  readonly logId: Uint8Array
  readonly pageBytes: number
  /** 0: it was never closed. */
  readonly frames: number
  readonly end: number
  readonly chain: number
}

type HeaderKind = 'segment' | 'identity'

const magics: Readonly<Record<HeaderKind, string>> = { segment: 'WARRENSG', identity: 'WARRENLG' }
const checkedBytes = 60

export function encodeSegmentHeader(header: SegmentHeader, version = formatVersion): Uint8Array {
  const { logId, pageBytes, id, base, span } = header
  return encode('segment', { logId, pageBytes, numbers: [id, base, span] }, version)
}

/** Null when the bytes are no such header or damaged. Throws `FormatUnknown` for an intact header of another version. */
export function decodeSegmentHeader(bytes: Uint8Array, file: string): SegmentHeader | null {
  const sector = decode('segment', bytes, file)
  if (sector === null) return null
  const { logId, pageBytes, numbers } = sector
  const [id, base, span] = numbers
  return base % pageBytes === 0 && span % pageBytes === 0 ? { logId, id, base, span, pageBytes } : null
}

export function encodeIdentity(identity: Identity): Uint8Array {
  const { logId, pageBytes, frames, end, chain } = identity
  return encode('identity', { logId, pageBytes, numbers: [frames, end, chain] }, formatVersion)
}

/** As `decodeSegmentHeader`. */
export function decodeIdentity(bytes: Uint8Array, file: string): Identity | null {
  const sector = decode('identity', bytes, file)
  if (sector === null) return null
  const [frames, end, chain] = sector.numbers
  return { logId: sector.logId, pageBytes: sector.pageBytes, frames, end, chain }
}

interface Sector {
  readonly logId: Uint8Array
  readonly pageBytes: number
  readonly numbers: readonly [number, number, number]
}

function encode(kind: HeaderKind, { logId, pageBytes, numbers }: Sector, version: number): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes)
  const view = viewOf(bytes)
  bytes.set(Buffer.from(magics[kind], 'latin1'))
  view.setUint32(8, version, true)
  view.setUint32(12, segmentHeaderBytes, true)
  bytes.set(logId, 16)
  for (const [index, number] of numbers.entries()) writeUint64(view, 32 + index * 8, number)
  view.setUint32(56, pageBytes, true)
  view.setUint32(checkedBytes, crc32(bytes.subarray(0, checkedBytes)), true)
  return bytes
}

function decode(kind: HeaderKind, bytes: Uint8Array, file: string): Sector | null {
  if (bytes.byteLength < segmentHeaderBytes) return null
  const view = viewOf(bytes)
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== magics[kind]) return null
  if (view.getUint32(checkedBytes, true) !== crc32(bytes.subarray(0, checkedBytes))) return null
  const version = view.getUint32(8, true)
  if (version !== formatVersion) {
    throw new FormatUnknown(`${file} has log format ${version}; this program reads and writes format ${formatVersion}`)
  }
  if (view.getUint32(12, true) !== segmentHeaderBytes) return null
  return {
    logId: bytes.slice(16, 32),
    pageBytes: view.getUint32(56, true),
    numbers: [readUint64(view, 32), readUint64(view, 40), readUint64(view, 48)],
  }
}
