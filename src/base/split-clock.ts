import { type Clock, SystemClock, type Timer } from './clock.ts'

/**
 * A clock whose time of day is another clock's, and whose timers and intervals are the machine's: for what must go on,
 * or must not happen, whatever the time is said to be. Heartbeats of sockets, say, beside a clock that is moved by hand.
 */
export class SplitClock implements Clock {
  readonly #day: Clock
  readonly #machine: Clock

  constructor(day: Clock, machine: Clock = new SystemClock()) {
    this.#day = day
    this.#machine = machine
  }

  now(): number {
    return this.#day.now()
  }

  monotonic(): number {
    return this.#machine.monotonic()
  }

  after(ms: number, callback: () => void): Timer {
    return this.#machine.after(ms, callback)
  }

  soon(callback: () => void): void {
    this.#day.soon(callback)
  }
}
