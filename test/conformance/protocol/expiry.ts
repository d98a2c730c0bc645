/** Messages and queues that go when their time is over. That they go is waited for; that others stay is looked at. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import type { Sentences } from './sentences.ts'
import {
  counts,
  deadLetters,
  declare,
  exists,
  fill,
  int,
  pass,
  publishTo,
  queueTypes,
  scene,
  take,
  text,
  until,
  untilReady,
  worked,
} from './steps.ts'

export function expiry(sentences: Sentences): void {
  messageTtl(sentences)
  deadlines(sentences)
  ttlZero(sentences)
  queueExpiry(sentences)
}

const ttl = (ms: number): { 'x-message-ttl': ReturnType<typeof int> } => ({ 'x-message-ttl': int(ms) })

function messageTtl(sentences: Sentences): void {
  for (const type of queueTypes) {
    sentences.prove(`x-message-ttl of a ${type} queue: what was not taken in time is gone`, async (stage) => {
      const { client, queue } = await scene(stage, ttl(60), type)
      await fill(client, queue, 'a', 'b', 'c')
      await untilReady(client, queue, 0)
      await fill(client, queue, 'd')
      await untilReady(client, queue, 0)
    })

    sentences.prove(`expiration in a ${type} queue: a message that was not taken in time is gone`, async (stage) => {
      const { client, queue } = await scene(stage, {}, type)
      await publishTo(client, queue, { body: 'a', properties: { expiration: '60' } }, { body: 'b' })
      await untilReady(client, queue, 1)
      assert.deepEqual(await take(client, queue), ['b'])
    })
  }

  sentences.prove('a message is there until its time is over, with its expiration as it was given', async (stage) => {
    const { client, queue } = await scene(stage, ttl(60_000))
    await publishTo(client, queue, { body: 'a', properties: { expiration: '50000' } }, { body: 'b' })
    await pass(100)
    const got = await client.get(1, queue)
    assert.deepEqual([text(got), got?.properties['expiration']], ['a', '50000'])
    assert.deepEqual((await client.get(1, queue))?.properties, {})
  })

  sentences.prove('the shorter of x-message-ttl and expiration counts', async (stage) => {
    const { client, queue: short } = await scene(stage, ttl(60))
    const long = await declare(stage, client, ttl(60_000))
    await publishTo(client, short, { body: 'queue is shorter', properties: { expiration: '60000' } })
    await publishTo(client, long, { body: 'message is shorter', properties: { expiration: '60' } })
    await untilReady(client, short, 0)
    await untilReady(client, long, 0)
  })

  sentences.prove('each queue has its own time for its copy of a message', async (stage) => {
    const { client, queue: short } = await scene(stage, ttl(60))
    const long = await declare(stage, client, ttl(60_000))
    const exchange = stage.name('x')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    for (const queue of [short, long]) await client.call(1, 'queue.bind', { queue, exchange })
    await publishTo(client, '', { exchange, body: 'a' })
    await untilReady(client, short, 0)
    assert.deepEqual(await take(client, long), ['a'])
  })

  sentences.prove('what has expired is never delivered, neither to a get nor to a consumer', async (stage) => {
    const { client, queue: short } = await scene(stage, ttl(30))
    const mixed = await declare(stage, client)
    const bodies = Array.from({ length: 40 }, (_, i) => `old ${i}`)
    const fillBoth = async (): Promise<void> => {
      await fill(client, short, ...bodies)
      await publishTo(client, mixed, ...bodies.map((body) => ({ body, properties: { expiration: '30' } })))
      await pass(60)
    }
    for (let round = 0; round < 5; round += 1) {
      await fillBoth()
      for (const queue of [short, mixed]) assert.equal(await client.get(1, queue), null)
      await fillBoth()
      for (const queue of [short, mixed])
        await client.call(1, 'basic.consume', { queue, consumerTag: queue, noAck: true })
      // It has no time of its own, however slow the machine is.
      client.publish(1, { routingKey: mixed, body: 'new' })
      assert.equal(text(await client.expect(1, 'basic.deliver')), 'new')
      for (const consumerTag of [short, mixed]) await client.call(1, 'basic.cancel', { consumerTag })
    }
  })

  sentences.prove(
    'a message of which the time is over goes though a longer-lived one is ahead of it',
    async (stage) => {
      const { client, queue } = await scene(stage)
      const long = { body: 'long', properties: { expiration: '60000' } }
      const never = { body: 'never' }
      const short = { body: 'short', properties: { expiration: '60' } }
      await publishTo(client, queue, long, short, never, short)
      await untilReady(client, queue, 2)
      assert.deepEqual(await take(client, queue), ['long', 'never'])
    },
  )
}

function deadlines(sentences: Sentences): void {
  sentences.prove('while a consumer holds a message its time is not looked at', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...ttl(1_500), ...dead.args })
    await fill(client, queue, 'a')
    const got = await client.get(1, queue, { noAck: false })
    await dead.none(1_700)
    client.send(1, 'basic.ack', { deliveryTag: got?.args['deliveryTag'] ?? 0 })
    await worked(client)
    await dead.none()
  })

  for (const type of queueTypes) {
    sentences.prove(`a message put back into a ${type} queue keeps its deadline`, async (stage) => {
      const client = await stage.client()
      const dead = await deadLetters(stage, client)
      const queue = await declare(stage, client, { ...ttl(1_500), ...dead.args }, type)
      await fill(client, queue, 'a')
      const got = await client.get(1, queue, { noAck: false })
      assert.equal(text(got), 'a')
      await pass(1_700)
      client.send(1, 'basic.nack', { deliveryTag: 1, requeue: true })
      await worked(client)
      assert.equal(await client.get(1, queue), null, 'its time is over already')
      assert.equal(text(await dead.next()), 'a')
    })
  }

  sentences.prove('what the end of a channel puts back keeps its deadline', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...ttl(1_500), ...dead.args })
    await fill(client, queue, 'a', 'b')
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue })
    await client.expectMany(2, 'basic.deliver', 2)
    await pass(1_700)
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await dead.bodies(2), ['a', 'b'])
    assert.deepEqual(await counts(client, queue), [0, 0])
  })
}

function ttlZero(sentences: Sentences): void {
  const ways = [
    { how: 'x-message-ttl 0', args: ttl(0), properties: {} },
    { how: 'expiration 0', args: {}, properties: { expiration: '0' } },
  ]
  for (const { how, args, properties } of ways) {
    sentences.prove(`${how}: a waiting consumer gets the message`, async (stage) => {
      const { client, queue } = await scene(stage, args)
      await client.call(1, 'basic.consume', { queue, noAck: true })
      await publishTo(client, queue, { body: 'a', properties }, { body: 'b', properties })
      assert.deepEqual((await client.expectMany(1, 'basic.deliver', 2)).map(text), ['a', 'b'])
    })

    sentences.prove(`${how}: without a waiting consumer it expires, and is confirmed`, async (stage) => {
      const client = await stage.client()
      const dead = await deadLetters(stage, client)
      const queue = await declare(stage, client, { ...args, ...dead.args })
      await publishTo(client, queue, { body: 'a', properties })
      assert.equal(text(await dead.next()), 'a')
      assert.equal(await client.get(1, queue), null)
      await client.call(1, 'basic.qos', { prefetchCount: 1 })
      await client.call(1, 'basic.consume', { queue })
      await publishTo(client, queue, { body: 'taken', properties }, { body: 'too many', properties })
      assert.equal(text(await client.expect(1, 'basic.deliver')), 'taken')
      assert.equal(text(await dead.next()), 'too many')
    })
  }
}

/** Waits until the queue is gone. Publishing is no use of it, so this does not keep it. */
async function untilUnroutable(client: RawClient, queue: string, everyMs = 10): Promise<void> {
  await client.call(9, 'channel.open')
  await until(`'${queue}' is gone`, async () => {
    client.publish(9, { routingKey: queue, mandatory: true, body: 'are you there' })
    client.send(9, 'basic.qos')
    const { name } = await client.next(9)
    if (name === 'basic.return') await client.expect(9, 'basic.qos-ok')
    else await pass(everyMs)
    return name === 'basic.return'
  })
  await client.call(9, 'channel.close', { replyCode: 200 })
}

const expires = (ms: number): { 'x-expires': ReturnType<typeof int> } => ({ 'x-expires': int(ms) })

function queueExpiry(sentences: Sentences): void {
  for (const type of queueTypes) {
    sentences.prove(`x-expires: a ${type} queue that nobody uses goes; publishing to it is no use`, async (stage) => {
      const { client, queue } = await scene(stage, expires(500), type)
      assert.equal(await exists(client, queue), true)
      // RabbitMQ closes the connection (541) for what it gets just while it deletes a quorum queue.
      await untilUnroutable(client, queue, type === 'quorum' ? 100 : 10)
      assert.equal(await exists(client, queue), false)
    })
  }

  sentences.prove(
    'x-expires: a consumer keeps the queue, and its time runs from when the last one left',
    async (stage) => {
      const { client, queue } = await scene(stage, expires(1_000))
      await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
      await pass(1_500)
      assert.deepEqual(await counts(client, queue), [0, 1])
      await client.call(1, 'basic.cancel', { consumerTag: 'c' })
      assert.deepEqual(await counts(client, queue), [0, 0])
      await untilUnroutable(client, queue)
    },
  )

  const uses: readonly { what: string; use: (client: RawClient, queue: string) => Promise<unknown> }[] = [
    { what: 'basic.get', use: (client, queue) => client.get(1, queue) },
    {
      what: 'declaring it again',
      use: (client, queue) => client.call(1, 'queue.declare', { queue, exclusive: true, arguments: expires(2_000) }),
    },
    {
      what: 'a passive declare',
      use: (client, queue) => client.call(1, 'queue.declare', { queue, passive: true }),
    },
  ]
  for (const { what, use } of uses) {
    sentences.prove(`x-expires: ${what} is a use`, async (stage) => {
      const { client, queue } = await scene(stage, expires(2_000))
      for (let times = 0; times < 3; times += 1) {
        await pass(900)
        await use(client, queue)
      }
      assert.equal(await exists(client, queue), true)
      await untilUnroutable(client, queue)
    })
  }

  sentences.prove('x-expires: what the queue held is not dead-lettered', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...expires(100), ...dead.args })
    await fill(client, queue, 'a', 'b')
    await untilUnroutable(client, queue)
    await dead.none()
  })

  sentences.prove('a queue declared again after it expired is empty', async (stage) => {
    const { client, queue } = await scene(stage, expires(100))
    await fill(client, queue, 'a')
    await untilUnroutable(client, queue)
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    assert.deepEqual(await counts(client, queue), [0, 0])
  })
}
