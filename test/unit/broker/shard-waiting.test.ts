import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import type { Message } from '../../../src/broker/message.ts'
import { MessageTraits } from '../../../src/broker/message-traits.ts'
import type { ScheduledMessage } from '../../../src/broker/ports.ts'
import { definitionOf, messageOf, ShardHarness } from '../../support/shard-harness.ts'

/** A message with an id that is due so many milliseconds from now. */
function delayed(text: string, dueAt: number): Message {
  const message = messageOf(text, true, { messageId: `id-${text}` })
  message.traits = Object.assign(new MessageTraits(), { dueAt })
  return message
}

describe('messages that wait for their time', () => {
  let clock: ManualClock
  let shard: ShardHarness

  beforeEach(async () => {
    clock = new ManualClock()
    shard = await new ShardHarness([definitionOf(1, 'q')], { clock, runQueue: new RunQueue(clock) }).start()
    for (const [text, ms] of [
      ['late', 3_000],
      ['soon', 1_000],
      ['middle', 2_000],
    ] as const) {
      shard.commands.publish(delayed(text, clock.now() + ms), [shard.queue('q')], 1, null, 0)
    }
    await shard.settle()
  })

  afterEach(() => shard.kill())

  const listed = async (after = 0, limit = 10): Promise<readonly ScheduledMessage[]> =>
    new Promise((resolve, reject) => {
      shard.commands.listScheduled(shard.queue('q'), after, limit, { done: resolve, failed: reject })
    })

  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    await shard.settle()
  }

  it('are not counted as ready and come in the order of their times', async () => {
    const consumer = shard.consume('q')
    assert.deepEqual(shard.shard.statusNow(shard.queue('q')), { ready: 0, unacked: 0, consumers: 1 })
    await pass(999)
    assert.deepEqual(consumer.received, [])
    for (const ms of [1, 1_000, 1_000]) await pass(ms)
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['soon', 'middle', 'late'],
    )
  })

  it('come behind what was there when they fell due', async () => {
    shard.publish('ready', ['q'])
    await pass(5_000)
    shard.publish('after', ['q'])
    const consumer = shard.consume('q')
    await shard.settle()
    const texts = consumer.received.map(({ text }) => text)
    assert.deepEqual(texts, ['ready', 'soon', 'middle', 'late', 'after'])
  })

  it('are listed in pages, in the order in which they came', async () => {
    const now = clock.now()
    const [first, ...others] = await listed(0, 1)
    assert.deepEqual(others, [])
    assert.deepEqual([first?.messageId, (first?.dueAt ?? 0) - now, first?.isRetry], ['id-late', 3_000, false])
    const rest = await listed(first?.sequence)
    assert.deepEqual(
      rest.map(({ messageId }) => messageId),
      ['id-soon', 'id-middle'],
    )
  })

  it('are cancelled by message id, for good', async () => {
    const count = await new Promise<number>((resolve, reject) => {
      shard.commands.cancelScheduled(shard.queue('q'), 'id-soon', { done: resolve, failed: reject })
    })
    assert.equal(count, 1)
    await shard.settle()
    await shard.restart()
    const consumer = shard.consume('q')
    await pass(5_000)
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['middle', 'late'],
    )
  })

  it('get another time by message id, which a restart remembers', async () => {
    const at = clock.now() + 500
    const count = await new Promise<number>((resolve, reject) => {
      shard.commands.reschedule(shard.queue('q'), 'id-late', at, { done: resolve, failed: reject })
    })
    assert.equal(count, 1)
    await shard.settle()
    await shard.restart()
    const consumer = shard.consume('q')
    await pass(500)
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['late'],
    )
  })

  it('are as many after a kill as before, those that fell due meanwhile in order', async () => {
    shard.kill()
    clock.advance(10_000)
    await shard.restart()
    const consumer = shard.consume('q')
    await pass(10)
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['soon', 'middle', 'late'],
    )
  })
})

describe('a limit that is new', () => {
  it('does not give up all at once what is above it', async () => {
    const shard = await new ShardHarness([definitionOf(1, 'q')]).start()
    for (let index = 0; index < 5_000; index++) shard.publish(`${index}`, ['q'], { isPersistent: false })
    const queue = shard.queue('q')
    queue.definition.settings = { ...queue.definition.settings, maxLength: 3 }
    shard.shard.settingsChanged(queue)
    const { entries } = queue
    assert.ok(entries.ready > 4_000 && entries.ready < 5_000, `${entries.ready} are left`)
    await shard.settle()
    assert.equal(entries.ready, 3)
    const consumer = shard.consume('q')
    await shard.settle()
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['4997', '4998', '4999'],
    )
    await shard.kill()
  })
})
