/** What happens to changes, and to what nodes had, when links break, nodes end and owners change. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { refusal, routed } from '../../../support/broker-harness.ts'
import { clientOf, during } from '../../../support/cluster/topology-client.ts'
import { TopologyCluster } from '../../../support/cluster/topology-cluster.ts'
import { durableDump } from '../../../support/topology-dump.ts'

const names = ['a', 'b', 'c'] as const

function queuesOf(cluster: TopologyCluster, name: string): string[] {
  return [...(cluster.node(name).topology.vhosts.get('/')?.queues.keys() ?? [])].sort()
}

/** Whether a promise has settled, for those that must not have yet. */
function watched(promise: Promise<unknown>): { isOver: boolean } {
  const watch = { isOver: false }
  const over = (): void => {
    watch.isOver = true
  }
  promise.then(over, over)
  return watch
}

describe('an answer', () => {
  it('waits for the slowest node, and no more once its session has ended', async () => {
    const cluster = await TopologyCluster.of(...names)
    cluster.log.followMs = (name) => (name === 'c' ? 1_000_000 : 1)
    for (const name of ['a', 'b']) {
      const declared = clientOf(cluster, name).declareQueue(`of ${name}`)
      const watch = watched(declared)
      await cluster.pass(50)
      assert.equal(watch.isOver, false)
      assert.deepEqual(queuesOf(cluster, 'a').includes(`of ${name}`), true)
    }
    const waiting = clientOf(cluster, 'b').declareQueue('last')
    cluster.kill('c')
    await cluster.pass(50)
    assert.equal(watched(waiting).isOver, false)
    cluster.sessionEnds('c')
    await waiting
    assert.deepEqual(queuesOf(cluster, 'a'), ['last', 'of a', 'of b'])
  })

  it('is not given while the node does not know whether its session lives', async () => {
    const cluster = await TopologyCluster.of(...names)
    for (const name of ['a', 'b']) {
      cluster.node(name).members.setCurrent(false)
      const declared = clientOf(cluster, name).declareQueue(`of ${name}`)
      const watch = watched(declared)
      await cluster.pass(100)
      assert.equal(watch.isOver, false, name)
      cluster.node(name).members.setCurrent(true)
      await declared
    }
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'c'), ['of a', 'of b'])
  })

  it('is known to have been given, in a passive declare as well', async () => {
    const cluster = await TopologyCluster.of(...names)
    cluster.log.followMs = (name) => (name === 'c' ? 200 : 1)
    const declared = clientOf(cluster, 'a').declareQueue('q')
    await cluster.until(() => cluster.node('b').topology.vhosts.get('/')?.queues.has('q') === true)
    const seen = clientOf(cluster, 'b').declareQueue('q', { isPassive: true })
    await seen
    assert.deepEqual(routed(cluster.node('c').session(), '', 'q'), ['q'])
    await declared
  })
})

describe('a link that breaks', () => {
  it('before the answer: it is asked again, and made once', async () => {
    const cluster = await TopologyCluster.of(...names)
    const client = clientOf(cluster, 'b')
    for (const messages of [0, 1, 2]) {
      let left = messages
      cluster.links.onMessage = (from, to) => {
        if (![from, to].includes('b') || left-- > 0) return
        cluster.links.onMessage = () => {}
        cluster.clock.after(0, () => cluster.links.cut('a', 'b'))
      }
      const declared = client.declareQueue(`q${messages}`, { isExclusive: true })
      cluster.clock.after(500, () => cluster.links.connectAll())
      const { name, consumers } = await declared
      assert.deepEqual([name, consumers], [`q${messages}`, 0])
    }
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'c'), ['q0', 'q1', 'q2'])
  })

  it('before the answer to a deletion: what is gone was deleted', async () => {
    const cluster = await TopologyCluster.of(...names)
    const { broker } = cluster.node('b')
    await during(cluster, broker.createVhost('v'))
    await during(cluster, broker.putPolicy('/', 'p', { pattern: '', definition: { expires: 1 } }))
    await cluster.settled()
    const deletions = [
      () => broker.deletePolicy('/', 'p'),
      () => broker.deleteVhost('v'),
      () => broker.deleteUser('guest'),
    ]
    for (const deletion of deletions) {
      // The change is made; the answer is lost.
      cluster.links.onMessage = (from, to, bytes) => {
        if (from === 'b' && to === 'a' && bytes[0] === 1) cluster.clock.after(0, () => cluster.links.cut('a', 'b'))
      }
      const deleted = deletion()
      cluster.clock.after(300, () => {
        cluster.links.onMessage = () => {}
        cluster.links.connectAll()
      })
      await during(cluster, deleted)
    }
    await assert.rejects(during(cluster, broker.deleteUser('guest')), refusal('not-found', "no user 'guest'"))
    await cluster.settled()
    assert.deepEqual([...cluster.node('c').topology.vhosts.keys()], ['/'])
  })

  it('does not take away what somebody else made anew', async () => {
    const cluster = await TopologyCluster.of(...names)
    await clientOf(cluster, 'b').declareQueue('q', { isDurable: true })
    cluster.links.onMessage = (from, to, bytes) => {
      if (from === 'b' && to === 'a' && bytes[0] === 1) cluster.clock.after(0, () => cluster.links.cut('a', 'b'))
    }
    const deleted = clientOf(cluster, 'b').deleteQueue('q')
    await cluster.until(() => !queuesOf(cluster, 'c').includes('q'))
    cluster.links.onMessage = () => {}
    // Answered: b has applied it from the log, but its word for it comes only over the link.
    const made = clientOf(cluster, 'c').declareQueue('q', { isDurable: true })
    cluster.clock.after(100, () => cluster.links.connectAll())
    await made
    await deleted
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'a'), ['q'])
  })
})

describe('an owner that ends', () => {
  it('in the middle of a change: the next one makes it', async () => {
    const cluster = await TopologyCluster.of(...names)
    const changes = ['q1', 'q2', 'q3'].map((name) => clientOf(cluster, 'b').declareQueue(name, { isExclusive: true }))
    changes.push(clientOf(cluster, 'c').declareQueue('q4', { isDurable: true }))
    await cluster.pass(1)
    cluster.kill('a')
    await cluster.pass(100)
    cluster.sessionEnds('a')
    await cluster.owns('b')
    await Promise.all(changes)
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'c'), ['q1', 'q2', 'q3', 'q4'])
    assert.deepEqual(durableDump(cluster.node('b').topology), durableDump(cluster.node('c').topology))
  })

  it('as planned: nothing is lost, nobody begins anew, and things stay the same things', async () => {
    const cluster = await TopologyCluster.of(...names)
    await clientOf(cluster, 'b').declareQueue('q', { isDurable: true })
    const things = cluster.all.map(({ topology }) => {
      const vhost = topology.vhosts.get('/')
      return [vhost, vhost?.queues.get('q'), vhost?.exchanges.get('amq.topic')]
    })
    const before = clientOf(cluster, 'a').declareQueue('before')
    const [owner, next] = [cluster.node('a'), cluster.node('c')]
    await during(cluster, owner.stepDown())
    const between = clientOf(cluster, 'a').declareQueue('between')
    await cluster.pass(20)
    await cluster.owns('c')
    await Promise.all([before, between])
    await clientOf(cluster, 'b').declareQueue('after')
    await during(cluster, next.stepDown())
    await cluster.owns('a')
    await clientOf(cluster, 'c').declareQueue('again')
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'b'), ['after', 'again', 'before', 'between', 'q'])
    assert.equal(owner.topology.term, 3)
    for (const [index, { topology, restarts }] of cluster.all.entries()) {
      assert.equal(restarts.length, 0)
      const vhost = topology.vhosts.get('/')
      const now = [vhost, vhost?.queues.get('q'), vhost?.exchanges.get('amq.topic')]
      assert.ok(now.every((thing, at) => thing !== undefined && thing === things[index]?.[at]))
    }
  })

  it('against its will, with changes that are not stored: it says nothing of them and begins anew', async () => {
    const cluster = await TopologyCluster.of(...names)
    const old = cluster.node('a')
    if (old.owned !== null) old.owned.isHeld = true
    const lost = watched(clientOf(cluster, 'a').declareQueue('lost', { isDurable: true }))
    await cluster.pass(20)
    await cluster.owns('b')
    if (old.owned !== null) old.owned.isHeld = false
    old.owned?.commit()
    assert.equal(old.restarts.length, 1)
    assert.equal(lost.isOver, false)
    cluster.kill('a')
    cluster.sessionEnds('a')
    await clientOf(cluster, 'c').declareQueue('q')
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'b'), ['q'])
  })

  it('against its will, with nothing pending: it follows', async () => {
    const cluster = await TopologyCluster.of(...names)
    const old = cluster.node('a')
    await cluster.owns('b')
    const [declared, late] = [clientOf(cluster, 'b').declareQueue('q'), clientOf(cluster, 'a').declareQueue('late')]
    const watch = watched(Promise.race([declared, late]))
    await cluster.pass(20)
    assert.deepEqual([old.topology.log.mustRestart, watch.isOver], [false, false])
    await during(cluster, old.stepDown())
    await Promise.all([declared, late])
    // It has not forgotten whom to ask.
    await clientOf(cluster, 'a').declareQueue('later')
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'a'), ['late', 'later', 'q'])
    assert.equal(old.restarts.length, 0)
  })

  it('while it deletes a vhost in slices: the vhost is either there or gone', async () => {
    const cluster = await TopologyCluster.of(...names)
    await during(cluster, cluster.node('b').broker.createVhost('v'))
    await during(
      cluster,
      cluster.node('b').broker.importDefinitions({
        queues: Array.from({ length: 3_000 }, (_, index) => ({ name: `q${index}`, vhost: 'v', durable: true })),
      }),
    )
    const deleted = cluster.node('c').broker.deleteVhost('v')
    const owner = cluster.node('a')
    await cluster.until(() => (owner.topology.vhosts.get('v')?.queues.size ?? 0) < 3_000)
    await during(cluster, owner.stepDown())
    assert.equal(owner.topology.vhosts.get('v')?.isClosed ?? false, false)
    await cluster.owns('b')
    await during(cluster, deleted)
    await cluster.settled()
    for (const { topology } of cluster.all) assert.deepEqual([...topology.vhosts.keys()], ['/'])
  })

  it('without a next one: changes wait, and after a while are refused with a sentence', async () => {
    const cluster = await TopologyCluster.of(...names)
    cluster.kill('a')
    const started = cluster.clock.monotonic()
    const text = (whom: string): string =>
      `definitions cannot be changed at the moment: 30 s were waited for ${whom} to take them over`
    await assert.rejects(clientOf(cluster, 'b').declareQueue('q'), refusal('internal-error', text('a node')))
    const waited = cluster.clock.monotonic() - started
    assert.ok(waited >= 30_000 && waited < 32_000, `${waited} ms`)
    cluster.node('b').cluster.ownerChanged({ name: 'c', incarnation: 3 })
    await assert.rejects(clientOf(cluster, 'b').declareQueue('q'), refusal('internal-error', text("node 'c'")))
    // What is owed is not given up.
    const session = cluster.node('b').session()
    session.mayOwnQueues = true
    const closed = during(
      cluster,
      new Promise<void>((resolve) => cluster.node('b').broker.closeSession(session, resolve)),
    )
    await cluster.pass(40_000)
    cluster.sessionEnds('a')
    await cluster.owns('b')
    await closed
    assert.deepEqual(queuesOf(cluster, 'c'), [])
  })

  it('leaves room for a bounded number of changes that wait', async () => {
    const cluster = await TopologyCluster.of('a', 'b')
    cluster.kill('a')
    const { broker } = cluster.node('b')
    const waiting = Array.from({ length: 10_000 }, (_, index) => broker.createVhost(`v${index}`))
    await assert.rejects(broker.createVhost('more'), /more than 10000 changes of definitions wait for a node/)
    cluster.sessionEnds('a')
    await cluster.owns('b')
    await during(cluster, Promise.all(waiting))
    assert.equal(cluster.node('b').topology.vhosts.size, 10_001)
  })
})

describe('a queue that nobody uses', () => {
  it('stays when somebody has come while nobody could remove it', async () => {
    const cluster = await TopologyCluster.of(...names)
    const node = cluster.node('b')
    for (const name of ['used', 'unused']) await clientOf(cluster, 'b').declareQueue(name, { isDurable: true })
    cluster.kill('a')
    const { queues } = node.session().state
    for (const name of ['used', 'unused']) {
      const queue = queues.get(name)
      assert.ok(queue !== undefined)
      node.cluster.expireQueue(queue)
    }
    node.shards.statuses.set(queues.get('used')?.id ?? 0, { ready: 0, unacked: 0, consumers: 1 })
    node.shards.told.set(queues.get('unused')?.id ?? 0, { ready: 0, unacked: 0, consumers: 1 })
    cluster.sessionEnds('a')
    await cluster.owns('c')
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'c'), ['used'])
  })

  it('is looked at again until its shard is served, and no more when the node ends', async () => {
    const cluster = await TopologyCluster.of(...names)
    const node = cluster.node('b')
    for (const name of ['soon', 'never']) await clientOf(cluster, 'b').declareQueue(name, { isDurable: true })
    cluster.kill('a')
    const [soon, never] = ['soon', 'never'].map((name) => node.session().state.queues.get(name))
    assert.ok(soon !== undefined && never !== undefined)
    const [shard] = node.shards.shards
    assert.ok(shard !== undefined)
    shard.isServed = false
    node.cluster.expireQueue(soon)
    cluster.sessionEnds('a')
    await cluster.owns('c')
    await cluster.pass(2_500)
    assert.ok(shard.refusals >= 2)
    shard.isServed = true
    await cluster.pass(1_500)
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'c'), ['never'])
    shard.isServed = false
    cluster.kill('c')
    node.cluster.expireQueue(never)
    cluster.sessionEnds('c')
    await cluster.owns('b')
    node.cluster.close()
    await cluster.pass(1_500)
    const { refusals } = shard
    await cluster.pass(5_000)
    assert.equal(shard.refusals, refusals)
  })
})

describe('a node that ends', () => {
  for (const ended of ['a', 'c']) {
    it(`takes its own queues with it, and nothing else (${ended === 'a' ? 'the owner' : 'another'})`, async () => {
      const cluster = await TopologyCluster.of(...names)
      for (const name of names) {
        const client = clientOf(cluster, name)
        await client.declareQueue(`exclusive-${name}`, { isExclusive: true })
        await client.declareQueue(`transient-${name}`)
        await client.declareQueue(`durable-${name}`, { isDurable: true })
        await client.declareExchange(`exchange-${name}`, 'fanout')
        await client.bind(`exchange-${name}`, `transient-${name}`)
      }
      cluster.kill(ended)
      cluster.sessionEnds(ended)
      if (ended === 'a') await cluster.owns('b')
      await cluster.settled()
      const left = names.filter((name) => name !== ended)
      const expected = [
        ...names.map((name) => `durable-${name}`),
        ...left.flatMap((name) => [`exclusive-${name}`, `transient-${name}`]),
      ].sort()
      for (const name of left) {
        assert.deepEqual(queuesOf(cluster, name), expected)
        const { topology } = cluster.node(name)
        assert.equal(topology.vhosts.get('/')?.exchanges.has(`exchange-${ended}`), true)
        assert.equal(topology.vhosts.get('/')?.bindingCount, 2)
        assert.equal(topology.nodes.size, 2)
      }
    })
  }

  it('and comes again is another one: what it had is gone, and it counts anew', async () => {
    const cluster = await TopologyCluster.of(...names)
    await clientOf(cluster, 'c').declareQueue('old')
    cluster.kill('c')
    cluster.start('c')
    await cluster.settled()
    assert.deepEqual(queuesOf(cluster, 'c'), [])
    await clientOf(cluster, 'c').declareQueue('new')
    assert.deepEqual(queuesOf(cluster, 'a'), ['new'])
    assert.deepEqual([...cluster.node('b').topology.nodes.keys()].sort(), [1, 2, 4])
  })

  it('while the owner has never seen it live is waited for some time', async () => {
    const cluster = await TopologyCluster.of(...names)
    const started = cluster.start('d')
    await cluster.settled()
    await clientOf(cluster, 'd').declareQueue('of d')
    // A new node that knows of d only by the log takes over.
    cluster.kill('d')
    cluster.sessionEnds('d')
    for (const name of names) cluster.kill(name)
    cluster.live.clear()
    cluster.start('e')
    await cluster.owns('e')
    const declared = watched(clientOf(cluster, 'e').declareQueue('q'))
    await cluster.pass(9_000)
    assert.equal(declared.isOver, false)
    assert.deepEqual(queuesOf(cluster, 'e'), ['of d', 'q'])
    await cluster.pass(3_000)
    assert.equal(declared.isOver, true)
    assert.deepEqual(queuesOf(cluster, 'e'), ['q'])
    assert.equal(started.restarts.length, 0)
  })
})

describe('a cluster that is started anew as a whole', () => {
  it('keeps what is durable, and nothing else', async () => {
    const cluster = await TopologyCluster.of(...names)
    for (const name of names) {
      const client = clientOf(cluster, name)
      await client.declareQueue(`exclusive-${name}`, { isExclusive: true })
      await client.declareQueue(`transient-${name}`)
      await client.declareQueue(`durable-${name}`, { isDurable: true })
      await client.declareExchange(`exchange-${name}`, 'fanout', { isDurable: name === 'b' })
      await client.bind(`exchange-${name}`, `durable-${name}`)
    }
    for (const name of names) cluster.kill(name)
    for (const name of names) cluster.start(name)
    await cluster.owns('c')
    await clientOf(cluster, 'a').declareExchange('new', 'fanout')
    await cluster.settled()
    for (const name of names) {
      assert.deepEqual(queuesOf(cluster, name), ['durable-a', 'durable-b', 'durable-c'])
      const vhost = cluster.node(name).topology.vhosts.get('/')
      assert.deepEqual([...(vhost?.exchanges.keys() ?? [])].slice(7), ['exchange-b', 'new'])
      assert.equal(vhost?.bindingCount, 1)
    }
  })
})

describe('the log of a cluster', () => {
  it('stays in proportion under owners that change, and a node that comes late reads what is left of it', async () => {
    const cluster = new TopologyCluster({ segmentRecordsMax: 16 })
    for (const name of names) cluster.start(name)
    await cluster.owns('a')
    await cluster.settled()
    for (let round = 0; round < 6; round++) {
      const owner = names[round % 3] ?? 'a'
      const next = names[(round + 1) % 3] ?? 'a'
      const client = clientOf(cluster, next)
      await client.declareQueue(`kept-${round}`, { isDurable: true })
      for (let index = 0; index < 20; index++) {
        await client.declareQueue('comes', { isDurable: true })
        await client.deleteQueue('comes')
      }
      await during(cluster, cluster.node(owner).stepDown())
      await cluster.owns(next)
    }
    await cluster.settled()
    const { records, firstPosition } = cluster.log
    assert.ok(records.length > 250 && records.length - firstPosition < 100, `${firstPosition} … ${records.length}`)
    cluster.start('late')
    await cluster.settled()
    assert.deepEqual(durableDump(cluster.node('late').topology), durableDump(cluster.node('b').topology))
    assert.equal(queuesOf(cluster, 'late').length, 6)
  })
})
