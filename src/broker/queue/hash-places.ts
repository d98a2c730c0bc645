/**
 * Numbers by a hash of what they stand for: open addressing, linear probing, 4 bytes a place, at most half full. What they
 * stand for is kept elsewhere; here only their hashes are asked for.
 *
 * Growing is spread over the calls that follow: while it lasts there are two tables, and each call moves a few places of
 * the old one into the new.
 *
 * Numbers are counted up for ever and so many lie together that they are told apart by their 32 lowest bits, less one value.
 */
export class HashPlaces {
  readonly #hashOf: (number: number) => number
  #table = new Uint32Array(placesMin)
  /** Being emptied, from `#cursor` on; null when nothing is moved. */
  #old: Uint32Array | null = null
  #cursor = 0
  #size = 0
  /** No number that is held is below. */
  #near = 0

  /** `hashOf` gives 32 bits for each number that is held. */
  constructor(hashOf: (number: number) => number) {
    this.#hashOf = hashOf
  }

  get size(): number {
    return this.#size
  }

  get memoryBytes(): number {
    return this.#table.byteLength + (this.#old?.byteLength ?? 0)
  }

  clear(): void {
    this.#table = new Uint32Array(placesMin)
    this.#old = null
    this.#size = 0
  }

  /** The one with this hash of which `isIt` is true; `none` when there is none. All that are held, now and later, are `first` or above. */
  find(hash: number, first: number, isIt: (number: number) => boolean): number {
    this.#near = first
    const found = this.#findIn(this.#table, hash, isIt)
    return found !== none || this.#old === null ? found : this.#findIn(this.#old, hash, isIt)
  }

  /** Puts one in that is not there. */
  add(hash: number, number: number): void {
    this.#size++
    put(this.#table, hash, stored(number))
    this.#resizeIfNeeded()
    this.#moveSome()
  }

  /** Takes one out that is there. */
  remove(hash: number, number: number): void {
    this.#size--
    const value = stored(number)
    if (!this.#removeFrom(this.#table, hash, value) && this.#old !== null) this.#removeFrom(this.#old, hash, value)
    this.#resizeIfNeeded()
    this.#moveSome()
  }

  #findIn(table: Uint32Array, hash: number, isIt: (number: number) => boolean): number {
    const mask = table.length - 1
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const value = table[place] as number
      if (value === 0) return none
      const number = this.#numberOf(value)
      if (isIt(number)) return number
    }
  }

  #removeFrom(table: Uint32Array, hash: number, value: number): boolean {
    const mask = table.length - 1
    for (let place = hash & mask; table[place] !== 0; place = (place + 1) & mask) {
      if (table[place] !== value) continue
      this.#empty(table, place)
      return true
    }
    return false
  }

  /** Those behind it that may stand in the place that is now empty move up, so that every search still finds them. */
  #empty(table: Uint32Array, at: number): void {
    const mask = table.length - 1
    let empty = at
    for (let place = (at + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const home = this.#hashOf(this.#numberOf(table[place] as number)) & mask
      if (((place - home) & mask) < ((place - empty) & mask)) continue
      table[empty] = table[place] as number
      empty = place
    }
    table[empty] = 0
  }

  #resizeIfNeeded(): void {
    if (this.#old !== null) return
    const { length } = this.#table
    const isFull = this.#size * 2 > length
    if (!isFull && (length === placesMin || this.#size * 8 >= length)) return
    this.#old = this.#table
    this.#cursor = 0
    this.#table = new Uint32Array(isFull ? length * 2 : length / 2)
  }

  #moveSome(): void {
    if (this.#old === null) return
    const end = Math.min(this.#old.length, this.#cursor + placesAtOnce)
    for (; this.#cursor < end; this.#cursor++) {
      // What moves up into the place that is emptied is moved next.
      for (let value = this.#old[this.#cursor] as number; value !== 0; value = this.#old[this.#cursor] as number) {
        this.#empty(this.#old, this.#cursor)
        put(this.#table, this.#hashOf(this.#numberOf(value)), value)
      }
    }
    if (end === this.#old.length) this.#old = null
  }

  /** The number of a place: the only one from `#near` on, in a long range, that is stored so. */
  #numberOf(value: number): number {
    const ahead = (value - 1 - (this.#near % range) + range) % range
    return this.#near + ahead
  }
}

/** No number. */
export const none = -1
const placesMin = 32
/** Places of the old table that each call moves. */
const placesAtOnce = 16
/** Values of a place but 0, which is none. */
const range = 2 ** 32 - 1

function stored(number: number): number {
  return (number % range) + 1
}

function put(table: Uint32Array, hash: number, value: number): void {
  const mask = table.length - 1
  let place = hash & mask
  while (table[place] !== 0) place = (place + 1) & mask
  table[place] = value
}
