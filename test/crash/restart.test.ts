/** What a broker still knows after it was stopped in order and after it was killed: messages, definitions, marks. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { type Arrival, RawClient } from '../support/amqp/raw-client.ts'
import { type Properties, typed } from '../support/amqp/wire.ts'
import { BrokerProcess } from '../support/broker-process.ts'

type Ending = 'SIGTERM' | 'SIGKILL'

const persistent: Properties = { deliveryMode: 2 }

if (process.env['WARREN_TEST_URL'] !== undefined)
  console.error('restarts are NOT tested: this broker is not ours to stop')
else
  for (const signal of ['SIGTERM', 'SIGKILL'] satisfies Ending[])
    void describe(`after ${signal}`, () => restarts(signal))

/** What is done before the broker ends, and what must hold when it is back. Each has a client of its own. */
interface Scene {
  readonly title: string
  readonly before: (client: RawClient) => Promise<void>
  readonly after: (client: RawClient, broker: BrokerProcess) => Promise<void>
}

/** All scenes share one broker and one restart; their names do not overlap. */
function restarts(signal: Ending): void {
  const all = scenes(signal)
  let broker: BrokerProcess | undefined
  before(async () => {
    broker = await BrokerProcess.start()
    const clients: RawClient[] = []
    for (const scene of all) {
      const client = await RawClient.withChannel(broker)
      clients.push(client)
      await client.call(1, 'confirm.select')
      await scene.before(client)
    }
    for (const client of clients) client.destroy()
    const exit = await broker.kill(signal)
    if (signal === 'SIGTERM') assert.equal(exit.code, 0, broker.output)
    await broker.restart()
  })
  after(() => broker?.stop())
  for (const scene of all) {
    void test(scene.title, async () => {
      assert.ok(broker !== undefined)
      const client = await RawClient.withChannel(broker)
      try {
        await scene.after(client, broker)
      } finally {
        client.destroy()
      }
    })
  }
}

/** How many confirms each client has asked for so far. */
const published = new WeakMap<RawClient, number>()

/** Publishes and waits for the confirm of each. */
async function publishAll(
  client: RawClient,
  queue: string,
  bodies: readonly (string | Buffer)[],
  properties = persistent,
): Promise<void> {
  const before = published.get(client) ?? 0
  published.set(client, before + bodies.length)
  const open = new Set(bodies.map((_, index) => before + 1 + index))
  for (const body of bodies) client.publish(1, { routingKey: queue, body, properties })
  while (open.size > 0) {
    const { args } = await client.expect(1, 'basic.ack')
    const tag = Number(args['deliveryTag'])
    for (const number of open) if (number === tag || (args['multiple'] === true && number < tag)) open.delete(number)
  }
}

async function count(client: RawClient, queue: string): Promise<unknown> {
  return (await client.call(1, 'queue.declare', { queue, passive: true })).args['messageCount']
}

const seen = (one: Arrival | null): unknown => one && [one.body.toString(), one.args['redelivered']]

function scenes(signal: Ending): Scene[] {
  const sizes = [0, 1, 4_088, 4_089, 65_535, 65_536, 65_537, 131_072, 200_000, 1_000_000, 5_000_000]
  const sized = sizes.map((size) => Buffer.alloc(size, createHash('sha256').update(String(size)).digest()))
  const properties: Properties = {
    ...persistent,
    messageId: 'm',
    timestamp: 1_700_000_000,
    headers: { n: typed('s', -3), t: typed('T', 5), nested: { list: [1, 'two', null] } },
  }
  let raw: Buffer = Buffer.alloc(0)
  const headersBinding = { queue: 'q', exchange: 'h', arguments: { 'x-match': 'any', a: typed('s', 1), b: null } }
  const alternate = {
    exchange: 'with-alternate',
    type: 'direct',
    durable: true,
    arguments: { 'alternate-exchange': 'f' },
  }
  const limited = { queue: 'limited', durable: true, arguments: { 'x-max-length': typed('s', 5), 'x-mine': true } }
  const many = Array.from({ length: 10_000 }, (_, i) => `message ${i}`)
  return [
    {
      title: 'persistent messages of every size are there, in order and as they were',
      before: async (client) => {
        await client.call(1, 'queue.declare', { queue: 'sizes', durable: true })
        for (const body of sized) await publishAll(client, 'sizes', [body])
      },
      after: async (client) => {
        assert.equal(await count(client, 'sizes'), sizes.length)
        for (const body of sized) {
          const back = await client.get(1, 'sizes')
          assert.ok(back?.body.equals(body), `of ${body.length} bytes ${back?.body.length} came back, or others`)
        }
      },
    },
    {
      title: 'properties and headers are as they were',
      before: async (client) => {
        await client.call(1, 'queue.declare', { queue: 'kept', durable: true })
        await client.call(1, 'queue.declare', { queue: 'here', exclusive: true })
        await publishAll(client, 'kept', ['x'], properties)
        await publishAll(client, 'here', ['x'], properties)
        raw = (await client.get(1, 'here'))?.rawProperties ?? raw
      },
      after: async (client) => {
        const back = await client.get(1, 'kept')
        assert.ok(raw.length > 0)
        assert.equal(back?.rawProperties.toString('hex'), raw.toString('hex'))
        assert.deepEqual([back?.args['exchange'], back?.args['routingKey']], ['', 'kept'])
      },
    },
    {
      title: 'what was delivered and not acknowledged comes again, marked; what was acknowledged does not',
      before: async (client) => {
        await client.call(1, 'queue.declare', { queue: 'marks', durable: true })
        await publishAll(client, 'marks', ['a', 'b', 'c'])
        await client.get(1, 'marks', { noAck: false })
        await client.get(1, 'marks', { noAck: false })
        client.send(1, 'basic.ack', { deliveryTag: 1 })
        // Two confirmed publishes one after the other: the ack is on disk then.
        await publishAll(client, 'marks', ['d'])
        await publishAll(client, 'marks', ['e'])
      },
      after: async (client) => {
        assert.deepEqual(seen(await client.get(1, 'marks')), ['b', true])
        const rest = [
          seen(await client.get(1, 'marks')),
          seen(await client.get(1, 'marks')),
          seen(await client.get(1, 'marks')),
        ]
        const bodies = rest.map((one) => (one as [string, boolean])[0])
        assert.deepEqual(bodies, ['c', 'd', 'e'])
        // A stop in order knows exactly what was sent; a kill may only overstate it.
        const fresh = ['c', 'd', 'e'].map((body) => [body, false])
        if (signal === 'SIGTERM') assert.deepEqual(rest, fresh)
        assert.equal(await client.get(1, 'marks'), null)
      },
    },
    {
      title: 'transient messages, transient queues and exclusive queues are gone, durable queues are there',
      before: async (client) => {
        await client.call(1, 'queue.declare', { queue: 'durable', durable: true })
        await client.call(1, 'queue.declare', { queue: 'transient' })
        await client.call(1, 'queue.declare', { queue: 'exclusive', exclusive: true, durable: true })
        await publishAll(client, 'durable', ['transient'], {})
        await publishAll(client, 'durable', ['persistent'])
        await publishAll(client, 'transient', ['persistent'])
      },
      after: async (client) => {
        assert.deepEqual(await client.drain(1, 'durable'), ['persistent'])
        for (const queue of ['transient', 'exclusive']) {
          client.send(1, 'queue.declare', { queue, passive: true })
          await client.expectChannelClose(1, 404, /no queue/)
          await client.call(1, 'channel.open')
        }
      },
    },
    {
      title: 'exchanges, bindings and arguments are there, and deleted ones are not',
      before: async (client) => {
        await client.call(1, 'queue.declare', { queue: 'q', durable: true })
        await client.call(1, 'queue.declare', limited)
        for (const [exchange, type] of [
          ['h', 'headers'],
          ['f', 'fanout'],
          ['t', 'topic'],
          ['gone', 'fanout'],
        ] as const) {
          await client.call(1, 'exchange.declare', { exchange, type, durable: true })
        }
        await client.call(1, 'exchange.declare', { exchange: 'short-lived', type: 'fanout' })
        await client.call(1, 'exchange.declare', alternate)
        await client.call(1, 'queue.bind', headersBinding)
        await client.call(1, 'queue.bind', { queue: 'q', exchange: 'f' })
        await client.call(1, 'queue.bind', { queue: 'q', exchange: 'amq.direct', routingKey: 'unbound' })
        await client.call(1, 'queue.unbind', { queue: 'q', exchange: 'amq.direct', routingKey: 'unbound' })
        await client.call(1, 'exchange.bind', { source: 't', destination: 'f', routingKey: '#.z' })
        await client.call(1, 'exchange.delete', { exchange: 'gone' })
      },
      after: async (client) => {
        client.publish(1, { exchange: 'h', body: 'by header', properties: { headers: { a: typed('l', 1) } } })
        client.publish(1, { exchange: 't', routingKey: 'x.z', body: 'by topic and fanout' })
        client.publish(1, { exchange: 'with-alternate', routingKey: 'unknown', body: 'by alternate' })
        client.publish(1, { exchange: 'amq.direct', routingKey: 'unbound', body: 'not bound' })
        assert.deepEqual(await client.drain(1, 'q'), ['by header', 'by topic and fanout', 'by alternate'])
        await client.call(1, 'queue.declare', limited)
        await client.call(1, 'exchange.declare', alternate)
        await client.call(1, 'queue.unbind', headersBinding)
        client.publish(1, { exchange: 'h', body: 'unbound', properties: { headers: { a: 1 } } })
        assert.deepEqual(await client.drain(1, 'q'), [])
        for (const exchange of ['gone', 'short-lived']) {
          client.send(1, 'exchange.declare', { exchange, passive: true })
          await client.expectChannelClose(1, 404, /no exchange/)
          await client.call(1, 'channel.open')
        }
      },
    },
    {
      title: 'purged messages stay away, and a queue deleted and declared again stays empty',
      before: async (client) => {
        for (const queue of ['purged', 'renewed']) {
          await client.call(1, 'queue.declare', { queue, durable: true })
          await publishAll(client, queue, ['old', 'older'])
        }
        await client.call(1, 'queue.purge', { queue: 'purged' })
        await client.call(1, 'queue.delete', { queue: 'renewed' })
        await client.call(1, 'queue.declare', { queue: 'renewed', durable: true })
        await publishAll(client, 'purged', ['new'])
        await publishAll(client, 'renewed', ['new'])
      },
      after: async (client) => {
        assert.deepEqual(await client.drain(1, 'purged'), ['new'])
        assert.deepEqual(await client.drain(1, 'renewed'), ['new'])
      },
    },
    {
      title: 'ten thousand messages come back in order, also after a second restart',
      before: async (client) => {
        await client.call(1, 'queue.declare', { queue: 'many', durable: true })
        await publishAll(client, 'many', many)
      },
      after: async (client, broker) => {
        assert.equal(await count(client, 'many'), many.length)
        client.destroy()
        await broker.kill(signal)
        await broker.restart()
        const again = await RawClient.withChannel(broker)
        await again.call(1, 'basic.consume', { queue: 'many', noAck: true })
        const back = await again.expectMany(1, 'basic.deliver', many.length)
        assert.deepEqual(
          back.map((one) => one.body.toString()),
          many,
        )
        again.destroy()
      },
    },
  ]
}

void test('a stop in order tells the clients: 320 CONNECTION_FORCED', async () => {
  if (process.env['WARREN_TEST_URL'] !== undefined) return
  const broker = await BrokerProcess.start()
  try {
    const client = await RawClient.withChannel(broker)
    const exit = broker.kill('SIGTERM')
    const close = await client.expect(0, 'connection.close')
    assert.equal(close.args['replyCode'], 320)
    assert.equal(close.args['replyText'], "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
    client.send(0, 'connection.close-ok')
    assert.equal((await exit).code, 0, broker.output)
    await broker.stop()
  } finally {
    await broker.kill()
  }
})
