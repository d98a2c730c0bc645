/**
 * What clients of a cluster see while one of its nodes is killed, stands still or loses its NATS server: how long the others
 * pause, that nothing confirmed is lost, and that nothing comes twice unmarked. What a longer and wilder run finds is
 * looked for in `test/chaos`.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'
import { api, isWhole, reportOf } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { type Traffic, trafficBetween } from '../support/cluster/traffic.ts'
import { eventually } from '../support/eventually.ts'

const shards = 6
const sessionMs = 5_000
/** From a proof of death until others serve, in milliseconds. */
const takeOverMsMax = 3_000
/** What is measured is reported; on a machine that does much else it may be so many times as long. */
const slack = 2
/** In which NATS elects the next leader of what a server led that is gone without a word. */
const electionMsMax = 9_000
/** From when a node and its server stand still until others serve. */
const lateTakeOverMsMax = Math.max(sessionMs, electionMsMax) + 5_000
const readyMsMax = 60_000
/** How long it is looked before a fault how long pauses are without one, and how many of them count as one fault's. */
const calmMs = 1_500
const calmPausesMax = 10

void describe('a cluster of three nodes', () => {
  let cluster: ClusterProcesses
  let traffic: Traffic[] = []
  let rounds = 0
  /** The longest pause of this round before anything happened. */
  let calmPauseMs = 0
  /** One that has come again and again is given its part late: each is hit once. */
  const victims: ClusterNode[] = []

  before(async () => {
    const env = { WARREN_CLUSTER_SHARDS: String(shards), WARREN_CLUSTER_SESSION: `${sessionMs / 1_000}s` }
    cluster = await ClusterProcesses.start({ env, hasHttp: true })
  })
  after(async () => cluster.kill())

  async function begin(): Promise<void> {
    await untilWhole()
    traffic = trafficBetween(cluster.nodes.map(addressOf), `round-${++rounds}`)
    await Promise.all(traffic.map((one) => one.start()))
    await Promise.all(traffic.map((one) => one.untilGoingOn()))
    const since = performance.now()
    await pause(calmMs)
    calmPauseMs = Math.max(...traffic.map((one) => one.pausesSince(since).confirms))
  }

  /** A pause may be as long, and by so much longer as the machine, which may do much else, was slow before. */
  function assertPause(ms: number, limitMs: number): void {
    const calm = Math.round(calmPauseMs)
    assert.ok(ms < limitMs + calmPausesMax * calmPauseMs, `${ms} ms; ${calm} ms when nothing happened`)
  }

  /** Each node has its part, also one that has come again and again and is given it later: then nothing moves by itself. */
  async function untilWhole(): Promise<void> {
    const { nodes } = cluster
    const seesAll = async (node: ClusterNode): Promise<boolean> => {
      const report = await reportOf(node)
      const haveParts = report.nodes.every(({ owns }) => owns.some((shard) => shard !== 'topology'))
      return haveParts && isWhole(report, nodes.length)
    }
    for (const node of nodes)
      await eventually(`${node.name} sees all`, () => seesAll(node).catch(() => false), readyMsMax)
  }

  /** All of them, or those alone whose clients are both on other nodes than this one. */
  function trafficWithout(node: ClusterNode | null): Traffic[] {
    if (node === null) return traffic
    const isHere = (address: Address | undefined): boolean => address?.port === node.broker.port
    return traffic.filter(({ options }) => !isHere(options.publishAt[0]) && !isHere(options.consumeAt[0]))
  }

  /** Longest pause since then of those without clients on the node. */
  async function pausesSince(since: number, node: ClusterNode | null): Promise<number> {
    await Promise.all(traffic.map((one) => one.untilGoingOn()))
    const found = trafficWithout(node).map((one) => one.pausesSince(since))
    return Math.round(Math.max(...found.flatMap(({ confirms, deliveries }) => [confirms, deliveries])))
  }

  async function end(): Promise<void> {
    await Promise.all(traffic.map((one) => one.end()))
    for (const one of traffic) {
      assert.deepEqual(one.lost, [], 'confirmed and lost')
      assert.deepEqual(one.falseFresh, [], 'came again and did not say so')
    }
  }

  it('goes on within seconds when a broker is killed, whose next start adopts its NATS server', async (t) => {
    let before: number | null = null
    let victim: ClusterNode | null = null
    const pauseMs = await kill(t, async (one) => {
      victim = one
      before = one.serverPid
      await one.broker.kill()
      assert.equal(one.serverPid, before, 'its NATS server goes on')
    })
    assertPause(pauseMs, takeOverMsMax * slack)
    const adopter = victim as unknown as ClusterNode
    assert.equal(adopter.serverPid, before, 'and is that of the next start')
    await untilWhole()
    const { nats } = await reportOf(adopter)
    assert.deepEqual([nats.is_healthy, nats.problems], [true, []])
    await serves(adopter)
  })

  it('goes on after an election of NATS when a whole node is gone', async (t) => {
    const pauseMs = await kill(t, (victim) => victim.crash())
    assertPause(pauseMs, electionMsMax + takeOverMsMax)
  })

  /** What clients of other nodes paused for; those of the killed one go on elsewhere. */
  async function kill(t: TestContext, how: (victim: ClusterNode) => Promise<void>): Promise<number> {
    await begin()
    const victim = await nextVictim()
    const since = performance.now()
    await how(victim)
    const pauseMs = await pausesSince(since, victim)
    t.diagnostic(`taken over within ${pauseMs} ms`)
    const moved = traffic.filter(({ reconnects }) => reconnects > 0)
    victim.broker.spawn()
    await victim.broker.untilListening(readyMsMax)
    await end()
    assert.ok(moved.length >= 4, 'its clients are connected elsewhere')
    // What consumers of other nodes hold stays theirs.
    for (const one of trafficWithout(victim)) assert.deepEqual(one.repeated, [])
    return pauseMs
  }

  async function nextVictim(): Promise<ClusterNode> {
    const victim = await ownerOfMost(cluster.nodes.filter((node) => !victims.includes(node)))
    victims.push(victim)
    return victim
  }

  it('takes over from a node that stands still when its session is over, and takes it in again', async (t) => {
    await begin()
    const victim = await nextVictim()
    const since = performance.now()
    victim.freeze('both')
    const others = trafficWithout(victim)
    const witness = cluster.nodes.find((node) => node !== victim) as ClusterNode
    const isGone = async (): Promise<boolean> => !(await ownersOf(witness)).includes(victim.name)
    await eventually('it owns nothing', isGone, readyMsMax)
    await Promise.all(others.map((one) => one.untilGoingOn()))
    const pauseMs = Math.round(Math.max(...others.map((one) => one.pausesSince(since).confirms)))
    t.diagnostic(`taken over within ${pauseMs} ms of standing still`)
    victim.thaw()
    await Promise.all(traffic.map((one) => one.untilGoingOn()))
    await untilWhole()
    await serves(victim)
    await end()
    assertPause(pauseMs, lateTakeOverMsMax)
  })

  it('keeps its owners when a NATS server is killed', async (t) => {
    await begin()
    const [node] = cluster.nodes as [ClusterNode]
    const owners = await ownersOf(node)
    const since = performance.now()
    node.killServer()
    const pauseMs = await pausesSince(since, null)
    t.diagnostic(`went on after ${pauseMs} ms`)
    await pause(1_000)
    await end()
    assert.deepEqual(await ownersOf(node), owners)
    assert.ok(
      traffic.every(({ reconnects }) => reconnects === 0),
      'no client lost its connection',
    )
    assertPause(pauseMs, electionMsMax + takeOverMsMax)
  })

  it('confirms nothing without a majority, says so, and goes on by itself', async (t) => {
    await untilWhole()
    const [alone, ...others] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    const client = await RawClient.withChannel(addressOf(alone))
    const queue = 'without-majority'
    await client.call(1, 'queue.declare', { queue, durable: true })
    await client.call(1, 'confirm.select')
    for (const node of others) node.freeze('both')
    try {
      await aloneFor(alone, client, queue, t)
    } finally {
      for (const node of others) node.thaw()
    }
    await untilWhole()
    await eventually('it is ready', async () => (await api(alone, 'health/checks/ready')).status === 200)
    await serves(alone)
    client.destroy()
  })
})

/** What a node does that has lost the others. */
async function aloneFor(alone: ClusterNode, client: RawClient, queue: string, t: TestContext): Promise<void> {
  const waiting = { routingKey: queue, body: 'waits', properties: { deliveryMode: 2 } }
  client.publish(1, waiting)
  const isReady = async (): Promise<boolean> => (await api(alone, 'health/checks/ready')).status === 200
  await eventually('the node knows that it is alone', async () => !(await isReady()), readyMsMax)
  client.publish(1, waiting)
  const blocked = await client.expect(0, 'connection.blocked')
  assert.match(String(blocked.args['reason']), /cluster/)
  const [getter, declarer] = [
    await RawClient.withChannel(addressOf(alone)),
    await RawClient.withChannel(addressOf(alone)),
  ]
  const since = performance.now()
  getter.send(1, 'basic.get', { queue })
  declarer.send(1, 'queue.declare', { queue: 'new', durable: true })
  for (const asking of [getter, declarer]) {
    const { name, args } = await asking.next(0, 45_000)
    t.diagnostic(`after ${Math.round(performance.now() - since)} ms: ${name} ${args['replyText']}`)
    assert.equal(name, 'connection.close')
    assert.equal(args['replyCode'], 541)
    assert.match(String(args['replyText']), /30 s/)
    asking.destroy()
  }
  assert.deepEqual(client.waiting(1), [], 'nothing is confirmed')
}

/** A message goes through a new queue of the node. */
async function serves(node: ClusterNode): Promise<void> {
  const client = await RawClient.withChannel(addressOf(node))
  try {
    await client.call(1, 'queue.declare', { queue: 'probe', durable: true })
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: 'probe', body: 'probe', properties: { deliveryMode: 2 } })
    await client.expect(1, 'basic.ack')
    await client.get(1, 'probe')
  } finally {
    client.destroy()
  }
}

async function ownersOf(node: ClusterNode): Promise<(string | null)[]> {
  return (await reportOf(node)).shards.map(({ owner }) => owner)
}

async function ownerOfMost(candidates: readonly ClusterNode[]): Promise<ClusterNode> {
  const { nodes } = await reportOf(candidates[0] as ClusterNode)
  const owned = new Map(nodes.map(({ name, owns }) => [name, owns.length]))
  const shardsOf = ({ name }: ClusterNode): number => owned.get(name) ?? 0
  const [most] = [...candidates].sort((a, b) => shardsOf(b) - shardsOf(a))
  assert.ok(most !== undefined && shardsOf(most) > 0)
  return most
}

function addressOf({ broker: { host, port, user, password } }: ClusterNode): Address {
  return { host, port, user, password }
}
