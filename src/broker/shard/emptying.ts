/**
 * Taking many entries out of a queue at once: purge and deletion. Resumable; chunks whose entries are all ready and
 * plain go whole, wherever their columns are.
 */
import type { Task } from '../../base/run-queue.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'

/** Entries looked at between two looks at the clock. */
const stepEntries = 1_024

export interface EmptyingPorts {
  /** The durable entries in the range are settled (purge); nothing for a deleted queue. */
  settled(queue: LocalQueue, first: number, last: number): void
  /** An entry with bytes elsewhere (scratch, chunks) is gone. */
  released(position: number, flags: number): void
  /** The shard does not serve any more: nothing may be written. */
  isStopped(): boolean
}

/** Hears the end; exactly one of the two. */
export interface EmptyingEnd {
  done(count: number): void
  stopped(): void
}

/** Removes what is ready (`purge`) or everything (`delete`) below the sequence that was next when it began. */
export class Emptying implements Task {
  readonly #queue: LocalQueue
  readonly #ports: EmptyingPorts
  readonly #isPurge: boolean
  readonly #end: number
  readonly #ending: EmptyingEnd
  #cursor: number
  #count = 0

  constructor(queue: LocalQueue, isPurge: boolean, ports: EmptyingPorts, ending: EmptyingEnd) {
    this.#queue = queue
    this.#isPurge = isPurge
    this.#ports = ports
    this.#ending = ending
    this.#end = queue.entries.next
    this.#cursor = queue.entries.head()
  }

  run(shouldYield: () => boolean): boolean {
    if (this.#ports.isStopped()) {
      this.#ending.stopped()
      return false
    }
    let looked = 0
    while (this.#cursor < this.#end) {
      const chunk = this.#queue.entries.chunkOf(this.#cursor)
      const chunkEnd = Math.floor(this.#cursor / chunkEntries) * chunkEntries + chunkEntries
      if (chunk !== null && chunk.live > 0) looked += this.#empty(chunk, Math.min(chunkEnd, this.#end))
      this.#cursor = chunkEnd
      if (looked >= stepEntries) {
        looked = 0
        if (shouldYield()) return true
      }
    }
    const { entries, residences } = this.#queue
    residences?.emptied(this.#end, this.#isPurge ? 'purged' : 'deleted', (sequence) => entries.chunkOf(sequence))
    this.#ending.done(this.#count)
    return false
  }

  /** Empties one chunk up to `end`; returns what it cost, in entries looked at. */
  #empty(chunk: EntryChunk, end: number): number {
    const isWhole =
      chunk.live === chunk.ready && !chunk.isBound && this.#queue.entries.next >= chunk.first + chunkEntries
    if (isWhole && end === chunk.first + chunkEntries) {
      if (this.#isPurge) this.#ports.settled(this.#queue, chunk.first, chunk.first + chunkEntries - 1)
      const cost = chunk.side === null ? 16 : chunkEntries
      this.#count += this.#queue.entries.dropChunk(chunk)
      return cost
    }
    if (chunk.isAway) return this.#emptyAway(chunk, end)
    for (let slot = Math.max(0, this.#cursor - chunk.base); slot < chunk.flags.length; slot++) {
      if (chunk.base + slot >= end) break
      this.#emptySlot(chunk, slot)
    }
    return chunk.flags.length
  }

  /** The chunk in which the purge ends has been sent away meanwhile: all that is live in it is ready and durable. */
  #emptyAway(chunk: EntryChunk, end: number): number {
    for (let sequence = chunk.first; sequence < end; sequence++) {
      if (!chunk.isAwayLive(sequence)) continue
      this.#count++
      this.#queue.entries.removeAway(chunk, sequence)
      if (this.#isPurge) this.#ports.settled(this.#queue, sequence, sequence)
    }
    return chunkEntries
  }

  #emptySlot(chunk: EntryChunk, slot: number): void {
    const flags = chunk.flags[slot] as number
    if (flags === 0 || (this.#isPurge && (flags & EntryFlag.unacked) !== 0)) return
    const sequence = chunk.base + slot
    const position = chunk.positions[slot] as number
    if ((flags & EntryFlag.unacked) === 0) this.#count++
    this.#queue.entries.remove(chunk, sequence)
    if (this.#isPurge && (flags & EntryFlag.transient) === 0) this.#ports.settled(this.#queue, sequence, sequence)
    if ((flags & (EntryFlag.transient | EntryFlag.large)) !== 0) this.#ports.released(position, flags)
  }
}
