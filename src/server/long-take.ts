import type { Task } from '../base/run-queue.ts'
import type { Outcome } from '../broker/ports.ts'
import type { Channel } from './channel.ts'

/** Deliveries settled in one go, and between two looks at the clock. */
const atOnceMax = 2_048
const stepMax = 512
/** Settling so many is as much work as a usual frame. */
const deliveriesPerFrame = 32

interface Job {
  readonly lastTag: number
  readonly outcome: Outcome
  done(): void
}

/**
 * Settles all that a channel holds up to a tag: at once when that is little, else in slices, between which others have
 * their turn. While it is at it the channel is parked, so that what comes next finds everything settled.
 *
 * One job after the other: what is acknowledged stays so when the connection ends in the middle, and only the rest
 * goes back to the queues.
 */
export class LongTake implements Task {
  readonly #channel: Channel
  readonly #jobs: Job[] = []

  constructor(channel: Channel) {
    this.#channel = channel
  }

  get isBusy(): boolean {
    return this.#jobs.length > 0
  }

  /** `done` is called when the last of it has been handed on, perhaps before this returns. */
  settle(lastTag: number, outcome: Outcome, done: () => void): void {
    const { unacked, connection } = this.#channel
    if (!this.isBusy) {
      const before = unacked.count
      const hasMore = unacked.takeUpTo(lastTag, outcome, atOnceMax)
      connection.spend((before - unacked.count) / deliveriesPerFrame)
      if (!hasMore) {
        done()
        return
      }
    }
    this.#jobs.push({ lastTag, outcome, done })
    connection.runQueue.add(this)
  }

  run(shouldYield: () => boolean): boolean {
    let hasMore = false
    this.#channel.contain(() => {
      hasMore = this.#slice(shouldYield)
    })
    return hasMore
  }

  #slice(shouldYield: () => boolean): boolean {
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      while (this.#channel.unacked.takeUpTo(job.lastTag, job.outcome, stepMax)) if (shouldYield()) return true
      this.#jobs.shift()
      job.done()
    }
    return false
  }
}
