import type { Source } from '../message-traits.ts'
import type { TraceParent } from '../trace-parent.ts'
import type { EntryChunk } from './entry-chunk.ts'

/** One message in one queue, for those who trace it. Times are wall time in milliseconds. */
export interface Residence extends TraceParent {
  /** Null: it was never an entry, but handed over at once. */
  readonly entry: Source | null
  /** The entry whose dead letter it is; null: of none, or of one that is not told. */
  readonly origin: Source | null
  readonly queue: string
  readonly vhost: string
  readonly routingKey: string
  readonly bodyBytes: number
  readonly enteredAt: number
  /** Of the first deliveries, at most `deliveryTimesMax`. */
  readonly deliveredAt: number[]
  /** Of all. */
  deliveries: number
  /** Why it died; null as long as it lives. */
  death: string | null
  isDeadLetter: boolean
}

/** Further deliveries are counted only. */
export const deliveryTimesMax = 16

/** How it left: settled by a consumer, sent to the dead-letter exchange, given up without one, or taken away by somebody. */
export type ResidenceEnd = 'acknowledged' | 'dead-lettered' | 'dropped' | 'purged' | 'deleted' | 'removed'

export interface ResidenceListener {
  readonly now: () => number
  /** Whether one more may be followed. False: it is counted as lost. */
  began(): boolean
  ended(residence: Residence, end: ResidenceEnd): void
  /** The shard failed, or is another node's now: nobody knows how they end. */
  lost(count: number): void
}

/** Messages of one queue that are followed, by sequence. A queue has this only once one was. */
export class Residences {
  readonly #listener: ResidenceListener
  readonly #rows = new Map<number, Residence>()

  constructor(listener: ResidenceListener) {
    this.#listener = listener
  }

  add(sequence: number, residence: Residence): void {
    this.#rows.set(sequence, residence)
  }

  /** False: it is not followed. */
  delivered(sequence: number): boolean {
    const row = this.#rows.get(sequence)
    if (row === undefined) return false
    row.deliveries++
    if (row.deliveredAt.length < deliveryTimesMax) row.deliveredAt.push(this.#listener.now())
    return true
  }

  dies(sequence: number, reason: string, isDeadLetter: boolean): void {
    const row = this.#rows.get(sequence)
    if (row === undefined) return
    row.death = reason
    row.isDeadLetter = isDeadLetter
  }

  left(sequence: number): void {
    const row = this.#rows.get(sequence)
    if (row === undefined) return
    this.#rows.delete(sequence)
    this.#listener.ended(row, endOf(row))
  }

  /** Many have gone at once: those below `end` that `chunkOf` does not have any more. */
  emptied(end: number, how: 'purged' | 'deleted', chunkOf: (sequence: number) => EntryChunk | null): void {
    for (const [sequence, row] of this.#rows) {
      if (sequence >= end || isLive(chunkOf(sequence), sequence)) continue
      this.#rows.delete(sequence)
      this.#listener.ended(row, how)
    }
  }

  abandon(): void {
    this.#listener.lost(this.#rows.size)
    this.#rows.clear()
  }
}

function endOf({ death, isDeadLetter, deliveries }: Residence): ResidenceEnd {
  if (death !== null) return isDeadLetter ? 'dead-lettered' : 'dropped'
  return deliveries > 0 ? 'acknowledged' : 'removed'
}

function isLive(chunk: EntryChunk | null, sequence: number): boolean {
  if (chunk === null) return false
  return chunk.isAway ? chunk.isAwayLive(sequence) : chunk.flagsOf(sequence) !== 0
}
