/** Who is served first: messages by `priority` in queues with `x-max-priority`, consumers by `x-priority`. */
import assert from 'node:assert/strict'
import type { Publish, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed, type Value } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'
import { counts, deadLetters, declare, fill, int, publishTo, scene, take, text, untilReady, worked } from './steps.ts'

export function priorities(sentences: Sentences): void {
  messages(sentences)
  requeuedMessages(sentences)
  limitsAndTtl(sentences)
  consumers(sentences)
  consumersWithRoom(sentences)
}

const levels = (max: number): Table => ({ 'x-max-priority': int(max) })

/** Messages of which the body begins with the priority: `5a` has 5, `-a` says nothing. */
const prioritised = (...bodies: readonly string[]): Publish[] =>
  bodies.map((body) =>
    body.startsWith('-') ? { body } : { body, properties: { priority: Number.parseInt(body, 10) } },
  )

function messages(sentences: Sentences): void {
  sentences.prove('the highest priority comes first, and within one the oldest', async (stage) => {
    const { client, queue } = await scene(stage, levels(10))
    await publishTo(client, queue, ...prioritised('1a', '5a', '3a', '5b', '1b', '10a', '3b'))
    assert.deepEqual(await take(client, queue), ['10a', '5a', '5b', '3a', '3b', '1a', '1b'])
  })

  sentences.prove('a message without a priority has 0', async (stage) => {
    const { client, queue } = await scene(stage, levels(5))
    await publishTo(client, queue, ...prioritised('-a', '1a', '0a', '-b'))
    assert.deepEqual(await take(client, queue), ['1a', '-a', '0a', '-b'])
  })

  sentences.prove('a priority above x-max-priority is x-max-priority; the property stays as given', async (stage) => {
    const { client, queue } = await scene(stage, levels(3))
    await publishTo(client, queue, ...prioritised('3a', '200a', '2a', '3b', '4a'))
    const order: unknown[] = []
    for (let got = await client.get(1, queue); got !== null; got = await client.get(1, queue)) {
      order.push([text(got), got.properties['priority']])
    }
    assert.deepEqual(order, [
      ['3a', 3],
      ['200a', 200],
      ['3b', 3],
      ['4a', 4],
      ['2a', 2],
    ])
  })

  sentences.prove('x-max-priority may be 255: every level is a level', async (stage) => {
    const { client, queue } = await scene(stage, levels(255))
    const ascending = Array.from({ length: 256 }, (_, i) => `${i}`)
    await publishTo(client, queue, ...prioritised(...ascending))
    assert.deepEqual(await take(client, queue), ascending.reverse())
  })

  for (const args of [{}, levels(0)]) {
    const which = 'x-max-priority' in args ? 'with x-max-priority 0' : 'without x-max-priority'
    sentences.prove(`a queue ${which} keeps the order of publishing`, async (stage) => {
      const { client, queue } = await scene(stage, args)
      await publishTo(client, queue, ...prioritised('1a', '9a', '-a', '5a'))
      assert.deepEqual(await take(client, queue), ['1a', '9a', '-a', '5a'])
    })
  }

  sentences.prove('a higher message that comes later overtakes those that wait, not those delivered', async (stage) => {
    const { client, queue } = await scene(stage, levels(5))
    await publishTo(client, queue, ...prioritised('1a', '1b', '1c'))
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.qos', { prefetchCount: 1 })
    await client.call(2, 'basic.consume', { queue })
    assert.equal(text(await client.expect(2, 'basic.deliver')), '1a')
    await publishTo(client, queue, ...prioritised('5a', '3a'))
    for (const [tag, body] of ['5a', '3a', '1b', '1c'].entries()) {
      client.send(2, 'basic.ack', { deliveryTag: tag + 1 })
      assert.equal(text(await client.expect(2, 'basic.deliver')), body)
    }
  })

  sentences.prove('persistent messages in a durable priority queue keep the order as well', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    stage.deleteLater(queue)
    await client.call(1, 'queue.declare', { queue, durable: true, arguments: levels(9) })
    const messages = prioritised('2a', '7a', '2b', '7b', '0a').map(({ body, properties }) => ({
      body: body ?? '',
      properties: { ...properties, deliveryMode: 2 },
    }))
    await publishTo(client, queue, ...messages)
    assert.deepEqual(await take(client, queue), ['7a', '7b', '2a', '2b', '0a'])
  })

  sentences.prove('purge and the counts take all priorities together', async (stage) => {
    const { client, queue } = await scene(stage, levels(9))
    await publishTo(client, queue, ...prioritised('0a', '9a', '4a'))
    assert.deepEqual(await counts(client, queue), [3, 0])
    assert.equal((await client.get(1, queue))?.args['messageCount'], 2)
    assert.equal((await client.call(1, 'queue.purge', { queue })).args['messageCount'], 2)
    assert.equal(await client.get(1, queue), null)
  })
}

function requeuedMessages(sentences: Sentences): void {
  sentences.prove('a message that is put back goes to its place within its priority', async (stage) => {
    const { client, queue } = await scene(stage, levels(5))
    await publishTo(client, queue, ...prioritised('1a', '5a', '5b', '5c', '1b'))
    for (let i = 0; i < 4; i += 1) await client.get(1, queue, { noAck: false })
    await publishTo(client, queue, ...prioritised('5d', '3a'))
    client.send(1, 'basic.nack', { deliveryTag: 4, multiple: true, requeue: true })
    await worked(client)
    assert.deepEqual(await take(client, queue), ['5a', '5b', '5c', '5d', '3a', '1a', '1b'])
  })

  sentences.prove('what the end of a channel puts back is in order of priority again', async (stage) => {
    const { client, queue } = await scene(stage, levels(5))
    await publishTo(client, queue, ...prioritised('1a', '5a', '3a', '5b'))
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue })
    await client.expectMany(2, 'basic.deliver', 4)
    await client.call(2, 'channel.close', { replyCode: 200 })
    await publishTo(client, queue, ...prioritised('4a'))
    assert.deepEqual(await take(client, queue), ['5a', '5b', '4a', '3a', '1a'])
  })
}

function limitsAndTtl(sentences: Sentences): void {
  sentences.prove('a full priority queue drops the oldest of the lowest priority', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...levels(5), 'x-max-length': int(3), ...dead.args })
    await publishTo(client, queue, ...prioritised('1a', '5a', '1b', '3a', '0a', '5b'))
    assert.deepEqual(await dead.bodies(3), ['1a', '0a', '1b'])
    assert.deepEqual(await take(client, queue), ['5a', '5b', '3a'])
  })

  sentences.prove('messages of every priority expire, the low ones behind the high ones too', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...levels(5), ...dead.args })
    const short = { expiration: '60' }
    await publishTo(
      client,
      queue,
      { body: '5 stays', properties: { priority: 5 } },
      { body: '1 goes', properties: { priority: 1, ...short } },
      { body: '3 goes', properties: { priority: 3, ...short } },
    )
    await untilReady(client, queue, 1)
    assert.deepEqual((await dead.bodies(2)).sort(), ['1 goes', '3 goes'])
    assert.deepEqual(await take(client, queue), ['5 stays'])
  })
}

/** A consumer on a channel of its own, with a prefetch (0 is unlimited) and a priority. */
async function consume(
  client: RawClient,
  channel: number,
  queue: string,
  { prefetchCount, priority }: { prefetchCount: number; priority?: Value },
): Promise<void> {
  await client.call(channel, 'channel.open')
  await client.call(channel, 'basic.qos', { prefetchCount })
  const args = priority === undefined ? {} : { arguments: { 'x-priority': priority } }
  await client.call(channel, 'basic.consume', { queue, ...args })
}

function consumers(sentences: Sentences): void {
  sentences.prove('the consumer of the highest x-priority gets everything while it has room', async (stage) => {
    const { client, queue } = await scene(stage)
    await consume(client, 2, queue, { prefetchCount: 0, priority: int(1) })
    await consume(client, 3, queue, { prefetchCount: 0, priority: int(10) })
    await consume(client, 4, queue, { prefetchCount: 0 })
    await fill(client, queue, 'a', 'b', 'c', 'd')
    assert.deepEqual((await client.expectMany(3, 'basic.deliver', 4)).map(text), ['a', 'b', 'c', 'd'])
    for (const channel of [2, 4]) await worked(client, channel)
  })

  sentences.prove('consumers of one priority take turns', async (stage) => {
    const { client, queue } = await scene(stage)
    for (const channel of [2, 3]) await consume(client, channel, queue, { prefetchCount: 0, priority: int(5) })
    await consume(client, 4, queue, { prefetchCount: 0, priority: int(4) })
    await fill(client, queue, ...Array.from({ length: 10 }, (_, i) => String(i)))
    for (const channel of [2, 3]) await client.expectMany(channel, 'basic.deliver', 5)
    await worked(client, 4)
  })

  sentences.prove('no x-priority is 0, and there are negative ones', async (stage) => {
    const { client, queue } = await scene(stage)
    await consume(client, 2, queue, { prefetchCount: 0, priority: int(-1) })
    await consume(client, 3, queue, { prefetchCount: 0 })
    await fill(client, queue, 'a', 'b')
    await client.expectMany(3, 'basic.deliver', 2)
    await client.call(3, 'channel.close', { replyCode: 200 })
    await client.expectMany(2, 'basic.deliver', 2)
  })

  sentences.prove('an x-priority of any whole number type is taken', async (stage) => {
    const { client, queue } = await scene(stage)
    const values: readonly Value[] = [
      typed('b', 1),
      typed('s', 300),
      typed('I', 70_000),
      typed('l', 5_000_000_000),
      typed('l', 2n ** 62n),
    ]
    for (const [index, priority] of values.entries()) {
      await consume(client, index + 2, queue, { prefetchCount: 1, priority })
    }
    await fill(client, queue, ...values.map((_, index) => String(index)))
    for (const [index] of values.entries()) {
      assert.equal(text(await client.expect(values.length + 1 - index, 'basic.deliver')), String(index))
    }
  })
}

function consumersWithRoom(sentences: Sentences): void {
  sentences.prove('while the higher consumers have no room the lower ones get messages', async (stage) => {
    const { client, queue } = await scene(stage)
    await consume(client, 2, queue, { prefetchCount: 2, priority: int(10) })
    await consume(client, 3, queue, { prefetchCount: 1, priority: int(5) })
    await consume(client, 4, queue, { prefetchCount: 0 })
    await fill(client, queue, 'a', 'b', 'c', 'd', 'e')
    assert.deepEqual((await client.expectMany(2, 'basic.deliver', 2)).map(text), ['a', 'b'])
    assert.equal(text(await client.expect(3, 'basic.deliver')), 'c')
    assert.deepEqual((await client.expectMany(4, 'basic.deliver', 2)).map(text), ['d', 'e'])
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    await worked(client, 2)
    await fill(client, queue, 'f', 'g')
    assert.equal(text(await client.expect(2, 'basic.deliver')), 'f')
    assert.equal(text(await client.expect(4, 'basic.deliver')), 'g')
  })

  sentences.prove('a higher consumer that comes later gets what comes from then on', async (stage) => {
    const { client, queue } = await scene(stage)
    await consume(client, 2, queue, { prefetchCount: 0 })
    await fill(client, queue, 'a')
    await client.expect(2, 'basic.deliver')
    await consume(client, 3, queue, { prefetchCount: 0, priority: int(1) })
    await fill(client, queue, 'b', 'c')
    await client.expectMany(3, 'basic.deliver', 2)
    await client.call(3, 'channel.close', { replyCode: 200 })
    assert.deepEqual((await client.expectMany(2, 'basic.deliver', 2)).map(text), ['b', 'c'])
  })

  sentences.prove('messages that wait go to the highest consumer that has room, as room comes', async (stage) => {
    const { client, queue } = await scene(stage)
    await consume(client, 2, queue, { prefetchCount: 1, priority: int(1) })
    await consume(client, 3, queue, { prefetchCount: 1, priority: int(2) })
    await fill(client, queue, 'a', 'b', 'c', 'd')
    assert.equal(text(await client.expect(3, 'basic.deliver')), 'a')
    assert.equal(text(await client.expect(2, 'basic.deliver')), 'b')
    client.send(3, 'basic.ack', { deliveryTag: 1 })
    assert.equal(text(await client.expect(3, 'basic.deliver')), 'c')
    client.send(2, 'basic.ack', { deliveryTag: 1 })
    assert.equal(text(await client.expect(2, 'basic.deliver')), 'd')
  })
}
