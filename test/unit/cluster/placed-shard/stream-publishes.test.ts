import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { tableOf } from '../../../../src/amqp/field-table.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { PlacedCluster, TestConfirms } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const streamOf = (id: number, name: string): ReturnType<typeof definitionOf> => ({
  ...definitionOf(id, name),
  arguments: tableOf({ 'x-queue-type': 'stream' }),
})
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => 1 + index)
const fromFirst = { limit: 10_000, arguments: tableOf({ 'x-stream-offset': 'first' }) }

describe('publishes to streams of a shard whose owner changes', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`by death are there once, in order, be they persistent or not, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start(['a', 'b', 'c', 'd'], [streamOf(1, 's'), streamOf(2, 't')], { seed })
      const random = new SeededRandom(seed)
      await cluster.own('a')
      const confirms = new TestConfirms()
      const b = cluster.node('b')
      for (const number of numbers(300)) {
        const isPersistent = random.below(3) > 0
        b.publish(`m${number}`, number % 3 === 0 ? 't' : 's', { confirms, sequence: number, isPersistent })
        if (number % 7 === 0) await cluster.settle(random.below(3))
        if (number === 140) cluster.kill('a')
        if (number === 160) await cluster.own('c')
        // The next owner is the node itself that has sent them.
        if (number === 220) cluster.kill('c')
        if (number === 240) await cluster.own(seed % 2 === 0 ? 'b' : 'd')
      }
      await cluster.until('all is confirmed', () => confirms.confirmed.length === 300)
      assert.deepEqual(confirms.refused, [])
      const [s, t] = [cluster.node('d').consume('s', fromFirst), cluster.node('d').consume('t', fromFirst)]
      await cluster.until('all is read', () => s.received.length >= 200 && t.received.length >= 100)
      await cluster.settle()
      const named = (isThird: boolean): string[] =>
        numbers(300)
          .filter((number) => (number % 3 === 0) === isThird)
          .map((number) => `m${number}`)
      assert.deepEqual(s.texts, named(false))
      assert.deepEqual(t.texts, named(true))
    })
  }

  it('are stored once when their answers are lost', async () => {
    const cluster = await PlacedCluster.start(['a', 'b', 'c'], [streamOf(1, 's')])
    await cluster.own('a')
    const b = cluster.node('b')
    const confirms = new TestConfirms()
    b.publish('m0', 's', { confirms, sequence: 1 })
    await cluster.until('the stream is open', () => confirms.confirmed.length === 1)
    Object.assign(cluster.node('a').peers.find('b') ?? {}, { send: () => {} })
    for (const number of [1, 2, 3]) b.publish(`m${number}`, 's', { confirms, sequence: number + 1 })
    await cluster.settle()
    cluster.kill('a')
    b.publish('m4', 's', { confirms, sequence: 5 })
    await cluster.own('c')
    await cluster.until('all is confirmed', () => confirms.confirmed.length === 5)
    const reader = b.consume('s', fromFirst)
    await cluster.until('all is read', () => reader.received.length >= 5)
    await cluster.settle()
    assert.deepEqual(reader.texts, ['m0', 'm1', 'm2', 'm3', 'm4'])
  })
})
