/**
 * Milliseconds with a fraction that mean the same in every thread of this process: `performance.now()` counts from the
 * start of its own thread, the offset brings it to the machine's monotonic clock.
 */
const [seconds, nanoseconds] = process.hrtime()
const offset = seconds * 1e3 + nanoseconds / 1e6 - performance.now()

export function monotonicMs(): number {
  return performance.now() + offset
}
