/** What goes with a node that is killed, besides its connections: the queues that nobody else uses. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RawClient } from '../support/amqp/raw-client.ts'
import { api, isWhole, reportOf } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { eventually } from '../support/eventually.ts'

const readyMsMax = 60_000
/** Enough that each node owns the shard of some. */
const queuesOfAKind = 12

void describe('when a node is killed', () => {
  let cluster: ClusterProcesses

  before(async () => {
    cluster = await ClusterProcesses.start({ env: { WARREN_CLUSTER_SHARDS: '6' }, hasHttp: true })
    for (const node of cluster.nodes) {
      const seesAll = async (): Promise<boolean> => isWhole(await reportOf(node), cluster.nodes.length)
      await eventually(`${node.name} sees all`, () => seesAll().catch(() => false), readyMsMax)
    }
  })
  after(async () => cluster.kill())

  const clientOf = ({ broker: { host, port, user, password } }: ClusterNode): Promise<RawClient> =>
    RawClient.withChannel({ host, port, user, password })

  async function namesOn(node: ClusterNode): Promise<string[]> {
    const response = await api(node, 'queues?columns=name')
    const queues = (await response.json()) as { name: string }[]
    return queues.map(({ name }) => name).sort()
  }

  it('auto-delete queues whose last consumer was there go, as do its exclusive ones and those that expire', async () => {
    const [kept, killed] = [cluster.node(0), cluster.node(1)]
    const [here, there] = [await clientOf(kept), await clientOf(killed)]
    const declare = (client: RawClient, queue: string, flags: object, table = {}): Promise<unknown> =>
      client.call(1, 'queue.declare', { queue, ...flags, arguments: table })
    for (let index = 0; index < queuesOfAKind; index++) {
      await declare(here, `durable-${index}`, { durable: true, autoDelete: true })
      await declare(here, `shared-${index}`, { durable: true, autoDelete: true })
      await declare(here, `unused-${index}`, { durable: true, autoDelete: true })
      await declare(here, `expiring-${index}`, { durable: true }, { 'x-expires': 3_000 })
      for (const name of ['durable', 'shared', 'expiring'])
        await there.call(1, 'basic.consume', { queue: `${name}-${index}`, consumerTag: `${name}-${index}` })
      await here.call(1, 'basic.consume', { queue: `shared-${index}`, consumerTag: `shared-${index}` })
    }
    await declare(here, 'transient', { autoDelete: true })
    await there.call(1, 'basic.consume', { queue: 'transient', consumerTag: 'transient' })
    await declare(there, 'exclusive', { exclusive: true })
    const stays = Array.from({ length: queuesOfAKind }, (_, index) => [`shared-${index}`, `unused-${index}`]).flat()
    // Each owner tells the others that there are consumers, every two seconds.
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    assert.equal((await namesOn(kept)).length, queuesOfAKind * 4 + 2)
    await killed.broker.kill()
    let left: string[] = []
    await eventually(
      'they are gone',
      async () => {
        left = await namesOn(kept)
        return left.length <= stays.length
      },
      readyMsMax,
    ).catch((error: unknown) => {
      throw new Error(`still there: ${left.filter((name) => !stays.includes(name)).join()}`, { cause: error })
    })
    assert.deepEqual(left, stays.sort())
    await here.close()
  })
})
