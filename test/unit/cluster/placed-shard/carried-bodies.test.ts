import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { tableOf } from '../../../../src/amqp/field-table.ts'
import type { BodyWriter } from '../../../../src/broker/ports.ts'
import { carriedBytesMax } from '../../../../src/cluster/placed-shard/shard-link.ts'
import { PlacedCluster, type PlacedNode, TestConfirms } from '../../../support/cluster/placed-harness.ts'
import { definitionOf, messageOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const bodyBytes = 300_000
const body = Uint8Array.from({ length: bodyBytes }, (_, index) => (index * 7 + (index >> 8)) & 0xff)
const stream = { ...definitionOf(2, 's'), arguments: tableOf({ 'x-queue-type': 'stream' }) }
const fromFirst = { limit: 10, arguments: tableOf({ 'x-stream-offset': 'first' }) }

function publish(node: PlacedNode, name: string, writer: BodyWriter, confirms: TestConfirms): void {
  const queue = node.queue(name)
  const message = messageOf('', true)
  message.bodyBytes = bodyBytes
  message.chunks = writer
  queue.shard.publish(message, [queue], 1, confirms, 1)
}

describe('a large body that is being received by the node that owns its shard', () => {
  for (const name of ['q', 's'] as const) {
    for (const owner of ['b', 'a'] as const) {
      it(`goes to ${name} of the next owner, ${owner === 'a' ? 'the same' : 'another'} node`, async () => {
        const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q'), stream])
        await cluster.own('a')
        await cluster.settle()
        const a = cluster.node('a')
        await a.status(name)
        const confirms = new TestConfirms()
        const writer = a.queue(name).shard.openBody(true, bodyBytes)
        writer.append(body, 0, 130_000)
        await cluster.giveUp()
        writer.append(body, 130_000, 200_000)
        await cluster.own(owner)
        await cluster.settle()
        writer.append(body, 200_000, bodyBytes)
        publish(a, name, writer, confirms)
        await cluster.until('it is answered', () => confirms.confirmed.length + confirms.refused.length === 1)
        assert.deepEqual(confirms.confirmed, [1])
        const consumer = cluster.node(owner).consume(name, fromFirst)
        const pieces: Buffer[] = []
        const deliver = consumer.deliver.bind(consumer)
        consumer.deliver = (by, message, ...rest) => {
          const { chunks } = message
          for (let index = 0; index < (chunks?.count ?? 0); index++)
            chunks?.read(index, (_, bytes, start, end) => pieces.push(Buffer.from(bytes.subarray(start, end))))
          deliver(by, message, ...rest)
        }
        await cluster.until('it is read', () => Buffer.concat(pieces).length === bodyBytes)
        assert.deepEqual(Buffer.concat(pieces), Buffer.from(body))
        assert.equal(a.link.carried.used, 0)
      })
    }
  }

  it('is refused, and nothing else, when there is no room to keep it', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')])
    await cluster.own('a')
    await cluster.settle()
    const a = cluster.node('a')
    const first = a.queue('q').shard.openBody(true, carriedBytesMax)
    const second = a.queue('q').shard.openBody(true, bodyBytes)
    assert.equal(a.link.carried.used, carriedBytesMax)
    second.append(body, 0, bodyBytes)
    await cluster.giveUp()
    await cluster.own('b')
    await cluster.settle()
    const confirms = new TestConfirms()
    publish(a, 'q', second, confirms)
    a.publish('small', 'q', { confirms, sequence: 2 })
    await cluster.until('both are answered', () => confirms.confirmed.length + confirms.refused.length === 2)
    assert.deepEqual([confirms.refused, confirms.confirmed], [[1], [2]])
    first.abandon()
    assert.equal(a.link.carried.used, 0)
  })

  it('keeps nothing when it is published where it was begun', async () => {
    const cluster = await PlacedCluster.start(['a'], [definitionOf(1, 'q')])
    await cluster.own('a')
    await cluster.settle()
    const a = cluster.node('a')
    const confirms = new TestConfirms()
    const writer = a.queue('q').shard.openBody(true, bodyBytes)
    writer.append(body, 0, bodyBytes)
    publish(a, 'q', writer, confirms)
    await cluster.until('it is confirmed', () => confirms.confirmed.length === 1)
    assert.equal(a.link.carried.used, 0)
  })
})
