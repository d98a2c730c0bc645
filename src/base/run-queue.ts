import type { Clock } from './clock.ts'

/** Work that is too long for one turn of the event loop. */
export interface Task {
  /**
   * Works until it is done or `shouldYield()` says that its slice is over. Returns true when there is more to do:
   * the task then goes to the back of the queue. Must not throw for reasons of the outside world.
   */
  run(shouldYield: () => boolean): boolean
}

/** How long one task may work before the next one has its turn, in milliseconds. */
export const sliceMsMax = 2

/**
 * One loop, fair to all: resumable tasks take turns of at most `sliceMsMax`, and after each the event loop
 * looks at its sockets and timers. A task is in the queue at most once.
 */
export class RunQueue {
  readonly #clock: Clock
  #waiting: Task[] = []
  #isScheduled = false
  readonly #members = new Set<Task>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Puts a task at the back of the queue; a task that is already there stays where it is. */
  add(task: Task): void {
    if (this.#members.has(task)) return
    this.#members.add(task)
    this.#waiting.push(task)
    this.#schedule()
  }

  /** Forgets a task that is waiting. One that runs just now finishes its slice. */
  remove(task: Task): void {
    if (this.#members.delete(task)) this.#waiting = this.#waiting.filter((other) => other !== task)
  }

  get length(): number {
    return this.#waiting.length
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(this.#turn)
  }

  /** Every task that was waiting when the turn began gets a slice, as long as the turn as a whole stays short. */
  readonly #turn = (): void => {
    this.#isScheduled = false
    const turnEnd = this.#clock.monotonic() + 2 * sliceMsMax
    const batch = this.#waiting
    this.#waiting = []
    let index = 0
    for (; index < batch.length && this.#clock.monotonic() < turnEnd; index++) {
      const task = batch[index]
      if (task === undefined || !this.#members.delete(task)) continue
      const end = this.#clock.monotonic() + sliceMsMax
      if (task.run(() => this.#clock.monotonic() >= end)) this.add(task)
    }
    if (index < batch.length) this.#waiting = batch.slice(index).concat(this.#waiting)
    if (this.#waiting.length > 0) this.#schedule()
  }
}
