/** docs/delay.md, sentence by sentence. */
import assert from 'node:assert/strict'
import { type Table, typed, type Value } from '../../support/amqp/wire.ts'
import type { Sentences } from '../protocol/sentences.ts'
import {
  death,
  deaths,
  declare,
  exists,
  headersOf,
  int,
  mortal,
  pass,
  publish,
  publishTo,
  scene,
  take,
  text,
  until,
  untilReady,
  worked,
} from '../protocol/steps.ts'
import {
  ack,
  bodies,
  consume,
  delivery,
  durableScene,
  long,
  message,
  nack,
  notBefore,
  nothing,
  ready,
  refused,
} from './steps.ts'

const delay = (ms: number): Table => ({ 'x-delay': int(ms) })

export function delays(sentences: Sentences): void {
  whenItIsDue(sentences)
  whatIsRefused(sentences)
  whileItWaits(sentences)
  order(sentences)
  combinations(sentences)
  exchanges(sentences)
}

function whenItIsDue(sentences: Sentences): void {
  const forms: readonly (readonly [string, () => Table])[] = [
    ['x-delay: a 32-bit number', () => delay(250)],
    ['x-delay: a 64-bit number', () => ({ 'x-delay': long(250) })],
    ['x-delay: a 16-bit number', () => ({ 'x-delay': typed('s', 250) })],
    ['x-delay: a byte', () => ({ 'x-delay': typed('B', 250) })],
    ['x-delay: a fraction', () => ({ 'x-delay': typed('d', 250.9) })],
    ['x-delay: a string of digits', () => ({ 'x-delay': '250' })],
    ['x-deliver-at: milliseconds since 1970', () => ({ 'x-deliver-at': long(Date.now() + 250) })],
    ['x-deliver-at: a timestamp', () => ({ 'x-deliver-at': typed('T', Math.floor(Date.now() / 1000) + 2) })],
    ['x-deliver-at: a date in UTC', () => ({ 'x-deliver-at': new Date(Date.now() + 250).toISOString() })],
  ]
  for (const [form, headers] of forms) {
    sentences.prove(`${form}: not before, and then at once`, async (stage) => {
      const { client, queue } = await scene(stage)
      await consume(client, 2, queue, { noAck: true })
      // Before the headers are made: those with x-deliver-at count from there.
      const since = Date.now()
      await publishTo(client, queue, { body: 'a', properties: { headers: headers() } })
      assert.equal(text(await delivery(client, 2)), 'a')
      // A timestamp has whole seconds: the second it names is at least one away.
      notBefore(since, form.endsWith('timestamp') ? 1_000 : 250, form)
    })
  }

  const atOnce: readonly (readonly [string, Value])[] = [
    ['x-delay', int(0)],
    ['x-delay', int(-5)],
    ['x-delay', '-12'],
    ['x-deliver-at', long(0)],
    ['x-deliver-at', long(1_000)],
    ['x-deliver-at', '2001-02-03'],
    ['x-deliver-at', '2001-02-03T04:05:06+01:00'],
    ['x-deliver-at', typed('T', 1)],
  ]
  sentences.prove('what is not above 0, or past, is no delay', async (stage) => {
    const { client, queue } = await scene(stage)
    for (const [name, value] of atOnce) {
      await publishTo(client, queue, { body: 'now', properties: { headers: { [name]: value } } })
      assert.deepEqual(await take(client, queue), ['now'])
    }
  })

  sentences.prove('with both headers x-deliver-at counts', async (stage) => {
    const { client, queue } = await scene(stage)
    const headers = { 'x-delay': int(600_000), 'x-deliver-at': long(Date.now() + 100) }
    await publishTo(client, queue, { body: 'a', properties: { headers } })
    await untilReady(client, queue, 1)
  })

  sentences.prove('the headers arrive as they were sent', async (stage) => {
    const { client, queue } = await scene(stage)
    await publishTo(client, queue, { body: 'a', properties: { headers: { ...delay(50), mine: 'kept' } } })
    await untilReady(client, queue, 1)
    assert.deepEqual(headersOf(await client.get(1, queue)), { 'x-delay': 50, mine: 'kept' })
  })

  sentences.prove('a large body is delayed like any other, and comes whole', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const body = 'large '.repeat(60_000)
    await consume(client, 2, queue, { noAck: true })
    const since = Date.now()
    await publishTo(client, queue, message(body, delay(250)))
    assert.equal(text(await delivery(client, 2)), body)
    notBefore(since, 250, 'a large body')
  })
}

function whatIsRefused(sentences: Sentences): void {
  sentences.prove('what is no time, or more than ten years away, is 406', async (stage) => {
    const { client, queue } = await scene(stage)
    const cases: readonly (readonly [string, Value, RegExp])[] = [
      ['x-delay', 'soon', /invalid header 'x-delay': 'soon'$/],
      ['x-delay', true, /invalid header 'x-delay': \{unacceptable_type,bool\}$/],
      ['x-delay', typed('d', Number.NaN), /invalid header 'x-delay': /],
      ['x-delay', long(315_360_000_001), /invalid header 'x-delay': \{value_too_large,315360000001\}/],
      ['x-deliver-at', 'tomorrow', /invalid header 'x-deliver-at': 'tomorrow'$/],
      // Without a zone it would be another moment on each machine.
      ['x-deliver-at', '2030-01-01T10:00:00', /invalid header 'x-deliver-at': '2030-01-01T10:00:00'$/],
      ['x-deliver-at', long(Date.now() + 315_400_000_000), /invalid header 'x-deliver-at': \{value_too_large,\d+\}/],
    ]
    for (const [name, value, about] of cases) {
      await refused(client, { routingKey: queue, properties: { headers: { [name]: value } } }, about)
    }
    assert.equal(await ready(client, queue), 0)
  })
}

function whileItWaits(sentences: Sentences): void {
  sentences.prove('a delayed message is confirmed at once, and is not counted as ready', async (stage) => {
    const { client, queue } = await durableScene(stage)
    assert.deepEqual(await publish(client, { routingKey: queue, ...message('a', delay(60_000)) }), ['ack'])
    assert.equal(await ready(client, queue), 0)
    assert.equal(await client.get(1, queue), null)
  })

  sentences.prove(
    'mandatory: what is delayed was routed, and what no queue takes comes back at once',
    async (stage) => {
      const { client, queue } = await scene(stage)
      const properties = { headers: delay(60_000) }
      client.publish(1, { routingKey: stage.name('nobody'), mandatory: true, properties, body: 'lost' })
      assert.equal(text(await client.expect(1, 'basic.return')), 'lost')
      client.publish(1, { routingKey: queue, mandatory: true, properties })
      await worked(client)
      assert.deepEqual(client.waiting(1), [])
    },
  )

  sentences.prove('purge takes delayed messages too, and counts them', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, message('a', delay(150)), message('b'))
    const purged = await client.call(1, 'queue.purge', { queue })
    assert.equal(purged.args['messageCount'], 2)
    await pass(250)
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove(
    'a queue that only holds delayed messages is empty for if-empty, and delete takes them',
    async (stage) => {
      const { client, queue } = await scene(stage)
      await publishTo(client, queue, { body: 'a', properties: { headers: delay(60_000) } })
      await client.call(1, 'queue.delete', { queue, ifEmpty: true })
      assert.equal(await exists(client, queue), false)
    },
  )

  sentences.prove('x-expires goes by use: what is delayed does not keep a queue', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-expires': int(150) })
    await publishTo(client, queue, { body: 'a', properties: { headers: delay(60_000) } })
    await until('the queue is gone', async () => {
      await pass(200)
      return !(await exists(client, queue))
    })
  })
}

function order(sentences: Sentences): void {
  sentences.prove('messages fall due in the order of their times, whatever the order of publishing', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await consume(client, 2, queue, { noAck: true })
    const at = Date.now() + 1_200
    const due = (ms: number): Table => ({ 'x-deliver-at': long(at + ms) })
    await publishTo(client, queue, message('3', due(120)), message('1', due(0)), message('2', due(60)), message('0'))
    assert.deepEqual(await bodies(client, 2, 4), ['0', '1', '2', '3'])
  })

  sentences.prove('those that fall due at the same time come in the order of publishing', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const due = { 'x-deliver-at': long(Date.now() + 1_200) }
    const names = Array.from({ length: 40 }, (_, index) => `m${index}`)
    await publishTo(client, queue, ...names.map((name) => message(name, due)))
    await untilReady(client, queue, 40)
    assert.deepEqual(await take(client, queue), names)
  })

  sentences.prove('a due message stands behind what was there then, and before what comes later', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, message('delayed', delay(150)), message('before'))
    await untilReady(client, queue, 2)
    await publishTo(client, queue, message('after'))
    assert.deepEqual(await take(client, queue), ['before', 'delayed', 'after'])
  })

  sentences.prove('a delayed message that is put back is ready at once, in its place', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, message('delayed', delay(60)))
    await untilReady(client, queue, 1)
    await publishTo(client, queue, message('after'))
    nack(client, await client.get(1, queue, { noAck: false }))
    assert.deepEqual(await take(client, queue), ['delayed', 'after'])
  })
}

function combinations(sentences: Sentences): void {
  sentences.prove('expiration counts from the time it is due', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    const since = Date.now()
    await publishTo(client, queue, { body: 'a', properties: { headers: delay(300), expiration: '200' } })
    assert.equal(death(deaths(await dead.next())[0])['original-expiration'], '200')
    notBefore(since, 500, 'it expires')
    await consume(client, 2, queue, { noAck: true })
    await publishTo(client, queue, { body: 'b', properties: { headers: delay(1_100), expiration: '1000' } })
    assert.equal(text(await delivery(client, 2)), 'b')
  })

  sentences.prove('x-message-ttl counts from the time it is due', async (stage) => {
    const { client, queue, dead } = await mortal(stage, { 'x-message-ttl': int(1_000) })
    const since = Date.now()
    await publishTo(client, queue, { body: 'a', properties: { headers: delay(300) } })
    assert.equal(text(await dead.next()), 'a')
    notBefore(since, 1_300, 'it expires')
    await consume(client, 2, queue, { noAck: true })
    await publishTo(client, queue, { body: 'b', properties: { headers: delay(1_100) } })
    assert.equal(text(await delivery(client, 2)), 'b')
  })

  sentences.prove('among due messages the priority counts', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-max-priority': int(5) })
    const due = { 'x-deliver-at': long(Date.now() + 1_200) }
    await publishTo(client, queue, message('low', due, { priority: 1 }), message('high', due, { priority: 4 }))
    await publishTo(client, queue, message('middle', {}, { priority: 2 }))
    await untilReady(client, queue, 3)
    assert.deepEqual(await take(client, queue), ['high', 'middle', 'low'])
  })

  sentences.prove('x-max-length counts what is ready: when it falls due, the oldest go', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-max-length': int(2) })
    const waiting = [message('never', delay(60_000)), message('delayed', delay(200))]
    // At once: `delayed` must not be due before the others have come.
    await publishTo(client, queue, ...waiting, message('a'), message('b'))
    await until('it has fallen due', async () => {
      const first = await client.get(1, queue, { noAck: false })
      nack(client, first)
      return text(first) === 'b'
    })
    assert.deepEqual(await take(client, queue), ['b', 'delayed'])
  })

  sentences.prove(
    'reject-publish: a full queue refuses delayed messages too, but not what falls due',
    async (stage) => {
      const { client, queue } = await durableScene(stage, { 'x-max-length': int(1), 'x-overflow': 'reject-publish' })
      const outcomes = await publish(
        client,
        // Not due before the others have come.
        { routingKey: queue, ...message('delayed', delay(1_500)) },
        { routingKey: queue, ...message('a') },
        { routingKey: queue, ...message('refused', delay(150)) },
      )
      assert.deepEqual(outcomes, ['ack', 'ack', 'nack'])
      await untilReady(client, queue, 2)
      assert.deepEqual(await take(client, queue), ['a', 'delayed'])
    },
  )

  sentences.prove('a dead letter is due at once, whatever its headers say', async (stage) => {
    const full = { 'x-max-length': int(0), 'x-overflow': 'reject-publish-dlx' }
    const { client, queue, dead } = await mortal(stage, full)
    const properties = { headers: delay(60_000) }
    assert.deepEqual(await publish(client, { routingKey: queue, body: 'a', properties }), ['nack'])
    assert.equal(headersOf(await dead.next())['x-delay'], 60_000)
  })

  sentences.prove('tx: the delay counts from the publish, and what is over at the commit is none', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    client.publish(2, { routingKey: queue, ...message('soon', delay(100)) })
    client.publish(2, { routingKey: queue, ...message('later', delay(60_000)) })
    await worked(client, 2)
    await pass(200)
    assert.equal(await ready(client, queue), 0)
    await client.call(2, 'tx.commit')
    assert.deepEqual(await take(client, queue), ['soon'])
  })

  sentences.prove('tx: what is rolled back never falls due', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    client.publish(2, { routingKey: queue, ...message('never', delay(80)) })
    await client.call(2, 'tx.rollback')
    await pass(180)
    assert.equal(await ready(client, queue), 0)
  })

  sentences.prove('a consumer that waits, single active or not, gets it when it is due', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-single-active-consumer': true })
    await consume(client, 2, queue)
    await consume(client, 3, queue)
    await publishTo(client, queue, message('a', delay(100)), message('b', delay(100)))
    const [first, second] = await client.expectMany(2, 'basic.deliver', 2)
    assert.deepEqual([text(first ?? null), text(second ?? null)], ['a', 'b'])
    ack(client, second ?? null)
    await nothing(client, 3, 20)
  })
}

function exchanges(sentences: Sentences): void {
  sentences.prove('every queue that a message goes to holds its own copy back', async (stage) => {
    const { client, queue } = await scene(stage)
    const other = await declare(stage, client)
    for (const one of [queue, other]) await client.call(1, 'queue.bind', { queue: one, exchange: 'amq.fanout' })
    for (const [index, one] of [queue, other].entries()) await consume(client, 2 + index, one, { noAck: true })
    const since = Date.now()
    client.publish(1, { exchange: 'amq.fanout', body: 'a', properties: { headers: delay(200) } })
    for (const channel of [2, 3]) assert.equal(text(await delivery(client, channel)), 'a')
    notBefore(since, 200, 'both copies')
  })

  sentences.prove(
    'x-delayed-message: the exchange of the plugin routes as its x-delayed-type and delays',
    async (stage) => {
      const { client, queue } = await scene(stage)
      const exchange = stage.name('later')
      const args = { 'x-delayed-type': 'topic' }
      await client.call(1, 'exchange.declare', {
        exchange,
        type: 'x-delayed-message',
        autoDelete: true,
        arguments: args,
      })
      await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'jobs.*' })
      await consume(client, 2, queue, { noAck: true })
      const since = Date.now()
      client.publish(1, { exchange, routingKey: 'jobs.mail', body: 'delayed', properties: { headers: delay(200) } })
      client.publish(1, { exchange, routingKey: 'jobs.mail', body: 'at once' })
      client.publish(1, { exchange, routingKey: 'other', body: 'nowhere', properties: { headers: delay(20) } })
      assert.deepEqual(await bodies(client, 2, 2), ['at once', 'delayed'])
      notBefore(since, 200, 'x-delayed-message')
    },
  )
}
