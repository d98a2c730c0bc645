/** Changes asked for on any node of a cluster: made by the owner, answered when all know them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { fromRabbitHash, hashPassword } from '../../../../src/broker/access/password-hash.ts'
import { idsPerIncarnation } from '../../../../src/cluster/node-identity.ts'
import { consumeArguments, refusal, routed } from '../../../support/broker-harness.ts'
import { clientOf, during } from '../../../support/cluster/topology-client.ts'
import { dataShards, TopologyCluster } from '../../../support/cluster/topology-cluster.ts'
import { durableDump } from '../../../support/topology-dump.ts'

const all = { configure: '.*', write: '.*', read: '.*' }
const names = ['a', 'b', 'c'] as const

function dumps(cluster: TopologyCluster): string[][] {
  return cluster.all.map(({ topology }) => durableDump(topology))
}

describe('a cluster that starts', () => {
  it('makes the defaults once, and lets each node in when it counts', async () => {
    const cluster = new TopologyCluster()
    for (const name of names) cluster.start(name)
    await cluster.pass(50)
    assert.deepEqual(
      cluster.all.map(({ isReady }) => isReady),
      [false, false, false],
    )
    await cluster.owns('b')
    await cluster.settled()
    for (const { topology } of cluster.all) {
      assert.deepEqual([...topology.vhosts.keys()], ['/'])
      assert.deepEqual([...topology.nodes.keys()].sort(), [1, 2, 3])
    }
    await cluster.node('b').stepDown()
    await cluster.owns('c')
    await cluster.settled()
    assert.equal(cluster.node('a').topology.term, 2)
    assert.equal(cluster.node('a').topology.users.size, 1)
  })

  it('waits for a node only once that has asked to count', async () => {
    const cluster = await TopologyCluster.of('a', 'b')
    cluster.log.followMs = (name) => (name === 'd' ? 400 : 1)
    const late = cluster.start('d')
    await clientOf(cluster, 'b').declareQueue('before')
    assert.equal(late.isReady, false)
    await cluster.settled()
    assert.equal(late.topology.vhosts.get('/')?.queues.size, 1)
  })
})

for (const entry of ['a', 'b'] as const) {
  const where = entry === 'a' ? 'on the owner' : 'on another node'
  describe(`a change asked for ${where}`, () => {
    it('is known on every node when it is answered', async () => {
      const cluster = await TopologyCluster.of(...names)
      cluster.log.followMs = (name) => (name === 'c' ? 40 : 1)
      const client = clientOf(cluster, entry)
      const others = names.map((name) => cluster.node(name).session())
      await client.declareExchange('x', 'topic', { isDurable: true })
      await client.declareQueue('q', { isDurable: true })
      await client.bind('x', 'q', 'a.#')
      for (const session of others) assert.deepEqual(routed(session, 'x', 'a.b'), ['q'])
      await client.unbind('x', 'q', 'a.#')
      for (const session of others) assert.deepEqual(routed(session, 'x', 'a.b'), [])
      assert.equal(await client.deleteQueue('q'), 0)
      for (const session of others) assert.deepEqual(routed(session, '', 'q'), [])
      await client.deleteExchange('x')
      for (const { topology } of cluster.all) assert.equal(topology.vhosts.get('/')?.exchanges.has('x'), false)
      assert.deepEqual(dumps(cluster)[1], dumps(cluster)[0])
    })

    it('of something transient is known as well, and lives where its session is', async () => {
      const cluster = await TopologyCluster.of(...names)
      const client = clientOf(cluster, entry)
      const { incarnation } = client.node.self
      const { name } = await client.declareQueue('', { isExclusive: true })
      await client.declareQueue('transient')
      await client.declareQueue('durable', { isDurable: true })
      await client.declareExchange('x', 'fanout')
      await client.bind('x', name)
      for (const node of cluster.all) {
        const queues = node.topology.vhosts.get('/')?.queues
        assert.equal(queues?.get(name)?.shardId, incarnation * idsPerIncarnation)
        assert.equal(queues?.get(name)?.exclusiveOwner, client.session.id)
        assert.equal(queues?.get('transient')?.shardId, incarnation * idsPerIncarnation)
        assert.ok((queues?.get('durable')?.shardId ?? -1) < dataShards)
        assert.deepEqual(routed(node.session(), 'x', ''), [name])
      }
      const other = clientOf(cluster, 'c')
      await assert.rejects(other.deleteQueue(name), /cannot obtain exclusive access to locked queue/)
      await assert.rejects(other.declareQueue(name, { isExclusive: true }), /cannot obtain exclusive access/)
      cluster.log.followMs = (name) => (name === 'c' ? 40 : 1)
      let isClosed = false
      client.node.broker.closeSession(client.session, () => {
        isClosed = true
      })
      await cluster.until(() => isClosed)
      for (const { topology } of cluster.all) {
        assert.deepEqual([...(topology.vhosts.get('/')?.queues.keys() ?? [])].sort(), ['durable', 'transient'])
      }
    })

    it('is refused in the same words', async () => {
      const cluster = await TopologyCluster.of(...names)
      const client = clientOf(cluster, entry)
      const inequivalent =
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'"
      await client.declareQueue('q')
      await assert.rejects(client.declareQueue('q', { isDurable: true }), refusal('precondition-failed', inequivalent))
      await assert.rejects(client.bind('none', 'q'), refusal('not-found', "no exchange 'none' in vhost '/'"))
      await assert.rejects(
        client.declareQueue('amq.mine'),
        refusal('access-refused', "queue name 'amq.mine' contains reserved prefix 'amq.*'"),
      )
      await client.declareExchange('x', 'fanout')
      await client.bind('x', 'q')
      await assert.rejects(
        client.deleteExchange('x', true),
        refusal('precondition-failed', "exchange 'x' in vhost '/' in use"),
      )
      const { broker } = client.node
      await assert.rejects(during(cluster, broker.deleteUser('nobody')), refusal('not-found', "no user 'nobody'"))
      await assert.rejects(during(cluster, broker.deletePolicy('/', 'none')), /no policy 'none' in vhost/)
      await assert.rejects(during(cluster, broker.importDefinitions({ queues: 5 })), /queues/)
    })

    it('of an administrator holds everywhere', async () => {
      const cluster = await TopologyCluster.of(...names)
      const { broker, topology } = cluster.node(entry)
      const told = (change: Promise<number>): Promise<void> => during(cluster, cluster.node(entry).told(change))
      await told(broker.createVhost('v'))
      await told(broker.putVhostMetadata('v', { description: 'd', tags: ['t'], defaultQueueType: 'quorum' }))
      await told(broker.putUserHash('u', await hashPassword('secret', new SeededRandom(1)), ['management']))
      await told(broker.putPermission('u', 'v', all))
      await told(broker.putTopicPermission('u', 'v', { exchange: 'amq.topic', write: '^a', read: '' }))
      await told(broker.putPolicy('v', 'p', { pattern: '^q', definition: { 'max-length': 5 } }))
      await told(broker.putOperatorPolicy('v', 'o', { pattern: '', definition: { 'message-ttl': 9 } }))
      await told(broker.putVhostLimits('v', { 'max-queues': 3 }))
      await told(broker.putUserLimits('u', { 'max-channels': 4 }))
      await told(broker.putGlobalParameter('cluster_name', 'shop'))
      await told(broker.putGlobalParameter('any', { by: { arguments: [null] } }))
      const imported = await during(
        cluster,
        broker.importDefinitions({
          queues: [{ name: 'q\ud800', vhost: 'v', durable: true, arguments: { 'x-max-length': 9 } }],
        }),
      )
      assert.deepEqual(imported.warnings, [])
      await cluster.settled()
      assert.equal(topology.vhosts.get('v')?.queues.get('q\ud800')?.settings.maxLength, 5)
      assert.deepEqual(dumps(cluster)[2], dumps(cluster)[0])
      assert.deepEqual(dumps(cluster)[1], dumps(cluster)[0])
      for (const node of cluster.all) {
        assert.equal(node.topology.clusterName, 'shop')
        assert.equal(node.topology.globalParameters.get('any')?.json, '{"by":{"arguments":[null]}}')
      }
      await told(broker.deleteGlobalParameter('any'))
      await told(broker.deleteGlobalParameter('cluster_name'))
      await told(broker.clearTopicPermissions('u', 'v'))
      await told(broker.clearVhostLimits('v'))
      await told(broker.clearUserLimits('u'))
      await told(broker.deletePolicy('v', 'p'))
      await told(broker.clearPermission('u', 'v'))
      await told(broker.deleteUser('u'))
      await told(broker.deleteVhost('v'))
      for (const node of cluster.all) {
        assert.deepEqual([...node.topology.users.keys()], ['guest'])
        assert.deepEqual([...node.topology.vhosts.keys()], ['/'])
        assert.equal(node.topology.globalParameters.size, 0)
      }
    })

    it('is asked for with the rights that hold there', async () => {
      const cluster = await TopologyCluster.of(...names)
      const { broker } = cluster.node('c')
      const told = (change: Promise<number>): Promise<void> => during(cluster, cluster.node('c').told(change))
      await told(broker.putUserHash('u', await hashPassword('secret', new SeededRandom(1)), []))
      await told(broker.putPermission('u', '/', { configure: '^mine', write: '', read: '' }))
      const client = clientOf(cluster, entry, 'u')
      await client.declareQueue('mine')
      await assert.rejects(
        client.declareQueue('yours'),
        refusal('access-refused', "configure access to queue 'yours' in vhost '/' refused for user 'u'"),
      )
      await assert.rejects(
        client.declareQueue('mine2', { arguments: { 'x-dead-letter-exchange': 'dead' } }),
        refusal('access-refused', "read access to queue 'mine2' in vhost '/' refused for user 'u'"),
      )
    })

    it('follows from the last consumer of an auto-delete queue, and from a queue that nobody uses', async () => {
      const cluster = await TopologyCluster.of(...names)
      const client = clientOf(cluster, entry)
      const { session, node } = client
      await client.declareQueue('auto', { isAutoDelete: true, isDurable: true })
      await client.declareQueue('unused', { isDurable: true, arguments: { 'x-expires': 1_000 } })
      const consumer = await node.answered<Parameters<typeof session.vhost.cancel>[0]>((reply) =>
        session.vhost.consume(session, consumeArguments('auto', 'tag'), reply),
      )
      // It is served elsewhere, and the last that was told of it is that somebody uses it.
      const id = node.topology.vhosts.get('/')?.queues.get('auto')?.id ?? 0
      node.shards.told.set(id, { ready: 0, unacked: 0, consumers: 1 })
      await during(
        cluster,
        node.answered<void>((reply) => session.vhost.cancel(consumer, reply)),
      )
      for (const { topology } of cluster.all) assert.equal(topology.vhosts.get('/')?.queues.has('auto'), false)
      const unused = node.topology.vhosts.get('/')?.queues.get('unused')
      assert.ok(unused !== undefined)
      node.cluster.expireQueue(unused)
      node.cluster.expireQueue(unused)
      await cluster.settled()
      for (const { topology } of cluster.all) assert.equal(topology.vhosts.get('/')?.queues.size, 0)
    })
  })
}

describe('many definitions', () => {
  it('are imported over a link in pieces, and answered with as many warnings', async () => {
    const cluster = await TopologyCluster.of(...names)
    const filler = 'z'.repeat(150)
    const queues = Array.from({ length: 12_000 }, (_, index) => ({
      name: `q${index}-${filler}`,
      vhost: '/',
      durable: true,
      // Half of them are there in another form.
      auto_delete: index % 2 === 1,
    }))
    const plain = queues.map((queue) => ({ ...queue, auto_delete: false }))
    await during(cluster, cluster.node('b').broker.importDefinitions({ queues: plain }))
    const { warnings } = await during(cluster, cluster.node('b').broker.importDefinitions({ queues }))
    assert.equal(warnings.length, 6_000)
    await cluster.settled()
    assert.equal(cluster.node('c').topology.vhosts.get('/')?.queues.size, 12_000)
    // Spread over all data shards.
    const counts = new Map<number, number>()
    for (const { shardId } of cluster.node('c').topology.vhosts.get('/')?.queues.values() ?? []) {
      counts.set(shardId, (counts.get(shardId) ?? 0) + 1)
    }
    assert.equal(counts.size, dataShards)
    for (const count of counts.values()) assert.ok(count > 600 && count < 900, `${count} of 12000`)
  })
})

describe('a login', () => {
  it('on any node makes a weak hash stronger, for all', async () => {
    const cluster = await TopologyCluster.of(...names)
    const kept = Buffer.alloc(36).toString('base64')
    const weak = fromRabbitHash('sha256', kept) ?? ''
    // What the verifier of these nodes takes for the password.
    const password = weak.slice(weak.lastIndexOf('$') + 1)
    await during(cluster, cluster.node('c').told(cluster.node('c').broker.putUserHash('u', weak, [])))
    const before = cluster.node('a').topology.users.get('u')?.passwordHash
    const { broker, topology } = cluster.node('b')
    let isIn: boolean | null = null
    broker.authenticate('u', password, true, (principal) => {
      isIn = principal !== null
    })
    await cluster.until(() => isIn !== null)
    assert.equal(isIn, true)
    await cluster.until(
      () => cluster.all.every((node) => node.topology.users.get('u')?.passwordHash !== before),
      20_000,
    )
    assert.equal(topology.users.get('u')?.upgradedFrom, before)
    assert.equal(cluster.node('c').topology.users.get('u')?.upgradedFrom, before)
    assert.match(topology.users.get('u')?.passwordHash ?? '', /^scrypt\$/)
  })
})
