/** Publishes, returns, confirms and transactions. */
import assert from 'node:assert/strict'
import type { Arrival, RawClient } from '../../support/amqp/raw-client.ts'
import { content, method } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'

export function publishing(sentences: Sentences): void {
  returns(sentences)
  confirms(sentences)
  transactions(sentences)
}

const persistent = { deliveryMode: 2 }

function returns(sentences: Sentences): void {
  sentences.prove('a mandatory message that reaches no queue is returned with its whole content', async (stage) => {
    const client = await stage.client()
    const properties = { messageId: 'm', headers: { a: 1 }, contentType: 'text/plain' }
    client.publish(1, { exchange: 'amq.direct', routingKey: 'nobody', mandatory: true, body: 'come back', properties })
    const returned = await client.expect(1, 'basic.return')
    assert.deepEqual(returned.args, {
      replyCode: 312,
      replyText: 'NO_ROUTE',
      exchange: 'amq.direct',
      routingKey: 'nobody',
    })
    assert.deepEqual([returned.body.toString(), returned.properties], ['come back', properties])
  })

  sentences.prove('a large mandatory message is returned whole', async (stage) => {
    const client = await stage.client()
    const body = Buffer.alloc(300_000, 'large ')
    client.publish(1, { routingKey: stage.name('nobody'), mandatory: true, body })
    assert.ok((await client.expect(1, 'basic.return')).body.equals(body))
  })

  sentences.prove('a message that reaches no queue and is not mandatory is dropped without a word', async (stage) => {
    const client = await stage.client()
    client.publish(1, { routingKey: stage.name('nobody'), body: 'x' })
    await client.call(1, 'basic.qos')
  })

  sentences.prove(
    'a publish to a missing exchange closes the channel, and what follows on it is dropped',
    async (stage) => {
      const client = await stage.client()
      const queue = stage.name('q')
      await client.call(1, 'queue.declare', { queue, exclusive: true })
      client.publish(1, { exchange: 'missing', routingKey: 'k', body: 'x' })
      client.publish(1, { routingKey: queue, body: 'dropped' })
      await client.expectChannelClose(1, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
      await client.call(1, 'channel.open')
      assert.deepEqual(await client.drain(1, queue), [])
    },
  )
}

/** Acks until `count` publishes are answered; each number must be answered once. */
async function confirmed(client: RawClient, count: number): Promise<void> {
  const answered = new Set<number>()
  let lowest = 1
  while (answered.size < count) {
    const ack = await client.expect(1, 'basic.ack')
    const tag = Number(ack.args['deliveryTag'])
    assert.ok(tag >= 1 && tag <= count, `a confirm of ${tag}, though ${count} were published`)
    const first = ack.args['multiple'] === true ? lowest : tag
    for (let number = first; number <= tag; number += 1) {
      if (ack.args['multiple'] !== true) assert.ok(!answered.has(number), `${number} was confirmed twice`)
      answered.add(number)
    }
    while (answered.has(lowest)) lowest += 1
  }
}

function confirms(sentences: Sentences): void {
  sentences.prove('confirm numbers start at 1 after confirm.select and count every publish', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: 'before' })
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: queue, body: 'one' })
    assert.equal((await client.expect(1, 'basic.ack')).args['deliveryTag'], 1)
    client.publish(1, { routingKey: stage.name('nowhere'), body: 'unroutable' })
    assert.equal((await client.expect(1, 'basic.ack')).args['deliveryTag'], 2)
    client.publish(1, { routingKey: queue, body: 'three' })
    assert.equal((await client.expect(1, 'basic.ack')).args['deliveryTag'], 3)
  })

  sentences.prove('confirm.select twice is no error and does not start the numbers again', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: stage.name('nowhere') })
    assert.equal((await client.expect(1, 'basic.ack')).args['deliveryTag'], 1)
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: stage.name('nowhere') })
    assert.equal((await client.expect(1, 'basic.ack')).args['deliveryTag'], 2)
  })

  sentences.prove('the return of a mandatory message comes before its ack', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'confirm.select')
    const routingKey = stage.name('nowhere')
    for (let i = 0; i < 10; i += 1) client.publish(1, { routingKey, body: String(i), mandatory: true })
    const order: Arrival[] = []
    let acked = 0
    while (acked < 10) {
      const one = await client.next(1)
      order.push(one)
      if (one.name !== 'basic.ack') continue
      acked = Number(one.args['deliveryTag'])
      const returned = order.filter(({ name }) => name === 'basic.return').length
      assert.ok(returned >= acked, `${acked} acked after ${returned} returns`)
    }
  })

  for (const durable of [true, false]) {
    const kind = durable ? 'persistent messages to a durable queue' : 'transient messages to a transient queue'
    sentences.prove(`a thousand ${kind} are each confirmed once`, async (stage) => {
      const client = await stage.client()
      const queue = stage.name('q')
      await client.call(1, 'queue.declare', { queue, durable })
      await client.call(1, 'confirm.select')
      const properties = durable ? persistent : {}
      const publishes = Array.from({ length: 1000 }, (_, i) =>
        client.publishBytes(1, { routingKey: queue, body: String(i), properties }),
      )
      client.sendBytes(...publishes)
      await confirmed(client, 1000)
      assert.equal((await client.call(1, 'queue.delete', { queue })).args['messageCount'], 1000)
    })
  }

  sentences.prove(
    'a mix of persistent, transient, unroutable and fanned-out messages is confirmed, each once',
    async (stage) => {
      const client = await stage.client()
      const [first, second] = [stage.name('first'), stage.name('second')]
      const exchange = stage.name('x')
      await client.call(1, 'queue.declare', { queue: first, durable: true })
      await client.call(1, 'queue.declare', { queue: second, exclusive: true })
      await client.call(1, 'exchange.declare', { exchange, type: 'fanout' })
      for (const queue of [first, second]) await client.call(1, 'queue.bind', { queue, exchange })
      await client.call(1, 'confirm.select')
      const kinds = [
        { routingKey: first, properties: persistent },
        { routingKey: first },
        { routingKey: stage.name('nowhere'), properties: persistent },
        { exchange, properties: persistent },
      ]
      const publishes = Array.from({ length: 200 }, (_, i) =>
        client.publishBytes(1, { body: String(i), ...kinds[i % kinds.length] }),
      )
      client.sendBytes(...publishes)
      await confirmed(client, 200)
      assert.equal((await client.call(1, 'queue.delete', { queue: first })).args['messageCount'], 150)
      await client.call(1, 'exchange.delete', { exchange })
    },
  )

  sentences.prove('a message whose queue is deleted while its confirm is due is confirmed', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'confirm.select')
    for (let number = 1; number <= 20; number += 1) {
      const queue = stage.name('doomed')
      client.sendBytes(
        method(1, 'queue.declare', { queue, durable: true, noWait: true }),
        client.publishBytes(1, { routingKey: queue, body: 'x', properties: persistent }),
        method(1, 'queue.delete', { queue, noWait: true }),
      )
    }
    await confirmed(client, 20)
  })

  sentences.prove('a transient message in a durable queue is confirmed', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, durable: true })
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: queue, body: 'x' })
    await confirmed(client, 1)
    await client.call(1, 'queue.delete', { queue })
  })

  sentences.prove('large messages are confirmed in their turn', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, durable: true })
    await client.call(1, 'confirm.select')
    for (const size of [1, 500_000, 10, 1_000_000, 0]) {
      client.publish(1, { routingKey: queue, body: Buffer.alloc(size), properties: persistent })
    }
    await confirmed(client, 5)
    const sizes: (number | undefined)[] = []
    for (let i = 0; i < 5; i += 1) sizes.push((await client.get(1, queue))?.body.length)
    assert.deepEqual(sizes, [1, 500_000, 10, 1_000_000, 0])
    await client.call(1, 'queue.delete', { queue })
  })
}

function transactions(sentences: Sentences): void {
  sentences.prove('tx: publishes are seen at commit, not before', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'tx.select')
    for (const body of ['a', 'b']) client.publish(1, { routingKey: queue, body })
    await client.call(2, 'channel.open')
    const before = await client.call(2, 'queue.declare', { queue, passive: true })
    assert.equal(before.args['messageCount'], 0)
    await client.call(1, 'tx.commit')
    assert.deepEqual(await client.drain(2, queue), ['a', 'b'])
  })

  sentences.prove('tx: a rollback forgets the publishes', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'tx.select')
    client.publish(1, { routingKey: queue, body: 'forgotten' })
    await client.call(1, 'tx.rollback')
    client.publish(1, { routingKey: queue, body: 'kept' })
    await client.call(1, 'tx.commit')
    assert.deepEqual(await client.drain(1, queue), ['kept'])
  })

  sentences.prove('tx: acks count from commit; a rollback restores them without delivering again', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(2, 'channel.open')
    for (const body of ['a', 'b']) client.publish(2, { routingKey: queue, body })
    await client.call(2, 'basic.qos')
    await client.call(1, 'tx.select')
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    await client.expectMany(1, 'basic.deliver', 2)
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.call(1, 'tx.rollback')
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.call(1, 'tx.commit')
    await client.call(1, 'basic.cancel', { consumerTag: 'c' })
    await client.call(1, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await client.drain(2, queue), ['b'], 'a was acked, b goes back')
  })

  sentences.prove('tx: a reject joins the transaction', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: 'a' })
    await client.call(1, 'tx.select')
    const got = await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.reject', { deliveryTag: got?.args['deliveryTag'] ?? 0, requeue: true })
    await client.call(2, 'channel.open')
    assert.equal(await client.get(2, queue), null)
    await client.call(1, 'tx.commit')
    assert.equal((await client.get(2, queue))?.args['redelivered'], true)
  })

  sentences.prove('tx: the returns come before commit-ok', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'tx.select')
    for (let i = 0; i < 3; i += 1)
      client.publish(1, { routingKey: stage.name('nowhere'), mandatory: true, body: String(i) })
    client.send(1, 'tx.commit')
    await client.expectMany(1, 'basic.return', 3)
    await client.expect(1, 'tx.commit-ok')
  })

  sentences.prove('tx: a publish to a missing exchange is checked at once', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'tx.select')
    client.sendBytes(
      method(1, 'basic.publish', { exchange: 'missing', routingKey: 'k' }),
      content(1, {}, Buffer.alloc(0), 100),
    )
    await client.expectChannelClose(1, 404, /no exchange 'missing'/)
  })

  sentences.prove('tx: an unknown delivery tag is refused', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'tx.select')
    client.send(1, 'basic.ack', { deliveryTag: 9 })
    client.send(1, 'tx.commit')
    await client.expectChannelClose(1, 406, /unknown delivery tag 9/)
  })

  sentences.prove('tx: persistent publishes to a durable queue are committed', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, durable: true })
    await client.call(1, 'tx.select')
    for (let i = 0; i < 50; i += 1) client.publish(1, { routingKey: queue, body: String(i), properties: persistent })
    await client.call(1, 'tx.commit')
    assert.equal((await client.call(1, 'queue.delete', { queue })).args['messageCount'], 50)
  })

  sentences.prove('tx: what was not committed when the channel closes is forgotten', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'tx.select')
    client.publish(1, { routingKey: queue, body: 'forgotten' })
    await client.call(1, 'channel.close', { replyCode: 200 })
    await client.call(1, 'channel.open')
    assert.deepEqual(await client.drain(1, queue), [])
  })
}
