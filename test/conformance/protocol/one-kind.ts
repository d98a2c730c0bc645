/** Warren has one kind of queue: by either name of RabbitMQ's it has the features of both. */
import assert from 'node:assert/strict'
import type { Sentences } from './sentences.ts'
import { deadLetters, declare, fill, int, publish, publishTo, queueTypes, scene, take, text } from './steps.ts'

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

  for (const type of queueTypes) {
    sentences.prove(
      `at-least-once (${type}): a dead letter that its queue has no room for comes later`,
      async (stage) => {
        const rejecting = { 'x-overflow': 'reject-publish' }
        const { client, queue: full } = await scene(stage, { 'x-max-length': int(1), ...rejecting })
        await fill(client, full, 'already there')
        const queue = await declare(
          stage,
          client,
          {
            ...rejecting,
            'x-dead-letter-strategy': 'at-least-once',
            'x-dead-letter-exchange': '',
            'x-dead-letter-routing-key': full,
          },
          type,
        )
        await publishTo(client, queue, { body: 'a', properties: { expiration: '20', deliveryMode: 2 } })
        await client.call(2, 'channel.open')
        await client.call(2, 'basic.consume', { queue: full, noAck: true })
        assert.equal(text(await client.expect(2, 'basic.deliver')), 'already there')
        assert.equal(text(await client.expect(2, 'basic.deliver')), 'a')
      },
    )
  }
}
