/** Those who wait until what they did is stored, in the order of the log. */
import type { Log, Position } from '../../log/log.ts'
import type { Settlements } from './settlements.ts'

export class CommitWaiters {
  readonly #log: Log
  readonly #settlements: Settlements
  #waiting: { position: Position; done: () => void }[] = []

  constructor(log: Log, settlements: Settlements) {
    this.#log = log
    this.#settlements = settlements
  }

  /** Calls back when all that was done so far is committed, perhaps at once; not at all when the log fails before. */
  add(done: () => void): void {
    this.#settlements.flush()
    const position = this.#log.appended
    if (this.#log.committed >= position) done()
    else this.#waiting.push({ position, done })
  }

  committed(position: Position): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    const found = waiting.findIndex((waiter) => waiter.position > position)
    const count = found < 0 ? waiting.length : found
    this.#waiting = waiting.slice(count)
    for (const { done } of waiting.slice(0, count)) done()
  }
}
