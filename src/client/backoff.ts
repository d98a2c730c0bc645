import type { Random } from '../base/random.ts'

export interface Backoff {
  /** Before the first attempt, in milliseconds. */
  readonly initialMs: number
  readonly factor: number
  readonly maxMs: number
  /** Share of the delay that is random, 0 to 1, so that many clients do not come back together. */
  readonly jitter: number
}

/** A whole number of milliseconds up to `maxMs`; `attempt` counts from 1. */
export function backoffMs(backoff: Backoff, attempt: number, random: Random): number {
  const longest = Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** (attempt - 1))
  return Math.round(longest * (1 - backoff.jitter * fractionOf(random)))
}

/** In [0, 1). */
function fractionOf(random: Random): number {
  let value = 0
  for (const byte of random.bytes(4)) value = value * 256 + byte
  return value / 2 ** 32
}
