/**
 * What a log says of entries beyond that they are there: how often they failed, and when they are to be tried again.
 * Gathered in the order of the log while it is read, and applied when all entries are known.
 */
import { chunkEntries, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { windowOf } from './publishing.ts'
import type { QueueState } from './queue-state.ts'

export interface Failures {
  readonly queue: LocalQueue
  readonly first: number
  readonly last: number
  readonly count: number
}

export class Fates {
  readonly #failures: Failures[] = []
  /** By queue, then by sequence: the last word counts. */
  readonly #waits = new Map<LocalQueue, Map<number, number>>()

  noteFailures(failures: Failures): void {
    this.#failures.push(failures)
  }

  noteWait(queue: LocalQueue, sequence: number, dueAt: number): void {
    const waits = this.#waits.get(queue) ?? new Map<number, number>()
    this.#waits.set(queue, waits)
    waits.set(sequence, dueAt)
  }

  noteState(queue: LocalQueue, { failures, waits, ids }: QueueState): void {
    for (let index = 0; index < failures.length; index += 3) {
      const [first, last, count] = failures.slice(index, index + 3) as [number, number, number]
      this.noteFailures({ queue, first, last, count })
    }
    for (let index = 0; index < waits.length; index += 2) {
      this.noteWait(queue, waits[index] as number, waits[index + 1] as number)
    }
    if (ids.length > 0) windowOf(queue)?.restore(ids)
  }

  /** Calls back for a sequence of each chunk whose columns are needed. */
  concerned(visit: (queue: LocalQueue, sequence: number) => void): void {
    for (const { queue, first, last } of this.#failures) {
      for (let at = first; at < last; at += chunkEntries) visit(queue, at)
      visit(queue, last)
    }
    for (const [queue, waits] of this.#waits) for (const sequence of waits.keys()) visit(queue, sequence)
  }

  apply(): void {
    for (const failures of this.#failures) applyFailures(failures)
    for (const [queue, waits] of this.#waits) applyWaits(queue, waits)
  }
}

/** A count that is lower than what is known was written before. */
function applyFailures({ queue, first, last, count }: Failures): void {
  for (let sequence = first; sequence <= last; sequence++) {
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk === null || chunk.isAway || chunk.flagsOf(sequence) === 0) continue
    if (chunk.failuresOf(sequence) >= count) continue
    chunk.sideFor().setFailures(sequence - chunk.first, count)
    queue.hasFailures = true
  }
}

function applyWaits(queue: LocalQueue, waits: ReadonlyMap<number, number>): void {
  for (const [sequence, dueAt] of waits) {
    const chunk = queue.entries.chunkOf(sequence)
    const flags = chunk === null || chunk.isAway ? 0 : chunk.flagsOf(sequence)
    if (chunk === null || flags === 0) continue
    if ((flags & EntryFlag.waiting) === 0) queue.entries.postpone(chunk, sequence, dueAt)
    else {
      queue.entries.reschedule(chunk, sequence, dueAt)
      queue.rescheduled ??= new Set()
      queue.rescheduled.add(sequence)
    }
  }
}

/** A record's hash of its message's id. */
export function rememberId(queue: LocalQueue, hash: Uint8Array, arrivedAt: number): void {
  windowOf(queue)?.rememberHash(hash, 0, arrivedAt)
}
