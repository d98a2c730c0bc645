import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PlainValue } from '../../../src/amqp/field-table.ts'
import { BrokerError } from '../../../src/broker/errors.ts'
import { StreamHarness } from './stream-harness.ts'

type Args = { readonly [key: string]: PlainValue }
const named = (name: string, more: Args = {}): Args => ({ 'x-stream-consumer-name': name, ...more })
const first: Args = { 'x-stream-offset': 'first' }

async function filled(count: number): Promise<StreamHarness> {
  const harness = await StreamHarness.start()
  harness.declare()
  await harness.publishMany(count)
  return harness
}

describe('a named consumer', () => {
  test('goes on behind what it has acknowledged, also after a restart and a kill', async () => {
    const harness = await filled(50)
    const one = await harness.consume(named('app', first), { limit: 10 })
    one.settle(0, 4)
    one.settle(6, 7)
    harness.cancel(one)
    await harness.pass(1000)
    for (const end of [() => harness.restart(), () => harness.kill(), async () => {}]) {
      await end()
      const again = await harness.consume(named('app', first), { limit: 3 })
      assert.deepEqual(again.offsets, [5, 6, 7], 'the first that was not acknowledged')
      harness.cancel(again)
    }
  })

  test('loses nothing that it was given and did not acknowledge, though it began at the end', async () => {
    const harness = await filled(5)
    await harness.consume(named('app'))
    await harness.publishMany(5)
    await harness.kill()
    const again = await harness.consume(named('app'))
    assert.deepEqual(again.offsets, [5, 6, 7, 8, 9])
  })

  test('does not go on over what it gave back', async () => {
    const harness = await filled(10)
    const one = await harness.consume(named('app', first))
    one.settle(0, 2)
    one.settle(3, 3, 'fail')
    one.settle(4, 9)
    await harness.pass(1000)
    await harness.kill()
    assert.deepEqual((await harness.consume(named('app', first), { limit: 1 })).offsets, [3])
  })

  test('is remembered beyond the segments that said so', async () => {
    const harness = await filled(20)
    const one = await harness.consume(named('app', first), { limit: 20 })
    one.settle(0, 9)
    await harness.pass(1000)
    const queue = harness.queue()
    queue.definition.settings = { ...queue.definition.settings, maxLengthBytes: 70_000 }
    await harness.publishMany(2000)
    assert.ok((harness.logOf().segments[0]?.id ?? 0) > 1, 'the first segment has gone')
    await harness.kill()
    const status = await harness.status()
    const again = await harness.consume(named('app', first), { limit: 1 })
    assert.deepEqual(again.offsets, [2020 - status.ready], 'the first that is left')
    again.settle(2020 - status.ready)
    await harness.pass(1000)
    await harness.restart()
    assert.deepEqual((await harness.consume(named('app'), { limit: 1 })).offsets, [2021 - status.ready])
  })

  test('is kept by whoever came last under the name', async () => {
    const harness = await filled(10)
    const old = await harness.consume(named('app', first))
    const late = await harness.consume(named('app', first), { limit: 2 })
    assert.deepEqual(late.offsets, [0, 1])
    old.settle(0, 9)
    late.settle(0)
    await harness.pass(1000)
    await harness.restart()
    assert.deepEqual((await harness.consume(named('app', first), { limit: 1 })).offsets, [1])
  })

  test('may be named by its tag, as long as the tag means something and no offset is given', async () => {
    const harness = await filled(3)
    const args = { 'x-stream-automatic-offset-tracking': true }
    await harness.consume(args, { tag: 'billing' })
    await harness.consume(args, { tag: 'amq.ctag-x' })
    await harness.consume({ ...args, ...first }, { tag: 'other' })
    await harness.publishMany(2)
    await harness.restart()
    const offsets = async (tag: string): Promise<number[]> => (await harness.consume(args, { tag })).offsets
    assert.deepEqual(await offsets('billing'), [3, 4])
    assert.deepEqual(await offsets('amq.ctag-x'), [])
    assert.deepEqual(await offsets('other'), [])
  })

  test('counts what its filter passed over as done', async () => {
    const harness = await filled(5)
    harness.publish('x', { headers: { 'x-stream-filter-value': 'a' } })
    await harness.publishMany(5)
    const args = named('app', { ...first, 'x-stream-filter': 'a' })
    const one = await harness.consume(args)
    assert.deepEqual(one.offsets, [5])
    one.settle(5)
    harness.cancel(one)
    await harness.pass(1000)
    await harness.restart()
    assert.deepEqual((await harness.consume(named('app'), { limit: 1 })).offsets, [])
  })

  test('is one of a bounded number', async () => {
    const harness = await filled(1)
    for (let index = 0; index < 500; index++) harness.cancel(await harness.consume(named(`n${index}`)))
    const text = "cannot consume from queue 's' in vhost '/': limit of named consumers (500) is reached"
    await assert.rejects(harness.consume(named('more')), new BrokerError('precondition-failed', text))
    await harness.consume(named('n7'))
  })
})
