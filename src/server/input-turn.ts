import type { Clock } from '../base/clock.ts'

/**
 * How long all connections together may work on input as it arrives, per turn of the event loop, in milliseconds: in all,
 * and on what comes in reads of more than `smallBytesMax`.
 */
const inputMsMax = 6
const largeInputMsMax = 2

/** A read of a quiet connection, in bytes. */
const smallBytesMax = 4 * 1024

/**
 * One turn’s time for input, shared by all connections. When it is used up, what arrives in large reads is kept and its
 * connection goes to the back of the run queue. Small reads, those of quiet connections, need not wait for the large ones of
 * others, only for very many of their like.
 */
export class InputTurn {
  readonly #clock: Clock
  #begin = 0
  #isOpen = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether there is time left for a read of this size. The first one to ask in a turn begins it. */
  hasTime(now: number, byteCount: number): boolean {
    if (this.#isOpen) return now - this.#begin < (byteCount > smallBytesMax ? largeInputMsMax : inputMsMax)
    this.#isOpen = true
    this.#begin = now
    this.#clock.soon(this.#close)
    return true
  }

  readonly #close = (): void => {
    this.#isOpen = false
  }
}
