/** The chains of the frames that were seen last, by ordinal: what a mark that somebody else knows is held against. */

/** Frames remembered: 16 KiB. */
const marksMax = 4096

export class FrameMarks {
  readonly #chains = new Uint32Array(marksMax)
  #count = 0
  #last = -1

  /** Frames come in order; where one does not follow the last, those before are forgotten. */
  add(ordinal: number, chain: number): void {
    if (ordinal !== this.#last + 1) this.#count = 0
    this.#last = ordinal
    this.#count = Math.min(this.#count + 1, marksMax)
    this.#chains[ordinal % marksMax] = chain
  }

  clear(): void {
    this.#count = 0
    this.#last = -1
  }

  /** Null when the frame is not remembered. */
  chainAt(ordinal: number): number | null {
    if (ordinal > this.#last || ordinal <= this.#last - this.#count) return null
    return this.#chains[ordinal % marksMax] as number
  }
}
