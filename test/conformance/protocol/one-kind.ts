/** Warren has one kind of queue: by either name of RabbitMQ's it has the features of both. */
import assert from 'node:assert/strict'
import type { Table } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'
import {
  deadLetters,
  declare,
  fill,
  int,
  pass,
  publish,
  publishTo,
  type QueueType,
  scene,
  take,
  text,
  untilReady,
  worked,
} from './steps.ts'

export function oneKind(sentences: Sentences): void {
  sentences.prove('a queue of type quorum may be exclusive, auto-delete or transient', async (stage) => {
    const client = await stage.client()
    for (const properties of [{ exclusive: true }, { autoDelete: true }, { durable: false }]) {
      const queue = stage.name('q')
      await client.call(1, 'queue.declare', { queue, ...properties, arguments: { 'x-queue-type': 'quorum' } })
      await fill(client, queue, 'a')
      assert.deepEqual(await take(client, queue), ['a'])
      await client.call(1, 'queue.delete', { queue })
    }
  })

  sentences.prove('a queue of type quorum may have priorities', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-priority': int(5) }, 'quorum')
    await publishTo(client, queue, { body: 'low' }, { body: 'high', properties: { priority: 5 } })
    assert.deepEqual(await take(client, queue), ['high', 'low'])
  })

  sentences.prove('a queue of type quorum may have reject-publish-dlx', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const args = { 'x-overflow': 'reject-publish-dlx', 'x-max-length': int(0), ...dead.args }
    const queue = await declare(stage, client, args, 'quorum')
    assert.deepEqual(await publish(client, { routingKey: queue, body: 'a' }), ['nack'])
    assert.equal(text(await dead.next()), 'a')
  })

  sentences.prove('what is given back to a queue of type quorum goes to its place', async (stage) => {
    const { client, queue } = await scene(stage, {}, 'quorum')
    await fill(client, queue, 'a', 'b', 'c', 'd')
    for (let i = 0; i < 3; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.nack', { deliveryTag: 2, requeue: true })
    client.send(1, 'basic.nack', { deliveryTag: 1, requeue: true })
    await worked(client)
    assert.deepEqual(await take(client, queue), ['a', 'b', 'd'])
  })

  sentences.prove('a queue of type quorum may have an exclusive consumer', async (stage) => {
    const { client, queue } = await scene(stage, {}, 'quorum')
    await client.call(1, 'basic.consume', { queue, exclusive: true })
    await client.call(2, 'channel.open')
    client.send(2, 'basic.consume', { queue })
    await client.expectChannelClose(2, 403, `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`)
  })

  sentences.prove('x-expires: to declare a queue of type quorum again is a use', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-expires': int(4_000) }, 'quorum')
    const args = { 'x-expires': int(4_000), 'x-queue-type': 'quorum' }
    for (let times = 0; times < 3; times += 1) {
      await pass(1_500)
      await client.call(1, 'queue.declare', { queue, durable: true, arguments: args })
      await fill(client, queue, 'kept')
    }
    assert.deepEqual(await take(client, queue), ['kept', 'kept', 'kept'], 'it was the same queue all the time')
  })

  const strategies: readonly (readonly [string, Table, QueueType])[] = [
    ['at-least-once, quorum', { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }, 'quorum'],
    ['at-least-once, classic', { 'x-dead-letter-strategy': 'at-least-once' }, 'classic'],
    ['no strategy', {}, 'classic'],
  ]
  for (const [what, strategy, type] of strategies) {
    sentences.prove(`a dead letter that its queue has no room for comes later (${what})`, async (stage) => {
      const { client, queue: full } = await scene(stage, { 'x-max-length': int(1), 'x-overflow': 'reject-publish' })
      await fill(client, full, 'already there')
      const args = { ...strategy, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': full }
      const queue = await declare(stage, client, args, type)
      await publishTo(client, queue, { body: 'a', properties: { expiration: '20', deliveryMode: 2 } })
      await untilReady(client, queue, 0)
      await client.call(2, 'channel.open')
      await client.call(2, 'basic.consume', { queue: full, noAck: true })
      assert.equal(text(await client.expect(2, 'basic.deliver')), 'already there')
      assert.equal(text(await client.expect(2, 'basic.deliver')), 'a')
    })
  }
  sentences.prove('a dead letter that no queue takes is kept until one does (at-least-once)', async (stage) => {
    const { client, queue: dead } = await scene(stage, {})
    const exchange = stage.name('later')
    const strategy = { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }
    const args = { ...strategy, 'x-dead-letter-exchange': exchange }
    const queue = await declare(stage, client, args, 'quorum')
    await publishTo(client, queue, { body: 'kept', properties: { expiration: '20', deliveryMode: 2 } })
    await untilReady(client, queue, 0)
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    await client.call(1, 'queue.bind', { queue: dead, exchange, routingKey: '' })
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue: dead, noAck: true })
    assert.equal(text(await client.expect(2, 'basic.deliver')), 'kept')
  })
}
