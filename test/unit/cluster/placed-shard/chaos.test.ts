import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { changeOwner, entryNodes } from '../../../support/cluster/changed-owner.ts'
import { PlacedCluster, TestConfirms } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const seeds = [1, 2, 3, 4, 5, 6]
const messages = 400

describe('a shard whose owners die, fail and give it away while links are cut', () => {
  for (const seed of seeds) {
    it(`gives each message once to the clients of nodes that live on, seed ${seed}`, async () => {
      const owners = ['o1', 'o2', 'o3', 'o4', 'o5', 'o6']
      const cluster = await PlacedCluster.start([...entryNodes, ...owners], [definitionOf(1, 'q')], { seed })
      const random = new SeededRandom(seed)
      await cluster.own('o1')
      const confirms = new TestConfirms()
      const consumers = entryNodes.map((name) => cluster.node(name).consume('q', { limit: 1 + random.below(20) }))
      const taken: string[] = []
      for (let number = 1; number <= messages; number++) {
        const name = entryNodes[random.below(2)] ?? 'b'
        cluster.node(name).publish(`m${number}`, 'q', { confirms, sequence: number })
        if (random.below(4) === 0) await cluster.settle(random.below(6))
        for (const consumer of consumers) if (random.below(3) === 0) consumer.settle('ack', random.below(6))
        if (random.below(25) === 0) await take(cluster, entryNodes[random.below(2)] ?? 'c', taken)
        if (random.below(20) === 0) await changeOwner(cluster, random)
      }
      cluster.network.connectAll()
      if (cluster.owner === null) await cluster.own('b')
      const received = (): number => consumers.reduce((sum, one) => sum + one.received.length, taken.length)
      await cluster.until('all is delivered', () => {
        for (const consumer of consumers) consumer.settle('ack')
        return received() >= messages
      })
      await cluster.until('all is confirmed', () => confirms.confirmed.length === messages)
      await cluster.settle()
      for (const consumer of consumers) consumer.settle('ack')
      await cluster.settle()
      assert.deepEqual(confirms.refused, [])
      const texts = [...taken, ...consumers.flatMap((consumer) => consumer.texts)].sort()
      assert.deepEqual(texts, Array.from({ length: messages }, (_, index) => `m${index + 1}`).sort())
      assert.deepEqual(await cluster.node('c').status('q'), { ready: 0, unacked: 0, consumers: 2 })
    })
  }
})

/** Takes a message by `get` and acknowledges it, if there is one and an owner that gives it. */
async function take(cluster: PlacedCluster, name: string, taken: string[]): Promise<void> {
  if (cluster.owner === null) return
  const node = cluster.node(name)
  cluster.network.connectAll()
  const got = await node.get('q')
  if (got === null) return
  taken.push(got.text)
  node.shard.settle(node.queue('q'), null, got.sequence, got.sequence, 'ack')
}
