/**
 * The order of ready entries that do not simply stand in the order of their sequences: one lane per priority, the
 * highest first; in each lane by key, among equal keys in the order of coming.
 *
 * An arrival's key is its sequence and lanes are rings for them (8 bytes an entry); what comes back, or comes later than
 * its sequence says, is in a small heap beside. Entries that are gone are not looked for: whoever reads asks `isThere`.
 */
export class ReadyLanes {
  /** The lane and key of what `first` found. */
  lane = 0
  key = 0
  readonly #isThere: (sequence: number) => boolean
  readonly #lanes: (Lane | null)[] = []
  #top = -1
  #size = 0

  constructor(isThere: (sequence: number) => boolean) {
    this.#isThere = isThere
  }

  /** Entries held, those that are gone included. */
  get size(): number {
    return this.#size
  }

  add(lane: number, key: number, sequence: number): void {
    this.#laneOf(lane).add(key, sequence)
    this.#size++
  }

  /** The sequence that is next; 0 when there is none. Sets `lane` and `key`. */
  first(): number {
    for (; this.#top >= 0; this.#top--) {
      const sequence = this.#firstOf(this.#lanes[this.#top])
      if (sequence === 0) continue
      this.lane = this.#top
      return sequence
    }
    return 0
  }

  /** The oldest of the lowest lane: what a full queue gives up. 0 when there is none. Sets `lane` and `key`. */
  last(): number {
    for (let index = 0; index <= this.#top; index++) {
      const sequence = this.#firstOf(this.#lanes[index])
      if (sequence === 0) continue
      this.lane = index
      return sequence
    }
    return 0
  }

  /** Takes out what `first` found. */
  drop(): void {
    this.#lanes[this.#top]?.drop()
    this.#size--
  }

  /** Lets go of everything that is gone. */
  compact(): void {
    this.#size = 0
    for (const lane of this.#lanes) this.#size += lane?.compact(this.#isThere) ?? 0
  }

  clear(): void {
    this.#lanes.length = 0
    this.#top = -1
    this.#size = 0
  }

  get memoryBytes(): number {
    return this.#lanes.reduce((sum, lane) => sum + (lane?.memoryBytes ?? 0), 0)
  }

  #firstOf(lane: Lane | null | undefined): number {
    if (lane === null || lane === undefined) return 0
    for (let sequence = lane.first(); sequence !== 0; sequence = lane.first()) {
      if (this.#isThere(sequence)) {
        this.key = lane.key
        return sequence
      }
      lane.drop()
      this.#size--
    }
    return 0
  }

  #laneOf(index: number): Lane {
    if (index > this.#top) this.#top = index
    while (this.#lanes.length <= index) this.#lanes.push(null)
    const lane = this.#lanes[index] ?? new Lane()
    this.#lanes[index] = lane
    return lane
  }
}

const smallestRing = 16

class Lane {
  /** The key of what `first` found. */
  key = 0
  /** Sequences in ascending order, their own keys: [head, tail). */
  #ring = new Float64Array(smallestRing)
  #head = 0
  #tail = 0
  /** A binary heap by key, then by order of coming. */
  #others: Other[] = []
  #order = 0
  #isFirstOther = false

  add(key: number, sequence: number): void {
    if (key === sequence && (this.#head === this.#tail || sequence > this.#at(this.#tail - 1))) this.#append(sequence)
    else this.#push({ key, order: this.#order++, sequence })
  }

  first(): number {
    const other = this.#others[0]
    const sequence = this.#head === this.#tail ? 0 : this.#at(this.#head)
    this.#isFirstOther = other !== undefined && (sequence === 0 || other.key < sequence)
    if (this.#isFirstOther && other !== undefined) {
      this.key = other.key
      return other.sequence
    }
    this.key = sequence
    return sequence
  }

  /** Takes out what `first` found. */
  drop(): void {
    if (this.#isFirstOther) this.#pop()
    else this.#head++
    if (this.#head !== this.#tail || this.#ring.length <= smallestRing) return
    this.#ring = new Float64Array(smallestRing)
    this.#head = 0
    this.#tail = 0
  }

  /** Returns how many are left. */
  compact(isThere: (sequence: number) => boolean): number {
    const kept: number[] = []
    for (let at = this.#head; at < this.#tail; at++) if (isThere(this.#at(at))) kept.push(this.#at(at))
    this.#ring = new Float64Array(ringSize(kept.length))
    this.#ring.set(kept)
    this.#head = 0
    this.#tail = kept.length
    const others = this.#others.filter(({ sequence }) => isThere(sequence))
    this.#others = []
    for (const other of others) this.#push(other)
    return kept.length + others.length
  }

  get memoryBytes(): number {
    return this.#ring.length * 8 + this.#others.length * 64
  }

  #at(index: number): number {
    return this.#ring[index & (this.#ring.length - 1)] as number
  }

  #append(sequence: number): void {
    if (this.#tail - this.#head === this.#ring.length) {
      const ring = new Float64Array(this.#ring.length * 2)
      for (let at = this.#head; at < this.#tail; at++) ring[at - this.#head] = this.#at(at)
      this.#tail -= this.#head
      this.#head = 0
      this.#ring = ring
    }
    this.#ring[this.#tail++ & (this.#ring.length - 1)] = sequence
  }

  #push(other: Other): void {
    const heap = this.#others
    let at = heap.length
    heap.push(other)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Other
      if (!isBefore(other, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = other
  }

  #pop(): void {
    const heap = this.#others
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Other, heap[child] as Other)) child++
      if (!isBefore(heap[child] as Other, last)) break
      heap[at] = heap[child] as Other
      at = child
    }
    heap[at] = last
  }
}

interface Other {
  readonly key: number
  readonly order: number
  readonly sequence: number
}

function isBefore(a: Other, b: Other): boolean {
  return a.key < b.key || (a.key === b.key && a.order < b.order)
}

function ringSize(count: number): number {
  let size = smallestRing
  while (size < count) size *= 2
  return size
}
