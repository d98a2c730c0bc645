/** The error model: which code, which scope, which text; and what is no error at all. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import { type Args, frame, frameMethod, typed } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from './sentences.ts'

export function errors(sentences: Sentences): void {
  replyTexts(sentences)
  accessRefused(sentences)
  notFound(sentences)
  locked(sentences)
  preconditions(sentences)
  connectionErrors(sentences)
  noErrors(sentences)
}

/** A channel error names the failed method and leaves the connection usable. */
async function refused(
  client: RawClient,
  name: string,
  args: Args,
  code: number,
  text: string | RegExp,
): Promise<void> {
  client.send(1, name, args)
  const close = await client.expectChannelClose(1, code, text)
  const ids = { 'queue.declare': [50, 10], 'exchange.declare': [40, 10], 'basic.consume': [60, 20] }[name]
  if (ids !== undefined) assert.deepEqual([close.args['classId'], close.args['methodId']], ids, 'the failed method')
  await client.call(1, 'channel.open')
}

function replyTexts(sentences: Sentences): void {
  sentences.prove('class-id and method-id of a close name the failed method', async (stage) => {
    const client = await stage.client()
    client.send(1, 'queue.purge', { queue: 'missing' })
    const close = await client.expectChannelClose(1, 404, /^NOT_FOUND - /)
    assert.deepEqual([close.args['classId'], close.args['methodId']], [50, 30])
  })

  sentences.prove('a reply text is cut at 255 bytes', async (stage) => {
    const client = await stage.client()
    client.send(1, 'queue.declare', { queue: 'q'.repeat(255), passive: true })
    const close = await client.expectChannelClose(1, 404, /^NOT_FOUND - no queue 'qqqq/)
    assert.ok(Buffer.byteLength(String(close.args['replyText'])) <= 255)
  })

  sentences.prove('a failed publish names basic.publish', async (stage) => {
    const client = await stage.client()
    client.publish(1, { exchange: 'missing', routingKey: 'k' })
    const close = await client.expectChannelClose(1, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
    assert.deepEqual([close.args['classId'], close.args['methodId']], [60, 40])
  })
}

function accessRefused(sentences: Sentences): void {
  sentences.prove('creating a name that begins with amq. is 403', async (stage) => {
    const client = await stage.client()
    await refused(
      client,
      'queue.declare',
      { queue: 'amq.mine' },
      403,
      "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    )
    await refused(
      client,
      'exchange.declare',
      { exchange: 'amq.mine', type: 'direct' },
      403,
      "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    )
  })

  sentences.prove('every explicit operation on the default exchange is 403', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('default')
    const other = stage.name('other')
    await client.call(1, 'queue.declare', { queue, autoDelete: true })
    await client.call(1, 'exchange.declare', { exchange: other, type: 'fanout', autoDelete: true })
    const text = 'ACCESS_REFUSED - operation not permitted on the default exchange'
    await refused(client, 'exchange.declare', { exchange: '', type: 'direct', durable: true }, 403, text)
    await refused(client, 'exchange.delete', { exchange: '' }, 403, text)
    await refused(client, 'queue.bind', { queue, exchange: '', routingKey: 'k' }, 403, text)
    await refused(client, 'queue.unbind', { queue, exchange: '', routingKey: queue }, 403, text)
    await refused(client, 'exchange.bind', { source: '', destination: other }, 403, text)
    await refused(client, 'exchange.bind', { source: other, destination: '' }, 403, text)
    await client.call(1, 'queue.delete', { queue })
    await client.call(1, 'exchange.delete', { exchange: other })
  })

  sentences.prove('deleting a system exchange is 403', async (stage) => {
    const client = await stage.client()
    const text = "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed"
    await refused(client, 'exchange.delete', { exchange: 'amq.topic' }, 403, text)
  })

  sentences.prove('publishing to an internal exchange is 403', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('internal')
    await client.call(1, 'exchange.declare', { exchange, type: 'fanout', internal: true })
    client.publish(1, { exchange, routingKey: 'k' })
    const text = `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`
    await client.expectChannelClose(1, 403, text)
    await client.call(1, 'channel.open')
    await client.call(1, 'exchange.delete', { exchange })
  })

  sentences.prove('exclusive use of a queue is 403 for everybody else', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('one-reader')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'first', exclusive: true })
    await client.call(2, 'channel.open')
    client.send(2, 'basic.consume', { queue })
    const text = `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`
    await client.expectChannelClose(2, 403, text)
    await client.call(1, 'basic.cancel', { consumerTag: 'first' })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'second' })
    await client.call(2, 'channel.open')
    client.send(2, 'basic.consume', { queue, exclusive: true })
    await client.expectChannelClose(2, 403, text)
  })
}

function notFound(sentences: Sentences): void {
  sentences.prove('using a missing queue is 404', async (stage) => {
    const client = await stage.client()
    const text = "NOT_FOUND - no queue 'missing' in vhost '/'"
    await refused(client, 'queue.declare', { queue: 'missing', passive: true }, 404, text)
    await refused(client, 'queue.bind', { queue: 'missing', exchange: 'amq.fanout' }, 404, text)
    await refused(client, 'queue.purge', { queue: 'missing' }, 404, text)
    await refused(client, 'basic.get', { queue: 'missing' }, 404, text)
    await refused(client, 'basic.consume', { queue: 'missing' }, 404, text)
  })

  sentences.prove('using a missing exchange is 404', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const text = "NOT_FOUND - no exchange 'missing' in vhost '/'"
    await refused(client, 'exchange.declare', { exchange: 'missing', passive: true }, 404, text)
    await refused(client, 'queue.bind', { queue, exchange: 'missing' }, 404, text)
    await refused(client, 'exchange.bind', { source: 'missing', destination: 'amq.fanout' }, 404, text)
    await refused(client, 'exchange.bind', { source: 'amq.fanout', destination: 'missing' }, 404, text)
  })

  sentences.prove('an empty queue name without a queue declared before is 404', async (stage) => {
    const client = await stage.client()
    await refused(client, 'basic.get', { queue: '' }, 404, /^NOT_FOUND - no previously declared queue$/)
  })
}

function locked(sentences: Sentences): void {
  sentences.prove('any use of an exclusive queue by another connection is 405', async (stage) => {
    const owner = await stage.client()
    const queue = stage.name('locked')
    await owner.call(1, 'queue.declare', { queue, exclusive: true })
    const other = await stage.client()
    const text =
      `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally ` +
      'declared on another connection or the exclusive property value does not match that of the original declaration.'
    const uses: readonly [string, Args][] = [
      ['queue.declare', { queue, exclusive: true }],
      ['queue.declare', { queue }],
      ['queue.declare', { queue, passive: true }],
      ['queue.bind', { queue, exchange: 'amq.fanout' }],
      ['queue.purge', { queue }],
      ['queue.delete', { queue }],
      ['basic.get', { queue }],
      ['basic.consume', { queue }],
    ]
    for (const [name, args] of uses) await refused(other, name, args, 405, text.slice(0, 255))
  })

  sentences.prove('declaring an ordinary queue again as exclusive is 405', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('shared')
    await client.call(1, 'queue.declare', { queue })
    await refused(
      client,
      'queue.declare',
      { queue, exclusive: true },
      405,
      /^RESOURCE_LOCKED - cannot obtain exclusive access/,
    )
    await client.call(1, 'queue.delete', { queue })
  })
}

function preconditions(sentences: Sentences): void {
  sentences.prove('an ack of an unknown delivery tag is 406', async (stage) => {
    const client = await stage.client()
    client.send(1, 'basic.ack', { deliveryTag: 5 })
    const close = await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - unknown delivery tag 5')
    assert.deepEqual([close.args['classId'], close.args['methodId']], [60, 80])
  })

  sentences.prove('nack and reject of an unknown delivery tag are 406', async (stage) => {
    for (const name of ['basic.nack', 'basic.reject']) {
      const client = await stage.client()
      client.send(1, name, { deliveryTag: 3, requeue: true })
      await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - unknown delivery tag 3')
    }
  })

  sentences.prove('deleting a queue that has consumers, if unused, is 406', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('used')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue })
    const text = `PRECONDITION_FAILED - queue '${queue}' in vhost '/' in use`
    await refused(client, 'queue.delete', { queue, ifUnused: true }, 406, text)
  })

  sentences.prove('deleting a queue that has messages, if empty, is 406', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('full')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: 'x' })
    const text = `PRECONDITION_FAILED - queue '${queue}' in vhost '/' not empty`
    await refused(client, 'queue.delete', { queue, ifEmpty: true }, 406, text)
  })

  sentences.prove('deleting an exchange that has bindings, if unused, is 406', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    const exchange = stage.name('x')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'exchange.declare', { exchange, type: 'direct' })
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'k' })
    const text = `PRECONDITION_FAILED - exchange '${exchange}' in vhost '/' in use`
    await refused(client, 'exchange.delete', { exchange, ifUnused: true }, 406, text)
    await client.call(1, 'exchange.delete', { exchange })
  })

  sentences.prove('a user-id other than the one logged in is 406', async (stage) => {
    const client = await stage.client()
    client.publish(1, { routingKey: 'q', properties: { userId: 'mallory' } })
    const { user } = stage.address
    const text = `PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was '${user}'`
    await client.expectChannelClose(1, 406, text)
  })

  sentences.prove('commit and rollback on a channel that is not transactional are 406', async (stage) => {
    const client = await stage.client()
    for (const name of ['tx.commit', 'tx.rollback']) {
      await refused(client, name, {}, 406, 'PRECONDITION_FAILED - channel is not transactional')
    }
  })

  sentences.prove('tx and confirm exclude each other: 406', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'tx.select')
    await refused(client, 'confirm.select', {}, 406, 'PRECONDITION_FAILED - cannot switch from tx to confirm mode')
    await client.call(1, 'confirm.select')
    await refused(client, 'tx.select', {}, 406, 'PRECONDITION_FAILED - cannot switch from confirm to tx mode')
  })
}

function connectionErrors(sentences: Sentences): void {
  const cases: readonly {
    title: string
    code: number
    text: string | RegExp
    act: (client: RawClient, stage: Stage) => Promise<void> | void
  }[] = [
    {
      title: 'a method of an unknown class is 503 and ends the connection',
      code: 503,
      text: /^COMMAND_INVALID - /,
      act: (client) => client.sendFrame(frameMethod, 1, Buffer.from('03e7000a', 'hex')),
    },
    {
      title: 'a method on a channel that is not open is 504',
      code: 504,
      text: "CHANNEL_ERROR - expected 'channel.open'",
      act: (client) => client.send(9, 'basic.qos'),
    },
    {
      title: 'opening a channel twice is 504',
      code: 504,
      text: "CHANNEL_ERROR - second 'channel.open' seen",
      act: (client) => client.send(1, 'channel.open'),
    },
    {
      title: 'an unknown exchange type is 503',
      code: 503,
      text: "COMMAND_INVALID - unknown exchange type 'carrier-pigeon'",
      act: (client, stage) => client.send(1, 'exchange.declare', { exchange: stage.name('x'), type: 'carrier-pigeon' }),
    },
    {
      title: 'a consumer tag used twice on a channel is 530',
      code: 530,
      text: "NOT_ALLOWED - attempt to reuse consumer tag 'c'",
      act: async (client, stage) => {
        const queue = stage.name('q')
        await client.call(1, 'queue.declare', { queue, exclusive: true })
        await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
        client.send(1, 'basic.consume', { queue, consumerTag: 'c' })
      },
    },
    {
      title: 'a publish with immediate is 540',
      code: 540,
      text: 'NOT_IMPLEMENTED - immediate=true',
      act: (client) => client.publish(1, { routingKey: 'q', immediate: true }),
    },
    {
      title: 'a prefetch-size is 540',
      code: 540,
      text: 'NOT_IMPLEMENTED - prefetch_size!=0 (7)',
      act: (client) => client.send(1, 'basic.qos', { prefetchSize: 7 }),
    },
    {
      title: 'basic.recover without requeue is 540',
      code: 540,
      text: 'NOT_IMPLEMENTED - requeue=false',
      act: (client) => client.send(1, 'basic.recover', { requeue: false }),
    },
    {
      title: 'channel.flow active=false from a client is 540',
      code: 540,
      text: 'NOT_IMPLEMENTED - active=false',
      act: (client) => client.send(1, 'channel.flow', { active: false }),
    },
    {
      title: 'a method of the connection class on another channel than 0 is 503',
      code: 503,
      text: /^COMMAND_INVALID - /,
      act: (client) => client.send(1, 'connection.open', { vhost: '/' }),
    },
    {
      title: 'a method of a channel on channel 0 is 504',
      code: 504,
      text: /^CHANNEL_ERROR - /,
      act: (client) => client.send(0, 'basic.qos'),
    },
    {
      title: 'a method that only a server sends ends the connection with 503',
      code: 503,
      text: /^COMMAND_INVALID - /,
      act: (client) => client.send(1, 'queue.declare-ok', { queue: 'q' }),
    },
    {
      title: 'a method that is cut short is 501',
      code: 501,
      text: /^FRAME_ERROR - /,
      act: (client) => client.sendBytes(frame(frameMethod, 1, Buffer.from('0032000a000005', 'hex'))),
    },
  ]
  for (const { title, code, text, act } of cases) {
    sentences.prove(title, async (stage) => {
      const client = await stage.client()
      await act(client, stage)
      await client.expectConnectionClose(code, text)
    })
  }

  sentences.prove('an error of one connection leaves the others alone', async (stage) => {
    const bystander = await stage.client()
    const client = await stage.client()
    client.send(9, 'basic.qos')
    await client.expectConnectionClose(504, /^CHANNEL_ERROR/)
    await bystander.call(1, 'basic.qos')
  })

  sentences.prove('an error of one channel leaves the other channels alone', async (stage) => {
    const client = await stage.client()
    await client.call(2, 'channel.open')
    client.send(1, 'basic.ack', { deliveryTag: 1 })
    await client.expectChannelClose(1, 406, /unknown delivery tag 1/)
    await client.call(2, 'basic.qos')
  })
}

function noErrors(sentences: Sentences): void {
  sentences.prove('cancelling an unknown consumer is no error', async (stage) => {
    const client = await stage.client()
    const { args } = await client.call(1, 'basic.cancel', { consumerTag: 'nobody' })
    assert.equal(args['consumerTag'], 'nobody')
  })

  sentences.prove('deleting a missing queue is no error and counts 0 messages', async (stage) => {
    const client = await stage.client()
    assert.equal((await client.call(1, 'queue.delete', { queue: 'missing' })).args['messageCount'], 0)
  })

  sentences.prove('deleting a missing exchange is no error', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'exchange.delete', { exchange: 'missing' })
  })

  sentences.prove('removing a missing binding is no error', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const binding = { queue, exchange: 'amq.direct', routingKey: 'never', arguments: { n: typed('I', 1) } }
    await client.call(1, 'queue.unbind', binding)
    await client.call(1, 'queue.unbind', { ...binding, queue: 'missing' })
    await client.call(1, 'queue.unbind', { ...binding, exchange: 'missing' })
  })
}
