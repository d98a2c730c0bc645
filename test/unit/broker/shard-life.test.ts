/** How a shard begins and ends: what fails meanwhile is noticed, and after the end nothing is done any more. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock, SystemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import { type Chunks, chunkBytes, type Message } from '../../../src/broker/message.ts'
import type { BodyWriter, Consumer, Queue } from '../../../src/broker/ports.ts'
import { Turns } from '../../../src/broker/queue/turns.ts'
import { LocalShards, type LocalShardsOptions } from '../../../src/broker/shard/local-shards.ts'
import { LogFailed } from '../../../src/log/log.ts'
import { type MemoryLog, memorySegmentBytes, openMemoryLog } from '../../../src/log/memory/memory-log.ts'
import { definitionOf, messageOf, ShardHarness, TestConfirms, TestConsumer } from '../../support/shard-harness.ts'

const body = new Uint8Array(200_000).fill(7)

async function harness(...names: string[]): Promise<ShardHarness> {
  return new ShardHarness(names.map((name, index) => definitionOf(index + 1, name))).start()
}

function write(writer: BodyWriter): void {
  for (let at = 0; at < body.length; at += chunkBytes) writer.append(body, at, Math.min(body.length, at + chunkBytes))
}

function largeMessage(chunks: Chunks, isPersistent: boolean): Message {
  const message = messageOf('', isPersistent)
  message.bodyBytes = body.length
  message.chunks = chunks
  return message
}

describe('a shard whose log fails', () => {
  it('answers a purge that is under way', async () => {
    const shard = await harness('q')
    for (let index = 0; index < 100; index++) shard.publish('m', ['q'])
    const answers: string[] = []
    shard.shard.purge(shard.queue('q'), {
      done: (count) => answers.push(`purged ${count}`),
      failed: (error) => answers.push(error.kind),
    })
    const { appended } = shard.log
    shard.log.listener?.failed(new Error('no disk'))
    await shard.settle()
    assert.deepEqual(answers, ['internal-error'])
    assert.equal(shard.log.appended, appended, 'nothing is written any more')
  })

  it('lets a large body that is coming in end in a refusal', async () => {
    const shard = await harness('q')
    const confirms = new TestConfirms()
    const writer = shard.shard.openBody(true, body.length)
    writer.append(body, 0, chunkBytes)
    shard.log.reserve = () => {
      throw new LogFailed('no record is taken')
    }
    shard.log.listener?.failed(new Error('no disk'))
    writer.append(body, 0, chunkBytes)
    shard.shard.publish(largeMessage(writer, true), [shard.queue('q')], 1, confirms, 1)
    assert.deepEqual(confirms.refused, [1])
  })

  it('refuses a message whose body was begun before, once it is opened again', async () => {
    const shard = await harness('q')
    const confirms = new TestConfirms()
    const writer = shard.shard.openBody(true, body.length)
    write(writer)
    await shard.restart()
    shard.shard.publish(largeMessage(writer, true), [shard.queue('q')], 1, confirms, 1)
    assert.deepEqual(confirms.refused, [1])
    assert.equal(shard.queue('q').entries.live, 0)
  })

  it('is not opened when that happens in the opening', async () => {
    const shard = await harness('q')
    shard.publish('m', ['q'])
    await shard.settle()
    const replay = shard.log.replay.bind(shard.log)
    shard.log.replay = async (segment, visit) => {
      shard.log.listener?.failed(new Error('no disk'))
      await replay(segment, visit)
    }
    await assert.rejects(shard.restart(), /no disk/)
  })
})

describe('a shard that stops', () => {
  it('delivers nothing from then on, so that what it writes down is exact', async () => {
    const shard = await harness('q')
    for (let index = 0; index < 300; index++) shard.publish(`m${index}`, ['q'])
    const consumer = shard.consume('q', { limit: 50 })
    await shard.settle()
    const sent = consumer.delivered
    const closing = shard.shard.close()
    for (const one of consumer.unsettled) {
      shard.shard.settle(consumer.consumer.queue, consumer.consumer, one.sequence, one.sequence, 'ack')
    }
    shard.shard.resume(consumer.consumer)
    await closing
    assert.equal(consumer.delivered, sent)
    assert.equal(consumer.isCancelled, true)
  })

  it('ends and says so when its log fails meanwhile', { timeout: 60_000 }, async () => {
    const shard = await harness('q')
    shard.publish('m', ['q'])
    const close = shard.log.close.bind(shard.log)
    shard.log.close = async () => {
      shard.log.listener?.failed(new Error('no disk'))
      await close()
    }
    await assert.rejects(shard.shard.close(), /no disk/)
  })

  it('lets go of bodies that are still being read without asking its closed logs', async () => {
    const shard = await harness('q')
    const writer = shard.shard.openBody(false, body.length)
    write(writer)
    shard.shard.publish(largeMessage(writer, false), [shard.queue('q')], 1, null, 0)
    const chunks = await new Promise<Chunks | null>((resolve, reject) => {
      const message = (_queue: Queue, { chunks }: Message): void => resolve(chunks)
      shard.shard.get(shard.queue('q'), true, { message, empty: reject, failed: reject })
    })
    for (let index = 0; index < 300; index++) shard.publish('x'.repeat(4_000), ['q'], { isPersistent: false })
    shard.consume('q', { isNoAck: true })
    await shard.settle()
    assert.deepEqual(
      shard.scratch.segments.map((segment) => segment.id),
      [0, 1],
      'only the body keeps the first segment',
    )
    await shard.shard.close()
    chunks?.release()
  })
})

describe('a shard', () => {
  it('says that it is congested by a large body alone', async () => {
    const shard = new ShardHarness([definitionOf(1, 'q')], { uncommittedBytesMax: 100_000 })
    await shard.start()
    write(shard.shard.openBody(true, body.length))
    assert.deepEqual(shard.congestion, [true])
    await shard.settle()
    assert.deepEqual(shard.congestion, [true, false])
  })

  it('keeps every consumer in turn when a sink asks for more in the middle of a delivery', async () => {
    const shard = await harness('q')
    const sinks = [1, 2, 3].map((id) => new TestConsumer(id, shard.queue('q'), { isActive: true }))
    const turns = new Turns()
    for (const { consumer } of sinks) turns.enter(consumer)
    const first = turns.next()
    ;(sinks[0] as TestConsumer).isReady = false
    const inTheMiddle = turns.next()
    turns.served(inTheMiddle as Consumer)
    turns.served(first as Consumer)
    const served: (number | undefined)[] = []
    for (let count = 0; count < 4; count++) {
      const next = turns.next()
      served.push(next?.id)
      if (next !== null) turns.served(next)
    }
    assert.deepEqual(served, [3, 2, 3, 2])
  })

  it('gives shared credit back for messages of a queue that is deleted', async () => {
    const shard = await harness('q', 'other')
    const shared = { limit: 2, unacked: 0 }
    for (const name of ['q', 'q', 'other']) shard.publish('m', [name])
    const gone = shard.consume('q', { shared })
    const other = shard.consume('other', { shared })
    await shard.settle()
    assert.deepEqual([gone.delivered, other.delivered, shared.unacked], [2, 0, 2])
    shard.shard.dropQueue(shard.queue('q'))
    shard.shard.settle(gone.consumer.queue, gone.consumer, 1, 2, 'ack')
    shard.shard.resume(other.consumer)
    await shard.settle()
    assert.deepEqual([other.delivered, shared.unacked], [1, 1])
  })

  it('writes a digest later when there is no room for it', async () => {
    const clock = new ManualClock()
    const shard = new ShardHarness([definitionOf(1, 'q')], { clock })
    await shard.start()
    const writeDigest = shard.log.writeDigest.bind(shard.log)
    let tries = 0
    shard.log.writeDigest = async (segment, digest) => {
      if (++tries < 3) throw new LogFailed('digest', { cause: Object.assign(new Error('full'), { code: 'ENOSPC' }) })
      await writeDigest(segment, digest)
    }
    for (let index = 0; index < 300; index++) shard.publish('x'.repeat(4_000), ['q'])
    for (let round = 0; round < 4; round++) {
      await shard.settle()
      clock.advance(1_000)
    }
    assert.equal(tries, 3)
    assert.deepEqual(shard.failures, [])
  })

  it('says that an entry is settled before it says that the place of its record is free', async () => {
    const clock = new ManualClock()
    const shard = new ShardHarness([definitionOf(1, 'q'), definitionOf(2, 'filler')], { clock })
    await shard.start()
    shard.publish('m', ['q'])
    const consumer = shard.consume('q')
    shard.consume('filler', { isNoAck: true })
    for (let index = 0; index < 600; index++)
      shard.publish(index === 300 ? 'm' : 'x'.repeat(4_000), [index === 300 ? 'q' : 'filler'])
    await shard.settle()
    // The second segment is freed at once; with it the state of the queue is written down.
    shard.shard.settle(consumer.consumer.queue, consumer.consumer, 2, 2, 'ack')
    for (let round = 0; round < 3; round++) {
      clock.advance(500)
      await shard.settle()
    }
    assert.deepEqual(
      shard.log.segments.map((segment) => segment.id),
      [0, 2],
    )
    const { appended } = shard.log
    const freed: number[] = []
    const free = shard.log.free.bind(shard.log)
    shard.log.free = (segment) => {
      freed.push(shard.log.appended - appended)
      free(segment)
    }
    shard.shard.settle(consumer.consumer.queue, consumer.consumer, 1, 1, 'ack')
    clock.advance(500)
    for (let tick = 0; tick < 100 && freed.length === 0; tick++) await Promise.resolve()
    assert.ok(freed.length > 0 && freed.every((bytes) => bytes > 0), `freed when ${freed.join()} bytes were appended`)
  })
})

describe('the shard of a node', () => {
  it('closes the logs of a failed shard before it opens them again', async () => {
    const node = new Node()
    await node.shards.start(topology)
    node.logs[0]?.listener?.failed(new Error('no disk'))
    await node.until(() => node.events.includes('reopened') && node.opened === 2)
    assert.deepEqual(
      node.events.filter((event) => event !== 'reopened'),
      ['open 1', 'close 1', 'open 2'],
    )
    await node.shards.close()
    assert.equal(node.events.at(-1), 'close 2')
  })

  it('closes the logs of a shard that cannot be opened', async () => {
    const node = new Node()
    node.refuses = true
    await assert.rejects(node.shards.start(topology), /not today/)
    assert.deepEqual(node.events, ['open 1', 'close 1'])
  })

  it('waits for an opening before it closes', async () => {
    const node = new Node()
    await node.shards.start(topology)
    node.logs[0]?.listener?.failed(new Error('no disk'))
    await node.shards.close()
    const closed = node.events.filter((event) => event.startsWith('close')).length
    assert.equal(closed, node.opened, 'no log is left open')
  })

  it('forgets a queue that is deleted while the shard is opened', async () => {
    const node = new Node()
    const definition = definitionOf(1, 'q')
    definition.queue = node.shards.open(definition)
    const starting = node.shards.start(topology)
    const { queue } = definition
    if (queue !== null) node.shards.drop(queue)
    await starting
    assert.deepEqual([...(node.shards.queues ?? [null])], [])
    await node.shards.close()
  })
})

const topology = { appended: 0, committed: 0, reroute: () => false, expireQueue: () => {} }

/** A node with nothing but shards; its logs tell when they are opened and closed. */
class Node {
  readonly events: string[] = []
  readonly logs: MemoryLog[] = []
  readonly shards: LocalShards
  opened = 0
  refuses = false

  constructor() {
    const clock = new SystemClock()
    const options: LocalShardsOptions = {
      openLogs: async () => ({ log: await this.#open(), scratch: await openMemoryLog({ clock }) }),
      scratchSegmentBytes: memorySegmentBytes,
      clock,
      random: new SeededRandom(1),
      runQueue: new RunQueue(clock),
      logger: silentLogger,
      congestionChanged: () => {},
      roomChanged: () => {},
      reopened: () => this.events.push('reopened'),
      fatal: (error) => this.events.push(`fatal ${error.message}`),
    }
    this.shards = new LocalShards(options)
  }

  async #open(): Promise<MemoryLog> {
    const number = ++this.opened
    this.events.push(`open ${number}`)
    const log = await openMemoryLog({ clock: new SystemClock() })
    const close = log.close.bind(log)
    log.close = async () => {
      this.events.push(`close ${number}`)
      await close()
    }
    if (this.refuses) log.replay = () => Promise.reject(new Error('not today'))
    this.logs.push(log)
    return log
  }

  async until(condition: () => boolean): Promise<void> {
    for (let turns = 0; !condition(); turns++) {
      assert.ok(turns < 1_000, this.events.join(', '))
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }
}
