import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Origins } from '../../../src/broker/shard/origins.ts'
import { openMemoryLog } from '../../../src/log/memory/memory-log.ts'
import { definitionOf, messageOf, ShardHarness, TestConfirms } from '../../support/shard-harness.ts'

describe('origins', () => {
  it('remember the highest number and the gaps below it', () => {
    const origins = new Origins()
    for (const number of [1, 2, 5, 6, 9]) origins.stored({ incarnation: 3, number })
    assert.deepEqual(origins.of(3), { highest: 9, gaps: [3, 4, 7, 8] })
    origins.stored({ incarnation: 3, number: 8 })
    assert.deepEqual(origins.of(3), { highest: 9, gaps: [3, 4, 7, 7] })
    origins.told(3, 5)
    assert.deepEqual(origins.of(3), { highest: 9, gaps: [7, 7] })
    assert.deepEqual(origins.of(4), { highest: 0, gaps: [] })
  })

  it('say all of it again in one record', async () => {
    const origins = new Origins()
    for (const number of [1, 4]) origins.stored({ incarnation: 3, number })
    origins.stored({ incarnation: 7, number: 1 })
    const log = await openMemoryLog({ clock: new ShardHarness([]).clock })
    origins.append(log)
    const read = new Origins()
    read.stored({ incarnation: 3, number: 9 })
    assert.ok(log.view(log.appended))
    read.read(log.viewBuffer, log.viewStart)
    assert.deepEqual(read.of(3), { highest: 4, gaps: [2, 3] })
    assert.deepEqual(read.of(7), { highest: 1, gaps: [] })
  })

  it('survive a restart, also when digests stand for the records that had them', async () => {
    const shard = await new ShardHarness([definitionOf(1, 'q')]).start()
    const confirms = new TestConfirms()
    const body = 'x'.repeat(60_000)
    let number = 0
    const sealed = (): number => shard.log.segments.filter((segment) => segment.isSealed).length
    for (; number < 3_000 && sealed() < 2; number++) {
      const from = { incarnation: 5, number: number + 1 }
      shard.shard.publishFrom(from, messageOf(body, true), [shard.queue('q')], 1, confirms, number)
      shard.shard.get(shard.queue('q'), true, { message: () => {}, empty: () => {}, failed: () => {} })
      if (number % 50 === 0) await shard.settle()
    }
    await shard.settle()
    assert.ok(sealed() >= 1 || shard.log.segments[0]?.id !== 1, 'at least one segment has been sealed')
    await shard.restart()
    assert.deepEqual(shard.shard.origins.of(5), { highest: number, gaps: [] })
  })

  it('are kept only with what is stored durably', async () => {
    const shard = await new ShardHarness([definitionOf(1, 'q'), definitionOf(2, 't', false)]).start()
    const confirms = new TestConfirms()
    const publish = (number: number, name: string): void =>
      shard.shard.publishFrom({ incarnation: 5, number }, messageOf('m', true), [shard.queue(name)], 1, confirms, 0)
    publish(1, 'q')
    publish(2, 't')
    publish(3, 'q')
    await shard.restart()
    assert.deepEqual(shard.shard.origins.of(5), { highest: 3, gaps: [2, 2] })
  })
})
