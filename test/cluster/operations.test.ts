/** What those who run a cluster do to it: drain and restart nodes, stop all, add and remove one, give it definitions. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'
import { api, isWhole, reportOf } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { trafficBetween } from '../support/cluster/traffic.ts'
import { eventually } from '../support/eventually.ts'
import { runWarren } from '../support/warren-command.ts'

/** Pause of one shard while it is moved in good order, in milliseconds: below a second where there is time for it (docs/clustering.md). */
const moveMsMax = 3_000
/** NATS elects the next leader of what a server led that has ended. */
const electionMsMax = 9_000
const readyMsMax = 60_000

const givenAtStart = {
  vhosts: [{ name: '/' }],
  exchanges: [
    { name: 'given', vhost: '/', type: 'fanout', durable: true, auto_delete: false, internal: false, arguments: {} },
  ],
  queues: [{ name: 'given', vhost: '/', durable: true, auto_delete: false, arguments: {} }],
  bindings: [
    { source: 'given', vhost: '/', destination: 'given', destination_type: 'queue', routing_key: '', arguments: {} },
  ],
}

void describe('operating a cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-operations-'))
  let cluster: ClusterProcesses

  before(async () => {
    const path = join(folder, 'definitions.json')
    writeFileSync(path, JSON.stringify(givenAtStart))
    const env = { WARREN_CLUSTER_SHARDS: '6', WARREN_DEFINITIONS: path }
    cluster = await ClusterProcesses.start({ env, hasHttp: true })
  })
  after(async () => {
    await cluster.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  async function untilWhole(): Promise<void> {
    const { nodes } = cluster
    // NATS servers are looked at again a moment after their nodes have come.
    const seesAll = async (node: ClusterNode): Promise<boolean> => {
      const report = await reportOf(node)
      return isWhole(report, nodes.length) && report.nats.is_healthy
    }
    for (const node of nodes) {
      await eventually(`${node.name} sees all`, () => seesAll(node).catch(() => false), readyMsMax)
    }
  }

  const http = ({ httpPort }: ClusterNode): string => `http://guest:guest@127.0.0.1:${httpPort}`

  it('begins with the definitions that all of its nodes were given', async () => {
    await untilWhole()
    for (const [index, node] of cluster.nodes.entries()) {
      const publisher = await RawClient.withChannel(addressOf(node))
      const taker = await RawClient.withChannel(addressOf(cluster.node((index + 1) % 3)))
      await publisher.call(1, 'confirm.select')
      publisher.publish(1, { exchange: 'given', routingKey: '', body: node.name, properties: { deliveryMode: 2 } })
      await publisher.expect(1, 'basic.ack')
      assert.equal((await taker.get(1, 'given'))?.body.toString(), node.name)
      await Promise.all([publisher.close(), taker.close()])
    }
  })

  it('drains and restarts one node after the other; what clients of others hold stays theirs', async (t) => {
    await untilWhole()
    const traffic = trafficBetween(cluster.nodes.map(addressOf), 'rolling', 20)
    await Promise.all(traffic.map((one) => one.start()))
    const moves: number[] = []
    for (const node of cluster.nodes) {
      const since = performance.now()
      const repeated = traffic.map((one) => one.repeated)
      const drained = await runWarren(['cluster', 'drain', '--http', http(node)])
      assert.equal(drained.code, 0, drained.stderr)
      assert.equal(drained.stdout, `${node.name} owns no shard any more and can be stopped\n`)
      await Promise.all(traffic.map((one) => one.untilGoingOn()))
      moves.push(...traffic.map((one) => Math.round(one.pausesSince(since).confirms)))
      assert.deepEqual(
        traffic.map((one) => one.repeated),
        repeated,
        'nothing that clients hold is delivered again when shards are moved',
      )
      await node.broker.kill('SIGTERM')
      node.broker.spawn()
      await node.broker.untilListening(readyMsMax)
      await untilWhole()
    }
    await Promise.all(traffic.map((one) => one.end()))
    moves.sort((a, b) => a - b)
    t.diagnostic(`pauses while shards moved: ${moves.at(Math.floor(moves.length / 2))} ms, at most ${moves.at(-1)} ms`)
    // What is not there yet is somewhere: waiting in a queue, held, or lost.
    if (traffic.some(({ lost }) => lost.length > 0)) {
      for (const node of cluster.nodes) {
        const queues = await runWarren(['queues', '--http', http(node), '--columns', 'name,ready,unacked,consumers'])
        t.diagnostic(`as ${node.name} sees it:\n${queues.stdout}${queues.stderr}`)
      }
    }
    for (const one of traffic) {
      assert.deepEqual(one.lost, [])
      assert.deepEqual(one.falseFresh, [])
    }
    assert.ok((moves.at(Math.floor(moves.length / 2)) ?? 0) < moveMsMax)
    assert.ok((moves.at(-1) ?? 0) < electionMsMax)
  })

  it('says by its exit code and in words how it is', async () => {
    await untilWhole()
    const [node, other] = cluster.nodes as [ClusterNode, ClusterNode]
    const well = await runWarren(['cluster', 'status', '--http', http(node)])
    assert.equal(well.code, 0, well.stdout + well.stderr)
    assert.match(well.stdout, /^cluster warren, as n1 sees it\n/)
    assert.match(well.stdout, /\nshard-5 +n[123] +n[123] +\d+/)
    assert.match(well.stdout, /\nall is well; last write to NATS \d\.\d s ago\n$/)
    const refused = await runWarren(['cluster', 'remove', other.name, '--http', http(node)])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /node 'n2' is running; stop it first, then remove it/)
    assert.equal((await runWarren(['cluster', 'drain', '--wait', '0', '--http', http(node)])).code, 0)
    const undone = await runWarren(['cluster', 'drain', '--undo', '--http', http(node)])
    assert.equal(undone.stdout, 'the node takes shards again\n')
    await untilWhole()
  })

  it('gives nothing away when nobody could take it', async () => {
    const [one, two, last] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    for (const node of [one, two]) {
      assert.equal((await runWarren(['cluster', 'drain', '--wait', '0', '--http', http(node)])).code, 0)
    }
    const seesBoth = async (): Promise<boolean> =>
      (await reportOf(last)).nodes.filter(({ state }) => state === 'draining').length === 2
    await eventually('the last one knows', seesBoth)
    const refused = await runWarren(['cluster', 'drain', '--http', http(last)])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /no other node could take the shards of 'n3': start another node/)
    for (const node of [one, two]) await runWarren(['cluster', 'drain', '--undo', '--http', http(node)])
    await untilWhole()
  })

  it('takes policies, permissions and definitions by any node, and all know them', async () => {
    const [first, second, third] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    const policy = { pattern: '^limited', definition: { 'max-length': 1 }, 'apply-to': 'queues' }
    assert.equal((await api(first, 'policies/%2f/limited', 'PUT', policy)).status, 201)
    assert.equal((await api(second, 'users/worker', 'PUT', { password: 'worker', tags: '' })).status, 201)
    const rights = { configure: '^limited', write: '.*', read: '.*' }
    assert.equal((await api(third, 'permissions/%2f/worker', 'PUT', rights)).status, 201)
    const definitions = { queues: [{ name: 'imported', vhost: '/', durable: true, auto_delete: false, arguments: {} }] }
    assert.ok((await api(second, 'definitions', 'POST', definitions)).ok)
    for (const node of cluster.nodes) {
      assert.equal((await api(node, 'policies/%2f/limited')).status, 200)
      const client = await RawClient.withChannel({ ...addressOf(node), user: 'worker', password: 'worker' })
      const queue = `limited-${node.name}`
      await client.call(1, 'queue.declare', { queue, durable: true })
      for (const body of ['a', 'b']) client.publish(1, { routingKey: queue, body, properties: { deliveryMode: 2 } })
      await eventually('the newer one is there', async () => {
        const { args } = await client.call(1, 'queue.declare', { queue, passive: true })
        return args['messageCount'] === 1
      })
      assert.deepEqual(await client.drain(1, queue), ['b'])
      await client.call(1, 'queue.declare', { queue: 'imported', passive: true })
      client.send(1, 'queue.declare', { queue: 'other', durable: true })
      await client.expectChannelClose(1, 403, /ACCESS_REFUSED/)
      await client.close()
    }
  })

  it('takes nodes in, gives them shards, and forgets one that is stopped for good', async () => {
    await untilWhole()
    await cluster.add(2)
    await untilWhole()
    const [first] = cluster.nodes as [ClusterNode]
    const last = cluster.nodes.at(-1) as ClusterNode
    assert.ok(
      (await reportOf(first)).nodes.some(({ name, owns }) => (name === 'n4' || name === 'n5') && owns.length > 0),
    )
    assert.equal((await runWarren(['cluster', 'drain', '--http', http(last)])).code, 0)
    await last.broker.kill('SIGTERM')
    cluster.nodes.pop()
    await eventually('it is removed', async () => (await removed(last)).code === 0, readyMsMax)
    await untilWhole()
    assert.equal((await runWarren(['cluster', 'status', '--http', http(first)])).code, 0)

    async function removed({ name }: ClusterNode): ReturnType<typeof runWarren> {
      return await runWarren(['cluster', 'remove', name, '--http', http(first)])
    }
  })

  it('has all that is durable after all nodes were stopped, and nothing else', async () => {
    await untilWhole()
    const clients = await Promise.all(cluster.nodes.map((node) => RawClient.withChannel(addressOf(node))))
    for (const [index, client] of clients.entries()) {
      const kept = `kept-${index}`
      await client.call(1, 'queue.declare', { queue: kept, durable: true })
      await client.call(1, 'queue.declare', { queue: `exclusive-${index}`, durable: false, exclusive: true })
      await client.call(1, 'queue.declare', { queue: `transient-${index}`, durable: false })
      await client.call(1, 'confirm.select')
      for (let number = 0; number < 20; number++) {
        client.publish(1, { routingKey: kept, body: `${number}`, properties: { deliveryMode: 2 } })
      }
      client.publish(1, { routingKey: kept, body: 'transient' })
      for (let confirmed = 0; confirmed < 21; )
        confirmed = Number((await client.expect(1, 'basic.ack')).args['deliveryTag'])
      client.destroy()
    }
    await declareStream()
    const ended = await Promise.all(cluster.nodes.map(({ broker }) => broker.kill('SIGTERM')))
    assert.deepEqual(
      ended.map(({ code }) => code),
      cluster.nodes.map(() => 0),
    )
    for (const { broker } of cluster.nodes) broker.spawn()
    await Promise.all(cluster.nodes.map(({ broker }) => broker.untilListening(readyMsMax)))
    await untilWhole()
    for (const index of clients.keys()) {
      const client = await RawClient.withChannel(addressOf(cluster.node((index + 1) % cluster.nodes.length)))
      assert.deepEqual(
        await client.drain(1, `kept-${index}`),
        Array.from({ length: 20 }, (_, number) => `${number}`),
      )
      for (const [channel, queue] of [`exclusive-${index}`, `transient-${index}`].entries()) {
        await client.call(channel + 2, 'channel.open')
        client.send(channel + 2, 'queue.declare', { queue, passive: true })
        await client.expectChannelClose(channel + 2, 404, /NOT_FOUND/)
      }
      await client.close()
    }
  })

  it('tells what is in a stream that nobody uses, through any node, after a start and when its node is gone', async () => {
    await untilToldByAll()
    const owner = cluster.nodes.find(({ name }) => streamOwner === `warren@${name}`)
    assert.ok(owner, `${streamOwner} is one of them`)
    await owner.crash()
    cluster.nodes.splice(cluster.nodes.indexOf(owner), 1)
    await untilToldByAll(streamOwner)
  })

  let streamOwner = ''

  async function declareStream(): Promise<void> {
    const client = await RawClient.withChannel(addressOf(cluster.node(0)))
    const args = { 'x-queue-type': 'stream' }
    await client.call(1, 'queue.declare', { queue: 'unused', durable: true, arguments: args })
    await client.call(1, 'confirm.select')
    for (let number = 1; number <= 5; number++) {
      client.publish(1, { routingKey: 'unused', body: `${number}` })
      await client.expect(1, 'basic.ack')
    }
    client.destroy()
  }

  /** Offsets are asked of the node that serves it, which is another than `before`; the length has been told by it. */
  async function untilToldByAll(before = ''): Promise<void> {
    for (const node of cluster.nodes) {
      await eventually(
        `${node.name} tells it`,
        async () => {
          const response = await api(node, 'queues/%2f/unused')
          const queue = (await response.json()) as Record<string, unknown>
          streamOwner = String(queue['node'])
          const { messages, first_offset: first, next_offset: next } = queue
          return streamOwner !== before && messages === 5 && first === 0 && next === 5
        },
        readyMsMax,
      )
    }
  }
})

function addressOf({ broker: { host, port, user, password } }: ClusterNode): Address {
  return { host, port, user, password }
}
