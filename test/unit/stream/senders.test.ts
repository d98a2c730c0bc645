import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MessageTraits } from '../../../src/broker/message-traits.ts'
import { Stream } from '../../../src/broker/stream/stream.ts'
import { TestConfirms } from '../../support/shard-harness.ts'
import { messageOf, StreamHarness } from './stream-harness.ts'

const settings = { maxLengthBytes: 4 * 32 * 1024 }

function streamOf(harness: StreamHarness): Stream {
  const { shard } = harness.queue()
  assert.ok(shard instanceof Stream)
  return shard
}

/** As node 7 would send it. */
function forward(harness: StreamHarness, number: number, confirms: TestConfirms | null = null): void {
  const message = messageOf(`m${number}`.padEnd(200, '.'), { headers: { 'x-stream-filter-value': `v${number % 3}` } })
  streamOf(harness).publishFrom({ incarnation: 7, number }, message, confirms, number)
}

function letter(harness: StreamHarness, sequence: number, confirms: TestConfirms | null = null): void {
  const message = messageOf(`letter ${sequence}`)
  message.traits = Object.assign(new MessageTraits(), { letterOf: { queueId: 5, sequence } })
  streamOf(harness).publish(message, [harness.queue()], 1, confirms, sequence)
}

describe('a stream knows what other nodes and shards have sent', () => {
  for (const end of ['restart', 'kill'] as const) {
    test(`after a ${end}, though the segments have been digested and dropped`, async () => {
      const harness = await StreamHarness.start()
      harness.declare('s', settings)
      letter(harness, 12)
      for (let number = 1; number <= 1_200; number++) {
        forward(harness, number)
        if (number % 50 === 0) await harness.settle()
      }
      await harness.settle()
      assert.ok((harness.logOf().segments[0]?.id ?? 0) > 1, 'segments were dropped')
      await harness[end]()
      const before = await harness.status()
      const confirms = new TestConfirms()
      for (const number of [1, 2, 600, 1_199, 1_200]) forward(harness, number, confirms)
      letter(harness, 12, confirms)
      await harness.settle()
      assert.deepEqual(confirms.confirmed, [1, 2, 600, 1_199, 1_200, 12])
      assert.equal((await harness.status()).offsets?.next, before.offsets?.next)
      forward(harness, 1_201, confirms)
      letter(harness, 13, confirms)
      await harness.settle()
      assert.equal((await harness.status()).offsets?.next, (before.offsets?.next ?? 0) + 2)
      const last = await harness.consume({ 'x-stream-offset': 'first' })
      assert.deepEqual(last.bodies.slice(-2), ['m1201'.padEnd(200, '.'), 'letter 13'])
    })
  }

  test('and filters them like any other', async () => {
    const harness = await StreamHarness.start()
    harness.declare()
    for (let number = 1; number <= 9; number++) forward(harness, number)
    await harness.settle()
    const seen = await harness.consume({ 'x-stream-offset': 'first', 'x-stream-filter': 'v1' })
    assert.deepEqual(seen.offsets, [0, 3, 6])
  })
})
