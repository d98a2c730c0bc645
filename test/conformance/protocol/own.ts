/**
 * What Warren has of its own, as any AMQP client reaches it by headers and arguments: delay, retries, groups,
 * deduplication, leases. RabbitMQ has none of it, so it is left out against other brokers.
 */
import assert from 'node:assert/strict'
import type { Arrival, Publish, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed, type Value } from '../../support/amqp/wire.ts'
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
  delays(sentences)
  retries(sentences)
  groups(sentences)
  groupsThatWait(sentences)
  deduplication(sentences)
  leases(sentences)
}

/** Clocks of two processes, read in whole milliseconds. */
const slackMs = 5

const withHeaders = (body: string, headers: Table): Publish => ({ body, properties: { headers } })

/** A consumer on channel 2 that acknowledges nothing by itself. */
async function consume(client: RawClient, queue: string, prefetchCount = 0, channel = 2): Promise<void> {
  await client.call(channel, 'channel.open')
  await client.call(channel, 'basic.qos', { prefetchCount })
  await client.call(channel, 'basic.consume', { queue })
}

const delivered = (client: RawClient, channel = 2): Promise<Arrival> => client.expect(channel, 'basic.deliver')

// ---------------------------------------------------------------- delay

function delays(sentences: Sentences): void {
  sentences.own('x-delay: a message is confirmed at once, and not ready before its time', async (stage) => {
    const { client, queue } = await scene(stage)
    await consume(client, queue)
    const before = Date.now()
    await publishTo(client, queue, withHeaders('later', { 'x-delay': int(300) }), { body: 'now' })
    assert.equal(text(await delivered(client)), 'now')
    assert.equal(text(await delivered(client)), 'later')
    assert.ok(Date.now() - before >= 300 - slackMs, `delivered ${Date.now() - before} ms after its publish`)
  })

  sentences.own('delayed messages come in the order of their times', async (stage) => {
    const { client, queue } = await scene(stage)
    const order = [400, 100, 300, 200]
    await publishTo(client, queue, ...order.map((ms) => withHeaders(String(ms), { 'x-delay': int(ms) })))
    assert.deepEqual(await counts(client, queue), [0, 0])
    await consume(client, queue)
    const bodies: (string | undefined)[] = []
    while (bodies.length < 4) bodies.push(text(await delivered(client)))
    assert.deepEqual(bodies, ['100', '200', '300', '400'])
  })

  const soon = (ms: number): number => Date.now() + ms
  const times: readonly { what: string; value: () => Value; ms: number }[] = [
    { what: 'milliseconds', value: () => typed('l', soon(200)), ms: 200 },
    { what: 'a date of ISO 8601', value: () => new Date(soon(200)).toISOString(), ms: 200 },
    { what: 'an AMQP timestamp', value: () => typed('T', Math.ceil(soon(200) / 1_000)), ms: 200 },
    { what: 'a time that is past', value: () => typed('l', soon(-10_000)), ms: 0 },
  ]
  for (const { what, value, ms } of times) {
    sentences.own(`x-deliver-at may be ${what}`, async (stage) => {
      const { client, queue } = await scene(stage)
      const before = Date.now()
      await publishTo(client, queue, withHeaders('a', { 'x-deliver-at': value() }))
      await consume(client, queue)
      await delivered(client)
      assert.ok(Date.now() - before >= ms - slackMs, `delivered ${Date.now() - before} ms after its publish`)
    })
  }

  sentences.own('the time to live of a delayed message begins when it is due', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, dead.args)
    const headers = { 'x-delay': int(250) }
    await publishTo(client, queue, { body: 'a', properties: { headers, expiration: '60' } })
    await dead.none(150)
    const letter = await dead.next()
    assert.equal(death(deaths(letter)[0])['reason'], 'expired')
  })

  sentences.own('delayed messages do not count for the length limit until they are due', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(1) })
    await publishTo(client, queue, withHeaders('later', { 'x-delay': int(300) }), { body: 'now' })
    assert.deepEqual(await counts(client, queue), [1, 0])
    await pass(400)
    await untilReady(client, queue, 1)
    assert.deepEqual((await take(client, queue)).length, 1)
  })

  sentences.own('a delay that is none is refused', async (stage) => {
    const { client, queue } = await scene(stage)
    for (const [name, value] of [
      ['x-delay', 'soon'],
      ['x-delay', true],
      ['x-delay', typed('l', 400_000_000_000)],
      ['x-deliver-at', 'tomorrow'],
    ] as const) {
      client.publish(1, { routingKey: queue, properties: { headers: { [name]: value } } })
      await client.expectChannelClose(1, 406, new RegExp(`^PRECONDITION_FAILED - invalid header '${name}': `))
      await client.call(1, 'channel.open')
    }
  })

  sentences.own(
    'an exchange of type x-delayed-message routes as its x-delayed-type, when the time has come',
    async (stage) => {
      const { client, queue } = await scene(stage)
      const exchange = stage.name('x')
      const args = { 'x-delayed-type': 'topic' }
      await client.call(1, 'exchange.declare', {
        exchange,
        type: 'x-delayed-message',
        autoDelete: true,
        arguments: args,
      })
      await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'a.#' })
      const delayed = { headers: { 'x-delay': int(200) } }
      await publishTo(client, queue, { exchange, routingKey: 'a.b', body: 'later', properties: delayed })
      await publishTo(client, queue, { exchange, routingKey: 'a.c', body: 'now' }, { exchange, routingKey: 'b' })
      assert.deepEqual(await take(client, queue), ['now'])
      await untilReady(client, queue, 1)
      assert.deepEqual(await take(client, queue), ['later'])
    },
  )
}

// ---------------------------------------------------------------- retries

const retrying = (attempts: number, more: Table = {}): Table => ({
  'x-retry-attempts': int(attempts),
  'x-retry-delay': int(150),
  'x-retry-jitter': int(0),
  ...more,
})

function retries(sentences: Sentences): void {
  for (const requeue of [true, false]) {
    sentences.own(`retry: a message rejected with requeue ${requeue} comes again, later each time`, async (stage) => {
      const client = await stage.client()
      const dead = await deadLetters(stage, client)
      const queue = await declare(stage, client, { ...retrying(2, { 'x-retry-backoff': int(2) }), ...dead.args })
      await consume(client, queue)
      await fill(client, queue, 'a')
      const seen: unknown[] = []
      for (const ms of [0, 150, 300]) {
        const before = Date.now()
        const got = await delivered(client)
        if (ms > 0) assert.ok(Date.now() - before >= ms - slackMs, `it came again after ${Date.now() - before} ms`)
        seen.push([text(got), headersOf(got)['x-delivery-count'], got.args['redelivered']])
        client.send(2, 'basic.reject', { deliveryTag: tagOf(got), requeue })
      }
      assert.deepEqual(seen, [
        ['a', undefined, false],
        ['a', 1, true],
        ['a', 2, true],
      ])
      assert.equal(text(await dead.next()), 'a')
    })
  }

  sentences.own('retry: others are delivered while one waits', async (stage) => {
    const { client, queue } = await scene(stage, retrying(5))
    await consume(client, queue, 1)
    await fill(client, queue, 'a', 'b', 'c')
    client.send(2, 'basic.reject', { deliveryTag: tagOf(await delivered(client)), requeue: false })
    for (const body of ['b', 'c', 'a']) {
      const got = await delivered(client)
      assert.equal(text(got), body)
      client.send(2, 'basic.ack', { deliveryTag: tagOf(got) })
    }
  })

  sentences.own('retry: a message out of attempts goes to the parking queue, with its history', async (stage) => {
    const client = await stage.client()
    const parked = await declare(stage, client)
    const queue = await declare(stage, client, retrying(0, { 'x-retry-parking-queue': parked }))
    await fill(client, queue, 'a')
    await consume(client, queue)
    client.send(2, 'basic.reject', { deliveryTag: tagOf(await delivered(client)), requeue: false })
    await untilReady(client, parked, 1)
    const got = await client.get(1, parked)
    assert.ok(got !== null)
    assert.deepEqual([text(got), deaths(got)[0]?.['queue']], ['a', queue])
  })

  sentences.own('retry: with x-retry-on requeue a reject without requeue is final', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { ...retrying(5, { 'x-retry-on': 'requeue' }), ...dead.args })
    await fill(client, queue, 'a')
    await consume(client, queue)
    client.send(2, 'basic.nack', { deliveryTag: tagOf(await delivered(client)), requeue: true })
    client.send(2, 'basic.reject', { deliveryTag: tagOf(await delivered(client)), requeue: false })
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'rejected')
  })

  sentences.own(
    'the delayed retry of RabbitMQ 4.3: what is given back waits, longer by its length each time',
    async (stage) => {
      const args = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': int(150), 'x-delayed-retry-max': int(1_000) }
      const { client, queue } = await scene(stage, args, 'quorum')
      await fill(client, queue, 'a')
      await consume(client, queue)
      for (const ms of [0, 150, 300]) {
        const before = Date.now()
        const got = await delivered(client)
        if (ms > 0) assert.ok(Date.now() - before >= ms - slackMs, `it came again after ${Date.now() - before} ms`)
        client.send(2, 'basic.reject', { deliveryTag: tagOf(got), requeue: true })
      }
    },
  )
}

// ---------------------------------------------------------------- groups

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
