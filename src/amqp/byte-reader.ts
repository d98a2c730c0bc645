import { assert } from '../base/assert.ts'
import { ProtocolError, ReplyCodes } from './reply-codes.ts'
import { decodeShortString } from './short-string.ts'

/**
 * A cursor that reads big-endian values (AMQP 0-9-1 §4.2.5) from a range of somebody else's buffer.
 *
 * Reading beyond the end of the range is the peer's fault, 501. One reader is used again and again; what it returns
 * never points into the buffer.
 */
export class ByteReader {
  buffer: Uint8Array = empty
  position = 0
  end = 0

  reset(buffer: Uint8Array, start: number, end: number): this {
    assert(start >= 0 && start <= end && end <= buffer.length, 'the range lies within the buffer')
    this.buffer = buffer
    this.position = start
    this.end = end
    return this
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Moves on by `byteLength` bytes and returns where they begin. */
  take(byteLength: number): number {
    const at = this.position
    if (byteLength > this.end - at) throw truncated(byteLength, this.end - at)
    this.position = at + byteLength
    return at
  }

  uint8(): number {
    const at = this.take(1)
    return this.buffer[at] as number
  }

  int8(): number {
    return (this.uint8() << 24) >> 24
  }

  int16(): number {
    return (this.uint16() << 16) >> 16
  }

  int32(): number {
    return this.uint32() | 0
  }

  uint16(): number {
    const at = this.take(2)
    return readUint16(this.buffer, at)
  }

  uint32(): number {
    const at = this.take(4)
    return readUint32(this.buffer, at)
  }

  /** See `readUint64`: what is beyond 2^53-1 is read as 2^53-1. */
  uint64(): number {
    const at = this.take(8)
    return readUint64(this.buffer, at)
  }

  /** Exact: a number within ±(2^53-1), a bigint beyond. */
  int64(): number | bigint {
    const at = this.take(8)
    return exact64(readUint32(this.buffer, at) | 0, readUint32(this.buffer, at + 4))
  }

  /** Exact, unsigned: a number up to 2^53-1, a bigint beyond. */
  uint64Exact(): number | bigint {
    const at = this.take(8)
    return exact64(readUint32(this.buffer, at), readUint32(this.buffer, at + 4))
  }

  float32(): number {
    const at = this.take(4)
    return this.#view(at, 4).getFloat32(0)
  }

  float64(): number {
    const at = this.take(8)
    return this.#view(at, 8).getFloat64(0)
  }

  shortString(): string {
    const length = this.uint8()
    const at = this.take(length)
    return decodeShortString(this.buffer, at, at + length)
  }

  longString(): string {
    const length = this.uint32()
    const at = this.take(length)
    return decodeShortString(this.buffer, at, at + length)
  }

  /** The content of a long string as bytes, a copy. */
  longBytes(): Uint8Array {
    const length = this.uint32()
    const at = this.take(length)
    return this.buffer.slice(at, at + length)
  }

  /** Says that nothing may be left. */
  finish(): void {
    if (this.position < this.end) {
      throw new ProtocolError(ReplyCodes.FrameError, `${this.end - this.position} bytes too many`)
    }
  }

  #view(at: number, byteLength: number): DataView {
    return new DataView(this.buffer.buffer, this.buffer.byteOffset + at, byteLength)
  }
}

const empty = new Uint8Array(0)

function truncated(wanted: number, left: number): ProtocolError {
  return new ProtocolError(ReplyCodes.FrameError, `a field of ${wanted} bytes where ${left} are left`)
}

function exact64(high: number, low: number): number | bigint {
  const value = high * 0x1_0000_0000 + low
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low)
}

// Without any check, for code that has made sure of the range: a read past the end would give NaN or 0.

export function readUint16(buffer: Uint8Array, at: number): number {
  return ((buffer[at] as number) << 8) | (buffer[at + 1] as number)
}

export function readUint32(buffer: Uint8Array, at: number): number {
  const high = ((buffer[at] as number) << 8) | (buffer[at + 1] as number)
  const low = ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number)
  return high * 0x1_0000 + low
}

/**
 * An unsigned 64-bit number. What is beyond 2^53-1 is read as 2^53-1: no delivery tag, sequence or size that we accept
 * gets near it, so it is refused like any other number that is too large, and never taken for a smaller one.
 */
export function readUint64(buffer: Uint8Array, at: number): number {
  const value = readUint32(buffer, at) * 0x1_0000_0000 + readUint32(buffer, at + 4)
  return value < Number.MAX_SAFE_INTEGER ? value : Number.MAX_SAFE_INTEGER
}
