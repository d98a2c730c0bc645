/** Time, for all of the page: tests and readers find every timer here. */

/** Wall time in milliseconds since 1970. */
export function now(): number {
  return Date.now()
}

/** Calls once, after so many milliseconds; what it returns takes it back. */
export function after(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms)
  return () => clearTimeout(timer)
}
