import { type Arena, type Block, blockClasses } from '../../base/arena.ts'

/** Whole frames that are ready to be written: `block.buffer[block.start..end)`. */
export interface Piece {
  readonly block: Block
  readonly end: number
}

/**
 * Frames of the same urgency, in order, in pooled blocks: sealed ones, and an open one that is written to.
 */
export class OutputLane {
  /** Where `reserve` says to write. Changes from one `reserve` to the next. */
  buffer: Uint8Array = empty
  /** How often in a row others were written while this lane had something. */
  passedOver = 0
  readonly #arena: Arena
  #block: Block | null = null
  #at = 0
  #end = 0
  /** Size of the next open block: follows what a turn needs. */
  #blockBytes: number = blockClasses[0]
  #sealed: Piece[] = []

  constructor(arena: Arena) {
    this.#arena = arena
  }

  /** Makes room for `byteLength` bytes, which the caller writes to `buffer` from the returned place on, at once. */
  reserve(byteLength: number): number {
    const at = this.#at
    if (at + byteLength > this.#end) return this.#reserveSlow(byteLength)
    this.#at = at + byteLength
    return at
  }

  /** Size of what `take` would return, in bytes; 0 when there is nothing. */
  get firstBytes(): number {
    const [first] = this.#sealed
    if (first !== undefined) return first.end - first.block.start
    return this.#block === null ? 0 : this.#at - this.#block.start
  }

  /** Hands over the first piece; `firstBytes` is not 0. The block goes back to the arena when it has been written. */
  take(): Piece {
    if (this.#sealed.length === 0) {
      this.#adaptBlockSize()
      this.#seal()
    }
    return this.#sealed.shift() ?? { block: { buffer: empty, start: 0, end: 0 }, end: 0 }
  }

  /** Gives everything back. */
  drop(): void {
    for (const { block } of this.#sealed) this.#arena.give(block)
    this.#sealed = []
    if (this.#block !== null) this.#arena.give(this.#block)
    this.#open(null)
  }

  #reserveSlow(byteLength: number): number {
    if (this.#block !== null) {
      this.#blockBytes = Math.min(this.#blockBytes * 8, blockClasses[2])
      this.#seal()
    }
    const block = this.#arena.take(Math.max(byteLength, this.#blockBytes))
    this.#open(block)
    this.#at = block.start + byteLength
    return block.start
  }

  /** A large block is not held for little. */
  #adaptBlockSize(): void {
    if (this.firstBytes * 8 < this.#blockBytes) this.#blockBytes = Math.max(this.#blockBytes / 8, blockClasses[0])
  }

  #seal(): void {
    if (this.#block !== null) this.#sealed.push({ block: this.#block, end: this.#at })
    this.#open(null)
  }

  #open(block: Block | null): void {
    this.#block = block
    this.buffer = block?.buffer ?? empty
    this.#at = block?.start ?? 0
    this.#end = block?.end ?? 0
  }
}

const empty = new Uint8Array(0)
