import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clusterStatus } from '../../../../src/cluster/membership/cluster-status.ts'
import type { Ownership } from '../../../../src/cluster/membership/ownership.ts'
import type { OwnershipLine } from '../../../../src/cluster/membership/ownership-journal.ts'
import type { ModelHost } from '../../../support/cluster/model-host.ts'
import { judgeOwnership } from '../../../support/cluster/ownership-judge.ts'
import { SimulatedCluster } from '../../../support/cluster/simulated-cluster.ts'
import type { SimulatedNode } from '../../../support/cluster/simulated-node.ts'

const sessionMs = 20_000

async function started(names: readonly string[], shards = 6): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(names, shards, 1, { hostMsMax: 50 })
  cluster.startAll()
  await cluster.run(8_000)
  return cluster
}

function ownershipOf(node: SimulatedNode): Ownership {
  const ownership = node.process?.ownership
  if (ownership === null || ownership === undefined) throw new Error(`node ${node.name} is no member`)
  return ownership
}

function hostOf(node: SimulatedNode, shard: string): ModelHost {
  const host = node.process?.hosts.find((each) => each.shard === shard)
  if (host === undefined) throw new Error(`node ${node.name} has no host of ${shard}`)
  return host
}

function serverOf(cluster: SimulatedCluster, shard: string): SimulatedNode {
  return cluster.node(cluster.servers(shard)[0] ?? '')
}

function owned(cluster: SimulatedCluster, name: string): number {
  return [...cluster.ownership()].filter(([shard, owner]) => shard !== 'topology' && owner === name).length
}

function assertAllServed(cluster: SimulatedCluster): void {
  for (const [shard, owner] of cluster.ownership()) assert.notEqual(owner, '-', `nobody serves ${shard}`)
}

test('each shard is served by the node it is placed on, and followed by its standby', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  for (const [shard, owner] of cluster.ownership()) {
    const place = ownershipOf(cluster.node('n1')).place(shard)
    assert.equal(owner, place.owner)
    for (const node of cluster.nodes) {
      const isCandidate = node.name === place.owner || node.name === place.standby
      assert.equal(hostOf(node, shard).isFollowing, isCandidate, `${node.name} ${shard}`)
    }
  }
  assert.deepEqual(
    ['n1', 'n2', 'n3'].map((name) => owned(cluster, name)),
    [2, 2, 2],
  )
})

test('the topology is owned before any data shard is', async () => {
  const cluster = await started(['n1', 'n2'])
  const leases = cluster.parts.store.changes.filter(({ key }) => key.startsWith('lease.'))
  assert.equal(leases[0]?.key, 'lease.topology')
  assert.equal(leases.length, 7)
})

test('shards of a node that is killed are served again after a session, or at once on proof', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  cluster.node('n3').kill()
  await cluster.run(sessionMs - 3_000)
  assert.ok([...cluster.ownership().values()].includes('-'))
  await cluster.run(5_000)
  assertAllServed(cluster)

  const { incarnation } = cluster.node('n2')
  cluster.node('n2').kill()
  cluster.node('n1').process?.membership?.provedDead('n2', incarnation)
  await cluster.run(500)
  assertAllServed(cluster)
  assert.equal(owned(cluster, 'n1'), 6)
})

test('a node that comes is given its part, a few shards at a time and not before it has settled', async () => {
  const cluster = await started(['n1', 'n2'], 16)
  const end = { incarnation: cluster.node('n2').incarnation, at: cluster.parts.world.now() }
  cluster.node('n2').kill()
  await cluster.run(sessionMs + 5_000)
  assert.equal(owned(cluster, 'n1'), 16)

  cluster.node('n2').start()
  await cluster.run(1_900)
  assert.equal(owned(cluster, 'n1'), 16)
  let movingMax = 0
  await cluster.run(6_000, () => {
    const moving = [...ownershipOf(cluster.node('n1')).shards.values()].filter(({ isMoving }) => isMoving)
    movingMax = Math.max(movingMax, moving.length)
  })
  assert.equal(owned(cluster, 'n2'), 8)
  assert.equal(movingMax, 2)
  assert.deepEqual(judgeOwnership(cluster.parts.journal, [end]), [])
})

test('a node that drains serves nothing within a second, and takes its part again afterwards', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  const node = cluster.node('n2')
  await Promise.all([node.process?.membership?.setDraining(true), cluster.run(1_000)])
  assert.equal(owned(cluster, 'n2'), 0)
  assertAllServed(cluster)
  let isDrained = false
  const drained = ownershipOf(node)
    .drained()
    .then(() => {
      isDrained = true
    })
  await cluster.run(300)
  await drained
  assert.equal(isDrained, true)

  await Promise.all([node.process?.membership?.setDraining(false), cluster.run(5_000)])
  assert.equal(owned(cluster, 'n2'), 2)
})

test('a node that stops frees what it has, and the others take it at once', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  const node = cluster.node('n2')
  const stopped = ownershipOf(node).stop()
  await cluster.run(1_000)
  await stopped
  await Promise.all([node.process?.membership?.stop(), cluster.run(200)])
  node.kill()
  assertAllServed(cluster)
  const lines: OwnershipLine[] = cluster.parts.journal.map((line) => JSON.parse(line))
  assert.ok(lines.every(({ event }) => event !== 'abandoned'))
})

test('a stop ends in time even if the store does not answer', async () => {
  const cluster = await started(['n1', 'n2'])
  cluster.node('n1').process?.coordination.cut()
  let isStopped = false
  const stopped = ownershipOf(cluster.node('n1')).stop(5_000)
  stopped.then(() => {
    isStopped = true
  })
  await cluster.run(5_500)
  assert.equal(isStopped, true)
  assert.ok(cluster.node('n1').process?.hosts.every(({ isOpen }) => !isOpen))
})

test('a stop after the session was lost waits for nothing', async () => {
  const cluster = await started(['n1', 'n2'])
  const { store } = cluster.parts
  const ownership = ownershipOf(cluster.node('n1'))
  store.write('node.n1', null, store.read('node.n1')?.revision ?? 0)
  await cluster.run(100)
  let isStopped = false
  void ownership.stop().then(() => {
    isStopped = true
  })
  await cluster.run(100)
  assert.equal(isStopped, true)
})

test('hosts are held while the session is not current, and abandon when it is lost', async () => {
  const cluster = await started(['n1', 'n2'])
  const { process } = cluster.node('n1')
  const open = process?.hosts.filter(({ isOpen }) => isOpen) ?? []
  assert.ok(open.length >= 3)
  process?.coordination.cut()
  await cluster.run(sessionMs / 2 + 1_000)
  assert.ok(open.every(({ isHeld, isOpen }) => isHeld && isOpen))
  process?.coordination.heal()
  await cluster.run(4_000)
  assert.ok(open.every(({ isHeld, isOpen }) => !isHeld && isOpen))

  process?.coordination.cut()
  await cluster.run(sessionMs + 3_000)
  process?.coordination.heal()
  await cluster.run(2_000)
  assert.ok(open.every(({ isOpen, calls }) => !isOpen && calls.at(-1) === 'abandon'))
  assert.deepEqual(judgeOwnership(cluster.parts.journal, []), [])
})

test('a shard that cannot be opened is tried again, each time with a higher epoch', async () => {
  const cluster = await started(['n1', 'n2'])
  const node = serverOf(cluster, 'shard-2')
  const host = hostOf(node, 'shard-2')
  const { epoch } = host
  await cluster.run(60_000)
  host.isOpen = false
  host.failsToOpen = 2
  ownershipOf(node).hostLost('shard-2', 'failed', 'the disk is full')
  await cluster.run(3_000)
  assert.deepEqual(cluster.servers('shard-2'), [node.name])
  assert.equal(host.epoch, epoch + 3)
})

test('a shard that one node cannot open goes to another, and comes back after a while', async () => {
  const cluster = await started(['n1', 'n2'])
  const node = serverOf(cluster, 'shard-2')
  const host = hostOf(node, 'shard-2')
  host.isOpen = false
  host.failsToOpen = 1_000
  ownershipOf(node).hostLost('shard-2', 'failed', 'the disk is full')
  await cluster.run(10_000)
  const other = serverOf(cluster, 'shard-2')
  assert.notEqual(other.name, node.name)
  const report = clusterStatus({ clusterId: 'c', shards: 6, format: 1 }, ...partsOf(other))
  assert.deepEqual(report.shards.find(({ shard }) => shard === 'shard-2')?.avoidedNodes, [node.name])

  host.failsToOpen = 0
  await cluster.run(400_000)
  assert.deepEqual(cluster.servers('shard-2'), [node.name])
})

test('a shard that nobody can open is tried again and again', async () => {
  const cluster = await started(['n1', 'n2'])
  const hosts = cluster.nodes.map((node) => hostOf(node, 'shard-2'))
  const node = serverOf(cluster, 'shard-2')
  for (const host of hosts) {
    host.isOpen = false
    host.failsToOpen = 12
  }
  ownershipOf(node).hostLost('shard-2', 'failed', 'the log is damaged')
  await cluster.run(30_000)
  assert.deepEqual(cluster.servers('shard-2'), [])
  await cluster.run(600_000)
  assert.equal(cluster.servers('shard-2').length, 1)
})

test('a holder whose lease was taken by hand abandons the shard', async () => {
  const cluster = await started(['n1', 'n2'])
  const { store } = cluster.parts
  const lease = store.read('lease.shard-1')
  const holder = serverOf(cluster, 'shard-1')
  const fields = JSON.parse(lease?.value ?? '{}')
  store.write(
    'lease.shard-1',
    JSON.stringify({ ...fields, node: 'n9', incarnation: 900, epoch: fields.epoch + 1 }),
    lease?.revision ?? 0,
  )
  await cluster.run(200)
  assert.equal(hostOf(holder, 'shard-1').calls.at(-1), 'abandon')
  await cluster.run(3_000)
  assertAllServed(cluster)
})

test('everybody learns who owns what, and that nobody does', async () => {
  const cluster = await started(['n1', 'n2'])
  const owner = serverOf(cluster, 'shard-0')
  const other = cluster.nodes.find(({ name }) => name !== owner.name)
  const told: string[] = []
  const owners = other?.process?.owners
  owners?.listen({
    ownerChanged: (shard, node, epoch) => {
      if (shard === 'shard-0') told.push(`${node?.name ?? '-'} ${epoch}`)
    },
  })
  assert.deepEqual(told, [`${owner.name} 1`])
  assert.deepEqual(owners?.find('shard-0'), { name: owner.name, incarnation: owner.incarnation, epoch: 1 })
  const { incarnation } = owner
  owner.kill()
  other?.process?.membership?.provedDead(owner.name, incarnation)
  await cluster.run(1_000)
  assert.deepEqual(told, [`${owner.name} 1`, '- 1', `${other?.name} 2`])
})

test('the status names nodes, owners, epochs and standbys', async () => {
  const cluster = await started(['n1', 'n2'], 2)
  const status = clusterStatus({ clusterId: 'c', shards: 2, format: 1 }, ...partsOf(cluster.node('n1')))
  assert.deepEqual(
    status.nodes.map(({ name, isReady, isDraining }) => ({ name, isReady, isDraining })),
    ['n1', 'n2'].map((name) => ({ name, isReady: true, isDraining: false })),
  )
  assert.equal(status.node, 'n1')
  assert.deepEqual(
    status.shards.map(({ shard }) => shard),
    ['topology', 'shard-0', 'shard-1'],
  )
  for (const { shard, owner, standby, epoch, local, since } of status.shards) {
    assert.equal(owner, cluster.servers(shard)[0])
    assert.notEqual(standby, owner)
    assert.equal(epoch, 1)
    assert.ok(since !== null && since > 1_700_000_000_000)
    assert.equal(local.state, owner === 'n1' ? 'open' : 'idle')
  }
  assert.deepEqual(JSON.parse(JSON.stringify(status)), status)
})

function partsOf(node: SimulatedNode) {
  const membership = node.process?.membership
  if (membership === null || membership === undefined) throw new Error(`node ${node.name} is no member`)
  return [membership, ownershipOf(node)] as const
}

/** A link is missed after 5 s, and shards move two at a time. */
const giveOverMs = 12_000
const relinkMs = 45_000

test('a node that no other reaches by its link gives over its shards, takes none, and has its part again when it is linked', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  const { links, journal } = cluster.parts
  const { incarnation } = cluster.node('n2')
  links.cut('n2', 'n1')
  links.cut('n2', 'n3')
  await cluster.run(6_000)
  assert.equal(owned(cluster, 'n2'), 2)
  await cluster.run(giveOverMs)
  assertAllServed(cluster)
  assert.equal(owned(cluster, 'n2'), 0)
  assert.ok(cluster.node('n2').incarnation > incarnation, 'it has begun anew')
  assert.equal(cluster.node('n1').process?.isApart, false)
  const { incarnation: second } = cluster.node('n2')
  await cluster.run(60_000)
  assert.equal(cluster.node('n2').incarnation, second, 'once is enough')
  assert.equal(owned(cluster, 'n2'), 0)
  assert.ok(!cluster.servers('topology').includes('n2'))
  assert.deepEqual(ownershipOf(cluster.node('n3')).reach.apart, [
    ['n1', 'n2'],
    ['n2', 'n3'],
  ])

  links.heal()
  await cluster.run(relinkMs)
  assert.equal(owned(cluster, 'n2'), 2)
  assert.deepEqual(ownershipOf(cluster.node('n3')).reach.apart, [])
  assert.deepEqual(judgeOwnership(journal, []), [])
})

test('shards of two nodes that do not reach each other go to the one that both reach, and come back later', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  const { links, journal } = cluster.parts
  const incarnations = cluster.nodes.map(({ incarnation }) => incarnation)
  links.cut('n1', 'n2')
  await cluster.run(giveOverMs)
  assert.deepEqual([...cluster.ownership().values()], Array(7).fill('n3'))
  assert.ok(cluster.nodes.every(({ process }) => process?.isApart === false))
  const status = clusterStatus(
    { clusterId: 'c', shards: 6, format: 1 },
    cluster.node('n3').process?.membership as never,
    ownershipOf(cluster.node('n3')),
  )
  assert.deepEqual(status.missingLinks, [{ from: 'n1', to: 'n2', host: '127.0.0.1', port: 4370 }])

  // One that is back for good has its part again within seconds.
  links.heal()
  await cluster.run(8_000)
  assert.deepEqual(
    ['n1', 'n2', 'n3'].map((name) => owned(cluster, name)),
    [2, 2, 2],
  )

  // A link that keeps coming and going is not believed for long: it moves nothing any more.
  const comeAndGo = async (): Promise<void> => {
    links.cut('n1', 'n2')
    await cluster.run(3_000)
    links.heal()
    await cluster.run(20_000)
  }
  for (let times = 0; times < 3; times++) await comeAndGo()
  const lines = journal.length
  for (let times = 0; times < 10; times++) await comeAndGo()
  assert.equal(journal.length, lines)

  links.heal()
  await cluster.run(relinkMs)
  assert.deepEqual(
    ['n1', 'n2', 'n3'].map((name) => owned(cluster, name)),
    [2, 2, 2],
  )
  assert.deepEqual(
    cluster.nodes.map(({ incarnation }) => incarnation),
    incarnations,
    'nobody had to begin anew',
  )
})

test('where all links are cut nothing moves, and all hold their publishers back', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  const { links, journal } = cluster.parts
  const before = [...cluster.ownership()]
  const lines = journal.length
  for (const [one, other] of [
    ['n1', 'n2'],
    ['n1', 'n3'],
    ['n2', 'n3'],
  ] as const)
    links.cut(one, other)
  await cluster.run(60_000)
  assert.deepEqual([...cluster.ownership()], before)
  assert.equal(journal.length, lines)
  assert.ok(cluster.nodes.every(({ process }) => process?.isApart === true))
  links.heal()
  await cluster.run(2_000)
  assert.ok(cluster.nodes.every(({ process }) => process?.isApart === false))
})

test('a new node that is linked to nobody is given nothing, and takes nothing from the others', async () => {
  const cluster = await started(['n1', 'n2', 'n3', 'n4'], 8)
  cluster.node('n4').kill()
  await cluster.run(sessionMs + 5_000)
  for (const name of ['n1', 'n2', 'n3']) cluster.parts.links.cut('n4', name)
  const before = [...cluster.ownership()]
  cluster.node('n4').start()
  await cluster.run(30_000)
  assert.deepEqual([...cluster.ownership()], before)
})

for (const [how, part] of [
  ['removed', 0],
  ['put back to an older state', 0.6],
] as const) {
  test(`when what the nodes agree on is ${how} all begin anew, none beside another, and no incarnation is given twice`, async () => {
    const cluster = await started(['n1', 'n2', 'n3'])
    const { store, journal } = cluster.parts
    const end = { incarnation: cluster.node('n3').incarnation, at: cluster.parts.world.now() }
    cluster.node('n3').kill()
    cluster.node('n3').start()
    await cluster.run(30_000)
    const before = cluster.nodes.map(({ incarnation }) => incarnation)
    const overlaps: string[] = []
    store.putBack(Math.floor(store.revision * part))
    await cluster.run(90_000, () => {
      for (const [shard, servers] of cluster.ownership())
        if (servers.includes('+')) overlaps.push(`${shard} ${servers}`)
    })
    assertAllServed(cluster)
    assert.deepEqual(overlaps, [])
    assert.deepEqual(judgeOwnership(journal, [end], { areSetBack: true }), [])
    const incarnations = cluster.nodes.map(({ incarnation }) => incarnation)
    assert.equal(new Set([...before, ...incarnations]).size, 6)
    assert.ok(Math.min(...incarnations) > Math.max(...before))
  })
}

test('a node that is new and one that remembers who has come and gone place shards alike', async () => {
  const cluster = await started(['n1', 'n2', 'n3'], 15)
  const restart = async (name: string, witness: string): Promise<void> => {
    const { incarnation } = cluster.node(name)
    cluster.node(name).kill()
    cluster.node(witness).process?.membership?.provedDead(name, incarnation)
    await cluster.run(500)
    cluster.node(name).start()
    await cluster.run(3_000)
  }
  for (let times = 0; times < 4; times++) await restart('n3', 'n2')
  await restart('n1', 'n2')
  let unservedSteps = 0
  for (let step = 0; step < 40; step++) {
    await cluster.run(1_000)
    const isUnserved = [...cluster.ownership().values()].includes('-')
    unservedSteps = isUnserved ? unservedSteps + 1 : 0
    assert.ok(unservedSteps < 3, `second ${step}: ${JSON.stringify([...cluster.ownership()])}`)
  }
  assert.deepEqual(
    ['n1', 'n2', 'n3'].map((name) => owned(cluster, name)),
    [5, 5, 5],
    'and all are trusted again in the end',
  )
})
