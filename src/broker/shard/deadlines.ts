/**
 * The one timer of a shard: which queue has something to do when. A queue is entered at most once for each earlier
 * time; what there is to do it finds out itself (`expiry.ts`).
 *
 * Deadlines are wall time, because they are stored. The timer never sleeps longer than `sleepMsMax`, so that a wall clock
 * that is set right is noticed.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import { DeadlineHeap } from '../../base/deadline-heap.ts'
import type { LocalQueue } from '../queue/local-queue.ts'

const sleepMsMax = 10_000
/** Queues that are woken at once; others that are due have their turn after the next events. */
const wakesMax = 1_000
/** Times looked at for each that is entered, while more than half of them, and `staleMin`, are of no use. */
const looks = 8
const staleMin = 1_024

export class Deadlines {
  readonly #clock: Clock
  readonly #queues: ReadonlyMap<number, LocalQueue>
  readonly #wake: (queue: LocalQueue) => void
  /** (time, queue id). */
  readonly #heap = new DeadlineHeap()
  #timer: Timer | null = null
  #timerAt = Number.POSITIVE_INFINITY
  #isStopped = false

  constructor(clock: Clock, queues: ReadonlyMap<number, LocalQueue>, wake: (queue: LocalQueue) => void) {
    this.#clock = clock
    this.#queues = queues
    this.#wake = wake
  }

  /** The queue has something to do at this time, or later. */
  arm(queue: LocalQueue, at: number): void {
    if (at >= queue.armedAt || this.#isStopped) return
    queue.armedAt = at
    this.#heap.push(at, queue.id)
    if (this.#heap.size > 2 * this.#queues.size + staleMin) this.#heap.sweep(looks, this.#isArmed)
    if (at < this.#timerAt) this.#setTimer()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  readonly #isArmed = (at: number, id: number): boolean => this.#queues.get(id)?.armedAt === at

  #setTimer(): void {
    this.#timer?.cancel()
    const at = this.#heap.firstDeadline
    this.#timerAt = at
    this.#timer = null
    if (at === Number.POSITIVE_INFINITY || this.#isStopped) return
    const ms = Math.min(sleepMsMax, Math.max(1, Math.ceil(at - this.#clock.now())))
    this.#timer = this.#clock.after(ms, () => this.#fire())
  }

  #fire(): void {
    const now = this.#clock.now()
    this.#timerAt = Number.POSITIVE_INFINITY
    for (let wakes = 0; wakes < wakesMax && this.#heap.firstDeadline <= now; wakes++) {
      const at = this.#heap.firstDeadline
      const queue = this.#queues.get(this.#heap.firstValue)
      this.#heap.pop()
      if (queue === undefined || queue.armedAt !== at) continue
      queue.armedAt = Number.POSITIVE_INFINITY
      this.#wake(queue)
    }
    this.#setTimer()
  }
}
