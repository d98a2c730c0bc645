/**
 * A segment of a log that lives in memory: one page of bytes, in memory, in a page store, or (after a load) in both.
 * Its records are `u32 length` and bytes, back to back.
 */
import { crc32 } from 'node:zlib'
import type { Segment } from '../log.ts'

/** Span of every segment: `segment.id === Math.floor(position / memorySegmentBytes)`. */
export const memorySegmentBytes = 1024 * 1024

/** Position 0 is before all records, so the first segment leaves its first bytes alone. */
const firstOffset = 8

export class MemorySegment implements Segment {
  readonly id: number
  readonly base: number
  readonly end: number
  isSealed = false
  isFreed = false
  /** Null while its bytes are only in the page store. */
  bytes: Uint8Array | null
  view: DataView | null
  /** Its place in the page store; -1 while it has none. */
  slot = -1
  /** In memory only, and known to the paging as such. */
  isWaiting = false
  isBeingStored = false
  /** Offset behind its last record. */
  used: number
  lastUsed = 0
  #crc = 0

  constructor(id: number, bytes: Uint8Array) {
    this.id = id
    this.base = id * memorySegmentBytes
    this.end = this.base + memorySegmentBytes
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.used = this.first
  }

  /** Offset of its first record. */
  get first(): number {
    return this.id === 0 ? firstOffset : 0
  }

  /** Takes its bytes out of memory; they are in the page store. Returns the buffer for another use. */
  letGo(): Uint8Array | null {
    const { bytes } = this
    this.bytes = null
    this.view = null
    return bytes
  }

  bringBack(bytes: Uint8Array): void {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Remembers what the bytes are, before they leave memory. */
  seal(bytes: Uint8Array): void {
    this.#crc = crc32(bytes.subarray(0, this.used))
  }

  isIntact(bytes: Uint8Array): boolean {
    return crc32(bytes.subarray(0, this.used)) === this.#crc
  }
}
