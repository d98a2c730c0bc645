import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CannotJoin } from '../../../../src/cluster/membership/cannot-join.ts'
import type { Membership } from '../../../../src/cluster/membership/membership.ts'
import { SimulatedCluster } from '../../../support/cluster/simulated-cluster.ts'
import { type SimulatedNode, SimulatedProcess } from '../../../support/cluster/simulated-node.ts'

const sessionMs = 20_000

async function started(names: readonly string[]): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(names, 0, 1)
  cluster.startAll()
  await cluster.run(5_000)
  return cluster
}

function membershipOf(node: SimulatedNode): Membership {
  const membership = node.process?.membership
  if (membership === null || membership === undefined) throw new Error(`node ${node.name} is no member`)
  return membership
}

/** Another process, of the same name or not, that knows nothing of the first one's data directory. */
function stranger(cluster: SimulatedCluster, name: string): SimulatedProcess {
  const life = { predecessor: null, incarnationSeen: 0, saw: () => {}, remember: () => {}, ended: () => {} }
  const process = new SimulatedProcess(name, cluster.parts, {}, life)
  process.start()
  return process
}

function refusalOf({ failure }: SimulatedProcess): string | null {
  return failure instanceof CannotJoin ? failure.message : null
}

function isCurrent({ membership }: SimulatedProcess): boolean {
  return membership?.isCurrent ?? false
}

test('nodes get incarnations of their own and see one another', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  assert.deepEqual(new Set(cluster.nodes.map(({ incarnation }) => incarnation)), new Set([1, 2, 3]))
  for (const node of cluster.nodes) {
    assert.deepEqual([...membershipOf(node).live.keys()].sort(), ['n1', 'n2', 'n3'])
    assert.equal(membershipOf(node).live.get('n1')?.incarnation, cluster.node('n1').incarnation)
  }
})

test('a node that stops in order is gone for the others at once', async () => {
  const cluster = await started(['n1', 'n2'])
  const stopped = membershipOf(cluster.node('n2')).stop()
  await cluster.run(500)
  await stopped
  assert.deepEqual([...membershipOf(cluster.node('n1')).live.keys()], ['n1'])
  assert.equal(cluster.parts.store.read('node.n2'), null)
})

test('a node that is killed is gone after the length of a session, and not before', async () => {
  const cluster = await started(['n1', 'n2'])
  cluster.node('n2').kill()
  await cluster.run(sessionMs - 2_000)
  assert.equal(membershipOf(cluster.node('n1')).live.size, 2)
  await cluster.run(4_000)
  assert.equal(membershipOf(cluster.node('n1')).live.size, 1)
})

test('proof that a process is gone ends its session at once, and that of no other incarnation', async () => {
  const cluster = await started(['n1', 'n2'])
  const first = membershipOf(cluster.node('n1'))
  const { incarnation } = cluster.node('n2')
  first.provedDead('n2', incarnation + 7)
  await cluster.run(500)
  assert.equal(first.live.size, 2)
  cluster.node('n2').kill()
  first.provedDead('n2', incarnation)
  await cluster.run(500)
  assert.equal(first.live.size, 1)
})

test('a process that is started again on its data takes over at once, with another incarnation', async () => {
  const cluster = await started(['n1', 'n2'])
  const before = cluster.node('n2').incarnation
  cluster.node('n2').kill()
  cluster.node('n2').start()
  await cluster.run(1_500)
  const seen = membershipOf(cluster.node('n1')).live.get('n2')
  assert.ok(seen !== undefined && seen.incarnation > before)
  assert.equal(seen.incarnation, cluster.node('n2').incarnation)
})

test('a second process of the same name waits, and is refused while the first one lives', async () => {
  const cluster = await started(['n1', 'n2'])
  const second = stranger(cluster, 'n1')
  await cluster.run(sessionMs - 2_000)
  assert.equal(refusalOf(second), null)
  await cluster.run(4_000)
  assert.match(refusalOf(second) ?? '', /another process with --node-name n1 is running \(.*127\.0\.0\.1:4370\)/)
  assert.equal(membershipOf(cluster.node('n1')).isCurrent, true)
})

test('a second process of the same name takes the place of one that is gone', async () => {
  const cluster = await started(['n1'])
  cluster.node('n1').kill()
  const second = stranger(cluster, 'n1')
  await cluster.run(sessionMs - 2_000)
  assert.equal(isCurrent(second), false)
  await cluster.run(4_000)
  assert.equal(isCurrent(second), true)
})

test('a name that cannot be a key is refused', async () => {
  const cluster = await started(['n1'])
  for (const name of ['', 'a b', 'a..b', '.a', 'a/b', 'ä', 'x'.repeat(65)]) {
    const process = stranger(cluster, name)
    await cluster.run(100)
    assert.match(refusalOf(process) ?? '', /cannot be the name of a node/, `'${name}'`)
  }
})

test('a node that cannot renew is not current after half a session, and loses it when the others have ended it', async () => {
  const cluster = await started(['n1', 'n2'])
  const node = cluster.node('n2')
  const membership = membershipOf(node)
  const told: string[] = []
  membership.listen({
    membersChanged: () => {},
    currentChanged: (isCurrent) => told.push(`current ${isCurrent}`),
    sessionLost: (reason) => told.push(reason),
  })
  node.process?.coordination.cut()
  await cluster.run(sessionMs / 2 - 1_500)
  assert.equal(membership.isCurrent, true)
  await cluster.run(2_000)
  assert.equal(membership.isCurrent, false)
  assert.deepEqual(told, ['current false'])

  await cluster.run(sessionMs)
  assert.equal(membershipOf(cluster.node('n1')).live.size, 1)
  node.process?.coordination.heal()
  await cluster.run(3_000)
  assert.match(told[1] ?? '', /the session of node 'n2' is gone/)
  assert.equal(told.length, 2)
  assert.equal(membership.isCurrent, false)
})

test('who listens when the session is lost already is told so', async () => {
  const cluster = await started(['n1'])
  const process = stranger(cluster, 'n2')
  await cluster.run(3_000)
  const { store } = cluster.parts
  store.write('node.n2', null, store.read('node.n2')?.revision ?? 0)
  await cluster.run(3_000)
  const late: string[] = []
  process.membership?.listen({
    membersChanged: () => late.push('members'),
    currentChanged: () => late.push('current'),
    sessionLost: () => late.push('lost'),
  })
  await cluster.run(100)
  assert.deepEqual(late, ['lost'])
})

test('a process that was stopped finds that it is not current before any timer runs', async () => {
  const cluster = await started(['n1', 'n2'])
  const { process } = cluster.node('n2')
  const membership = membershipOf(cluster.node('n2'))
  process?.clock.stop()
  await cluster.run(sessionMs / 2 + 1_500)
  assert.equal(membership.isCurrent, false)
})

test('a wall clock that has gone on by more than half a session is believed, as of a machine that slept', async () => {
  const cluster = await started(['n1', 'n2'])
  const { process } = cluster.node('n2')
  const membership = membershipOf(cluster.node('n2'))
  process?.clock.jump(sessionMs)
  assert.equal(membership.isCurrent, false)
  await cluster.run(2_500)
  assert.equal(membership.isCurrent, true)
  process?.clock.jump(-sessionMs * 100)
  assert.equal(membership.isCurrent, true)
})

test('nobody loses a session because the store was silent for everybody', async () => {
  const cluster = await started(['n1', 'n2', 'n3'])
  const incarnations = cluster.nodes.map(({ incarnation }) => incarnation)
  for (const { process } of cluster.nodes) process?.coordination.cut()
  await cluster.run(5 * sessionMs)
  assert.ok(cluster.nodes.every((node) => !membershipOf(node).isCurrent))
  for (const { process } of cluster.nodes) process?.coordination.heal()
  await cluster.run(5_000)
  assert.ok(cluster.nodes.every((node) => membershipOf(node).isCurrent))
  assert.deepEqual(
    cluster.nodes.map(({ incarnation }) => incarnation),
    incarnations,
  )
})

test('what a node says of itself is told to all, and acknowledged', async () => {
  const cluster = await started(['n1', 'n2'])
  const first = membershipOf(cluster.node('n1'))
  const changes: number[] = []
  first.listen({ membersChanged: () => changes.push(1), currentChanged: () => {}, sessionLost: () => {} })
  let isDone = false
  const draining = membershipOf(cluster.node('n2')).setDraining(true)
  draining.then(() => {
    isDone = true
  })
  await cluster.run(300)
  assert.equal(isDone, true)
  assert.equal(first.live.get('n2')?.isDraining, true)
  assert.equal(changes.length, 1, 'renewals are no changes')
})

test('incarnations are never given twice, whatever becomes of the answers', async () => {
  const trouble = { delayMsMax: 300, timeoutMs: 1_000, requestLost: 0.2, answerLost: 0.2, requestLate: 0.2 }
  const faults = { ...trouble, readStale: 0.5, staleMax: 10 }
  const given: number[] = []
  const cluster = new SimulatedCluster([], 0, 7)
  for (let count = 0; count < 20; count++) {
    const life = {
      predecessor: null,
      incarnationSeen: 0,
      saw: () => {},
      remember: (incarnation: number) => void given.push(incarnation),
      ended: () => {},
    }
    new SimulatedProcess(`n${count}`, cluster.parts, { faults }, life).start()
  }
  await cluster.run(60_000)
  assert.equal(given.length, 20)
  assert.equal(new Set(given).size, 20)
})
