import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { RetrySettings } from '../../../../src/broker/queue/queue-settings.ts'
import { retryDelayMs } from '../../../../src/broker/queue/retry-delay.ts'

const random = new SeededRandom(3)
const plain: RetrySettings = {
  attempts: null,
  delayMs: 1000,
  backoff: 2,
  maxDelayMs: 60_000,
  jitter: 0,
  on: 'all',
  parkingQueue: null,
}
const delays = (settings: RetrySettings, count: number): number[] =>
  Array.from({ length: count }, (_, index) => retryDelayMs(settings, index + 1, random))

describe('delay before a retry', () => {
  it('multiplies by the backoff, up to the longest delay', () => {
    assert.deepEqual(delays(plain, 8), [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
    assert.deepEqual(delays({ ...plain, backoff: 1 }, 3), [1000, 1000, 1000])
    assert.deepEqual(delays({ ...plain, backoff: 1.5 }, 4), [1000, 1500, 2250, 3375])
  })

  it('adds the same each time when it is linear', () => {
    assert.deepEqual(delays({ ...plain, backoff: 'linear', maxDelayMs: 3500 }, 5), [1000, 2000, 3000, 3500, 3500])
  })

  it('spreads by the share that is random, downwards', () => {
    const spread = delays({ ...plain, backoff: 1, jitter: 0.5 }, 500)
    assert.ok(spread.every((one) => one >= 500 && one <= 1000))
    assert.ok(Math.min(...spread) < 520, 'reaches the lower end')
    assert.ok(Math.max(...spread) > 980, 'reaches the upper end')
  })

  it('is a whole number within its bounds whatever is asked', () => {
    const property = fc.property(
      fc.record({
        attempts: fc.constant(null),
        delayMs: fc.nat(315_360_000_000),
        backoff: fc.oneof(fc.constant('linear' as const), fc.double({ min: 1, max: 1e9, noNaN: true })),
        maxDelayMs: fc.nat(315_360_000_000),
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
        on: fc.constant('all' as const),
        parkingQueue: fc.constant(null),
      }),
      fc.nat(2 ** 31 - 1),
      (settings, attempt) => {
        const delay = retryDelayMs(settings, attempt, random)
        assert.ok(Number.isSafeInteger(delay) && delay >= 0 && delay <= settings.maxDelayMs, `${delay} ms`)
      },
    )
    fc.assert(property, { seed: 7, numRuns: 1000 })
  })
})
