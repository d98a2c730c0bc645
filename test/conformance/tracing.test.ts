/** Spans of traced messages: a real collector's end, real clients, and what becomes of messages in queues. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { readTraceParent } from '../../src/broker/trace-parent.ts'
import { eventually } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'
import { attribute, type Span, TraceCollector, traced } from '../support/trace-collector.ts'

describe('Spans of traced messages', () => {
  let collector: TraceCollector
  let node: NodeInProcess
  let connection: amqplib.ChannelModel
  let channel: amqplib.Channel

  before(async () => {
    collector = await TraceCollector.start()
    node = await NodeInProcess.start({
      traceEndpoint: collector.url,
      traceServiceName: 'shop-broker',
      prometheusPort: 0,
    })
    connection = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    channel = await connection.createChannel()
  })
  after(async () => {
    await connection.close()
    await node.stop()
    collector.close()
  })

  function spansOf(traceId: string, count = 1): Promise<Span[]> {
    return collector.spansOf(traceId, count)
  }

  function ends(spans: readonly Span[]): unknown[] {
    return spans.map((span) => [span.name, attribute(span, 'warren.outcome'), attribute(span, 'warren.death.reason')])
  }

  it('tell of the time in the queue, of deliveries and of the acknowledgement', async () => {
    await channel.assertQueue('orders')
    const { headers, traceId } = traced()
    channel.sendToQueue('orders', Buffer.from('12345'), { headers, persistent: true })
    const first = await channel.get('orders')
    assert.ok(first)
    channel.nack(first, false, true)
    const second = await channel.get('orders')
    assert.ok(second)
    channel.ack(second)
    const [span] = await spansOf(traceId)
    assert.ok(span)
    assert.equal(span.parentSpanId, '00000000000000ab')
    assert.match(span.spanId, /^[0-9a-f]{16}$/)
    assert.equal(span.name, 'queue orders')
    assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano))
    assert.ok(Math.abs(Number(BigInt(span.startTimeUnixNano) / 1_000_000n) - Date.now()) < 60_000)
    assert.deepEqual(
      span.events?.map(({ name }) => name),
      ['first delivery', 'redelivery'],
    )
    const expected = {
      'messaging.system': 'rabbitmq',
      'messaging.destination.name': 'orders',
      'messaging.rabbitmq.destination.routing_key': 'orders',
      'messaging.message.body.size': '5',
      'warren.vhost': '/',
      'warren.outcome': 'acknowledged',
      'warren.redelivery_count': '1',
    }
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, attribute(span, name)])), expected)
    assert.deepEqual(span.status, {})
    const resource = collector.documents[0]?.resourceSpans[0]?.resource
    assert.equal(resource && attribute(resource, 'service.name'), 'shop-broker')
    assert.deepEqual([...new Set(collector.paths)], ['POST /v1/traces application/json'])
  })

  it('follow a message that dies into the next queue', async () => {
    await channel.assertQueue('dead')
    const dying = { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
    await channel.assertQueue('rejecting', dying)
    await channel.assertQueue('short', { ...dying, messageTtl: 20 })
    await channel.assertQueue('forgetful', { messageTtl: 20 })
    const rejected = traced()
    channel.sendToQueue('rejecting', Buffer.from('x'), { headers: rejected.headers })
    const message = await channel.get('rejecting')
    assert.ok(message)
    channel.nack(message, false, false)
    const expired = traced()
    channel.sendToQueue('short', Buffer.from('x'), { headers: expired.headers })
    const forgotten = traced()
    channel.sendToQueue('forgetful', Buffer.from('x'), { headers: forgotten.headers })
    assert.deepEqual(ends(await spansOf(rejected.traceId)), [['queue rejecting', 'dead-lettered', 'rejected']])
    const [span] = await spansOf(expired.traceId)
    assert.ok(span)
    assert.deepEqual(ends([span]), [['queue short', 'dead-lettered', 'expired']])
    assert.deepEqual(span.status, { code: 2, message: 'expired' })
    assert.deepEqual(ends(await spansOf(forgotten.traceId)), [['queue forgetful', 'dropped', 'expired']])
    await eventually(
      'both are in the queue of the dead',
      async () => (await channel.checkQueue('dead')).messageCount === 2,
    )
    await channel.purgeQueue('dead')
    const last = (await spansOf(rejected.traceId, 2)).at(-1)
    assert.deepEqual(last && ends([last]), [['queue dead', 'purged', undefined]])
  })

  it('are of messages that are handed over without being stored, and of those in deleted queues, too', async () => {
    await channel.assertQueue('passing', { durable: false })
    const got = new Promise<void>((resolve) => void channel.consume('passing', () => resolve(), { noAck: true }))
    await channel.checkQueue('passing')
    const passed = traced()
    channel.sendToQueue('passing', Buffer.from('x'), { headers: passed.headers })
    await got
    assert.deepEqual(ends(await spansOf(passed.traceId)), [['queue passing', 'acknowledged', undefined]])
    await channel.assertQueue('doomed')
    const doomed = traced()
    channel.sendToQueue('doomed', Buffer.from('x'), { headers: doomed.headers })
    await channel.deleteQueue('doomed')
    assert.deepEqual(ends(await spansOf(doomed.traceId)), [['queue doomed', 'deleted', undefined]])
  })

  it('are of recorded traces only', async () => {
    const [silent, other] = [traced(false), traced()]
    for (const { headers } of [silent, other]) channel.sendToQueue('orders', Buffer.from('x'), { headers })
    channel.sendToQueue('orders', Buffer.from('x'))
    for (let left = 3; left > 0; left--) {
      const message = await channel.get('orders')
      assert.ok(message)
      channel.ack(message)
    }
    await spansOf(other.traceId)
    assert.deepEqual(
      collector.spans.filter(({ traceId }) => traceId === silent.traceId),
      [],
    )
    for (const text of [
      '',
      '00-0-0-01',
      `00-${'0'.repeat(32)}-00000000000000ab-01`,
      `ff-${other.traceId}-00000000000000ab-01`,
    ])
      assert.equal(readTraceParent(text), null)
  })

  it('are counted', async () => {
    const page = await (await fetch(`http://127.0.0.1:${node.port('prometheus')}/metrics`)).text()
    const exported = Number(/^warren_spans_exported_total (\d+)$/m.exec(page)?.[1])
    assert.equal(exported, collector.spans.length)
    assert.match(page, /^warren_spans_dropped_total 0$/m)
  })
})

describe('A collector that takes nothing', () => {
  it('costs the broker dropped spans and a line in the log', async () => {
    const node = await NodeInProcess.start({ traceEndpoint: 'http://127.0.0.1:1/' })
    const connection = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('orders')
    await channel.consume('orders', (message) => message !== null && channel.ack(message))
    for (let sent = 0; sent < 1_000; sent++)
      channel.sendToQueue('orders', Buffer.from('x'), { headers: traced().headers })
    await channel.waitForConfirms()
    await eventually('the line', () => node.said(/^traces cannot be sent; they wait/).length === 1)
    await connection.close()
    await node.stop()
  })
})
