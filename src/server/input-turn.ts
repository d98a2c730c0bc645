import type { Clock } from '../base/clock.ts'

/** What all connections together may work on input as it arrives, per turn of the event loop, in milliseconds. */
const inputMsMax = 2

/** A read up to this size, in bytes, is worked on at once in any case. */
export const promptBytesMax = 4 * 1024

/**
 * One turn’s time for input, shared by all connections. When it is used up, what arrives in large reads is kept and its
 * connection goes to the back of the run queue; small reads, those of quiet connections, are never made to wait for the
 * large ones of others.
 */
export class InputTurn {
  readonly #clock: Clock
  #end = 0
  #isOpen = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The first one to ask in a turn begins it. */
  isOver(now: number): boolean {
    if (this.#isOpen) return now >= this.#end
    this.#isOpen = true
    this.#end = now + inputMsMax
    this.#clock.soon(this.#close)
    return false
  }

  readonly #close = (): void => {
    this.#isOpen = false
  }
}
