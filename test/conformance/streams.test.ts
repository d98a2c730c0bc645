/**
 * Queues of type `stream` as clients see them, against a real broker process: by a hand-driven client and by amqplib.
 * `WARREN_TEST_URL=amqp://…` runs what holds for RabbitMQ too against another broker.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib'
import { type Arrival, RawClient } from '../support/amqp/raw-client.ts'
import { type Table, typed, type Value } from '../support/amqp/wire.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { runWarren } from '../support/warren-command.ts'

const broker = await BrokerProcess.start()
after(() => broker.stop())

const streamType: Table = { 'x-queue-type': 'stream' }
let streams = 0

async function client(): Promise<RawClient> {
  return await RawClient.withChannel(broker)
}

/** Declares a stream of its own for a test. */
async function declare(from: RawClient, more: Table = {}): Promise<string> {
  const queue = `stream-${process.pid}-${++streams}`
  await from.call(1, 'queue.declare', { queue, durable: true, arguments: { ...streamType, ...more } })
  return queue
}

/** Publishes in confirm mode on channel 9 and waits until all is confirmed. */
async function publish(from: RawClient, queue: string, bodies: readonly string[], headers?: Table): Promise<void> {
  await from.call(9, 'channel.open')
  await from.call(9, 'confirm.select')
  const properties = headers === undefined ? {} : { properties: { headers } }
  for (const body of bodies) from.publish(9, { routingKey: queue, body, ...properties })
  for (let acked = 0; acked < bodies.length; ) acked = Number((await from.expect(9, 'basic.ack')).args['deliveryTag'])
  await from.call(9, 'channel.close', { replyCode: 200 })
}

async function consume(from: RawClient, channel: number, queue: string, args: Table, prefetch = 100): Promise<void> {
  if (channel !== 1) await from.call(channel, 'channel.open')
  await from.call(channel, 'basic.qos', { prefetchCount: prefetch })
  await from.call(channel, 'basic.consume', { queue, arguments: args })
}

const bodies = (count: number): string[] => Array.from({ length: count }, (_, index) => `m${index}`)
const textsOf = (arrivals: readonly Arrival[]): string[] => arrivals.map(({ body }) => body.toString())
const offsetsOf = (arrivals: readonly Arrival[]): Value[] =>
  arrivals.map(({ properties }) => (properties['headers'] as Table)['x-stream-offset'] ?? null)

describe('a stream by a hand-driven client', () => {
  test('is read from the start by anyone, again and again, and counts what it holds', async () => {
    const one = await client()
    const queue = await declare(one)
    await publish(one, queue, bodies(5))
    for (const channel of [2, 3]) {
      await consume(one, channel, queue, { 'x-stream-offset': 'first' })
      const got = await one.expectMany(channel, 'basic.deliver', 5)
      assert.deepEqual(textsOf(got), bodies(5))
      assert.deepEqual(offsetsOf(got), [0, 1, 2, 3, 4])
      assert.deepEqual(
        got.map(({ args }) => args['redelivered']),
        [false, false, false, false, false],
      )
      assert.deepEqual(
        got.map(({ args }) => args['routingKey']),
        Array(5).fill(queue),
      )
      one.send(channel, 'basic.ack', { deliveryTag: 5, multiple: true })
    }
    const { args } = await one.call(1, 'queue.declare', { queue, passive: true })
    assert.deepEqual([args['messageCount'], args['consumerCount']], [5, 2])
    await one.close()
  })

  test('says the offset as a signed 64-bit number, and keeps the other properties', async () => {
    const one = await client()
    const queue = await declare(one)
    one.publish(1, {
      routingKey: queue,
      body: 'x',
      properties: {
        contentType: 'text/plain',
        headers: { a: 'b', 'x-stream-offset': 55 },
        messageId: 'id',
        priority: 3,
      },
    })
    await consume(one, 2, queue, { 'x-stream-offset': 'first' })
    const got = await one.expect(2, 'basic.deliver')
    const { headers, ...others } = got.properties
    assert.deepEqual(headers, { a: 'b', 'x-stream-offset': 0 })
    assert.deepEqual(others, { contentType: 'text/plain', messageId: 'id', priority: 3 })
    const entry = Buffer.concat([Buffer.from('\x0fx-stream-offsetl'), Buffer.alloc(8)])
    assert.ok(got.rawProperties.includes(entry), got.rawProperties.toString('latin1'))
    await one.close()
  })

  test('begins behind what is there, unless asked for something else', async () => {
    const one = await client()
    const queue = await declare(one)
    await publish(one, queue, bodies(10))
    await consume(one, 2, queue, {})
    await consume(one, 3, queue, { 'x-stream-offset': 'last' })
    await consume(one, 4, queue, { 'x-stream-offset': typed('l', 7) })
    await consume(one, 5, queue, { 'x-stream-offset': typed('T', Math.floor(Date.now() / 1000) - 3600) })
    await consume(one, 6, queue, { 'x-stream-offset': '1h' })
    await publish(one, queue, ['new'])
    assert.deepEqual(offsetsOf(await one.expectMany(2, 'basic.deliver', 1)), [10])
    assert.equal(offsetsOf(await one.expectMany(3, 'basic.deliver', 2)).at(-1), 10)
    assert.deepEqual(offsetsOf(await one.expectMany(4, 'basic.deliver', 4)), [7, 8, 9, 10])
    assert.equal((await one.expectMany(5, 'basic.deliver', 11)).length, 11)
    assert.equal((await one.expectMany(6, 'basic.deliver', 11)).length, 11)
    await one.close()
  })

  test('gives as much as the prefetch allows, and more with each settlement of any kind', async () => {
    const one = await client()
    const queue = await declare(one)
    await publish(one, queue, bodies(8))
    await consume(one, 2, queue, { 'x-stream-offset': 'first' }, 3)
    await one.expectMany(2, 'basic.deliver', 3)
    await one.call(1, 'queue.declare', { queue, passive: true })
    assert.deepEqual(one.waiting(2), [])
    one.send(2, 'basic.ack', { deliveryTag: 2 })
    assert.deepEqual(offsetsOf(await one.expectMany(2, 'basic.deliver', 1)), [3])
    one.send(2, 'basic.nack', { deliveryTag: 1, requeue: true })
    assert.deepEqual(offsetsOf(await one.expectMany(2, 'basic.deliver', 1)), [4])
    one.send(2, 'basic.reject', { deliveryTag: 3, requeue: false })
    assert.deepEqual(offsetsOf(await one.expectMany(2, 'basic.deliver', 1)), [5])
    await one.close()
  })

  test('takes bodies of any size, beside other queues, with one confirm', async () => {
    const one = await client()
    const queue = await declare(one)
    await one.call(1, 'queue.declare', { queue: `${queue}-q`, exclusive: true })
    for (const name of [queue, `${queue}-q`]) await one.call(1, 'queue.bind', { queue: name, exchange: 'amq.fanout' })
    const large = Buffer.alloc(3_000_000, 'abcdefg')
    await one.call(1, 'confirm.select')
    one.publish(1, { exchange: 'amq.fanout', body: 'small' })
    one.publish(1, { exchange: 'amq.fanout', body: large, properties: { headers: { a: 1 } } })
    for (let acked = 0; acked < 2; ) acked = Number((await one.expect(1, 'basic.ack')).args['deliveryTag'])
    await one.call(1, 'queue.unbind', { queue, exchange: 'amq.fanout' })
    await consume(one, 2, queue, { 'x-stream-offset': 'first' })
    const [first, second] = await one.expectMany(2, 'basic.deliver', 2)
    assert.equal(first?.body.toString(), 'small')
    assert.ok(second?.body.equals(large))
    assert.deepEqual(second?.properties['headers'], { a: 1, 'x-stream-offset': 1 })
    assert.equal((await one.get(1, `${queue}-q`))?.body.toString(), 'small')
    assert.ok((await one.get(1, `${queue}-q`))?.body.equals(large))
    await one.close()
  })

  test('takes dead letters of other queues, large ones as well', async () => {
    const one = await client()
    const queue = await declare(one)
    const dying = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue }
    await one.call(1, 'queue.declare', { queue: `${queue}-q`, durable: true, arguments: dying })
    const large = Buffer.alloc(500_000, 'dead')
    for (const body of ['small', large]) {
      await one.call(9, 'channel.open')
      await one.call(9, 'confirm.select')
      one.publish(9, { routingKey: `${queue}-q`, body, properties: { deliveryMode: 2 } })
      await one.expect(9, 'basic.ack')
      await one.call(9, 'channel.close', { replyCode: 200 })
      const { args } = (await one.get(1, `${queue}-q`, { noAck: false })) ?? assert.fail('a message')
      one.send(1, 'basic.reject', { deliveryTag: args['deliveryTag'] ?? 0, requeue: false })
    }
    await consume(one, 2, queue, { 'x-stream-offset': 'first' })
    const got = await one.expectMany(2, 'basic.deliver', 2)
    assert.deepEqual([got[0]?.body.toString(), got[1]?.body.equals(large)], ['small', true])
    for (const { properties } of got) {
      const headers = properties['headers'] as Table
      assert.equal(headers['x-first-death-queue'], `${queue}-q`)
    }
    assert.deepEqual(offsetsOf(got), [0, 1])
    await one.call(1, 'queue.delete', { queue: `${queue}-q` })
    await one.close()
  })

  test('takes what a transaction commits, and nothing that it rolls back', async () => {
    const one = await client()
    const queue = await declare(one)
    await one.call(1, 'tx.select')
    one.publish(1, { routingKey: queue, body: 'no' })
    await one.call(1, 'tx.rollback')
    one.publish(1, { routingKey: queue, body: 'yes' })
    await one.call(1, 'tx.commit')
    await consume(one, 2, queue, { 'x-stream-offset': 'first' })
    assert.deepEqual(textsOf([await one.expect(2, 'basic.deliver')]), ['yes'])
    await one.close()
  })

  // RabbitMQ gives it whole chunks.
  if (broker.isWarren) test('gives a filtering consumer exactly what it asks for', givesExactly)

  async function givesExactly(): Promise<void> {
    const one = await client()
    const queue = await declare(one)
    for (const value of ['eu', 'us', 'asia']) {
      await publish(one, queue, [`${value}-1`, `${value}-2`], { 'x-stream-filter-value': value })
    }
    await publish(one, queue, ['none'])
    const from = { 'x-stream-offset': 'first' }
    await consume(one, 2, queue, { ...from, 'x-stream-filter': 'us' })
    assert.deepEqual(textsOf(await one.expectMany(2, 'basic.deliver', 2)), ['us-1', 'us-2'])
    await consume(one, 3, queue, { ...from, 'x-stream-filter': ['eu', 'asia'], 'x-stream-match-unfiltered': true })
    const expected = ['eu-1', 'eu-2', 'asia-1', 'asia-2', 'none']
    assert.deepEqual(textsOf(await one.expectMany(3, 'basic.deliver', 5)), expected)
    await one.close()
  }
})

describe('what a stream refuses', () => {
  const refuses = (
    name: string,
    code: number,
    attempt: (one: RawClient, queue: string) => void,
    text: string,
  ): void => {
    test(name, async () => {
      const one = await client()
      const queue = await declare(one)
      await one.call(2, 'channel.open')
      attempt(one, queue)
      const whole = `${code === 406 ? 'PRECONDITION_FAILED' : 'NOT_IMPLEMENTED'} - ${text.replaceAll('QUEUE', `queue '${queue}' in vhost '/'`)}`
      if (code === 406) await one.expectChannelClose(2, code, whole)
      else await one.expectConnectionClose(code, whole)
      one.destroy()
    })
  }
  const qos = (one: RawClient, global = false): void => one.send(2, 'basic.qos', { prefetchCount: 10, global })

  refuses(
    'a consumer without prefetch',
    406,
    (one, queue) => one.send(2, 'basic.consume', { queue }),
    'consumer prefetch count is not set for stream QUEUE',
  )
  test('a consumer without acknowledgements', async () => {
    const one = await client()
    const queue = await declare(one)
    await one.call(2, 'channel.open')
    await one.call(2, 'basic.qos', { prefetchCount: 10 })
    one.send(2, 'basic.consume', { queue, noAck: true })
    const text = `NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue '${queue}' in vhost '/'`
    await one.expectConnectionClose(540, text)
  })
  test('a limit for all consumers of a channel', async () => {
    const one = await client()
    const queue = await declare(one)
    await one.call(2, 'channel.open')
    qos(one)
    qos(one, true)
    await one.expectMany(2, 'basic.qos-ok', 2)
    one.send(2, 'basic.consume', { queue })
    await one.expectConnectionClose(540, `NOT_IMPLEMENTED - queue '${queue}' in vhost '/' does not support global qos`)
  })
  refuses(
    'get',
    540,
    (one, queue) => one.send(2, 'basic.get', { queue }),
    'basic.get not supported by stream queues QUEUE',
  )
  refuses(
    'purge',
    540,
    (one, queue) => one.send(2, 'queue.purge', { queue }),
    'queue.purge not supported by stream queues QUEUE',
  )
  test('an offset that is none', async () => {
    const one = await client()
    const queue = await declare(one)
    await one.call(2, 'channel.open')
    one.send(2, 'basic.consume', { queue, arguments: { 'x-stream-offset': 'soon' } })
    const text = `PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '${queue}' in vhost '/': {invalid_stream_offset_arg,{longstr,<<"soon">>}}`
    await one.expectChannelClose(2, 406, text)
    await one.close()
  })
  for (const [property, args] of [
    ['auto-delete', { durable: true, autoDelete: true }],
    ['exclusive-owner', { durable: true, exclusive: true }],
    ['non-durable', { durable: false }],
  ] as const) {
    test(`to be ${property}`, async () => {
      const one = await client()
      one.send(1, 'queue.declare', { queue: 'never', ...args, arguments: streamType })
      const text = `PRECONDITION_FAILED - invalid property '${property}' for queue 'never' in vhost '/'`
      await one.expectChannelClose(1, 406, text)
      await one.close()
    })
  }
  test('a single active consumer', async () => {
    const one = await client()
    const args = { ...streamType, 'x-single-active-consumer': true }
    one.send(1, 'queue.declare', { queue: 'never', durable: true, arguments: args })
    await one.expectChannelClose(
      1,
      406,
      /^PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue 'never'/,
    )
    await one.close()
  })
})

describe('a stream and its end', () => {
  test('is deleted when that is asked for and allowed, cancels its consumers, and leaves no files', async () => {
    const one = await client()
    const queue = await declare(one)
    await publish(one, queue, bodies(3))
    await consume(one, 2, queue, { 'x-stream-offset': 'first' })
    await one.expectMany(2, 'basic.deliver', 3)
    const before = broker.isExternal ? [] : readdirSync(join(broker.dataDirectory, 'streams'))
    await one.call(3, 'channel.open')
    one.send(3, 'queue.delete', { queue, ifUnused: true })
    await one.expectChannelClose(3, 406, `PRECONDITION_FAILED - queue '${queue}' in vhost '/' in use`)
    const { args } = await one.call(1, 'queue.delete', { queue })
    assert.equal(args['messageCount'], broker.isExternal ? args['messageCount'] : 3)
    await one.expect(2, 'basic.cancel')
    if (broker.isExternal) return await one.close()
    for (let left = before.length; left >= before.length; ) {
      await one.call(1, 'basic.qos', { prefetchCount: 1 })
      left = readdirSync(join(broker.dataDirectory, 'streams')).length
    }
    await one.call(1, 'queue.declare', { queue, durable: true, arguments: streamType })
    const again = await one.call(1, 'queue.declare', { queue, passive: true })
    assert.equal(again.args['messageCount'], 0)
    await one.close()
  })

  // Of a cluster `test/cluster` and `test/chaos` prove it.
  if (!broker.isExternal) test('keeps what was confirmed, and the places of named consumers, through kills', keepsAll)

  async function keepsAll(): Promise<void> {
    const one = await client()
    const queue = await declare(one)
    await publish(one, queue, bodies(2000))
    const args = { 'x-stream-consumer-name': 'app', 'x-stream-offset': 'first' }
    await consume(one, 2, queue, args, 1000)
    await one.expectMany(2, 'basic.deliver', 1000)
    one.send(2, 'basic.ack', { deliveryTag: 500, multiple: true })
    await one.expectMany(2, 'basic.deliver', 500)
    await publish(one, queue, ['last'])
    await broker.kill()
    one.destroy()
    await broker.restart()
    const two = await client()
    const { args: status } = await two.call(1, 'queue.declare', { queue, passive: true })
    assert.equal(status['messageCount'], 2001)
    await consume(two, 2, queue, args, 5000)
    const first = await two.expect(2, 'basic.deliver')
    const begun = Number(offsetsOf([first])[0])
    assert.ok(begun <= 500, `goes on at ${begun}: at the latest with the first that was not acknowledged`)
    const rest = await two.expectMany(2, 'basic.deliver', 2000 - begun)
    assert.deepEqual(
      offsetsOf(rest),
      Array.from({ length: 2000 - begun }, (_, index) => begun + 1 + index),
    )
    assert.equal(rest.at(-1)?.body.toString(), 'last')
    two.send(2, 'basic.ack', { deliveryTag: 0, multiple: true })
    await two.call(2, 'basic.qos', { prefetchCount: 5 })
    await two.close()
    await broker.kill('SIGTERM')
    const { code, stdout } = await runWarren(['fsck', broker.dataDirectory])
    assert.equal(code, 0, stdout)
    assert.match(stdout, /^streams\/\d+: intact; .* closed in good order$/m)
    await broker.restart()
    const three = await client()
    await consume(three, 2, queue, args, 10)
    await publish(three, queue, ['after'])
    assert.deepEqual(offsetsOf([await three.expect(2, 'basic.deliver')]), [2001], 'a stop in good order loses no place')
    await three.close()
  }
})

describe('a stream by amqplib', () => {
  async function channel(): Promise<{ channel: ConfirmChannel; close: () => Promise<void> }> {
    const connection = await connect(broker.url)
    connection.on('error', () => {})
    return { channel: await connection.createConfirmChannel(), close: () => connection.close() }
  }

  test('is filled, replayed at different speeds, and followed', async () => {
    const { channel: one, close } = await channel()
    const queue = `stream-${process.pid}-amqplib`
    await one.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'stream', 'x-max-age': '1D' } })
    for (let index = 0; index < 3000; index++) one.sendToQueue(queue, Buffer.from(`m${index}`), { persistent: true })
    await one.waitForConfirms()
    const read = async (offset: number, prefetch: number, count: number): Promise<ConsumeMessage[]> => {
      const { channel: reader, close: end } = await channel()
      await reader.prefetch(prefetch)
      const got: ConsumeMessage[] = []
      await new Promise<void>((resolve) => {
        const take = (message: ConsumeMessage | null): void => {
          if (message === null) return
          got.push(message)
          reader.ack(message)
          if (got.length === count) resolve()
        }
        void reader.consume(queue, take, { arguments: { 'x-stream-offset': offset } })
      })
      await end()
      return got
    }
    const results = await Promise.all([read(0, 500, 3000), read(2500, 1, 500), read(1234, 7, 1766)])
    for (const [index, begun] of [0, 2500, 1234].entries()) {
      const got = results[index] ?? []
      assert.deepEqual(
        got.map(({ content }) => content.toString()),
        Array.from({ length: 3000 - begun }, (_, count) => `m${begun + count}`),
      )
      assert.equal(got[0]?.properties.headers?.['x-stream-offset'], begun)
    }
    await one.deleteQueue(queue)
    await close()
  })
})
