/**
 * The shard's digest of each sealed segment, in a file beside it.
 *
 *   0  magic, 8 bytes "WARRENDG" · u32 format version · u32 header bytes (64) · log id, 16 bytes
 *  32  u64 segment id · u64 digest bytes · u64 random nonce · u32 chunk bytes · u32 CRC-32 of bytes 0..59
 *  64  chunks: up to 64 KiB of the digest and the CRC-32 of them, begun with the header's CRC and the chunk's index
 *
 * A digest is replaced by writing another file and renaming it, so one is there wholly or not at all. A chunk counts only
 * with the very header it was written under. Whatever does not pass is no digest: the shard makes a new one.
 */
import { crc32 } from 'node:zlib'
import type { File, Files } from '../../base/files.ts'
import type { Random } from '../../base/random.ts'
import { areEqual, readUint64, viewOf, writeUint64 } from './byte-codec.ts'
import { formatVersion } from './format.ts'
import { digestName, temporaryEnding } from './segment.ts'
import { removeIfThere } from './segment-supply.ts'

const magic = 'WARRENDG'
export const digestHeaderBytes = 64
const checkedBytes = 60
export const digestChunkBytes = 64 * 1024
const crcBytes = 4

export interface DigestStoreOptions {
  readonly files: Files
  readonly directory: string
  readonly logId: Uint8Array
  readonly random: Random
}

export class DigestStore {
  readonly #options: DigestStoreOptions
  /** One write or removal after the other: two of the same segment must not meet in one temporary file. */
  #last: Promise<void> = Promise.resolve()

  constructor(options: DigestStoreOptions) {
    this.#options = options
  }

  /** On stable storage when it resolves. */
  write(segmentId: number, digest: Uint8Array): Promise<void> {
    return this.#inTurn(() => this.#writeNow(segmentId, digest))
  }

  remove(segmentId: number): Promise<void> {
    return this.#inTurn(() => removeIfThere(this.#options.files, this.#path(segmentId)))
  }

  /** Resolves when what was begun has ended, in whatever way. */
  settled(): Promise<void> {
    return this.#last
  }

  async read(segmentId: number, offset: number, byteLength: number): Promise<Uint8Array | null> {
    let file: File
    try {
      file = await this.#options.files.open(this.#path(segmentId), 'read')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
      throw error
    }
    try {
      return await readRange(file, { logId: this.#options.logId, segmentId, offset, byteLength })
    } finally {
      await file.close()
    }
  }

  #path(segmentId: number): string {
    return `${this.#options.directory}/${digestName(segmentId)}`
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(work)
    // The failure is the caller's to see; the one after it is not touched by it.
    this.#last = result.catch(() => {})
    return result
  }

  async #writeNow(segmentId: number, digest: Uint8Array): Promise<void> {
    const { files, directory, logId, random } = this.#options
    const path = this.#path(segmentId)
    const temporary = path + temporaryEnding
    const bytes = encodeDigest(logId, segmentId, random.bytes(8), digest)
    await removeIfThere(files, temporary)
    const file = await files.open(temporary, 'create')
    try {
      await file.write(bytes, 0, bytes.byteLength, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await files.rename(temporary, path)
    await files.syncDirectory(directory)
  }
}

function encodeDigest(logId: Uint8Array, segmentId: number, nonce: Uint8Array, digest: Uint8Array): Uint8Array {
  const chunks = Math.ceil(digest.byteLength / digestChunkBytes)
  const bytes = new Uint8Array(digestHeaderBytes + digest.byteLength + chunks * crcBytes)
  const view = viewOf(bytes)
  bytes.set(Buffer.from(magic, 'latin1'))
  view.setUint32(8, formatVersion, true)
  view.setUint32(12, digestHeaderBytes, true)
  bytes.set(logId, 16)
  writeUint64(view, 32, segmentId)
  writeUint64(view, 40, digest.byteLength)
  bytes.set(nonce, 48)
  view.setUint32(56, digestChunkBytes, true)
  const headerCrc = crc32(bytes.subarray(0, checkedBytes))
  view.setUint32(checkedBytes, headerCrc, true)
  let at = digestHeaderBytes
  for (let chunk = 0; chunk < chunks; chunk++) {
    const part = digest.subarray(chunk * digestChunkBytes, (chunk + 1) * digestChunkBytes)
    bytes.set(part, at)
    view.setUint32(at + part.byteLength, chunkCrc(headerCrc, chunk, part), true)
    at += part.byteLength + crcBytes
  }
  return bytes
}

function chunkCrc(headerCrc: number, index: number, chunk: Uint8Array): number {
  return crc32(chunk, (headerCrc + index) >>> 0)
}

export interface DigestRange {
  readonly logId: Uint8Array
  readonly segmentId: number
  readonly offset: number
  readonly byteLength: number
}

/** Total bytes and the header's CRC; null when the file is not a whole digest of this segment of this log. */
export async function readDigestHeader(
  file: File,
  logId: Uint8Array,
  segmentId: number,
): Promise<{ digestBytes: number; headerCrc: number } | null> {
  const header = new Uint8Array(digestHeaderBytes)
  if ((await file.read(header, 0, digestHeaderBytes, 0)) < digestHeaderBytes) return null
  const view = viewOf(header)
  const headerCrc = crc32(header.subarray(0, checkedBytes))
  const isOurs =
    view.getUint32(checkedBytes, true) === headerCrc &&
    Buffer.from(header.subarray(0, 8)).toString('latin1') === magic &&
    view.getUint32(8, true) === formatVersion &&
    view.getUint32(56, true) === digestChunkBytes &&
    areEqual(header, 16, logId, 0, 16) &&
    readUint64(view, 32) === segmentId
  return isOurs ? { digestBytes: readUint64(view, 40), headerCrc } : null
}

export async function readRange(file: File, range: DigestRange): Promise<Uint8Array | null> {
  const { offset, byteLength } = range
  const header = await readDigestHeader(file, range.logId, range.segmentId)
  if (header === null || offset + byteLength > header.digestBytes) return null
  const first = Math.floor(offset / digestChunkBytes)
  const end = Math.ceil((offset + byteLength) / digestChunkBytes)
  const stride = digestChunkBytes + crcBytes
  const stored = new Uint8Array((end - first) * stride)
  const count = await file.read(stored, 0, stored.byteLength, digestHeaderBytes + first * stride)
  const view = viewOf(stored)
  const result = new Uint8Array(byteLength)
  for (let chunk = first; chunk < end; chunk++) {
    const at = (chunk - first) * stride
    const chunkBytes = Math.min(digestChunkBytes, header.digestBytes - chunk * digestChunkBytes)
    if (at + chunkBytes + crcBytes > count) return null
    const part = stored.subarray(at, at + chunkBytes)
    if (view.getUint32(at + chunkBytes, true) !== chunkCrc(header.headerCrc, chunk, part)) return null
    const from = Math.max(offset - chunk * digestChunkBytes, 0)
    const to = Math.min(offset + byteLength - chunk * digestChunkBytes, chunkBytes)
    result.set(part.subarray(from, to), chunk * digestChunkBytes + from - offset)
  }
  return result
}
