/** Requests that cross what is under way: nothing is lost, nothing comes twice, nothing comes where it must not. */
import assert from 'node:assert/strict'
import { RawClient } from '../../support/amqp/raw-client.ts'
import { content, method } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from './sentences.ts'

/** More than is delivered in one go. */
const messages = 200

export function races(sentences: Sentences): void {
  sentences.prove('a cancel among deliveries parts them: unacknowledged before it, ready behind it', async (stage) => {
    const { keeper, queue, bodies } = await filled(stage)
    const client = await stage.client()
    client.sendBytes(
      method(1, 'basic.consume', { queue, consumerTag: 'c' }),
      method(1, 'basic.cancel', { consumerTag: 'c' }),
    )
    await client.expect(1, 'basic.consume-ok')
    const seen: string[] = []
    let one = await client.next(1)
    for (; one.name === 'basic.deliver'; one = await client.next(1)) seen.push(one.body.toString())
    assert.equal(one.name, 'basic.cancel-ok')
    const left = await keeper.drain(1, queue)
    assert.deepEqual([...seen, ...left], bodies)
    await client.call(1, 'basic.qos')
    assert.deepEqual(client.waiting(1), [])
    client.send(1, 'basic.nack', { deliveryTag: 0, multiple: true, requeue: true })
    await client.call(1, 'basic.qos')
    assert.deepEqual(await keeper.drain(1, queue), seen)
  })

  sentences.prove('a cancelled consumer’s messages can still be acknowledged and given back', async (stage) => {
    const { keeper, queue, bodies } = await filled(stage)
    const client = await stage.client()
    await client.call(1, 'basic.qos', { prefetchCount: 3 })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.expectMany(1, 'basic.deliver', 3)
    await client.call(1, 'basic.cancel', { consumerTag: 'c' })
    client.send(1, 'basic.ack', { deliveryTag: 2 })
    client.send(1, 'basic.reject', { deliveryTag: 1, requeue: true })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(
      await keeper.drain(1, queue),
      bodies.filter((body) => body !== '1'),
    )
  })

  sentences.prove('a channel closed among its deliveries has given all back when it is answered', async (stage) => {
    const { keeper, queue, bodies } = await filled(stage)
    const client = await stage.client()
    client.sendBytes(method(1, 'basic.consume', { queue }), method(1, 'channel.close', { replyCode: 200 }))
    await client.expect(1, 'basic.consume-ok')
    let one = await client.next(1)
    while (one.name === 'basic.deliver') one = await client.next(1)
    assert.equal(one.name, 'channel.close-ok')
    assert.deepEqual(await keeper.drain(1, queue), bodies)
  })

  sentences.prove('a connection dropped among its deliveries gives all back, in order', async (stage) => {
    const { keeper, queue, bodies } = await filled(stage)
    for (let round = 0; round < 3; round += 1) {
      const client = await RawClient.withChannel(stage.address)
      client.send(1, 'basic.consume', { queue })
      await client.expect(1, 'basic.consume-ok')
      await client.expect(1, 'basic.deliver')
      client.destroy()
    }
    await untilReady(keeper, queue, messages)
    assert.deepEqual(await keeper.drain(1, queue), bodies)
  })

  sentences.prove('an exclusive consumer may come as soon as the last one’s end is answered', async (stage) => {
    const { keeper, queue } = await filled(stage)
    for (let round = 0; round < 5; round += 1) {
      const client = await stage.client()
      client.sendBytes(
        method(1, 'basic.consume', { queue, exclusive: true, consumerTag: 'c' }),
        round % 2 === 0
          ? method(1, 'basic.cancel', { consumerTag: 'c' })
          : method(1, 'channel.close', { replyCode: 200 }),
      )
      await client.expect(1, 'basic.consume-ok')
      let one = await client.next(1)
      while (one.name === 'basic.deliver') one = await client.next(1)
      await keeper.call(1, 'basic.consume', { queue, exclusive: true, consumerTag: 'k' })
      keeper.send(1, 'basic.cancel', { consumerTag: 'k' })
      one = await keeper.next(1)
      while (one.name === 'basic.deliver') one = await keeper.next(1)
      assert.equal(one.name, 'basic.cancel-ok')
    }
  })

  sentences.prove(
    'what was sent before a connection.close is done, though it has to wait for answers',
    async (stage) => {
      const { keeper, queue, bodies } = await filled(stage)
      const client = await RawClient.withChannel(stage.address)
      client.sendBytes(
        method(1, 'basic.get', { queue, noAck: true }),
        method(1, 'queue.purge', { queue }),
        method(1, 'basic.publish', { routingKey: queue }),
        content(1, {}, Buffer.from('behind the purge'), 4096),
        method(1, 'queue.declare', { queue, passive: true }),
        method(1, 'basic.publish', { routingKey: queue }),
        content(1, {}, Buffer.from('behind the declare'), 4096),
      )
      await client.close()
      assert.deepEqual(await keeper.drain(1, queue), ['behind the purge', 'behind the declare'])
      assert.equal((await client.expect(1, 'basic.get-ok')).body.toString(), bodies[0])
      assert.equal((await client.expect(1, 'queue.purge-ok')).args['messageCount'], messages - 1)
      assert.equal((await client.expect(1, 'queue.declare-ok')).args['messageCount'], 1)
    },
  )

  sentences.prove('a queue deleted among publishes, deliveries and gets answers each of them once', async (stage) => {
    const { keeper, queue } = await filled(stage)
    const client = await stage.client()
    await client.call(1, 'confirm.select')
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue, noAck: true })
    for (let index = 0; index < messages; index += 1) client.publish(1, { routingKey: queue, body: 'late' })
    client.send(3, 'channel.open')
    client.send(3, 'basic.get', { queue, noAck: true })
    await keeper.call(1, 'queue.delete', { queue })
    await client.expect(3, 'channel.open-ok')
    assert.match((await client.next(3)).name, /^(basic\.get-ok|basic\.get-empty|channel\.close)$/)
    for (let last = 0; last < messages; ) last = Number((await client.expect(1, 'basic.ack')).args['deliveryTag'])
    let one = await client.next(2)
    while (one.name === 'basic.deliver') one = await client.next(2)
    assert.equal(one.name, 'basic.cancel')
    await client.call(2, 'basic.qos')
  })
}

/** A queue that holds the messages `0`, `1`, …, and the client that owns neither it nor them. */
async function filled(stage: Stage): Promise<{ keeper: RawClient; queue: string; bodies: string[] }> {
  const keeper = await stage.client()
  const queue = stage.name('race')
  await keeper.call(1, 'queue.declare', { queue })
  await keeper.call(9, 'channel.open')
  await keeper.call(9, 'confirm.select')
  const bodies = Array.from({ length: messages }, (_, index) => String(index))
  for (const body of bodies) keeper.publish(9, { routingKey: queue, body })
  for (let last = 0; last < messages; ) last = Number((await keeper.expect(9, 'basic.ack')).args['deliveryTag'])
  await keeper.call(9, 'channel.close', { replyCode: 200 })
  return { keeper, queue, bodies }
}

/** Asks until the queue holds so many ready messages. */
async function untilReady(client: RawClient, queue: string, count: number): Promise<void> {
  const deadline = Date.now() + 5_000
  for (;;) {
    const { args } = await client.call(1, 'queue.declare', { queue, passive: true })
    if (args['messageCount'] === count) return
    assert.ok(Date.now() < deadline, `${args['messageCount']} of ${count} messages are ready`)
  }
}
