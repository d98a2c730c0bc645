/** Declaring queues, exchanges and bindings: equivalence, names, life and death. Routing has a file of its own. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import { type Args, method, typed } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'

export function topology(sentences: Sentences): void {
  passive(sentences)
  equivalence(sentences)
  names(sentences)
  predeclared(sentences)
  lifetimes(sentences)
  deletion(sentences)
}

/** The counts of declare-ok. */
async function counts(client: RawClient, queue: string): Promise<[unknown, unknown]> {
  const { args } = await client.call(1, 'queue.declare', { queue, passive: true })
  return [args['messageCount'], args['consumerCount']]
}

/** Whether a queue exists; opens channel 1 again when it does not. */
async function exists(client: RawClient, name: 'queue' | 'exchange', value: string): Promise<boolean> {
  client.send(1, `${name}.declare`, { [name]: value, passive: true })
  const answer = await client.next(1)
  if (answer.name !== 'channel.close') return true
  assert.equal(answer.args['replyCode'], 404)
  client.send(1, 'channel.close-ok')
  await client.call(1, 'channel.open')
  return false
}

async function inequivalent(client: RawClient, name: string, args: Args, text: string): Promise<void> {
  client.send(1, name, args)
  await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - ${text}`)
  await client.call(1, 'channel.open')
}

function passive(sentences: Sentences): void {
  sentences.prove('a passive declare ignores every other field and argument', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const exchange = stage.name('x')
    await client.call(1, 'queue.declare', { queue, autoDelete: true })
    await client.call(1, 'exchange.declare', { exchange, type: 'topic', autoDelete: true })
    await client.call(1, 'queue.declare', { queue, passive: true, durable: true, arguments: { 'x-max-length': 1 } })
    const fields = { passive: true, durable: true, internal: true, arguments: { 'alternate-exchange': 'a' } }
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', ...fields })
    await client.call(1, 'exchange.declare', { exchange, type: 'no such type', passive: true })
    await client.call(1, 'queue.delete', { queue })
    await client.call(1, 'exchange.delete', { exchange })
  })

  sentences.prove('declare-ok counts the ready messages only, and the consumers', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('counted')
    const declared = await client.call(1, 'queue.declare', { queue, exclusive: true })
    assert.deepEqual(declared.args, { queue, messageCount: 0, consumerCount: 0 })
    await client.call(1, 'confirm.select')
    for (const body of ['a', 'b', 'c']) {
      client.publish(1, { routingKey: queue, body })
      await client.expect(1, 'basic.ack')
    }
    assert.deepEqual(await counts(client, queue), [3, 0])
    await client.get(1, queue, { noAck: false })
    assert.deepEqual(await counts(client, queue), [2, 0])
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.qos', { prefetchCount: 1 })
    await client.call(2, 'basic.consume', { queue })
    await client.expect(2, 'basic.deliver')
    assert.deepEqual(await counts(client, queue), [1, 1])
    const again = await client.call(1, 'queue.declare', { queue, exclusive: true })
    assert.deepEqual(again.args, { queue, messageCount: 1, consumerCount: 1 })
  })

  sentences.prove('with no-wait nothing is answered', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const exchange = stage.name('x')
    const noWait = true
    client.sendBytes(
      method(1, 'exchange.declare', { exchange, type: 'fanout', noWait }),
      method(1, 'exchange.bind', { source: exchange, destination: 'amq.fanout', noWait }),
      method(1, 'exchange.unbind', { source: exchange, destination: 'amq.fanout', noWait }),
      method(1, 'queue.declare', { queue, exclusive: true, noWait }),
      method(1, 'queue.bind', { queue, exchange, noWait }),
      method(1, 'confirm.select', { noWait }),
      method(1, 'basic.consume', { queue, consumerTag: 'c', noWait }),
      method(1, 'basic.cancel', { consumerTag: 'c', noWait }),
      method(1, 'queue.purge', { queue, noWait }),
      method(1, 'queue.delete', { queue, noWait }),
      method(1, 'exchange.delete', { exchange, noWait }),
    )
    await client.call(1, 'basic.qos')
    assert.deepEqual(await exists(client, 'queue', queue), false)
    assert.deepEqual(await exists(client, 'exchange', exchange), false)
  })
}

function equivalence(sentences: Sentences): void {
  sentences.prove('declaring a queue again with other durable or auto_delete is 406', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, durable: true })
    const text = (arg: string, received: boolean, current: boolean): string =>
      `inequivalent arg '${arg}' for queue '${queue}' in vhost '/': received '${received}' but current is '${current}'`
    await inequivalent(client, 'queue.declare', { queue }, text('durable', false, true))
    await inequivalent(
      client,
      'queue.declare',
      { queue, durable: true, autoDelete: true },
      text('auto_delete', true, false),
    )
    await client.call(1, 'queue.delete', { queue })
  })

  sentences.prove('declaring a queue again with another known argument is 406', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', {
      queue,
      exclusive: true,
      arguments: { 'x-message-ttl': typed('I', 60_000) },
    })
    const none =
      `inequivalent arg 'x-message-ttl' for queue '${queue}' in vhost '/': received none but current is the value ` +
      "'60000' of type 'signedint'"
    await inequivalent(client, 'queue.declare', { queue, exclusive: true }, none)
    const other = { 'x-message-ttl': typed('I', 50_000) }
    const both = `inequivalent arg 'x-message-ttl' for queue '${queue}' in vhost '/': received '50000' but current is '60000'`
    await inequivalent(client, 'queue.declare', { queue, exclusive: true, arguments: other }, both)
  })

  sentences.prove('whole numbers of any width are equal arguments when their value is', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const declare = (tag: string): Promise<unknown> =>
      client.call(1, 'queue.declare', { queue, exclusive: true, arguments: { 'x-max-length': typed(tag, 100) } })
    for (const tag of ['I', 'l', 's', 'b', 'I']) await declare(tag)
  })

  sentences.prove('unknown x- arguments are neither compared nor an error', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const exchange = stage.name('x')
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: { 'x-mine': 1 } })
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: { 'x-mine': 'two', other: true } })
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', arguments: { 'x-mine': 1 } })
    await client.call(1, 'exchange.declare', { exchange, type: 'direct' })
    await client.call(1, 'exchange.delete', { exchange })
  })

  sentences.prove('no x-queue-type equals classic', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: { 'x-queue-type': 'classic' } })
    await client.call(1, 'queue.declare', { queue, exclusive: true })
  })

  sentences.prove(
    'declaring an exchange again with another type, durable, auto_delete or internal is 406',
    async (stage) => {
      const client = await stage.client()
      const exchange = stage.name('x')
      await client.call(1, 'exchange.declare', { exchange, type: 'direct' })
      const text = (arg: string, received: string, current: string): string =>
        `inequivalent arg '${arg}' for exchange '${exchange}' in vhost '/': received '${received}' but current is '${current}'`
      const again = (args: Args, arg: string, received: string, current: string): Promise<void> =>
        inequivalent(client, 'exchange.declare', { exchange, type: 'direct', ...args }, text(arg, received, current))
      await again({ type: 'fanout' }, 'type', 'fanout', 'direct')
      await again({ durable: true }, 'durable', 'true', 'false')
      await again({ autoDelete: true }, 'auto_delete', 'true', 'false')
      await again({ internal: true }, 'internal', 'true', 'false')
      await client.call(1, 'exchange.delete', { exchange })
    },
  )

  sentences.prove('declaring an exchange again with another alternate-exchange is 406', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('x')
    const args = { exchange, type: 'direct', arguments: { 'alternate-exchange': 'amq.fanout' } }
    await client.call(1, 'exchange.declare', args)
    await client.call(1, 'exchange.declare', args)
    await inequivalent(
      client,
      'exchange.declare',
      { exchange, type: 'direct' },
      `inequivalent arg 'alternate-exchange' for exchange '${exchange}' in vhost '/': received none but current is the value ` +
        "'amq.fanout' of type 'longstr'",
    )
    await client.call(1, 'exchange.delete', { exchange })
  })
}

function names(sentences: Sentences): void {
  sentences.prove('an empty queue name makes one that begins with amq.gen-', async (stage) => {
    const client = await stage.client()
    const first = await client.call(1, 'queue.declare', { exclusive: true })
    const second = await client.call(1, 'queue.declare', { exclusive: true })
    assert.match(String(first.args['queue']), /^amq\.gen-.{10,}/)
    assert.notEqual(first.args['queue'], second.args['queue'])
    assert.deepEqual(await counts(client, String(first.args['queue'])), [0, 0])
  })

  sentences.prove('an empty queue name elsewhere means the last queue declared on the channel', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'queue.declare', { queue: stage.name('earlier'), exclusive: true })
    const queue = stage.name('last')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'queue.bind', { exchange: 'amq.direct', routingKey: queue })
    client.publish(1, { exchange: 'amq.direct', routingKey: queue, body: 'one' })
    assert.equal((await client.get(1, ''))?.body.toString(), 'one')
    await client.call(1, 'queue.unbind', { exchange: 'amq.direct', routingKey: queue })
    client.publish(1, { exchange: 'amq.direct', routingKey: queue, body: 'nowhere' })
    client.publish(1, { routingKey: queue, body: 'two' })
    assert.equal((await client.call(1, 'queue.purge')).args['messageCount'], 1)
    await client.call(1, 'basic.consume', { consumerTag: 'c' })
    assert.deepEqual(await counts(client, queue), [0, 1])
    await client.call(1, 'basic.cancel', { consumerTag: 'c' })
    await client.call(1, 'queue.delete')
    assert.equal(await exists(client, 'queue', queue), false)
  })

  sentences.prove('binding with an empty queue name and an empty key uses the queue name as the key', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('named')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'queue.bind', { exchange: 'amq.direct' })
    client.publish(1, { exchange: 'amq.direct', routingKey: queue, body: 'x' })
    assert.deepEqual(await client.drain(1, queue), ['x'])
  })

  sentences.prove('line ends are stripped from names', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('stripped')
    const { args } = await client.call(1, 'queue.declare', { queue: `${queue}\r\n`, exclusive: true })
    assert.equal(args['queue'], queue)
  })

  sentences.prove('a name may be 255 bytes of any UTF-8', async (stage) => {
    const client = await stage.client()
    const queue = `${'ż'.repeat(127)}q`
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: 'x' })
    assert.deepEqual(await client.drain(1, queue), ['x'])
  })
}

function predeclared(sentences: Sentences): void {
  sentences.prove('the exchanges every vhost has are there from the start', async (stage) => {
    const client = await stage.client()
    const types: Readonly<Record<string, string>> = {
      'amq.direct': 'direct',
      'amq.fanout': 'fanout',
      'amq.topic': 'topic',
      'amq.headers': 'headers',
      'amq.match': 'headers',
    }
    for (const [exchange, type] of Object.entries(types)) {
      await client.call(1, 'exchange.declare', { exchange, passive: true })
      await client.call(1, 'exchange.declare', { exchange, type, durable: true })
    }
    const trace = { exchange: 'amq.rabbitmq.trace', type: 'topic', durable: true, internal: true }
    await client.call(1, 'exchange.declare', trace)
  })

  sentences.prove('declaring amq.topic again with other properties is 406', async (stage) => {
    const client = await stage.client()
    await inequivalent(
      client,
      'exchange.declare',
      { exchange: 'amq.topic', type: 'topic' },
      "inequivalent arg 'durable' for exchange 'amq.topic' in vhost '/': received 'false' but current is 'true'",
    )
  })
}

function lifetimes(sentences: Sentences): void {
  sentences.prove('an exclusive queue outlives its channel and ends with its connection', async (stage) => {
    const owner = await stage.client()
    const queue = stage.name('mine')
    await owner.call(1, 'queue.declare', { queue, exclusive: true, durable: true })
    owner.publish(1, { routingKey: queue, body: 'x' })
    await owner.call(1, 'channel.close', { replyCode: 200 })
    await owner.call(1, 'channel.open')
    assert.deepEqual(await counts(owner, queue), [1, 0])
    const observer = await stage.client()
    owner.destroy()
    await untilGone(observer, queue)
  })

  sentences.prove('an auto-delete queue goes when its last consumer leaves, however it leaves', async (stage) => {
    const observer = await stage.client()
    const leave: readonly ((client: RawClient) => Promise<unknown> | undefined)[] = [
      (client) => client.call(1, 'basic.cancel', { consumerTag: 'b' }),
      (client) => client.call(1, 'channel.close', { replyCode: 200 }),
      (client) => client.close(),
      (client) => {
        client.destroy()
        return undefined
      },
    ]
    for (const last of leave) {
      const queue = stage.name('auto')
      const client = await stage.client()
      await client.call(1, 'queue.declare', { queue, autoDelete: true })
      await client.call(1, 'basic.consume', { queue, consumerTag: 'a' })
      await client.call(1, 'basic.consume', { queue, consumerTag: 'b' })
      await client.call(1, 'basic.cancel', { consumerTag: 'a' })
      assert.equal(await exists(observer, 'queue', queue), true)
      await last(client)
      await untilGone(observer, queue)
    }
  })

  sentences.prove('an auto-delete queue that never had a consumer stays; basic.get is none', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('auto')
    await client.call(1, 'queue.declare', { queue, autoDelete: true })
    client.publish(1, { routingKey: queue, body: 'x' })
    await client.get(1, queue)
    await client.close()
    const observer = await stage.client()
    assert.equal(await exists(observer, 'queue', queue), true)
    await observer.call(1, 'queue.delete', { queue })
  })

  sentences.prove('an auto-delete exchange goes when the last binding from it is removed', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('x')
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', autoDelete: true })
    await client.call(1, 'exchange.bind', { source: 'amq.fanout', destination: exchange })
    await client.call(1, 'exchange.unbind', { source: 'amq.fanout', destination: exchange })
    assert.equal(await exists(client, 'exchange', exchange), true, 'a binding to it is not one from it')
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'a' })
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'b' })
    await client.call(1, 'queue.unbind', { queue, exchange, routingKey: 'a' })
    assert.equal(await exists(client, 'exchange', exchange), true)
    await client.call(1, 'queue.unbind', { queue, exchange, routingKey: 'b' })
    assert.equal(await exists(client, 'exchange', exchange), false)
  })

  sentences.prove('an auto-delete exchange goes with the last queue bound to it', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('x')
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
    await client.call(1, 'queue.bind', { queue, exchange })
    await client.call(1, 'queue.delete', { queue })
    assert.equal(await exists(client, 'exchange', exchange), false)
  })

  sentences.prove('deleting an auto-delete exchange that others are chained to takes them along', async (stage) => {
    const client = await stage.client()
    const [first, second] = [stage.name('first'), stage.name('second')]
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'exchange.declare', { exchange: first, type: 'fanout', autoDelete: true })
    await client.call(1, 'exchange.declare', { exchange: second, type: 'fanout', autoDelete: true })
    await client.call(1, 'exchange.bind', { source: first, destination: second })
    await client.call(1, 'queue.bind', { queue, exchange: second })
    await client.call(1, 'queue.unbind', { queue, exchange: second })
    assert.equal(await exists(client, 'exchange', second), false)
    assert.equal(await exists(client, 'exchange', first), false)
  })
}

function deletion(sentences: Sentences): void {
  sentences.prove('delete and purge count the ready messages they removed', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    for (const body of ['a', 'b', 'c']) client.publish(1, { routingKey: queue, body })
    const held = await client.get(1, queue, { noAck: false })
    assert.equal((await client.call(1, 'queue.purge', { queue })).args['messageCount'], 2)
    client.send(1, 'basic.nack', { deliveryTag: held?.args['deliveryTag'] ?? 0, requeue: true })
    client.publish(1, { routingKey: queue, body: 'd' })
    assert.equal((await client.call(1, 'queue.delete', { queue })).args['messageCount'], 2)
  })

  sentences.prove('a queue declared again after its deletion is empty and unbound', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const durable = { queue, durable: true }
    await client.call(1, 'queue.declare', durable)
    await client.call(1, 'queue.bind', { queue, exchange: 'amq.direct', routingKey: queue })
    client.publish(1, { routingKey: queue, body: 'old', properties: { deliveryMode: 2 } })
    await client.call(1, 'queue.delete', { queue })
    await client.call(1, 'queue.declare', durable)
    client.publish(1, { exchange: 'amq.direct', routingKey: queue, body: 'unbound' })
    assert.deepEqual(await counts(client, queue), [0, 0])
    await client.call(1, 'queue.delete', { queue })
  })

  sentences.prove('deleting an exchange removes its bindings', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const exchange = stage.name('x')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    for (const isBound of [true, false]) {
      await client.call(1, 'exchange.declare', { exchange, type: 'fanout' })
      if (isBound) await client.call(1, 'queue.bind', { queue, exchange })
      client.publish(1, { exchange, body: isBound ? 'bound' : 'unbound' })
      await client.call(1, 'exchange.delete', { exchange })
    }
    assert.deepEqual(await client.drain(1, queue), ['bound'])
  })

  sentences.prove('a delete if-unused and if-empty of an idle queue and exchange succeeds', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const exchange = stage.name('x')
    await client.call(1, 'queue.declare', { queue })
    await client.call(1, 'exchange.declare', { exchange, type: 'direct' })
    const answer = await client.call(1, 'queue.delete', { queue, ifUnused: true, ifEmpty: true })
    assert.equal(answer.args['messageCount'], 0)
    await client.call(1, 'exchange.delete', { exchange, ifUnused: true })
  })
}

async function untilGone(observer: RawClient, queue: string): Promise<void> {
  for (const deadline = Date.now() + 5_000; ; ) {
    observer.send(1, 'queue.declare', { queue, passive: true })
    const answer = await observer.next(1)
    if (answer.name === 'channel.close') {
      observer.send(1, 'channel.close-ok')
      await observer.call(1, 'channel.open')
      if (answer.args['replyCode'] === 404) return
    }
    assert.ok(Date.now() < deadline, `queue '${queue}' is still there`)
  }
}
