/**
 * Milliseconds with a fraction that mean the same in every thread of this process: `performance.now()` counts from the
 * start of its own thread, the offset brings it to the machine's monotonic clock.
 */
const offset = findOffset()

export function monotonicMs(): number {
  return performance.now() + offset
}

/** Both clocks are read in turns; the pair with the least time in between was not interrupted. */
function findOffset(): number {
  let best = { gap: Number.POSITIVE_INFINITY, offset: 0 }
  for (let round = 0; round < 50; round++) {
    const before = performance.now()
    const [seconds, nanoseconds] = process.hrtime()
    const gap = performance.now() - before
    if (gap < best.gap) best = { gap, offset: seconds * 1e3 + nanoseconds / 1e6 - before - gap / 2 }
  }
  return best.offset
}
