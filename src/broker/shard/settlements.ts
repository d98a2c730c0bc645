/**
 * Settlements on their way into the log. Neighbouring sequences of one queue become one record, whether they come as a
 * range or one by one; what is open goes out at the end of the turn, or when another queue's turn comes.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { settledBytes, writeSettled } from './records.ts'

export class Settlements {
  readonly #log: Log
  readonly #clock: Clock
  readonly #touch: (queue: LocalQueue, position: number) => void
  #queue: LocalQueue | null = null
  #first = 0
  #last = 0
  #isScheduled = false
  #isStopped = false

  constructor(log: Log, clock: Clock, touch: (queue: LocalQueue, position: number) => void) {
    this.#log = log
    this.#clock = clock
    this.#touch = touch
  }

  /** The durable entries `first..last` of a queue are done with. Sequences without one may be among them. */
  add(queue: LocalQueue, first: number, last: number): void {
    if (this.#isStopped) return
    if (queue === this.#queue && first === this.#last + 1) {
      this.#last = last
      return
    }
    this.flush()
    this.#queue = queue
    this.#first = first
    this.#last = last
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(this.#endOfTurn)
  }

  flush(): void {
    const queue = this.#queue
    if (queue === null) return
    this.#queue = null
    if (queue.isDead) return
    const at = this.#log.reserve(settledBytes)
    writeSettled(this.#log.buffer, at, queue.id, this.#first, this.#last)
    this.#touch(queue, this.#log.appended)
  }

  /** The log takes no more: what is open is forgotten, and so is what may still come. */
  stop(): void {
    this.#queue = null
    this.#isStopped = true
  }

  readonly #endOfTurn = (): void => {
    this.#isScheduled = false
    this.flush()
  }
}
