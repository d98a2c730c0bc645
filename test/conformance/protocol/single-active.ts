/** `x-single-active-consumer`: one consumer at a time gets everything, and another takes its place when it leaves. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import type { Table } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'
import { counts, declare, exists, fill, int, queueTypes, scene, text, until, worked } from './steps.ts'

export function singleActive(sentences: Sentences): void {
  oneAtATime(sentences)
  successors(sentences)
  refusals(sentences)
}

const single: Table = { 'x-single-active-consumer': true }

/** A consumer on a channel of its own; its tag is the channel's number. */
async function consume(
  client: RawClient,
  channel: number,
  queue: string,
  { prefetchCount = 0, priority }: { prefetchCount?: number; priority?: number } = {},
): Promise<void> {
  await client.call(channel, 'channel.open')
  await client.call(channel, 'basic.qos', { prefetchCount })
  const args = priority === undefined ? {} : { 'x-priority': int(priority) }
  await client.call(channel, 'basic.consume', { queue, consumerTag: String(channel), arguments: args })
}

const received = async (client: RawClient, channel: number, count: number): Promise<(string | undefined)[]> =>
  (await client.expectMany(channel, 'basic.deliver', count)).map(text)

function oneAtATime(sentences: Sentences): void {
  for (const type of queueTypes) {
    sentences.prove(`the first consumer of a ${type} queue gets everything, the others wait`, async (stage) => {
      const { client, queue } = await scene(stage, single, type)
      for (const channel of [2, 3, 4]) await consume(client, channel, queue)
      await fill(client, queue, 'a', 'b', 'c')
      assert.deepEqual(await received(client, 2, 3), ['a', 'b', 'c'])
      for (const channel of [3, 4]) await worked(client, channel)
    })
  }

  sentences.prove('while the active consumer has no room the messages wait, and so do the others', async (stage) => {
    const { client, queue } = await scene(stage, single)
    await consume(client, 2, queue, { prefetchCount: 2 })
    await consume(client, 3, queue)
    await fill(client, queue, 'a', 'b', 'c')
    assert.deepEqual(await received(client, 2, 2), ['a', 'b'])
    await worked(client, 3)
    assert.deepEqual(await counts(client, queue), [1, 2])
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    assert.deepEqual(await received(client, 2, 1), ['c'])
    await worked(client, 3)
  })

  sentences.prove('declare-ok counts those that wait among the consumers', async (stage) => {
    const { client, queue } = await scene(stage, single)
    for (const channel of [2, 3, 4]) await consume(client, channel, queue)
    assert.deepEqual(await counts(client, queue), [0, 3])
    await client.call(3, 'basic.cancel', { consumerTag: '3' })
    assert.deepEqual(await counts(client, queue), [0, 2])
  })

  sentences.prove('a message put back goes to the active consumer again, though others wait', async (stage) => {
    const { client, queue } = await scene(stage, single)
    for (const channel of [2, 3]) await consume(client, channel, queue)
    await fill(client, queue, 'a', 'b')
    await received(client, 2, 2)
    client.send(2, 'basic.nack', { deliveryTag: 1, requeue: true })
    const again = await client.expect(2, 'basic.deliver')
    assert.deepEqual([text(again), again.args['redelivered']], ['a', true])
    await worked(client, 3)
  })
}

function successors(sentences: Sentences): void {
  const ways: readonly { how: string; leave: (client: RawClient) => Promise<unknown> }[] = [
    { how: 'is cancelled', leave: (client) => client.call(2, 'basic.cancel', { consumerTag: '2' }) },
    { how: 'loses its channel', leave: (client) => client.call(2, 'channel.close', { replyCode: 200 }) },
    { how: 'loses its connection', leave: async (client) => client.destroy() },
  ]
  for (const { how, leave } of ways) {
    sentences.prove(`when the active consumer ${how}, the one that waited longest is next`, async (stage) => {
      const client = await stage.client()
      const queue = stage.name('q')
      stage.deleteLater(queue)
      await client.call(1, 'queue.declare', { queue, arguments: single })
      const leaver = await stage.client()
      await consume(leaver, 2, queue)
      for (const channel of [3, 4]) await consume(client, channel, queue)
      await leave(leaver)
      await until('it has left', async () => (await counts(client, queue))[1] === 2)
      await fill(client, queue, 'a', 'b')
      assert.deepEqual(await received(client, 3, 2), ['a', 'b'])
      await client.call(3, 'channel.close', { replyCode: 200 })
      assert.deepEqual(await received(client, 4, 2), ['a', 'b'])
    })
  }

  sentences.prove(
    'what the one that left had not acknowledged comes first to its successor, in order',
    async (stage) => {
      const { client, queue } = await scene(stage, single)
      await consume(client, 2, queue, { prefetchCount: 3 })
      await consume(client, 3, queue)
      await fill(client, queue, 'a', 'b', 'c', 'd', 'e')
      await received(client, 2, 3)
      client.send(2, 'basic.ack', { deliveryTag: 2 })
      assert.deepEqual(await received(client, 2, 1), ['d'])
      await client.call(2, 'channel.close', { replyCode: 200 })
      const delivered = await client.expectMany(3, 'basic.deliver', 4)
      assert.deepEqual(
        delivered.map((one) => [text(one), one.args['redelivered']]),
        [
          ['a', true],
          ['c', true],
          ['d', true],
          ['e', false],
        ],
      )
    },
  )

  sentences.prove('when one that waits leaves, nothing changes for the active one', async (stage) => {
    const { client, queue } = await scene(stage, single)
    for (const channel of [2, 3, 4]) await consume(client, channel, queue)
    await client.call(3, 'channel.close', { replyCode: 200 })
    await fill(client, queue, 'a', 'b', 'c')
    assert.deepEqual(await received(client, 2, 3), ['a', 'b', 'c'])
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await received(client, 4, 3), ['a', 'b', 'c'])
  })

  sentences.prove('a cancelled active consumer may settle what it has while its successor works', async (stage) => {
    const { client, queue } = await scene(stage, single)
    await consume(client, 2, queue)
    await consume(client, 3, queue)
    await fill(client, queue, 'a', 'b')
    await received(client, 2, 2)
    await client.call(2, 'basic.cancel', { consumerTag: '2' })
    await fill(client, queue, 'c')
    assert.deepEqual(await received(client, 3, 1), ['c'])
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    client.send(2, 'basic.nack', { deliveryTag: 2, requeue: true })
    assert.deepEqual(await received(client, 3, 1), ['b'])
  })

  sentences.prove('among those that wait the highest x-priority is next, then the oldest', async (stage) => {
    const { client, queue } = await scene(stage, single)
    await consume(client, 2, queue)
    await consume(client, 3, queue)
    await consume(client, 4, queue, { priority: 5 })
    await consume(client, 5, queue, { priority: 5 })
    await fill(client, queue, 'to 2')
    assert.deepEqual(await received(client, 2, 1), ['to 2'], 'a higher one that comes later waits')
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    await worked(client, 2)
    for (const next of [4, 5, 3]) {
      const leaver = next === 4 ? 2 : next === 5 ? 4 : 5
      await client.call(leaver, 'channel.close', { replyCode: 200 })
      await fill(client, queue, `to ${next}`)
      assert.deepEqual(await received(client, next, 1), [`to ${next}`])
      client.send(next, 'basic.ack', { deliveryTag: 1 })
      await worked(client, next)
    }
  })

  sentences.prove('an auto-delete queue with a single active consumer goes with the last one', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, autoDelete: true, arguments: single })
    for (const channel of [2, 3]) await consume(client, channel, queue)
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.equal(await exists(client, queue), true)
    await client.call(3, 'channel.close', { replyCode: 200 })
    assert.equal(await exists(client, queue), false)
  })
}

function refusals(sentences: Sentences): void {
  sentences.prove('an exclusive consumer on a queue with a single active one is 403', async (stage) => {
    const { client, queue } = await scene(stage, single)
    client.send(1, 'basic.consume', { queue, exclusive: true })
    await client.expectChannelClose(1, 403, `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`)
  })

  sentences.prove('basic.get on a quorum queue with a single active consumer is 405', async (stage) => {
    const { client, queue } = await scene(stage, single, 'quorum')
    client.send(1, 'basic.get', { queue })
    const text =
      `RESOURCE_LOCKED - cannot obtain access to locked queue '${queue}' in vhost '/'. basic.get operations are not ` +
      'supported by quorum queues with single active consumer'
    await client.expectChannelClose(1, 405, text)
  })

  sentences.prove('basic.get on a classic queue with a single active consumer takes what is ready', async (stage) => {
    const { client, queue } = await scene(stage, single)
    await consume(client, 2, queue, { prefetchCount: 1 })
    await fill(client, queue, 'a', 'b')
    await received(client, 2, 1)
    assert.equal(text(await client.get(1, queue)), 'b')
  })

  sentences.prove('x-single-active-consumer: false is as if it were not there', async (stage) => {
    const client = await stage.client()
    const queue = await declare(stage, client, { 'x-single-active-consumer': false })
    for (const channel of [2, 3]) await consume(client, channel, queue, { prefetchCount: 1 })
    await fill(client, queue, 'a', 'b')
    for (const channel of [2, 3]) await received(client, channel, 1)
    await client.call(4, 'channel.open')
    assert.equal(await client.get(4, queue), null)
  })
}
