/** docs/lease.md, sentence by sentence. */
import assert from 'node:assert/strict'
import type { Arrival, Publish, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed } from '../../support/amqp/wire.ts'
import type { Sentences } from '../protocol/sentences.ts'
import {
  death,
  deaths,
  headersOf,
  int,
  mortal,
  pass,
  publish,
  publishTo,
  tagOf,
  take,
  text,
  untilReady,
  worked,
} from '../protocol/steps.ts'
import {
  ack,
  consume,
  delivery,
  durable,
  durableScene,
  message,
  notBefore,
  nothing,
  ready,
  refused,
  refusedArguments,
} from './steps.ts'

const lease = (ms: number, more: Table = {}): Table => ({ 'x-consumer-timeout': int(ms), ...more })

/** The control message. */
const extension = (headers: Table, mandatory = false): Publish => ({
  routingKey: 'amq.warren.lease',
  mandatory,
  properties: { headers },
})

export function leases(sentences: Sentences): void {
  whenItEnds(sentences)
  late(sentences)
  extending(sentences)
  combinations(sentences)
  whatIsRefused(sentences)
}

function whenItEnds(sentences: Sentences): void {
  sentences.prove(
    'when a lease ends that one message goes to another, as failed; the channel goes on',
    async (stage) => {
      const { client, queue } = await durableScene(stage)
      await consume(client, 2, queue, { args: lease(1_000) })
      const since = Date.now()
      await publishTo(client, queue, message('slow'), message('quick'))
      const [slow, quick] = await client.expectMany(2, 'basic.deliver', 2)
      await consume(client, 3, queue, { args: { 'x-priority': int(1) } })
      ack(client, quick ?? null)
      const again = await delivery(client, 3)
      notBefore(since, 1_000, 'the lease')
      assert.deepEqual(
        [text(again), again.args['redelivered'], headersOf(again)['x-delivery-count']],
        ['slow', true, 1],
      )
      await publishTo(client, queue, message('c'))
      assert.equal(text(await delivery(client, 3)), 'c')
      await nothing(client, 2, 0)
      assert.equal(text(slow ?? null), 'slow')
    },
  )

  sentences.prove('a consumer whose lease has ended has its credit back', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(150))
    await consume(client, 2, queue, { prefetch: 1 })
    await publishTo(client, queue, message('a'))
    for (const count of [undefined, 1, 2]) {
      const one = await delivery(client, 2)
      assert.deepEqual([text(one), headersOf(one)['x-delivery-count']], ['a', count])
    }
  })

  sentences.prove('the consumer’s own x-consumer-timeout goes before that of the queue', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(100))
    await consume(client, 2, queue, { args: lease(60_000) })
    await publishTo(client, queue, message('a'))
    await delivery(client, 2)
    const other = await durable(stage, client, lease(60_000))
    await consume(client, 3, other, { args: lease(100) })
    await publishTo(client, other, message('b'))
    await delivery(client, 3)
    assert.equal(text(await delivery(client, 3)), 'b')
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('0 is no lease', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(0))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await delivery(client, 2)
    await nothing(client, 2, 200)
  })

  sentences.prove('what a get took has the lease of the queue', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(150))
    await publishTo(client, queue, message('a'))
    await client.get(1, queue, { noAck: false })
    await untilReady(client, queue, 1)
    assert.equal(headersOf(await client.get(1, queue))['x-delivery-count'], 1)
  })

  sentences.prove('no-ack deliveries have none', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(80))
    await consume(client, 2, queue, { noAck: true })
    await publishTo(client, queue, message('a'))
    await delivery(client, 2)
    await nothing(client, 2, 200)
    assert.equal(await ready(client, queue), 0)
  })
}

function late(sentences: Sentences): void {
  const settle: Readonly<Record<string, (client: RawClient, one: Arrival) => void>> = {
    'basic.ack': ack,
    'basic.nack': (client, one) => client.send(one.channel, 'basic.nack', { deliveryTag: tagOf(one), requeue: false }),
    'basic.reject': (client, one) =>
      client.send(one.channel, 'basic.reject', { deliveryTag: tagOf(one), requeue: false }),
  }
  for (const [way, late] of Object.entries(settle)) {
    sentences.prove(`${way} that comes too late is no error, and does nothing to whoever has it now`, async (stage) => {
      const { client, queue, dead } = await mortal(stage)
      await consume(client, 2, queue, { args: lease(1_000), tag: 'slow' })
      await publishTo(client, queue, message('a'))
      const first = await delivery(client, 2)
      await client.call(2, 'basic.cancel', { consumerTag: 'slow' })
      await consume(client, 3, queue)
      const held = await delivery(client, 3)
      late(client, first)
      await worked(client, 2)
      await dead.none(50)
      client.send(3, 'basic.nack', { deliveryTag: tagOf(held), requeue: true })
      assert.equal(text(await delivery(client, 3)), 'a')
    })
  }

  sentences.prove(
    'to the same consumer it comes again under a new tag, and only a word on that one counts',
    async (stage) => {
      const { client, queue, dead } = await mortal(stage, lease(1_000))
      await consume(client, 2, queue)
      await publishTo(client, queue, message('a'))
      const first = await delivery(client, 2)
      const again = await delivery(client, 2)
      client.publish(2, extension({ 'x-delivery-tag': int(tagOf(again)), 'x-lease': int(60_000) }))
      assert.deepEqual([tagOf(first), tagOf(again)], [1, 2])
      ack(client, first)
      await worked(client, 2)
      client.send(2, 'basic.nack', { deliveryTag: tagOf(again), requeue: false })
      assert.equal(text(await dead.next()), 'a')
      assert.equal(await ready(client, queue), 0)
    },
  )

  sentences.prove(
    'a nack that comes too late says nothing of the next delivery to the same consumer',
    async (stage) => {
      const { client, queue, dead } = await mortal(stage, lease(1_000))
      await consume(client, 2, queue)
      await publishTo(client, queue, message('a'))
      const first = await delivery(client, 2)
      const again = await delivery(client, 2)
      client.publish(2, extension({ 'x-delivery-tag': int(tagOf(again)), 'x-lease': int(60_000) }))
      client.send(2, 'basic.nack', { deliveryTag: tagOf(first), requeue: false })
      await worked(client, 2)
      await dead.none(50)
      client.send(2, 'basic.nack', { deliveryTag: tagOf(again), requeue: false })
      assert.equal(text(await dead.next()), 'a')
    },
  )

  sentences.prove('a nack that comes too late says nothing of the next basic.get', async (stage) => {
    const { client, queue, dead } = await mortal(stage, lease(1_000))
    await publishTo(client, queue, message('a'))
    for (const channel of [2, 3]) await client.call(channel, 'channel.open')
    const first = await client.get(2, queue, { noAck: false })
    await untilReady(client, queue, 1)
    const again = await client.get(3, queue, { noAck: false })
    client.publish(3, extension({ 'x-delivery-tag': int(tagOf(again)), 'x-lease': int(60_000) }))
    await worked(client, 3)
    client.send(2, 'basic.nack', { deliveryTag: tagOf(first), requeue: false })
    await worked(client, 2)
    await dead.none(50)
    client.send(3, 'basic.nack', { deliveryTag: tagOf(again), requeue: true })
    await untilReady(client, queue, 1)
  })

  sentences.prove('an ack of several passes over the one whose lease has ended', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await consume(client, 2, queue, { args: lease(1_000) })
    await publishTo(client, queue, message('a'), message('b'), message('c'))
    const all = await client.expectMany(2, 'basic.deliver', 3)
    client.publish(2, extension({ 'x-delivery-tag': int(1), 'x-lease': int(60_000) }))
    client.publish(2, extension({ 'x-delivery-tag': int(3), 'x-lease': int(60_000) }))
    await consume(client, 3, queue, { args: { 'x-priority': int(1), 'x-consumer-timeout': int(60_000) } })
    assert.equal(text(await delivery(client, 3)), 'b')
    client.send(2, 'basic.ack', { deliveryTag: tagOf(all[2] ?? null), multiple: true })
    await worked(client, 2)
    await client.call(2, 'channel.close', { replyCode: 200 })
    await client.call(3, 'channel.close', { replyCode: 200 })
    await untilReady(client, queue, 1)
    assert.equal(text(await client.get(1, queue)), 'b')
  })
}

function extending(sentences: Sentences): void {
  sentences.prove('x-delivery-tag and x-lease: the delivery is kept so much longer', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await consume(client, 2, queue, { args: lease(1_000) })
    await publishTo(client, queue, message('a'), message('b'))
    const [a] = await client.expectMany(2, 'basic.deliver', 2)
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(a ?? null)), 'x-lease': int(60_000) }))
    await consume(client, 3, queue, { args: { 'x-priority': int(1) } })
    assert.equal(text(await delivery(client, 3)), 'b')
    await nothing(client, 3, 200)
    ack(client, a ?? null)
    await worked(client, 2)
  })

  sentences.prove('without x-lease: for as long as the consumer, or else the queue, gives anybody', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(1_200))
    await consume(client, 2, queue, { prefetch: 1 })
    await publishTo(client, queue, message('a'))
    const first = await delivery(client, 2)
    const started = Date.now()
    await pass(600)
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)) }))
    const again = await delivery(client, 2)
    assert.equal(headersOf(again)['x-delivery-count'], 1)
    notBefore(started, 1_750, '600 ms, and 1,200 ms more')
  })

  sentences.prove('as often as a worker likes', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(1_200))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const first = await delivery(client, 2)
    for (let count = 0; count < 8; count += 1) {
      await pass(200)
      client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)) }))
      await worked(client, 2)
    }
    assert.deepEqual(client.waiting(2), [])
    ack(client, first)
    await worked(client, 2)
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('a shorter one than what is left is possible', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(60_000))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const first = await delivery(client, 2)
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)), 'x-lease': int(50) }))
    assert.equal(headersOf(await delivery(client, 2))['x-delivery-count'], 1)
  })

  sentences.prove('x-delivery-tag 0: all deliveries of the channel', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await consume(client, 2, queue, { args: lease(1_000) })
    await consume(client, 3, queue, { args: lease(1_000) })
    await publishTo(client, queue, ...['a', 'b', 'c', 'd'].map((body) => message(body)))
    await client.expectMany(2, 'basic.deliver', 2)
    await client.expectMany(3, 'basic.deliver', 2)
    client.publish(2, extension({ 'x-delivery-tag': int(0), 'x-lease': int(60_000) }))
    const other = await stage.client()
    await consume(other, 2, queue, { args: { 'x-priority': int(1) } })
    const again = await other.expectMany(2, 'basic.deliver', 2)
    assert.deepEqual(again.map(text), ['b', 'd'])
    await nothing(other, 2, 150)
  })

  sentences.prove('it is confirmed; mandatory: it comes back when there is nothing to extend', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(60_000))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const first = await delivery(client, 2)
    await client.call(2, 'confirm.select')
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)) }, true))
    await client.expect(2, 'basic.ack')
    ack(client, first)
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)) }, true))
    const returned = await client.expect(2, 'basic.return')
    assert.deepEqual([returned.args['replyCode'], returned.args['replyText']], [312, 'NO_ROUTE'])
    await client.expect(2, 'basic.ack')
    assert.deepEqual(await publish(client, extension({ 'x-delivery-tag': int(77) })), ['ack'])
  })

  sentences.prove('it takes effect at once in a transaction too, whatever becomes of that', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    await client.call(2, 'basic.consume', { queue, arguments: lease(1_000) })
    await publishTo(client, queue, message('a'))
    const first = await delivery(client, 2)
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)), 'x-lease': int(60_000) }))
    await client.call(2, 'tx.rollback')
    await nothing(client, 2, 1_300)
  })
}

function combinations(sentences: Sentences): void {
  sentences.prove(
    'with retry a lease that ends is a failed attempt: it waits, and is parked at the end',
    async (stage) => {
      const client = await stage.client()
      const parked = await durable(stage, client)
      const retry = { 'x-retry-attempts': int(1), 'x-retry-delay': int(150), 'x-retry-parking-queue': parked }
      const queue = await durable(stage, client, lease(120, { ...retry, 'x-retry-jitter': int(0) }))
      await consume(client, 2, queue)
      await publishTo(client, queue, message('hangs'))
      await delivery(client, 2)
      const since = Date.now()
      const again = await delivery(client, 2)
      assert.equal(headersOf(again)['x-delivery-count'], 1)
      notBefore(since, 150, 'the retry')
      await untilReady(client, parked, 1)
      const [entry] = deaths((await client.get(1, parked)) as Arrival)
      assert.deepEqual([death(entry)['reason'], death(entry)['queue']], ['delivery_limit', queue])
    },
  )

  sentences.prove('x-delivery-limit counts leases that end', async (stage) => {
    const { client, queue, dead } = await mortal(stage, lease(80, { 'x-delivery-limit': int(2) }))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'delivery_limit')
    assert.equal(client.takeWaiting(2).length, 3)
  })

  sentences.prove('expiration: what is given back too late expires', async (stage) => {
    const { client, queue, dead } = await mortal(stage, lease(2_500))
    await publishTo(client, queue, message('a', {}, { expiration: '2000' }))
    assert.equal(text(await client.get(1, queue, { noAck: false })), 'a')
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'expired')
  })

  sentences.prove('a single active consumer gets again what it kept too long', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(120, { 'x-single-active-consumer': true }))
    await consume(client, 2, queue, { prefetch: 1 })
    await consume(client, 3, queue)
    await publishTo(client, queue, message('a'))
    await delivery(client, 2)
    assert.equal(headersOf(await delivery(client, 2))['x-delivery-count'], 1)
    assert.deepEqual(client.waiting(3), [])
  })

  sentences.prove('a delivery without a lease gets none by an extension', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const first = await delivery(client, 2)
    client.publish(2, extension({ 'x-delivery-tag': int(tagOf(first)), 'x-lease': int(50) }, true))
    await nothing(client, 2, 200)
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('what a cancelled consumer keeps too long goes back as well, and not to it', async (stage) => {
    const { client, queue } = await durableScene(stage, lease(1_000))
    await consume(client, 2, queue, { tag: 'leaves' })
    await publishTo(client, queue, message('a'))
    await delivery(client, 2)
    await client.call(2, 'basic.cancel', { consumerTag: 'leaves' })
    await untilReady(client, queue, 1)
    await nothing(client, 2, 20)
  })

  sentences.prove('hundreds of leases end one by one, and nothing is lost', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const names = Array.from({ length: 300 }, (_, index) => `m${index}`)
    await publishTo(client, queue, ...names.map((name) => message(name)))
    await consume(client, 2, queue, { args: lease(1_500), tag: 'hangs' })
    await client.expectMany(2, 'basic.deliver', names.length)
    await client.call(2, 'basic.cancel', { consumerTag: 'hangs' })
    await untilReady(client, queue, names.length)
    assert.deepEqual(await take(client, queue), names)
  })
}

function whatIsRefused(sentences: Sentences): void {
  sentences.prove('a control message that makes no sense is 406', async (stage) => {
    const client = await stage.client()
    const tag = "invalid header 'x-delivery-tag': "
    await refused(client, extension({}), new RegExp(`${tag}it is missing`))
    await refused(client, extension({ 'x-delivery-tag': 'one' }), new RegExp(`${tag}\\{unacceptable_type,longstr\\}`))
    await refused(client, extension({ 'x-delivery-tag': int(-1) }), new RegExp(`${tag}-1, from 0 to \\d+ is possible`))
    for (const ms of [int(0), typed('l', 315_360_000_001)]) {
      const about = /invalid header 'x-lease': \d+, from 1 to 315360000000 is possible/
      await refused(client, extension({ 'x-delivery-tag': int(1), 'x-lease': ms }), about)
    }
  })

  sentences.prove('x-consumer-timeout is from 0 to ten years', async (stage) => {
    const client = await stage.client()
    await refusedArguments(stage, client, [
      [{ 'x-consumer-timeout': int(-1) }, /invalid arg 'x-consumer-timeout' for queue .*value_negative,-1/],
      [{ 'x-consumer-timeout': typed('l', 315_360_000_001) }, /value_too_large,315360000001/],
      [{ 'x-consumer-timeout': '5' }, /expected integer, got longstr/],
    ])
  })
}
