/** Channels inside the program, and named ones over a driver without a broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { channel } from '../../../src/client/channel-local.ts'
import { NamedChannel } from '../../../src/client/channel-named.ts'
import { fakeClient, states, turns } from './fake-client.ts'

describe('a local channel', () => {
  it('gives what was pushed, in order, and has push wait while it is full', async () => {
    const numbers = channel<number>({ capacity: 2 })
    const pushes = [numbers.push(1), numbers.push(2), numbers.push(3), numbers.push(4)]
    assert.deepEqual(await states(pushes), ['ok', 'ok', 'pending', 'pending'])
    assert.equal(await numbers.pop(), 1)
    assert.deepEqual(await states(pushes), ['ok', 'ok', 'ok', 'pending'])
    assert.deepEqual([await numbers.pop(), await numbers.pop(), await numbers.pop()], [2, 3, 4])
    assert.deepEqual(await states(pushes), ['ok', 'ok', 'ok', 'ok'])
  })

  it('serves those who pop in the order they came', async () => {
    const texts = channel<string>({ capacity: 1 })
    const pops = [texts.pop(), texts.pop(), texts.pop()]
    for (const text of ['a', 'b', 'c']) await texts.push(text)
    assert.deepEqual(await Promise.all(pops), ['a', 'b', 'c'])
  })

  it('can be emptied after it is closed, and takes no more', async () => {
    const numbers = channel<number | undefined>({ capacity: 2 })
    await numbers.push(undefined)
    await numbers.push(2)
    const waiting = numbers.push(3)
    await numbers.close()
    assert.deepEqual(await states([waiting, numbers.push(4)]), ['CLOSED', 'CLOSED'])
    const got: (number | undefined)[] = []
    for await (const value of numbers) got.push(value)
    assert.deepEqual(got, [undefined, 2])
    assert.equal(await numbers.pop(), undefined)
  })

  it('ends the loops that wait when it is closed', async () => {
    const numbers = channel<number>({ capacity: 1 })
    const read = async (): Promise<number[]> => {
      const got: number[] = []
      for await (const value of numbers) got.push(value)
      return got
    }
    const loops = [read(), read()]
    await numbers.push(1)
    await turns()
    await numbers.close()
    assert.deepEqual(await Promise.all(loops), [[1], []])
  })

  it('lets waiting be aborted, and forgets who has gone', async () => {
    const numbers = channel<number>({ capacity: 1 })
    const abort = new AbortController()
    const { signal } = abort
    const popped = [numbers.pop({ signal }), numbers.pop()]
    abort.abort()
    await numbers.push(1)
    assert.deepEqual(await states(popped), ['ABORTED', 'ok'])
    await numbers.push(2)
    const other = new AbortController()
    const pushed = [numbers.push(3, { signal: other.signal }), numbers.push(4)]
    other.abort()
    assert.equal(await numbers.pop(), 2)
    assert.equal(await numbers.pop(), 4)
    assert.deepEqual(await states([...pushed, numbers.pop({ signal })]), ['ABORTED', 'ok', 'ABORTED'])
  })

  it('has a capacity', () => {
    for (const capacity of [0, -1, 1.5, Number.NaN]) assert.throws(() => channel({ capacity }), { code: 'BAD_OPTION' })
  })
})

describe('a named channel', () => {
  it('pushes again, one after the other, what the broker refuses', async () => {
    const { core, driver, clock } = await fakeClient()
    const numbers = new NamedChannel<number>(core, 'n', { capacity: 1 })
    const pushes = [numbers.push(1), numbers.push(2)]
    await turns()
    const { publishChannel } = driver
    assert.deepEqual(publishChannel.bodies, ['1'])
    publishChannel.events.confirmed(1, false, true)
    await turns()
    assert.deepEqual(publishChannel.bodies, ['1'])
    clock.advance(5)
    await turns()
    assert.deepEqual(publishChannel.bodies, ['1', '1'])
    publishChannel.events.confirmed(2, false, false)
    await turns()
    assert.deepEqual(publishChannel.bodies, ['1', '1', '2'])
    assert.deepEqual(await states(pushes), ['ok', 'pending'])
    publishChannel.events.confirmed(3, false, true)
    await turns()
    await numbers.close()
    assert.deepEqual(await states(pushes), ['ok', 'CLOSED'])
  })
})
