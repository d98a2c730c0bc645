/**
 * What is known of the messages in one segment, by offset: where each record is, and of each block of 1,024 when its
 * first one came and which filter values are in it. Grows while the segment is written; what is stored of it is
 * `stream-digest.ts`.
 */
import type { Position } from '../../log/log.ts'
import { addToBloom, BlockFlag } from './filter.ts'

/** Messages in a block. */
export const blockMessages = 1024

/** Stands for the place of a message that was lost; no segment is so large. */
export const lostRow = 0xffff_ffff

/** Some rows in memory: those of a whole segment, or of a part of it. */
export interface RowPage {
  readonly segmentId: number
  /** Offset of the first row. */
  readonly first: number
  readonly count: number
  /** Position of a row's record is `base` and what stands in `positions`. */
  readonly base: Position
  readonly positions: Uint32Array
  /** Of each block, from the one that begins with the first row. */
  readonly flags: ArrayLike<number>
  /** The Bloom filter of block `index` of this page; null when nothing is known of its values. */
  bloom(index: number): Uint8Array | null
}

export class SegmentRows implements RowPage {
  readonly segmentId: number
  readonly first: number
  readonly base: Position
  readonly filterBytes: number
  positions = new Uint32Array(256)
  count = 0
  firstTimestamp = 0
  lastTimestamp = 0
  /** When the first message of each block came. */
  readonly timestamps: number[] = []
  readonly flags: number[] = []
  readonly #blooms: (Uint8Array | null)[] = []

  constructor(segment: { readonly id: number; readonly base: Position }, first: number, filterBytes: number) {
    this.segmentId = segment.id
    this.base = segment.base
    this.first = first
    this.filterBytes = filterBytes
  }

  get hasFilters(): boolean {
    return this.#blooms.some((bloom) => bloom !== null)
  }

  bloom(index: number): Uint8Array | null {
    return this.#blooms[index] ?? null
  }

  /** The next message; its filter value is `buffer[filterStart..filterEnd)`, or it has none (-1). */
  add(position: Position, timestamp: number, buffer: Uint8Array, filterStart: number, filterEnd: number): void {
    if (this.count === 0) this.firstTimestamp = timestamp
    this.lastTimestamp = timestamp
    const block = this.#push(position - this.base)
    if (filterStart < 0) {
      this.flags[block] = (this.flags[block] as number) | BlockFlag.hasUnfiltered
      return
    }
    this.flags[block] = (this.flags[block] as number) | BlockFlag.hasFiltered
    const bloom = this.#blooms[block] ?? new Uint8Array(this.filterBytes)
    this.#blooms[block] = bloom
    addToBloom(bloom, buffer, filterStart, filterEnd)
  }

  /** The next messages are missing. */
  addLost(count: number): void {
    for (let left = count; left > 0; left--) this.#push(lostRow)
  }

  /** Adds a row and returns its block. */
  #push(position: number): number {
    if (this.count === this.positions.length) this.#grow()
    if (this.count % blockMessages === 0) {
      this.timestamps.push(this.lastTimestamp)
      this.flags.push(0)
      this.#blooms.push(null)
    }
    this.positions[this.count++] = position
    return this.flags.length - 1
  }

  /** Whoever holds the old array may go on reading it up to the count it knew. */
  #grow(): void {
    const positions = new Uint32Array(this.positions.length * 2)
    positions.set(this.positions)
    this.positions = positions
  }
}
