/** What a broker still knows after it was stopped in order and after it was killed: messages, definitions, marks. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { type Arrival, RawClient } from '../support/amqp/raw-client.ts'
import { type Properties, typed } from '../support/amqp/wire.ts'
import { BrokerProcess } from '../support/broker-process.ts'

const persistent: Properties = { deliveryMode: 2 }

if (process.env['WARREN_TEST_URL'] !== undefined)
  console.error('restarts are NOT tested: this broker is not ours to stop')
else for (const signal of ['SIGTERM', 'SIGKILL'] as const) void describe(`after ${signal}`, () => restarts(signal))

/** Runs `before` with a fresh broker, ends it by the signal, starts it again and runs `after`. */
async function across(
  signal: 'SIGTERM' | 'SIGKILL',
  before: (client: RawClient) => Promise<void>,
  after: (client: RawClient, broker: BrokerProcess) => Promise<void>,
): Promise<void> {
  const broker = await BrokerProcess.start()
  try {
    const client = await RawClient.withChannel(broker)
    await client.call(1, 'confirm.select')
    await before(client)
    client.destroy()
    const exit = await broker.kill(signal)
    if (signal === 'SIGTERM') assert.equal(exit.code, 0, broker.output)
    await broker.restart()
    const again = await RawClient.withChannel(broker)
    await after(again, broker)
    again.destroy()
    await broker.stop()
  } finally {
    await broker.kill()
  }
}

/** Publishes and waits for the confirm of each. */
async function publishAll(
  client: RawClient,
  queue: string,
  bodies: readonly (string | Buffer)[],
  properties = persistent,
) {
  for (const body of bodies) client.publish(1, { routingKey: queue, body, properties })
  for (let open = bodies.length; open > 0; ) {
    const { name, args } = await client.next(1)
    assert.equal(name, 'basic.ack')
    open = args['multiple'] === true ? Math.min(open - 1, bodies.length - Number(args['deliveryTag'])) : open - 1
  }
}

async function count(client: RawClient, queue: string): Promise<unknown> {
  return (await client.call(1, 'queue.declare', { queue, passive: true })).args['messageCount']
}

const seen = (one: Arrival | null): unknown => one && [one.body.toString(), one.args['redelivered']]

function restarts(signal: 'SIGTERM' | 'SIGKILL'): void {
  void test('persistent messages of every size are there, in order and as they were', async () => {
    const sizes = [0, 1, 4_088, 4_089, 65_535, 65_536, 65_537, 131_072, 200_000, 1_000_000, 5_000_000]
    const bodies = sizes.map((size) => Buffer.alloc(size, createHash('sha256').update(String(size)).digest()))
    await across(
      signal,
      async (client) => {
        await client.call(1, 'queue.declare', { queue: 'sizes', durable: true })
        for (const body of bodies) await publishAll(client, 'sizes', [body])
      },
      async (client) => {
        assert.equal(await count(client, 'sizes'), sizes.length)
        for (const body of bodies) {
          const back = await client.get(1, 'sizes')
          assert.ok(back?.body.equals(body), `of ${body.length} bytes ${back?.body.length} came back, or others`)
        }
      },
    )
  })

  void test('properties and headers are as they were', async () => {
    const properties: Properties = {
      ...persistent,
      messageId: 'm',
      timestamp: 1_700_000_000,
      headers: { n: typed('s', -3), t: typed('T', 5), nested: { list: [1, 'two', null] } },
    }
    let raw: Buffer = Buffer.alloc(0)
    await across(
      signal,
      async (client) => {
        await client.call(1, 'queue.declare', { queue: 'kept', durable: true })
        await client.call(1, 'queue.declare', { queue: 'here', exclusive: true })
        await publishAll(client, 'kept', ['x'], properties)
        await publishAll(client, 'here', ['x'], properties)
        raw = (await client.get(1, 'here'))?.rawProperties ?? raw
      },
      async (client) => {
        const back = await client.get(1, 'kept')
        assert.ok(raw.length > 0)
        assert.equal(back?.rawProperties.toString('hex'), raw.toString('hex'))
        assert.deepEqual([back?.args['exchange'], back?.args['routingKey']], ['', 'kept'])
      },
    )
  })

  void test('what was delivered and not acknowledged comes again, marked; what was acknowledged does not', async () => {
    await across(
      signal,
      async (client) => {
        await client.call(1, 'queue.declare', { queue: 'marks', durable: true })
        await publishAll(client, 'marks', ['a', 'b', 'c'])
        await client.get(1, 'marks', { noAck: false })
        await client.get(1, 'marks', { noAck: false })
        client.send(1, 'basic.ack', { deliveryTag: 1 })
        // Two confirmed publishes one after the other: the ack is on disk then.
        await publishAll(client, 'marks', ['d'])
        await publishAll(client, 'marks', ['e'])
      },
      async (client) => {
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
    )
  })

  void test('transient messages, transient queues and exclusive queues are gone, durable queues are there', async () => {
    await across(
      signal,
      async (client) => {
        await client.call(1, 'queue.declare', { queue: 'durable', durable: true })
        await client.call(1, 'queue.declare', { queue: 'transient' })
        await client.call(1, 'queue.declare', { queue: 'exclusive', exclusive: true, durable: true })
        await publishAll(client, 'durable', ['transient'], {})
        await publishAll(client, 'durable', ['persistent'])
        await publishAll(client, 'transient', ['persistent'])
      },
      async (client) => {
        assert.deepEqual(await client.drain(1, 'durable'), ['persistent'])
        for (const queue of ['transient', 'exclusive']) {
          client.send(1, 'queue.declare', { queue, passive: true })
          await client.expectChannelClose(1, 404, /no queue/)
          await client.call(1, 'channel.open')
        }
      },
    )
  })

  void test('exchanges, bindings and arguments are there, and deleted ones are not', async () => {
    const headersBinding = { queue: 'q', exchange: 'h', arguments: { 'x-match': 'any', a: typed('s', 1), b: null } }
    const alternate = {
      exchange: 'with-alternate',
      type: 'direct',
      durable: true,
      arguments: { 'alternate-exchange': 'f' },
    }
    const limited = { queue: 'limited', durable: true, arguments: { 'x-max-length': typed('s', 5), 'x-mine': true } }
    await across(
      signal,
      async (client) => {
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
      async (client) => {
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
    )
  })

  void test('purged messages stay away, and a queue deleted and declared again stays empty', async () => {
    await across(
      signal,
      async (client) => {
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
      async (client) => {
        assert.deepEqual(await client.drain(1, 'purged'), ['new'])
        assert.deepEqual(await client.drain(1, 'renewed'), ['new'])
      },
    )
  })

  void test('ten thousand messages come back in order, also after a second restart', async () => {
    const bodies = Array.from({ length: 10_000 }, (_, i) => `message ${i}`)
    await across(
      signal,
      async (client) => {
        await client.call(1, 'queue.declare', { queue: 'many', durable: true })
        await publishAll(client, 'many', bodies)
      },
      async (client, broker) => {
        assert.equal(await count(client, 'many'), bodies.length)
        client.destroy()
        await broker.kill(signal)
        await broker.restart()
        const again = await RawClient.withChannel(broker)
        await again.call(1, 'basic.consume', { queue: 'many', noAck: true })
        const back = await again.expectMany(1, 'basic.deliver', bodies.length)
        assert.deepEqual(
          back.map((one) => one.body.toString()),
          bodies,
        )
        again.destroy()
      },
    )
  })
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
