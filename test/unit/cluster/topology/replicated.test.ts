/** The topology over the log that it really has in a cluster: frames in a stream, a copy on each node. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { Declared } from '../../../../src/broker/commands.ts'
import { TopologyHost } from '../../../../src/cluster/topology-host.ts'
import { queueArguments } from '../../../support/broker-harness.ts'
import { clientOf, during } from '../../../support/cluster/topology-client.ts'
import { TopologyCluster, type TopologyNode } from '../../../support/cluster/topology-cluster.ts'
import { ReplicaStage } from '../../../support/replica-stage.ts'
import { durableDump } from '../../../support/topology-dump.ts'

const names = ['a', 'b', 'c'] as const
const neverStopped = new AbortController().signal

interface Hosted {
  readonly node: TopologyNode
  readonly host: TopologyHost
  readonly lost: string[]
  readonly failures: Error[]
}

async function clusterOf(stage: ReplicaStage): Promise<{ cluster: TopologyCluster; hosts: Map<string, Hosted> }> {
  const cluster = new TopologyCluster({ clock: stage.clock })
  const hosts = new Map<string, Hosted>()
  for (const name of names) hosts.set(name, await hosted(cluster, stage, name))
  return { cluster, hosts }
}

async function hosted(cluster: TopologyCluster, stage: ReplicaStage, name: string): Promise<Hosted> {
  const node = cluster.join(name)
  const disk = stage.newDisk()
  const lost: string[] = []
  const failures: Error[] = []
  const host = new TopologyHost({
    topology: node.cluster,
    openReplica: (listener) => stage.open(disk, listener),
    knownMark: () => null,
    listener: { hostLost: (_shard, loss) => void lost.push(loss) },
    logger: silentLogger,
    failed: (error) => void failures.push(error),
  })
  node.logFailed = (error) => host.logFailed(error)
  await during(cluster, host.start())
  return { node, host, lost, failures }
}

function queuesOf({ topology }: TopologyNode): string[] {
  return [...(topology.vhosts.get('/')?.queues.keys() ?? [])].sort()
}

async function knownToAll(cluster: TopologyCluster): Promise<void> {
  const isQuiet = ({ topology }: TopologyNode): boolean => topology.runQueue.length === 0 && topology.settled > 0
  await cluster.until(() => cluster.all.every((node) => node.isReady && isQuiet(node)))
  await cluster.until(() => new Set(cluster.all.map(({ topology }) => topology.settled)).size === 1)
}

describe('a topology over a replicated log', () => {
  it('goes from owner to owner, on the same nodes and on new ones', { timeout: 60_000 }, async () => {
    const stage = new ReplicaStage()
    const { cluster, hosts } = await clusterOf(stage)
    const hostOf = (name: string): TopologyHost => {
      const host = hosts.get(name)?.host
      assert.ok(host !== undefined)
      return host
    }
    await during(cluster, hostOf('a').open(1, neverStopped))
    for (const [turn, [from, to]] of [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
      ['a', 'c'],
    ].entries()) {
      for (let index = 0; index < 40; index++) {
        const client = clientOf(cluster, names[index % 3] ?? 'a')
        await client.declareQueue(`q${turn}-${index}`, { isDurable: index % 2 === 0 })
        if (index % 4 !== 0) await client.deleteQueue(`q${turn}-${index}`)
      }
      const left = clientOf(cluster, 'b').declareQueue(`between-${turn}`)
      await during(cluster, hostOf(from ?? '').close())
      await during(cluster, hostOf(to ?? '').open(turn + 2, neverStopped))
      await left
    }
    await knownToAll(cluster)
    hosts.set('late', await hosted(cluster, stage, 'late'))
    await knownToAll(cluster)
    assert.equal(cluster.node('a').topology.term, 5)
    const expected = [0, 1, 2, 3].flatMap((turn) => [
      `between-${turn}`,
      ...[0, 4, 8, 12, 16, 20, 24, 28, 32, 36].map((index) => `q${turn}-${index}`),
    ])
    for (const node of cluster.all) {
      assert.deepEqual(queuesOf(node), expected.sort())
      assert.deepEqual(durableDump(node.topology), durableDump(cluster.node('a').topology))
    }
    for (const { failures, lost } of hosts.values()) assert.deepEqual([failures, lost], [[], []])
    for (const { host } of hosts.values()) await during(cluster, host.stop())
  })

  it('is taken over from an owner that believes in itself', { timeout: 60_000 }, async () => {
    const stage = new ReplicaStage()
    const { cluster, hosts } = await clusterOf(stage)
    const [a, b] = [hosts.get('a'), hosts.get('b')]
    assert.ok(a !== undefined && b !== undefined)
    await during(cluster, a.host.open(1, neverStopped))
    await knownToAll(cluster)
    await clientOf(cluster, 'c').declareQueue('before', { isDurable: true })
    cluster.links.cut('a', 'b')
    cluster.links.cut('a', 'c')
    await during(cluster, b.host.open(2, neverStopped))
    // It makes a change that is never stored, and says nothing of it.
    let isAnswered = false
    const session = a.node.session()
    void a.node
      .answered<Declared>((reply) => session.vhost.declareQueue(session, queueArguments('lost'), reply))
      .then(() => {
        isAnswered = true
      })
    await cluster.until(() => a.lost.length > 0)
    assert.deepEqual([a.lost, a.node.restarts.length, isAnswered], [['deposed'], 1, false])
    cluster.kill('a')
    cluster.sessionEnds('a')
    await clientOf(cluster, 'c').declareQueue('after', { isDurable: true })
    await knownToAll(cluster)
    assert.deepEqual(queuesOf(b.node), ['after', 'before'])
    assert.deepEqual(durableDump(cluster.node('c').topology), durableDump(b.node.topology))
  })
})
