/** Which messages a queue sends to its dead-letter exchange, and where they go from there. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import type { Table } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from './sentences.ts'
import {
  counts,
  deadLetters,
  death,
  deaths,
  declare,
  fill,
  headersOf,
  int,
  mortal,
  pass,
  publishTo,
  queueTypes,
  reject,
  scene,
  take,
  text,
  until,
  untilReady,
  worked,
} from './steps.ts'

export function deadLettering(sentences: Sentences): void {
  causes(sentences)
  noCauses(sentences)
  routes(sentences)
  moreKeys(sentences)
  noWhere(sentences)
  cycles(sentences)
}

function causes(sentences: Sentences): void {
  for (const type of queueTypes) {
    for (const name of ['basic.reject', 'basic.nack']) {
      sentences.prove(`${name} without requeue dead-letters as rejected (${type})`, async (stage) => {
        const client = await stage.client()
        const dead = await deadLetters(stage, client)
        const queue = await declare(stage, client, dead.args, type)
        await fill(client, queue, 'a')
        await client.call(1, 'basic.consume', { queue })
        const { args } = await client.expect(1, 'basic.deliver')
        client.send(1, name, { deliveryTag: args['deliveryTag'] ?? 0, requeue: false })
        const letter = await dead.next()
        assert.equal(text(letter), 'a')
        assert.equal(death(deaths(letter)[0])['reason'], 'rejected')
      })
    }
  }

  sentences.prove('a multiple nack dead-letters everything it covers, in order', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await fill(client, queue, 'a', 'b', 'c', 'd')
    for (let i = 0; i < 4; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.nack', { deliveryTag: 3, multiple: true, requeue: false })
    assert.deepEqual(await dead.bodies(3), ['a', 'b', 'c'])
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await take(client, queue), ['d'])
  })

  sentences.prove('what expired is dead-lettered as expired, in order', async (stage) => {
    const { client, queue, dead } = await mortal(stage, { 'x-message-ttl': int(60) })
    await fill(client, queue, 'a', 'b', 'c')
    const letter = await dead.next()
    assert.deepEqual([text(letter), death(deaths(letter)[0])['reason']], ['a', 'expired'])
    assert.deepEqual(await dead.bodies(2), ['b', 'c'])
  })

  sentences.prove('hundreds of dead letters all arrive, in order', async (stage) => {
    const { client, queue, dead } = await mortal(stage, { 'x-message-ttl': int(100) })
    const bodies = Array.from({ length: 700 }, (_, i) => String(i))
    await fill(client, queue, ...bodies)
    assert.deepEqual(await dead.bodies(700), bodies)
  })

  sentences.prove('tx: a reject dead-letters at commit, not before', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await fill(client, queue, 'a')
    await client.call(1, 'tx.select')
    await reject(client, queue)
    await dead.none()
    await client.call(1, 'tx.commit')
    assert.equal(text(await dead.next()), 'a')
  })
}

function noCauses(sentences: Sentences): void {
  sentences.prove('ack, requeue and the end of a channel dead-letter nothing', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await fill(client, queue, 'a', 'b', 'c')
    for (let i = 0; i < 3; i += 1) await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    client.send(1, 'basic.nack', { deliveryTag: 2, requeue: true })
    await client.call(1, 'channel.close', { replyCode: 200 })
    await dead.none()
    assert.deepEqual(await take(client, queue), ['b', 'c'])
  })

  sentences.prove('purge and delete dead-letter nothing', async (stage) => {
    const { client, queue, dead } = await mortal(stage)
    await fill(client, queue, 'a', 'b')
    await client.call(1, 'queue.purge', { queue })
    await fill(client, queue, 'c', 'd')
    await client.get(1, queue, { noAck: false })
    await client.call(1, 'queue.delete', { queue })
    await dead.none()
  })

  sentences.prove('an exclusive queue that goes with its connection dead-letters nothing', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const owner = await stage.client()
    const queue = await declare(stage, owner, dead.args)
    await fill(owner, queue, 'a')
    await owner.close()
    await until('the queue is gone', async () => {
      client.publish(1, { routingKey: queue, mandatory: true })
      client.send(1, 'basic.qos')
      const { name } = await client.next(1)
      if (name === 'basic.return') await client.expect(1, 'basic.qos-ok')
      return name === 'basic.return'
    })
    await dead.none()
  })

  sentences.prove('without x-dead-letter-exchange what is rejected or expires is gone', async (stage) => {
    const { client, queue } = await scene(stage)
    await publishTo(client, queue, { body: 'a' }, { body: 'b', properties: { expiration: '60' } })
    await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.reject', { deliveryTag: 1, requeue: false })
    await untilReady(client, queue, 0)
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await take(client, queue), [])
  })
}

function routes(sentences: Sentences): void {
  sentences.prove('a dead letter has the dead-letter exchange, and the key it had', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'topic', autoDelete: true })
    const target = await declare(stage, client)
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
    await client.call(1, 'queue.bind', { queue: target, exchange, routingKey: queue })
    await fill(client, queue, 'a')
    await reject(client, queue)
    await untilReady(client, target, 1)
    const got = await client.get(1, target)
    assert.deepEqual([got?.args['exchange'], got?.args['routingKey'], text(got)], [exchange, queue, 'a'])
  })

  sentences.prove('x-dead-letter-routing-key takes the place of the key', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', autoDelete: true })
    const [byKey, byOther] = [await declare(stage, client), await declare(stage, client)]
    const args = { 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': 'other' }
    const queue = await declare(stage, client, args)
    await client.call(1, 'queue.bind', { queue: byKey, exchange, routingKey: queue })
    await client.call(1, 'queue.bind', { queue: byOther, exchange, routingKey: 'other' })
    await fill(client, queue, 'a')
    await reject(client, queue)
    await untilReady(client, byOther, 1)
    assert.equal((await client.get(1, byOther))?.args['routingKey'], 'other')
    assert.deepEqual(await take(client, byKey), [])
  })

  sentences.prove('an empty x-dead-letter-routing-key is a key', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', autoDelete: true })
    const target = await declare(stage, client)
    await client.call(1, 'queue.bind', { queue: target, exchange, routingKey: '' })
    await client.call(1, 'queue.unbind', { queue: target, exchange, routingKey: target })
    await client.call(1, 'queue.bind', { queue: target, exchange, routingKey: '', arguments: { n: 1 } })
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': '' })
    await fill(client, queue, 'a')
    await reject(client, queue)
    await untilReady(client, target, 1)
    assert.equal((await client.get(1, target))?.args['routingKey'], '')
  })

  sentences.prove('a dead letter goes to every queue its exchange names, and starts anew in each', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    const [keeps, expires] = [await declare(stage, client), await declare(stage, client, { 'x-message-ttl': int(60) })]
    for (const queue of [keeps, expires]) await client.call(1, 'queue.bind', { queue, exchange })
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
    await publishTo(client, queue, { body: 'a', properties: { expiration: '50' } })
    await untilReady(client, keeps, 1)
    await untilReady(client, expires, 0)
    await pass(100)
    assert.deepEqual(await take(client, keeps), ['a'], 'its own time is over and forgotten')
  })

  sentences.prove('a dead letter may go on through bound exchanges and the alternate exchange', async (stage) => {
    const client = await stage.client()
    const [dlx, next, alternate] = [stage.name('dlx'), stage.name('next'), stage.name('alternate')]
    const fanout = { type: 'fanout', autoDelete: true }
    await client.call(1, 'exchange.declare', { exchange: next, ...fanout })
    await client.call(1, 'exchange.declare', { exchange: alternate, ...fanout })
    const args = { 'alternate-exchange': alternate }
    await client.call(1, 'exchange.declare', { exchange: dlx, type: 'direct', arguments: args })
    const [bound, unbound] = [await declare(stage, client), await declare(stage, client)]
    await client.call(1, 'queue.bind', { queue: bound, exchange: next })
    await client.call(1, 'queue.bind', { queue: unbound, exchange: alternate })
    await client.call(1, 'exchange.bind', { source: dlx, destination: next, routingKey: 'known' })
    for (const key of ['known', 'unknown']) {
      const to = { 'x-dead-letter-exchange': dlx, 'x-dead-letter-routing-key': key }
      const queue = await declare(stage, client, to)
      await fill(client, queue, key)
      await reject(client, queue)
    }
    await untilReady(client, bound, 1)
    await untilReady(client, unbound, 1)
    assert.deepEqual([await take(client, bound), await take(client, unbound)], [['known'], ['unknown']])
    await client.call(1, 'exchange.delete', { exchange: dlx })
  })

  sentences.prove('an internal exchange may be a dead-letter exchange', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true, internal: true })
    const target = await declare(stage, client)
    await client.call(1, 'queue.bind', { queue: target, exchange })
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
    await fill(client, queue, 'a')
    await reject(client, queue)
    await untilReady(client, target, 1)
  })
}

/** A topic exchange for dead letters, with a queue for each of these keys. */
async function byKeys(
  stage: Stage,
  keys: readonly string[],
): Promise<{
  client: RawClient
  exchange: string
  arrived: () => Promise<string[]>
}> {
  const client = await stage.client()
  const exchange = stage.name('dlx')
  await client.call(1, 'exchange.declare', { exchange, type: 'direct', autoDelete: true })
  const queues = new Map<string, string>()
  for (const key of keys) {
    const queue = await declare(stage, client)
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: key })
    queues.set(key, queue)
  }
  const arrived = async (): Promise<string[]> => {
    const found: string[] = []
    for (const [key, queue] of queues) if ((await counts(client, queue))[0] === 1) found.push(key)
    return found
  }
  return { client, exchange, arrived }
}

function moreKeys(sentences: Sentences): void {
  sentences.prove('a dead letter goes by all its keys, those of CC too', async (stage) => {
    const { client, exchange, arrived } = await byKeys(stage, ['cc', 'other'])
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
    await publishTo(client, queue, { body: 'a', properties: { headers: { CC: ['cc'] } } })
    await reject(client, queue)
    await until('it has come by the key of CC', async () => (await arrived()).length === 1)
    assert.deepEqual(await arrived(), ['cc'])
  })

  sentences.prove('a dead letter goes by the keys of BCC too', async (stage) => {
    const { client, exchange, arrived } = await byKeys(stage, ['cc', 'bcc', 'other'])
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
    await publishTo(client, queue, { body: 'a', properties: { headers: { CC: ['cc'], BCC: ['bcc'] } } })
    await reject(client, queue)
    await until('both have it', async () => (await arrived()).length === 2)
    assert.deepEqual(await arrived(), ['cc', 'bcc'])
  })

  sentences.prove('routing-keys of x-death has the keys of CC, not those of BCC', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    const target = await declare(stage, client)
    await client.call(1, 'queue.bind', { queue: target, exchange })
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
    await publishTo(client, queue, { body: 'a', properties: { headers: { CC: ['c1', 'c2'], BCC: ['b1'] } } })
    await reject(client, queue)
    await untilReady(client, target, 1)
    const got = await client.get(1, target)
    assert.ok(got !== null)
    assert.deepEqual(death(deaths(got)[0])['routing-keys'], [queue, 'c1', 'c2'])
    assert.deepEqual(headersOf(got)['CC'], ['c1', 'c2'], 'CC stays while its keys count')
    assert.ok(!('BCC' in headersOf(got)))
  })

  sentences.prove('with x-dead-letter-routing-key that key alone routes, and CC is gone', async (stage) => {
    const { client, exchange, arrived } = await byKeys(stage, ['cc', 'bcc'])
    const target = await declare(stage, client)
    await client.call(1, 'queue.bind', { queue: target, exchange, routingKey: 'only' })
    const args = { 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': 'only' }
    const queue = await declare(stage, client, args)
    await publishTo(client, queue, { body: 'a', properties: { headers: { CC: ['cc'], BCC: ['bcc'], mine: 1 } } })
    await reject(client, queue)
    await untilReady(client, target, 1)
    const got = await client.get(1, target)
    assert.ok(got !== null)
    assert.deepEqual(await arrived(), [])
    assert.deepEqual([headersOf(got)['CC'], headersOf(got)['mine']], [undefined, 1])
    assert.deepEqual(death(deaths(got)[0])['routing-keys'], [queue, 'cc'])
  })
}

function noWhere(sentences: Sentences): void {
  sentences.prove(
    'a dead-letter exchange need not exist; while it is missing dead letters are dropped',
    async (stage) => {
      const client = await stage.client()
      const exchange = stage.name('dlx')
      const queue = await declare(stage, client, { 'x-dead-letter-exchange': exchange })
      await fill(client, queue, 'dropped')
      await reject(client, queue)
      await worked(client)
      assert.deepEqual(await counts(client, queue), [0, 0])
      await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
      const target = await declare(stage, client)
      await client.call(1, 'queue.bind', { queue: target, exchange })
      await fill(client, queue, 'kept')
      await reject(client, queue)
      await untilReady(client, target, 1)
      assert.deepEqual(await take(client, target), ['kept'])
    },
  )

  sentences.prove('a dead letter that reaches no queue is dropped', async (stage) => {
    const { client, queue } = await scene(stage, {
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': stage.name('nowhere'),
    })
    await fill(client, queue, 'a')
    await reject(client, queue)
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await counts(client, queue), [0, 0])
  })

  sentences.prove('a dead letter that its queue refuses holds up nobody in the queue where it died', async (stage) => {
    const client = await stage.client()
    const full = await declare(stage, client, { 'x-max-length': int(0), 'x-overflow': 'reject-publish' })
    const queue = await declare(stage, client, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': full })
    await fill(client, queue, 'a', 'b', 'c')
    await reject(client, queue)
    await reject(client, queue)
    assert.deepEqual(await counts(client, queue), [1, 0])
    assert.deepEqual([await take(client, queue), await take(client, full)], [['c'], []])
  })
}

function cycles(sentences: Sentences): void {
  sentences.prove('a message that expires back into its own queue is dropped', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('own')
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue, 'x-message-ttl': int(40) }
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: args })
    await fill(client, queue, 'a')
    await untilReady(client, queue, 0)
    await pass(100)
    assert.deepEqual(await counts(client, queue), [0, 0])
  })

  sentences.prove('a circle without a rejection ends, and only there: other queues get the message', async (stage) => {
    const { client, queue: witness } = await scene(stage)
    const exchange = stage.name('dlx')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    const short = { 'x-message-ttl': int(40) }
    const second = await declare(stage, client, { ...short, 'x-dead-letter-exchange': exchange })
    const first = await declare(stage, client, {
      ...short,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': second,
    })
    for (const queue of [first, witness]) await client.call(1, 'queue.bind', { queue, exchange })
    await fill(client, first, 'a')
    await untilReady(client, witness, 1)
    await pass(250)
    assert.deepEqual([(await counts(client, first))[0], (await counts(client, second))[0]], [0, 0])
    const got = await client.get(1, witness)
    assert.ok(got !== null)
    assert.deepEqual(
      deaths(got).map((entry) => [entry['queue'], entry['count']]),
      [
        [second, 1],
        [first, 1],
      ],
    )
    assert.equal(await client.get(1, witness), null)
  })

  sentences.prove('a circle with a rejection in it goes on: the way retries wait', async (stage) => {
    const client = await stage.client()
    const [work, waiting] = [stage.name('work'), stage.name('waiting')]
    const to = (queue: string, more: Table): Table => ({
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': queue,
      ...more,
    })
    await client.call(1, 'queue.declare', { queue: work, exclusive: true, arguments: to(waiting, {}) })
    const args = to(work, { 'x-message-ttl': int(40) })
    await client.call(1, 'queue.declare', { queue: waiting, exclusive: true, arguments: args })
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue: work })
    await fill(client, work, 'a')
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const got = await client.expect(2, 'basic.deliver')
      const seen = deaths(got).map((entry) => [entry['queue'], entry['reason'], entry['count']])
      const expected = [
        [waiting, 'expired', attempt],
        [work, 'rejected', attempt],
      ]
      assert.deepEqual(seen, attempt === 0 ? [] : expected)
      client.send(2, 'basic.reject', { deliveryTag: got.args['deliveryTag'] ?? 0, requeue: false })
    }
  })

  sentences.prove('a queue may get its own rejected messages back for ever', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('own')
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue }
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: args })
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue })
    await fill(client, queue, 'a')
    for (let count = 0; count < 5; count += 1) {
      const got = await client.expect(2, 'basic.deliver')
      assert.equal(deaths(got)[0]?.['count'], count === 0 ? undefined : count)
      client.send(2, 'basic.reject', { deliveryTag: got.args['deliveryTag'] ?? 0, requeue: false })
    }
  })

  sentences.prove('what drop-head drops does not come back into the queue that dropped it', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('own')
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue, 'x-max-length': int(1) }
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: args })
    await fill(client, queue, 'a', 'b', 'c')
    await pass(100)
    assert.deepEqual(await take(client, queue), ['c'])
  })
}
