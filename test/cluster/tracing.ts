/** Traces in a cluster: whichever nodes publisher and consumer use, each message has its spans once, from the node that serves it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import amqplib, { type ChannelModel } from 'amqplib'
import { api, untilWhole } from '../support/cluster/cluster-api.ts'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { eventually } from '../support/eventually.ts'
import { attribute, type TraceCollector, traced } from '../support/trace-collector.ts'

/** Spans wait for others up to a second; so long after the last nothing more comes. */
const quietMs = 3_000

/** The nodes send their spans to this collector, with `x-key: of the nodes`. At its end a node is gone. */
export function tracing(cluster: ClusterProcesses, collector: TraceCollector): void {
  void describe('traces in a cluster of three nodes', () => ofTraces(cluster, collector))
}

function ofTraces(cluster: ClusterProcesses, collector: TraceCollector): void {
  const connections: ChannelModel[] = []

  before(async () => {
    await untilWhole(cluster)
    for (const { broker } of cluster.nodes) connections.push(await amqplib.connect(broker.url))
  })
  after(async () => {
    for (const connection of connections) await connection.close()
  })

  /** The node that serves a queue, and two connections to the others. */
  async function around(queue: string): Promise<{ owner: string; one: ChannelModel; other: ChannelModel }> {
    const response = await api(cluster.nodes[0] as ClusterNode, `queues/%2F/${queue}`)
    const { node } = (await response.json()) as { node: string }
    const owner = node.replace('warren@', '')
    const [one, other] = connections.filter((_, index) => cluster.nodes[index]?.name !== owner)
    assert.ok(one && other)
    return { owner, one, other }
  }

  async function declare(name: string, options: amqplib.Options.AssertQueue = {}): Promise<void> {
    const channel = await (connections[0] as ChannelModel).createChannel()
    await channel.assertQueue(name, { durable: true, ...options })
    await channel.close()
  }

  /** Publishes at one node, and takes it at another. */
  async function pass(queue: string, { one, other }: { one: ChannelModel; other: ChannelModel }): Promise<string> {
    const { headers, traceId } = traced()
    const publisher = await one.createConfirmChannel()
    publisher.sendToQueue(queue, Buffer.from('x'), { headers, persistent: true })
    await publisher.waitForConfirms()
    const consumer = await other.createChannel()
    await consumer.prefetch(1)
    await new Promise<void>((resolve) => {
      const settled = (message: amqplib.ConsumeMessage | null): void => {
        if (message === null) return
        consumer.ack(message)
        resolve()
      }
      void consumer.consume(queue, settled, { arguments: { 'x-stream-offset': 'first' } })
    })
    await consumer.close()
    await publisher.close()
    return traceId
  }

  function instanceOf(traceId: string): (string | undefined)[] {
    return collector.documents.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ resource, scopeSpans }) =>
        (scopeSpans[0]?.spans ?? [])
          .filter((span) => span.traceId === traceId)
          .map(() => attribute(resource, 'service.instance.id')),
      ),
    )
  }

  it('have one span of a queue, from the node that serves it', async () => {
    const queues = [0, 1, 2, 3].map((number) => `traced-${number}`)
    const passed = await Promise.all(
      queues.map(async (queue) => {
        await declare(queue)
        const place = await around(queue)
        return { queue, place, traceId: await pass(queue, place) }
      }),
    )
    for (const { traceId } of passed) await collector.spansOf(traceId)
    await new Promise((resolve) => setTimeout(resolve, quietMs))
    for (const { queue, place, traceId } of passed) {
      const spans = await collector.spansOf(traceId)
      assert.deepEqual(
        spans.map((span) => [span.name, attribute(span, 'warren.outcome'), span.parentSpanId]),
        [[`queue ${queue}`, 'acknowledged', '00000000000000ab']],
      )
      assert.deepEqual(instanceOf(traceId), [place.owner])
    }
    assert.ok(collector.headers.every((headers) => headers['x-key'] === 'of the nodes'))
  })

  it('have one span of a publish to a stream, and one of a delivery', async () => {
    await declare('traced-log', { arguments: { 'x-queue-type': 'stream' } })
    const place = await around('traced-log')
    const traceId = await pass('traced-log', place)
    await collector.spansOf(traceId, 2)
    await new Promise((resolve) => setTimeout(resolve, quietMs))
    const spans = await collector.spansOf(traceId, 2)
    const [publish, deliver] = ['publish traced-log', 'deliver traced-log'].map((name) =>
      spans.find((span) => span.name === name),
    )
    assert.equal(spans.length, 2)
    assert.deepEqual(deliver?.links, [{ traceId, spanId: publish?.spanId }])
    assert.deepEqual(instanceOf(traceId), [place.owner, place.owner])
  })

  it('link a dead letter to the span in which it died, also at another node', async () => {
    const homes = new Set<string>()
    for (let number = 0; number < 8; number++) {
      const [dying, dead] = [`dying-${number}`, `dead-${number}`]
      await declare(dead)
      await declare(dying, { deadLetterExchange: '', deadLetterRoutingKey: dead, messageTtl: 1 })
      const [from, to] = [await around(dying), await around(dead)]
      homes.add(from.owner === to.owner ? 'same' : 'other')
      const { headers, traceId } = traced()
      const channel = await from.one.createConfirmChannel()
      channel.sendToQueue(dying, Buffer.from('x'), { headers, persistent: true })
      await channel.waitForConfirms()
      await eventually('it is dead', async () => (await channel.get(dead, { noAck: true })) !== false)
      await channel.close()
      const spans = await collector.spansOf(traceId, 2)
      const [died, letter] = [dying, dead].map((name) => spans.find((span) => span.name === `queue ${name}`))
      assert.equal(spans.length, 2)
      assert.deepEqual([died?.links, letter?.links], [undefined, [{ traceId, spanId: died?.spanId }]])
    }
    assert.ok(homes.has('other'), 'some went to another node')
  })

  // Last: a node is gone afterwards.
  it('go on with the next owner when a node is killed, as the same spans', async () => {
    await declare('inherited')
    const { owner, one } = await around('inherited')
    const { headers, traceId } = traced()
    const channel = await one.createConfirmChannel()
    channel.sendToQueue('inherited', Buffer.from('x'), { headers, persistent: true })
    await channel.waitForConfirms()
    const killed = cluster.nodes.findIndex(({ name }) => name === owner)
    const [gone] = connections.splice(killed, 1)
    gone?.on('error', () => {})
    await cluster.nodes[killed]?.broker.kill()
    await new Promise<void>((resolve) => {
      void channel.consume('inherited', () => resolve(), { noAck: true })
    })
    const [span] = await collector.spansOf(traceId)
    assert.ok(span)
    assert.deepEqual([span.name, attribute(span, 'warren.outcome')], ['queue inherited', 'acknowledged'])
    assert.notEqual(instanceOf(traceId)[0], owner)
  })
}
