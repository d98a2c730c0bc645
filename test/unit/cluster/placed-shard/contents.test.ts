import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { emptyTable, tableOf } from '../../../../src/amqp/field-table.ts'
import type { Chunks, Message } from '../../../../src/broker/message.ts'
import type { Consumer } from '../../../../src/broker/ports.ts'
import {
  PlacedCluster,
  type PlacedNode,
  PlacedTestConsumer,
  TestConfirms,
} from '../../../support/cluster/placed-harness.ts'
import { definitionOf, messageOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const bodyBytes = 300_000

/** Publishes a body that is too large for one record, each byte of which depends on its place. */
function publishLarge(node: PlacedNode, name: string, confirms: TestConfirms, sequence: number): void {
  const queue = node.queue(name)
  const writer = queue.shard.openBody(true, bodyBytes)
  const bytes = bodyOf(sequence)
  for (let at = 0; at < bodyBytes; at += 10_000) writer.append(bytes, at, Math.min(at + 10_000, bodyBytes))
  const message = messageOf('', true)
  message.bodyBytes = bodyBytes
  message.chunks = writer
  queue.shard.publish(message, [queue], 1, confirms, sequence)
}

function bodyOf(sequence: number): Uint8Array {
  return Uint8Array.from({ length: bodyBytes }, (_, index) => (index * 7 + (index >> 8) + sequence) & 0xff)
}

/** Reads all pieces, one after the other. */
async function readAll(chunks: Chunks): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for (let index = 0; index < chunks.count; index++) {
    const piece = await new Promise<Uint8Array>((resolve, reject) => {
      chunks.read(index, (error, buffer, start, end) => {
        if (error === null) resolve(buffer.slice(start, end))
        else reject(error)
      })
    })
    pieces.push(piece)
  }
  chunks.release()
  return Buffer.concat(pieces)
}

/** Takes large bodies as a connection would. */
function consumeLarge(node: PlacedNode, name: string, bodies: Promise<Uint8Array>[]): Consumer {
  const sink = {
    isReady: true,
    deliver: (_consumer: Consumer, message: Message) => {
      if (message.chunks !== null) bodies.push(readAll(message.chunks))
    },
    cancelled: () => {},
    leaseEnded: () => {},
  }
  const consumer: Consumer = {
    id: 1,
    tag: 'large',
    queue: node.queue(name),
    sink,
    isNoAck: false,
    isExclusive: false,
    priority: 0,
    limit: 0,
    shared: null,
    timeoutMs: null,
    arguments: emptyTable,
    unacked: 0,
    isActive: false,
    isLeaving: false,
    isInTurn: false,
  }
  node.shard.register(consumer, {
    done: () => node.shard.activate(consumer),
    failed: (error) => assert.fail(error),
  })
  return consumer
}

describe('large bodies of a shard on another node', () => {
  it('go there and come back in pieces', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')], { seed: 5 })
    await cluster.own('a')
    const confirms = new TestConfirms()
    const bodies: Promise<Uint8Array>[] = []
    consumeLarge(cluster.node('b'), 'q', bodies)
    publishLarge(cluster.node('b'), 'q', confirms, 1)
    publishLarge(cluster.node('a'), 'q', confirms, 2)
    await cluster.until('both come', () => bodies.length === 2)
    const got = await Promise.all(bodies)
    assert.deepEqual(new Set(got.map((body) => Buffer.from(body).toString('base64'))), textsOf([1, 2]))
    await cluster.until('both are confirmed', () => confirms.confirmed.length === 2)
  })

  it('are sent again, whole and once, when the owner dies', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { seed: 6 })
    await cluster.own('a')
    const confirms = new TestConfirms()
    for (const number of [1, 2, 3]) publishLarge(cluster.node('b'), 'q', confirms, number)
    await cluster.settle(3)
    cluster.kill('a')
    publishLarge(cluster.node('b'), 'q', confirms, 4)
    await cluster.own('c')
    await cluster.until('all are confirmed', () => confirms.confirmed.length === 4)
    const bodies: Promise<Uint8Array>[] = []
    consumeLarge(cluster.node('b'), 'q', bodies)
    await cluster.until('all come', () => bodies.length === 4)
    await cluster.settle()
    const got = await Promise.all(bodies)
    assert.equal(got.length, 4)
    assert.deepEqual(new Set(got.map((body) => Buffer.from(body).toString('base64'))), textsOf([1, 2, 3, 4]))
  })
})

function textsOf(sequences: readonly number[]): Set<string> {
  return new Set(sequences.map((sequence) => Buffer.from(bodyOf(sequence)).toString('base64')))
}

describe('a stream on another node', () => {
  const stream = { ...definitionOf(1, 's'), arguments: tableOf({ 'x-queue-type': 'stream' }) }

  it('is read on from where its consumer was when the owner changes', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [stream], { seed: 4 })
    await cluster.own('a')
    const b = cluster.node('b')
    const confirms = new TestConfirms()
    const consumer = b.consume('s', { limit: 50, arguments: tableOf({ 'x-stream-offset': 'first' }) })
    for (let number = 1; number <= 100; number++) {
      b.publish(`m${number}`, 's', { confirms, sequence: number })
      if (number === 40) {
        await cluster.until('some are read', () => consumer.received.length >= 20)
        consumer.settle('ack', 10)
        await cluster.giveUp()
        await cluster.own('c')
      }
    }
    await cluster.until('all is confirmed', () => confirms.confirmed.length === 100)
    await cluster.until('all is read', () => {
      consumer.settle('ack')
      return consumer.received.length >= 100
    })
    assert.deepEqual(
      consumer.texts,
      Array.from({ length: 100 }, (_, index) => `m${index + 1}`),
    )
  })

  for (const [offset, first] of [
    ['next', 3],
    ['last', 2],
  ] as const) {
    for (const next of ['b', 'c']) {
      it(`passes nothing by a consumer that began at '${offset}' and has got nothing, when ${next} is the next owner`, async () => {
        const cluster = await PlacedCluster.start(['a', 'b', 'c'], [stream], { seed: 5 })
        await cluster.own('a')
        const b = cluster.node('b')
        for (const text of ['m1', 'm2']) b.publish(text, 's')
        await cluster.settle()
        const options = { limit: 10, arguments: tableOf({ 'x-stream-offset': offset }) }
        const slow = new PlacedTestConsumer(cluster.nextConsumer(), b, 's', options)
        let isRegistered = false
        b.shard.register(slow.consumer, {
          done: () => {
            isRegistered = true
          },
          failed: (error) => assert.fail(error),
        })
        await cluster.until('it is registered', () => isRegistered)
        for (const text of ['m3', 'm4']) cluster.node('a').publish(text, 's')
        await cluster.settle()
        await cluster.giveUp()
        await cluster.own(next)
        await cluster.settle()
        assert.equal(slow.received.length, 0)
        // Its consume-ok has been sent by now.
        b.shard.activate(slow.consumer)
        const texts = ['m1', 'm2', 'm3', 'm4'].slice(first - 1)
        await cluster.until('all of them', () => slow.received.length === texts.length)
        assert.deepEqual(slow.texts, texts)
      })
    }
  }

  for (const next of ['b', 'c']) {
    it(`gives a named consumer nothing twice, and keeps its place, when ${next} is the next owner`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b', 'c'], [stream], { seed: 5 })
      await cluster.own('a')
      const b = cluster.node('b')
      const named = { 'x-stream-offset': 'first', 'x-stream-consumer-name': 'n' }
      const consumer = b.consume('s', { limit: 3, arguments: tableOf(named) })
      const texts = Array.from({ length: 8 }, (_, index) => `m${index + 1}`)
      for (const text of texts) b.publish(text, 's')
      await cluster.until('as much as it may hold', () => consumer.received.length === 3)
      consumer.settle('ack', 1)
      consumer.settle('requeue', 1)
      await cluster.until('two more', () => consumer.received.length === 5)
      // Done behind what it has given back: no place that is remembered tells of it.
      const [first, ...others] = consumer.unsettled.splice(0)
      consumer.unsettled.push(...others, ...(first === undefined ? [] : [first]))
      consumer.settle('ack', 1)
      await cluster.until('and one', () => consumer.received.length === 6)
      await cluster.giveUp()
      await cluster.own(next)
      await cluster.settle()
      assert.equal(consumer.received.length, 6)
      consumer.settle('ack', 1)
      await cluster.until('one more', () => consumer.received.length === 7)
      consumer.settle('ack')
      await cluster.until('all', () => consumer.received.length === 8)
      consumer.settle('ack')
      await cluster.settle()
      assert.deepEqual(consumer.texts, texts)
      assert.equal(consumer.consumer.unacked, 0)
      await consumer.leave()
      const after = b.consume('s', { limit: 10, arguments: tableOf(named) })
      await cluster.until('from what was given back', () => after.received.length === 7)
      assert.deepEqual(after.texts, texts.slice(1))
    })
  }
})
