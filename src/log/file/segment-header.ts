/**
 * The first sector of each segment file, and the identity file of a log, which has the same form.
 *
 *   0  magic, 8 bytes        "WARRENSG" or "WARRENLG"
 *   8  u32 format version
 *  12  u32 header bytes      4096
 *  16  log id, 16 bytes
 *  32  u64 segment id
 *  40  u64 base position
 *  48  u64 span bytes        size of the file and of its positions
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

export type HeaderKind = 'segment' | 'identity'

const magics: Readonly<Record<HeaderKind, string>> = { segment: 'WARRENSG', identity: 'WARRENLG' }
const checkedBytes = 60

export function encodeSegmentHeader(kind: HeaderKind, header: SegmentHeader, version = formatVersion): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes)
  const view = viewOf(bytes)
  bytes.set(Buffer.from(magics[kind], 'latin1'))
  view.setUint32(8, version, true)
  view.setUint32(12, segmentHeaderBytes, true)
  bytes.set(header.logId, 16)
  writeUint64(view, 32, header.id)
  writeUint64(view, 40, header.base)
  writeUint64(view, 48, header.span)
  view.setUint32(56, header.pageBytes, true)
  view.setUint32(checkedBytes, crc32(bytes.subarray(0, checkedBytes)), true)
  return bytes
}

/** Null when the bytes are no such header or damaged. Throws `FormatUnknown` for an intact header of another version. */
export function decodeSegmentHeader(kind: HeaderKind, bytes: Uint8Array, file: string): SegmentHeader | null {
  if (bytes.byteLength < checkedBytes + 4) return null
  const view = viewOf(bytes)
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== magics[kind]) return null
  if (view.getUint32(checkedBytes, true) !== crc32(bytes.subarray(0, checkedBytes))) return null
  const version = view.getUint32(8, true)
  if (version !== formatVersion) {
    throw new FormatUnknown(`${file} has log format ${version}; this program reads and writes format ${formatVersion}`)
  }
  const header = {
    logId: bytes.slice(16, 32),
    id: readUint64(view, 32),
    base: readUint64(view, 40),
    span: readUint64(view, 48),
    pageBytes: view.getUint32(56, true),
  }
  const isSound = header.base % header.pageBytes === 0 && header.span % header.pageBytes === 0
  return isSound && view.getUint32(12, true) === segmentHeaderBytes ? header : null
}
