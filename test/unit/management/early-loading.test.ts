/** What the API needs is loaded after the start, piece by piece, each in a turn of its own. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { beginMs, EarlyLoading, pauseMs } from '../../../src/management/api/early-loading.ts'
import { eventually } from '../../support/eventually.ts'

describe('loading the API early', () => {
  it('begins a while after the start, goes on behind what cannot be loaded, and pauses before each', async () => {
    const clock = new ManualClock()
    const began = clock.monotonic()
    const loaded: [name: string, at: number][] = []
    const note = (name: string): void => void loaded.push([name, clock.monotonic() - began])
    const fails = (): Promise<void> => {
      note('fails')
      return Promise.reject(new Error('it is not there'))
    }
    new EarlyLoading(clock).begin([() => note('one'), fails, () => note('last')])
    clock.advance(beginMs)
    await eventually('all are loaded', () => {
      clock.advance(pauseMs / 2)
      return loaded.length === 3
    })
    assert.deepEqual(
      loaded.map(([name]) => name),
      ['one', 'fails', 'last'],
    )
    const [one = 0, second = 0, last = 0] = loaded.map(([, at]) => at)
    assert.ok(one > beginMs && second - one >= pauseMs && last - second >= pauseMs, `${one}, ${second}, ${last}`)
  })

  it('ends with the node', () => {
    const clock = new ManualClock()
    const loading = new EarlyLoading(clock)
    let isLoaded = false
    loading.begin([
      () => {
        isLoaded = true
      },
    ])
    loading.stop()
    for (let ms = 0; ms < 3 * beginMs; ms += pauseMs) clock.advance(pauseMs)
    assert.equal(isLoaded, false)
  })
})
