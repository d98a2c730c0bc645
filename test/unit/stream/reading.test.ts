import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PlainValue } from '../../../src/amqp/field-table.ts'
import { BrokerError } from '../../../src/broker/errors.ts'
import type { Consumer } from '../../../src/broker/ports.ts'
import { StreamHarness } from './stream-harness.ts'

async function filled(count: number, options?: { bytes?: number }): Promise<StreamHarness> {
  const harness = await StreamHarness.start()
  harness.declare()
  await harness.publishMany(count, options)
  return harness
}

const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, index) => first + index)

describe('a stream', () => {
  test('gives each message the next offset, says it in a header, and counts what is stored', async () => {
    const harness = await filled(5)
    const consumer = await harness.consume({ 'x-stream-offset': 'first' })
    assert.deepEqual(consumer.offsets, [0, 1, 2, 3, 4])
    assert.deepEqual(
      consumer.seen.map(({ header }) => header),
      [0, 1, 2, 3, 4],
    )
    assert.match(consumer.bodies[3] ?? '', /^m3\./)
    const { offsets, ...counts } = await harness.status()
    assert.deepEqual(counts, { ready: 5, unacked: 0, consumers: 1 })
    assert.deepEqual(offsets, { first: 0, next: 5, readers: [{ name: null, next: 5, tag: 'c1' }] })
    assert.deepEqual(harness.confirms.confirmed, [1, 2, 3, 4, 5])
  })

  test('confirms once the message and the topology are stored, and shows nothing before', async () => {
    const harness = await filled(1)
    const consumer = await harness.consume({ 'x-stream-offset': 'first' })
    harness.topology.appended = 9
    harness.publish('a')
    harness.publish('b')
    assert.deepEqual(consumer.offsets, [0])
    assert.equal(harness.confirms.confirmed.length, 1)
    await harness.settle()
    assert.deepEqual(consumer.offsets, [0, 1, 2], 'stored')
    assert.equal(harness.confirms.confirmed.length, 1, 'but not the topology')
    harness.commitTopology(9)
    assert.deepEqual(harness.confirms.confirmed, [1, 2, 3])
  })

  test('lets each consumer begin where it wants', async () => {
    const harness = await filled(300)
    const from = async (offset: PlainValue): Promise<number | undefined> =>
      (await harness.consume({ 'x-stream-offset': offset }, { limit: 1 })).offsets[0]
    assert.equal(await from('first'), 0)
    assert.equal(await from('last'), 299)
    assert.equal(await from(123), 123)
    assert.equal(await from('next'), undefined)
    assert.equal(await from(302), undefined)
    const waiting = [await harness.consume(), await harness.consume({ 'x-stream-offset': 302 })]
    await harness.publishMany(5)
    assert.deepEqual(
      waiting.map(({ offsets }) => offsets),
      [range(300, 305), range(302, 305)],
    )
  })

  test('finds the first message of a time, also inside a segment and beyond the end', async () => {
    const harness = await StreamHarness.start()
    harness.declare()
    const begun = harness.clock.now()
    for (let second = 0; second < 40; second++) {
      await harness.publishMany(100, { bytes: 20 })
      await harness.pass(1000)
    }
    const first = async (offset: PlainValue): Promise<number | undefined> =>
      (await harness.consume({ 'x-stream-offset': offset }, { limit: 1 })).offsets[0]
    assert.ok(harness.logOf().segments.length > 3, 'more than one segment has its digest')
    for (const second of [0, 1, 7, 20, 31, 39]) {
      assert.equal(await first(new Date(begun + second * 1000)), second * 100, `second ${second}`)
    }
    assert.equal(await first(new Date(begun - 3_600_000)), 0)
    assert.equal(await first('10s'), 3000, 'ten seconds ago')
    assert.equal(await first(new Date(begun + 60_000)), undefined)
    const late = await harness.consume({ 'x-stream-offset': new Date(begun + 60_000) })
    await harness.publishMany(1)
    assert.deepEqual(late.offsets, [], 'what came before the time is not for it')
    await harness.pass(60_000)
    await harness.publishMany(1)
    assert.deepEqual(late.offsets, [4001])
  })

  test('gives credit back with each settlement, whatever it says', async () => {
    const harness = await filled(20)
    const consumer = await harness.consume({ 'x-stream-offset': 'first' }, { limit: 4 })
    assert.deepEqual(consumer.offsets, range(0, 4))
    consumer.settle(1)
    consumer.settle(3, 3, 'requeue')
    await harness.settle()
    assert.deepEqual(consumer.offsets, range(0, 6))
    consumer.settle(0, 0, 'reject')
    consumer.settle(2, 2, 'fail')
    await harness.settle()
    assert.deepEqual(consumer.offsets, range(0, 8))
    assert.equal(consumer.consumer.unacked, 4)
  })

  test('waits for a consumer whose output is full, while others go on', async () => {
    const harness = await filled(10)
    const slow = await harness.consume({ 'x-stream-offset': 5 }, { limit: 1 })
    const fast = await harness.consume({ 'x-stream-offset': 'first' })
    assert.deepEqual(fast.offsets, range(0, 10))
    slow.isReady = false
    slow.settle(5)
    await harness.settle()
    assert.deepEqual(slow.offsets, [5])
    slow.isReady = true
    slow.consumer.queue.shard.resume(slow.consumer)
    await harness.settle()
    assert.deepEqual(slow.offsets, [5, 6])
  })

  test('reads the past of many segments by pages, for consumers at different places', async () => {
    const harness = await filled(3000)
    assert.ok(harness.logOf().segments.length > 10)
    const places = [0, 17, 1400, 2000, 2999]
    const consumers = await Promise.all(
      places.map((offset) => harness.consume({ 'x-stream-offset': offset }, { limit: 50 })),
    )
    for (let round = 0; round < 80; round++) {
      for (const one of consumers) {
        const { offset } = one.seen.at(-1) ?? { offset: -1 }
        if (one.consumer.unacked > 0) one.settle(offset - one.consumer.unacked + 1, offset)
      }
      await harness.settle()
    }
    for (const [index, one] of consumers.entries()) {
      assert.deepEqual(one.offsets, range(places[index] as number, 3000))
      assert.deepEqual(
        one.seen.map(({ header }) => header),
        one.offsets,
      )
    }
  })

  test('reads few pages for many messages', async () => {
    const harness = await filled(3000)
    await harness.restart()
    await harness.status()
    const before = harness.files.calls
    const consumer = await harness.consume({ 'x-stream-offset': 'first' })
    assert.equal(consumer.seen.length, 3000)
    const calls = harness.files.calls - before
    assert.ok(calls < 300, `${calls} calls of the file system`)
  })

  test('ends consumers that leave, and lets them settle what they hold', async () => {
    const harness = await filled(4)
    const consumer = await harness.consume({ 'x-stream-offset': 'first' }, { limit: 2 })
    let left = -1
    consumer.consumer.queue.shard.unregister(consumer.consumer, { done: (count) => (left = count), failed: () => {} })
    assert.equal(left, 0)
    consumer.settle(0, 1)
    await harness.settle()
    assert.deepEqual(consumer.offsets, [0, 1])
    assert.equal(consumer.consumer.unacked, 0)
    assert.equal((await harness.status()).consumers, 0)
  })
})

describe('what a stream refuses', () => {
  const what = "queue 's' in vhost '/'"
  const refusal = async (
    args: { readonly [key: string]: PlainValue },
    options: Partial<Consumer>,
    kind: BrokerError['kind'],
    text: string,
  ): Promise<void> => {
    const harness = await filled(1)
    await assert.rejects(harness.consume(args, options), new BrokerError(kind, text))
  }

  test('consumers without prefetch, without acknowledgement, or with a limit for the channel', async () => {
    await refusal({}, { limit: 0 }, 'precondition-failed', `consumer prefetch count is not set for stream ${what}`)
    await refusal({}, { isNoAck: true }, 'not-implemented', `automatic acknowledgement not supported by stream ${what}`)
    const shared = { limit: 5, unacked: 0 }
    await refusal({}, { shared }, 'not-implemented', `${what} does not support global qos`)
  })

  test('arguments of other queues, and names that are none', async () => {
    const text = (key: string, why: string): string => `invalid arg '${key}' for ${what}${why}`
    const foreign = ' of queue type stream'
    await refusal({ 'x-priority': 1 }, {}, 'precondition-failed', text('x-priority', foreign))
    const name = ': "a text of 1 to 255 bytes is needed"'
    for (const value of ['', 5, 'n'.repeat(256)]) {
      const key = 'x-stream-consumer-name'
      await refusal({ [key]: value }, {}, 'precondition-failed', text(key, name))
    }
  })

  test('get and purge', async () => {
    const harness = await filled(1)
    const queue = harness.queue()
    const failed: BrokerError[] = []
    const note = (error: BrokerError): void => void failed.push(error)
    queue.shard.get(queue, true, { message: () => {}, empty: () => {}, failed: note })
    queue.shard.purge(queue, { done: () => {}, failed: note })
    assert.deepEqual(failed, [
      new BrokerError('not-implemented', `basic.get not supported by stream queues ${what}`),
      new BrokerError('not-implemented', `queue.purge not supported by stream queues ${what}`),
    ])
  })
})

describe('filters of a stream', () => {
  test('give exactly the messages asked for, and read none of the blocks without', async () => {
    const harness = await StreamHarness.start()
    harness.declare()
    const expected: number[] = []
    for (let index = 0; index < 8000; index++) {
      // One value for the first half, another in one place of the second.
      const value = index === 7000 ? 'rare' : index % 3 === 0 ? 'often' : null
      harness.publish('x', value === null ? {} : { headers: { 'x-stream-filter-value': value } })
      if (value === 'often') expected.push(index)
      if (index % 200 === 199) await harness.settle()
    }
    await harness.restart()
    await harness.status()
    let pagesRead = 0
    harness.files.fault = ({ kind, path }) => {
      if (kind === 'read' && path.endsWith('.segment')) pagesRead++
      return null
    }
    const rare = await harness.consume({ 'x-stream-offset': 'first', 'x-stream-filter': 'rare' })
    const pagesForRare = pagesRead
    assert.deepEqual(rare.offsets, [7000])
    const often = await harness.consume({ 'x-stream-offset': 'first', 'x-stream-filter': ['often'] })
    assert.deepEqual(often.offsets, expected)
    const pagesForOften = pagesRead - pagesForRare
    assert.ok(pagesForRare < 10 && pagesForOften > 30, `${pagesForRare} and ${pagesForOften} pages`)
    const args = { 'x-stream-offset': 6990, 'x-stream-filter': 'rare', 'x-stream-match-unfiltered': true }
    const both = await harness.consume(args)
    assert.deepEqual(
      both.offsets,
      range(6990, 8000).filter((offset) => offset % 3 !== 0 || offset === 7000),
    )
  })
})
