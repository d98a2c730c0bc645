/**
 * How often a message was given out and failed: `x-delivery-count`, and the limit after which it is given out no more.
 * As RabbitMQ 4.3 counts: what a consumer rejects to have it again, and what ends with a channel or connection. To give
 * back with basic.nack is no failure.
 */
import assert from 'node:assert/strict'
import type { Arrival, RawClient } from '../../support/amqp/raw-client.ts'
import type { Table } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'
import {
  counts,
  deadLetters,
  death,
  deaths,
  declare,
  fill,
  headersOf,
  int,
  pass,
  publishTo,
  type QueueType,
  queueTypes,
  scene,
  take,
  text,
  worked,
} from './steps.ts'

export function deliveryCounts(sentences: Sentences): void {
  for (const type of queueTypes) {
    counting(sentences, type)
    limit(sentences, type)
    acknowledgementTimeout(sentences, type)
  }
  defaults(sentences)
}

const countOf = (one: Arrival | null): unknown => headersOf(one)['x-delivery-count']

/** Takes the next message and gives it back as a failure. */
async function fail(client: RawClient, queue: string): Promise<Arrival | null> {
  const got = await client.get(1, queue, { noAck: false })
  if (got !== null) client.send(1, 'basic.reject', { deliveryTag: got.args['deliveryTag'] ?? 0, requeue: true })
  return got
}

function counting(sentences: Sentences, type: QueueType): void {
  sentences.prove(`x-delivery-count (${type}) is not there before the first failure`, async (stage) => {
    const { client, queue } = await scene(stage, {}, type)
    await publishTo(client, queue, { body: 'a' })
    assert.deepEqual(headersOf(await client.get(1, queue)), {})
  })

  sentences.prove(`x-delivery-count (${type}) counts the failures; other headers stay`, async (stage) => {
    const { client, queue } = await scene(stage, {}, type)
    await publishTo(client, queue, { body: 'a', properties: { headers: { mine: 1 }, messageId: 'm' } })
    await fail(client, queue)
    for (let failures = 1; failures <= 3; failures += 1) {
      const got = await fail(client, queue)
      assert.deepEqual([countOf(got), headersOf(got)['mine']], [failures, 1])
      assert.deepEqual([got?.args['redelivered'], got?.properties['messageId'], text(got)], [true, 'm', 'a'])
    }
  })

  sentences.prove(`x-delivery-count (${type}): basic.nack gives back without counting`, async (stage) => {
    const { client, queue } = await scene(stage, {}, type)
    await fill(client, queue, 'a')
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const got = await client.get(1, queue, { noAck: false })
      assert.equal(countOf(got), undefined)
      client.send(1, 'basic.nack', { deliveryTag: attempt, requeue: true })
    }
    await fail(client, queue)
    assert.equal(countOf(await client.get(1, queue)), 1)
  })

  sentences.prove(
    `x-acquired-count (${type}) counts how often it was given out before, settled how ever`,
    async (stage) => {
      const { client, queue } = await scene(stage, {}, type)
      await fill(client, queue, 'a')
      await client.get(1, queue, { noAck: false })
      client.send(1, 'basic.nack', { deliveryTag: 1, requeue: true })
      await fail(client, queue)
      const headers = headersOf(await client.get(1, queue))
      assert.deepEqual([headers['x-acquired-count'], headers['x-delivery-count']], [2, 1])
    },
  )

  for (const end of ['channel', 'connection'] as const) {
    sentences.prove(`x-delivery-count (${type}) counts what the end of a ${end} gives back`, async (stage) => {
      const observer = await stage.client()
      const queue = stage.name('q')
      stage.deleteLater(queue)
      await observer.call(1, 'queue.declare', { queue, durable: true, arguments: { 'x-queue-type': type } })
      await fill(observer, queue, 'held', 'not delivered')
      const client = await stage.client()
      await client.call(1, 'basic.qos', { prefetchCount: 1 })
      await client.call(1, 'basic.consume', { queue })
      await client.expect(1, 'basic.deliver')
      if (end === 'channel') await client.call(1, 'channel.close', { replyCode: 200 })
      else client.destroy()
      await observer.call(1, 'basic.consume', { queue, noAck: true })
      const delivered = await observer.expectMany(1, 'basic.deliver', 2)
      const seen = delivered.map((one): [string | undefined, unknown] => [text(one), countOf(one)])
      assert.equal(new Map(seen).get('held'), 1)
      assert.ok([undefined, 0].includes(new Map(seen).get('not delivered') as number))
    })
  }

  sentences.prove(`x-delivery-count (${type}) that a publisher wrote does not count`, async (stage) => {
    const { client, queue } = await scene(stage, {}, type)
    await publishTo(client, queue, { body: 'a', properties: { headers: { 'x-delivery-count': int(9) } } })
    await fail(client, queue)
    assert.equal(countOf(await client.get(1, queue)), 1)
  })

  sentences.prove(`x-delivery-count (${type}) is a 64-bit number`, async (stage) => {
    const { client, queue } = await scene(stage, {}, type)
    await fill(client, queue, 'a')
    await fail(client, queue)
    const got = await client.get(1, queue)
    assert.ok(got?.rawProperties.includes(Buffer.from('\x10x-delivery-countl')))
  })
}

function limit(sentences: Sentences, type: QueueType): void {
  const limited = (max: number): Table => ({ 'x-delivery-limit': int(max) })

  sentences.prove(
    `x-delivery-limit (${type}): after so many failures and one more it is dead-lettered`,
    async (stage) => {
      const client = await stage.client()
      const dead = await deadLetters(stage, client)
      const queue = await declare(stage, client, { ...limited(2), ...dead.args }, type)
      await fill(client, queue, 'a')
      for (let attempt = 0; attempt < 3; attempt += 1) {
        assert.equal(countOf(await fail(client, queue)) ?? 0, attempt)
      }
      const letter = await dead.next()
      assert.deepEqual([text(letter), deaths(letter).length], ['a', 1])
      const { count, reason, queue: from } = death(deaths(letter)[0])
      assert.deepEqual([count, reason, from], [1, 'delivery_limit', queue])
      assert.equal(await client.get(1, queue), null)
    },
  )

  sentences.prove(`x-delivery-limit (${type}) without a dead-letter exchange: it is dropped`, async (stage) => {
    const { client, queue } = await scene(stage, limited(1), type)
    await fill(client, queue, 'a', 'b')
    assert.equal(text(await fail(client, queue)), 'a')
    const second = await client.get(1, queue, { noAck: false })
    const third = await client.get(1, queue, { noAck: false })
    assert.deepEqual(new Set([text(second), text(third)]), new Set(['a', 'b']))
    const again = text(second) === 'a' ? second : third
    client.send(1, 'basic.reject', { deliveryTag: again?.args['deliveryTag'] ?? 0, requeue: true })
    await worked(client)
    await pass(50)
    assert.equal((await counts(client, queue))[0], 0)
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await take(client, queue), ['b'])
  })

  sentences.prove(`x-delivery-limit 0 (${type}): one failure is enough`, async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...limited(0), ...dead.args }, type)
    await fill(client, queue, 'a')
    await fail(client, queue)
    assert.equal(text(await dead.next()), 'a')
  })

  sentences.prove(`x-delivery-limit (${type}): the end of a channel is a failure like any other`, async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...limited(1), ...dead.args }, type)
    await fill(client, queue, 'a')
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await client.call(2, 'channel.open')
      await client.call(2, 'basic.consume', { queue })
      await client.expect(2, 'basic.deliver')
      await client.call(2, 'channel.close', { replyCode: 200 })
    }
    assert.equal(text(await dead.next()), 'a')
  })

  sentences.prove(`x-delivery-limit (${type}): basic.nack may give back as often as it likes`, async (stage) => {
    const { client, queue } = await scene(stage, limited(1), type)
    await fill(client, queue, 'a')
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      assert.equal(text(await client.get(1, queue, { noAck: false })), 'a')
      client.send(1, 'basic.nack', { deliveryTag: attempt, requeue: true })
    }
  })

  sentences.prove(`x-delivery-limit -1 (${type}) is unlimited`, async (stage) => {
    const { client, queue } = await scene(stage, limited(-1), type)
    await fill(client, queue, 'a')
    for (let attempt = 0; attempt < 30; attempt += 1) assert.equal(text(await fail(client, queue)), 'a')
  })

  sentences.prove(`x-delivery-count (${type}) of a dead letter begins anew in the queue it comes to`, async (stage) => {
    const client = await stage.client()
    const target = await declare(stage, client, {}, type)
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': target, ...limited(1) }
    const queue = await declare(stage, client, args, type)
    await fill(client, queue, 'a')
    for (let attempt = 0; attempt < 2; attempt += 1) await fail(client, queue)
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue: target })
    const letter = await client.expect(2, 'basic.deliver')
    client.send(2, 'basic.reject', { deliveryTag: letter.args['deliveryTag'] ?? 0, requeue: true })
    assert.equal(countOf(await client.expect(2, 'basic.deliver')), 1)
  })
}

function defaults(sentences: Sentences): void {
  sentences.prove('a quorum queue has a delivery limit of 20 if it does not say', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, dead.args, 'quorum')
    await fill(client, queue, 'a')
    for (let attempt = 0; attempt <= 20; attempt += 1) assert.equal(text(await fail(client, queue)), 'a')
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'delivery_limit')
  })

  sentences.prove('a classic queue has no delivery limit if it does not say', async (stage) => {
    const { client, queue } = await scene(stage)
    await fill(client, queue, 'a')
    for (let attempt = 0; attempt < 40; attempt += 1) assert.equal(text(await fail(client, queue)), 'a')
  })
}

function acknowledgementTimeout(sentences: Sentences, type: QueueType): void {
  const timeout = { 'x-consumer-timeout': int(150) }
  const ways = [
    { which: 'the queue', queueArgs: timeout, consumerArgs: {} },
    { which: 'the consumer', queueArgs: {}, consumerArgs: timeout },
  ]
  for (const { which, queueArgs, consumerArgs } of ways) {
    sentences.prove(`x-consumer-timeout of ${which} (${type}): what is not settled goes to another`, async (stage) => {
      const { client, queue } = await scene(stage, queueArgs, type)
      await client.call(2, 'channel.open')
      await client.call(2, 'basic.qos', { prefetchCount: 1 })
      await client.call(2, 'basic.consume', { queue, arguments: consumerArgs })
      await fill(client, queue, 'a')
      await client.expect(2, 'basic.deliver')
      await client.call(3, 'channel.open')
      await client.call(3, 'basic.consume', { queue, arguments: { 'x-priority': int(1) } })
      const again = await client.expect(3, 'basic.deliver')
      assert.deepEqual([text(again), again.args['redelivered']], ['a', true])
    })
  }

  sentences.prove(`x-consumer-timeout (${type}): what is settled in time is settled`, async (stage) => {
    const { client, queue } = await scene(stage, { 'x-consumer-timeout': int(1_500) }, type)
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue })
    for (const body of ['a', 'b', 'c']) {
      await fill(client, queue, body)
      const { args } = await client.expect(2, 'basic.deliver')
      client.send(2, 'basic.ack', { deliveryTag: args['deliveryTag'] ?? 0 })
    }
    await pass(1_800)
    await worked(client, 2)
    assert.deepEqual(await counts(client, queue), [0, 1])
  })

  sentences.prove(`x-consumer-timeout (${type}): an ack that comes too late harms nobody`, async (stage) => {
    const { client, queue } = await scene(stage, timeout, type)
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.qos', { prefetchCount: 1 })
    await client.call(2, 'basic.consume', { queue, consumerTag: 'slow' })
    await fill(client, queue, 'a')
    await client.expect(2, 'basic.deliver')
    await client.call(3, 'channel.open')
    await client.call(3, 'basic.consume', { queue, arguments: { 'x-priority': int(1) } })
    await client.expect(3, 'basic.deliver')
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    client.send(2, 'basic.qos')
    for (let one = await client.next(2); one.name !== 'basic.qos-ok'; one = await client.next(2)) {
      assert.equal(one.name, 'basic.deliver', 'the channel goes on')
    }
    client.send(3, 'basic.ack', { deliveryTag: 1 })
    await worked(client, 2)
  })
}
