/**
 * Which sequences of one queue somebody holds: a bit each, in blocks. Adding, and removing a range, cost the same however
 * many are held and whatever lies between them.
 */
const blockBits = 1024
const blockWords = blockBits / 32

class Block {
  readonly words = new Uint32Array(blockWords)
  count = 0
}

export class HeldSequences {
  readonly #blocks = new Map<number, Block>()
  #count = 0
  /** The block used last: most additions go there. */
  #lastKey = -1
  #last: Block | null = null

  get count(): number {
    return this.#count
  }

  add(sequence: number): void {
    const key = Math.floor(sequence / blockBits)
    const block = key === this.#lastKey && this.#last !== null ? this.#last : this.#blockFor(key)
    const bit = sequence % blockBits
    const mask = 1 << (bit & 31)
    const word = block.words[bit >> 5] as number
    if ((word & mask) !== 0) return
    block.words[bit >> 5] = word | mask
    block.count++
    this.#count++
  }

  /** Removes those of `first..last` that are held; returns how many these are. */
  remove(first: number, last: number): number {
    const before = this.#count
    for (let from = first; from <= last && this.#count > 0; ) {
      const key = Math.floor(from / blockBits)
      const blockLast = Math.min(last, key * blockBits + blockBits - 1)
      const block = this.#blocks.get(key)
      if (block !== undefined) this.#removeIn(key, block, from % blockBits, blockLast % blockBits)
      from = blockLast + 1
    }
    return before - this.#count
  }

  has(sequence: number): boolean {
    const bit = sequence % blockBits
    const word = this.#blocks.get(Math.floor(sequence / blockBits))?.words[bit >> 5] ?? 0
    return (word & (1 << (bit & 31))) !== 0
  }

  clear(): void {
    this.#blocks.clear()
    this.#count = 0
    this.#last = null
    this.#lastKey = -1
  }

  /** Calls back for each run of neighbours, in order. */
  eachRun(visit: (first: number, last: number) => void): void {
    let first = 0
    let last = -1
    for (const key of [...this.#blocks.keys()].sort((a, b) => a - b)) {
      const { words } = this.#blocks.get(key) as Block
      for (let bit = 0; bit < blockBits; bit++) {
        if (((words[bit >> 5] as number) & (1 << (bit & 31))) === 0) continue
        const sequence = key * blockBits + bit
        if (sequence === last + 1) last = sequence
        else {
          if (last >= 0) visit(first, last)
          first = sequence
          last = sequence
        }
      }
    }
    if (last >= 0) visit(first, last)
  }

  #removeIn(key: number, block: Block, firstBit: number, lastBit: number): void {
    for (let bit = firstBit; bit <= lastBit && block.count > 0; bit++) {
      const word = block.words[bit >> 5] as number
      const mask = 1 << (bit & 31)
      if ((word & mask) === 0) continue
      block.words[bit >> 5] = word & ~mask
      block.count--
      this.#count--
    }
    // The block that still grows stays, so that one message at a time does not make one each.
    if (block.count > 0 || key === this.#lastKey) return
    this.#blocks.delete(key)
  }

  #blockFor(key: number): Block {
    const block = this.#blocks.get(key) ?? new Block()
    const passed = this.#last
    if (passed !== null && passed.count === 0) this.#blocks.delete(this.#lastKey)
    this.#blocks.set(key, block)
    this.#lastKey = key
    this.#last = block
    return block
  }
}
