import { type Arena, type Block, copyBytes } from '../base/arena.ts'
import { headroomBytes } from '../base/network.ts'

/**
 * Input of a connection that could not be worked on: the beginning of a frame, a small message that is not there as a
 * whole, or everything after the end of a turn. What arrives next is joined to it.
 *
 * What is kept is copied in front of what arrives, into the headroom of the read buffer, so that frames lie in one
 * piece without moving the large part. While it is known that more is missing than has arrived, it is only appended.
 */
export class KeptInput {
  readonly #arena: Arena
  #block: Block | null = null
  #start = 0
  #end = 0
  #neededBytes = 0
  /** The region to work on, after `join` or `open` has returned true. */
  buffer: Uint8Array = empty
  start = 0
  end = 0

  constructor(arena: Arena) {
    this.#arena = arena
  }

  get byteCount(): number {
    return this.#end - this.#start
  }

  /** Makes what is kept and what has arrived one region; false when that is still less than what was needed. */
  join(buffer: Uint8Array, start: number, end: number): boolean {
    const kept = this.byteCount
    this.buffer = buffer
    this.start = start
    this.end = end
    if (kept === 0) return true
    if (kept + end - start < this.#neededBytes) {
      this.#append(buffer, start, end)
      return false
    }
    if (kept > headroomBytes) {
      this.#append(buffer, start, end)
      return this.open()
    }
    const block = this.#block
    if (block !== null) copyBytes(block.buffer, this.#start, this.#end, buffer, start - kept)
    this.start = start - kept
    this.drop()
    return true
  }

  /** Makes what is kept the region; false when it is known that more is needed. */
  open(): boolean {
    if (this.byteCount < this.#neededBytes || this.#block === null) return false
    this.buffer = this.#block.buffer
    this.start = this.#start
    this.end = this.#end
    return true
  }

  /** Keeps `[from..end)` of the region, of which `neededBytes` make sense as a whole (0: not known). */
  keep(from: number, neededBytes: number): void {
    if (from === this.end) {
      this.drop()
      return
    }
    this.#neededBytes = neededBytes
    const block = this.#block
    if (
      block !== null &&
      this.byteCount > 0 &&
      block.buffer === this.buffer &&
      from >= block.start &&
      from < block.end
    ) {
      this.#start = from
      return
    }
    const bytes = this.end - from
    const target = this.#room(Math.max(bytes, neededBytes))
    copyBytes(this.buffer, from, this.end, target.buffer, target.start)
    this.#start = target.start
    this.#end = target.start + bytes
  }

  drop(): void {
    if (this.#block !== null) this.#arena.give(this.#block)
    this.#block = null
    this.#start = 0
    this.#end = 0
    this.#neededBytes = 0
  }

  #append(buffer: Uint8Array, start: number, end: number): void {
    const kept = this.byteCount
    const bytes = end - start
    const old = this.#block
    if (old === null || this.#end + bytes > old.end) {
      const from = this.#start
      this.#block = null
      const block = this.#room(Math.max(kept + bytes, this.#neededBytes))
      if (old !== null) {
        copyBytes(old.buffer, from, from + kept, block.buffer, block.start)
        this.#arena.give(old)
      }
      this.#start = block.start
      this.#end = block.start + kept
    }
    const block = this.#block
    if (block !== null) copyBytes(buffer, start, end, block.buffer, this.#end)
    this.#end += bytes
  }

  #room(byteLength: number): Block {
    const old = this.#block
    if (old !== null && old.end - old.start >= byteLength) return old
    if (old !== null) this.#arena.give(old)
    const block = this.#arena.take(byteLength)
    this.#block = block
    return block
  }
}

const empty = new Uint8Array(0)
