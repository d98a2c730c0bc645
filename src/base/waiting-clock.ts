import type { Clock, Timer } from './clock.ts'

/**
 * The real time for programs that wait for something: unlike `SystemClock`, a pending timer keeps the process alive, so
 * that who waits for a reconnect is not ended in between. Runs in browsers too.
 */
export class WaitingClock implements Clock {
  now(): number {
    return Date.now()
  }

  monotonic(): number {
    return performance.now()
  }

  after(ms: number, callback: () => void): Timer {
    const handle = setTimeout(callback, Math.min(ms, timerMsMax))
    return { cancel: () => clearTimeout(handle) }
  }

  soon(callback: () => void): void {
    if (typeof setImmediate === 'function') setImmediate(callback)
    else setTimeout(callback, 0)
  }
}

/** The longest timer there is; a longer one would fire at once. */
const timerMsMax = 2 ** 31 - 1
