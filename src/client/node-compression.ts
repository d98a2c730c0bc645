/** Compression by `node:zlib`, within the turn: sends keep their order without waiting for each other. */
import * as zlib from 'node:zlib'
import { type Compression, type CompressionName, TooLarge } from './compression.ts'

/** Since Node 22.15 and 23.8. */
interface WithZstd {
  zstdCompressSync?: (bytes: Uint8Array) => Uint8Array
  zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array
}

const { zstdCompressSync, zstdDecompressSync } = zlib as WithZstd
/** Fast, and nearly as small as slower ones for messages. */
const gzipLevel = 1

const hasZstd = zstdCompressSync !== undefined && zstdDecompressSync !== undefined

export const nodeCompression: Compression = {
  names: hasZstd ? ['gzip', 'zstd'] : ['gzip'],
  compress: (name, bytes) =>
    name === 'zstd' && zstdCompressSync !== undefined
      ? zstdCompressSync(bytes)
      : zlib.gzipSync(bytes, { level: gzipLevel }),
  decompress: (name, bytes, bytesMax) => {
    try {
      return inflate(name, bytes, bytesMax)
    } catch (error) {
      const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
      throw isTooLarge ? new TooLarge() : error
    }
  },
}

function inflate(name: CompressionName, bytes: Uint8Array, bytesMax: number): Uint8Array {
  const options = { maxOutputLength: bytesMax }
  if (name === 'zstd' && zstdDecompressSync !== undefined) return zstdDecompressSync(bytes, options)
  return zlib.gunzipSync(bytes, options)
}
