import { Buffer } from 'node:buffer'
import type { ByteWriter } from './byte-writer.ts'

/**
 * Names on the wire ⇄ JavaScript strings, without loss.
 *
 * AMQP names are bytes; nearly all are UTF-8, but nothing makes them so (AMQP 0-9-1 §4.2.5.3). Valid UTF-8 decodes as
 * usual. Each byte that is not part of a valid sequence becomes the lone surrogate U+DC00 + byte (U+DC80 to U+DCFF),
 * which no valid UTF-8 decodes to, and is written back as that byte. So two different names are never one string,
 * and decoding then encoding gives the same bytes.
 */

/** A short string has one octet for its length. */
export const shortStringBytesMax = 255

export class StringTooLong extends Error {
  readonly code = 'STRING_TOO_LONG'
}

type Slice = (this: Uint8Array, start: number, end: number) => string

// The fastest way there is (120 ns; through a decoder or a view 200), needing no view. Node does not document it.
const slices = Buffer.prototype as { latin1Slice?: Slice; utf8Slice?: Slice }
const latin1Slice: Slice = slices.latin1Slice ?? sliceSlowly
const utf8Slice: Slice = slices.utf8Slice ?? sliceSlowly
const slowDecoder = new TextDecoder('utf-8', { ignoreBOM: true })

function sliceSlowly(this: Uint8Array, start: number, end: number): string {
  return slowDecoder.decode(this.subarray(start, end))
}

/** The string in `buffer[start..end)`: the content without its length. Also right for long strings. */
export function decodeShortString(buffer: Uint8Array, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    if ((buffer[at] as number) > 0x7f) return decodeBeyondAscii(buffer, start, end)
  }
  return latin1Slice.call(buffer, start, end)
}

/** Bytes that are no UTF-8 come out as U+FFFD; only then, or when U+FFFD itself is in it, must every byte be looked at. */
function decodeBeyondAscii(buffer: Uint8Array, start: number, end: number): string {
  const text = utf8Slice.call(buffer, start, end)
  return text.includes('\ufffd') ? decodeEscaped(buffer, start, end) : text
}

function decodeEscaped(buffer: Uint8Array, start: number, end: number): string {
  const characters: string[] = []
  let at = start
  while (at < end) {
    const length = sequenceBytes(buffer, at, end)
    if (length === 0) {
      characters.push(String.fromCharCode(0xdc00 + (buffer[at] as number)))
      at += 1
    } else {
      characters.push(utf8Slice.call(buffer, at, at + length))
      at += length
    }
  }
  return characters.join('')
}

/** How long the UTF-8 sequence at `at` is; 0 when it is not valid (RFC 3629 §4). */
function sequenceBytes(buffer: Uint8Array, at: number, end: number): number {
  const first = buffer[at] as number
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return 0
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  if (at + length > end) return 0
  // No longer form than needed, no surrogates, nothing above U+10FFFF: all decided by the second byte.
  const second = buffer[at + 1] as number
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < lowest || second > highest) return 0
  for (let index = at + 2; index < at + length; index++) {
    if (((buffer[index] as number) & 0xc0) !== 0x80) return 0
  }
  return length
}

/** How many bytes the text is encoded. */
export function encodedBytes(text: string): number {
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (isHighSurrogate(unit) && isLowSurrogate(text.charCodeAt(index + 1))) {
      bytes += 2 // four bytes for two units
      index++
    } else if (!isEscapedByte(unit)) {
      bytes += unit < 0x800 ? 1 : 2
    }
  }
  return bytes
}

/** Writes the text into `buffer`, which has room for it (`encodedBytes`); returns where it ends. */
export function encodeText(text: string, buffer: Uint8Array, start: number): number {
  let at = start
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) {
      buffer[at++] = unit
    } else if (isEscapedByte(unit)) {
      buffer[at++] = unit - 0xdc00
    } else {
      // A surrogate that stands alone and is no escaped byte cannot be encoded: U+FFFD, as in all encoders.
      const point = text.codePointAt(index) ?? unit
      if (point > 0xffff) index++
      at = encodeCodePoint(point >= 0xd800 && point <= 0xdfff ? 0xfffd : point, buffer, at)
    }
  }
  return at
}

function encodeCodePoint(point: number, buffer: Uint8Array, start: number): number {
  let at = start
  if (point < 0x800) {
    buffer[at++] = 0xc0 | (point >> 6)
  } else {
    if (point < 0x10000) {
      buffer[at++] = 0xe0 | (point >> 12)
    } else {
      buffer[at++] = 0xf0 | (point >> 18)
      buffer[at++] = 0x80 | ((point >> 12) & 0x3f)
    }
    buffer[at++] = 0x80 | ((point >> 6) & 0x3f)
  }
  buffer[at++] = 0x80 | (point & 0x3f)
  return at
}

/** Writes length octet and text. Throws `StringTooLong`, and writes nothing, when the text is longer than 255 bytes. */
export function encodeShortString(writer: ByteWriter, text: string): void {
  const bytes = encodedBytes(text)
  if (bytes > shortStringBytesMax) {
    const beginning = cutToBytes(text, 60)
    throw new StringTooLong(`'${beginning}…' is ${bytes} bytes long, at most ${shortStringBytesMax} are possible`)
  }
  const at = writer.reserve(bytes + 1)
  writer.buffer[at] = bytes
  encodeText(text, writer.buffer, at + 1)
}

/** Writes 32-bit length and text. */
export function encodeLongString(writer: ByteWriter, text: string): void {
  const bytes = encodedBytes(text)
  writer.uint32(bytes)
  const at = writer.reserve(bytes)
  encodeText(text, writer.buffer, at)
}

/** Writes 32-bit length and bytes. */
export function encodeLongBytes(writer: ByteWriter, bytes: Uint8Array): void {
  writer.uint32(bytes.length)
  writer.bytes(bytes)
}

/** The longest beginning of the text that is at most `bytesMax` bytes encoded and does not cut a character in two. */
export function cutToBytes(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || encodedBytes(text) <= bytesMax) return text
  let bytes = 0
  let index = 0
  for (const character of text) {
    bytes += encodedBytes(character)
    if (bytes > bytesMax) break
    index += character.length
  }
  return text.slice(0, index)
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

/** Only asked of a unit that is not the second half of a pair. */
function isEscapedByte(unit: number): boolean {
  return unit >= 0xdc80 && unit <= 0xdcff
}
