/**
 * Up to 1,024 neighbouring entries of one queue, as columns in typed arrays: about 13 bytes an entry, 17 where a
 * consumer holds some of them, and what `side-columns.ts` says where a message asked for more than to be delivered.
 *
 * An entry's place is its sequence: chunk `floor(sequence / chunkEntries)`, slot `sequence - base`. Columns begin small
 * and grow, so that a queue with one message does not pay for a thousand. A chunk that is *away* has no columns: its
 * home is the digests of the segments that hold its messages, every live entry of it is ready and was never handed
 * out, and `settled` (when not null) says which sequences are gone.
 *
 * Not here: order, consumers, paging decisions (`entries.ts`).
 */
import { assert } from '../../base/assert.ts'
import { chunkEntries, SideColumns } from './side-columns.ts'

export { chunkEntries }

/** Flags of one entry; 0 is no entry (settled, or never there). */
export const EntryFlag = {
  live: 1,
  /** Handed out; the holder's id stands in `holders`. */
  unacked: 2,
  redelivered: 4,
  /** Its record is in the scratch log and dies with the process. */
  transient: 8,
  /** Its body is in chunks of its own. */
  large: 16,
  /** It has a place of its own in the order (`aside.ts`); the cursor passes over it. */
  aside: 32,
  /** Not ready before its time: delayed, or to be tried again. Goes with `aside`. */
  waiting: 64,
  /** Waiting after it was handed out: its group waits for it. */
  heldBack: 128,
} as const

const smallestCapacity = 8

export class EntryChunk {
  /** The first sequence that belongs to this chunk; a multiple of `chunkEntries`. */
  readonly first: number
  /** The sequence of slot 0. */
  base: number
  positions: Float64Array
  sizes: Uint32Array
  flags: Uint8Array
  /** Consumer ids of unacked entries; null until one is handed out. 0 is a `get`. */
  holders: Uint32Array | null = null
  isAway = false
  /** What only some queues need; null in all others. */
  side: SideColumns | null = null
  /** One bit a sequence from `first` on, for chunks that are away; null when nothing of it is settled. */
  settled: Uint8Array | null = null
  /** Entries not yet settled, those among them that are ready, and the body bytes of the ready ones. */
  live = 0
  ready = 0
  readyBytes = 0
  /**
   * It does not go away: it has had transient, redelivered or large entries, or copies of older records. Positions of a
   * chunk that is not bound ascend.
   */
  isBound = false
  /** The highest position in it: it may go away once digests cover it. */
  positionMax = 0

  constructor(first: number, base: number, capacity: number) {
    this.first = first
    this.base = base
    this.positions = new Float64Array(capacity)
    this.sizes = new Uint32Array(capacity)
    this.flags = new Uint8Array(capacity)
  }

  /** A chunk that begins away: all its sequences are live and stand in digests. */
  static away(first: number, readyBytes: number, positionMax: number): EntryChunk {
    const chunk = new EntryChunk(first, first, 0)
    chunk.isAway = true
    chunk.live = chunkEntries
    chunk.ready = chunkEntries
    chunk.readyBytes = readyBytes
    chunk.positionMax = positionMax
    return chunk
  }

  /** Slot of a sequence of this chunk, made if need be. */
  slotFor(sequence: number): number {
    if (sequence < this.base) this.#extendDown(sequence)
    const slot = sequence - this.base
    if (slot >= this.flags.length) this.#grow(slot + 1)
    return slot
  }

  /** The flags of a sequence; 0 when it has no slot. The chunk must not be away. */
  flagsOf(sequence: number): number {
    return this.flags[sequence - this.base] ?? 0
  }

  /** The columns for what only some queues need, made when they are. */
  sideFor(): SideColumns {
    this.side ??= new SideColumns()
    this.isBound = true
    return this.side
  }

  priorityOf(sequence: number): number {
    return this.side?.priorities?.[sequence - this.first] ?? 0
  }

  /** The id of its group; 0: none. */
  groupOf(sequence: number): number {
    return this.side?.groups?.[sequence - this.first] ?? 0
  }

  /** Wall time in milliseconds at which it expires by itself; 0: never. */
  deadlineOf(sequence: number): number {
    return this.side?.deadlines?.[sequence - this.first] ?? 0
  }

  /** Wall time in milliseconds before which it is not ready; 0: there was never one. */
  dueOf(sequence: number): number {
    return this.side?.dues?.[sequence - this.first] ?? 0
  }

  /** Its place in the order, as a key among sequences, where that is another than its sequence; 0: it is not. */
  placeOf(sequence: number): number {
    return this.side?.places?.[sequence - this.first] ?? 0
  }

  /** Whether it waits for another time than its record says. */
  isRescheduled(sequence: number): boolean {
    return this.side?.rescheduled?.[sequence - this.first] === 1
  }

  /** Deliveries that failed. */
  failuresOf(sequence: number): number {
    return this.side?.failures?.[sequence - this.first] ?? 0
  }

  /** Times it came back, for whatever reason, up to 255. */
  returnsOf(sequence: number): number {
    return this.side?.returns?.[sequence - this.first] ?? 0
  }

  holdersFor(): Uint32Array {
    this.holders ??= new Uint32Array(this.flags.length)
    return this.holders
  }

  /** Whether an entry of a chunk that is away is still there. Every sequence of it that is not settled is. */
  isAwayLive(sequence: number): boolean {
    if (this.settled === null) return true
    const bit = sequence - this.first
    return ((this.settled[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0
  }

  /** Marks a sequence of a chunk that is away as settled; false when it already was. */
  settleAway(sequence: number): boolean {
    if (!this.isAwayLive(sequence)) return false
    this.settled ??= new Uint8Array(chunkEntries / 8)
    const bit = sequence - this.first
    this.settled[bit >> 3] = (this.settled[bit >> 3] ?? 0) | (1 << (bit & 7))
    this.live--
    this.ready--
    return true
  }

  /** Gives the columns up. Everything live in it must be ready and in digests. */
  sendAway(): void {
    assert(!this.isAway && !this.isBound && this.live === this.ready, 'only an untouched chunk can go away')
    this.settled = this.settledBits()
    this.positions = emptyPositions
    this.sizes = emptySizes
    this.flags = emptyFlags
    this.holders = null
    this.base = this.first
    this.isAway = true
  }

  /** Which of the chunk's sequences are not live, as bits; null when all 1,024 are. */
  settledBits(): Uint8Array | null {
    if (this.live === chunkEntries) return null
    if (this.isAway) return this.settled
    const bits = new Uint8Array(chunkEntries / 8).fill(255)
    for (let slot = 0; slot < this.flags.length; slot++) {
      if (this.flags[slot] === 0) continue
      const bit = this.base + slot - this.first
      bits[bit >> 3] = (bits[bit >> 3] as number) & ~(1 << (bit & 7))
    }
    return bits
  }

  /** Bytes of memory its columns take. */
  get memoryBytes(): number {
    return (
      this.flags.length * 13 +
      (this.holders === null ? 0 : this.holders.length * 4) +
      (this.side?.memoryBytes ?? 0) +
      200
    )
  }

  #grow(atLeast: number): void {
    const room = this.first + chunkEntries - this.base
    assert(atLeast <= room, 'a sequence beyond its chunk')
    this.#resize(Math.min(room, Math.max(smallestCapacity, atLeast, this.flags.length * 2)), 0)
  }

  #extendDown(sequence: number): void {
    assert(sequence >= this.first, 'a sequence before its chunk')
    const by = this.base - sequence
    this.#resize(this.flags.length + by, by)
    this.base = sequence
  }

  #resize(capacity: number, shift: number): void {
    this.positions = copyInto(new Float64Array(capacity), this.positions, shift)
    this.sizes = copyInto(new Uint32Array(capacity), this.sizes, shift)
    this.flags = copyInto(new Uint8Array(capacity), this.flags, shift)
    if (this.holders !== null) this.holders = copyInto(new Uint32Array(capacity), this.holders, shift)
  }
}

const emptyPositions = new Float64Array(0)
const emptySizes = new Uint32Array(0)
const emptyFlags = new Uint8Array(0)

function copyInto<T extends Float64Array | Uint32Array | Uint8Array>(target: T, source: T, shift: number): T {
  target.set(source, shift)
  return target
}
