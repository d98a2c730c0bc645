import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BodyWriter } from '../../../src/broker/ports.ts'
import { retentionCheckMs } from '../../../src/broker/stream/retention.ts'
import { firstLookMs, idleCheckMs } from '../../../src/broker/stream/streams.ts'
import { repair } from '../../../src/log/file/fsck.ts'
import { digestName } from '../../../src/log/file/segment.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'
import { messageOf, root, StreamHarness, segmentBytes } from './stream-harness.ts'

const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, index) => first + index)
const first = { 'x-stream-offset': 'first' }
const directory = `${root}/1000`

async function filled(count: number): Promise<StreamHarness> {
  const harness = await StreamHarness.start()
  harness.declare()
  await harness.publishMany(count)
  return harness
}

describe('retention', () => {
  test('by size drops whole segments, the oldest first, and readers go on with what is left', async () => {
    const harness = await filled(600)
    const reader = await harness.consume(first, { limit: 5 })
    const queue = harness.queue()
    queue.definition.settings = { ...queue.definition.settings, maxLengthBytes: 3 * segmentBytes }
    await harness.publishMany(2000)
    const { ready } = await harness.status()
    const left = 2600 - ready
    assert.ok(left > 600, `offsets below ${left} are gone`)
    const span = harness.logOf().segments.reduce((sum, one) => sum + one.end - one.base, 0)
    assert.ok(span <= 4 * segmentBytes, `${span} bytes are left`)
    reader.settle(0, 4)
    await harness.settle()
    assert.deepEqual(reader.offsets, [...range(0, 5), ...range(left, left + 5)])
    assert.deepEqual((await harness.consume(first, { limit: 1 })).offsets, [left])
    assert.deepEqual((await harness.consume({ 'x-stream-offset': 3 }, { limit: 1 })).offsets, [left])
    await harness.restart()
    assert.equal((await harness.status()).ready, ready)
    assert.deepEqual((await harness.consume(first, { limit: 2 })).offsets, [left, left + 1])
    assert.equal(harness.confirms.confirmed.length, 2600)
  })

  test('by age drops what is older as a whole, never the segment that is written', async () => {
    const harness = await StreamHarness.start()
    harness.declare('s', { maxAgeMs: 100_000 })
    await harness.publishMany(1000)
    await harness.pass(60_000)
    await harness.publishMany(100)
    assert.equal((await harness.status()).ready, 1100)
    await harness.pass(41_000 + retentionCheckMs, 10)
    const { ready } = await harness.status()
    assert.ok(ready >= 100 && ready < 500, `${ready} are left`)
    await harness.pass(500_000, 20)
    const left = (await harness.status()).ready
    assert.ok(left > 0 && left < 250, `${left} in the last segment`)
    assert.equal(harness.logOf().segments.length, 1)
    await harness.kill()
    await harness.publishMany(1)
    const offsets = (await harness.consume(first)).offsets
    assert.equal(offsets.at(-1), 1100, 'offsets go on where they were')
  })

  test('keeps what is said besides messages, though no message is left', async () => {
    const harness = await StreamHarness.start()
    harness.declare('s', { maxAgeMs: 1000 })
    const named = { 'x-stream-consumer-name': 'app' }
    harness.cancel(await harness.consume(named))
    await harness.publishMany(300)
    const writer = harness.queue().shard.openBody(true, 100_000)
    const { length } = harness.logOf().segments
    while (harness.logOf().segments.length === length) {
      writer.append(new Uint8Array(5000), 0, 5000)
      flushOf(writer)
      await harness.settle()
    }
    writer.abandon()
    await harness.pass(2 * retentionCheckMs, 2)
    assert.equal(harness.logOf().segments.length, 1, 'only the segment with pieces of the body is left')
    await harness.kill()
    assert.equal((await harness.status()).ready, 0)
    harness.publish('next')
    const consumer = await harness.consume(first)
    assert.deepEqual(consumer.offsets, [300])
    assert.deepEqual((await harness.consume(named)).offsets, [300], 'its place is known')
  })

  test('waits for those who read a large body', async () => {
    const harness = await StreamHarness.start()
    harness.declare('s', { maxLengthBytes: segmentBytes })
    await publishLarge(harness, 'large', 20_000)
    const reader = await harness.consume(first)
    await harness.publishMany(1000)
    assert.equal(await bodyOf(reader.chunked[0] ?? null), 'large'.padEnd(20_000, '.'))
    assert.equal((await harness.status()).ready, 1001)
    reader.chunked[0]?.release()
    await harness.publishMany(500, { prefix: 'n' })
    assert.ok((await harness.status()).ready < 700)
  })
})

// ---------------------------------------------------------------- large bodies

/** Written in pieces like a body that comes over the wire. The small pages of these tests take pieces of 8 KiB at most. */
async function publishLarge(harness: StreamHarness, text: string, bytes: number): Promise<BodyWriter> {
  const queue = harness.queue()
  const body = Buffer.from(text.padEnd(bytes, '.'))
  const writer = queue.shard.openBody(true, bytes)
  for (let at = 0; at < bytes; at += 7000) {
    writer.append(body, at, Math.min(at + 7000, bytes))
    flushOf(writer)
    await harness.settle()
  }
  const message = messageOf('', { headers: { a: 'b' } })
  message.bodyBytes = bytes
  message.chunks = writer
  queue.shard.publish(message, [queue], 1, harness.confirms, 1_000_000 + bytes)
  await harness.settle()
  return writer
}

/** Pieces of 64 KiB do not fit into the small pages of these tests. */
function flushOf(writer: BodyWriter): void {
  ;(writer as BodyWriter & { flush?(): void }).flush?.()
}

async function bodyOf(chunks: BodyWriter | { count: number; read: BodyWriter['read'] } | null): Promise<string> {
  const parts: Buffer[] = []
  for (let index = 0; index < (chunks?.count ?? 0); index++) {
    await new Promise<void>((resolve, reject) => {
      chunks?.read(index, (error, buffer, start, end) => {
        parts.push(Buffer.from(buffer.subarray(start, end)))
        if (error === null) resolve()
        else reject(error)
      })
    })
  }
  return Buffer.concat(parts).toString()
}

describe('large bodies', () => {
  test('are read by every consumer, also after a kill', async () => {
    const harness = await filled(3)
    await publishLarge(harness, 'one', 30_000)
    await harness.publishMany(2)
    assert.ok(harness.confirms.confirmed.includes(1_030_000))
    for (const end of [async () => {}, () => harness.kill()]) {
      await end()
      const consumer = await harness.consume(first)
      assert.deepEqual(consumer.offsets, range(0, 6))
      assert.equal(consumer.seen[3]?.header, 3)
      assert.equal(await bodyOf(consumer.chunked[0] ?? null), 'one'.padEnd(30_000, '.'))
    }
  })

  test('may come before the log is open', async () => {
    const harness = await StreamHarness.start()
    harness.declare()
    const queue = harness.queue()
    const writer = queue.shard.openBody(true, 5)
    writer.append(Buffer.from('hello'), 0, 5)
    const message = messageOf('')
    message.bodyBytes = 5
    message.chunks = writer
    queue.shard.publish(message, [queue], 1, harness.confirms, 1)
    await harness.settle()
    assert.deepEqual(harness.confirms.confirmed, [1])
    const consumer = await harness.consume(first)
    assert.equal(await bodyOf(consumer.chunked[0] ?? null), 'hello')
    assert.deepEqual(harness.congestion, [true, false])
  })

  test('are refused when their log failed meanwhile', async () => {
    const harness = await filled(1)
    const queue = harness.queue()
    const writer = queue.shard.openBody(true, 10)
    writer.append(Buffer.from('hello'), 0, 5)
    flushOf(writer)
    await harness.settle()
    failNextWrite(harness)
    harness.publish('x')
    await harness.settle()
    const message = messageOf('')
    message.bodyBytes = 10
    message.chunks = writer
    writer.append(Buffer.from('world'), 0, 5)
    queue.shard.publish(message, [queue], 1, harness.confirms, 77)
    await harness.settle()
    assert.deepEqual(harness.confirms.refused, [2, 77])
  })
})

// ---------------------------------------------------------------- opening

function failNextWrite(harness: StreamHarness): void {
  harness.files.fault = ({ kind, path }) => {
    if (kind !== 'write' || !path.endsWith('.segment')) return null
    harness.files.fault = null
    return 'EIO'
  }
}

describe('opening', () => {
  test('happens on first use, and what comes meanwhile waits', async () => {
    const harness = await StreamHarness.start({ uncommittedBytesMax: 300 })
    harness.declare()
    assert.equal(harness.openLogs.size, 0)
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']) harness.publish(text.padEnd(50))
    assert.deepEqual(harness.congestion, [true], 'publishers are held back')
    assert.ok(harness.confirms.refused.length > 0, 'beyond the limit they are refused')
    await harness.settle()
    const consumer = await harness.consume(first)
    assert.deepEqual(consumer.offsets, range(0, 10 - harness.confirms.refused.length))
    assert.equal(consumer.bodies[0], 'a'.padEnd(50))
    assert.equal(harness.congestion.at(-1), false)
    assert.equal(harness.confirms.confirmed.length + harness.confirms.refused.length, 10)
  })

  test('reads digests of sealed segments, and those segments whose digest is gone or damaged', async () => {
    const harness = await filled(2000)
    const { segments } = harness.logOf()
    assert.ok(segments.length > 5)
    await harness.restart()
    await harness.files.remove(`${directory}/${digestName(1)}`)
    harness.files.flipBit(`${directory}/${digestName(2)}`, 70)
    harness.files.flipBit(`${directory}/${digestName(3)}`, 20)
    const consumer = await harness.consume(first)
    assert.deepEqual(consumer.offsets, range(0, 2000))
    await harness.settle()
    assert.ok((await harness.files.list(directory)).includes(digestName(1)), 'the digest is made again')
  })

  test('reads no segment that has its digest', async () => {
    const harness = await filled(4000)
    await harness.restart()
    let reads = 0
    harness.files.fault = ({ kind, path }) => {
      if (kind === 'read' && /\d+\.segment$/.test(path)) reads++
      return null
    }
    assert.equal((await harness.status()).ready, 4000)
    const segments = harness.logOf().segments.length
    assert.ok(reads < segments * 2 + 20, `${reads} reads for ${segments} segments: their headers and the last ones`)
  })

  test('is tried again by the next use when the disk refused it', async () => {
    const harness = await StreamHarness.start()
    harness.declare()
    harness.files.fault = ({ kind }) => (kind === 'open' ? 'ENOSPC' : null)
    harness.publish('a')
    await harness.settle()
    assert.deepEqual(harness.confirms.refused, [1])
    await assert.rejects(harness.consume(first), /the log of stream queue 's' in vhost '\/' is not available/)
    harness.files.fault = null
    harness.publish('b')
    assert.deepEqual((await harness.consume(first)).bodies, ['b'])
    assert.deepEqual(harness.congestion.at(-1), false)
  })

  test('stops at a kind of record that it does not know, and refuses everything', async () => {
    const harness = await filled(3)
    const log = harness.logOf()
    const at = log.reserve(12)
    log.buffer.fill(0, at, at + 12)
    log.buffer[at] = 9
    await harness.restart()
    await assert.rejects(harness.consume(first), /the log of stream queue 's' in vhost '\/' is not available/)
    assert.equal(harness.publish('x'), 4)
    await harness.settle()
    assert.deepEqual(harness.confirms.refused, [4])
    assert.deepEqual(harness.fatal, [], 'the others go on')
  })

  test('after a kill finds what was confirmed at the same offsets, and goes on behind', async () => {
    const harness = await filled(700)
    for (let round = 0; round < 5; round++) {
      harness.publish(`late ${round}`)
      await harness.kill()
      const consumer = await harness.consume(first)
      assert.ok(consumer.seen.length >= 700 + harness.confirms.confirmed.length - 700)
      assert.deepEqual(consumer.offsets, range(0, consumer.seen.length))
      for (const { offset, body } of consumer.seen.slice(0, 700)) assert.ok(body.startsWith(`m${offset}.`))
    }
  })
})

describe('damage', () => {
  async function damaged(): Promise<StreamHarness> {
    const harness = await filled(2000)
    await harness.restart()
    harness.files.flipBit(`${directory}/0000000003.segment`, 9000)
    return harness
  }

  test('cancels who comes to it, and nobody else', async () => {
    const harness = await damaged()
    const behind = await harness.consume({ 'x-stream-offset': 1900 })
    const reader = await harness.consume(first)
    assert.equal(reader.isCancelled, true)
    assert.ok(reader.seen.length > 300 && reader.seen.length < 1000, `${reader.seen.length} were read before`)
    await harness.publishMany(1)
    assert.deepEqual(behind.offsets, range(1900, 2001))
    assert.deepEqual(harness.fatal, [])
  })

  test('costs a repaired stream what was damaged; all else stands at its offset', async () => {
    const harness = await damaged()
    await harness.streams.close()
    await repair(harness.files, directory, '/repaired')
    const image = new Map(
      [...harness.files.image()].map(([path, bytes]) => [path.replace('/repaired/', `${root}/2000/`), bytes]),
    )
    for (const path of image.keys()) if (path.startsWith(`${directory}/`)) image.delete(path)
    const moved = new Map([...image].map(([path, bytes]) => [path.replace('/2000/', '/1000/'), bytes]))
    const repaired = await StreamHarness.start({ files: new SimulatedFiles({ image: moved, hasJournal: false }) })
    repaired.declare()
    const reader = await repaired.consume(first)
    assert.ok(reader.seen.length > 1800 && reader.seen.length < 2000, `${reader.seen.length} are left`)
    for (const { offset, body } of reader.seen) assert.ok(body.startsWith(`m${offset}.`))
    const left = reader.offsets
    assert.equal(left.at(-1), 1999)
    await repaired.publishMany(500)
    await repaired.restart()
    const again = await repaired.consume(first)
    assert.deepEqual(again.offsets, [...left, ...range(2000, 2500)], 'also by the digest made anew')
  })
})

describe('a failed write', () => {
  test('refuses what waits, cancels consumers, and the stream is opened again once', async () => {
    const harness = await filled(5)
    const consumer = await harness.consume(first)
    failNextWrite(harness)
    const lost = harness.publish('lost')
    await harness.settle()
    assert.deepEqual(harness.confirms.refused, [lost])
    assert.equal(consumer.isCancelled, true)
    assert.deepEqual(consumer.offsets, range(0, 5), 'what was not stored was not seen')
    harness.publish('again')
    const after = await harness.consume(first)
    assert.equal(after.offsets.length >= 6, true)
    assert.equal(after.bodies.at(-1), 'again')
    failNextWrite(harness)
    harness.publish('fatal')
    await harness.settle()
    assert.equal(harness.fatal.length, 1)
    assert.equal(harness.confirms.refused.length, 2)
  })
})

describe('a stream that nobody uses', () => {
  test('is closed after a while, says what it holds, and opens again', async () => {
    const harness = await filled(10)
    const consumer = await harness.consume(first)
    await harness.pass(3 * idleCheckMs, 3)
    consumer.settle(0, 9)
    harness.publish('eleven')
    await harness.settle()
    assert.equal(consumer.seen.length, 11, 'not while somebody consumes')
    harness.cancel(consumer)
    consumer.settle(10)
    const log = harness.logOf()
    await harness.pass(3 * idleCheckMs, 3)
    assert.throws(() => log.reserve(8), /is closed/)
    assert.equal(harness.streams.statusNow(harness.queue()).ready, 11)
    assert.equal((await harness.status()).ready, 11)
    await harness.publishMany(1)
    assert.equal((await harness.consume(first)).seen.length, 12)
  })

  test('says soon after a start what it holds, and is closed again', async () => {
    const harness = await StreamHarness.start({ looksAtAll: true })
    for (const name of ['s', 'other', 'used']) harness.declare(name)
    await harness.publishMany(10)
    harness.publish('one', { to: 'other' })
    harness.publish('two', { to: 'used' })
    await harness.settle()
    await harness.restart()
    const consumer = await harness.consume(first, { from: 'used' })
    assert.equal(harness.streams.statusNow(harness.queue()).ready, 0, 'nobody has looked yet')
    await harness.pass(2 * firstLookMs, 100)
    const held = ['s', 'other'].map((name) => harness.streams.statusNow(harness.queue(name)).ready)
    assert.deepEqual(held, [10, 1])
    const { offsets } = harness.streams.statusNow(harness.queue())
    assert.deepEqual(offsets, { first: 0, next: 10, readers: [] }, 'known though it is closed')
    for (const name of ['s', 'other']) assert.throws(() => harness.logOf(name).reserve(8), /is closed/)
    harness.publish('three', { to: 'used' })
    await harness.settle()
    assert.equal(consumer.seen.length, 2, 'what is used stays open')
  })

  test('is not opened to be looked at where it is far, and has no log before its first use', async () => {
    const harness = await StreamHarness.start({ looksAtAll: true, storedBefore: 7 })
    for (const name of ['far', 'unused', 'near']) harness.declare(name)
    for (const name of ['far', 'near']) harness.publish('one', { to: name })
    await harness.settle()
    harness.openLogs.clear()
    harness.far.add(harness.queue('far').definition.id)
    await harness.restart()
    const ready = (name: string): number => harness.streams.statusNow(harness.queue(name)).ready
    assert.equal(ready('near'), 7, 'as the owner before said')
    await harness.pass(3 * firstLookMs, 100)
    assert.deepEqual([...harness.openLogs.keys()], [harness.queue('near').definition.id])
    assert.deepEqual(['far', 'near'].map(ready), [7, 1])
  })
})

describe('a deleted stream', () => {
  test('cancels its consumers at once, and goes with its directory when the deletion is stored', async () => {
    const harness = await filled(300)
    harness.declare('other')
    await harness.publishMany(1)
    const consumer = await harness.consume(first)
    harness.topology.appended = 5
    harness.streams.drop(harness.queue())
    harness.definitions.delete('s')
    assert.equal(consumer.isCancelled, true)
    await harness.settle()
    assert.ok((await harness.files.list(directory)).length > 0, 'a crash now would bring it back')
    harness.commitTopology(5)
    await harness.settle()
    await assert.rejects(harness.files.list(directory), /ENOENT/)
  })

  test('confirms what is on its way to it', async () => {
    const harness = await filled(1)
    const queue = harness.queue()
    harness.topology.appended = 5
    const late = harness.publish('late')
    harness.streams.drop(queue)
    harness.publish('later')
    harness.commitTopology(5)
    await harness.settle()
    harness.publish('latest')
    await harness.settle()
    assert.deepEqual(harness.confirms.confirmed, [1, late, late + 1, late + 2])
    assert.deepEqual(harness.confirms.refused, [])
  })

  test('leaves nothing behind, though a kill came before its directory had gone', async () => {
    const harness = await filled(1)
    harness.definitions.clear()
    await harness.kill()
    await harness.settle()
    await assert.rejects(harness.files.list(directory), /ENOENT/)
    assert.deepEqual(await harness.files.list(root), [])
  })
})

test('a message whose headers are longer than a record may be is refused', async () => {
  const harness = await filled(1)
  harness.publish('x', { headers: { a: 'h'.repeat(260 * 1024) } })
  harness.publish('y')
  await harness.settle()
  assert.deepEqual([harness.confirms.refused, harness.confirms.confirmed], [[2], [1, 3]])
  assert.deepEqual((await harness.consume(first)).offsets, [0, 1])
})

test('a disk without room holds publishers back, and lets them go on when there is room', async () => {
  const harness = await filled(10)
  const before = harness.files.usedBytes
  harness.files.capacityBytes = before + segmentBytes
  for (let count = 0; count < 1500 && !harness.room.includes(true); count += 50) await harness.publishMany(50)
  assert.equal(harness.room.at(-1), true)
  harness.files.capacityBytes = before + 20 * segmentBytes
  await harness.pass(3000, 3)
  assert.equal(harness.room.at(-1), false)
  await harness.publishMany(1)
  assert.deepEqual(harness.confirms.refused, [])
})
