/**
 * A webhook in a cluster: one node runs it, every node tells the same of it, and when that node is killed another one
 * goes on within seconds. What was confirmed arrives, signed.
 */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type ConfirmChannel, connect } from 'amqplib'
import { api, untilWhole } from '../support/cluster/cluster-api.ts'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { eventually } from '../support/eventually.ts'
import { HttpReceiver, type Received } from '../support/http-receiver.ts'

const key = Buffer.alloc(32, 7)
const secret = `whsec_${key.toString('base64')}`
const readyMsMax = 60_000
/** From the kill until another node pushes; on a machine that does much else it may be so many times as long as it is alone. */
const takeOverMsMax = 12_000
const publishMsMax = 60_000

interface Shown {
  readonly state: string
  readonly reason: string | null
  readonly node: string | null
  readonly delivered: number
  readonly failed: number
  readonly last_status: number | null
  readonly last_error: string | null
  readonly last_attempt_at: number | null
}

/** At its end all nodes are there again. */
export function webhooks(cluster: ClusterProcesses): void {
  void describe('a webhook in a cluster of three nodes', () => ofWebhooks(cluster))
}

function ofWebhooks(cluster: ClusterProcesses): void {
  let receiver: HttpReceiver

  before(async () => {
    receiver = await HttpReceiver.listen()
    await untilWhole(cluster)
    const [first] = cluster.nodes as [ClusterNode]
    await put(first, 'queues/%2F/hooked', { durable: true })
    const wish = { queue: 'hooked', url: `http://127.0.0.1:${receiver.port}/`, secret, concurrency: 8 }
    await put(first, 'webhooks/%2F/hook', wish)
  })
  after(() => receiver.close())

  async function put(node: ClusterNode, path: string, body: unknown): Promise<void> {
    const response = await api(node, path, 'PUT', body)
    assert.ok(response.ok, `${path}: ${response.status} ${await response.text()}`)
  }

  async function shown(node: ClusterNode): Promise<Shown> {
    const response = await api(node, 'webhooks/%2F/hook')
    assert.equal(response.status, 200)
    return (await response.json()) as Shown
  }

  async function server(): Promise<ClusterNode> {
    const response = await api(cluster.nodes[0] as ClusterNode, 'queues/%2F/hooked')
    const { node } = (await response.json()) as { node: string }
    const found = cluster.nodes.find(({ name }) => node === `warren@${name}`)
    assert.ok(found, node)
    return found
  }

  async function untilRunning(nodes: readonly ClusterNode[], by: ClusterNode): Promise<void> {
    for (const node of nodes) {
      await eventually(`${node.name} says that ${by.name} runs it`, async () => {
        const { state, node: at } = await shown(node)
        return state === 'running' && at === `warren@${by.name}`
      })
    }
  }

  it('is told of alike by every node: where it runs, what it did, and how it failed', async () => {
    const owner = await server()
    await untilRunning(cluster.nodes, owner)
    const connection = await connect(owner.broker.url)
    const channel = await connection.createConfirmChannel()
    for (let index = 0; index < 5; index++) channel.sendToQueue('hooked', Buffer.from(`counted ${index}`))
    await eventually('all have come', () => receiver.received.length === 5)
    receiver.answer = (response, count) => void response.writeHead(count === 6 ? 500 : 200).end()
    channel.sendToQueue('hooked', Buffer.from('fails'))
    const told = async (node: ClusterNode): Promise<unknown[]> => {
      const { delivered, failed, last_status: status, last_error: why } = await shown(node)
      return [delivered, failed, status, why]
    }
    await eventually('it failed', async () => (await shown(owner)).failed === 1)
    for (const node of cluster.nodes) assert.deepEqual(await told(node), [5, 1, 500, 'the answer was 500'], node.name)
    await eventually('it came', () => receiver.received.length === 7)
    await eventually('and counts', async () => (await shown(owner)).delivered === 6)
    for (const node of cluster.nodes) {
      assert.deepEqual(await told(node), [6, 1, 200, null], node.name)
      const response = await api(node, 'webhooks?columns=name,delivered,node&sort=delivered&queue=hooked')
      assert.deepEqual(await response.json(), [{ name: 'hook', delivered: 6, node: `warren@${owner.name}` }])
      assert.equal(response.headers.get('warren-unanswered-nodes'), null)
      assert.deepEqual(await (await api(node, 'webhooks?queue=other')).json(), [])
    }
    await connection.close()
  })

  it('is tried out by the node that runs it, whichever is asked', async () => {
    const owner = await server()
    for (const node of cluster.nodes) {
      const response = await api(node, 'webhooks/%2F/hook/test', 'POST')
      const { node: by, is_accepted: isAccepted } = (await response.json()) as { node: string; is_accepted: boolean }
      assert.deepEqual([by, isAccepted], [`warren@${owner.name}`, true])
    }
    assert.match(String(receiver.received.at(-1)?.headers['webhook-id']), /^test_/)
  })

  it('is run by another node within seconds when its node is killed, and nothing confirmed is lost', async (test) => {
    const owner = await server()
    const others = cluster.nodes.filter((node) => node !== owner)
    const before = receiver.received.length
    receiver.answer = (response) => void response.end()
    const [entry] = others as [ClusterNode]
    const connection = await connect(entry.broker.url)
    const channel = await connection.createConfirmChannel()
    let isEnough = false
    const sending = publishUntil(channel, () => isEnough)
    await eventually('it is pushed', () => receiver.received.length >= before + 100)
    await owner.broker.kill()
    const killedAt = performance.now()
    const pushedBefore = receiver.received.length
    await eventually('another node pushes', () => receiver.received.length > pushedBefore + 20, 40_000)
    const takenMs = performance.now() - killedAt
    isEnough = true
    const confirmed = await sending
    const missing = (): string[] => {
      const bodies = new Set(receiver.bodies)
      return confirmed.filter((body) => !bodies.has(body))
    }
    await eventually('all have come', () => missing().length === 0, 30_000).catch(() => undefined)
    assert.deepEqual(missing(), [], 'confirmed and lost')
    assert.ok(confirmed.length > 200, `${confirmed.length}`)
    for (const request of receiver.received) assert.ok(isSigned(request), JSON.stringify(request))
    note(test, confirmed, receiver.received.slice(before), takenMs)
    assert.ok(takenMs < takeOverMsMax, `${takenMs} ms`)
    for (const node of others) {
      await eventually('it runs elsewhere', async () => (await shown(node)).state === 'running')
      assert.notEqual((await shown(node)).node, `warren@${owner.name}`)
    }
    await connection.close()
    owner.broker.spawn()
    await owner.broker.untilListening(readyMsMax)
  })

  function note(test: TestContext, confirmed: readonly string[], requests: readonly Received[], ms: number): void {
    const twice = requests.length - new Set(requests.map(({ body }) => body)).size
    const count = `${confirmed.length} messages were confirmed, ${twice} of them pushed twice`
    test.diagnostic(`another node pushed ${Math.round(ms)} ms after the kill; ${count}`)
  }
}

/** A message every 10 ms or so, each confirmed, until it is enough and some hundreds are; the bodies of those that were. */
async function publishUntil(channel: ConfirmChannel, isEnough: () => boolean): Promise<string[]> {
  const confirmed: string[] = []
  const end = performance.now() + publishMsMax
  for (let index = 0; performance.now() < end && !(isEnough() && confirmed.length > 200); index++) {
    const body = `message ${index}`
    channel.sendToQueue('hooked', Buffer.from(body), { persistent: true, messageId: `m${index}` }, (error) => {
      if (!error) confirmed.push(body)
    })
    await pause(10)
  }
  await channel.waitForConfirms()
  return confirmed
}

function isSigned({ headers, body }: Received): boolean {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  return headers['webhook-signature'] === `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}
