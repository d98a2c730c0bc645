/**
 * One large buffer from which the buffers of the hot path are cut, so that bytes move between them by `copyWithin`:
 * that needs no view per copy and takes half the time of `set(subarray)` for small messages. Whoever copies compares the
 * buffer objects and falls back when they differ; nobody depends on it.
 *
 * Pieces come in the sizes of `blockClasses` and are used again, never split or joined. When the arena is used up,
 * pieces are made outside of it, and of those only a few are kept.
 */
export interface Block {
  readonly buffer: Uint8Array
  /** The block is `buffer[start..end)`. */
  readonly start: number
  readonly end: number
}

/** Sizes of blocks, in bytes. */
export const blockClasses = [4 * 1024, 32 * 1024, 256 * 1024] as const

const classSizes: readonly number[] = blockClasses

/** Bytes of blocks outside of the arena that are kept for later use, per class. */
const keptBytesMax = 8 * 1024 * 1024

export class Arena {
  readonly bytes: Uint8Array
  #used = 0
  readonly #free: Block[][] = blockClasses.map(() => [])
  readonly #keptOutside: number[] = blockClasses.map(() => 0)

  /** Memory is taken from the system only as it is first touched. */
  constructor(byteLength = 32 * 1024 * 1024) {
    this.bytes = new Uint8Array(byteLength)
  }

  /** A block of the smallest class that has `byteLength`; larger than all classes: one of exactly that size. */
  take(byteLength: number): Block {
    const index = blockClasses.findIndex((size) => size >= byteLength)
    const size = blockClasses[index]
    if (size === undefined) return { buffer: new Uint8Array(byteLength), start: 0, end: byteLength }
    const block = this.#free[index]?.pop()
    if (block === undefined) return this.#cut(size)
    if (block.buffer !== this.bytes) this.#keptOutside[index] = (this.#keptOutside[index] ?? 0) - size
    return block
  }

  /** Takes a block back. Nobody may use it afterwards. */
  give(block: Block): void {
    const size = block.end - block.start
    const index = classSizes.indexOf(size)
    if (index < 0) return
    if (block.buffer !== this.bytes) {
      const kept = (this.#keptOutside[index] ?? 0) + size
      if (kept > keptBytesMax) return
      this.#keptOutside[index] = kept
    }
    this.#free[index]?.push(block)
  }

  /** A piece of any size for good: for what lives as long as the arena. */
  takeForGood(byteLength: number): Block {
    return this.#cut(byteLength)
  }

  #cut(byteLength: number): Block {
    const start = this.#used
    if (start + byteLength > this.bytes.length) {
      return { buffer: new Uint8Array(byteLength), start: 0, end: byteLength }
    }
    this.#used += byteLength
    return { buffer: this.bytes, start, end: start + byteLength }
  }
}

/** Copies `from[start..end)` to `to[at..)`; the ranges do not overlap. The fastest way there is for each case. */
export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (from === to) to.copyWithin(at, start, end)
  else if (start === 0 && end === from.length) to.set(from, at)
  else to.set(from.subarray(start, end), at)
}
