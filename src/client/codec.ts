import { WarrenError } from './errors.ts'

/** How a message becomes bytes. `encode` and `decode` may throw; what they throw becomes `BAD_BODY`. */
export interface Codec<T> {
  /** The property `content-type`. */
  readonly contentType: string
  readonly encode: (value: T) => Uint8Array
  readonly decode: (bytes: Uint8Array) => T
}

/** A codec of whatever type. */
export interface AnyCodec {
  readonly contentType: string
  readonly encode: (value: never) => Uint8Array
  readonly decode: (bytes: Uint8Array) => unknown
}

const encoder = new TextEncoder()
/** Refuses what is not UTF-8. */
const decoder = new TextDecoder('utf-8', { fatal: true })

export const jsonCodec: Codec<unknown> = {
  contentType: 'application/json',
  encode: (value) => {
    const text = JSON.stringify(value)
    if (text === undefined) throw new TypeError(`${typeof value} has no JSON`)
    return encoder.encode(text)
  },
  decode: (bytes) => JSON.parse(decoder.decode(bytes)),
}

export const textCodec: Codec<string> = {
  contentType: 'text/plain',
  encode: (value) => encoder.encode(value),
  decode: (bytes) => decoder.decode(bytes),
}

export const bytesCodec: Codec<Uint8Array> = {
  contentType: 'application/octet-stream',
  encode: (value) => {
    if (!(value instanceof Uint8Array)) throw new TypeError('it is no Uint8Array')
    return value
  },
  decode: (bytes) => bytes,
}

export type CodecName = 'json' | 'text' | 'bytes'

export function codecOf(given: CodecName | AnyCodec | undefined): Codec<unknown> {
  if (given === undefined || given === 'json') return jsonCodec
  if (given === 'text') return textCodec as Codec<unknown>
  if (given === 'bytes') return bytesCodec as Codec<unknown>
  return given as Codec<unknown>
}

export function encodeBody(codec: Codec<unknown>, value: unknown, what: string): Uint8Array {
  try {
    return codec.encode(value)
  } catch (cause) {
    throw badBody(`${what} cannot be written as ${codec.contentType}`, cause)
  }
}

export function decodeBody(codec: Codec<unknown>, bytes: Uint8Array, what: string): unknown {
  try {
    return codec.decode(bytes)
  } catch (cause) {
    throw badBody(`${what} cannot be read as ${codec.contentType}`, cause)
  }
}

export function badBody(sentence: string, cause: unknown): WarrenError {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  const mend = 'Producers and consumers of a queue must use the same codec.'
  return new WarrenError('BAD_BODY', `${sentence}${why}.`, { mend, cause })
}
