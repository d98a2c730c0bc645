import type { Consumer, Outcome, Queue } from '../broker/ports.ts'
import { Holder, Holders } from './holders.ts'
import { entriesPerYield, inTagOrder } from './tag-order.ts'

/** Gets runs of deliveries that are settled together. `VhostCommands` has this form. */
export interface Settler {
  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void
}

/** A delivery that a transaction took and may give back. */
export interface Detached {
  readonly tag: number
  readonly holder: Holder
  readonly sequence: number
}

/**
 * The deliveries of a channel that are not settled: delivery tag → (holder, sequence in the queue).
 *
 * A ring of three columns in the order of tags. A settled entry in the middle becomes a hole (holder 0); holes at
 * the head go at once, the others when the ring is full and at least half of it is holes. So memory follows what is
 * outstanding, not the distance between tags, and settling in order costs O(1). A tag is found by its distance from the
 * head, or by bisection when tags are missing between (deliveries that need no ack take tags as well).
 *
 * Settled deliveries become runs: consecutive sequences of one holder are one `settle`. The last run is kept open, so
 * that single acks in a row are one as well; `flush` ends it, before anything of the channel that must see it.
 *
 * `settle` may deliver to this very channel, so `add` may come in the middle of a take: a take looks at the ring anew
 * after each entry, and never at what was added since it began.
 */
export class Unacked {
  readonly #settler: Settler
  readonly #holders = new Holders()
  #tags = new Float64Array(initialCapacity)
  #sequences = new Float64Array(initialCapacity)
  #numbers = new Uint32Array(initialCapacity)
  #mask = initialCapacity - 1
  /** Counts of entries ever added and ever dropped at the head; the ring holds [head, tail). */
  #head = 0
  #tail = 0
  #count = 0
  /** Added while what was detached is being put back. */
  #late: Detached[] | null = null

  #runHolder: Holder | null = null
  #runFirst = 0
  #runLast = 0
  #runOutcome: Outcome = 'ack'

  constructor(settler: Settler) {
    this.#settler = settler
  }

  /** Deliveries outstanding. */
  get count(): number {
    return this.#count
  }

  /** The highest outstanding tag; 0 when there is none. */
  get lastTag(): number {
    for (let index = this.#tail - 1; index >= this.#head; index--) {
      if (this.#numbers[index & this.#mask] !== 0) return this.#tags[index & this.#mask] as number
    }
    return 0
  }

  /** Remembers a delivery; its tag is higher than all before. */
  add(tag: number, holder: Holder, sequence: number): void {
    if (this.#late !== null) {
      this.#late.push({ tag, holder, sequence })
      return
    }
    if (this.#tail - this.#head > this.#mask) this.#makeRoom()
    this.#put(this.#tail & this.#mask, tag, holder, sequence)
    this.#tail++
    this.#count++
  }

  /** Settles one delivery; false when the tag is not outstanding. */
  take(tag: number, outcome: Outcome): boolean {
    const index = this.#find(tag)
    if (index < 0) return false
    const at = index & this.#mask
    const sequence = this.#sequences[at] as number
    const holder = this.#takeAt(at)
    this.#dropHoles()
    this.#extendRun(holder, sequence, outcome)
    return true
  }

  /**
   * Settles the first deliveries up to and including the tag, at most `countMax` of them; whether there are more. What
   * `settle` leads to takes time, so whoever settles many takes turns with others.
   */
  takeUpTo(tag: number, outcome: Outcome, countMax: number): boolean {
    for (let count = 0; count < countMax; count++) {
      if (this.#head === this.#tail || (this.#tags[this.#head & this.#mask] as number) > tag) break
      const at = this.#head & this.#mask
      this.#head++
      if (this.#numbers[at] === 0) continue
      const sequence = this.#sequences[at] as number
      this.#extendRun(this.#takeAt(at), sequence, outcome)
    }
    this.#dropHoles()
    return this.#head < this.#tail && (this.#tags[this.#head & this.#mask] as number) <= tag
  }

  /**
   * The oldest delivery of a sequence to this holder was taken back: its tag stays outstanding until the client settles
   * it, which then settles nothing. Looks from the oldest delivery on, among which one is that was kept too long.
   */
  disown(holder: Holder, sequence: number): void {
    if (holder.number === 0) return
    for (let index = this.#head; index < this.#tail; index++) {
      const at = index & this.#mask
      if (this.#numbers[at] !== holder.number || this.#sequences[at] !== sequence) continue
      this.#holders.give(holder.number)
      this.#numbers[at] = this.#holders.take(new Holder(holder.queue, holder.consumer, true))
      return
    }
  }

  /** Whether the tag is outstanding. */
  has(tag: number): boolean {
    return this.#find(tag) >= 0
  }

  /** Whether something was taken that has not been handed on. */
  get hasOpenRun(): boolean {
    return this.#runHolder !== null
  }

  /** Ends the open run: everything taken so far has been handed on. */
  flush(): void {
    const holder = this.#runHolder
    if (holder === null) return
    this.#runHolder = null
    this.#settler.settle(holder.queue, holder.consumer, this.#runFirst, this.#runLast, this.#runOutcome)
  }

  /**
   * Shows the outstanding deliveries from a tag on, in order, at most `countMax` of them. Returns the tag to go on from, 0
   * when there are no more.
   */
  show(firstTag: number, countMax: number, each: (holder: Holder, sequence: number, tag: number) => void): number {
    if (this.#head === this.#tail) return 0
    let count = 0
    for (let index = this.#bisect(firstTag); index < this.#tail; index++) {
      const at = index & this.#mask
      const tag = this.#tags[at] as number
      if (tag < firstTag || this.#numbers[at] === 0) continue
      const holder = this.#holders.at(this.#numbers[at] as number)
      if (holder.isOver) continue
      if (count++ === countMax) return tag
      each(holder, this.#sequences[at] as number, tag)
    }
    return 0
  }

  // ---- for transactions, where what was taken may come back

  /** Takes one delivery, or all up to the tag, without settling; null when the tag is not outstanding. */
  detach(tag: number, multiple: boolean): Detached[] | null {
    const last = this.#find(tag)
    if (last < 0) return null
    const detached: Detached[] = []
    for (let index = multiple ? this.#head : last; index <= last; index++) {
      const at = index & this.#mask
      if (this.#numbers[at] === 0) continue
      const holder = this.#takeAt(at)
      detached.push({ tag: this.#tags[at] as number, holder, sequence: this.#sequences[at] as number })
    }
    this.#dropHoles()
    return detached
  }

  detachAll(): Detached[] {
    const last = this.lastTag
    return last > 0 ? (this.detach(last, true) ?? []) : []
  }

  /** Settles what was detached. */
  settleDetached(detached: Detached, outcome: Outcome): void {
    this.#extendRun(detached.holder, detached.sequence, outcome)
  }

  /** What was detached is being put back; what is added meanwhile waits. */
  get isRestoring(): boolean {
    return this.#late !== null
  }

  /**
   * Puts back what was detached, in whatever order, to its places. Yields again and again, so that others have their
   * turn; nothing may be taken until it is done.
   */
  *restore(detached: readonly Detached[]): Generator<void, void, void> {
    if (detached.length === 0) return
    const late: Detached[] = []
    this.#late = late
    yield* this.#merge(yield* inTagOrder(detached))
    this.#late = null
    for (const { tag, holder, sequence } of late) this.add(tag, holder, sequence)
  }

  /** Brings together, in new columns, what is there and what comes back; both are in order. */
  *#merge(back: readonly Detached[]): Generator<void, void, void> {
    const columns = newColumns(capacityFor(this.#count + back.length, this.#mask + 1))
    const { tags, sequences, numbers } = columns
    let to = 0
    for (let index = this.#head, next = 0; index < this.#tail || next < back.length; ) {
      const at = index & this.#mask
      const one = back[next]
      if (one !== undefined && (index === this.#tail || one.tag < (this.#tags[at] as number))) {
        next++
        tags[to] = one.tag
        sequences[to] = one.sequence
        numbers[to++] = this.#holders.take(one.holder)
      } else {
        index++
        tags[to] = this.#tags[at] as number
        sequences[to] = this.#sequences[at] as number
        numbers[to] = this.#numbers[at] as number
        if (numbers[to] !== 0) to++
      }
      if ((index + next) % entriesPerYield === 0) yield
    }
    this.#become(columns, to)
    this.#count = to
  }

  // ---- inside

  #put(at: number, tag: number, holder: Holder, sequence: number): void {
    this.#tags[at] = tag
    this.#sequences[at] = sequence
    this.#numbers[at] = this.#holders.take(holder)
  }

  /** Makes a hole of an entry. */
  #takeAt(at: number): Holder {
    const holder = this.#holders.give(this.#numbers[at] as number)
    this.#numbers[at] = 0
    this.#count--
    return holder
  }

  #extendRun(holder: Holder, sequence: number, outcome: Outcome): void {
    if (holder.isOver) return
    const isNext = this.#runHolder === holder && this.#runOutcome === outcome && sequence === this.#runLast + 1
    if (isNext && sequence - this.#runFirst < runMax) {
      this.#runLast = sequence
      return
    }
    this.flush()
    this.#runHolder = holder
    this.#runFirst = sequence
    this.#runLast = sequence
    this.#runOutcome = outcome
  }

  /** The index of an outstanding tag, -1 when there is none. */
  #find(tag: number): number {
    if (this.#head === this.#tail) return -1
    const first = this.#tags[this.#head & this.#mask] as number
    const last = this.#tags[(this.#tail - 1) & this.#mask] as number
    if (tag < first || tag > last) return -1
    const isDense = last - first === this.#tail - 1 - this.#head
    const index = isDense ? this.#head + (tag - first) : this.#bisect(tag)
    const at = index & this.#mask
    return this.#tags[at] === tag && this.#numbers[at] !== 0 ? index : -1
  }

  #bisect(tag: number): number {
    let low = this.#head
    let high = this.#tail - 1
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2)
      if ((this.#tags[middle & this.#mask] as number) < tag) low = middle + 1
      else high = middle
    }
    return low
  }

  #dropHoles(): void {
    while (this.#head < this.#tail && this.#numbers[this.#head & this.#mask] === 0) this.#head++
    if (this.#head === this.#tail && this.#mask >= shrinkCapacity) this.#resize(initialCapacity)
  }

  #makeRoom(): void {
    const capacity = this.#mask + 1
    this.#resize(this.#count <= capacity / 2 ? capacity : capacity * 2)
  }

  /** Moves what is outstanding, without the holes, into new columns. */
  #resize(capacity: number): void {
    const columns = newColumns(capacity)
    const { tags, sequences, numbers } = columns
    let count = 0
    for (let index = this.#head; index < this.#tail; index++) {
      const at = index & this.#mask
      if (this.#numbers[at] === 0) continue
      tags[count] = this.#tags[at] as number
      sequences[count] = this.#sequences[at] as number
      numbers[count++] = this.#numbers[at] as number
    }
    this.#become(columns, count)
  }

  #become({ tags, sequences, numbers }: Columns, count: number): void {
    this.#tags = tags
    this.#sequences = sequences
    this.#numbers = numbers
    this.#mask = tags.length - 1
    this.#head = 0
    this.#tail = count
  }
}

interface Columns {
  readonly tags: Float64Array<ArrayBuffer>
  readonly sequences: Float64Array<ArrayBuffer>
  readonly numbers: Uint32Array<ArrayBuffer>
}

function newColumns(capacity: number): Columns {
  return {
    tags: new Float64Array(capacity),
    sequences: new Float64Array(capacity),
    numbers: new Uint32Array(capacity),
  }
}

function capacityFor(count: number, capacity: number): number {
  return capacity >= count ? capacity : capacityFor(count, capacity * 2)
}

const initialCapacity = 64
/** Deliveries handed on as one. */
const runMax = 4096
/** An empty ring of this capacity or more is let go. */
const shrinkCapacity = 4096
