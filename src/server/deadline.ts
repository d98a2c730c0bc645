import type { Clock, Timer } from '../base/clock.ts'

/** The time by which something must have happened; one at a time, the last one set. */
export class Deadline {
  readonly #clock: Clock
  readonly #passed: (reason: string) => void
  #timer: Timer | null = null

  constructor(clock: Clock, passed: (reason: string) => void) {
    this.#clock = clock
    this.#passed = passed
  }

  /** Calls `passed` with the reason after `ms` milliseconds, unless it is cleared or set again. */
  set(ms: number, reason: string): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(ms, () => this.#passed(reason))
  }

  clear(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
