import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import { readPublishTargets, targetsMax } from '../../../src/broker/shard/publish-record.ts'
import { ReadTraits } from '../../../src/broker/shard/record-traits.ts'
import { RecordKind } from '../../../src/broker/shard/records.ts'
import { definitionOf, messageOf, ShardHarness, TestConfirms } from '../../support/shard-harness.ts'

const mortal = { deadLetterExchange: 'dlx' }

/** A shard whose dead letters go to all queues with these names. */
async function opened(harness: ShardHarness, dead: readonly string[]): Promise<ShardHarness> {
  harness.topology.reroute = (_vhost, _exchange, _keys, _message, route) => {
    for (const [index, name] of dead.entries()) route.queues[index] = harness.queue(name)
    route.count = dead.length
    return true
  }
  return harness.start()
}

describe('dead letters', () => {
  it('that a publisher works off leave its own duplicate unconfirmed until the original is stored', async () => {
    const once = { deduplication: { windowMs: 60_000, idsMax: 10 } }
    const definitions = [
      definitionOf(1, 'once', true, once),
      definitionOf(2, 'work', true, mortal),
      definitionOf(3, 'dead'),
    ]
    const shard = await opened(new ShardHarness(definitions), ['dead'])
    shard.publish('dies', ['work'])
    const consumer = shard.consume('work')
    await shard.settle()
    const confirms = new TestConfirms()
    const send = (sequence: number): void => {
      const message = messageOf('x', true, { messageId: 'same' })
      shard.commands.publish(message, [shard.queue('once')], 1, confirms, sequence)
    }
    send(1)
    shard.commands.settle(shard.queue('work'), consumer.consumer, 1, 1, 'reject')
    send(2)
    assert.equal(shard.queue('dead').entries.live, 1, 'the dead letter was sent with the duplicate')
    assert.deepEqual(confirms.confirmed, [], 'nothing is stored yet')
    await shard.settle()
    assert.deepEqual(confirms.confirmed, [1, 2])
    assert.equal(shard.queue('once').entries.live, 1)
    shard.kill()
  })

  it('to more queues than a record holds settle their source with the last record only', async () => {
    const names = Array.from({ length: targetsMax + 1 }, (_, index) => `dead-${index}`)
    const definitions = [
      definitionOf(1, 'work', true, mortal),
      ...names.map((name, index) => definitionOf(index + 2, name)),
    ]
    const shard = await opened(new ShardHarness(definitions), names)
    shard.publish('dies', ['work'])
    const consumer = shard.consume('work')
    await shard.settle()
    shard.commands.settle(shard.queue('work'), consumer.consumer, 1, 1, 'reject')
    await shard.settle()
    const sources: (number | null)[] = []
    const traits = new ReadTraits()
    for (const segment of shard.log.segments) {
      await shard.log.replay(segment, (_position, buffer, start) => {
        if (buffer[start] !== RecordKind.publish) return
        const { traitsAt, traitsBytes } = readPublishTargets(buffer, start)
        traits.read(buffer, traitsAt, traitsBytes)
        sources.push(traits.source?.sequence ?? null)
      })
    }
    assert.deepEqual(sources, [null, null, 1], 'the message itself, then its dead letter in two records')
    shard.kill()
  })

  it('of a full queue are sent by the publishes that drive them out', async () => {
    const full = { ...mortal, maxLength: 1 }
    const shard = await opened(new ShardHarness([definitionOf(1, 'work', true, full), definitionOf(2, 'dead')]), [
      'dead',
    ])
    for (let index = 0; index < 10; index++) shard.publish(`${index}`, ['work'])
    assert.equal(shard.queue('dead').entries.live, 9, 'each was sent by the publish that drove it out')
    await shard.settle()
    const consumer = shard.consume('work')
    await shard.settle()
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['9'],
    )
    shard.kill()
  })
})

describe('a single active consumer', () => {
  it('that leaves while the lease of its last delivery ends lets the next one go on', async () => {
    const clock = new ManualClock()
    const settings = { isSingleActive: true, consumerTimeoutMs: 1_000 }
    const parts = { clock, runQueue: new RunQueue(clock) }
    const shard = await new ShardHarness([definitionOf(1, 'q', true, settings)], parts).start()
    const first = shard.consume('q')
    const second = shard.consume('q')
    shard.publish('a', ['q'])
    await shard.settle()
    assert.equal(first.received.length, 1)
    first.consumer.isLeaving = true
    shard.commands.unregister(first.consumer, { done: () => {}, failed: assert.fail })
    await shard.settle()
    assert.equal(second.received.length, 0, 'it waits for what the first one held')
    clock.advance(1_000)
    await shard.settle()
    assert.deepEqual(
      second.received.map(({ text }) => text),
      ['a'],
    )
    shard.kill()
  })
})
