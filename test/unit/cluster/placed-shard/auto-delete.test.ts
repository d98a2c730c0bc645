import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { QueueSettings } from '../../../../src/broker/queue/queue-settings.ts'
import type { QueueDefinition } from '../../../../src/broker/topology/queue-definition.ts'
import { PlacedCluster, type PlacedClusterOptions } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const autoDelete = (id: number, name: string, settings: Partial<QueueSettings> = {}): QueueDefinition => ({
  ...definitionOf(id, name, true, settings),
  isAutoDelete: true,
})

/** Nodes a, b and c, of which a owns the shard; what any of them asks to be deleted is noted. */
async function started(
  definitions: QueueDefinition[],
  options: PlacedClusterOptions = {},
): Promise<{ cluster: PlacedCluster; deleted: string[] }> {
  const cluster = await PlacedCluster.start(['a', 'b', 'c'], definitions, options)
  const deleted: string[] = []
  for (const node of cluster.nodes.values()) {
    node.topology.expireQueue = ({ name }) => deleted.push(`${name} by ${node.identity.name}`)
  }
  await cluster.own('a')
  return { cluster, deleted }
}

describe('an auto-delete queue', () => {
  it('goes with the node of its last consumer', async () => {
    const { cluster, deleted } = await started([autoDelete(1, 'q'), autoDelete(2, 'other'), definitionOf(3, 'kept')])
    const consumers = ['q', 'kept'].map((name) => cluster.node('b').consume(name))
    await cluster.until('they are there', () => consumers.every((one) => one.isRegistered))
    cluster.kill('b')
    await cluster.settle()
    assert.deepEqual(deleted, ['q by a'])
  })

  it('is told to have a consumer when one has come, by the node that it came to', async () => {
    const { cluster } = await started([autoDelete(1, 'q'), definitionOf(2, 'kept')])
    const consumers = ['q', 'kept'].map((name) => cluster.node('b').consume(name))
    await cluster.until('they are there', () => consumers.every((one) => one.isRegistered))
    assert.deepEqual(cluster.node('b').consumersCame, [1])
    assert.deepEqual(cluster.node('a').consumersCame, [])
    cluster.node('a').consume('q')
    await cluster.settle()
    assert.deepEqual(cluster.node('a').consumersCame, [1])
  })

  it('stays while another node has a consumer, and goes with that', async () => {
    const { cluster, deleted } = await started([autoDelete(1, 'q')])
    const consumers = ['b', 'c'].map((name) => cluster.node(name).consume('q'))
    await cluster.until('both are there', () => consumers.every((one) => one.isRegistered))
    cluster.kill('b')
    await cluster.settle()
    assert.deepEqual(deleted, [])
    cluster.kill('c')
    await cluster.settle()
    assert.deepEqual(deleted, ['q by a'])
  })

  it('stays when its consumer’s link is cut and mended, and when the owner changes', async () => {
    const { cluster, deleted } = await started([autoDelete(1, 'q')])
    const consumer = cluster.node('b').consume('q')
    await cluster.until('it is there', () => consumer.isRegistered)
    cluster.network.cut('a', 'b')
    await cluster.settle()
    cluster.network.mend('a', 'b')
    await cluster.settle()
    await cluster.giveUp()
    cluster.hadConsumers = [autoDelete(1, 'q')]
    await cluster.own('c')
    await cluster.settle()
    cluster.node('a').publish('m', 'q')
    await cluster.until('it is delivered', () => consumer.received.length === 1)
    assert.deepEqual(deleted, [])
  })

  it('goes when its consumer was on the node that owned it', async () => {
    const { cluster, deleted } = await started([autoDelete(1, 'q'), autoDelete(2, 'unused')])
    const consumer = cluster.node('a').consume('q')
    await cluster.until('it is there', () => consumer.isRegistered)
    cluster.kill('a')
    cluster.hadConsumers = [autoDelete(1, 'q')]
    await cluster.own('c')
    await cluster.settle()
    assert.deepEqual(deleted, ['q by c'])
  })

  it('goes when the node of its consumer dies while the next owner waits for claims', async () => {
    const { cluster, deleted } = await started([autoDelete(1, 'q')])
    const consumer = cluster.node('b').consume('q')
    await cluster.until('it is there', () => consumer.isRegistered)
    cluster.node('b').shard.servedByNobody()
    cluster.network.cut('a', 'c')
    cluster.kill('a')
    cluster.hadConsumers = [autoDelete(1, 'q')]
    cluster.network.cut('b', 'c')
    await cluster.own('c')
    cluster.kill('b')
    await cluster.settle()
    assert.deepEqual(deleted, ['q by c'])
  })

  it('waits for a node that has not said in time what its clients hold', async () => {
    const { cluster, deleted } = await started([autoDelete(1, 'q')], { limits: { claimsMsMax: 50 } })
    const consumer = cluster.node('b').consume('q')
    await cluster.until('it is there', () => consumer.isRegistered)
    cluster.network.cut('b', 'c')
    await cluster.giveUp()
    cluster.hadConsumers = [autoDelete(1, 'q')]
    await cluster.own('c')
    const late = cluster.node('c').consume('q')
    await cluster.until('the shard serves', () => late.isRegistered)
    await late.leave()
    cluster.network.mend('b', 'c')
    await cluster.settle()
    assert.deepEqual(deleted, [])
    cluster.kill('b')
    await cluster.settle()
    assert.deepEqual(deleted, ['q by c'])
  })

  it('that expires without use does so from when the node of its last consumer died', async () => {
    const { cluster, deleted } = await started([definitionOf(1, 'q', true, { expiresMs: 100 })])
    const consumer = cluster.node('b').consume('q')
    await cluster.until('it is there', () => consumer.isRegistered)
    await new Promise((resolve) => setTimeout(resolve, 250))
    assert.deepEqual(deleted, [])
    cluster.kill('b')
    await cluster.until('it is gone', () => deleted.length > 0)
    assert.equal(deleted[0], 'q by a')
  })
})
