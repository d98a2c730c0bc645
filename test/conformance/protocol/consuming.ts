/** Deliveries, acknowledgements, requeue and credit. */
import assert from 'node:assert/strict'
import type { Arrival, RawClient } from '../../support/amqp/raw-client.ts'
import type { Sentences, Stage } from './sentences.ts'

export function consuming(sentences: Sentences): void {
  tags(sentences)
  consumers(sentences)
  credit(sentences)
  requeue(sentences)
  cancellation(sentences)
}

const text = (one: Arrival | null): string | undefined => one?.body.toString()
const tagOf = (one: Arrival | null): number => Number(one?.args['deliveryTag'])

/** A client with an exclusive queue that holds these messages; channel 2 is open too. */
async function filled(stage: Stage, ...bodies: string[]): Promise<{ client: RawClient; queue: string }> {
  const client = await stage.client()
  const queue = stage.name('q')
  await client.call(2, 'channel.open')
  await client.call(1, 'queue.declare', { queue, exclusive: true })
  await client.call(9, 'channel.open')
  await client.call(9, 'confirm.select')
  for (const body of bodies) client.publish(9, { routingKey: queue, body })
  for (let acked = 0; acked < bodies.length; ) acked = tagOf(await client.expect(9, 'basic.ack'))
  await client.call(9, 'channel.close', { replyCode: 200 })
  const { args } = await client.call(1, 'queue.declare', { queue, passive: true })
  assert.equal(args['messageCount'], bodies.length)
  return { client, queue }
}

/** What came on the channel after everything sent before has been worked on. */
async function settledWaiting(client: RawClient, channel: number, queue: string): Promise<string[]> {
  await client.call(3, 'channel.open')
  for (let i = 0; i < 3; i += 1) await client.call(3, 'queue.declare', { queue, passive: true })
  await client.call(3, 'channel.close', { replyCode: 200 })
  return client.waiting(channel)
}

function tags(sentences: Sentences): void {
  sentences.prove('delivery tags start at 1 per channel and count deliver and get, no-ack or not', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    assert.equal(tagOf(await client.get(1, queue, { noAck: true })), 1)
    assert.equal(tagOf(await client.get(1, queue, { noAck: false })), 2)
    await client.call(1, 'basic.consume', { queue, noAck: true })
    assert.deepEqual((await client.expectMany(1, 'basic.deliver', 2)).map(tagOf), [3, 4])
    client.publish(1, { routingKey: queue, body: 'e' })
    assert.equal(tagOf(await client.expect(1, 'basic.deliver')), 5)
    await client.call(2, 'queue.declare', { queue: `${queue}-2`, exclusive: true })
    client.publish(2, { routingKey: `${queue}-2`, body: 'f' })
    assert.equal(tagOf(await client.get(2, `${queue}-2`)), 1)
  })

  sentences.prove('an ack on the wrong channel is 406', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    await client.get(1, queue, { noAck: false })
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    await client.expectChannelClose(2, 406, 'PRECONDITION_FAILED - unknown delivery tag 1')
  })

  sentences.prove('a second ack of the same message is 406', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - unknown delivery tag 1')
  })

  sentences.prove('an ack of a message delivered with no-ack is 406', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    await client.get(1, queue, { noAck: true })
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - unknown delivery tag 1')
  })

  for (const name of ['basic.ack', 'basic.nack']) {
    sentences.prove(
      `${name} of tag 0 with multiple settles everything outstanding, and nothing is no error`,
      async (stage) => {
        const { client, queue } = await filled(stage, 'a', 'b', 'c')
        for (let i = 0; i < 3; i += 1) await client.get(1, queue, { noAck: false })
        const args = name === 'basic.ack' ? {} : { requeue: false }
        client.send(1, name, { deliveryTag: 0, multiple: true, ...args })
        client.send(1, name, { deliveryTag: 0, multiple: true, ...args })
        await client.call(1, 'channel.close', { replyCode: 200 })
        assert.deepEqual(await client.drain(2, queue), [])
      },
    )
  }

  sentences.prove('an ack of tag 0 without multiple is 406', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.ack', { deliveryTag: 0 })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - unknown delivery tag 0')
  })

  sentences.prove('a multiple ack covers every outstanding tag up to its own', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    for (let i = 0; i < 4; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.ack', { deliveryTag: 2 })
    client.send(1, 'basic.ack', { deliveryTag: 3, multiple: true })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await client.drain(2, queue), ['d'])
  })

  sentences.prove('a multiple ack of a tag that is not outstanding is 406 though lower ones are', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b')
    for (let i = 0; i < 2; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.ack', { deliveryTag: 2 })
    client.send(1, 'basic.ack', { deliveryTag: 2, multiple: true })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - unknown delivery tag 2')
    assert.deepEqual(await client.drain(2, queue), ['a'])
  })

  sentences.prove('acks may come in any order', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    for (let i = 0; i < 4; i += 1) await client.get(1, queue, { noAck: false })
    for (const deliveryTag of [3, 1, 4]) client.send(1, 'basic.ack', { deliveryTag })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await client.drain(2, queue), ['b'])
  })
}

function consumers(sentences: Sentences): void {
  sentences.prove('consume-ok comes before the first delivery', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    client.send(1, 'basic.consume', { queue, consumerTag: 'c' })
    assert.equal((await client.expect(1, 'basic.consume-ok')).args['consumerTag'], 'c')
    const delivered = await client.expect(1, 'basic.deliver')
    assert.deepEqual(delivered.args, {
      consumerTag: 'c',
      deliveryTag: 1,
      redelivered: false,
      exchange: '',
      routingKey: queue,
    })
  })

  sentences.prove('an empty consumer tag makes one that begins with amq.ctag-', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    const { args } = await client.call(1, 'basic.consume', { queue })
    assert.match(String(args['consumerTag']), /^amq\.ctag-.{10,}/)
    assert.equal((await client.expect(1, 'basic.deliver')).args['consumerTag'], args['consumerTag'])
  })

  sentences.prove('a consumer tag may be used again after cancel, and on another channel', async (stage) => {
    const { client, queue } = await filled(stage)
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.call(2, 'basic.consume', { queue, consumerTag: 'c' })
    await client.call(1, 'basic.cancel', { consumerTag: 'c' })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
  })

  sentences.prove('no-local is ignored', async (stage) => {
    const { client, queue } = await filled(stage)
    await client.call(1, 'basic.consume', { queue, noLocal: true, noAck: true })
    client.publish(1, { routingKey: queue, body: 'my own' })
    assert.equal(text(await client.expect(1, 'basic.deliver')), 'my own')
  })

  sentences.prove('messages are delivered in the order in which they were published', async (stage) => {
    const { client, queue } = await filled(stage)
    await client.call(2, 'basic.consume', { queue, noAck: true })
    const bodies = Array.from({ length: 500 }, (_, i) => String(i))
    client.sendBytes(...bodies.map((body) => client.publishBytes(1, { routingKey: queue, body })))
    assert.deepEqual((await client.expectMany(2, 'basic.deliver', 500)).map(text), bodies)
  })

  sentences.prove('consumers take turns', async (stage) => {
    const { client, queue } = await filled(stage)
    const consumerTags = ['a', 'b', 'c']
    for (const consumerTag of consumerTags) await client.call(1, 'basic.consume', { queue, consumerTag, noAck: true })
    for (let i = 0; i < 9; i += 1) client.publish(2, { routingKey: queue, body: String(i) })
    const delivered = await client.expectMany(1, 'basic.deliver', 9)
    for (const tag of consumerTags) {
      assert.equal(delivered.filter((one) => one.args['consumerTag'] === tag).length, 3, `consumer ${tag}`)
    }
  })

  sentences.prove(
    'basic.get tells how many ready messages are left, and get-empty when there are none',
    async (stage) => {
      const { client, queue } = await filled(stage, 'a', 'b', 'c')
      assert.equal((await client.get(1, queue))?.args['messageCount'], 2)
      assert.equal((await client.get(1, queue))?.args['messageCount'], 1)
      assert.equal((await client.get(1, queue))?.args['messageCount'], 0)
      assert.equal(await client.get(1, queue), null)
    },
  )

  sentences.prove('channel.flow active=true is answered with true', async (stage) => {
    const client = await stage.client()
    assert.equal((await client.call(1, 'channel.flow', { active: true })).args['active'], true)
  })
}

function credit(sentences: Sentences): void {
  sentences.prove('prefetch limits what a consumer holds unacknowledged', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    await client.call(1, 'basic.qos', { prefetchCount: 2 })
    await client.call(1, 'basic.consume', { queue })
    assert.deepEqual((await client.expectMany(1, 'basic.deliver', 2)).map(text), ['a', 'b'])
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    assert.equal(text(await client.expect(1, 'basic.deliver')), 'c')
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
  })

  sentences.prove('prefetch 0 is unlimited', async (stage) => {
    const { client, queue } = await filled(stage, ...Array.from({ length: 300 }, (_, i) => String(i)))
    await client.call(1, 'basic.qos', { prefetchCount: 0 })
    await client.call(1, 'basic.consume', { queue })
    await client.expectMany(1, 'basic.deliver', 300)
  })

  sentences.prove('qos without global holds for each new consumer; earlier ones keep theirs', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd', 'e', 'f')
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'one' })
    await client.expect(1, 'basic.deliver')
    await client.call(1, 'basic.qos', { prefetchCount: 3 })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'three' })
    const delivered = await client.expectMany(1, 'basic.deliver', 3)
    assert.deepEqual(
      delivered.map((one) => one.args['consumerTag']),
      ['three', 'three', 'three'],
    )
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
  })

  sentences.prove('qos with global is shared by all consumers of the channel, at once', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd', 'e', 'f')
    await client.call(1, 'basic.qos', { prefetchCount: 3, global: true })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'x' })
    await client.expectMany(1, 'basic.deliver', 3)
    await client.call(1, 'basic.consume', { queue, consumerTag: 'y' })
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.expect(1, 'basic.deliver')
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
    client.send(1, 'basic.qos', { prefetchCount: 5, global: true })
    const names = [await client.next(1), await client.next(1), await client.next(1)].map(({ name }) => name)
    assert.deepEqual(names.sort(), ['basic.deliver', 'basic.deliver', 'basic.qos-ok'])
  })

  sentences.prove('both kinds of prefetch hold together', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd', 'e', 'f')
    await client.call(1, 'basic.qos', { prefetchCount: 2 })
    await client.call(1, 'basic.qos', { prefetchCount: 3, global: true })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'x' })
    await client.expectMany(1, 'basic.deliver', 2)
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
    await client.call(1, 'basic.consume', { queue, consumerTag: 'y' })
    assert.equal((await client.expect(1, 'basic.deliver')).args['consumerTag'], 'y')
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
  })

  sentences.prove('consumers without acknowledgement ignore prefetch', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c')
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
    await client.call(1, 'basic.consume', { queue, noAck: true })
    await client.expectMany(1, 'basic.deliver', 3)
  })

  sentences.prove('basic.get ignores prefetch and does not use it', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
    assert.equal(text(await client.get(1, queue, { noAck: false })), 'a')
    assert.equal(text(await client.get(1, queue, { noAck: false })), 'b')
    await client.call(1, 'basic.consume', { queue })
    assert.equal(text(await client.expect(1, 'basic.deliver')), 'c')
    assert.deepEqual(await settledWaiting(client, 1, queue), [])
  })
}

function requeue(sentences: Sentences): void {
  sentences.prove('requeued messages go back to their place, marked redelivered', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    for (let i = 0; i < 3; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.nack', { deliveryTag: 2, requeue: true })
    client.send(1, 'basic.reject', { deliveryTag: 1, requeue: true })
    await client.call(1, 'basic.qos')
    const seen: unknown[] = []
    for (let i = 0; i < 3; i += 1) {
      const got = await client.get(2, queue)
      seen.push([text(got), got?.args['redelivered']])
    }
    assert.deepEqual(seen, [
      ['a', true],
      ['b', true],
      ['d', false],
    ])
  })

  sentences.prove('a multiple nack requeues everything up to its tag, in order', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c', 'd')
    for (let i = 0; i < 4; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.nack', { deliveryTag: 3, multiple: true, requeue: true })
    await client.call(1, 'basic.qos')
    assert.deepEqual(await client.drain(2, queue), ['a', 'b', 'c'])
  })

  sentences.prove('a reject or nack without requeue removes the message', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b', 'c')
    for (let i = 0; i < 3; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.reject', { deliveryTag: 1, requeue: false })
    client.send(1, 'basic.nack', { deliveryTag: 2, requeue: false })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await client.drain(2, queue), ['c'])
  })

  for (const how of ['channel', 'connection', 'broken connection'] as const) {
    sentences.prove(
      `the end of the ${how} requeues everything unacknowledged, in order and redelivered`,
      async (stage) => {
        const observer = await stage.client()
        const queue = stage.name('q')
        await observer.call(1, 'queue.declare', { queue })
        for (const body of ['a', 'b', 'c', 'd']) observer.publish(1, { routingKey: queue, body })
        await observer.call(1, 'basic.qos')
        const client = await stage.client()
        await client.call(1, 'basic.consume', { queue })
        await client.expectMany(1, 'basic.deliver', 4)
        client.send(1, 'basic.ack', { deliveryTag: 2 })
        await client.call(1, 'basic.qos')
        if (how === 'channel') await client.call(1, 'channel.close', { replyCode: 200 })
        else if (how === 'connection') await client.close()
        else client.destroy()
        await observer.call(1, 'basic.consume', { queue, consumerTag: 'after', noAck: true })
        const delivered = await observer.expectMany(1, 'basic.deliver', 3)
        assert.deepEqual(
          delivered.map((one) => [text(one), one.args['redelivered']]),
          [
            ['a', true],
            ['c', true],
            ['d', true],
          ],
        )
        await observer.call(1, 'basic.cancel', { consumerTag: 'after' })
        await observer.call(1, 'queue.delete', { queue })
      },
    )
  }

  for (const name of ['basic.recover', 'basic.recover-async']) {
    sentences.prove(`${name} requeues everything unacknowledged of the channel`, async (stage) => {
      const { client, queue } = await filled(stage, 'a', 'b')
      for (let i = 0; i < 2; i += 1) await client.get(1, queue, { noAck: false })
      if (name === 'basic.recover') await client.call(1, name, { requeue: true })
      else client.send(1, name, { requeue: true })
      await client.call(1, 'basic.qos')
      const first = await client.get(2, queue)
      assert.deepEqual([text(first), first?.args['redelivered']], ['a', true])
      assert.equal(text(await client.get(2, queue)), 'b')
    })
  }

  sentences.prove('a requeued message goes to another consumer that has room', async (stage) => {
    const { client, queue } = await filled(stage, 'a')
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
    await client.call(1, 'basic.consume', { queue })
    await client.expect(1, 'basic.deliver')
    await client.call(2, 'basic.consume', { queue })
    await client.call(1, 'basic.cancel', { consumerTag: 'unknown' })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.equal((await client.expect(2, 'basic.deliver')).args['redelivered'], true)
  })
}

function cancellation(sentences: Sentences): void {
  sentences.prove('after cancel nothing is delivered, and what was is still unacknowledged', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b')
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.expect(1, 'basic.deliver')
    await client.call(1, 'basic.cancel', { consumerTag: 'c' })
    assert.deepEqual(await client.drain(2, queue), ['b'], 'a is neither requeued nor lost')
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await client.drain(2, queue), [])
  })

  sentences.prove('the deletion of its queue cancels a consumer, for a client that can be told', async (stage) => {
    const { client, queue } = await filled(stage)
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.call(2, 'queue.delete', { queue })
    const cancel = await client.expect(1, 'basic.cancel')
    assert.deepEqual(cancel.args, { consumerTag: 'c', noWait: true })
  })

  sentences.prove('a client without consumer_cancel_notify is not told', async (stage) => {
    const client = await stage.client({ clientProperties: { product: 'old client' } })
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.call(1, 'queue.delete', { queue })
    await client.call(1, 'basic.qos')
    assert.deepEqual(client.waiting(1), [])
  })

  sentences.prove('a cancel that crosses the server’s own is still answered', async (stage) => {
    const { client, queue } = await filled(stage)
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.call(2, 'queue.delete', { queue })
    await client.expect(1, 'basic.cancel')
    assert.equal((await client.call(1, 'basic.cancel', { consumerTag: 'c' })).args['consumerTag'], 'c')
  })

  sentences.prove('acks of messages of a deleted queue are taken without error', async (stage) => {
    const { client, queue } = await filled(stage, 'a', 'b')
    for (let i = 0; i < 2; i += 1) await client.get(1, queue, { noAck: false })
    await client.call(2, 'queue.delete', { queue })
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    client.send(1, 'basic.nack', { deliveryTag: 2, requeue: true })
    await client.call(1, 'basic.qos')
  })
}
