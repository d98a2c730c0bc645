import type { RunQueue, Task } from '../../base/run-queue.ts'
import type { Log, Position } from '../../log/log.ts'
import type { LiveRecords } from './live-records.ts'

/**
 * Keeps the log in proportion to what exists. When at least half of its records are dead, the live ones of the oldest
 * segment are written again at the end; when none is left in it and all that replaced them is committed, the segment
 * is freed.
 *
 * Only ever the oldest: a record that removes something lies behind what it removes, so nothing removed can come back
 * from a segment that was left. A crash at any point leaves records that say the same twice.
 */
export class Reclaim implements Task {
  readonly #log: Log
  readonly #live: LiveRecords
  readonly #runQueue: RunQueue
  readonly #rewrite: (id: number) => void
  /** Records by segment, dead and live. */
  readonly #counts = new Map<number, number>()
  #records = 0
  /** What must be committed before the oldest segment may go; 0 when it is not empty yet. */
  #freeAfter: Position = 0
  #isStopped = false
  #isPaused = false

  constructor(parts: { log: Log; live: LiveRecords; runQueue: RunQueue; rewrite: (id: number) => void }) {
    this.#log = parts.log
    this.#live = parts.live
    this.#runQueue = parts.runQueue
    this.#rewrite = parts.rewrite
  }

  /** A record has been appended to, or read from, this segment. */
  count(segmentId: number): void {
    this.#counts.set(segmentId, (this.#counts.get(segmentId) ?? 0) + 1)
    this.#records++
  }

  /** Something happened that may have made room. Cheap. */
  consider(): void {
    if (!this.#isStopped && !this.#isPaused && this.#canGoOn()) this.#runQueue.add(this)
  }

  /** While not all records have been counted. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.consider()
  }

  stop(): void {
    this.#isStopped = true
    this.#runQueue.remove(this)
  }

  run(shouldYield: () => boolean): boolean {
    while (!this.#isStopped && this.#canGoOn()) {
      if (!this.#isOldestEmpty()) this.#moveOne()
      else if (this.#freeAfter === 0) this.#freeAfter = this.#log.appended
      else this.#freeOldest()
      if (shouldYield()) return true
    }
    return false
  }

  #canGoOn(): boolean {
    if (this.#log.segments[0]?.isSealed !== true) return false
    if (!this.#isOldestEmpty()) return this.#records >= 2 * this.#live.count
    return this.#freeAfter === 0 || this.#log.committed >= this.#freeAfter
  }

  #isOldestEmpty(): boolean {
    const oldest = this.#live.oldest
    const segment = this.#log.segments[0]
    return oldest === null || segment === undefined || oldest.position >= segment.end
  }

  #moveOne(): void {
    const oldest = this.#live.oldest
    if (oldest !== null) this.#rewrite(oldest.id)
  }

  #freeOldest(): void {
    const segment = this.#log.segments[0]
    if (segment === undefined) return
    this.#records -= this.#counts.get(segment.id) ?? 0
    this.#counts.delete(segment.id)
    this.#freeAfter = 0
    this.#log.free(segment)
  }
}
