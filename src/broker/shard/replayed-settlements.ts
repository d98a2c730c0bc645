/** What the log says to be settled, applied to entries that may be there or not, with columns or without. */
import { chunkEntries, type EntryChunk } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'

export class ReplayedSettlements {
  /** Chunks that are away and whose columns are needed after all. */
  readonly needed = new Map<EntryChunk, LocalQueue>()

  settle(queue: LocalQueue, first: number, last: number): void {
    const end = Math.min(last, queue.entries.next - 1)
    for (let at = first; at <= end; ) {
      const chunkEnd = Math.floor(at / chunkEntries) * chunkEntries + chunkEntries - 1
      const chunk = queue.entries.chunkOf(at)
      if (chunk !== null) this.#settleIn(queue, chunk, at, Math.min(end, chunkEnd))
      at = chunkEnd + 1
    }
  }

  #settleIn(queue: LocalQueue, chunk: EntryChunk, first: number, last: number): void {
    if (first === chunk.first && last === chunk.first + chunkEntries - 1) {
      queue.entries.dropChunk(chunk)
      this.needed.delete(chunk)
      return
    }
    if (chunk.isAway) {
      this.needed.set(chunk, queue)
      for (let sequence = first; sequence <= last && chunk.live > 0; sequence++)
        queue.entries.removeAway(chunk, sequence)
      if (chunk.live === 0) this.needed.delete(chunk)
      return
    }
    for (let sequence = first; sequence <= last; sequence++) {
      if (chunk.flagsOf(sequence) !== 0) queue.entries.remove(chunk, sequence)
    }
  }

  settleBits(queue: LocalQueue, first: number, bits: Uint8Array): void {
    const chunk = queue.entries.chunkOf(first)
    if (chunk === null) return
    for (let bit = 0; bit < chunkEntries; bit++) {
      if (((bits[bit >> 3] as number) & (1 << (bit & 7))) !== 0) this.#settleIn(queue, chunk, first + bit, first + bit)
    }
  }
}
