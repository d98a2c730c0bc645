import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { changeOwner, entryNodes } from '../../../support/cluster/changed-owner.ts'
import { PlacedCluster, type PlacedTestConsumer } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const seeds = Array.from({ length: Number(process.env['WARREN_SEEDS'] ?? 12) }, (_, index) => index + 1)
const messages = 120

describe('entries that clients give back while owners die, give the shard away and links are cut', () => {
  for (const seed of seeds) {
    it(`are held by one at a time, and gone once they are acknowledged, seed ${seed}`, async () => {
      const cluster = await PlacedCluster.start([...entryNodes, 'o1', 'o2', 'o3', 'o4'], [definitionOf(1, 'q')], {
        seed,
        commitTurns: seed % 3 === 0 ? 30 : 1,
      })
      const random = new SeededRandom(seed)
      await cluster.own('o1')
      const consumers = entryNodes.map((name) => cluster.node(name).consume('q', { limit: 1 + random.below(8) }))
      const acked = new Set<string>()
      for (let number = 1; number <= messages; number++) {
        cluster.node(entryNodes[random.below(2)] ?? 'b').publish(`m${number}`, 'q')
        if (random.below(3) === 0) await cluster.settle(random.below(12))
        for (const consumer of consumers) answer(consumer, random, acked)
        if (random.below(12) === 0) await changeOwner(cluster, random)
      }
      cluster.network.connectAll()
      if (cluster.owner === null) await cluster.own('b')
      await cluster.until('all is acknowledged', () => {
        for (const consumer of consumers) ackAll(consumer, acked)
        return acked.size === messages
      })
      await cluster.settle()
      assert.deepEqual(await cluster.node('c').status('q'), { ready: 0, unacked: 0, consumers: 2 })
    })
  }
})

/** Some of what the client holds is acknowledged or given back. */
function answer(consumer: PlacedTestConsumer, random: SeededRandom, acked: Set<string>): void {
  look(consumer, acked)
  if (random.below(2) === 0) return
  if (random.below(3) === 0) consumer.settle('requeue', 1 + random.below(3))
  else {
    const count = random.below(3)
    for (const { text } of consumer.unsettled.slice(0, count)) acked.add(text)
    consumer.settle('ack', count)
  }
}

function ackAll(consumer: PlacedTestConsumer, acked: Set<string>): void {
  look(consumer, acked)
  for (const { text } of consumer.unsettled) acked.add(text)
  consumer.settle('ack')
}

/** Nobody is given what it holds already, or what has been acknowledged. */
function look({ unsettled }: PlacedTestConsumer, acked: ReadonlySet<string>): void {
  const texts = unsettled.map(({ text }) => text)
  assert.equal(new Set(texts).size, texts.length, `held twice: ${texts.join(' ')}`)
  assert.deepEqual(
    texts.filter((text) => acked.has(text)),
    [],
    'delivered after it was acknowledged',
  )
}
