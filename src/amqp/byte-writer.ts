import { assert } from '../base/assert.ts'

/** A writer never grows beyond this: the largest message and its frame overhead fit, in bytes. */
export const writerBytesMax = 256 * 1024 * 1024

/**
 * A cursor that writes big-endian values (AMQP 0-9-1 §4.2.5) into a buffer which grows by doubling.
 *
 * The bytes written are `buffer[0..length)`. `buffer` is another object after it has grown: do not keep it across
 * writes. Values out of range are our own mistake and fail an assertion; nothing is ever wrapped silently.
 */
export class ByteWriter {
  /** What has been written is `buffer[0..length)`. */
  buffer: Uint8Array
  length = 0
  readonly #bytesMax: number

  constructor(initialBytes = 1024, bytesMax = writerBytesMax) {
    this.buffer = new Uint8Array(initialBytes)
    this.#bytesMax = bytesMax
  }

  /** Forgets what has been written and keeps the room. */
  reset(): void {
    this.length = 0
  }

  /** A copy of what has been written. */
  copy(): Uint8Array {
    return this.buffer.slice(0, this.length)
  }

  /** Makes room for `byteLength` bytes, counts them as written and returns where in `buffer` they begin. */
  reserve(byteLength: number): number {
    const at = this.length
    const length = at + byteLength
    if (length > this.buffer.length) this.#grow(length)
    this.length = length
    return at
  }

  int8(value: number): void {
    assert((value << 24) >> 24 === value, 'a signed octet is a whole number from -128 to 127')
    this.uint8(value & 0xff)
  }

  int16(value: number): void {
    assert((value << 16) >> 16 === value, 'a signed short is a whole number from -32768 to 32767')
    this.uint16(value & 0xffff)
  }

  int32(value: number): void {
    assert((value | 0) === value, 'a signed long is a whole number from -2^31 to 2^31-1')
    this.uint32(value >>> 0)
  }

  uint8(value: number): void {
    assert((value & 0xff) === value, 'an octet is a whole number from 0 to 255')
    const at = this.reserve(1)
    this.buffer[at] = value
  }

  uint16(value: number): void {
    assert((value & 0xffff) === value, 'a short is a whole number from 0 to 65535')
    const at = this.reserve(2)
    writeUint16(this.buffer, at, value)
  }

  uint32(value: number): void {
    assert(value >>> 0 === value, 'a long is a whole number from 0 to 4294967295')
    const at = this.reserve(4)
    writeUint32(this.buffer, at, value)
  }

  /** An unsigned 64-bit number that JavaScript holds exactly. */
  uint64(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'a longlong is a whole number from 0 to 2^53-1')
    const at = this.reserve(8)
    writeUint64(this.buffer, at, value)
  }

  /** Writes over four bytes that were reserved earlier. */
  patchUint32(at: number, value: number): void {
    assert(value >>> 0 === value && at + 4 <= this.length, 'a patch stays within what has been written')
    writeUint32(this.buffer, at, value)
  }

  /** -2^63 to 2^63-1; a bigint beyond ±(2^53-1). */
  int64(value: number | bigint): void {
    if (typeof value === 'bigint') this.#big64(BigInt.asIntN(64, value), value)
    else this.#safe64(value)
  }

  /** 0 to 2^64-1; a bigint beyond 2^53-1. */
  uint64Exact(value: number | bigint): void {
    if (typeof value === 'bigint') this.#big64(BigInt.asUintN(64, value), value)
    else this.uint64(value)
  }

  #safe64(value: number): void {
    assert(Number.isSafeInteger(value), 'a 64-bit number beyond 2^53-1 is a bigint')
    const at = this.reserve(8)
    writeUint32(this.buffer, at, Math.floor(value / 0x1_0000_0000))
    writeUint32(this.buffer, at + 4, value)
  }

  /** `wrapped` is what 64 bits hold of `value`. */
  #big64(wrapped: bigint, value: bigint): void {
    assert(wrapped === value, 'a 64-bit number has 64 bits')
    const at = this.reserve(8)
    writeUint32(this.buffer, at, Number(BigInt.asUintN(32, value >> 32n)))
    writeUint32(this.buffer, at + 4, Number(BigInt.asUintN(32, value)))
  }

  float32(value: number): void {
    const at = this.reserve(4)
    this.#view().setFloat32(at, value)
  }

  float64(value: number): void {
    const at = this.reserve(8)
    this.#view().setFloat64(at, value)
  }

  /** Copies `from[start..end)`. */
  bytes(from: Uint8Array, start = 0, end = from.length): void {
    assert(start >= 0 && start <= end && end <= from.length, 'the range lies within the buffer')
    const at = this.reserve(end - start)
    this.buffer.set(start === 0 && end === from.length ? from : from.subarray(start, end), at)
  }

  #view(): DataView {
    return new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength)
  }

  #grow(needed: number): void {
    assert(needed <= this.#bytesMax, 'a writer stays within its limit')
    const grown = new Uint8Array(Math.min(Math.max(needed, this.buffer.length * 2), this.#bytesMax))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }
}

// Without any check, for code that has made sure of the room: a write past the end of a typed array is silently lost.

export function writeUint16(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 8
  buffer[at + 1] = value
}

/** The low 32 bits of `value`. */
export function writeUint32(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
}

/** `value` from 0 to 2^53-1. */
export function writeUint64(buffer: Uint8Array, at: number, value: number): void {
  writeUint32(buffer, at, value / 0x1_0000_0000)
  writeUint32(buffer, at + 4, value)
}
