/** docs/deduplication.md, sentence by sentence. */
import assert from 'node:assert/strict'
import type { Publish } from '../../support/amqp/raw-client.ts'
import { type Table, typed, type Value } from '../../support/amqp/wire.ts'
import type { Sentences } from '../protocol/sentences.ts'
import { int, pass, publish, publishTo, scene, take, text, untilReady, worked } from '../protocol/steps.ts'
import { ack, durable, durableScene, long, message, nack, ready, refused, refusedArguments } from './steps.ts'

const on = (more: Table = {}): Table => ({ 'x-message-deduplication': true, ...more })
const withId = (body: string, messageId: string): Publish => message(body, {}, { messageId })
const withHeader = (body: string, id: Value, messageId?: string): Publish =>
  message(body, { 'x-deduplication-header': id }, messageId === undefined ? {} : { messageId })

export function deduplication(sentences: Sentences): void {
  ids(sentences)
  memory(sentences)
  combinations(sentences)
  whatIsRefused(sentences)
}

function ids(sentences: Sentences): void {
  sentences.prove('of messages with the same message id the first is kept, and all are confirmed', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    const outcomes = await publish(
      client,
      ...[withId('a', '1'), withId('again', '1'), withId('b', '2'), withId('again', '2')].map((one) => ({
        routingKey: queue,
        ...one,
      })),
    )
    assert.deepEqual(outcomes, ['ack', 'ack', 'ack', 'ack'])
    assert.deepEqual(await take(client, queue), ['a', 'b'])
  })

  sentences.prove('x-deduplication-header goes before the message id', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, withHeader('a', 'x', '1'), withHeader('again', 'x', '2'), withHeader('b', 'y', '1'))
    await publishTo(client, queue, withId('c', '1'))
    assert.deepEqual(await take(client, queue), ['a', 'b', 'c'])
  })

  sentences.prove('a whole number as id is the same as its digits', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, withHeader('a', int(12)), withHeader('again', long(12)), withHeader('again', '12'))
    await publishTo(client, queue, withId('again', '12'), withHeader('b', '012'))
    assert.deepEqual(await take(client, queue), ['a', 'b'])
  })

  sentences.prove('without an id, or with an empty one, a message is never a duplicate', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, message('a'), message('a'), withId('b', ''), withId('b', ''))
    await publishTo(client, queue, withHeader('c', '', '1'), withHeader('c', '', '1'))
    assert.equal((await take(client, queue)).length, 6)
  })

  sentences.prove('a queue that does not say it takes all of them', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const off = await durable(stage, client, { 'x-message-deduplication': false })
    for (const one of [queue, off]) {
      await publishTo(client, one, withId('a', '1'), withId('a', '1'))
      assert.equal(await ready(client, one), 2)
    }
  })

  sentences.prove('of many publishers at once one is the first', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    const publishers = await Promise.all(Array.from({ length: 6 }, () => stage.client()))
    const messages = Array.from({ length: 50 }, (_, index) => withId(`${index}`, `id-${index}`))
    await Promise.all(publishers.map((one) => publishTo(one, queue, ...messages)))
    assert.deepEqual(
      (await take(client, queue)).map(Number).sort((a, b) => a - b),
      messages.map((_, index) => index),
    )
  })
}

function memory(sentences: Sentences): void {
  sentences.prove('an id is remembered when its message is long acked, or purged', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, withId('a', '1'), withId('b', '2'))
    ack(client, await client.get(1, queue, { noAck: false }))
    await client.call(1, 'queue.purge', { queue })
    await publishTo(client, queue, withId('a', '1'), withId('b', '2'))
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove(
    'x-deduplication-window: afterwards the id is new; a duplicate does not prolong it',
    async (stage) => {
      const { client, queue } = await durableScene(stage, on({ 'x-deduplication-window': int(1_500) }))
      const since = Date.now()
      await publishTo(client, queue, withId('a', '1'))
      let asked = 0
      for (let count = 1; count < 2; asked += 1) {
        await pass(100)
        await publishTo(client, queue, withId('again', '1'))
        count = await ready(client, queue)
      }
      assert.ok(Date.now() - since >= 1_500, 'not before the window is over')
      assert.ok(asked > 1)
      assert.deepEqual(await take(client, queue), ['a', 'again'])
    },
  )

  sentences.prove('x-deduplication-size: the oldest id goes first', async (stage) => {
    const { client, queue } = await durableScene(stage, on({ 'x-deduplication-size': int(2) }))
    await publishTo(client, queue, withId('a', '1'), withId('b', '2'), withId('c', '3'))
    await publishTo(client, queue, withId('again', '3'), withId('again', '2'), withId('new', '1'))
    assert.deepEqual(await take(client, queue), ['a', 'b', 'c', 'new'])
  })

  sentences.prove('x-cache-ttl and x-cache-size mean the same as in the plugin', async (stage) => {
    const { client, queue } = await durableScene(stage, on({ 'x-cache-size': int(1), 'x-cache-ttl': int(60_000) }))
    await publishTo(client, queue, withId('a', '1'), withId('again', '1'), withId('b', '2'), withId('new', '1'))
    assert.deepEqual(await take(client, queue), ['a', 'b', 'new'])
    const short = await durable(stage, client, on({ 'x-cache-ttl': int(50) }))
    await publishTo(client, short, withId('a', '1'))
    await pass(80)
    await publishTo(client, short, withId('new', '1'))
    assert.deepEqual(await take(client, short), ['a', 'new'])
  })

  sentences.prove('each queue remembers for itself', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    const other = await durable(stage, client, on())
    const plain = await durable(stage, client)
    for (const one of [queue, other, plain]) {
      await client.call(1, 'queue.bind', { queue: one, exchange: 'amq.direct', routingKey: queue })
    }
    await publishTo(client, other, withId('a', '1'))
    const both = { exchange: 'amq.direct', routingKey: queue, ...withId('b', '1') }
    assert.deepEqual(await publish(client, both, both), ['ack', 'ack'])
    assert.deepEqual(await take(client, queue), ['b'])
    assert.deepEqual(await take(client, other), ['a'])
    assert.deepEqual(await take(client, plain), ['b', 'b'])
  })

  sentences.prove('a queue that is declared anew remembers nothing', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, withId('a', '1'))
    await client.call(1, 'queue.delete', { queue })
    await client.call(1, 'queue.declare', { queue, durable: true, arguments: on() })
    await publishTo(client, queue, withId('b', '1'))
    assert.deepEqual(await take(client, queue), ['b'])
  })
}

function combinations(sentences: Sentences): void {
  sentences.prove('mandatory: a duplicate was routed, and does not come back', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, withId('a', '1'))
    client.publish(1, { routingKey: queue, mandatory: true, ...withId('again', '1') })
    await worked(client)
    assert.deepEqual(client.waiting(1), [])
  })

  sentences.prove('a message that a full queue refuses is not remembered', async (stage) => {
    const full = { 'x-max-length': int(1), 'x-overflow': 'reject-publish' }
    const { client, queue } = await durableScene(stage, on(full))
    const two = { routingKey: queue, ...withId('b', '2') }
    assert.deepEqual(await publish(client, { routingKey: queue, ...withId('a', '1') }, two), ['ack', 'nack'])
    assert.deepEqual(await take(client, queue), ['a'])
    assert.deepEqual(await publish(client, two), ['ack'])
    assert.deepEqual(await take(client, queue), ['b'])
  })

  sentences.prove('tx: remembered at the commit, and not when it is rolled back', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    client.publish(2, { routingKey: queue, ...withId('rolled back', '1') })
    await client.call(2, 'tx.rollback')
    client.publish(2, { routingKey: queue, ...withId('a', '1') })
    client.publish(2, { routingKey: queue, ...withId('again', '1') })
    await client.call(2, 'tx.commit')
    assert.deepEqual(await take(client, queue), ['a'])
  })

  sentences.prove('a delayed message is remembered from its publish on', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    await publishTo(client, queue, message('a', { 'x-delay': int(150) }, { messageId: '1' }), withId('again', '1'))
    await untilReady(client, queue, 1)
    assert.deepEqual(await take(client, queue), ['a'])
  })

  sentences.prove('what comes back by a requeue, a retry or as a dead letter is no duplicate', async (stage) => {
    const client = await stage.client()
    const first = await durable(stage, client, on({ 'x-retry-delay': int(20) }))
    await publishTo(client, first, withId('a', '1'))
    nack(client, await client.get(1, first, { noAck: false }))
    await untilReady(client, first, 1)
    const second = await durable(stage, client, on())
    await publishTo(client, second, withId('b', '1'))
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': second }
    const dying = await durable(stage, client, { ...args, 'x-max-length': int(0) })
    await publishTo(client, dying, withId('letter', '1'))
    await untilReady(client, second, 2)
    assert.deepEqual(await take(client, second), ['b', 'letter'])
  })

  sentences.prove('a message without confirms is deduplicated as well, and so is a transient one', async (stage) => {
    const { client, queue } = await scene(stage, on())
    for (const body of ['a', 'again']) client.publish(1, { routingKey: queue, body, properties: { messageId: '1' } })
    await worked(client)
    assert.equal(text(await client.get(1, queue)), 'a')
    assert.equal(await client.get(1, queue), null)
  })

  sentences.prove('a large duplicate is taken in and forgotten', async (stage) => {
    const { client, queue } = await durableScene(stage, on())
    const body = 'large '.repeat(60_000)
    await publishTo(client, queue, withId(body, '1'), withId(body, '1'), withId(body, '2'))
    assert.deepEqual(
      (await take(client, queue)).map((one) => one === body),
      [true, true],
    )
  })
}

function whatIsRefused(sentences: Sentences): void {
  sentences.prove(
    'x-deduplication-header is a whole number or a string of up to 255 bytes, else 406',
    async (stage) => {
      const { client, queue } = await durableScene(stage, on())
      const about = "invalid header 'x-deduplication-header': "
      const refuse = (id: Value, why: string): Promise<void> =>
        refused(client, { routingKey: queue, ...withHeader('no', id) }, new RegExp(about + why))
      await refuse('x'.repeat(256), '256 bytes, at most 255 are possible')
      await refuse(true, '\\{unacceptable_type,bool\\}')
      await refuse(typed('d', 1.5), '\\{unacceptable_type,double\\}')
      await publishTo(client, queue, withHeader('a', 'x'.repeat(255)), withHeader('again', 'x'.repeat(255)))
      assert.equal(await ready(client, queue), 1)
    },
  )

  sentences.prove('deduplication arguments that make no sense are 406', async (stage) => {
    const client = await stage.client()
    await refusedArguments(stage, client, [
      [
        { 'x-message-deduplication': 'yes' },
        /invalid arg 'x-message-deduplication' for queue .*unacceptable_type,longstr/,
      ],
      [{ 'x-deduplication-window': int(5) }, /means nothing without 'x-message-deduplication'/],
      [{ 'x-cache-size': int(5) }, /means nothing without 'x-message-deduplication'/],
      [on({ 'x-deduplication-window': int(0) }), /value_zero,0/],
      [on({ 'x-deduplication-size': int(0) }), /value_zero,0/],
      [on({ 'x-deduplication-size': int(10_000_001) }), /max_value_exceeded,10000001/],
      [on({ 'x-deduplication-window': int(5), 'x-cache-ttl': int(5) }), /cannot be combined with 'x-cache-ttl'/],
      [on({ 'x-deduplication-size': int(5), 'x-cache-size': int(5) }), /cannot be combined with 'x-cache-size'/],
    ])
  })
}
