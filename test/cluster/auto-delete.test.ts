/** Auto-delete queues whose consumers and owners are gone at once: those that are left delete them all the same. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RawClient } from '../support/amqp/raw-client.ts'
import { api, isWhole, reportOf } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { eventually } from '../support/eventually.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'

const queues = Array.from({ length: 8 }, (_, index) => `passing-${index}`)
const msMax = 60_000

if ((await natsProgram()) === null) leftOut('auto-delete queues of a cluster', 'nats-server')
else
  void describe('a cluster of three nodes', () => {
    let cluster: ClusterProcesses

    before(async () => {
      const env = { WARREN_CLUSTER_SHARDS: '4', WARREN_CLUSTER_SESSION: '5s' }
      cluster = await ClusterProcesses.start({ env, hasHttp: true })
    })
    after(async () => cluster.kill())

    it('deletes queues whose consumers have just come when their node and the owners are killed', async () => {
      const [one, two, three] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
      const isReady = async (): Promise<boolean> => isWhole(await reportOf(three), 3)
      await eventually('all are there', () => isReady().catch(() => false), msMax)
      const { host, port, user, password } = one.broker
      const client = await RawClient.withChannel({ host, port, user, password })
      for (const queue of queues) await client.call(1, 'queue.declare', { queue, durable: true, autoDelete: true })
      assert.equal((await queuesAt(three)).length, queues.length)
      for (const queue of queues) await client.call(1, 'basic.consume', { queue, consumerTag: queue })
      await Promise.all([one.broker.kill(), two.broker.kill()])
      await eventually('none is left', async () => (await queuesAt(three)).length === 0, msMax)
    })
  })

async function queuesAt(node: ClusterNode): Promise<unknown[]> {
  return (await (await api(node, 'queues')).json()) as unknown[]
}
