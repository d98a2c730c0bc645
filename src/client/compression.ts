import { badOption, WarrenError } from './errors.ts'

/** Smaller bodies are sent as they are, in bytes. */
export const compressedBytesMin = 1024

export type CompressionName = 'gzip' | 'zstd'

/** What the platform can do; `node-compression.ts` and `web-compression.ts`. */
export interface Compression {
  readonly names: readonly CompressionName[]
  compress(name: CompressionName, bytes: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** Throws or rejects when the result would be larger than `bytesMax`, or it is no such data. */
  decompress(name: CompressionName, bytes: Uint8Array, bytesMax: number): Uint8Array | Promise<Uint8Array>
}

/** Throws `BAD_OPTION` for one that is not there. */
export function checkCompression(compression: Compression, name: CompressionName | undefined): void {
  if (name === undefined || compression.names.includes(name)) return
  const there = compression.names.join(' or ')
  throw badOption(
    `There is no compression '${name}' here.`,
    `Use ${there}${name === 'zstd' ? ', or a newer Node' : ''}.`,
  )
}

/** The body of a message by its `content-encoding`; throws or rejects with `BAD_BODY` or `MESSAGE_TOO_LARGE`. */
export function decompressed(
  compression: Compression,
  message: { readonly encoding: string | undefined; readonly body: Uint8Array; readonly bytesMax: number },
): Uint8Array | Promise<Uint8Array> {
  const { encoding, body, bytesMax } = message
  if (encoding !== 'gzip' && encoding !== 'zstd') return body
  if (!compression.names.includes(encoding)) throw unreadable(encoding, 'this platform cannot decompress it')
  try {
    const result = compression.decompress(encoding, body, bytesMax)
    if (!(result instanceof Promise)) return result
    return result.catch((error: unknown) => {
      throw failure(encoding, error, bytesMax)
    })
  } catch (error) {
    throw failure(encoding, error, bytesMax)
  }
}

/** What a `Compression` throws for a body that grows too large. */
export class TooLarge extends Error {}

function failure(encoding: string, error: unknown, bytesMax: number): WarrenError {
  if (error instanceof TooLarge) {
    const sentence = `A body compressed by ${encoding} becomes larger than ${bytesMax} bytes.`
    const mend = 'Raise `decompressedBytesMax` if you expect such messages.'
    return new WarrenError('MESSAGE_TOO_LARGE', sentence, { mend, cause: error })
  }
  return unreadable(encoding, error instanceof Error ? error.message : String(error), error)
}

function unreadable(encoding: string, why: string, cause?: unknown): WarrenError {
  const mend = 'Its content-encoding must say how the body is compressed.'
  return new WarrenError('BAD_BODY', `A body cannot be decompressed by ${encoding} (${why}).`, { mend, cause })
}
