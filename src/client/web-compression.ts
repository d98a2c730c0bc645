/** Compression by the streams that browsers have: gzip only, and not within the turn. */
import { type Compression, TooLarge } from './compression.ts'

/** As much of the browser's interfaces as is used here. */
interface Transform {
  readonly readable: {
    getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array }>; cancel(): Promise<void> }
  }
  readonly writable: { getWriter(): { write(bytes: Uint8Array): Promise<void>; close(): Promise<void> } }
}
interface WithStreams {
  CompressionStream?: new (format: 'gzip') => Transform
  DecompressionStream?: new (format: 'gzip') => Transform
}

const { CompressionStream, DecompressionStream } = globalThis as unknown as WithStreams

export const webCompression: Compression = {
  names: CompressionStream !== undefined && DecompressionStream !== undefined ? ['gzip'] : [],
  compress: (_name, bytes) => run(CompressionStream, bytes, Number.POSITIVE_INFINITY),
  decompress: (_name, bytes, bytesMax) => run(DecompressionStream, bytes, bytesMax),
}

async function run(
  stream: (new (format: 'gzip') => Transform) | undefined,
  bytes: Uint8Array,
  bytesMax: number,
): Promise<Uint8Array> {
  if (stream === undefined) throw new Error('there are no compression streams here')
  const { readable, writable } = new stream('gzip')
  const writer = writable.getWriter()
  const written = writer.write(bytes).then(() => writer.close())
  // The reader says what is wrong with the data.
  written.catch(() => undefined)
  const reader = readable.getReader()
  const pieces: Uint8Array[] = []
  let length = 0
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    if (next.value === undefined) continue
    pieces.push(next.value)
    length += next.value.length
    if (length > bytesMax) {
      reader.cancel().catch(() => undefined)
      throw new TooLarge()
    }
  }
  const result = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    result.set(piece, at)
    at += piece.length
  }
  return result
}
