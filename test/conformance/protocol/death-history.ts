/** The history that a dead letter carries: `x-death` and the headers beside it, to the letter. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import type { Table, Value } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from './sentences.ts'
import {
  death,
  deaths,
  declare,
  fill,
  headersOf,
  int,
  mortal,
  pass,
  publishTo,
  reject,
  text,
  untilReady,
} from './steps.ts'

export function deathHistory(sentences: Sentences): void {
  history(sentences)
  laterDeaths(sentences)
}

function history(sentences: Sentences): void {
  sentences.prove('x-death of a first death: count, reason, queue, time, exchange and routing-keys', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await client.call(1, 'queue.bind', { queue, exchange: 'amq.direct', routingKey: queue })
    await publishTo(client, queue, { exchange: 'amq.direct', body: 'a' })
    await reject(client, queue)
    const letter = await dead.next()
    assert.equal(deaths(letter).length, 1)
    assert.deepEqual(death(deaths(letter)[0]), {
      count: 1,
      reason: 'rejected',
      queue,
      exchange: 'amq.direct',
      'routing-keys': [queue],
    })
  })

  sentences.prove('x-death has the wire types clients know', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await publishTo(client, queue, { body: 'a', properties: { expiration: '40' } })
    const { rawProperties } = await dead.next()
    const fields = ['countl', 'reasonS', 'queueS', 'timeT', 'exchangeS', 'routing-keysA', 'original-expirationS']
    for (const field of ['x-deathA', ...fields]) {
      const bytes = Buffer.from(`${String.fromCharCode(field.length - 1)}${field}`)
      assert.ok(rawProperties.includes(bytes), `there is a field ${field.slice(0, -1)} of type ${field.slice(-1)}`)
    }
  })

  sentences.prove('x-first-death-reason, -queue and -exchange say how the first death was', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await fill(client, queue, 'a')
    await reject(client, queue)
    const { 'x-death': _, ...headers } = headersOf(await dead.next())
    assert.equal(headers['x-first-death-reason'], 'rejected')
    assert.equal(headers['x-first-death-queue'], queue)
    assert.equal(headers['x-first-death-exchange'], '')
  })

  sentences.prove('x-last-death-reason, -queue and -exchange say how the last death was', async (stage) => {
    const { client, queue: second, dead } = await mortal(stage)
    const key = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': second }
    const first = await declare(stage, client, { ...key, 'x-message-ttl': int(40) })
    await fill(client, first, 'a')
    await untilReady(client, second, 1)
    const between = headersOf(await reject(client, second))
    assert.deepEqual([between['x-last-death-reason'], between['x-last-death-queue']], ['expired', first])
    const headers = headersOf(await dead.next())
    assert.deepEqual(
      ['reason', 'queue', 'exchange'].map((what) => [
        headers[`x-first-death-${what}`],
        headers[`x-last-death-${what}`],
      ]),
      [
        ['expired', 'rejected'],
        [first, second],
        ['', ''],
      ],
    )
  })

  sentences.prove(
    'expiration is taken away and stands in original-expiration, if the message had one',
    async (stage) => {
      const { client, queue, dead } = await mortal(stage, { 'x-message-ttl': int(60) })
      await publishTo(client, queue, { body: 'had', properties: { expiration: '50000' } })
      const had = await dead.next()
      assert.equal(had.properties['expiration'], undefined)
      assert.equal(death(deaths(had)[0])['original-expiration'], '50000')
      await publishTo(client, queue, { body: 'had none' })
      assert.ok(!('original-expiration' in death(deaths(await dead.next())[0])))
    },
  )

  sentences.prove('a rejected message with an expiration loses it as well', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await publishTo(client, queue, { body: 'a', properties: { expiration: '60000' } })
    await reject(client, queue)
    const letter = await dead.next()
    assert.equal(letter.properties['expiration'], undefined)
    assert.equal(death(deaths(letter)[0])['original-expiration'], '60000')
  })

  sentences.prove('a dead letter keeps its body, its properties and its other headers', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    const properties = {
      contentType: 'text/plain',
      contentEncoding: 'identity',
      headers: { mine: 1, nested: { a: ['b', true] } },
      deliveryMode: 2,
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      appId: 'a',
    }
    await publishTo(client, queue, { body: 'kept', properties })
    await reject(client, queue)
    const letter = await dead.next()
    const { mine, nested } = headersOf(letter)
    assert.deepEqual({ ...letter.properties, headers: { mine, nested } }, properties)
    assert.deepEqual([text(letter), letter.args['redelivered']], ['kept', false])
  })

  sentences.prove('a large dead letter is whole', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    const body = Buffer.alloc(700_000, 'large ')
    await publishTo(client, queue, { body, properties: { deliveryMode: 2 } })
    await reject(client, queue)
    assert.ok((await dead.next()).body.equals(body))
  })
}

/** Two queues in a circle of rejections: what `left` rejects goes to `right`, and back. */
async function circle(stage: Stage): Promise<{ client: RawClient; left: string; right: string }> {
  const client = await stage.client()
  const [left, right] = [stage.name('left'), stage.name('right')]
  for (const [queue, other] of [
    [left, right],
    [right, left],
  ] as const) {
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': other }
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: args })
  }
  return { client, left, right }
}

/** Rejects what is in one queue and waits until it is in the other. */
async function move(client: RawClient, from: string, to: string): Promise<void> {
  await untilReady(client, from, 1)
  await reject(client, from)
  await untilReady(client, to, 1)
}

function laterDeaths(sentences: Sentences): void {
  sentences.prove('x-death has an entry for each queue and reason, the newest death first', async (stage) => {
    const { client, queue: third, dead } = await mortal(stage)
    const to = (queue: string): Table => ({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue })
    const second = await declare(stage, client, { ...to(third), 'x-message-ttl': int(40) })
    const first = await declare(stage, client, { ...to(second), 'x-max-length': int(0) })
    await publishTo(client, first, { body: 'a' })
    await untilReady(client, third, 1)
    await reject(client, third)
    const letter = await dead.next()
    assert.deepEqual(
      deaths(letter).map((entry) => [entry['queue'], entry['reason'], entry['count'], entry['routing-keys']]),
      [
        [third, 'rejected', 1, [third]],
        [second, 'expired', 1, [second]],
        [first, 'maxlen', 1, [first]],
      ],
    )
    assert.equal(headersOf(letter)['x-first-death-queue'], first)
    assert.equal(headersOf(letter)['x-first-death-reason'], 'maxlen')
  })

  sentences.prove('the same death again adds to its count and moves to the front', async (stage) => {
    const { client, left, right } = await circle(stage)
    await fill(client, left, 'a')
    for (let round = 1; round <= 3; round += 1) {
      await move(client, left, right)
      await move(client, right, left)
    }
    const got = await client.get(1, left)
    assert.ok(got !== null)
    assert.deepEqual(
      deaths(got).map((entry) => [entry['queue'], entry['count']]),
      [
        [right, 3],
        [left, 3],
      ],
    )
    await publishTo(client, left, { body: 'b' })
    await move(client, left, right)
    await move(client, right, left)
    await move(client, left, right)
    const other = await client.get(1, right)
    assert.ok(other !== null)
    assert.deepEqual(
      deaths(other).map((entry) => [entry['queue'], entry['count']]),
      [
        [left, 2],
        [right, 1],
      ],
    )
  })

  sentences.prove(
    'of a death that comes again the other fields stay: time, exchange and routing-keys',
    async (stage) => {
      const { client, left, right } = await circle(stage)
      await client.call(1, 'queue.bind', { queue: left, exchange: 'amq.direct', routingKey: `${left}-key` })
      await publishTo(client, left, { exchange: 'amq.direct', routingKey: `${left}-key`, body: 'a' })
      await move(client, left, right)
      const seen = await reject(client, right)
      const first = deaths(seen).find((entry) => entry['queue'] === left)
      await pass(1_100)
      await move(client, left, right)
      const got = await client.get(1, right)
      assert.ok(got !== null)
      assert.deepEqual(deaths(got)[0], { ...first, count: 2 })
      assert.deepEqual([first?.['exchange'], first?.['routing-keys']], ['amq.direct', [`${left}-key`]])
    },
  )

  sentences.prove('one queue and two reasons are two entries', async (stage) => {
    const client = await stage.client()
    const [queue, back] = [stage.name('q'), stage.name('back')]
    const to = (other: string, more: Table): Table => ({
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': other,
      ...more,
    })
    const args = to(back, { 'x-message-ttl': int(1_000) })
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: args })
    await client.call(1, 'queue.declare', { queue: back, exclusive: true, arguments: to(queue, {}) })
    await fill(client, queue, 'a')
    await move(client, queue, back)
    await reject(client, back)
    await untilReady(client, back, 1)
    const got = await client.get(1, back)
    assert.ok(got !== null)
    assert.deepEqual(
      deaths(got).map((entry) => [entry['queue'], entry['reason'], entry['count']]),
      [
        [queue, 'expired', 1],
        [back, 'rejected', 1],
        [queue, 'rejected', 1],
      ],
    )
  })

  sentences.prove('an x-death that a publisher wrote is not read: the next death begins a new one', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    const forged = { count: 7, reason: 'rejected', queue, time: 1, exchange: 'forged', 'routing-keys': ['forged'] }
    const headers = { 'x-death': [forged] as Value, mine: 1 }
    await publishTo(client, queue, { body: 'a', properties: { headers } })
    await reject(client, queue)
    const letter = await dead.next()
    assert.deepEqual(
      deaths(letter).map((entry) => [entry['count'], entry['exchange']]),
      [[1, '']],
    )
  })
}
