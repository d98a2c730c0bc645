/** What a message asks for beside its exchange and key: more keys in CC and BCC, direct replies; and what is checked first. */
import assert from 'node:assert/strict'
import type { Arrival, RawClient } from '../../support/amqp/raw-client.ts'
import { method, type Properties, typed, type Value } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from './sentences.ts'

export function routingExtras(sentences: Sentences): void {
  senderSelected(sentences)
  directReplies(sentences)
  repliesThatDoNotCome(sentences)
  directReplyNames(sentences)
  orderOfChecks(sentences)
  expirations(sentences)
}

// ---------------------------------------------------------------- CC and BCC

async function queues(stage: Stage, client: RawClient, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => stage.name(`q${index}`))
  for (const queue of names) await client.call(1, 'queue.declare', { queue, exclusive: true })
  return names
}

function senderSelected(sentences: Sentences): void {
  sentences.prove('the keys in CC and BCC route as well, and each queue gets the message once', async (stage) => {
    const client = await stage.client()
    const [first = '', second = '', third = ''] = await queues(stage, client, 3)
    const headers = { CC: [second, first, stage.name('nobody')], BCC: [third, second] }
    client.publish(1, { routingKey: first, body: 'x', properties: { headers } })
    for (const queue of [first, second, third]) assert.deepEqual(await client.drain(1, queue), ['x'])
  })

  for (const size of [1, 5_000, 100_000]) {
    sentences.prove(
      `BCC is taken away, CC and all else stays, and the routing key is the first one (${size} bytes)`,
      async (stage) => {
        const client = await stage.client()
        const [first = '', second = '', third = ''] = await queues(stage, client, 3)
        const headers = { before: 1, BCC: [third], CC: [second], after: 'z' }
        const properties = { contentType: 'text/plain', headers, messageId: 'm', timestamp: 5 }
        client.publish(1, { routingKey: first, body: Buffer.alloc(size, 'b'), properties })
        for (const queue of [first, second, third]) {
          const got = await client.get(1, queue)
          const { BCC, ...left } = headers
          assert.deepEqual(got?.properties, { ...properties, headers: left }, `without ${BCC}`)
          assert.deepEqual([got?.args['routingKey'], got?.body.length], [first, size])
        }
      },
    )
  }

  const types: [Value, string][] = [
    ['text', 'longstr'],
    [typed('I', 1), 'signedint'],
    [typed('l', 1), 'long'],
    [true, 'bool'],
    [{ a: 1 }, 'table'],
    [null, 'void'],
  ]
  for (const name of ['CC', 'BCC'])
    for (const [value, type] of types) {
      sentences.prove(`${name} of type ${type} is 406`, async (stage) => {
        const client = await stage.client()
        client.publish(1, { routingKey: 'k', properties: { headers: { [name]: value } } })
        const reason = `{unacceptable_type_in_header,"${name}",${type}}`
        await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - invalid message: ${reason}`)
      })
    }

  sentences.prove('what is no string in CC is passed over', async (stage) => {
    const client = await stage.client()
    const [first = '', second = ''] = await queues(stage, client, 2)
    client.publish(1, { routingKey: first, body: 'x', properties: { headers: { CC: [1, second, null] } } })
    assert.deepEqual(await client.drain(1, second), ['x'])
  })

  sentences.prove('CC counts for every exchange type that looks at keys', async (stage) => {
    const client = await stage.client()
    const [queue = ''] = await queues(stage, client, 1)
    await client.call(1, 'queue.bind', { queue, exchange: 'amq.topic', routingKey: `${queue}.*` })
    await client.call(1, 'queue.bind', { queue, exchange: 'amq.direct', routingKey: queue })
    const properties = { headers: { CC: [`${queue}.x`, queue] } }
    for (const exchange of ['amq.topic', 'amq.direct']) {
      client.publish(1, { exchange, routingKey: 'elsewhere', body: exchange, properties })
    }
    assert.deepEqual(await client.drain(1, queue), ['amq.topic', 'amq.direct'])
  })

  sentences.prove('the same publish without CC goes where it went before', async (stage) => {
    const client = await stage.client()
    const [first = '', second = ''] = await queues(stage, client, 2)
    const plain = { routingKey: first, properties: {} }
    client.publish(1, { ...plain, body: '1' })
    client.publish(1, { ...plain, body: '2', properties: { headers: { CC: [second] } } })
    client.publish(1, { ...plain, body: '3' })
    assert.deepEqual(await client.drain(1, first), ['1', '2', '3'])
    assert.deepEqual(await client.drain(1, second), ['2'])
  })

  sentences.prove('a mandatory message is returned only when no key of CC leads anywhere', async (stage) => {
    const client = await stage.client()
    const [queue = ''] = await queues(stage, client, 1)
    const nobody = stage.name('nobody')
    const publish = { routingKey: nobody, mandatory: true }
    client.publish(1, { ...publish, body: 'kept', properties: { headers: { CC: [queue] } } })
    client.publish(1, { ...publish, body: 'back', properties: { headers: { CC: [stage.name('nobody')] } } })
    const returned = await client.expect(1, 'basic.return')
    assert.deepEqual([returned.args['routingKey'], returned.body.toString()], [nobody, 'back'])
    assert.deepEqual(await client.drain(1, queue), ['kept'])
  })

  sentences.prove('tx: the keys of CC and BCC are those of each publish', async (stage) => {
    const client = await stage.client()
    const [first = '', second = '', third = ''] = await queues(stage, client, 3)
    await client.call(1, 'tx.select')
    client.publish(1, { routingKey: first, body: '1', properties: { headers: { CC: [second] } } })
    client.publish(1, { routingKey: first, body: '2', properties: { headers: { BCC: [third] } } })
    await client.call(1, 'tx.commit')
    assert.deepEqual(await client.drain(1, first), ['1', '2'])
    assert.deepEqual(await client.drain(1, second), ['1'])
    const got = await client.get(1, third)
    assert.deepEqual([got?.body.toString(), got?.properties['headers']], ['2', {}])
  })
}

// ---------------------------------------------------------------- direct replies

const pseudoQueue = 'amq.rabbitmq.reply-to'

/** Two clients: one that asks and waits for direct replies on channel 1, one that answers what comes to a queue. */
async function twoSides(stage: Stage): Promise<{ asking: RawClient; answering: RawClient; queue: string }> {
  const [asking, answering] = [await stage.client(), await stage.client()]
  const queue = stage.name('requests')
  await answering.call(1, 'queue.declare', { queue, exclusive: true })
  await answering.call(1, 'basic.consume', { queue, noAck: true })
  await asking.call(1, 'basic.consume', { queue: pseudoQueue, noAck: true, consumerTag: 'replies' })
  return { asking, answering, queue }
}

/** Sends a request; gives it as the other side got it, with the name the reply goes to. */
async function request(
  { asking, answering, queue }: { asking: RawClient; answering: RawClient; queue: string },
  properties: Properties = {},
  body: string | Buffer = 'question',
): Promise<{ arrived: Arrival; replyTo: string }> {
  asking.publish(1, { routingKey: queue, body, properties: { replyTo: pseudoQueue, ...properties } })
  const arrived = await answering.expect(1, 'basic.deliver')
  return { arrived, replyTo: String(arrived.properties['replyTo']) }
}

function directReplies(sentences: Sentences): void {
  sentences.prove('a request carries a name of its channel, and what is sent there comes to it', async (stage) => {
    const sides = await twoSides(stage)
    const { arrived, replyTo } = await request(sides, { correlationId: '7', headers: { a: 1 } })
    assert.match(replyTo, /^amq\.rabbitmq\.reply-to\../)
    assert.deepEqual(arrived.properties, { correlationId: '7', headers: { a: 1 }, replyTo })
    sides.answering.publish(1, { routingKey: replyTo, body: 'answer', properties: { correlationId: '7' } })
    const reply = await sides.asking.expect(1, 'basic.deliver')
    assert.deepEqual([reply.body.toString(), reply.properties], ['answer', { correlationId: '7' }])
    const { exchange, routingKey, redelivered, consumerTag } = reply.args
    assert.deepEqual([exchange, routingKey, redelivered, consumerTag], ['', replyTo, false, 'replies'])
  })

  sentences.prove('requests and replies of every size are whole', async (stage) => {
    const sides = await twoSides(stage)
    for (const size of [0, 4_000, 5_000, 65_536, 65_537, 1_000_000]) {
      const body = Buffer.alloc(size, 'r')
      const { arrived, replyTo } = await request(sides, {}, body)
      assert.ok(arrived.body.equals(body))
      sides.answering.publish(1, { routingKey: replyTo, body })
      assert.ok((await sides.asking.expect(1, 'basic.deliver')).body.equals(body), `${size} bytes`)
    }
  })

  sentences.prove('one name is good for many replies, also to itself', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    for (const body of ['1', '2', '3']) sides.answering.publish(1, { routingKey: replyTo, body })
    const replies = await sides.asking.expectMany(1, 'basic.deliver', 3)
    assert.deepEqual(
      replies.map((reply) => reply.body.toString()),
      ['1', '2', '3'],
    )
    sides.asking.publish(1, { routingKey: replyTo, body: 'me' })
    assert.equal((await sides.asking.expect(1, 'basic.deliver')).body.toString(), 'me')
  })

  sentences.prove('replies go to the channel that asked', async (stage) => {
    const sides = await twoSides(stage)
    await sides.asking.call(2, 'channel.open')
    await sides.asking.call(2, 'basic.consume', { queue: pseudoQueue, noAck: true, consumerTag: 'others' })
    const { replyTo } = await request(sides)
    sides.asking.publish(2, { routingKey: sides.queue, properties: { replyTo: pseudoQueue } })
    const other = String((await sides.answering.expect(1, 'basic.deliver')).properties['replyTo'])
    sides.answering.publish(1, { routingKey: other, body: 'to 2' })
    sides.answering.publish(1, { routingKey: replyTo, body: 'to 1' })
    const [to2, to1] = [await sides.asking.expect(2, 'basic.deliver'), await sides.asking.expect(1, 'basic.deliver')]
    assert.deepEqual([to2.body.toString(), to1.body.toString()], ['to 2', 'to 1'])
    assert.deepEqual([to2.args['consumerTag'], to1.args['consumerTag']], ['others', 'replies'])
  })

  sentences.prove('a reply is confirmed', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    await sides.answering.call(1, 'confirm.select')
    sides.answering.publish(1, { routingKey: replyTo, body: 'answer' })
    assert.equal((await sides.answering.expect(1, 'basic.ack')).args['deliveryTag'], 1)
    await sides.asking.expect(1, 'basic.deliver')
  })

  sentences.prove('a mandatory reply that somebody waits for is not returned', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    sides.answering.publish(1, { routingKey: replyTo, mandatory: true, body: 'answer' })
    await sides.asking.expect(1, 'basic.deliver')
    await sides.answering.call(1, 'basic.qos')
  })

  sentences.prove('tx: a request names its channel, and is seen at commit', async (stage) => {
    const sides = await twoSides(stage)
    await sides.asking.call(1, 'tx.select')
    sides.asking.publish(1, { routingKey: sides.queue, properties: { replyTo: pseudoQueue } })
    await sides.asking.call(1, 'tx.commit')
    const { properties } = await sides.answering.expect(1, 'basic.deliver')
    assert.match(String(properties['replyTo']), /^amq\.rabbitmq\.reply-to\../)
  })

  sentences.prove('tx: a reply is sent at commit', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    await sides.answering.call(1, 'tx.select')
    sides.answering.publish(1, { routingKey: replyTo, body: 'forgotten' })
    await sides.answering.call(1, 'tx.rollback')
    sides.answering.publish(1, { routingKey: replyTo, body: 'answer' })
    await sides.answering.call(1, 'tx.commit')
    assert.equal((await sides.asking.expect(1, 'basic.deliver')).body.toString(), 'answer')
  })

  sentences.prove('a key of CC may be the name of a direct reply', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    sides.answering.publish(1, { routingKey: sides.queue, body: 'both', properties: { headers: { CC: [replyTo] } } })
    assert.equal((await sides.asking.expect(1, 'basic.deliver')).body.toString(), 'both')
    assert.equal((await sides.answering.expect(1, 'basic.deliver')).body.toString(), 'both')
  })
}

function repliesThatDoNotCome(sentences: Sentences): void {
  sentences.prove('a reply to a channel that is gone is dropped, and confirmed', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    await sides.asking.call(1, 'channel.close', { replyCode: 200 })
    await sides.answering.call(1, 'confirm.select')
    sides.answering.publish(1, { routingKey: replyTo, body: 'late' })
    assert.equal((await sides.answering.expect(1, 'basic.ack')).args['deliveryTag'], 1)
    sides.answering.publish(1, { routingKey: replyTo, mandatory: true, body: 'late' })
    assert.equal((await sides.answering.expect(1, 'basic.return')).args['replyText'], 'NO_ROUTE')
    assert.equal((await sides.answering.expect(1, 'basic.ack')).args['deliveryTag'], 2)
  })

  sentences.prove('after its consumer is cancelled a channel gets no replies and cannot ask for any', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    await sides.asking.call(1, 'basic.cancel', { consumerTag: 'replies' })
    sides.answering.publish(1, { routingKey: replyTo, body: 'late' })
    await sides.answering.call(1, 'basic.qos')
    await sides.asking.call(1, 'basic.qos')
    await sides.asking.call(1, 'basic.consume', { queue: pseudoQueue, noAck: true, consumerTag: 'again' })
    await sides.asking.call(1, 'basic.cancel', { consumerTag: 'again' })
    sides.asking.publish(1, { routingKey: sides.queue, properties: { replyTo: pseudoQueue } })
    await sides.asking.expectChannelClose(1, 406, 'PRECONDITION_FAILED - fast reply consumer does not exist')
  })

  sentences.prove('a consumer of replies cannot acknowledge, and there is one per channel', async (stage) => {
    const client = await stage.client()
    client.send(1, 'basic.consume', { queue: pseudoQueue })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - reply consumer cannot acknowledge')
    await client.call(1, 'channel.open')
    await client.call(1, 'basic.consume', { queue: pseudoQueue, noAck: true })
    client.send(1, 'basic.consume', { queue: pseudoQueue, noAck: true })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - reply consumer already set')
  })

  sentences.prove('a request on a channel without a consumer of replies is 406', async (stage) => {
    const client = await stage.client()
    await client.call(2, 'channel.open')
    await client.call(2, 'basic.consume', { queue: pseudoQueue, noAck: true })
    client.publish(1, { routingKey: 'k', properties: { replyTo: pseudoQueue } })
    await client.expectChannelClose(1, 406, 'PRECONDITION_FAILED - fast reply consumer does not exist')
  })

  sentences.prove('an invented name leads to nobody', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'basic.consume', { queue: pseudoQueue, noAck: true })
    const routingKey = `${pseudoQueue}.${stage.name('invented')}`
    client.publish(1, { routingKey, mandatory: true, body: 'x' })
    await client.expect(1, 'basic.return')
    await client.call(1, 'basic.qos')
  })
}

function directReplyNames(sentences: Sentences): void {
  sentences.prove('a declare asks whether somebody waits for replies, and declares nothing', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    for (const queue of [pseudoQueue, replyTo]) {
      for (const passive of [true, false]) {
        const { args } = await sides.answering.call(1, 'queue.declare', { queue, passive })
        assert.deepEqual([args['queue'], args['messageCount'], args['consumerCount']], [queue, 0, 1])
      }
    }
    await sides.asking.call(1, 'channel.close', { replyCode: 200 })
    for (const passive of [true, false]) {
      sides.answering.send(1, 'queue.declare', { queue: replyTo, passive })
      const text = `NOT_FOUND - no queue '${replyTo}' in vhost '/'`
      await sides.answering.expectChannelClose(1, 404, text)
      await sides.answering.call(1, 'channel.open')
    }
  })

  sentences.prove('the queue of direct replies itself is none: get, purge and bind are 404', async (stage) => {
    const client = await stage.client()
    const queue = pseudoQueue
    for (const [name, args] of [
      ['basic.get', { queue }],
      ['queue.purge', { queue }],
      ['queue.bind', { queue, exchange: 'amq.direct' }],
    ] as const) {
      client.send(1, name, args)
      await client.expectChannelClose(1, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`)
      await client.call(1, 'channel.open')
    }
    assert.equal((await client.call(1, 'queue.delete', { queue })).args['messageCount'], 0)
  })

  sentences.prove('the name of a direct reply cannot be bound or unbound (403)', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    const text = 'ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue'
    for (const name of ['queue.bind', 'queue.unbind']) {
      sides.answering.send(1, name, { queue: replyTo, exchange: 'amq.direct', routingKey: 'k' })
      await sides.answering.expectChannelClose(1, 403, text)
      await sides.answering.call(1, 'channel.open')
    }
  })

  sentences.prove('nobody else takes what comes to the name of a direct reply', async (stage) => {
    const sides = await twoSides(stage)
    const { replyTo } = await request(sides)
    const shown = `queue '${replyTo}' in vhost '/'`
    const { asking, answering } = sides
    answering.send(1, 'basic.consume', { queue: replyTo, noAck: true })
    await answering.expectChannelClose(1, 406, `PRECONDITION_FAILED - only creator channel may consume from ${shown}`)
    answering.send(2, 'channel.open')
    await answering.expect(2, 'channel.open-ok')
    answering.send(2, 'basic.get', { queue: replyTo })
    await answering.expectConnectionClose(540, `NOT_IMPLEMENTED - basic.get not supported by volatile ${shown}`)
    asking.send(1, 'basic.consume', { queue: replyTo, noAck: true })
    await asking.expectChannelClose(1, 406, `PRECONDITION_FAILED - multiple consumers are unsupported for ${shown}`)
  })

  sentences.prove('a consumer of replies has a tag like any other', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    client.send(1, 'basic.consume', { queue: pseudoQueue, noAck: true, consumerTag: 'c' })
    await client.expectConnectionClose(530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'")
    const other = await stage.client()
    const made = await other.call(1, 'basic.consume', { queue: pseudoQueue, noAck: true })
    assert.match(String(made.args['consumerTag']), /^amq\.ctag-./)
  })
}

// ---------------------------------------------------------------- which check comes first

function orderOfChecks(sentences: Sentences): void {
  const wrong = {
    reply: { replyTo: pseudoQueue },
    expiration: { expiration: 'soon' },
    cc: { headers: { CC: 'text' } },
    user: { userId: 'somebody else' },
  }
  const texts = {
    reply: 'PRECONDITION_FAILED - fast reply consumer does not exist',
    expiration: "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
    cc: 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
    user: "PRECONDITION_FAILED - user_id property set to 'somebody else' but authenticated user was 'guest'",
  }

  sentences.prove('checks of a publish: whether the exchange exists, before anything in the message', async (stage) => {
    const client = await stage.client()
    const properties = { ...wrong.reply, ...wrong.expiration, ...wrong.cc, ...wrong.user }
    client.publish(1, { exchange: 'missing', routingKey: 'k', properties })
    await client.expectChannelClose(1, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
  })

  sentences.prove(
    'checks of a publish: whether the exchange is internal, before anything in the message',
    async (stage) => {
      const client = await stage.client()
      const exchange = stage.name('internal')
      await client.call(1, 'exchange.declare', { exchange, type: 'fanout', internal: true })
      const properties = { ...wrong.reply, ...wrong.expiration, ...wrong.cc, ...wrong.user }
      client.publish(1, { exchange, routingKey: 'k', properties })
      const text = `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`
      await client.expectChannelClose(1, 403, text)
      await client.call(1, 'channel.open')
      await client.call(1, 'exchange.delete', { exchange })
    },
  )

  const pairs: [string, keyof typeof wrong, keyof typeof wrong][] = [
    ['who gets the reply, before the expiration', 'reply', 'expiration'],
    ['the expiration, before the type of CC', 'expiration', 'cc'],
    ['the type of CC, before the user id', 'cc', 'user'],
    ['who gets the reply, before the user id', 'reply', 'user'],
  ]
  for (const [title, first, second] of pairs) {
    sentences.prove(`checks of a publish: ${title}`, async (stage) => {
      for (const size of [1, 5_000, 100_000]) {
        const client = await stage.client()
        client.publish(1, {
          routingKey: 'k',
          body: Buffer.alloc(size),
          properties: { ...wrong[first], ...wrong[second] },
        })
        await client.expectChannelClose(1, 406, texts[first])
      }
    })
  }

  sentences.prove('checks of a publish: the user id is that of the login', async (stage) => {
    const client = await stage.client()
    client.publish(1, { routingKey: 'k', properties: { userId: 'guest' } })
    client.publish(1, { routingKey: 'k', properties: wrong.user })
    await client.expectChannelClose(1, 406, texts.user)
  })

  sentences.prove('tx: properties are checked when the publish comes', async (stage) => {
    const client = await stage.client()
    await client.call(1, 'tx.select')
    client.publish(1, { routingKey: 'k', properties: wrong.cc })
    client.sendBytes(method(1, 'tx.commit'))
    await client.expectChannelClose(1, 406, texts.cc)
  })
}

function expirations(sentences: Sentences): void {
  const cases: [string, string][] = [
    ['', 'no_integer'],
    ['soon', 'no_integer'],
    [' 5', 'no_integer'],
    ['-', 'no_integer'],
    ['-1', '{value_negative,-1}'],
    ['1.5', '{leftover_string,".5"}'],
    ['10 ', '{leftover_string," "}'],
    ['5"\\', '{leftover_string,"\\"\\\\"}'],
    ['1\u0001', '{leftover_string,[1]}'],
    ['315360000001', '{value_too_large,315360000001}'],
    ['+0400000000000', '{value_too_large,400000000000}'],
  ]
  for (const [expiration, reason] of cases) {
    sentences.prove(`an expiration of ${JSON.stringify(expiration)} is 406`, async (stage) => {
      const client = await stage.client()
      client.publish(1, { routingKey: 'k', properties: { expiration } })
      const text = `PRECONDITION_FAILED - invalid expiration '${expiration}': ${reason}`
      await client.expectChannelClose(1, 406, text)
    })
  }

  sentences.prove('an expiration may have a sign and zeros in front, and is at most ten years', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    for (const expiration of ['+60000', '0060000', '315360000000']) {
      client.publish(1, { routingKey: queue, body: expiration, properties: { expiration } })
      assert.equal((await client.get(1, queue))?.properties['expiration'], expiration)
    }
  })
}
