import type { Random } from '../../base/random.ts'
import type { RetrySettings } from './queue-settings.ts'

/**
 * How long a message waits before it is tried again, in milliseconds: a whole number from 0 to `settings.maxDelayMs`.
 *
 * `attempt` counts the retries, from 1. The delay grows by the factor `backoff`, or linearly with the attempt, up to
 * `maxDelayMs`. Of that, the share `jitter` is random: with 0.2 a delay of 10 s becomes one between 8 s and 10 s. So
 * the longest delay is never exceeded, and messages that failed together do not come back together.
 */
export function retryDelayMs(settings: RetrySettings, attempt: number, random: Random): number {
  const longest = Math.min(grownMs(settings, Math.max(1, attempt)), settings.maxDelayMs)
  if (settings.jitter <= 0) return Math.round(longest)
  return Math.round(longest * (1 - Math.min(1, settings.jitter) * fractionOf(random)))
}

/** May be Infinity, never NaN. */
function grownMs({ delayMs, backoff }: RetrySettings, attempt: number): number {
  // 0 times an infinite factor is no number.
  if (delayMs === 0) return 0
  return backoff === 'linear' ? delayMs * attempt : delayMs * backoff ** (attempt - 1)
}

/** In [0, 1). */
function fractionOf(random: Random): number {
  let value = 0
  for (const byte of random.bytes(4)) value = value * 256 + byte
  return value / 2 ** 32
}
