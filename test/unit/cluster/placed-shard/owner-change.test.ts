import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { PlacedCluster, TestConfirms } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
const numbers = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index)
const names = (count: number, from = 0): string[] => numbers(count, from).map((index) => `m${index}`)

describe('when a shard’s owner changes', () => {
  for (const seed of seeds) {
    it(`planned: nothing is lost, doubled, reordered or redelivered, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { seed })
      const random = new SeededRandom(seed)
      await cluster.own('a')
      const confirms = new TestConfirms()
      const consumers = ['a', 'b', 'c'].map((name) => cluster.node(name).consume('q', { limit: 7 }))
      const received = (): number => consumers.reduce((sum, one) => sum + one.received.length, 0)
      for (let number = 1; number <= 600; number++) {
        cluster.node(random.below(2) === 0 ? 'b' : 'c').publish(`m${number}`, 'q', { confirms, sequence: number })
        if (number % 10 === 0) await cluster.settle(random.below(4))
        for (const consumer of consumers) if (random.below(3) === 0) consumer.settle('ack', random.below(5))
        if (number % 150 !== 0) continue
        await cluster.giveUp()
        await cluster.settle(random.below(10))
        await cluster.own(number % 300 === 0 ? 'a' : 'b')
      }
      await cluster.until('all is delivered', () => {
        for (const consumer of consumers) consumer.settle('ack')
        return received() >= 600
      })
      await cluster.until('all is confirmed', () => confirms.confirmed.length === 600)
      await cluster.settle()
      const texts = consumers.flatMap((consumer) => consumer.texts).sort()
      assert.deepEqual(texts, names(600, 1).sort())
      assert.deepEqual(
        consumers.flatMap((consumer) => consumer.redelivered),
        [],
      )
      assert.deepEqual(confirms.refused, [])
      for (const consumer of consumers) consumer.settle('ack')
      await cluster.settle()
      assert.deepEqual(await cluster.node('c').status('q'), { ready: 0, unacked: 0, consumers: 3 })
      for (const { consumer } of consumers) assert.equal(consumer.unacked, 0)
    })

    it(`by the death of the owner: what was confirmed is there once, in order, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { seed })
      const random = new SeededRandom(seed)
      await cluster.own('a')
      const confirms = new TestConfirms()
      for (let number = 1; number <= 300; number++) {
        cluster.node('b').publish(`m${number}`, 'q', { confirms, sequence: number })
        if (number % 7 === 0) await cluster.settle(random.below(3))
        if (number === 150) cluster.kill('a')
        if (number === 200) await cluster.own('c')
      }
      await cluster.until('all is confirmed', () => confirms.confirmed.length === 300)
      assert.deepEqual(confirms.confirmed, numbers(300))
      const consumer = cluster.node('b').consume('q')
      await cluster.until('all is delivered', () => consumer.received.length === 300)
      await cluster.settle()
      assert.deepEqual(consumer.texts, names(300, 1))
    })

    it(`by the death of the owner: what clients hold stays theirs, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { seed })
      await cluster.own('a')
      const [holder, other] = [
        cluster.node('b').consume('q', { limit: 10 }),
        cluster.node('c').consume('q', { limit: 5 }),
      ]
      for (const text of names(20)) cluster.node('b').publish(text, 'q')
      await cluster.until('both are full', () => holder.received.length === 10 && other.received.length === 5)
      const taken = await cluster.node('b').get('q')
      holder.settle('ack', 4)
      cluster.kill('a')
      await cluster.own('c')
      await cluster.until('credit goes on', () => holder.received.length === 14)
      holder.settle('ack')
      other.settle('ack')
      const b = cluster.node('b')
      b.shard.settle(b.queue('q'), null, taken?.sequence ?? 0, taken?.sequence ?? 0, 'ack')
      await cluster.settle()
      const texts = [...holder.texts, ...other.texts, taken?.text].sort()
      assert.deepEqual(texts, names(20).sort())
      holder.settle('ack')
      await cluster.settle()
      assert.deepEqual(await b.status('q'), { ready: 0, unacked: 0, consumers: 2 })
    })

    it(`a link that is cut and mended loses and doubles nothing, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q'), definitionOf(2, 't', false)], {
        seed,
      })
      const random = new SeededRandom(seed)
      await cluster.own('a')
      const confirms = new TestConfirms()
      const consumer = cluster.node('b').consume('q', { limit: 20 })
      const transient = cluster.node('a').consume('t')
      for (let number = 1; number <= 400; number++) {
        const isPersistent = number % 2 === 0
        cluster.node('b').publish(`m${number}`, isPersistent ? 'q' : 't', { confirms, sequence: number, isPersistent })
        if (number % 5 === 0) await cluster.settle(random.below(3))
        if (random.below(3) === 0) consumer.settle('ack', random.below(8))
        if (number % 80 === 0) cluster.network.cut('a', 'b')
        if (number % 80 === 20) cluster.network.mend('a', 'b')
      }
      cluster.network.mend('a', 'b')
      await cluster.until('all is confirmed', () => confirms.confirmed.length === 400)
      await cluster.until('all is delivered', () => {
        consumer.settle('ack')
        return new Set(consumer.texts).size === 200
      })
      await cluster.settle()
      assert.deepEqual(
        transient.texts,
        numbers(200).map((index) => `m${index * 2 - 1}`),
      )
      assert.deepEqual(new Set(consumer.texts), new Set(numbers(200).map((index) => `m${index * 2}`)))
      // Deliveries that were under way when it was cut are the only ones that come again, and never one that was taken.
      assert.equal(consumer.texts.length, 200)
      consumer.settle('ack')
      await cluster.settle()
      assert.deepEqual(await cluster.node('a').status('q'), { ready: 0, unacked: 0, consumers: 1 })
    })
  }

  it('loses and refuses nothing when the owner’s log fails and its node lives on', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { commitTurns: 20 })
    await cluster.own('a')
    const [a, b] = [cluster.node('a'), cluster.node('b')]
    const confirms = new TestConfirms()
    const consumers = [a.consume('q', { limit: 5 }), b.consume('q', { limit: 5 })]
    for (const number of numbers(30)) b.publish(`m${number}`, 'q', { confirms, sequence: number })
    await cluster.until('both hold something', () => consumers.every((one) => one.received.length === 5))
    for (const number of numbers(10, 31)) b.publish(`m${number}`, 'q', { confirms, sequence: number })
    await cluster.settle(6)
    assert.ok(cluster.log.uncommittedBytes > 0)
    a.die()
    await cluster.own('c')
    await cluster.until('all is delivered', () => {
      for (const consumer of consumers) consumer.settle('ack')
      return consumers.reduce((sum, one) => sum + one.received.length, 0) >= 40
    })
    await cluster.until('all is confirmed', () => confirms.confirmed.length === 40)
    assert.deepEqual(confirms.refused, [])
    assert.ok(consumers.every((one) => !one.isCancelled))
    const texts = consumers.flatMap((one) => one.texts).sort()
    assert.deepEqual(texts, names(40, 1).sort())
  })

  for (const taker of ['b', 'c'] as const) {
    it(`lets what was given back and taken by ${taker === 'b' ? 'the same' : 'another'} node's client stay with that one`, async () => {
      const definitions = [definitionOf(1, 'q'), definitionOf(2, 'r')]
      const cluster = await PlacedCluster.start(['a', 'b', 'c', 'd'], definitions, { commitTurns: 60 })
      await cluster.own('a')
      const first = cluster.node('b').consume('q', { limit: 1 })
      cluster.node('a').publish('m', 'q')
      await cluster.until('it is held', () => first.received.length === 1)
      await first.leave()
      const second = cluster.node(taker).consume('q', { limit: 1 })
      await cluster.until('the other one is there', () => second.isRegistered)
      // Nothing that is settled from here on is known to be stored before the owner dies.
      cluster.node('a').publish('other', 'r')
      first.settle('requeue')
      await cluster.until('the other one has it', () => second.received.length === 1)
      cluster.network.cut('a', 'b')
      cluster.network.cut('a', 'c')
      second.settle('ack')
      cluster.kill('a')
      await cluster.own('d')
      await cluster.settle(400)
      assert.deepEqual(second.texts, ['m'])
      assert.deepEqual(await cluster.node('d').status('q'), { ready: 0, unacked: 0, consumers: 1 })
    })
  }

  it('never gives another message the number of one that a client holds, be that gone with its owner', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const b = cluster.node('b')
    const consumer = b.consume('q', { limit: 10 })
    for (const text of names(3)) b.publish(text, 'q', { isPersistent: false })
    await cluster.until('they are held', () => consumer.received.length === 3)
    cluster.kill('a')
    await cluster.own('c')
    for (const text of names(3, 10)) b.publish(text, 'q')
    await cluster.until('all is delivered', () => consumer.received.length === 6)
    consumer.settle('ack', 3)
    await cluster.settle()
    assert.deepEqual(await b.status('q'), { ready: 0, unacked: 3, consumers: 1 })
  })

  it('refuses transient messages that may have gone with their owner, and takes those that it has not sent', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c', 'd'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const b = cluster.node('b')
    const confirms = new TestConfirms()
    const consumer = cluster.node('d').consume('q', { limit: 10 })
    b.publish('m0', 'q')
    await cluster.until('both nodes are attached', () => consumer.received.length === 1)
    // What the owner answers is lost.
    Object.assign(cluster.node('a').peers.find('b') ?? {}, { send: () => {} })
    for (const number of numbers(3)) {
      b.publish(`m${number}`, 'q', { confirms, sequence: number, isPersistent: number === 2 })
    }
    await cluster.until('they are delivered', () => consumer.received.length === 4)
    cluster.kill('a')
    b.publish('m4', 'q', { confirms, sequence: 4, isPersistent: false })
    await cluster.own('c')
    await cluster.until('all is answered', () => confirms.confirmed.length + confirms.refused.length === 4)
    await cluster.until('what is left is delivered', () => consumer.texts.includes('m4'))
    await cluster.settle()
    assert.deepEqual(consumer.texts, names(5))
    assert.deepEqual(confirms.confirmed, [2, 4])
    assert.deepEqual(confirms.refused, [1, 3])
  })

  it('gives back what the clients of a dead node held', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const lost = cluster.node('b').consume('q', { limit: 3 })
    for (const text of names(5)) cluster.node('a').publish(text, 'q')
    await cluster.until('some are held', () => lost.received.length === 3)
    const taken = await cluster.node('b').get('q')
    assert.equal(taken?.text, 'm3')
    cluster.kill('b')
    const consumer = cluster.node('a').consume('q')
    await cluster.until('all is delivered', () => consumer.received.length === 5)
    assert.deepEqual(consumer.texts, names(5))
    assert.deepEqual(consumer.redelivered, names(4))
  })

  it('begins without a node that does not say what its clients hold', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q')], { limits: { claimsMsMax: 100 } })
    await cluster.own('a')
    const lost = cluster.node('b').consume('q', { limit: 3 })
    for (const text of names(5)) cluster.node('c').publish(text, 'q')
    await cluster.until('some are held', () => lost.received.length === 3)
    cluster.network.cut('b', 'c')
    await cluster.giveUp()
    const consumer = cluster.node('a').consume('q')
    await cluster.own('c')
    await cluster.until('all is delivered', () => consumer.received.length === 5)
    assert.deepEqual(consumer.redelivered, names(3))
    lost.settle('ack')
    cluster.network.mend('b', 'c')
    await cluster.settle()
    consumer.settle('ack')
    await cluster.settle()
    assert.deepEqual(await cluster.node('c').status('q'), { ready: 0, unacked: 0, consumers: 2 })
  })

  it('keeps the active one of single active consumers, and exclusive ones alone', async () => {
    const cluster = await PlacedCluster.start(
      ['a', 'b'],
      [definitionOf(1, 's', true, { isSingleActive: true }), definitionOf(2, 'x')],
    )
    await cluster.own('a')
    const active = cluster.node('b').consume('s', { limit: 1 })
    await cluster.settle()
    const waiting = cluster.node('a').consume('s')
    const only = cluster.node('a').consume('x', { isExclusive: true })
    for (const text of names(3)) cluster.node('a').publish(text, 's')
    await cluster.until('one is held', () => active.received.length === 1)
    await cluster.giveUp()
    await cluster.own('b')
    await cluster.settle()
    const refused = cluster.node('b').consume('x')
    active.settle('ack')
    await cluster.until('it goes on', () => active.received.length === 2)
    assert.equal(waiting.received.length, 0)
    await cluster.settle()
    assert.match(String(refused.error), /exclusive use/)
    assert.ok(!only.isCancelled)
    active.settle('ack')
    await cluster.until('and on', () => active.received.length === 3)
  })

  for (const isNoAck of [false, true]) {
    it(`keeps a single active consumer that holds nothing${isNoAck ? ', without acknowledgements' : ''}`, async () => {
      const settings = { isSingleActive: true }
      const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q', true, settings)])
      await cluster.own('a')
      const active = cluster.node('b').consume('q', { isNoAck })
      await cluster.settle()
      const waiting = ['a', 'c'].map((name) => cluster.node(name).consume('q', { isNoAck }))
      cluster.node('c').publish('m0', 'q')
      await cluster.until('it has one', () => active.received.length === 1)
      active.settle('ack')
      await cluster.settle()
      await cluster.giveUp()
      await cluster.own('c')
      for (const text of names(2, 1)) cluster.node('a').publish(text, 'q')
      await cluster.until('it goes on', () => active.received.length === 3)
      for (const { received } of waiting) assert.equal(received.length, 0)
    })
  }

  it('resolves what was refused, and not what was stored, again', async () => {
    const settings = { maxLength: 2, overflow: 'reject-publish' } as const
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [definitionOf(1, 'q', true, settings)])
    await cluster.own('a')
    const confirms = new TestConfirms()
    const b = cluster.node('b')
    for (const number of numbers(2)) b.publish(`m${number}`, 'q', { confirms, sequence: number })
    await cluster.settle()
    for (const number of numbers(2, 3)) b.publish(`m${number}`, 'q', { confirms, sequence: number })
    await cluster.settle()
    assert.deepEqual(confirms.refused, [3, 4])
    await b.get('q', true)
    // Refused, taken, refused: a gap stands between what is stored, and the answers are lost.
    cluster.network.cut('a', 'b')
    for (const number of numbers(3, 5)) b.publish(`m${number}`, 'q', { confirms, sequence: number })
    cluster.kill('a')
    await cluster.own('c')
    await cluster.until('all is answered', () => confirms.confirmed.length + confirms.refused.length === 7)
    assert.deepEqual(confirms.confirmed, [1, 2, 5])
    assert.deepEqual(confirms.refused, [3, 4, 6, 7])
  })

  it('drops deliveries and holds everything while a node is not current', async () => {
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'q')])
    await cluster.own('a')
    const [a, b] = [cluster.node('a'), cluster.node('b')]
    const consumer = b.consume('q')
    await cluster.settle()
    b.shard.setCurrent(false)
    for (const text of names(3)) a.publish(text, 'q')
    b.publish('held', 'q')
    await cluster.settle()
    assert.deepEqual(consumer.texts, [])
    b.shard.setCurrent(true)
    await cluster.until('all is delivered', () => consumer.received.length === 4)
    assert.deepEqual(consumer.texts, [...names(3), 'held'])
    a.shard.setCurrent(false)
    b.publish('later', 'q')
    a.publish('here', 'q')
    await cluster.settle()
    assert.equal(consumer.received.length, 4)
    a.shard.setCurrent(true)
    await cluster.until('all is delivered', () => consumer.received.length === 6)
  })
})
