/**
 * Time as the program sees it. Everything that waits or looks at a clock does so through this interface,
 * so that a simulation or a test moves time by hand.
 */
export interface Clock {
  /** Wall time, milliseconds since 1970. May jump. Only for what people and stored deadlines see. */
  now(): number
  /** Milliseconds with a fraction that never go back; the origin means nothing. For leases, timeouts, slices. */
  monotonic(): number
  /** Calls back once after `ms` milliseconds; a pending timer does not keep the process alive. */
  after(ms: number, callback: () => void): Timer
  /** Calls back once after the events that are already there: the end of this turn. */
  soon(callback: () => void): void
}

export interface Timer {
  cancel(): void
}

export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  monotonic(): number {
    return performance.now()
  }

  after(ms: number, callback: () => void): Timer {
    const handle = setTimeout(callback, ms)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  }

  soon(callback: () => void): void {
    setImmediate(callback)
  }
}

/** Time that stands still until `advance` is called. `soon` still runs by itself: it is order, not time. */
export class ManualClock implements Clock {
  #ms: number
  #timers: { due: number; order: number; callback: () => void }[] = []
  #order = 0

  constructor(startMs = 1_700_000_000_000) {
    this.#ms = startMs
  }

  now(): number {
    return this.#ms
  }

  monotonic(): number {
    return this.#ms
  }

  after(ms: number, callback: () => void): Timer {
    const timer = { due: this.#ms + ms, order: this.#order++, callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  soon(callback: () => void): void {
    setImmediate(callback)
  }

  /** Moves time on by `ms` and runs what falls due, in order of due time, then of creation. */
  advance(ms: number): void {
    const end = this.#ms + ms
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.due <= end)
        .sort((a, b) => a.due - b.due || a.order - b.order)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#ms = Math.max(this.#ms, next.due)
      next.callback()
    }
    this.#ms = end
  }
}
