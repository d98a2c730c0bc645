/**
 * What goes with a node that is killed, besides its connections: the queues that nobody else uses. Also where their owners are
 * killed at the same time: those that are left delete them all the same.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RawClient } from '../support/amqp/raw-client.ts'
import { api, untilWhole } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { eventually } from '../support/eventually.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'

const readyMsMax = 60_000
/** Enough that each node owns the shard of some. */
const queuesOfAKind = 12

if ((await natsProgram()) === null) leftOut('queues of nodes that are killed', 'nats-server')
else describe('when a node is killed', withDeadNodes)

function withDeadNodes(): void {
  let cluster: ClusterProcesses

  before(async () => {
    const env = { WARREN_CLUSTER_SHARDS: '6', WARREN_CLUSTER_SESSION: '5s' }
    cluster = await ClusterProcesses.start({ env, hasHttp: true })
    await untilWhole(cluster)
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
    killed.broker.spawn()
    await killed.broker.untilListening(readyMsMax)
  })

  // Last: two nodes are gone afterwards.
  it('auto-delete queues go whose consumers have just come when their node and the owners are killed', async () => {
    await untilWhole(cluster)
    const [one, two, three] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    const passing = async (): Promise<number> =>
      (await namesOn(three)).filter((name) => name.startsWith('passing-')).length
    const client = await clientOf(one)
    const queues = Array.from({ length: 8 }, (_, index) => `passing-${index}`)
    for (const queue of queues) await client.call(1, 'queue.declare', { queue, durable: true, autoDelete: true })
    assert.equal(await passing(), queues.length)
    for (const queue of queues) await client.call(1, 'basic.consume', { queue, consumerTag: queue })
    await Promise.all([one.broker.kill(), two.broker.kill()])
    await eventually('none is left', async () => (await passing()) === 0, readyMsMax)
  })
}
