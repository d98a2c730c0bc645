/**
 * Up to where one consumer has acknowledged everything: the offsets it holds, in order, and which of them are settled.
 * What it holds is bounded by its prefetch limit.
 */
const smallestCapacity = 64

export class AckFloor {
  #offsets = new Float64Array(smallestCapacity)
  #isSettled = new Uint8Array(smallestCapacity)
  #head = 0
  #tail = 0
  /** What was given back unsettled holds the floor here for good. */
  #heldAt = Number.POSITIVE_INFINITY

  /** An offset has been delivered; they only grow. */
  delivered(offset: number): void {
    if (offset >= this.#heldAt) return
    if (this.#tail - this.#head === this.#offsets.length) this.#grow()
    const at = this.#tail++ & (this.#offsets.length - 1)
    this.#offsets[at] = offset
    this.#isSettled[at] = 0
  }

  /** The offsets it holds from `first` to `last` are settled; `isDone` says whether for good. */
  settled(first: number, last: number, isDone: boolean): void {
    if (!isDone) this.#heldAt = Math.min(this.#heldAt, first)
    const mask = this.#offsets.length - 1
    for (let index = this.#find(first); index < this.#tail; index++) {
      if ((this.#offsets[index & mask] as number) > last) break
      if (isDone) this.#isSettled[index & mask] = 1
    }
    while (this.#head < this.#tail && this.#isSettled[this.#head & mask] === 1) this.#head++
    // Nothing behind what holds the floor can move it.
    while (this.#tail > this.#head && (this.#offsets[(this.#tail - 1) & mask] as number) >= this.#heldAt) this.#tail--
  }

  /** Everything below is done, where `next` is the offset that this consumer would get next. */
  floor(next: number): number {
    const held = this.#head < this.#tail ? (this.#offsets[this.#head & (this.#offsets.length - 1)] as number) : next
    return Math.min(held, this.#heldAt)
  }

  /** Index of the first offset that is not below this one. */
  #find(offset: number): number {
    const mask = this.#offsets.length - 1
    let low = this.#head
    let high = this.#tail
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2)
      if ((this.#offsets[middle & mask] as number) < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #grow(): void {
    const capacity = this.#offsets.length
    const offsets = new Float64Array(capacity * 2)
    const isSettled = new Uint8Array(capacity * 2)
    for (let index = this.#head; index < this.#tail; index++) {
      offsets[index - this.#head] = this.#offsets[index & (capacity - 1)] as number
      isSettled[index - this.#head] = this.#isSettled[index & (capacity - 1)] as number
    }
    this.#offsets = offsets
    this.#isSettled = isSettled
    this.#tail -= this.#head
    this.#head = 0
  }
}
