/** What a shard must find again after a stop, after damage, and while its segments come and go. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { type Chunks, chunkBytes, type Message } from '../../../src/broker/message.ts'
import type { BodyWriter } from '../../../src/broker/ports.ts'
import { Entries } from '../../../src/broker/queue/entries.ts'
import { type EntryChunk, EntryFlag } from '../../../src/broker/queue/entry-chunk.ts'
import { buildDigest } from '../../../src/broker/shard/digest-builder.ts'
import { sentMarkOf } from '../../../src/broker/shard/digests.ts'
import { LargeBodies, LargeBody } from '../../../src/broker/shard/large-bodies.ts'
import { queueStates } from '../../../src/broker/shard/queue-state.ts'
import { ScratchUsage } from '../../../src/broker/shard/scratch-usage.ts'
import { digestLarge, readDigestIndex } from '../../../src/broker/shard/segment-digest.ts'
import type { Segment } from '../../../src/log/log.ts'
import { bodyOf, SentMessage } from '../../support/sent-message.ts'
import { definitionOf, ShardHarness, type TestConsumer } from '../../support/shard-harness.ts'

async function harness(...names: string[]): Promise<ShardHarness> {
  return new ShardHarness(
    names.map((name, index) => definitionOf(index + 1, name, !name.startsWith('transient'))),
  ).start()
}

function publish(shard: ShardHarness, sent: SentMessage, names: readonly string[]): void {
  const message = sent.view()
  const handles = names.map((name) => shard.queue(name))
  if (sent.form === 'large') {
    const writer = shard.commands.openBody(sent.isPersistent, sent.bodyBytes)
    for (let at = 0; at < sent.bodyBytes; at += chunkBytes) {
      writer.append(sent.body, at, Math.min(sent.bodyBytes, at + chunkBytes))
    }
    message.chunks = writer
  }
  shard.commands.publish(message, handles, handles.length, null, 0)
}

/** Gets one message and holds it against what was sent, with all of its body. */
async function getWhole(shard: ShardHarness, name: string, sent: SentMessage): Promise<void> {
  const { chunks } = await getOne(shard, name, (message) => sent.check(message))
  if (chunks === null) return
  assert.equal(chunks.bodyBytes, sent.bodyBytes)
  assert.deepEqual(await readAll(chunks), Buffer.from(bodyOf(sent.number, sent.bodyBytes)))
}

/** Publishes a large message (null: it is there), and gets it without reading its body. */
async function getChunks(shard: ShardHarness, name: string, sent: SentMessage | null): Promise<Chunks> {
  if (sent !== null) publish(shard, sent, [name])
  const { chunks } = await getOne(shard, name, () => {})
  assert.ok(chunks !== null)
  return chunks
}

function getOne(
  shard: ShardHarness,
  name: string,
  check: (message: Message) => void,
): Promise<{ chunks: Chunks | null }> {
  return new Promise((resolve, reject) => {
    shard.commands.get(shard.queue(name), true, {
      message: (_queue, message) => {
        check(message)
        resolve({ chunks: message.chunks })
      },
      empty: () => reject(new Error(`queue ${name} is empty`)),
      failed: reject,
    })
  })
}

async function readAll(chunks: Chunks): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for (let index = 0; index < chunks.count; index++) {
    await new Promise<void>((resolve, reject) => {
      chunks.read(index, (error, buffer, start, end) => {
        pieces.push(buffer.slice(start, end))
        if (error === null) resolve()
        else reject(error)
      })
    })
  }
  chunks.release()
  return Buffer.concat(pieces)
}

describe('a shard that is opened again', () => {
  it('gives back a large body whole, from its records and from a digest', async () => {
    const shard = await harness('q', 'other')
    const first = new SentMessage(1, 200_000, 'large', true)
    const second = new SentMessage(2, 150_000, 'large', true)
    publish(shard, first, ['q', 'other'])
    publish(shard, second, ['q'])
    await shard.settle()
    await shard.restart()
    await getWhole(shard, 'q', first)
    // Enough to seal the segment, so that the next opening finds its digest.
    for (let number = 3; number < 23; number++)
      publish(shard, new SentMessage(number, 60_000, 'parts', true), ['other'])
    await shard.settle()
    await shard.restart()
    await getWhole(shard, 'q', second)
    await getWhole(shard, 'other', first)
    assert.deepEqual(shard.failures, [])
  })
})

describe('a shard that frees what said that entries are settled', () => {
  it('says it again, for the last ones of a queue too', async () => {
    const { shard, rounds } = await withRounds('q', 'filler')
    // Chunks of 1,024 entries: the first one keeps a live entry and so its segment, all others are settled later.
    for (let number = 1; number <= 3_000; number++) publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
    const holder = shard.consume('q', { limit: 1 })
    const consumer = shard.consume('q', { limit: 0 })
    await shard.settle()
    shard.consume('filler', { isNoAck: true })
    await fill(shard, 'filler')
    for (const one of consumer.unsettled.splice(0)) settleOne(shard, consumer, one.sequence)
    await fill(shard, 'filler')
    await rounds(10)
    const ids = shard.log.segments.map((segment) => segment.id)
    assert.ok(ids[0] === 0 && ids[1] !== 1, `segments ${ids.join()}: the settlements' own is freed`)
    await shard.restart()
    assert.equal(shard.queue('q').entries.live, 1)
    assert.equal(holder.unsettled.length, 1)
  })
})

describe('a shard whose digest is damaged', () => {
  it('still knows what was settled in segments that are freed', async () => {
    const { shard, rounds } = await withRounds('q', 'filler', 'late')
    for (let number = 1; number <= 100; number++) publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
    shard.consume('q', { limit: 1 })
    const consumer = shard.consume('q', { limit: 0 })
    const late = shard.consume('late')
    await shard.settle()
    shard.consume('filler', { isNoAck: true })
    await fill(shard, 'filler')
    for (const one of consumer.unsettled.splice(0, 90)) settleOne(shard, consumer, one.sequence)
    publish(shard, new SentMessage(101, 10, 'parts', true), ['late'])
    await fill(shard, 'filler')
    settleOne(shard, consumer, consumer.unsettled[0]?.sequence ?? 0)
    publish(shard, new SentMessage(102, 10, 'parts', true), ['late'])
    await fill(shard, 'filler')
    settleOne(shard, late, 1)
    await rounds(10)
    assert.notEqual(shard.log.segments[1]?.id, 1, 'the segment of the settlements is freed')
    damageDigests(shard, () => true)
    await shard.restart()
    assert.equal(shard.queue('q').entries.live, 9)
  })

  it('keeps what its segment holds, between two segments with whole digests', async () => {
    const { shard, rounds } = await withRounds('q', 'filler')
    shard.consume('filler', { isNoAck: true })
    for (let number = 1; number <= 4_500; number++) {
      publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
      if (number % 1_500 === 0) await fill(shard, 'filler')
    }
    damageDigests(shard, ({ id }) => id === 1)
    await shard.restart()
    await rounds(10)
    await shard.restart()
    const consumer = shard.consume('q')
    await shard.settle()
    assert.deepEqual(
      consumer.received.map((one) => one.sequence),
      Array.from({ length: 4_500 }, (_, index) => index + 1),
    )
  })
})

describe('a shard whose queue is deleted', () => {
  it('keeps its messages until the topology has stored that', async () => {
    const { shard, rounds } = await withRounds('q', 'filler')
    shard.consume('filler', { isNoAck: true })
    for (let number = 1; number <= 10; number++) {
      publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
      await fill(shard, 'filler')
    }
    shard.topology.appended = 1
    shard.shard.dropQueue(shard.queue('q'))
    for (let round = 0; round < 3; round++) {
      await fill(shard, 'filler')
      await rounds(10)
    }
    await shard.restart()
    assert.equal(shard.queue('q').entries.ready, 10, 'a crash brings the queue back')
    shard.shard.dropQueue(shard.queue('q'))
    shard.topology.committed = 1
    shard.shard.topologyCommitted()
    await rounds(20)
    assert.ok(shard.log.segments.length <= 2, `${shard.log.segments.length} segments are left`)
  })
})

describe('a shard that reads what goes away meanwhile', () => {
  it('does not take for damage what has been purged', async () => {
    const { shard } = await withRounds('q')
    for (let number = 1; number <= 5; number++) publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
    await shard.settle()
    const loads: ((error: Error | null) => void)[] = []
    shard.log.view = () => false
    shard.log.load = (_position, loaded) => loads.push(loaded)
    const answers: string[] = []
    shard.commands.get(shard.queue('q'), true, {
      message: () => answers.push('message'),
      empty: () => answers.push('empty'),
      failed: (error) => answers.push(error.message),
    })
    await shard.settle()
    shard.commands.purge(shard.queue('q'), { done: () => {}, failed: assert.fail })
    await shard.settle()
    for (const loaded of loads) loaded(new Error('its segment has been freed'))
    assert.deepEqual([answers, shard.failures], [['empty'], []])
  })

  it('purges the chunk in which a purge ends, though it is sent away meanwhile', async () => {
    const { shard } = await withRounds('q')
    const queue = shard.queue('q')
    for (let number = 1; number <= 1_500; number++) publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
    await shard.settle()
    let purged = 0
    shard.commands.purge(queue, { done: (count) => (purged = count), failed: assert.fail })
    for (let number = 1_501; number <= 2_100; number++)
      publish(shard, new SentMessage(number, 10, 'parts', true), ['q'])
    queue.entries.chunkOf(1_024)?.sendAway()
    await shard.settle()
    assert.deepEqual([purged, queue.entries.ready], [1_500, 600])
  })
})

describe('a wide fanout', () => {
  it('reaches 20,000 queues with one message, small or large, and is found again', { timeout: 60_000 }, async () => {
    const definitions = Array.from({ length: 20_000 }, (_, index) => definitionOf(index + 1, `q${index}`))
    const shard = await new ShardHarness(definitions).start()
    const handles = definitions.map((definition) => shard.shard.queueOf(definition))
    const small = new SentMessage(1, 100, 'parts', true)
    const large = new SentMessage(2, 70_000, 'large', true)
    shard.commands.publish(small.view(), handles, handles.length, null, 0)
    const message = large.view()
    message.chunks = shard.commands.openBody(true, large.bodyBytes)
    for (let at = 0; at < large.bodyBytes; at += chunkBytes) {
      ;(message.chunks as BodyWriter).append(large.body, at, Math.min(large.bodyBytes, at + chunkBytes))
    }
    shard.commands.publish(message, handles, handles.length, null, 0)
    await shard.settle()
    await shard.restart()
    for (const definition of definitions) assert.equal(shard.shard.queueOf(definition).entries.ready, 2)
    for (const name of ['q0', 'q8191', 'q8192', 'q19999']) {
      await getWhole(shard, name, small)
      await getWhole(shard, name, large)
    }
    assert.deepEqual(shard.failures, [])
  })
})

describe('the entries of a queue that is opened', () => {
  it('are all there when a digest holds the copies of a whole chunk and an older one only some originals', () => {
    const entries = new Entries()
    for (let sequence = 1_500; sequence < 2_048; sequence++) entries.put(sequence, sequence * 100, 10, EntryFlag.live)
    entries.putAway(1_024, 1_024 * 10, 900_000)
    assert.deepEqual([entries.live, entries.ready, entries.readyBytes], [1_024, 1_024, 10_240])
    assert.deepEqual([entries.firstReady(), entries.isLive(1_024), entries.isLive(2_047)], [1_024, true, true])
  })

  it('leave no chunk behind that sequences without entries have passed', () => {
    const entries = new Entries()
    for (let chunk = 0; chunk < 100; chunk++) {
      const sequence = entries.push(1, 10, EntryFlag.live)
      entries.remove(entries.chunkOf(sequence) as EntryChunk, sequence)
      while (entries.next % 1_024 !== 5) entries.skip()
    }
    assert.ok([...entries.chunks()].length <= 1)
  })

  it('are large when any record of them says so', () => {
    const entries = new Entries()
    entries.put(1, 100, 70_000, EntryFlag.live)
    entries.put(1, 900, 70_000, EntryFlag.live | EntryFlag.large)
    assert.equal(entries.chunkOf(1)?.flagsOf(1), EntryFlag.live | EntryFlag.large)
  })
})

describe('a shard that moves large bodies', () => {
  it('makes the digest of a segment with the place that a record had there, though it is copied meanwhile', async () => {
    const { shard } = await withRounds('q')
    const bodies = new LargeBodies({
      log: shard.log,
      scratch: shard.scratch,
      usage: new ScratchUsage(shard.scratch, 1_024),
      appended: () => {},
    })
    const body = new LargeBody(true, 70_000, [10, 20], [65_536, 4_464])
    bodies.retain(body)
    bodies.name(body, 500, false)
    const source = {
      base: 100,
      end: 1_000,
      queues: [],
      large: bodies.namedWithin(100, 1_000),
      sentMarkOf,
      statesOf: queueStates,
    }
    const steps = buildDigest(source)
    bodies.name(body, 5_000, false)
    let step = steps.next()
    while (step.done !== true) step = steps.next()
    const digest = step.value
    const index = await readDigestIndex((offset, length) => Promise.resolve(digest.subarray(offset, offset + length)))
    assert.deepEqual(index === null ? null : digestLarge(index).map((large) => large.offset), [400])
  })

  it('moves chunks that only a reader, an upload or a transient entry needs, wherever their record is', async () => {
    const { shard, rounds } = await withRounds('q', 'filler', 'late')
    const read = await getChunks(shard, 'q', new SentMessage(1, 70_000, 'large', true))
    const upload = shard.commands.openBody(true, 70_000)
    const kept = new SentMessage(2, 70_000, 'large', true)
    upload.append(kept.body, 0, chunkBytes)
    shard.consume('filler', { isNoAck: true })
    for (let number = 3; number < 9; number++) {
      publish(shard, new SentMessage(number, 10, 'parts', true), ['late'])
      await fill(shard, 'filler')
    }
    await rounds(20)
    const ids = shard.log.segments.map((segment) => segment.id)
    assert.ok(!ids.includes(0), `segments ${ids.join()}`)
    assert.deepEqual(shard.failures, [])
    upload.append(kept.body, chunkBytes, kept.bodyBytes)
    const message = kept.view()
    message.chunks = upload
    shard.commands.publish(message, [shard.queue('q')], 1, null, 0)
    await shard.settle()
    await getWhole(shard, 'q', kept)
    assert.deepEqual(await readAll(read), Buffer.from(bodyOf(1, 70_000)))
  })

  it('leaves alone a body whose record has gone before its chunks', async () => {
    const { shard, rounds } = await withRounds('q', 'filler', 'late')
    const sent = new SentMessage(1, 70_000, 'large', true)
    const writer = shard.commands.openBody(true, sent.bodyBytes)
    writer.append(sent.body, 0, chunkBytes)
    shard.consume('filler', { isNoAck: true })
    await fill(shard, 'filler')
    writer.append(sent.body, chunkBytes, sent.bodyBytes)
    const message = sent.view()
    message.chunks = writer
    shard.commands.publish(message, [shard.queue('q')], 1, null, 0)
    await shard.settle()
    const read = await getChunks(shard, 'q', null)
    for (let number = 3; number < 9; number++) {
      publish(shard, new SentMessage(number, 10, 'parts', true), ['late'])
      await fill(shard, 'filler')
    }
    await rounds(20)
    assert.deepEqual(shard.failures, [])
    assert.deepEqual(await readAll(read), Buffer.from(bodyOf(1, 70_000)))
  })

  it('frees all room in the end, although a crash left original and copy', async () => {
    const { shard, rounds } = await withRounds('q', 'filler')
    publish(shard, new SentMessage(1, 100_000, 'large', true), ['q'])
    shard.consume('filler', { isNoAck: true })
    const place = (): number => shard.queue('q').entries.chunkOf(1)?.positions[0] ?? 0
    const original = place()
    const free = shard.log.free.bind(shard.log)
    shard.log.free = () => {}
    let number = 2
    for (; place() === original; number++) {
      assert.ok(number < 400, 'the record is copied')
      publish(shard, new SentMessage(number, 60_000, 'parts', true), [number % 20 === 0 ? 'q' : 'filler'])
      if (number % 10 === 0) await shard.settle()
    }
    await shard.restart()
    shard.log.free = free
    const left = shard.queue('q').entries.ready
    const consumer = shard.consume('q', { isNoAck: true })
    await rounds(20)
    assert.equal(consumer.delivered, left)
    assert.deepEqual(shard.failures, [])
    assert.notEqual(shard.log.segments[0]?.id, 0, 'the original is freed')
  })
})

/** Digests of these segments cannot be read any more, until they are written again. */
function damageDigests({ log }: ShardHarness, isDamaged: (segment: Segment) => boolean): void {
  const readDigest = log.readDigest.bind(log)
  const writeDigest = log.writeDigest.bind(log)
  const damaged = new Set(log.segments.filter(isDamaged).map((segment) => segment.id))
  log.readDigest = async (segment, offset, length) =>
    damaged.has(segment.id) ? null : readDigest(segment, offset, length)
  log.writeDigest = async (segment, digest) => {
    damaged.delete(segment.id)
    await writeDigest(segment, digest)
  }
}

/** Fills more than one segment with messages that nobody needs. */
async function fill(shard: ShardHarness, name: string): Promise<void> {
  for (let count = 0; count < 20; count++)
    publish(shard, new SentMessage(1_000_000 + count, 60_000, 'parts', true), [name])
  await shard.settle()
}

function settleOne(shard: ShardHarness, { consumer }: TestConsumer, sequence: number): void {
  shard.commands.settle(consumer.queue, consumer, sequence, sequence, 'ack')
}

/** A shard whose clock is moved by hand: `rounds` lets it look for what can be freed so many times. */
async function withRounds(
  ...names: string[]
): Promise<{ shard: ShardHarness; rounds: (count: number) => Promise<void> }> {
  const clock = new ManualClock()
  const shard = new ShardHarness(
    names.map((name, index) => definitionOf(index + 1, name)),
    { clock },
  )
  await shard.start()
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      clock.advance(500)
      await shard.settle()
    }
  }
  return { shard, rounds }
}
