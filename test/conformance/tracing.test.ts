/** Spans of traced messages: a real collector's end, real clients, and what becomes of messages in queues. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { readTraceParent } from '../../src/broker/shard/tracing.ts'
import { followedMax, pauseMs, SpanExporter, waitingMax } from '../../src/telemetry/span-exporter.ts'
import { eventually } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'

interface Value {
  readonly stringValue?: string
  readonly intValue?: string
}

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: Value }[]
  readonly events?: readonly { readonly name: string }[]
  readonly status: { readonly code?: number; readonly message?: string }
}

interface Document {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] }
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[]
  }[]
}

/** Takes what is posted to `/v1/traces`. */
class Collector {
  readonly documents: Document[] = []
  readonly paths: string[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    server.on('request', (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      request.on('end', () => {
        this.paths.push(`${request.method} ${request.url} ${request.headers['content-type']}`)
        this.documents.push(JSON.parse(body) as Document)
        response.setHeader('content-type', 'application/json')
        response.end('{}')
      })
    })
  }

  static async start(): Promise<Collector> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new Collector(server)
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get spans(): Span[] {
    return this.documents.flatMap(({ resourceSpans }) => resourceSpans.flatMap((one) => one.scopeSpans[0]?.spans ?? []))
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

function attribute({ attributes }: Pick<Span, 'attributes'>, name: string): string | undefined {
  const value = attributes.find(({ key }) => key === name)?.value
  return value?.stringValue ?? value?.intValue
}

let nextTrace = 0

/** Headers of a message whose trace is recorded, or is not; the number of the trace. */
function traced(isSampled = true): { headers: Record<string, string>; traceId: string } {
  const traceId = (++nextTrace).toString(16).padStart(32, '0')
  return { traceId, headers: { other: 'x', traceparent: `00-${traceId}-00000000000000ab-0${isSampled ? 1 : 0}` } }
}

describe('Spans of traced messages', () => {
  let collector: Collector
  let node: NodeInProcess
  let connection: amqplib.ChannelModel
  let channel: amqplib.Channel

  before(async () => {
    collector = await Collector.start()
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

  async function spansOf(traceId: string, count = 1): Promise<Span[]> {
    const found = (): Span[] => collector.spans.filter((span) => span.traceId === traceId)
    await eventually('the spans', () => found().length >= count)
    return found()
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
      ['first delivery'],
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
    await eventually('the line', () => node.said(/^traces cannot be sent and are dropped/).length === 1)
    await connection.close()
    await node.stop()
  })

  it('is asked again after a pause; what does not fit meanwhile is dropped', async () => {
    const clock = new ManualClock()
    const posts: number[] = []
    let answer: () => Promise<void> = () => Promise.reject(new Error('the answer is 503'))
    const post = (_url: string, document: string): Promise<void> => {
      posts.push((JSON.parse(document) as Document).resourceSpans[0]?.scopeSpans[0]?.spans.length ?? 0)
      return answer()
    }
    const source = { serviceName: 's', serviceInstance: 'i', version: '0' }
    const parts = { clock, random: new SeededRandom(1), logger: silentLogger, source, url: 'http://collector/', post }
    const exporter = new SpanExporter(parts)
    const residence = {
      ...{ traceId: 'a'.repeat(32), parentId: 'b'.repeat(16), queue: 'q', vhost: '/', routingKey: 'k', bodyBytes: 1 },
      ...{ enteredAt: 1, deliveredAt: 0, deliveries: 0, death: null, isDeadLetter: false },
    }
    const span = (): void => {
      assert.ok(exporter.began())
      exporter.ended(residence, 'acknowledged')
    }
    for (let index = 0; index < waitingMax + 10; index++) span()
    assert.equal(exporter.dropped, 10)
    clock.advance(0)
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(posts, [512])
    assert.equal(exporter.dropped, 10 + 512)
    clock.advance(pauseMs - 1)
    assert.equal(posts.length, 1, 'not before the pause is over')
    answer = () => Promise.resolve()
    for (let step = 0; step < 40; step++) {
      clock.advance(pauseMs)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(exporter.exported, waitingMax - 512)
    for (let index = 0; index < followedMax; index++) assert.ok(exporter.began())
    assert.equal(exporter.began(), false)
    exporter.lost(followedMax)
    assert.ok(exporter.began())
    await exporter.stop()
  })
})
