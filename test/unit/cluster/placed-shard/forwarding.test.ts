import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { PlacedCluster, TestConfirms } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

const seeds = [1, 2, 3, 4, 5]
const numbers = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index)
const names = (count: number): string[] => numbers(count, 0).map((index) => `m${index}`)

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

describe('a shard on another node', () => {
  it('takes publishes, gives deliveries and hears what becomes of them', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')], { seed: 1 })
    await cluster.own('a')
    const b = cluster.node('b')
    const confirms = new TestConfirms()
    const consumer = b.consume('q')
    for (const number of numbers(100)) b.publish(`m${number - 1}`, 'q', { confirms, sequence: number })
    await cluster.until('all is delivered', () => consumer.received.length === 100)
    assert.deepEqual(consumer.texts, names(100))
    assert.deepEqual(consumer.redelivered, [])
    await cluster.until('all is confirmed', () => confirms.confirmed.length === 100)
    assert.deepEqual(confirms.confirmed, numbers(100))
    consumer.settle('ack')
    await cluster.settle()
    assert.deepEqual(await b.status('q'), { ready: 0, unacked: 0, consumers: 1 })
    assert.equal(await consumer.leave(), 0)
  })

  it('hears from every node that a queue was declared again', async () => {
    const expiring = definitionOf(1, 'q', true, { expiresMs: 60_000 })
    const cluster = await PlacedCluster.start(['a', 'b'], [expiring], { seed: 1 })
    const b = cluster.node('b')
    b.shard.redeclared(b.queue('q'))
    await cluster.own('a')
    await b.status('q')
    const served = cluster.node('a').local?.shard.queueOf(expiring)
    for (const node of cluster.nodes.values()) {
      if (served !== undefined) served.usedAt = 0
      node.shard.redeclared(node.queue('q'))
      await node.status('q')
      assert.ok((served?.usedAt ?? 0) > 0, `from ${node.identity.name}`)
    }
    if (served !== undefined) served.usedAt = 0
    b.publish('no use', 'q')
    await b.status('q')
    assert.equal(served?.usedAt, 0)
  })

  it('stops at a consumer’s limit and goes on as it settles', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const b = cluster.node('b')
    const consumer = b.consume('q', { limit: 3 })
    for (const text of names(10)) b.publish(text, 'q')
    await cluster.settle()
    assert.equal(consumer.received.length, 3)
    consumer.settle('ack', 2)
    await cluster.settle()
    assert.equal(consumer.received.length, 5)
    assert.equal(consumer.consumer.unacked, 3)
  })

  it('takes turns between consumers of all nodes, and keeps an exclusive one alone', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q'), definitionOf(2, 'x')])
    await cluster.own('a')
    const here = cluster.node('a').consume('q')
    const there = cluster.node('b').consume('q')
    const only = cluster.node('b').consume('x', { isExclusive: true })
    await cluster.settle()
    const refused = cluster.node('a').consume('x')
    await cluster.settle()
    assert.match(String(refused.error), /exclusive use/)
    assert.ok(only.isRegistered)
    for (const text of names(10)) cluster.node('a').publish(text, 'q')
    await cluster.settle()
    assert.equal(here.received.length, 5)
    assert.equal(there.received.length, 5)
  })

  it('answers gets, one after the other, and what they took comes back when it is not wanted', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')], { seed: 3 })
    await cluster.own('a')
    const b = cluster.node('b')
    assert.equal(await b.get('q'), null)
    b.publish('one', 'q')
    b.publish('two', 'q')
    const first = await b.get('q')
    assert.equal(first?.text, 'one')
    assert.equal((await b.get('q', true))?.text, 'two')
    b.shard.settle(b.queue('q'), null, first?.sequence ?? 0, first?.sequence ?? 0, 'requeue')
    const again = await b.get('q')
    assert.deepEqual([again?.text, again?.isRedelivered], ['one', true])
  })

  it('grants shared credit one message at a time, over shards of both nodes', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q'), definitionOf(2, 'r')], { seed: 2 })
    await cluster.own('a')
    const b = cluster.node('b')
    const shared = { limit: 2, unacked: 0 }
    const one = b.consume('q', { shared })
    const other = b.consume('r', { shared })
    await cluster.settle()
    for (const text of names(6)) {
      b.publish(`q${text}`, 'q')
      b.publish(`r${text}`, 'r')
    }
    let got = 0
    while (got < 12) {
      const before = got
      await cluster.until('one more comes', () => one.received.length + other.received.length > before)
      await cluster.settle(20)
      assert.ok(one.unsettled.length + other.unsettled.length <= 2)
      assert.ok(shared.unacked <= 2)
      got = one.received.length + other.received.length
      one.settle('ack')
      other.settle('ack')
      for (const { consumer } of [one, other]) b.shard.resume(consumer)
    }
    assert.equal(one.received.length, 6)
    assert.equal(other.received.length, 6)
    await cluster.settle()
    assert.equal(shared.unacked, 0)
  })

  it('does not run ahead of a consumer whose output is full', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const [a, b] = [cluster.node('a'), cluster.node('b')]
    const consumer = b.consume('q')
    consumer.isReady = false
    await cluster.settle()
    const body = 'x'.repeat(10_000)
    for (let index = 0; index < 2_000; index++) a.publish(body, 'q')
    await cluster.settle()
    assert.ok(consumer.received.length * body.length <= 5 * 1024 * 1024, `${consumer.received.length} came at once`)
    consumer.isReady = true
    b.shard.resume(consumer.consumer)
    await cluster.until('all is delivered', () => consumer.received.length === 2_000)
  })

  it('fails what waits for an owner too long, and holds publishes until there is one', async () => {
    const limits = { parkedMsMax: 50, heldBytesMax: 1_000 }
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')], { limits })
    const b = cluster.node('b')
    const confirms = new TestConfirms()
    for (const number of numbers(20)) b.publish(`m${number - 1}`, 'q', { confirms, sequence: number })
    assert.deepEqual(b.congestion, [true])
    await assert.rejects(b.get('q'), /no node that can be reached for 0.05 s/)
    await cluster.own('a')
    await cluster.until('all is confirmed', () => confirms.confirmed.length === 20)
    assert.deepEqual(b.congestion, [true, false])
    const consumer = b.consume('q')
    await cluster.until('all is delivered', () => consumer.received.length === 20)
    assert.deepEqual(consumer.texts, names(20))
  })

  it('waits with a batch until its topology has come as far as the sender’s', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const [a, b] = [cluster.node('a'), cluster.node('b')]
    await b.status('q')
    b.topologyPosition = 7
    b.publish('m', 'q')
    await cluster.settle()
    assert.equal((await a.status('q')).ready, 0)
    a.topologyPosition = 7
    a.link.topologyAdvanced()
    await cluster.settle()
    assert.equal((await a.status('q')).ready, 1)
  })

  for (const seed of seeds) {
    it(`keeps the order of publishes of several nodes each, whatever the link takes, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { seed })
      await cluster.own('a')
      const consumer = cluster.node('c').consume('q')
      for (let index = 0; index < 200; index++) {
        for (const name of ['a', 'b', 'c'])
          cluster.node(name).publish(`${name}${index}`, 'q', { isPersistent: index % 3 > 0 })
        if (index % 20 === 0) await cluster.settle(2)
      }
      await cluster.until('all is delivered', () => consumer.received.length === 600)
      for (const name of ['a', 'b', 'c']) {
        const of = consumer.texts.filter((text) => text.startsWith(name))
        assert.deepEqual(
          of,
          numbers(200, 0).map((index) => `${name}${index}`),
        )
      }
    })
  }
})
