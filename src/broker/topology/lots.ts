import type { Random } from '../../base/random.ts'

/** Whole numbers by chance, for one message each: bytes are drawn in advance, some hundred numbers at a time. */
export class Lots {
  readonly #random: Random
  #drawn = new Uint32Array(0)
  #next = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** From 0 to `bound - 1`; all as likely, to within `bound` in 2^32. */
  below(bound: number): number {
    if (this.#next >= this.#drawn.length) {
      this.#drawn = new Uint32Array(this.#random.bytes(bytesAtOnce).slice().buffer)
      this.#next = 0
    }
    return (this.#drawn[this.#next++] ?? 0) % bound
  }
}

const bytesAtOnce = 1024
