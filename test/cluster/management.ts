/**
 * The management API of a cluster, asked through any node: all nodes' connections, channels, consumers and numbers; what is
 * deleted or closed there ends wherever it is; limits hold over all nodes; a node that does not answer is left out, in time.
 * Last, the dashboard's page of the cluster, with a node that is killed and comes back.
 */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'
import { api, reportOf, untilWhole } from '../support/cluster/cluster-api.ts'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { DashboardBrowser, fine, visit } from '../support/dashboard-browser.ts'
import { eventually } from '../support/eventually.ts'

const readyMsMax = 60_000
/** A page waits so long for nodes that do not answer (2 s each for a list and its rows), on a busy machine. */
const pageMsMax = 8_000
const unansweredHeader = 'warren-unanswered-nodes'

type Json = Readonly<Record<string, unknown>>

/** The first of all on this cluster: it counts what is there. At its end all nodes are there again. */
export function management(cluster: ClusterProcesses): void {
  void describe('a cluster through any of its nodes', () => throughAnyNode(cluster))
}

function throughAnyNode(cluster: ClusterProcesses): void {
  before(() => untilWhole(cluster))

  /** What this node answers, as JSON. */
  async function got<T = Json[]>(node: ClusterNode, path: string): Promise<T> {
    const response = await api(node, path)
    assert.equal(response.status, 200, `${path} of ${node.name}: ${response.status}`)
    return (await response.json()) as T
  }

  async function put(node: ClusterNode, path: string, body: unknown): Promise<void> {
    const response = await api(node, path, 'PUT', body)
    assert.ok(response.ok, `${path}: ${response.status} ${await response.text()}`)
  }

  const [n1, n2, n3] = [0, 1, 2].map((index) => (): ClusterNode => cluster.node(index)) as [Get, Get, Get]

  it('tells the offsets of a stream through any node', async () => {
    const client = await RawClient.withChannel(addressOf(n1()))
    await client.call(1, 'queue.declare', {
      queue: 'offsets',
      durable: true,
      arguments: { 'x-queue-type': 'stream' },
    })
    for (let count = 0; count < 3; count++) {
      const body = { properties: {}, routing_key: 'offsets', payload: 'x', payload_encoding: 'string' }
      const published = await api(n2(), 'exchanges/%2f/amq.default/publish', 'POST', body)
      assert.deepEqual(await published.json(), { routed: true })
    }
    for (const node of cluster.nodes) {
      for (const path of ['queues/%2f/offsets', 'queues/%2f?type=stream']) {
        await eventually(`${node.name} tells them at ${path}`, async () => {
          const [queue] = [await got<Json | Json[]>(node, path)].flat()
          return queue?.['first_offset'] === 0 && queue['next_offset'] === 3
        })
      }
    }
    client.destroy()
  })

  it('lists connections, channels and consumers of all nodes, in pages and in order', async () => {
    const clients: RawClient[] = []
    for (const node of [...cluster.nodes, ...cluster.nodes]) clients.push(await RawClient.withChannel(addressOf(node)))
    await clients[0]?.call(1, 'queue.declare', { queue: 'listed', durable: true })
    for (const client of clients) await client.call(1, 'basic.consume', { queue: 'listed', noAck: true })
    for (const node of cluster.nodes) {
      const all = await got(node, 'connections')
      assert.deepEqual(countsBy(all, 'node'), { 'warren@n1': 2, 'warren@n2': 2, 'warren@n3': 2 })
      const names = all.map(({ name }) => String(name)).sort()
      const pages: Json[] = []
      for (const page of [1, 2]) {
        const part = await got<Json>(node, `connections?page=${page}&page_size=4&sort=name&sort_reverse=true`)
        const { items, ...rest } = part as { items: Json[] }
        const counts = { filtered_count: 6, total_count: 6, page_count: 2, page, page_size: 4 }
        assert.deepEqual(rest, { ...counts, item_count: items.length })
        pages.push(...items)
      }
      assert.deepEqual(
        pages.map(({ name }) => name),
        [...names].reverse(),
      )
      assert.equal((await api(node, 'connections?page=3&page_size=4')).status, 400)
      assert.deepEqual(countsBy(await got(node, 'channels?sort=number'), 'node'), countsBy(all, 'node'))
      assert.equal((await got(node, 'consumers')).length, 6)
      const [some] = await got(node, `connections?name=${encodeURIComponent(names[0] ?? '')}`)
      assert.equal(some?.['name'], names[0])
      for (const name of names) {
        const one = await got<Json>(node, `connections/${encodeURIComponent(name)}`)
        assert.equal(one['node'], all.find((other) => other['name'] === name)?.['node'])
        assert.equal((await got(node, `connections/${encodeURIComponent(name)}/channels`)).length, 1)
        const channel = await got<Json>(node, `channels/${encodeURIComponent(`${name} (1)`)}`)
        assert.equal((channel['consumer_details'] as Json[]).length, 1)
      }
      const queue = await got<Json>(node, 'queues/%2f/listed')
      assert.equal((queue['consumer_details'] as Json[]).length, 6)
      const { object_totals: totals } = await got<{ object_totals: Json }>(node, 'overview')
      assert.deepEqual([totals['connections'], totals['channels']], [6, 6])
      assert.equal((await api(node, 'connections/nobody')).status, 404)
    }
    await Promise.all(clients.map((client) => client.close()))
  })

  it('adds up what happened to a queue at all nodes, and says which one serves it', async () => {
    const [publisher, taker] = [
      await RawClient.withChannel(addressOf(n1())),
      await RawClient.withChannel(addressOf(n2())),
    ]
    await publisher.call(1, 'queue.declare', { queue: 'counted', durable: true })
    await publisher.call(1, 'queue.declare', { queue: 'quiet', durable: true })
    await publisher.call(1, 'confirm.select')
    for (let number = 0; number < 5; number++) {
      for (const client of number < 3 ? [publisher] : [taker]) client.publish(1, { routingKey: 'counted', body: 'm' })
    }
    await eventually('all are there', async () => {
      const { args } = await taker.call(1, 'queue.declare', { queue: 'counted', passive: true })
      return args['messageCount'] === 5
    })
    assert.equal((await taker.drain(1, 'counted')).length, 5)
    const owners = (await reportOf(n1())).shards.map(({ owner }) => `warren@${owner}`)
    for (const node of cluster.nodes) {
      const counted = async (path: string): Promise<Json> => {
        const all = await got(node, path)
        return all.find(({ name }) => name === 'counted') ?? {}
      }
      for (const path of ['queues', 'queues/%2f?sort=message_stats.publish&sort_reverse=true']) {
        const { message_stats: stats, node: owner, state } = await counted(path)
        const { publish, get_no_ack: taken } = stats as Json
        assert.deepEqual([publish, taken, state], [5, 5, 'running'], `${path} of ${node.name}`)
        assert.ok(owners.includes(String(owner)), String(owner))
      }
      const { items } = await got<{ items: Json[] }>(node, 'queues?page=1&sort=message_stats.publish&sort_reverse=true')
      assert.equal(items[0]?.['name'], 'counted')
      const { message_stats: stats } = await got<{ message_stats: Json }>(node, 'overview')
      assert.ok(Number(stats['publish']) >= 5 && Number(stats['get_no_ack']) >= 5, JSON.stringify(stats))
      const exchange = await got<{ message_stats: Json }>(node, 'exchanges/%2f/amq.default')
      assert.ok(Number(exchange.message_stats['publish_in']) >= 5)
      const nodes = await got(node, 'nodes')
      assert.deepEqual(
        nodes.map(({ name, running }) => [name, running]),
        [1, 2, 3].map((number) => [`warren@n${number}`, true]),
      )
      assert.equal((await got<Json>(node, 'nodes/n3'))['name'], 'warren@n3')
      assert.ok((await got<Json>(node, 'nodes/warren@n2/memory'))['memory'])
    }
    await Promise.all([publisher.close(), taker.close()])
  })

  it('closes a connection wherever it is, and all of a user', async () => {
    await user('closed')
    const there = [n1(), n2(), n3()]
    const clients = await Promise.all(there.map((node) => RawClient.withChannel(addressOf(node, 'closed'))))
    const second = (await got(n1(), 'connections')).find(
      (one) => one['node'] === 'warren@n2' && one['user'] === 'closed',
    )
    const path = `connections/${encodeURIComponent(String(second?.['name']))}`
    assert.equal((await api(n3(), path, 'DELETE')).status, 204)
    await clients[1]?.expectConnectionClose(320, /CONNECTION_FORCED - Closed via management plugin/)
    await eventually('it is gone', async () => (await api(n1(), path)).status === 404)
    assert.equal((await api(n2(), 'connections/username/closed', 'DELETE')).status, 204)
    for (const client of [clients[0], clients[2]]) await client?.expectConnectionClose(320, /Closed via management/)
    await eventually('all are gone', async () => (await got(n1(), 'connections/username/closed')).length === 0)
  })

  it('ends the connections of a user and of a vhost that are deleted, on every node', async () => {
    await user('leaving')
    await put(n1(), 'vhosts/leaving', {})
    const theirs = await Promise.all(cluster.nodes.map((node) => RawClient.withChannel(addressOf(node, 'leaving'))))
    const others = await Promise.all(
      cluster.nodes.map((node) => RawClient.withChannel(addressOf(node), { vhost: 'leaving' })),
    )
    assert.equal((await api(n1(), 'users/leaving', 'DELETE')).status, 204)
    for (const client of theirs)
      await client.expectConnectionClose(320, /CONNECTION_FORCED - user 'leaving' was deleted/)
    assert.equal((await api(n2(), 'vhosts/leaving', 'DELETE')).status, 204)
    for (const client of others)
      await client.expectConnectionClose(320, /CONNECTION_FORCED - vhost 'leaving' is deleted/)
  })

  it('holds limits of connections and channels over all nodes', async () => {
    await user('limited')
    await put(n1(), 'user-limits/limited/max-connections', { value: 2 })
    await put(n1(), 'user-limits/limited/max-channels', { value: 3 })
    const clients = [n1(), n2()].map((node) => RawClient.withChannel(addressOf(node, 'limited')))
    const [first, second] = (await Promise.all(clients)) as [RawClient, RawClient]
    await eventually('a third one is refused', () => isRefused(n3(), 'limited'))
    await second.call(2, 'channel.open')
    await toldElsewhere()
    first.send(2, 'channel.open')
    await first.expectConnectionClose(530, /NOT_ALLOWED - number of channels opened for user 'limited'/)
    await eventually('one has gone, so one may come', async () => !(await isRefused(n3(), 'limited')))
    await second.close()
  })

  it('has its name and what is set for all at every node', async () => {
    assert.equal((await got<Json>(n3(), 'cluster-name'))['name'], 'warren')
    await put(n2(), 'cluster-name', { name: 'three hares' })
    await put(n3(), 'global-parameters/set', { value: { by: [null, { arguments: 1 }] } })
    const all = [
      { name: 'cluster_name', value: 'three hares' },
      { name: 'set', value: { by: [null, { arguments: 1 }] } },
    ]
    for (const node of cluster.nodes) {
      const isThere = async (): Promise<boolean> =>
        JSON.stringify(await got(node, 'global-parameters')) === JSON.stringify(all)
      await eventually(`${node.name} has them`, isThere)
      assert.equal((await got<Json>(node, 'overview'))['cluster_name'], 'three hares')
      const client = await RawClient.dial(addressOf(node))
      const { start } = await client.logIn(addressOf(node))
      assert.equal((start.args['serverProperties'] as Json)['cluster_name'], 'three hares')
      client.destroy()
    }
    const definitions = await got<Json>(n1(), 'definitions')
    assert.deepEqual(definitions['global_parameters'], all)
    for (const name of ['cluster_name', 'set']) {
      assert.equal((await api(n1(), `global-parameters/${name}`, 'DELETE')).status, 204)
    }
    const imported = await api(n3(), 'definitions?report=true', 'POST', { global_parameters: all })
    assert.deepEqual(await imported.json(), { warnings: [] })
    for (const node of cluster.nodes) {
      await eventually(`${node.name} has them again`, async () => (await got(node, 'global-parameters')).length === 2)
    }
    assert.equal((await api(n2(), 'global-parameters/cluster_name', 'DELETE')).status, 204)
  })

  it('leaves out a node that does not answer, says so, and waits no longer than it must', async () => {
    const stays = await RawClient.withChannel(addressOf(n1()))
    n3().freeze('broker')
    const since = performance.now()
    const response = await api(n1(), 'connections?page=1&sort=name')
    const took = performance.now() - since
    const { items } = (await response.json()) as { items: Json[] }
    assert.equal(response.headers.get(unansweredHeader), 'n3')
    assert.deepEqual(countsBy(items, 'node'), { 'warren@n1': 1 })
    assert.ok(took < pageMsMax, `${took} ms`)
    const nodes = await got(n1(), 'nodes')
    assert.deepEqual(
      nodes.map(({ running }) => running),
      [true, true, false],
    )
    n3().thaw()
    await untilWhole(cluster)
    await eventually('it answers again', async () => !(await api(n1(), 'connections')).headers.has(unansweredHeader))
    await stays.close()
  })

  it('shows its nodes and shards in the dashboard, also one that is killed and comes back', async () => {
    await user('counted')
    await put(n1(), 'user-limits/counted/max-connections', { value: 1 })
    const dies = await RawClient.withChannel(addressOf(n3(), 'counted'))
    await eventually('no other may come', () => isRefused(n2(), 'counted'))
    const browser = new DashboardBrowser(`http://127.0.0.1:${n1().httpPort}`)
    const page = await browser.page('/cluster', { login: ['guest', 'guest'], height: 1_400 })
    const cell = (text: string) => page.getByRole('row').filter({ hasText: text })
    for (const shard of ['topology', 'shard-0', 'shard-2']) await cell(shard).first().waitFor()
    for (const node of ['n1', 'n2', 'n3']) await cell(`${node} 127.0.0.1`).getByText('running').waitFor()
    await fine(page, 'cluster-whole')
    await n3().crash()
    dies.destroy()
    await eventually('the dead count no more', async () => !(await isRefused(n2(), 'counted')), readyMsMax)
    const banner = page.getByRole('alert').filter({ hasText: 'warren@n3 is not running.' })
    await banner.waitFor({ timeout: readyMsMax })
    await cell('n3').getByText('not running').waitFor({ timeout: readyMsMax })
    await cell('n3 127.0.0.1').waitFor({ state: 'detached', timeout: readyMsMax })
    await eventually(
      'others own its shards',
      async () => (await reportOf(n1())).shards.every(({ owner }) => owner !== null && owner !== 'n3'),
      readyMsMax,
    )
    await eventually('its NATS server is said to be silent', async () => {
      const { nats } = (await reportOf(n1())) as unknown as { nats: { servers: { name: string; version: unknown }[] } }
      return nats.servers.find(({ name }) => name === 'n3')?.version === null
    })
    await cell('n1 127.0.0.1').getByText('n3 silent').waitFor()
    await page.waitForTimeout(2_000)
    await fine(page, 'cluster-without-n3')
    await visit(page, '/queues')
    await banner.waitFor()
    await fine(page, 'cluster-without-n3-elsewhere')
    await visit(page, '/cluster')
    n3().broker.spawn()
    await n3().broker.untilListening(readyMsMax)
    await untilWhole(cluster)
    await cell('n3 127.0.0.1').getByText('running').waitFor({ timeout: readyMsMax })
    await banner.waitFor({ state: 'detached', timeout: readyMsMax })
    await fine(page, 'cluster-again')
  })

  async function user(name: string): Promise<void> {
    await put(n1(), `users/${name}`, { password: name, tags: '' })
    await put(n1(), `permissions/%2f/${name}`, { configure: '.*', write: '.*', read: '.*' })
  }
}

type Get = () => ClusterNode

/** Limits are told four times a second. */
function toldElsewhere(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_000))
}

/** Whether one more connection of this user is refused there for its limit. */
async function isRefused(node: ClusterNode, username: string): Promise<boolean> {
  try {
    const client = await RawClient.connect(addressOf(node, username))
    await client.close()
    return false
  } catch (error) {
    assert.match(String(error), /user connection limit \(\d\) is reached/)
    return true
  }
}

function countsBy(all: readonly Json[], field: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const one of all) counts[String(one[field])] = (counts[String(one[field])] ?? 0) + 1
  return counts
}

function addressOf({ broker: { host, port, user, password } }: ClusterNode, username: string | null = null): Address {
  return { host, port, ...(username === null ? { user, password } : { user: username, password: username }) }
}
