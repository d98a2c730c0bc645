/** What a collector is sent, field by field: queues, streams, links between spans; and how it is reached. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { spanIdOf } from '../../src/telemetry/otlp-spans.ts'
import { version } from '../../src/version.ts'
import { TestAuthority } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'
import { attribute, type Span, TraceCollector, traced } from '../support/trace-collector.ts'

const parent = '00000000000000ab'
const stream = { durable: true, arguments: { 'x-queue-type': 'stream' } }

/** Times and ids, which are others each time, are checked and taken out. */
function timeless({ startTimeUnixNano: start, endTimeUnixNano: end, spanId, events, ...rest }: Span): object {
  assert.match(spanId, /^[0-9a-f]{16}$/)
  for (const time of [start, end]) assert.match(time, /^\d{13}000000$/)
  assert.ok(BigInt(end) >= BigInt(start))
  assert.ok(Math.abs(Number(BigInt(start) / 1_000_000n) - Date.now()) < 60_000)
  for (const { timeUnixNano: at } of events ?? []) assert.ok(BigInt(at) >= BigInt(start) && BigInt(at) <= BigInt(end))
  return { ...rest, ...(events === undefined ? {} : { events: events.map(({ name }) => name) }) }
}

function values(found: Readonly<Record<string, string | number>>): object[] {
  return Object.entries(found).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value },
  }))
}

describe('what a collector is sent', () => {
  let collector: TraceCollector
  let node: NodeInProcess
  let connection: ChannelModel
  let channel: Channel

  before(async () => {
    collector = await TraceCollector.start()
    node = await NodeInProcess.start({ traceEndpoint: `${collector.url}/otlp/v1/traces` })
    connection = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    channel = await connection.createChannel()
  })
  after(async () => {
    await connection.close()
    await node.stop()
    collector.close()
  })

  it('is one document by the protocol, and nothing else', async () => {
    await channel.assertExchange('shop', 'topic')
    await channel.assertQueue('orders')
    await channel.bindQueue('orders', 'shop', '#')
    const { headers, traceId } = traced()
    channel.publish('shop', 'order.new', Buffer.from('12345'), { headers, persistent: true })
    const message = await channel.get('orders')
    assert.ok(message)
    channel.ack(message)
    const [span] = await collector.spansOf(traceId)
    assert.ok(span)
    const [document] = collector.documents
    const resource = { 'service.name': 'warren', 'service.instance.id': 'localhost', 'service.version': version }
    const ready = Number(attribute(span, 'warren.ready_ms'))
    assert.ok(ready >= 0)
    assert.deepEqual(
      {
        resourceSpans: document?.resourceSpans.map((one) => ({
          ...one,
          scopeSpans: one.scopeSpans.map((scope) => ({ ...scope, spans: scope.spans.map(timeless) })),
        })),
      },
      {
        resourceSpans: [
          {
            resource: { attributes: values(resource) },
            scopeSpans: [
              {
                scope: { name: 'warren', version },
                spans: [
                  {
                    traceId,
                    parentSpanId: parent,
                    name: 'queue orders',
                    kind: 1,
                    attributes: values({
                      'messaging.system': 'rabbitmq',
                      'messaging.operation.name': 'queue',
                      'messaging.destination.name': 'orders',
                      'messaging.message.body.size': 5,
                      'messaging.rabbitmq.destination.routing_key': 'order.new',
                      'warren.vhost': '/',
                      'warren.outcome': 'acknowledged',
                      'warren.redelivery_count': 0,
                      'warren.ready_ms': ready,
                    }),
                    events: ['first delivery'],
                    status: {},
                  },
                ],
              },
            ],
          },
        ],
      },
    )
    assert.deepEqual(collector.paths, ['POST /otlp/v1/traces application/json'])
  })

  it('tells of a stream: a span when a message is stored, and one of each delivery, linked to it', async () => {
    await channel.assertQueue('log', stream)
    const { headers, traceId } = traced()
    const silent = traced(false)
    channel.sendToQueue('log', Buffer.from('abc'), { headers: silent.headers })
    channel.sendToQueue('log', Buffer.from('untraced'))
    channel.sendToQueue('log', Buffer.from('12345'), { headers })
    const [published] = await collector.spansOf(traceId)
    assert.ok(published)
    const attributes = {
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'publish',
      'messaging.destination.name': 'log',
      'messaging.message.body.size': 5,
      'messaging.rabbitmq.destination.routing_key': 'log',
      'warren.vhost': '/',
      'warren.outcome': 'stored',
      'warren.stream.offset': 2,
    }
    const facts = { traceId, parentSpanId: parent, kind: 1, status: {} }
    assert.deepEqual(timeless(published), { ...facts, name: 'publish log', attributes: values(attributes) })
    for (const [tag, outcome] of [
      ['one', 'acknowledged'],
      ['two', 'returned'],
      ['three', 'rejected'],
    ] as const) {
      await read(tag, outcome)
    }
    const spans = (await collector.spansOf(traceId, 4)).slice(1)
    for (const [index, span] of spans.entries()) {
      const [tag, outcome] =
        [
          ['one', 'acknowledged'],
          ['two', 'returned'],
          ['three', 'rejected'],
        ][index] ?? []
      assert.deepEqual(timeless(span), {
        ...facts,
        name: 'deliver log',
        attributes: values({
          ...attributes,
          'messaging.operation.name': 'deliver',
          'warren.outcome': String(outcome),
          'warren.consumer_tag': String(tag),
        }),
        links: [{ traceId, spanId: published.spanId }],
      })
    }
    assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 3)
    assert.equal(collector.spans.filter((span) => span.traceId === silent.traceId).length, 0)
  })

  /** Takes all three messages of the stream from its beginning, and settles them. */
  async function read(consumerTag: string, outcome: 'acknowledged' | 'returned' | 'rejected'): Promise<void> {
    const own = await connection.createChannel()
    await own.prefetch(10)
    let count = 0
    const settle = (message: amqplib.ConsumeMessage): void => {
      if (outcome === 'acknowledged') own.ack(message)
      else own.nack(message, false, outcome === 'returned')
    }
    await new Promise<void>((resolve) => {
      const options = { consumerTag, arguments: { 'x-stream-offset': 'first' } }
      void own.consume(
        'log',
        (message) => {
          if (message === null) return
          settle(message)
          if (++count === 3) resolve()
        },
        options,
      )
    })
    await own.close()
  }

  it('ends a delivery out of a stream when its consumer goes away', async () => {
    await channel.assertQueue('left', stream)
    const { headers, traceId } = traced()
    channel.sendToQueue('left', Buffer.from('x'), { headers })
    await collector.spansOf(traceId)
    const other = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    const own = await other.createChannel()
    await own.prefetch(1)
    await new Promise<void>((resolve) => {
      void own.consume('left', () => resolve(), { arguments: { 'x-stream-offset': 'first' } })
    })
    await other.close()
    const delivered = (await collector.spansOf(traceId, 2))[1]
    assert.deepEqual(
      [delivered?.name, delivered && attribute(delivered, 'warren.outcome')],
      ['deliver left', 'returned'],
    )
  })

  for (const persistent of [true, false]) {
    it(`links a ${persistent ? 'stored' : 'transient'} dead letter to the span in which it died`, async () => {
      const dead = `dead-${persistent}`
      await channel.assertQueue(dead)
      await channel.assertQueue(`dying-${persistent}`, { deadLetterExchange: '', deadLetterRoutingKey: dead })
      const { headers, traceId } = traced()
      channel.sendToQueue(`dying-${persistent}`, Buffer.from('x'), { headers, persistent })
      const message = await channel.get(`dying-${persistent}`)
      assert.ok(message)
      channel.nack(message, false, false)
      await eventually('it is dead', async () => (await channel.checkQueue(dead)).messageCount === 1)
      await channel.get(dead, { noAck: true })
      const [died, letter] = await collector.spansOf(traceId, 2)
      assert.deepEqual([died?.name, letter?.name], [`queue dying-${persistent}`, `queue ${dead}`])
      assert.deepEqual([died?.links, letter?.links], [undefined, [{ traceId, spanId: died?.spanId }]])
      assert.deepEqual([died?.status.message, letter?.status], ['rejected', {}])
      assert.equal(letter?.parentSpanId, parent, 'and both are of the publisher')
    })
  }

  it('links what a stream has of dead letters to the span in which they died', async () => {
    await channel.assertQueue('dead-log', stream)
    await channel.assertQueue('dying-log', { messageTtl: 10, deadLetterExchange: '', deadLetterRoutingKey: 'dead-log' })
    const { headers, traceId } = traced()
    channel.sendToQueue('dying-log', Buffer.from('x'), { headers, persistent: true })
    const spans = await collector.spansOf(traceId, 2)
    const [died, letter] = ['queue dying-log', 'publish dead-log'].map((name) => spans.find((one) => one.name === name))
    assert.deepEqual([died?.status.message, letter?.links], ['expired', [{ traceId, spanId: died?.spanId }]])
  })

  it('has a span for each queue that got a copy, whose ids others can tell', async () => {
    await channel.assertExchange('all', 'fanout')
    for (const name of ['copy-1', 'copy-2']) {
      await channel.assertQueue(name)
      await channel.bindQueue(name, 'all', '')
    }
    const { headers, traceId } = traced()
    channel.publish('all', '', Buffer.from('x'), { headers })
    for (const name of ['copy-1', 'copy-2'])
      await eventually(name, async () => (await channel.get(name, { noAck: true })) !== false)
    const spans = await collector.spansOf(traceId, 2)
    assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 2)
    const place = { queueId: 2 ** 40 + 7, sequence: 12 }
    assert.equal(spanIdOf(traceId, place), spanIdOf(traceId, { ...place }))
    assert.notEqual(spanIdOf(traceId, place), spanIdOf(traceId, { ...place, sequence: 13 }))
  })

  it('tells the times of further deliveries, sixteen of them', async () => {
    await channel.assertQueue('again')
    const { headers, traceId } = traced()
    channel.sendToQueue('again', Buffer.from('x'), { headers })
    for (let count = 0; count < 20; count++) {
      const message = await channel.get('again')
      assert.ok(message)
      if (count < 19) channel.nack(message, false, true)
      else channel.ack(message)
    }
    const [span] = await collector.spansOf(traceId)
    assert.deepEqual(
      span?.events?.map(({ name }) => name),
      ['first delivery', ...Array(15).fill('redelivery')],
    )
    assert.equal(span && attribute(span, 'warren.redelivery_count'), '19')
  })
})

describe('a message that was there before the node was started', () => {
  it('is followed from its next delivery on, as the same span', async () => {
    const collector = await TraceCollector.start()
    const dataDirectory = mkdtempSync(join(tmpdir(), 'warren-traced-'))
    const start = (): Promise<NodeInProcess> =>
      NodeInProcess.start({ traceEndpoint: collector.url, dataDirectory }, { storage: 'files' })
    const first = await start()
    const before = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${first.port('amqp')}`)
    const publisher = await before.createConfirmChannel()
    await publisher.assertQueue('kept.dead')
    await publisher.assertQueue('kept', { deadLetterExchange: '', deadLetterRoutingKey: 'kept.dead' })
    const { headers, traceId } = traced()
    publisher.sendToQueue('kept', Buffer.from('x'), { headers, persistent: true })
    publisher.sendToQueue('kept', Buffer.from('untraced'), { persistent: true })
    await publisher.waitForConfirms()
    const publishedAt = Date.now()
    await before.close()
    await first.stop()
    assert.equal(collector.spans.length, 0)
    const second = await start()
    const again = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${second.port('amqp')}`)
    const channel = await again.createChannel()
    for (let count = 0; count < 2; count++) {
      const message = await channel.get('kept')
      assert.ok(message)
      channel.nack(message, false, false)
    }
    await eventually('they are dead', async () => (await channel.checkQueue('kept.dead')).messageCount === 2)
    await channel.purgeQueue('kept.dead')
    const [died, letter] = await collector.spansOf(traceId, 2)
    assert.ok(died && letter)
    assert.ok(Number(BigInt(died.startTimeUnixNano) / 1_000_000n) <= publishedAt, 'it came before the start')
    assert.deepEqual([died.name, died.events?.map(({ name }) => name)], ['queue kept', ['first delivery']])
    assert.deepEqual(letter.links, [{ traceId, spanId: died.spanId }])
    assert.equal(collector.spans.length, 2)
    await again.close()
    await second.stop()
    collector.close()
    rmSync(dataDirectory, { recursive: true, force: true })
  })
})

describe('a collector that is reached by TLS, with headers', () => {
  const token = 'Bearer very-secret-token'
  let authority: TestAuthority
  let collector: TraceCollector
  let folder: string

  before(async () => {
    authority = await TestAuthority.make()
    collector = await TraceCollector.start(await authority.issue({ subject: '/CN=c', names: 'IP:127.0.0.1' }))
    folder = mkdtempSync(join(tmpdir(), 'warren-traces-'))
  })
  after(() => {
    collector.close()
    authority.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function publish(node: NodeInProcess): Promise<string> {
    const connection = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    const channel = await connection.createChannel()
    const { headers, traceId } = traced()
    await channel.assertQueue('traced')
    channel.sendToQueue('traced', Buffer.from('x'), { headers })
    await eventually('it is there', async () => (await channel.get('traced', { noAck: true })) !== false)
    await connection.close()
    return traceId
  }

  it('gets them, and nobody else is told of them', async () => {
    const traceHeaders = `Authorization=${encodeURIComponent(token)}, x-team = shop%2Cbooks`
    const node = await NodeInProcess.start({ traceEndpoint: collector.url, traceCa: authority.certPath, traceHeaders })
    await collector.spansOf(await publish(node))
    const [headers] = collector.headers
    assert.deepEqual(
      [headers?.authorization, headers?.['x-team'], headers?.['content-type']],
      [token, 'shop,books', 'application/json'],
    )
    for (const path of ['/overview', '/nodes', '/definitions', '/warren/cluster', '/extensions']) {
      assert.ok(!JSON.stringify(await node.ask('GET', path)).includes('very-secret'), path)
    }
    collector.answer = (response) => void response.writeHead(503).end()
    await publish(node)
    await eventually('it failed', () => node.said(/^traces cannot be sent/).length === 1)
    for (const line of node.log) assert.ok(!JSON.stringify(line).includes('very-secret'), line.message)
    const [line] = node.said(/^traces cannot be sent/)
    assert.deepEqual(line?.fields, { status: 503, url: `${collector.url}/v1/traces` })
    collector.answer = (response) => void response.end('{}')
    await node.stop()
  })

  it('is given what waited when it is back', async () => {
    collector.answer = (response) => void response.writeHead(503).end()
    const node = await NodeInProcess.start({ traceEndpoint: collector.url, traceCa: authority.certPath })
    const traceId = await publish(node)
    await eventually('it failed', () => node.said(/^traces cannot be sent/).length === 1)
    collector.answer = (response) => void response.end('{}')
    const spans = await collector.spansOf(traceId)
    assert.equal(spans.length, 1)
    await eventually('it is said', () => node.said(/^traces are sent again/).length === 1)
    await node.stop()
  })

  it('is read its headers from a file', async () => {
    const traceHeadersFile = join(folder, 'headers')
    writeFileSync(traceHeadersFile, `authorization=${token}\nx-other=1\n`)
    const parts = { traceEndpoint: collector.url, traceCa: authority.certPath, traceHeadersFile }
    const node = await NodeInProcess.start(parts)
    await collector.spansOf(await publish(node))
    const last = collector.headers.at(-1)
    assert.deepEqual([last?.authorization, last?.['x-other']], [token, '1'])
    await node.stop()
  })

  it('is told nothing when another authority has signed for it', async () => {
    const before = collector.paths.length
    const other = await TestAuthority.make('another')
    for (const traceCa of ['none', other.certPath]) {
      const node = await NodeInProcess.start({ traceEndpoint: collector.url, traceCa, traceHeaders: 'x-key=hidden' })
      await publish(node)
      await eventually('it failed', () => node.said(/^traces cannot be sent/).length === 1)
      const [line] = node.said(/^traces cannot be sent/)
      assert.match(String(line?.fields['error']), /unable to verify|self-signed|local issuer/)
      await node.stop()
    }
    other.remove()
    assert.equal(collector.paths.length, before)
  })

  it('needs options that fit, whose sentences repeat no secret', async () => {
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ traceEndpoint: 'ftp://x' }, /is no address; give one such as/],
      [{ traceEndpoint: 'http://me:hidden@x/' }, /may not hold a user or a password/],
      [{ traceHeaders: 'hidden' }, /an entry has no name before its =/],
      [{ traceHeaders: 'x-key=hid%den' }, /the value of x-key has a %/],
      [{ traceHeaders: 'x-key=hidden\u0001' }, /the value of x-key is not visible ASCII/],
      [{ traceHeaders: 'host=hidden' }, /host is not for you to set/],
      [{ traceHeaders: 'a=b', traceHeadersFile: '/x' }, /are both given/],
      [{ traceEndpoint: 'http://x', traceHeadersFile: '/does/not/exist' }, /cannot be read \(ENOENT\)/],
      [{ traceEndpoint: 'http://x', traceCa: '/does/not/exist' }, /trace-ca: .* cannot be read \(ENOENT\)/],
      [{ traceEndpoint: 'http://x', traceCa: process.execPath }, /trace-ca: /],
    ]
    for (const [options, sentence] of wrong) {
      await assert.rejects(NodeInProcess.start(options), (error: Error) => {
        assert.match(error.message, sentence)
        return !error.message.includes('hid')
      })
    }
  })
})
