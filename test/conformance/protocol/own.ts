/**
 * What Warren has of its own, as any AMQP client reaches it by headers and arguments: groups, deduplication, leases.
 * RabbitMQ has none of it, so it is left out against other brokers. Delay and retry stand in `own/`.
 */
import assert from 'node:assert/strict'
import type { Arrival, Publish, RawClient } from '../../support/amqp/raw-client.ts'
import type { Table, Value } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'
import {
  counts,
  declare,
  fill,
  int,
  pass,
  publish,
  publishTo,
  scene,
  tagOf,
  take,
  text,
  untilReady,
  worked,
} from './steps.ts'

export function own(sentences: Sentences): void {
  groups(sentences)
  groupsThatWait(sentences)
  deduplication(sentences)
  leases(sentences)
}

const withHeaders = (body: string, headers: Table): Publish => ({ body, properties: { headers } })

/** A consumer on channel 2 that acknowledges nothing by itself. */
async function consume(client: RawClient, queue: string, prefetchCount = 0, channel = 2): Promise<void> {
  await client.call(channel, 'channel.open')
  await client.call(channel, 'basic.qos', { prefetchCount })
  await client.call(channel, 'basic.consume', { queue })
}

const delivered = (client: RawClient, channel = 2): Promise<Arrival> => client.expect(channel, 'basic.deliver')

// ---------------------------------------------------------------- groups

const retrying = (attempts: number, more: Table = {}): Table => ({
  'x-retry-attempts': int(attempts),
  'x-retry-delay': int(150),
  'x-retry-jitter': int(0),
  ...more,
})

/** `a1` has the group `a`; `-1` has none. */
const grouped = (...bodies: readonly string[]): Publish[] =>
  bodies.map((body) => (body.startsWith('-') ? { body } : withHeaders(body, { 'x-group': body.slice(0, 1) })))

function groups(sentences: Sentences): void {
  sentences.own('x-group: of each group one message is out at a time, in order', async (stage) => {
    const { client, queue } = await scene(stage)
    await publishTo(client, queue, ...grouped('a1', 'a2', 'b1', 'a3', 'b2'))
    await consume(client, queue)
    const first = [await delivered(client), await delivered(client)]
    assert.deepEqual(first.map(text), ['a1', 'b1'])
    client.send(2, 'basic.ack', { deliveryTag: tagOf(first[0] ?? null) })
    const a2 = await delivered(client)
    assert.equal(text(a2), 'a2')
    client.send(2, 'basic.ack', { deliveryTag: tagOf(first[1] ?? null) })
    assert.equal(text(await delivered(client)), 'b2')
    client.send(2, 'basic.ack', { deliveryTag: tagOf(a2) })
    assert.equal(text(await delivered(client)), 'a3')
  })

  sentences.own('x-group: messages without a group go on beside', async (stage) => {
    const { client, queue } = await scene(stage)
    await publishTo(client, queue, ...grouped('a1', '-1', 'a2', '-2', '-3'))
    await consume(client, queue)
    const bodies = (await client.expectMany(2, 'basic.deliver', 4)).map(text)
    assert.deepEqual(bodies, ['a1', '-1', '-2', '-3'])
    await worked(client, 2)
  })

  sentences.own('x-group holds across consumers', async (stage) => {
    const { client, queue } = await scene(stage)
    for (const channel of [2, 3]) await consume(client, queue, 5, channel)
    await publishTo(client, queue, ...grouped('a1', 'a2', 'a3'))
    const order: (string | undefined)[] = []
    for (let i = 0; i < 3; i += 1) {
      const got = await client.nextOnAny()
      assert.equal(got.name, 'basic.deliver')
      order.push(text(got))
      client.send(got.channel, 'basic.ack', { deliveryTag: tagOf(got) })
    }
    assert.deepEqual(order, ['a1', 'a2', 'a3'])
  })

  sentences.own('x-group: a group with many messages does not keep the others waiting', async (stage) => {
    const { client, queue } = await scene(stage)
    const many = Array.from({ length: 50 }, (_, i) => `a${i}`)
    await publishTo(client, queue, ...grouped(...many, 'b1', 'c1'))
    await consume(client, queue, 1)
    const order: (string | undefined)[] = []
    for (let i = 0; i < 6; i += 1) {
      const got = await delivered(client)
      order.push(text(got))
      client.send(2, 'basic.ack', { deliveryTag: tagOf(got) })
    }
    assert.ok(order.includes('b1') && order.includes('c1'), `the first six were ${order.join(', ')}`)
    assert.deepEqual(
      order.filter((body) => body?.startsWith('a')),
      many.slice(0, 4),
    )
  })

  sentences.own('x-group-limit: so many of a group are out at a time', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-group-limit': int(2) })
    await publishTo(client, queue, ...grouped('a1', 'a2', 'a3', 'b1'))
    await consume(client, queue)
    const out = (await client.expectMany(2, 'basic.deliver', 3)).map(text)
    assert.deepEqual(out.sort(), ['a1', 'a2', 'b1'])
    await worked(client, 2)
  })
}

function groupsThatWait(sentences: Sentences): void {
  sentences.own('x-group: what comes back is first again in its group', async (stage) => {
    const { client, queue } = await scene(stage)
    await publishTo(client, queue, ...grouped('a1', 'a2', 'a3'))
    await consume(client, queue)
    client.send(2, 'basic.nack', { deliveryTag: tagOf(await delivered(client)), requeue: true })
    for (const body of ['a1', 'a2', 'a3']) {
      const got = await delivered(client)
      assert.equal(text(got), body)
      client.send(2, 'basic.ack', { deliveryTag: tagOf(got) })
    }
  })

  sentences.own(
    'x-group: while one waits to be tried again those behind it wait too, other groups do not',
    async (stage) => {
      const { client, queue } = await scene(stage, retrying(3))
      await publishTo(client, queue, ...grouped('a1', 'a2', 'b1'))
      await consume(client, queue, 1)
      client.send(2, 'basic.reject', { deliveryTag: tagOf(await delivered(client)), requeue: true })
      for (const body of ['b1', 'a1', 'a2']) {
        const got = await delivered(client)
        assert.equal(text(got), body)
        client.send(2, 'basic.ack', { deliveryTag: tagOf(got) })
      }
    },
  )

  sentences.own('x-group: what expires, is dropped or rejected holds up nobody', async (stage) => {
    const { client, queue } = await scene(stage)
    const short = { headers: { 'x-group': 'a' }, expiration: '60' }
    await publishTo(client, queue, { body: 'expires', properties: short }, ...grouped('a1', 'a2'))
    await untilReady(client, queue, 2)
    await consume(client, queue)
    client.send(2, 'basic.reject', { deliveryTag: tagOf(await delivered(client)), requeue: false })
    assert.equal(text(await delivered(client)), 'a2')
  })

  sentences.own('x-group: a group that makes no sense is refused', async (stage) => {
    const { client, queue } = await scene(stage)
    for (const group of ['', 'g'.repeat(256), int(5)]) {
      client.publish(1, { routingKey: queue, properties: { headers: { 'x-group': group } } })
      await client.expectChannelClose(1, 406, /^PRECONDITION_FAILED - invalid header 'x-group': /)
      await client.call(1, 'channel.open')
    }
  })
}

// ---------------------------------------------------------------- deduplication

const deduplicating = (windowMs: number, more: Table = {}): Table => ({
  'x-message-deduplication': true,
  'x-deduplication-window': int(windowMs),
  ...more,
})

const withId = (body: string, messageId: string): Publish => ({ body, properties: { messageId } })

function deduplication(sentences: Sentences): void {
  sentences.own('deduplication: a message id is taken once, and the second publish is confirmed too', async (stage) => {
    const { client, queue } = await scene(stage, deduplicating(60_000))
    await publishTo(client, queue, withId('first', 'x'), withId('second', 'x'), withId('other', 'y'))
    assert.deepEqual(await take(client, queue), ['first', 'other'])
    await publishTo(client, queue, withId('third', 'x'))
    assert.deepEqual(await take(client, queue), [], 'it is known though the message is gone')
  })

  sentences.own(
    'deduplication: x-deduplication-header goes before the message id; without either nothing is known',
    async (stage) => {
      const { client, queue } = await scene(stage, deduplicating(60_000))
      const byHeader = (body: string, id: Value, messageId: string): Publish => ({
        body,
        properties: { messageId, headers: { 'x-deduplication-header': id } },
      })
      await publishTo(client, queue, byHeader('a', 'x', '1'), byHeader('b', 'x', '2'), byHeader('c', int(7), '1'))
      await publishTo(client, queue, byHeader('d', '7', '3'), { body: 'e' }, { body: 'f' })
      assert.deepEqual(await take(client, queue), ['a', 'c', 'e', 'f'])
    },
  )

  sentences.own('deduplication: after its window an id may come again', async (stage) => {
    const { client, queue } = await scene(stage, deduplicating(150))
    await publishTo(client, queue, withId('first', 'x'))
    await pass(300)
    await publishTo(client, queue, withId('again', 'x'))
    assert.deepEqual(await take(client, queue), ['first', 'again'])
  })

  sentences.own('deduplication: each queue knows for itself', async (stage) => {
    const { client, queue } = await scene(stage, deduplicating(60_000))
    const plain = await declare(stage, client)
    const exchange = stage.name('x')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    for (const each of [queue, plain]) await client.call(1, 'queue.bind', { queue: each, exchange })
    await publishTo(client, '', { exchange, ...withId('a', 'x') }, { exchange, ...withId('b', 'x') })
    assert.deepEqual([await take(client, queue), await take(client, plain)], [['a'], ['a', 'b']])
  })

  sentences.own('deduplication: an id that was refused may come again', async (stage) => {
    const full = { 'x-max-length': int(1), 'x-overflow': 'reject-publish' }
    const { client, queue } = await scene(stage, deduplicating(60_000, full))
    const publishes = [withId('a', 'a'), withId('b', 'b')].map((one) => ({ routingKey: queue, ...one }))
    assert.deepEqual(await publish(client, ...publishes), ['ack', 'nack'])
    assert.deepEqual(await take(client, queue), ['a'])
    assert.deepEqual(await publish(client, ...publishes.slice(1)), ['ack'])
    assert.deepEqual(await take(client, queue), ['b'])
  })

  sentences.own('deduplication: what is known already is confirmed by a full queue too', async (stage) => {
    const full = { 'x-max-length': int(1), 'x-overflow': 'reject-publish' }
    const { client, queue } = await scene(stage, deduplicating(60_000, full))
    const message = { routingKey: queue, ...withId('a', 'a') }
    assert.deepEqual(await publish(client, message, message), ['ack', 'ack'])
    assert.deepEqual(await take(client, queue), ['a'])
  })
}

// ---------------------------------------------------------------- leases

function leases(sentences: Sentences): void {
  sentences.own('a lease is made longer by a message to amq.warren.lease', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-consumer-timeout': int(1_000) })
    await fill(client, queue, 'long work')
    await consume(client, queue)
    const tag = tagOf(await delivered(client))
    await pass(300)
    const headers = { 'x-delivery-tag': int(tag), 'x-lease': int(60_000) }
    client.publish(2, { routingKey: 'amq.warren.lease', properties: { headers } })
    await pass(1_200)
    await worked(client, 2)
    assert.deepEqual(await counts(client, queue), [0, 1])
    client.send(2, 'basic.ack', { deliveryTag: tag })
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await take(client, queue), [])
  })

  sentences.own('to make longer a lease that is over returns the message', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-consumer-timeout': int(60_000) })
    await fill(client, queue, 'a')
    await consume(client, queue)
    const deliveryTag = tagOf(await delivered(client))
    client.send(2, 'basic.ack', { deliveryTag })
    const headers = { 'x-delivery-tag': int(deliveryTag) }
    client.publish(2, { routingKey: 'amq.warren.lease', mandatory: true, properties: { headers } })
    assert.equal((await client.expect(2, 'basic.return')).args['replyText'], 'NO_ROUTE')
  })
}
