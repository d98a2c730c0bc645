import { assert } from '../base/assert.ts'
import type { BrokerError } from '../broker/errors.ts'
import type { Position, Reply } from '../broker/ports.ts'

/** What waits for a result of the broker; a channel. */
export interface ResultOwner {
  /** False when the channel has been closed since. */
  readonly isOpen: boolean
  /** Runs a step within the connection's try boundary: results come on the call stacks of others. */
  contain(step: () => void): void
  /** A result has been dealt with. */
  resultCame(result: PendingResult<unknown>): void
}

export interface ResultSteps<T> {
  use(result: T, committedWith: Position): void
  fail(error: BrokerError): void
  /** What to do about a result that nobody waits for any more. */
  undo?(result: T): void
}

/**
 * A command to the broker whose result its channel needs before it goes on. Often it is there when the command
 * returns; else the channel is parked until it comes.
 */
export class PendingResult<T> implements Reply<T> {
  readonly #owner: ResultOwner
  readonly #steps: ResultSteps<T>
  isSettled = false

  constructor(owner: ResultOwner, steps: ResultSteps<T>) {
    this.#owner = owner
    this.#steps = steps
  }

  done(result: T, committedWith: Position): void {
    this.#settle()
    this.#owner.contain(() => {
      if (this.#owner.isOpen) this.#steps.use(result, committedWith)
      else this.#steps.undo?.(result)
    })
    this.#owner.resultCame(this)
  }

  failed(error: BrokerError): void {
    this.#settle()
    this.#owner.contain(() => {
      if (this.#owner.isOpen) this.#steps.fail(error)
    })
    this.#owner.resultCame(this)
  }

  #settle(): void {
    assert(!this.isSettled, 'a command is answered once')
    this.isSettled = true
  }
}
