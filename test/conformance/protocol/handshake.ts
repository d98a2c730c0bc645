/** From the first byte to an open vhost, and frames as such: the sentences of a connection. */
import assert from 'node:assert/strict'
import { fullCapabilities, plainResponse, protocolHeader, RawClient } from '../../support/amqp/raw-client.ts'
import {
  frame,
  frameBody,
  frameHeader,
  frameMethod,
  headerPayload,
  type Table,
  table,
  typed,
} from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'

const header = (...octets: number[]): Buffer => Buffer.concat([Buffer.from('AMQP'), Buffer.from(octets)])
const refusedLogin =
  'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'
const withoutCapabilities = { product: 'raw test client' }

export function handshake(sentences: Sentences): void {
  greeting(sentences)
  login(sentences)
  tuning(sentences)
  opening(sentences)
}

function greeting(sentences: Sentences): void {
  sentences.prove('accepts the protocol header AMQP 0 0 9 1', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(header(0, 0, 9, 1))
    await client.expect(0, 'connection.start')
  })

  sentences.prove('accepts the protocol header AMQP 1 1 0 9 as if it were 0-9-1', async (stage) => {
    const client = await stage.client({ header: header(1, 1, 0, 9) })
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
  })

  for (const wrong of [header(0, 0, 8, 0), header(3, 1, 0, 0), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
    const shown = JSON.stringify(wrong.toString('latin1').slice(0, 8))
    sentences.prove(`answers the wrong header ${shown} with AMQP 0 0 9 1, then closes`, async (stage) => {
      const client = await stage.dial()
      client.readUnframed()
      client.sendBytes(wrong)
      await client.expect(0, 'end')
      assert.deepEqual(client.unframed, protocolHeader)
    })
  }

  sentences.prove('a header may come byte by byte', async (stage) => {
    const client = await stage.dial()
    for (const octet of protocolHeader) {
      client.sendBytes(Buffer.from([octet]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await client.expect(0, 'connection.start')
  })

  sentences.prove(
    'connection.start names version 0.9, space-separated mechanisms and the locale en_US',
    async (stage) => {
      const client = await stage.dial()
      client.sendBytes(protocolHeader)
      const { args } = await client.expect(0, 'connection.start')
      assert.deepEqual([args['versionMajor'], args['versionMinor']], [0, 9])
      assert.equal(args['locales'], 'en_US')
      const mechanisms = String(args['mechanisms']).split(' ')
      assert.ok(mechanisms.includes('PLAIN') && mechanisms.includes('AMQPLAIN'), `mechanisms: ${mechanisms.join(', ')}`)
    },
  )

  sentences.prove('server-properties say what the server is and which capabilities it has', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    const { args } = await client.expect(0, 'connection.start')
    const { capabilities, ...about } = args['serverProperties'] as Table
    for (const key of ['product', 'version', 'platform', 'copyright', 'information', 'cluster_name']) {
      assert.equal(typeof about[key], 'string', `server-properties.${key}`)
    }
    assert.match(String(about['version']), /^\d+\.\d+\.\d+/, 'clients parse the version as a triple of numbers')
    for (const key of [
      'publisher_confirms',
      'exchange_exchange_bindings',
      'basic.nack',
      'consumer_cancel_notify',
      'connection.blocked',
      'consumer_priorities',
      'authentication_failure_close',
      'per_consumer_qos',
      'direct_reply_to',
    ]) {
      assert.equal((capabilities as Table)[key], true, `capability ${key}`)
    }
  })
}

function login(sentences: Sentences): void {
  sentences.prove('logs in by AMQPLAIN', async (stage) => {
    const credentials = table({ LOGIN: stage.address.user, PASSWORD: stage.address.password }).subarray(4)
    await stage.client({ mechanism: 'AMQPLAIN', response: credentials })
  })

  sentences.prove(
    'a failed login closes with 403 for a client that has authentication_failure_close',
    async (stage) => {
      const client = await stage.dial()
      client.sendBytes(protocolHeader)
      await client.expect(0, 'connection.start')
      client.send(0, 'connection.start-ok', {
        clientProperties: { capabilities: { authentication_failure_close: true } },
        mechanism: 'PLAIN',
        response: plainResponse('guest', 'not the password'),
        locale: 'en_US',
      })
      const close = await client.expect(0, 'connection.close')
      assert.equal(close.args['replyCode'], 403)
      assert.equal(close.args['replyText'], refusedLogin)
    },
  )

  sentences.prove('a failed login just closes for a client without authentication_failure_close', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    await client.expect(0, 'connection.start')
    client.send(0, 'connection.start-ok', {
      clientProperties: withoutCapabilities,
      mechanism: 'PLAIN',
      response: plainResponse('nobody', 'x'),
      locale: 'en_US',
    })
    await client.expect(0, 'end')
  })

  sentences.prove('an unknown user and a wrong password get the same answer', async (stage) => {
    const replies: unknown[] = []
    for (const response of [plainResponse('nobody-at-all', 'guest'), plainResponse('guest', 'wrong')]) {
      const client = await stage.dial()
      client.sendBytes(protocolHeader)
      await client.expect(0, 'connection.start')
      const clientProperties = { capabilities: fullCapabilities }
      client.send(0, 'connection.start-ok', { clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' })
      replies.push((await client.expect(0, 'connection.close')).args)
    }
    assert.deepEqual(replies[0], replies[1])
  })

  sentences.prove('an unknown mechanism is 503', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    await client.expect(0, 'connection.start')
    const clientProperties = { capabilities: fullCapabilities }
    client.send(0, 'connection.start-ok', { clientProperties, mechanism: 'TELEPATHY', response: 'x', locale: 'en_US' })
    await client.expectConnectionClose(503, /^COMMAND_INVALID - unknown authentication mechanism 'TELEPATHY'/)
  })

  sentences.prove('a PLAIN response that is none is 502', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    await client.expect(0, 'connection.start')
    const clientProperties = { capabilities: fullCapabilities }
    client.send(0, 'connection.start-ok', { clientProperties, mechanism: 'PLAIN', response: 'x', locale: 'en_US' })
    await client.expectConnectionClose(502, /^SYNTAX_ERROR - /)
  })
}

function tuning(sentences: Sentences): void {
  sentences.prove('tune offers frame_max 131072, channel_max 2047 and heartbeat 60', async (stage) => {
    const client = await stage.dial()
    const { tune } = await client.logIn(stage.address)
    assert.deepEqual(tune.args, { channelMax: 2047, frameMax: 131_072, heartbeat: 60 })
  })

  const refused: readonly { what: string; tune: { frameMax?: number; channelMax?: number }; text: RegExp }[] = [
    {
      what: 'a frame_max of 0 (no limit)',
      tune: { frameMax: 0 },
      text: /^NOT_ALLOWED - negotiated frame_max = 0( \(no limit\))? is higher than the maximum allowed value \(131072\)$/,
    },
    {
      what: 'a frame_max above the one offered',
      tune: { frameMax: 131_073 },
      text: /^NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value \(131072\)$/,
    },
    {
      what: 'a frame_max below 4096',
      tune: { frameMax: 4095 },
      text: /^NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value \(4096\)$/,
    },
    {
      what: 'a channel_max of 0 (no limit)',
      tune: { channelMax: 0 },
      text: /^NOT_ALLOWED - negotiated channel_max = 0( \(no limit\))? is higher than the maximum allowed value \(2047\)$/,
    },
    {
      what: 'a channel_max above the one offered',
      tune: { channelMax: 2048 },
      text: /^NOT_ALLOWED - negotiated channel_max = 2048 is higher than the maximum allowed value \(2047\)$/,
    },
  ]
  for (const { what, tune, text } of refused) {
    sentences.prove(`tune-ok with ${what} is 530`, async (stage) => {
      const client = await stage.dial()
      await client.logIn(stage.address, tune)
      await client.expectConnectionClose(530, text)
    })
  }

  sentences.prove('accepts frame_max 4096 and sends no frame above it', async (stage) => {
    const client = await stage.client({ frameMax: 4096 })
    const queue = stage.name('small-frames')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const body = Buffer.alloc(20_000, 'abc')
    client.publish(1, { routingKey: queue, body })
    client.readUnframed()
    client.send(1, 'basic.get', { queue, noAck: true })
    let sizes: number[] = []
    for (const deadline = Date.now() + 5_000; Date.now() < deadline && sizes.length < 7; ) {
      await new Promise((resolve) => setImmediate(resolve))
      sizes = frameSizes(client.unframed)
    }
    assert.deepEqual(sizes.slice(2), [4096, 4096, 4096, 4096, 20_000 - 4 * 4088 + 8])
  })

  sentences.prove('a frame may be eight octets longer than agreed, as clients get it wrong', async (stage) => {
    const client = await stage.client({ frameMax: 4096 })
    const queue = stage.name('forgiven')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.send(1, 'basic.publish', { routingKey: queue })
    client.sendFrame(frameHeader, 1, headerPayload({}, 4096))
    client.sendFrame(frameBody, 1, Buffer.alloc(4096, 'x'))
    assert.equal((await client.get(1, queue))?.body.length, 4096)
  })

  sentences.prove('a frame longer than that is 501', async (stage) => {
    const client = await stage.client({ frameMax: 4096 })
    client.send(1, 'basic.publish', { routingKey: 'nowhere' })
    client.sendFrame(frameHeader, 1, headerPayload({}, 4097))
    client.sendFrame(frameBody, 1, Buffer.alloc(4097, 'x'))
    await client.expectConnectionClose(501, /^FRAME_ERROR - /)
  })

  sentences.prove('before login a frame of 8192 octets is read', async (stage) => {
    await stage.client({ clientProperties: { padding: 'x'.repeat(7900), capabilities: fullCapabilities } })
  })

  sentences.prove('before login a frame above 8192 octets ends the connection', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    await client.expect(0, 'connection.start')
    client.sendFrame(frameMethod, 0, Buffer.alloc(20_000))
    for (let one = await client.next(0); one.name !== 'end'; one = await client.next(0)) {
      assert.equal(one.name, 'connection.close')
    }
  })

  sentences.prove('a frame that says it has 4 GiB ends the connection at once', async (stage) => {
    const client = await stage.client()
    client.sendBytes(Buffer.from([frameBody, 0, 1, 0xff, 0xff, 0xff, 0xff]))
    await client.expectConnectionClose(501, /^FRAME_ERROR - /)
  })
}

function opening(sentences: Sentences): void {
  sentences.prove('connection.open of a missing vhost is 530', async (stage) => {
    const client = await stage.dial()
    await client.logIn(stage.address)
    client.send(0, 'connection.open', { vhost: 'no such vhost' })
    await client.expectConnectionClose(530, 'NOT_ALLOWED - vhost no such vhost not found')
  })

  sentences.prove('a client may send everything up to its first publish without waiting', async (stage) => {
    const observer = await stage.client()
    const queue = stage.name('pipelined')
    await observer.call(1, 'queue.declare', { queue, exclusive: false, autoDelete: true })
    await observer.call(1, 'basic.consume', { queue, noAck: true })
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    client.send(0, 'connection.start-ok', {
      clientProperties: withoutCapabilities,
      mechanism: 'PLAIN',
      response: plainResponse(stage.address.user, stage.address.password),
      locale: 'en_US',
    })
    client.send(0, 'connection.tune-ok', { channelMax: 10, frameMax: 8192, heartbeat: 0 })
    client.send(0, 'connection.open', { vhost: '/' })
    client.send(7, 'channel.open')
    client.publish(7, { routingKey: queue, body: 'early' })
    const delivered = await observer.expect(1, 'basic.deliver')
    assert.equal(delivered.body.toString(), 'early')
  })

  sentences.prove('connection.close deletes exclusive queues before it is answered', async (stage) => {
    const queue = stage.name('exclusive')
    for (let round = 0; round < 5; round += 1) {
      const owner = await RawClient.withChannel(stage.address)
      await owner.call(1, 'queue.declare', { queue, exclusive: true })
      await owner.close()
    }
    const other = await stage.client()
    other.send(1, 'queue.declare', { queue, passive: true })
    await other.expectChannelClose(1, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`)
  })

  sentences.prove('connection.close from the client finishes the work sent before it', async (stage) => {
    const keeper = await stage.client()
    const queue = stage.name('kept')
    await keeper.call(1, 'queue.declare', { queue, autoDelete: true })
    const publisher = await stage.client()
    for (let i = 0; i < 100; i += 1) publisher.publish(1, { routingKey: queue, body: String(i) })
    await publisher.close()
    const bodies = await keeper.drain(1, queue)
    assert.deepEqual(
      bodies,
      Array.from({ length: 100 }, (_, i) => String(i)),
    )
    await keeper.call(1, 'queue.delete', { queue })
  })

  sentences.prove('connection.update-secret is answered and the connection goes on', async (stage) => {
    const client = await stage.client()
    await client.call(0, 'connection.update-secret', { newSecret: stage.address.password, reason: 'rotation' })
    await client.call(1, 'basic.qos', { prefetchCount: 1 })
  })

  sentences.prove('a client may cut its frames anywhere', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('cut')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const body = Buffer.from('a body in one piece')
    const bytes = client.publishBytes(1, { routingKey: queue, body, properties: { headers: { n: typed('s', 7) } } })
    for (let at = 0; at < bytes.length; at += 1) {
      client.sendBytes(bytes.subarray(at, at + 1))
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.deepEqual((await client.get(1, queue))?.body, body)
  })

  sentences.prove('two methods in one packet are two methods', async (stage) => {
    const client = await stage.client()
    const qos = Buffer.from('003c000a00000000000100', 'hex')
    client.sendBytes(frame(frameMethod, 1, qos), frame(frameMethod, 1, qos))
    await client.expectMany(1, 'basic.qos-ok', 2)
  })
}

function frameSizes(bytes: Buffer): number[] {
  const sizes: number[] = []
  for (let at = 0; at + 7 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at + 3) + 8
    if (at + size > bytes.length) break
    sizes.push(size)
    at += size
  }
  return sizes
}
