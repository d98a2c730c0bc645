/** docs/retry.md, sentence by sentence. */
import assert from 'node:assert/strict'
import type { Arrival, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from '../protocol/sentences.ts'
import {
  deadLetters,
  death,
  deaths,
  headersOf,
  int,
  mortal,
  pass,
  publishTo,
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
  nack,
  notBefore,
  nothing,
  ready,
  refusedArguments,
  rejectOne,
} from './steps.ts'

/** Without jitter. */
const retry = (attempts: number, delayMs: number, more: Table = {}): Table => ({
  'x-retry-attempts': int(attempts),
  'x-retry-delay': int(delayMs),
  'x-retry-jitter': int(0),
  ...more,
})

export function retries(sentences: Sentences): void {
  waiting(sentences)
  delays(sentences)
  usedUp(sentences)
  whichFailures(sentences)
  combinations(sentences)
  asRabbitMq(sentences)
  wrongArguments(sentences)
}

/** Fails each delivery on this channel until `count` have come; gives them with the milliseconds before each. */
async function failAll(client: RawClient, channel: number, count: number): Promise<{ one: Arrival; gap: number }[]> {
  const seen: { one: Arrival; gap: number }[] = []
  for (let since = Date.now(); seen.length < count; ) {
    const one = await delivery(client, channel)
    seen.push({ one, gap: Date.now() - since })
    since = Date.now()
    rejectOne(client, one)
  }
  return seen
}

function waiting(sentences: Sentences): void {
  const ways: Readonly<Record<string, (client: RawClient, one: Arrival) => void>> = {
    'basic.reject with requeue': (client, one) => rejectOne(client, one),
    'basic.reject without requeue': (client, one) => rejectOne(client, one, { requeue: false }),
    'basic.nack with requeue': nack,
    'basic.nack without requeue': (client, one) =>
      client.send(one.channel, 'basic.nack', { deliveryTag: one.args['deliveryTag'] ?? 0, requeue: false }),
    'basic.recover': (client, one) => client.send(one.channel, 'basic.recover', { requeue: true }),
    'the end of the channel': (client, one) => client.send(one.channel, 'channel.close', { replyCode: 200 }),
  }
  for (const [way, fail] of Object.entries(ways)) {
    sentences.prove(`${way}: the message waits, and comes again as redelivered, with a count of 1`, async (stage) => {
      const { client, queue } = await durableScene(stage, retry(3, 250))
      await publishTo(client, queue, message('a'))
      await consume(client, 2, queue)
      const first = await delivery(client, 2)
      assert.equal(headersOf(first)['x-delivery-count'], undefined)
      await consume(client, 3, queue)
      const since = Date.now()
      fail(client, first)
      const again = await client.nextOnAny()
      const arrival = again.name === 'basic.deliver' ? again : await anyDelivery(client, [2, 3])
      notBefore(since, 250, way)
      assert.deepEqual(
        [text(arrival), arrival.args['redelivered'], headersOf(arrival)['x-delivery-count']],
        ['a', true, 1],
      )
    })
  }

  sentences.prove('the end of the connection: each message it held has failed once', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 150))
    await publishTo(client, queue, message('a'), message('b'))
    const other = await stage.client()
    await consume(other, 2, queue)
    await other.expectMany(2, 'basic.deliver', 2)
    other.destroy()
    await consume(client, 2, queue)
    for (const one of await client.expectMany(2, 'basic.deliver', 2)) {
      assert.equal(headersOf(one)['x-delivery-count'], 1)
    }
  })

  sentences.prove('a message that waits is not counted as ready, and others go on meanwhile', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 60_000))
    await publishTo(client, queue, message('fails'), message('b'), message('c'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    await worked(client)
    assert.equal(await ready(client, queue), 2)
    assert.deepEqual(await take(client, queue), ['b', 'c'])
  })

  sentences.prove('what comes again stands behind what was there when it fell due', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 100))
    await publishTo(client, queue, message('fails'), message('b'), message('c'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    await untilReady(client, queue, 3)
    await publishTo(client, queue, message('d'))
    assert.deepEqual(await take(client, queue), ['b', 'c', 'fails', 'd'])
  })

  sentences.prove('purge takes what waits to be tried again', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 150))
    await publishTo(client, queue, message('a'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    await worked(client)
    assert.equal((await client.call(1, 'queue.purge', { queue })).args['messageCount'], 1)
    await pass(250)
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('no-ack deliveries cannot fail', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 50))
    await publishTo(client, queue, message('a'))
    const other = await stage.client()
    await consume(other, 2, queue, { noAck: true })
    await delivery(other, 2)
    other.destroy()
    await consume(client, 2, queue)
    await nothing(client, 2, 150)
  })
}

async function anyDelivery(client: RawClient, channels: readonly number[]): Promise<Arrival> {
  for (;;) {
    const one = await client.nextOnAny()
    if (one.name === 'basic.deliver' && channels.includes(one.channel)) return one
  }
}

function delays(sentences: Sentences): void {
  sentences.prove('x-retry-backoff: each delay is the one before times it', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(4, 60, { 'x-retry-backoff': int(3) }))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const [, first, second, third] = await failAll(client, 2, 4)
    const gaps = [first?.gap ?? 0, second?.gap ?? 0, third?.gap ?? 0]
    assert.ok(
      gaps.every((gap, index) => gap >= 60 * 3 ** index),
      `at least 60, 180, 540 ms: ${gaps.join(', ')}`,
    )
  })

  sentences.prove('a backoff of 2 if it does not say, and fractions are possible', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(4, 100))
    const other = await durable(stage, client, retry(4, 100, { 'x-retry-backoff': typed('d', 1.5) }))
    for (const [index, [name, least]] of [
      [queue, [100, 200, 400]] as const,
      [other, [100, 150, 225]] as const,
    ].entries()) {
      await consume(client, 2 + index, name)
      await publishTo(client, name, message('a'))
      const gaps = (await failAll(client, 2 + index, 4)).slice(1).map(({ gap }) => gap)
      assert.ok(
        gaps.every((gap, at) => gap >= (least[at] ?? 0)),
        `at least ${least.join(', ')} ms: ${gaps.join(', ')}`,
      )
    }
  })

  sentences.prove('x-retry-max-delay: no delay is longer', async (stage) => {
    const bounded = { 'x-retry-backoff': int(1_000), 'x-retry-max-delay': int(120) }
    const { client, queue } = await durableScene(stage, retry(5, 100, bounded))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    // The second retry would be 100 s later, and the wait for it ends before.
    const gaps = (await failAll(client, 2, 5)).slice(2).map(({ gap }) => gap)
    assert.ok(
      gaps.every((gap) => gap >= 120),
      `at least 120 ms: ${gaps.join(', ')}`,
    )
  })

  sentences.prove('x-retry-jitter: so much of a delay may be missing, no more', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(1, 400, { 'x-retry-jitter': typed('d', 0.5) }))
    await consume(client, 2, queue)
    await publishTo(client, queue, ...Array.from({ length: 20 }, (_, index) => message(`${index}`)))
    const first = await client.expectMany(2, 'basic.deliver', 20)
    const since = Date.now()
    for (const one of first) rejectOne(client, one)
    const again: (string | undefined)[] = []
    for (const one of await client.expectMany(2, 'basic.deliver', 20)) {
      notBefore(since, 200, 'half of 400 ms')
      again.push(text(one))
    }
    assert.equal(new Set(again).size, 20)
    assert.notDeepEqual(again, first.map(text), 'they do not come back in one block, in order')
  })

  sentences.prove('x-retry-attempts alone: a delay of 1 s, of which a fifth is random', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-retry-attempts': int(1) })
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const [, again] = await failAll(client, 2, 2)
    assert.ok((again?.gap ?? 0) >= 800, `at least 800 ms: ${again?.gap}`)
  })

  sentences.prove('x-retry-delay 0: it comes again at once', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 0))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    const counts = (await failAll(client, 2, 4)).map(({ one }) => headersOf(one)['x-delivery-count'])
    assert.deepEqual(counts, [undefined, 1, 2, 3])
  })
}

/** A client, a queue that parks, and the queue where it parks. */
async function parking(stage: Stage, args: Table): Promise<{ client: RawClient; queue: string; parked: string }> {
  const client = await stage.client()
  const parked = await durable(stage, client)
  return { client, parked, queue: await durable(stage, client, { ...args, 'x-retry-parking-queue': parked }) }
}

function usedUp(sentences: Sentences): void {
  sentences.prove('after x-retry-attempts retries it is parked: whole, persistent, with its history', async (stage) => {
    const { client, queue, parked } = await parking(stage, retry(2, 30))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a', { mine: 'kept' }, { messageId: 'id', priority: 3, type: 'job' }))
    const counts = (await failAll(client, 2, 3)).map(({ one }) => headersOf(one)['x-delivery-count'])
    assert.deepEqual(counts, [undefined, 1, 2])
    await untilReady(client, parked, 1)
    const one = await client.get(1, parked)
    assert.ok(one !== null)
    assert.equal(text(one), 'a')
    const { headers: _, ...properties } = one.properties
    assert.deepEqual(properties, { deliveryMode: 2, messageId: 'id', priority: 3, type: 'job' })
    assert.deepEqual(deaths(one).map(death), [
      { count: 1, reason: 'delivery_limit', queue, exchange: '', 'routing-keys': [queue] },
    ])
    const { 'x-death': __, ...headers } = headersOf(one)
    assert.deepEqual(headers, {
      mine: 'kept',
      'x-first-death-queue': queue,
      'x-first-death-reason': 'delivery_limit',
      'x-first-death-exchange': '',
      'x-last-death-queue': queue,
      'x-last-death-reason': 'delivery_limit',
      'x-last-death-exchange': '',
    })
    assert.equal(one.args['redelivered'], false)
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('x-retry-attempts 0: the first failure parks', async (stage) => {
    const { client, queue, parked } = await parking(stage, retry(0, 60_000))
    await publishTo(client, queue, message('a'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    await untilReady(client, parked, 1)
  })

  for (const [which, args] of [
    ['-1', { 'x-retry-attempts': int(-1), 'x-retry-delay': int(0) }],
    ['not given', { 'x-retry-delay': int(0) }],
  ] as const) {
    sentences.prove(`x-retry-attempts ${which}: for ever`, async (stage) => {
      const { client, queue, parked } = await parking(stage, args)
      await consume(client, 2, queue)
      await publishTo(client, queue, message('a'))
      const last = (await failAll(client, 2, 30)).at(-1)
      assert.equal(headersOf(last?.one ?? null)['x-delivery-count'], 29)
      assert.equal(await ready(client, parked), 0)
    })
  }

  sentences.prove('without a parking queue it is dead-lettered, as delivery_limit', async (stage) => {
    const { client, queue, dead } = await mortal(stage, retry(1, 20))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'delivery_limit')
  })

  sentences.prove('with neither it is gone', async (stage) => {
    const client = await stage.client()
    const queue = await durable(stage, client, retry(1, 20))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    await nothing(client, 2, 100)
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('a parking queue that is not there is waited for', async (stage) => {
    const client = await stage.client()
    const parked = stage.name('parked')
    const queue = await durable(stage, client, retry(1, 20, { 'x-retry-parking-queue': parked }))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    await nothing(client, 2, 100)
    await client.call(1, 'queue.declare', { queue: parked, autoDelete: true })
    await untilReady(client, parked, 1)
  })

  sentences.prove('where the parking queue is not there, a dead-letter exchange takes its place', async (stage) => {
    const client = await stage.client()
    const dead = await durable(stage, client, {})
    const nowhere = { 'x-retry-parking-queue': stage.name('nowhere') }
    const letters = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead }
    const queue = await durable(stage, client, retry(1, 20, { ...nowhere, ...letters }))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    await untilReady(client, dead, 1)
  })

  sentences.prove('a parked message may be moved back by its x-death, and begins anew', async (stage) => {
    const { client, queue, parked } = await parking(stage, retry(1, 20))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    await untilReady(client, parked, 1)
    const one = await client.get(1, parked)
    const { 'x-death': _, ...headers } = headersOf(one)
    await publishTo(client, queue, message('a', headers))
    const counts = (await failAll(client, 2, 2)).map(({ one }) => headersOf(one)['x-delivery-count'])
    assert.deepEqual(counts, [undefined, 1])
    await untilReady(client, parked, 1)
  })

  sentences.prove('a parking queue that is full and refuses: it waits there, and nothing is lost', async (stage) => {
    const client = await stage.client()
    const parked = await durable(stage, client, { 'x-max-length': int(1), 'x-overflow': 'reject-publish' })
    const queue = await durable(stage, client, retry(0, 0, { 'x-retry-parking-queue': parked }))
    await publishTo(client, queue, message('a'), message('b'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    // One at a time: what waits for room may come as soon as there is some.
    for (const body of ['a', 'b']) {
      await untilReady(client, parked, 1)
      assert.equal((await client.get(1, parked, { noAck: true }))?.body.toString(), body)
    }
    assert.equal(await ready(client, parked), 0)
  })
}

function whichFailures(sentences: Sentences): void {
  sentences.prove('x-retry-on requeue: what is rejected for good is dead-lettered at once', async (stage) => {
    const { client, queue, dead } = await mortal(stage, retry(3, 60_000, { 'x-retry-on': 'requeue' }))
    await publishTo(client, queue, message('a'), message('b'))
    rejectOne(client, await client.get(1, queue, { noAck: false }), { requeue: false })
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'rejected')
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    await dead.none()
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('x-retry-on all: rejected is tried again too, and counts', async (stage) => {
    const { client, queue, dead } = await mortal(stage, retry(1, 20, { 'x-retry-on': 'all' }))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    for (const count of [undefined, 1]) {
      const one = await delivery(client, 2)
      assert.equal(headersOf(one)['x-delivery-count'], count)
      rejectOne(client, one, { requeue: false })
    }
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'delivery_limit')
  })
}

function combinations(sentences: Sentences): void {
  sentences.prove('x-delivery-limit: whichever is lower; its dead letters do not park', async (stage) => {
    const client = await stage.client()
    const parked = await durable(stage, client)
    const dead = await deadLetters(stage, client)
    const limit = { 'x-delivery-limit': int(1), 'x-retry-parking-queue': parked, ...dead.args }
    const queue = await durable(stage, client, retry(5, 20, limit))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'delivery_limit')
    assert.equal(await ready(client, parked), 0)
  })

  sentences.prove('expiration: what expires while it waits is dead-lettered, not delivered', async (stage) => {
    const { client, queue, dead } = await mortal(stage, retry(5, 1_500))
    await publishTo(client, queue, message('a', {}, { expiration: '1000' }))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'expired')
    assert.deepEqual(await take(client, queue), [])
  })

  sentences.prove('x-message-ttl goes on to count over retries', async (stage) => {
    const { client, queue, dead } = await mortal(stage, retry(50, 100, { 'x-message-ttl': int(1_200) }))
    await publishTo(client, queue, message('a'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'expired')
  })

  sentences.prove('priority: what comes again stands behind those of its own priority', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 60, { 'x-max-priority': int(5) }))
    const of = (body: string, priority: number) => message(body, {}, { priority })
    await publishTo(client, queue, of('fails', 3), of('b', 3), of('low', 1), of('high', 5))
    const high = await client.get(1, queue, { noAck: false })
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    nack(client, high)
    await untilReady(client, queue, 4)
    const order = await take(client, queue)
    assert.deepEqual(order.slice(-3), ['b', 'fails', 'low'])
  })

  sentences.prove('a delayed message that fails waits for its retry, no longer', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 50))
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a', { 'x-delay': int(100) }))
    const counts = (await failAll(client, 2, 2)).map(({ one }) => headersOf(one)['x-delivery-count'])
    assert.deepEqual(counts, [undefined, 1])
  })

  sentences.prove('x-max-length: what waits does not count, and when it comes again the oldest goes', async (stage) => {
    const { client, queue, dead } = await mortal(stage, retry(3, 150, { 'x-max-length': int(1) }))
    await publishTo(client, queue, message('fails'))
    const held = await client.get(1, queue, { noAck: false })
    await publishTo(client, queue, message('b'))
    rejectOne(client, held)
    const letter = await dead.next()
    assert.deepEqual([text(letter), death(deaths(letter)[0])['reason']], ['b', 'maxlen'])
    assert.deepEqual(await take(client, queue), ['fails'])
  })

  sentences.prove('tx: a failure counts at the commit', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 100))
    await publishTo(client, queue, message('a'))
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    await client.call(2, 'basic.consume', { queue })
    rejectOne(client, await delivery(client, 2))
    await nothing(client, 2, 200)
    client.send(2, 'tx.commit')
    await client.expect(2, 'tx.commit-ok')
    const again = await delivery(client, 2)
    assert.equal(headersOf(again)['x-delivery-count'], 1)
  })

  sentences.prove('a single active consumer gets it again, and only it', async (stage) => {
    const { client, queue } = await durableScene(stage, retry(3, 60, { 'x-single-active-consumer': true }))
    await consume(client, 2, queue)
    await consume(client, 3, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 2)
    ack(client, await delivery(client, 2))
    assert.deepEqual(client.waiting(3), [])
  })

  sentences.prove('transient messages are tried again and parked like others', async (stage) => {
    const { client, queue, parked } = await parking(stage, retry(1, 30))
    await consume(client, 2, queue)
    await publishTo(client, queue, { body: 'a' })
    await failAll(client, 2, 2)
    await untilReady(client, parked, 1)
    assert.deepEqual(await take(client, parked), ['a'])
  })

  sentences.prove('a large message is tried again and parked whole', async (stage) => {
    const { client, queue, parked } = await parking(stage, retry(1, 30))
    const body = 'large '.repeat(60_000)
    await consume(client, 2, queue)
    await publishTo(client, queue, message(body))
    assert.deepEqual(
      (await failAll(client, 2, 2)).map(({ one }) => text(one) === body),
      [true, true],
    )
    await untilReady(client, parked, 1)
    assert.equal(text(await client.get(1, parked)), body)
  })

  sentences.prove('hundreds that fail together all come again, and all are parked', async (stage) => {
    const { client, queue, parked } = await parking(stage, retry(1, 50, { 'x-retry-jitter': int(1) }))
    const names = Array.from({ length: 400 }, (_, index) => `m${index}`)
    await consume(client, 2, queue)
    await publishTo(client, queue, ...names.map((name) => message(name)))
    for (const round of [1, 2]) {
      const seen = await client.expectMany(2, 'basic.deliver', names.length)
      assert.deepEqual(seen.map(text).sort(), [...names].sort(), `round ${round}`)
      const tag = Math.max(...seen.map((one) => Number(one.args['deliveryTag'])))
      client.send(2, 'basic.nack', { deliveryTag: tag, multiple: true, requeue: true })
    }
    await untilReady(client, parked, names.length)
    assert.deepEqual((await take(client, parked)).sort(), [...names].sort())
  })
}

/** As `mortal`, durable. */
async function mortalDurable(stage: Stage, args: Table) {
  const client = await stage.client()
  const dead = await deadLetters(stage, client)
  return { client, dead, queue: await durable(stage, client, { ...dead.args, ...args }) }
}

function asRabbitMq(sentences: Sentences): void {
  sentences.prove(
    'x-delayed-retry-min and -max: the delay grows by its own length, up to the maximum',
    async (stage) => {
      const args = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': int(120), 'x-delayed-retry-max': int(250) }
      const { client, queue } = await durableScene(stage, { ...args, 'x-queue-type': 'quorum' })
      await consume(client, 2, queue)
      await publishTo(client, queue, message('a'))
      const gaps = (await failAll(client, 2, 5)).slice(1).map(({ gap }) => gap)
      assert.ok(
        gaps.every((gap, at) => gap >= ([120, 240, 250, 250][at] ?? 0)),
        `at least 120, 240, 250 ms: ${gaps.join(', ')}`,
      )
    },
  )

  sentences.prove('x-delayed-retry-max, if it does not say, is the minimum: all delays are the same', async (stage) => {
    const { client, queue } = await durableScene(stage, {
      'x-delayed-retry-type': 'all',
      'x-delayed-retry-min': int(20),
    })
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    // Growing by 20 ms each time, the last ten would take more than 600 ms each.
    const gaps = (await failAll(client, 2, 41)).slice(-10).map(({ gap }) => gap)
    assert.ok(Math.min(...gaps) < 600, gaps.join(', '))
  })

  sentences.prove('x-delayed-retry-type disabled: it comes back at once', async (stage) => {
    const args = { 'x-delayed-retry-type': 'disabled', 'x-delayed-retry-min': int(60_000) }
    const { client, queue } = await durableScene(stage, args)
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    assert.equal((await failAll(client, 2, 5)).length, 5)
  })

  const types = { all: [true, true], failed: [true, false], returned: [false, true] } as const
  for (const [type, [waitsFailed, waitsReturned]] of Object.entries(types)) {
    sentences.prove(`x-delayed-retry-type ${type}: what waits when it failed, and when it did not`, async (stage) => {
      const args = { 'x-delayed-retry-type': type, 'x-delayed-retry-min': int(60_000) }
      const { client, queue } = await durableScene(stage, args)
      await publishTo(client, queue, message('failed'), message('returned'))
      const failed = await client.get(1, queue, { noAck: false })
      const returned = await client.get(1, queue, { noAck: false })
      rejectOne(client, failed)
      nack(client, returned)
      await worked(client)
      const there = [...(waitsFailed ? [] : ['failed']), ...(waitsReturned ? [] : ['returned'])]
      assert.deepEqual(await take(client, queue), there)
    })
  }

  sentences.prove(
    'x-delayed-retry: a nack is no failure, waits the first delay, and is without limit',
    async (stage) => {
      const args = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': int(15), 'x-queue-type': 'quorum' }
      const { client, queue, dead } = await mortalDurable(stage, args)
      await consume(client, 2, queue)
      await publishTo(client, queue, message('a'))
      for (let count = 0; count < 25; count += 1) {
        const one = await delivery(client, 2)
        assert.equal(headersOf(one)['x-delivery-count'], undefined)
        nack(client, one)
      }
      await dead.none(20)
    },
  )

  sentences.prove('x-delayed-retry: what is rejected for good is dead-lettered at once', async (stage) => {
    const args = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': int(60_000) }
    const { client, queue, dead } = await mortal(stage, args)
    await publishTo(client, queue, message('a'))
    rejectOne(client, await client.get(1, queue, { noAck: false }), { requeue: false })
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'rejected')
  })

  sentences.prove('x-delayed-retry with x-delivery-limit: dead-lettered when it is used up', async (stage) => {
    const args = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': int(20), 'x-delivery-limit': int(2) }
    const { client, queue, dead } = await mortal(stage, args)
    await consume(client, 2, queue)
    await publishTo(client, queue, message('a'))
    await failAll(client, 2, 3)
    assert.equal(death(deaths(await dead.next())[0])['reason'], 'delivery_limit')
  })
}

function wrongArguments(sentences: Sentences): void {
  sentences.prove('retry arguments that make no sense are 406', async (stage) => {
    const client = await stage.client()
    const some = { 'x-retry-attempts': int(3) }
    await refusedArguments(stage, client, [
      [{ 'x-retry-attempts': '3' }, /invalid arg 'x-retry-attempts' for queue '.*' in vhost '\/': /],
      [{ 'x-retry-attempts': int(1_000_001) }, /'x-retry-attempts' .*max_value_exceeded,1000001/],
      [{ 'x-retry-delay': int(-1) }, /'x-retry-delay' .*value_negative,-1/],
      [{ 'x-retry-backoff': int(2) }, /'x-retry-backoff' .*means nothing without 'x-retry-attempts'/],
      [{ ...some, 'x-retry-backoff': typed('d', 0.5) }, /'x-retry-backoff' .*from 1 to 1000, got 0.5/],
      [{ ...some, 'x-retry-jitter': typed('d', 1.5) }, /'x-retry-jitter' .*from 0 to 1, got 1.5/],
      [{ ...some, 'x-retry-on': 'sometimes' }, /'x-retry-on' .*invalid_retry_on/],
      [{ ...some, 'x-retry-parking-queue': '' }, /'x-retry-parking-queue' .*expected a name/],
      [{ ...some, 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': int(1) }, /cannot be combined with/],
      [{ 'x-delayed-retry-type': 'all' }, /means nothing without 'x-delayed-retry-min'/],
    ])
  })
}
