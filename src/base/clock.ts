import { DeadlineHeap } from './deadline-heap.ts'

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
  /** Due times and orders of creation; those of cancelled timers come up too, and are passed over. */
  readonly #due = new DeadlineHeap()
  readonly #callbacks = new Map<number, () => void>()
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
    const order = this.#order++
    this.#due.push(this.#ms + ms, order)
    this.#callbacks.set(order, callback)
    return { cancel: () => this.#cancel(order) }
  }

  #cancel(order: number): void {
    if (!this.#callbacks.delete(order)) return
    if (this.#due.size > 2 * this.#callbacks.size) this.#due.sweep(4, (_due, other) => this.#callbacks.has(other))
  }

  soon(callback: () => void): void {
    setImmediate(callback)
  }

  /** When the next timer is due, as `now` tells it; `Infinity` when there is none. */
  get nextDue(): number {
    while (this.#due.size > 0 && !this.#callbacks.has(this.#due.firstValue)) this.#due.pop()
    return this.#due.firstDeadline
  }

  /** Moves time on by `ms` and runs what falls due, in order of due time, then of creation. */
  advance(ms: number): void {
    const end = this.#ms + ms
    for (let due = this.nextDue; due <= end; due = this.nextDue) {
      const order = this.#due.firstValue
      const callback = this.#callbacks.get(order)
      this.#due.pop()
      this.#callbacks.delete(order)
      this.#ms = Math.max(this.#ms, due)
      callback?.()
    }
    this.#ms = end
  }
}
