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
  /** By queue, then by chunk: times by sequence, 0 for none. The last word counts. */
  readonly #waits = new Map<LocalQueue, Map<number, Float64Array>>()

  noteFailures(failures: Failures): void {
    this.#failures.push(failures)
  }

  noteWait(queue: LocalQueue, sequence: number, dueAt: number): void {
    const waits = this.#waits.get(queue) ?? new Map<number, Float64Array>()
    this.#waits.set(queue, waits)
    const first = Math.floor(sequence / chunkEntries) * chunkEntries
    const times = waits.get(first) ?? new Float64Array(chunkEntries)
    waits.set(first, times)
    times[sequence - first] = dueAt
  }

  noteState(queue: LocalQueue, { failures, waits, ids }: QueueState): void {
    for (let index = 0; index < failures.length; index += 3) {
      this.noteFailures({
        queue,
        first: failures[index] as number,
        last: failures[index + 1] as number,
        count: failures[index + 2] as number,
      })
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

  /** Yields wherever it may be interrupted. */
  *apply(): Generator<void, void, void> {
    for (const failures of this.#failures) yield* applyFailures(failures)
    for (const [queue, waits] of this.#waits) {
      for (const [first, times] of waits) {
        applyWaits(queue, first, times)
        yield
      }
    }
  }
}

/** A count that is lower than what is known was written before. */
function* applyFailures({ queue, first, last, count }: Failures): Generator<void, void, void> {
  for (let sequence = first; sequence <= last; sequence++) {
    if ((sequence - first) % chunkEntries === 0) yield
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk === null || chunk.isAway || chunk.flagsOf(sequence) === 0) continue
    if (chunk.failuresOf(sequence) >= count) continue
    chunk.sideFor().setFailures(sequence - chunk.first, count)
    queue.hasFailures = true
  }
}

function applyWaits(queue: LocalQueue, first: number, times: Float64Array): void {
  for (let sequence = first; sequence < first + chunkEntries; sequence++) {
    const dueAt = times[sequence - first] as number
    const chunk = dueAt === 0 ? null : queue.entries.chunkOf(sequence)
    const flags = chunk === null || chunk.isAway ? 0 : chunk.flagsOf(sequence)
    if (chunk === null || flags === 0) continue
    if ((flags & EntryFlag.waiting) === 0) queue.entries.postpone(chunk, sequence, dueAt)
    else queue.entries.reschedule(chunk, sequence, dueAt)
  }
}

/** A record's hash of its message's id. */
export function rememberId(queue: LocalQueue, hash: Uint8Array, arrivedAt: number): void {
  windowOf(queue)?.rememberHash(hash, 0, arrivedAt)
}
