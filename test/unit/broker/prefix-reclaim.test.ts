/** A shard on a log that gives room back only before its oldest live segment, as a replicated one does. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import type { EntryChunk } from '../../../src/broker/queue/entry-chunk.ts'
import { memorySegmentBytes } from '../../../src/log/memory/memory-log.ts'
import { SentMessage } from '../../support/sent-message.ts'
import { definitionOf, ShardHarness } from '../../support/shard-harness.ts'

const keptBytes = 2_000
/** More than a segment holds. */
const keptCount = Math.ceil((1.5 * memorySegmentBytes) / keptBytes)

describe('a shard on a log that is trimmed from its beginning only', () => {
  it('moves whole segments that nobody consumes out of the way of what others consume', async () => {
    const shard = await shardOn(false)
    await keepSome(shard)
    const before = shard.queue('kept').entries.ready
    await stream(shard, 12)
    const { held, live } = roomOf(shard)
    assert.ok(held <= live + 2 * memorySegmentBytes, `${held} bytes are held by ${live} bytes that are live`)
    assert.ok((shard.log.segments[0]?.id ?? 0) > 0, 'the first segment has gone')
    assert.equal(shard.queue('kept').entries.ready, before)
    await consumeKept(shard)
    assert.deepEqual(shard.failures, [])
  })

  it('brings back what was sent away to move it', async () => {
    const count = 45_000
    const shard = await shardOn(false, 1)
    await keepSome(shard, count, 20)
    const chunks = (): EntryChunk[] => [...shard.queue('kept').entries.chunks()]
    await stream(shard, 2)
    const away = chunks().filter((chunk) => chunk.isAway)
    assert.ok(away.length > 0, 'some of the entries are away')
    await stream(shard, 30)
    assert.ok(
      away.some((chunk) => !chunk.isAway && chunk.isBound),
      'some that were away have been moved',
    )
    await consumeKept(shard, count)
    assert.deepEqual(shard.failures, [])
  })

  it('finds what was moved after a restart', async () => {
    const shard = await shardOn(false)
    await keepSome(shard)
    await stream(shard, 12)
    await shard.restart()
    await consumeKept(shard)
    assert.deepEqual(shard.failures, [])
  })

  it('leaves them alone where every segment gives back its room by itself', async () => {
    const shard = await shardOn(true)
    await keepSome(shard)
    await stream(shard, 12)
    assert.equal(shard.log.segments[0]?.id, 0)
  })
})

const clock = new ManualClock()

async function shardOn(canFreeAnyOrder: boolean, entryBytesMax = 12_000_000): Promise<ShardHarness> {
  const shard = new ShardHarness([definitionOf(1, 'kept'), definitionOf(2, 'filler')], { clock, entryBytesMax })
  await shard.start()
  Object.defineProperty(shard.log, 'canFreeAnyOrder', { value: canFreeAnyOrder })
  shard.consume('filler', { isNoAck: true })
  return shard
}

async function keepSome(shard: ShardHarness, keptMessages = keptCount, bytes = keptBytes): Promise<void> {
  for (let number = 1; number <= keptMessages; number++)
    publish(shard, new SentMessage(number, bytes, 'parts', true), 'kept')
  await shard.settle()
}

/** So many segments of messages that are consumed at once, with time to look for what can be freed. */
async function stream(shard: ShardHarness, segments: number): Promise<void> {
  const perSegment = Math.ceil(memorySegmentBytes / 60_000)
  for (let segment = 0; segment < segments; segment++) {
    for (let count = 0; count < perSegment; count++) {
      publish(shard, new SentMessage(1_000_000 + count, 60_000, 'parts', true), 'filler')
    }
    await shard.settle()
    for (let round = 0; round < 4; round++) {
      clock.advance(500)
      await shard.settle()
    }
  }
}

async function consumeKept(shard: ShardHarness, count = keptCount): Promise<void> {
  const consumer = shard.consume('kept', { isNoAck: true })
  await shard.settle()
  assert.equal(consumer.delivered, count)
}

function roomOf({ log }: ShardHarness): { held: number; live: number } {
  const first = log.segments[0]
  const last = log.segments.at(-1)
  const live = log.segments.reduce((sum, { base, end }) => sum + end - base, 0)
  return { held: (last?.end ?? 0) - (first?.base ?? 0) - live, live }
}

function publish(shard: ShardHarness, sent: SentMessage, name: string): void {
  shard.commands.publish(sent.view(), [shard.queue(name)], 1, null, 0)
}
