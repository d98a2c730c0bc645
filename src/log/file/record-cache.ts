/**
 * Single records in memory, without the pages they come from: for those that are read here and there, of whose pages
 * little else is wanted.
 *
 *   [ the half being filled | the one filled before ]     what does not fit: the older half is forgotten, and filled
 *
 * So as many bytes as fit into one half can be put in without any of them being forgotten. No object is made per record.
 */
import { copyBytes } from '../../base/arena.ts'
import { gatherRecordsMax } from '../log.ts'
import { viewOf } from './byte-codec.ts'
import { recordHeaderBytes } from './format.ts'

/** Records of one half. */
const halfRecordsMax = gatherRecordsMax
const slotBits = 13
const slotMask = (1 << slotBits) - 1
const free = -1

export class RecordCache {
  /** What `find` found: the record is `bytes[start..end)`, until the next `put`. */
  bytes: Uint8Array = nothing
  start = 0
  end = 0
  /** Bytes of one half; a record takes `recordHeaderBytes` more than its length. */
  readonly halfBytes: number
  /** Made when the first record comes. */
  #filling: Half | null = null
  #before: Half | null = null

  constructor(halfBytes: number) {
    this.halfBytes = halfBytes
  }

  find(position: number): boolean {
    return this.#findIn(this.#filling, position) || this.#findIn(this.#before, position)
  }

  /** Copies the record whose length field stands at `at`; with it, it is not longer than a half. */
  put(position: number, from: Uint8Array, at: number, end: number): void {
    this.#filling ??= new Half(this.halfBytes)
    if (!this.#filling.hasRoom(end - at)) this.#turn()
    this.#filling.put(position, from, at, end)
  }

  #turn(): void {
    const emptied = this.#before ?? new Half(this.halfBytes)
    emptied.clear()
    this.#before = this.#filling
    this.#filling = emptied
  }

  #findIn(half: Half | null, position: number): boolean {
    const at = half === null ? -1 : half.find(position)
    if (half === null || at < 0) return false
    this.bytes = half.bytes
    this.start = at + recordHeaderBytes
    this.end = this.start + half.view.getUint32(at, true)
    return true
  }
}

class Half {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Open addressing: a record's position (-1: free), and its offset in `bytes`. Never more than half full. */
  readonly #positions = new Float64Array(slotMask + 1).fill(free)
  readonly #offsets = new Uint32Array(slotMask + 1)
  #used = 0
  #count = 0

  constructor(byteLength: number) {
    this.bytes = new Uint8Array(byteLength)
    this.view = viewOf(this.bytes)
  }

  hasRoom(byteLength: number): boolean {
    return this.#used + byteLength <= this.bytes.byteLength && this.#count < halfRecordsMax
  }

  find(position: number): number {
    const slot = this.#slotOf(position)
    return this.#positions[slot] === position ? (this.#offsets[slot] as number) : -1
  }

  put(position: number, from: Uint8Array, at: number, end: number): void {
    const slot = this.#slotOf(position)
    if (this.#positions[slot] === position) return
    copyBytes(from, at, end, this.bytes, this.#used)
    this.#positions[slot] = position
    this.#offsets[slot] = this.#used
    this.#used += end - at
    this.#count++
  }

  clear(): void {
    this.#positions.fill(free)
    this.#used = 0
    this.#count = 0
  }

  #slotOf(position: number): number {
    let slot = Math.imul(position >>> 0, 0x9e3779b1) >>> (32 - slotBits)
    for (;;) {
      const there = this.#positions[slot]
      if (there === position || there === free) return slot
      slot = (slot + 1) & slotMask
    }
  }
}

const nothing = new Uint8Array(0)
