/**
 * The order of ready entries that do not simply stand in the order of their sequences: one lane per priority, the
 * highest first; in each lane by key.
 *
 * What comes has a key above those before it and goes to the end (`lane.ts`); what comes back goes to a heap beside.
 * Entries that are gone are not looked for: whoever reads asks `isThere`, and `tidy` lets go of some of them now and then.
 */
import { Lane } from './lane.ts'

/** Looks at entries come in pages, one page for so many calls of `tidy`. */
const callsPerPage = 32

export class ReadyLanes {
  /** The lane and key of what `first` found. */
  lane = 0
  key = 0
  readonly #isThere: (sequence: number) => boolean
  readonly #lanes: (Lane | null)[] = []
  #top = -1
  #size = 0
  /** The lane that is tidied just now. */
  #hand = 0
  #calls = 0

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

  /** Up to `countMax` sequences that are next, about: some may be gone, and what came back is left out. */
  ahead(countMax: number): number[] {
    const sequences: number[] = []
    for (let index = this.#top; index >= 0 && sequences.length < countMax; index--) {
      this.#lanes[index]?.ahead(sequences, countMax)
    }
    return sequences
  }

  /** The oldest of the lowest lane: what a full queue gives up. 0 when there is none. */
  last(): number {
    for (let index = 0; index <= this.#top; index++) {
      const sequence = this.#firstOf(this.#lanes[index])
      if (sequence !== 0) return sequence
    }
    return 0
  }

  /** Takes out what `first` found. */
  drop(): void {
    this.#lanes[this.#top]?.drop()
    this.#size--
  }

  /**
   * Lets go of a few entries that are gone. To be called with each change while more than half are: then that many are
   * looked at as keeps it from growing, and never many at once.
   */
  tidy(): void {
    if (++this.#calls % callsPerPage !== 0) return
    const lane = this.#lanes[this.#hand] ?? null
    const before = lane?.size ?? 0
    const isRound = lane === null || lane.tidy(this.#isThere)
    this.#size -= before - (lane?.size ?? 0)
    if (isRound) this.#hand = this.#hand + 1 < this.#lanes.length ? this.#hand + 1 : 0
  }

  clear(): void {
    this.#lanes.length = 0
    this.#top = -1
    this.#size = 0
    this.#hand = 0
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
