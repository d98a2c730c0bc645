/** Content in its frames, field values as they came, and channels: what may come in which order. */
import assert from 'node:assert/strict'
import {
  content,
  frame,
  frameBody,
  frameHeader,
  frameHeartbeat,
  headerPayload,
  longString,
  method,
  type Properties,
  rawTable,
  shortString,
  typed,
} from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'

export function contentAndChannels(sentences: Sentences): void {
  framing(sentences)
  values(sentences)
  channels(sentences)
}

function framing(sentences: Sentences): void {
  sentences.prove('a frame that does not end in 0xCE is 501', async (stage) => {
    const client = await stage.client()
    const bytes = method(1, 'basic.qos', { prefetchCount: 1 })
    bytes[bytes.length - 1] = 0xcd
    client.sendBytes(bytes)
    await client.expectConnectionClose(501, /^FRAME_ERROR - /)
  })

  sentences.prove('a frame of unknown type is 501', async (stage) => {
    const client = await stage.client()
    client.sendFrame(7, 1, Buffer.from('x'))
    await client.expectConnectionClose(501, /^FRAME_ERROR - /)
  })

  sentences.prove('an empty body has no body frame, in either direction', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('empty')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: '', properties: { messageId: 'm' } })
    client.publish(1, { routingKey: queue, body: 'next' })
    const first = await client.get(1, queue)
    assert.deepEqual([first?.body.length, first?.properties], [0, { messageId: 'm' }])
    assert.equal((await client.get(1, queue))?.body.toString(), 'next')
  })

  sentences.prove('a body may come in frames of any size', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('pieces')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const body = Buffer.from('a body cut into pieces of growing length')
    client.send(1, 'basic.publish', { routingKey: queue })
    client.sendFrame(frameHeader, 1, headerPayload({}, body.length))
    for (let at = 0, size = 1; at < body.length; at += size, size += 1) {
      client.sendFrame(frameBody, 1, body.subarray(at, at + size))
    }
    assert.deepEqual((await client.get(1, queue))?.body, body)
  })

  sentences.prove('a body is delivered in full frames, all but the last: some clients count them', async (stage) => {
    const client = await stage.client({ frameMax: 8192 })
    const queue = stage.name('full-frames')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    for (const bytes of [8184, 8185, 300_000]) {
      client.publish(1, { routingKey: queue, body: Buffer.alloc(bytes), properties: { deliveryMode: 2 } })
      const frames = (await client.get(1, queue))?.bodyFrames
      assert.deepEqual([...new Set(frames?.slice(0, -1))], bytes > 8184 ? [8184] : [], `of ${bytes} bytes`)
      assert.equal(frames?.length, Math.ceil(bytes / 8184))
    }
  })

  sentences.prove('contents of two channels may be interleaved', async (stage) => {
    const client = await stage.client()
    await client.call(2, 'channel.open')
    const queue = stage.name('interleaved')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    for (const channel of [1, 2]) client.send(channel, 'basic.publish', { routingKey: queue })
    for (const channel of [2, 1]) client.sendFrame(frameHeader, channel, headerPayload({}, 6))
    client.sendFrame(frameBody, 1, Buffer.from('one'))
    client.sendFrame(frameBody, 2, Buffer.from('TWOTWO'))
    client.sendFrame(frameBody, 1, Buffer.from('one'))
    await client.call(1, 'basic.qos')
    await client.call(2, 'basic.qos')
    assert.deepEqual((await client.drain(1, queue)).sort(), ['TWOTWO', 'oneone'])
  })

  const outOfOrder: readonly { what: string; frames: readonly Buffer[] }[] = [
    {
      what: 'a method where the content header should be',
      frames: [method(1, 'basic.publish'), method(1, 'basic.qos')],
    },
    {
      what: 'a body where the content header should be',
      frames: [method(1, 'basic.publish'), frame(frameBody, 1, Buffer.from('x'))],
    },
    {
      what: 'a method where the body should be',
      frames: [method(1, 'basic.publish'), frame(frameHeader, 1, headerPayload({}, 1)), method(1, 'basic.qos')],
    },
    {
      what: 'a second header where the body should be',
      frames: [
        method(1, 'basic.publish'),
        frame(frameHeader, 1, headerPayload({}, 1)),
        frame(frameHeader, 1, headerPayload({}, 1)),
      ],
    },
    { what: 'a header without a method', frames: [frame(frameHeader, 1, headerPayload({}, 1))] },
    { what: 'a body without a method', frames: [frame(frameBody, 1, Buffer.from('x'))] },
    {
      what: 'a content header of another class',
      frames: [
        method(1, 'basic.publish'),
        frame(frameHeader, 1, Buffer.from('003200000000000000000001'.concat('0000'), 'hex')),
      ],
    },
    { what: 'a heartbeat on a channel other than 0', frames: [frame(frameHeartbeat, 1, Buffer.alloc(0))] },
  ]
  for (const { what, frames } of outOfOrder) {
    sentences.prove(`${what} is 505`, async (stage) => {
      const client = await stage.client()
      client.sendBytes(...frames)
      await client.expectConnectionClose(505, /^UNEXPECTED_FRAME - /)
    })
  }

  sentences.prove('more body than the header announced is 501', async (stage) => {
    const client = await stage.client()
    client.sendBytes(
      method(1, 'basic.publish'),
      frame(frameHeader, 1, headerPayload({}, 3)),
      frame(frameBody, 1, Buffer.from('four')),
    )
    await client.expectConnectionClose(501, /^FRAME_ERROR - /)
  })

  sentences.prove('a body of 8 MiB comes back as it was', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('large')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const body = Buffer.alloc(8 * 1024 * 1024)
    for (let i = 0; i < body.length; i += 4) body.writeUInt32LE(i, i)
    client.publish(1, { routingKey: queue, body, properties: { deliveryMode: 2 } })
    const back = await client.get(1, queue)
    assert.ok(back?.body.equals(body), `${back?.body.length} bytes came back, or others`)
  })
}

function values(sentences: Sentences): void {
  sentences.prove('all fourteen properties are kept as given', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('properties')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const properties: Properties = {
      contentType: 'text/plain',
      contentEncoding: 'gzip',
      headers: { a: 'b' },
      deliveryMode: 2,
      priority: 7,
      correlationId: 'c-1',
      replyTo: 'answers',
      messageId: 'm-1',
      timestamp: 1_700_000_000,
      type: 'greeting',
      userId: stage.address.user,
      appId: 'tests',
      clusterId: 'here',
      expiration: '3600000',
    }
    client.publish(1, { routingKey: queue, body: 'x', properties })
    assert.deepEqual((await client.get(1, queue))?.properties, properties)
  })

  sentences.prove('header values of every type keep their wire type', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('field-types')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const fields: readonly [string, Buffer][] = [
      ['t', Buffer.from([1])],
      ['b', Buffer.from([0x80])],
      ['B', Buffer.from([0xff])],
      ['s', Buffer.from('8001', 'hex')],
      ['u', Buffer.from('ffff', 'hex')],
      ['I', Buffer.from('80000001', 'hex')],
      ['i', Buffer.from('ffffffff', 'hex')],
      ['l', Buffer.from('8000000000000001', 'hex')],
      ['f', Buffer.from('3fc00000', 'hex')],
      ['d', Buffer.from('3ff8000000000000', 'hex')],
      ['D', Buffer.from('0200000064', 'hex')],
      ['S', longString('text in UTF-8: żółw')],
      [
        'A',
        Buffer.concat([
          Buffer.from('00000009', 'hex'),
          Buffer.from('I'),
          Buffer.from('00000005', 'hex'),
          Buffer.from('t\x01V', 'latin1'),
          Buffer.from('V'),
        ]),
      ],
      ['T', Buffer.from('0000000065535f00', 'hex')],
      ['F', Buffer.concat([Buffer.from('00000004', 'hex'), shortString('k'), Buffer.from('t\x00', 'latin1')])],
      ['x', longString(Buffer.from([0, 1, 254, 255]))],
      ['V', Buffer.alloc(0)],
    ]
    const bytes = Buffer.concat(fields.flatMap(([tag, value]) => [shortString(`key-${tag}`), Buffer.from(tag), value]))
    client.publish(1, { routingKey: queue, body: 'x', properties: { headers: rawTable(bytes) } })
    const back = await client.get(1, queue)
    assert.equal(back?.rawProperties.subarray(6).toString('hex'), bytes.toString('hex'))
  })

  sentences.prove('a field of type L is a signed 64-bit number', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('field-L')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, properties: { headers: { n: typed('L', -5) } } })
    assert.deepEqual((await client.get(1, queue))?.properties, { headers: { n: -5 } })
  })

  sentences.prove('header keys that are names of object members are keys like any others', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('keys')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const bytes = Buffer.concat(keys.flatMap((key) => [shortString(key), Buffer.from('t\x01', 'latin1')]))
    client.publish(1, { routingKey: queue, properties: { headers: rawTable(bytes) } })
    assert.equal((await client.get(1, queue))?.rawProperties.subarray(6).toString('hex'), bytes.toString('hex'))
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: rawTable(bytes) })
  })

  sentences.prove(
    'an argument table that cannot be read ends the connection, and nobody else notices',
    async (stage) => {
      const canary = await stage.client()
      const broken: readonly Buffer[] = [
        Buffer.concat([shortString('k'), Buffer.from('?'), Buffer.from('1')]),
        Buffer.concat([shortString('k'), Buffer.from('S'), Buffer.from('7fffffff', 'hex')]),
        Buffer.concat([Buffer.from([200]), Buffer.from('short')]),
      ]
      for (const bytes of broken) {
        const client = await stage.client()
        client.send(1, 'queue.declare', { queue: stage.name('broken'), exclusive: true, arguments: rawTable(bytes) })
        const close = await client.expect(0, 'connection.close')
        assert.ok([501, 502].includes(Number(close.args['replyCode'])), `reply code ${close.args['replyCode']}`)
      }
      await canary.call(1, 'basic.qos')
    },
  )

  sentences.prove('a table nested ten thousand deep harms nobody else', async (stage) => {
    const canary = await stage.client()
    let bytes = Buffer.alloc(0)
    for (let depth = 0; depth < 10_000; depth += 1) {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      bytes = Buffer.concat([shortString('k'), Buffer.from('F'), length, bytes])
    }
    const client = await stage.client()
    client.publish(1, { routingKey: 'nowhere', properties: { headers: rawTable(bytes) } })
    client.send(1, 'queue.declare', { queue: stage.name('deep'), exclusive: true, arguments: rawTable(bytes) })
    await client.nextOnAny()
    await canary.call(1, 'basic.qos')
  })
}

function channels(sentences: Sentences): void {
  sentences.prove('a client may open, declare, publish and get without waiting for answers', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('lockstep')
    client.sendBytes(
      method(2, 'channel.open'),
      method(2, 'queue.declare', { queue, exclusive: true }),
      method(2, 'basic.publish', { routingKey: queue }),
      content(2, {}, Buffer.from('first'), 100),
      method(2, 'basic.get', { queue, noAck: true }),
      method(2, 'queue.delete', { queue }),
      method(2, 'channel.close', { replyCode: 200 }),
    )
    await client.expect(2, 'channel.open-ok')
    await client.expect(2, 'queue.declare-ok')
    assert.equal((await client.expect(2, 'basic.get-ok')).body.toString(), 'first')
    await client.expect(2, 'queue.delete-ok')
    await client.expect(2, 'channel.close-ok')
  })

  sentences.prove('answers on one channel come in the order of the requests', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('order')
    const exchange = stage.name('order')
    client.sendBytes(
      method(1, 'queue.declare', { queue, durable: true }),
      method(1, 'queue.declare', { queue, passive: true }),
      method(1, 'exchange.declare', { exchange, type: 'fanout' }),
      method(1, 'queue.bind', { queue, exchange }),
      method(1, 'confirm.select'),
      method(1, 'basic.qos'),
      method(1, 'basic.get', { queue, noAck: true }),
      method(1, 'queue.purge', { queue }),
      method(1, 'queue.unbind', { queue, exchange }),
      method(1, 'exchange.delete', { exchange }),
      method(1, 'queue.delete', { queue }),
      method(1, 'channel.close', { replyCode: 200 }),
    )
    const names = ['queue.declare', 'queue.declare', 'exchange.declare', 'queue.bind', 'confirm.select', 'basic.qos']
    for (const name of names) await client.expect(1, `${name}-ok`)
    await client.expect(1, 'basic.get-empty')
    for (const name of ['queue.purge', 'queue.unbind', 'exchange.delete', 'queue.delete']) {
      await client.expect(1, `${name}-ok`)
    }
    await client.expect(1, 'channel.close-ok')
  })

  sentences.prove(
    'after the server closed a channel everything on it is dropped but close and close-ok',
    async (stage) => {
      const client = await stage.client()
      const queue = stage.name('dropped')
      await client.call(1, 'queue.declare', { queue, exclusive: true })
      client.send(1, 'queue.declare', { queue: stage.name('missing'), passive: true })
      await client.expect(1, 'channel.close')
      client.publish(1, { routingKey: queue, body: 'dropped' })
      client.send(1, 'basic.ack', { deliveryTag: 7 })
      client.send(1, 'channel.close-ok')
      await client.call(2, 'channel.open')
      const { args } = await client.call(2, 'queue.declare', { queue, passive: true })
      assert.equal(args['messageCount'], 0)
    },
  )

  sentences.prove('a publish that was half sent when the server closed its channel is dropped', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('half')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.send(1, 'queue.declare', { queue: stage.name('missing'), passive: true })
    client.send(1, 'basic.publish', { routingKey: queue })
    client.sendFrame(frameHeader, 1, headerPayload({}, 5))
    await client.expectChannelClose(1, 404, /no queue/)
    await client.call(1, 'channel.open')
    client.publish(1, { routingKey: queue, body: 'whole' })
    assert.deepEqual(await client.drain(1, queue), ['whole'])
  })

  sentences.prove('close from both sides at once is answered and ends the channel', async (stage) => {
    const client = await stage.client()
    client.send(1, 'queue.declare', { queue: stage.name('missing'), passive: true })
    client.send(1, 'channel.close', { replyCode: 200 })
    await client.expect(1, 'channel.close')
    client.send(1, 'channel.close-ok')
    await client.expect(1, 'channel.close-ok')
    await client.call(1, 'channel.open')
  })

  sentences.prove('the number of a channel may be used again as soon as it is closed', async (stage) => {
    const client = await stage.client()
    for (let round = 0; round < 20; round += 1) {
      await client.call(1, 'channel.close', { replyCode: 200 })
      await client.call(1, 'channel.open')
      client.send(1, 'queue.declare', { queue: 'no such queue', passive: true })
      await client.expectChannelClose(1, 404, /no queue/)
      await client.call(1, 'channel.open')
    }
  })

  sentences.prove('an ack on a channel that the server has closed does not end the connection', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('late-ack')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: 'x' })
    const got = await client.get(1, queue, { noAck: false })
    client.send(1, 'queue.declare', { queue: stage.name('missing'), passive: true })
    client.send(1, 'basic.ack', { deliveryTag: got?.args['deliveryTag'] ?? 0 })
    await client.expectChannelClose(1, 404, /no queue/)
    await client.call(2, 'channel.open')
  })

  sentences.prove('a channel may have any number up to channel_max', async (stage) => {
    const client = await stage.client()
    await client.call(2047, 'channel.open')
    await client.call(2047, 'basic.qos')
  })

  sentences.prove('more channels than channel_max are 530', async (stage) => {
    const client = await stage.client({ channelMax: 2 })
    await client.call(2, 'channel.open')
    client.send(3, 'channel.open')
    const text = 'NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)'
    await client.expectConnectionClose(530, text)
  })
}
