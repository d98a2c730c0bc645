import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { decodeProperties } from '../../../src/amqp/content-header.ts'
import { tableOf } from '../../../src/amqp/field-table.ts'
import { encodeBodyFrames, encodeHeaderFrame } from '../../../src/amqp/frame-encoder.ts'
import { basicGet, basicQos, confirmSelect, publishBytes, queueDeclare, turns } from '../../support/memory-client.ts'
import { fakeHarness } from '../../support/server-harness.ts'

function textOf({ body }: { body: Uint8Array | null }): string {
  return Buffer.from(body ?? []).toString()
}

describe('content', () => {
  const body = 'a body of some length'

  it('arrives whole, cut at every byte, small or in several frames', async () => {
    const forms = [
      publishBytes(1, { routingKey: 'q', properties: { contentType: 'text/plain', deliveryMode: 2 } }, body),
      publishBytes(1, { routingKey: 'q', frameBytesMax: 12 }, body),
      publishBytes(1, { routingKey: 'q' }, ''),
    ]
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c', { noAck: true })
    for (const [form, bytes] of forms.entries()) {
      for (let cut = 1; cut < bytes.length; cut++) {
        client.bytes(bytes.subarray(0, cut))
        client.bytes(bytes.subarray(cut))
        const delivered = await client.next('basic.deliver')
        assert.equal(textOf(delivered), form === 2 ? '' : body, `form ${form} cut at ${cut}`)
      }
    }
  })

  it('arrives whole in single bytes, between frames of another channel', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.openChannel(2)
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c', { noAck: true })
    const one = publishBytes(1, { routingKey: 'q', frameBytesMax: 14 }, body)
    const two = publishBytes(2, { routingKey: 'q' }, 'other')
    for (const octet of one) client.bytes(Uint8Array.of(octet))
    assert.equal(textOf(await client.next('basic.deliver')), body)
    // Frame by frame, one of each channel in turn.
    const framesOf = (bytes: Uint8Array): Uint8Array[] => {
      const frames: Uint8Array[] = []
      for (let at = 0; at < bytes.length; ) {
        const size = Buffer.from(bytes).readUInt32BE(at + 3) + 8
        frames.push(bytes.subarray(at, at + size))
        at += size
      }
      return frames
    }
    const others = framesOf(two)
    client.bytes(Buffer.concat(framesOf(one).flatMap((frame, index) => [frame, others[index] ?? new Uint8Array(0)])))
    const texts = [textOf(await client.next('basic.deliver')), textOf(await client.next('basic.deliver'))]
    assert.deepEqual(texts.sort(), [body, 'other'])
  })

  it('of every size comes back as it went, cut to the receiver’s frames', async () => {
    const harness = fakeHarness()
    const publisher = await harness.channel()
    await publisher.declare(1, 'q')
    const consumer = await harness.channel({ frameMax: 4096 })
    await consumer.consume(1, 'q', 'c', { noAck: true })
    const properties = { contentType: 'application/octet-stream', headers: tableOf({ a: [1, 'two'] }), priority: 3 }
    for (const size of [0, 1, 4087, 4088, 4089, 5000, 65_535, 65_536, 65_537, 131_064, 131_065, 300_000]) {
      const sent = Buffer.alloc(size, size % 251)
      publisher.publish(1, { routingKey: 'q', properties }, sent)
      const heard = await consumer.next('basic.deliver')
      assert.ok(sent.equals(heard.body ?? Buffer.alloc(1)), `${size} bytes`)
      const { header } = heard
      assert.ok(header !== null)
      const { contentType, headers, priority, type } = decodeProperties(header, 0, header.length)
      assert.deepEqual([contentType, priority, type], ['application/octet-stream', 3, null])
      assert.deepEqual(headers?.bytes, properties.headers.bytes)
      assert.equal(heard.bodyFrames >= Math.ceil(size / 4088), true)
    }
    assert.ok(consumer.frameBytesSeen <= 4096)
    assert.ok(harness.broker.vhost.bodies.every(({ releases, isAbandoned }) => releases === 1 && !isAbandoned))
  })

  it('is persistent where it says so', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    for (const size of [1, 5000, 70_000]) {
      for (const deliveryMode of [1, 2, null]) {
        client.publish(1, { routingKey: 'q', properties: { deliveryMode, contentType: 'x' } }, Buffer.alloc(size))
      }
    }
    await turns()
    const flags = harness.broker.vhost.queue('q').entries.map(({ message }) => message.isPersistent)
    assert.deepEqual(flags, [false, true, false, false, true, false, false, true, false])
  })

  it('above the message size is refused at its header (406), and its frames are passed over', async () => {
    const client = await fakeHarness({ messageBytesMax: 1000 }).channel()
    await client.declare(1, 'q')
    client.publish(1, { routingKey: 'q', frameBytesMax: 100 }, Buffer.alloc(1001))
    await client.closesChannel(406, 'PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000')
    const huge = await fakeHarness().channel()
    const bytes = publishBytes(1, { routingKey: 'q' }, '')
    // The body size stands at the end of method frame + 7 + 4 bytes.
    const at = bytes.indexOf(2, 8 + 4 + 2 + 1 + 2 + 1) + 7 + 4
    bytes.fill(0xff, at, at + 8)
    huge.bytes(bytes)
    await huge.closesChannel(
      406,
      /^PRECONDITION_FAILED - message size \d+ is larger than configured max size 134217728$/,
    )
  })

  it('out of order is 505, too much of it 501', async () => {
    const method = publishBytes(1, { routingKey: 'q' }, '').subarray(0, 8 + 4 + 2 + 1 + 1 + 1 + 1)
    const frame = (build: (writer: ByteWriter) => void): Uint8Array => {
      const writer = new ByteWriter()
      build(writer)
      return Buffer.concat([method, writer.copy()])
    }
    const header = (classId: number, size: number): Uint8Array => {
      const bytes = Buffer.alloc(14)
      bytes.writeUInt16BE(classId, 0)
      bytes.writeUInt32BE(size, 8)
      return bytes
    }
    const body = (writer: ByteWriter, size: number): void => encodeBodyFrames(writer, 1, 4096, Buffer.alloc(size))
    const cases: [Uint8Array, number, string][] = [
      [
        frame((writer) => body(writer, 1)),
        505,
        'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead',
      ],
      [
        Buffer.concat([method, method]),
        505,
        'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead',
      ],
      [
        frame((writer) => encodeHeaderFrame(writer, 1, header(50, 0), 0, 14)),
        505,
        'UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead',
      ],
      [
        frame((writer) => {
          encodeHeaderFrame(writer, 1, header(60, 5000), 0, 14)
          writer.bytes(method)
        }),
        505,
        'UNEXPECTED_FRAME - expected content body, got non content body frame instead',
      ],
      [
        frame((writer) => {
          encodeHeaderFrame(writer, 1, header(60, 10), 0, 14)
          body(writer, 11)
        }),
        501,
        'FRAME_ERROR - content body frame exceeds remaining content size',
      ],
    ]
    for (const [bytes, code, text] of cases) {
      const client = await fakeHarness().channel()
      client.bytes(bytes)
      await client.closesConnection(code, text)
    }
  })

  it('in empty frames for ever is refused (501)', async () => {
    const client = await fakeHarness().channel()
    const bytes = publishBytes(1, { routingKey: 'q' }, Buffer.alloc(5000)).subarray(0, -5008)
    client.bytes(bytes)
    for (let count = 0; count < 65; count++) client.bytes(Uint8Array.of(3, 0, 1, 0, 0, 0, 0, 0xce))
    await client.closesConnection(501, /^FRAME_ERROR - more than 64 empty body frames$/)
  })

  it('in a frame that is too long or ends wrongly is 501, and nothing after it is read', async () => {
    const tooLong = await fakeHarness().channel({ frameMax: 4096 })
    tooLong.bytes(Uint8Array.of(3, 0, 1, 0, 0, 0x10, 0x01))
    const { method } = await tooLong.next('connection.close')
    assert.equal(method.replyCode, 501)
    await tooLong.closedByServer()
    const wrongEnd = await fakeHarness().channel()
    const bytes = publishBytes(1, { routingKey: 'q' }, 'x')
    bytes[bytes.length - 1] = 0
    wrongEnd.bytes(bytes)
    assert.equal((await wrongEnd.next('connection.close')).method.replyCode, 501)
    await wrongEnd.closedByServer()
  })

  it('takes frames as long as the payload may be, as RabbitMQ does', async () => {
    const client = await fakeHarness().channel({ frameMax: 4096 })
    await client.declare(1, 'q')
    client.publish(1, { routingKey: 'q', frameBytesMax: 4096 + 8 }, Buffer.alloc(4096))
    client.methods(1, queueDeclare('q', { passive: true }))
    assert.equal((await client.next('queue.declare-ok')).method.messageCount, 1)
  })
})

describe('publishing', () => {
  it('routes a form once and looks again when topology has changed', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'a')
    await client.declare(1, 'b')
    const { vhost } = harness.broker
    for (let count = 0; count < 10; count++) {
      client.publish(1, { routingKey: 'a' }, '1')
      client.publish(1, { routingKey: 'b' }, Buffer.alloc(5000))
    }
    await turns()
    assert.equal(vhost.resolves, 2)
    await client.declare(1, 'c')
    client.publish(1, { routingKey: 'a' }, '1')
    await turns()
    assert.equal(vhost.resolves, 3)
    assert.deepEqual([vhost.queue('a').ready.length, vhost.queue('b').ready.length], [11, 10])
  })

  it('confirms every publish by number, the unroutable ones too, after their return', async () => {
    const client = await fakeHarness().channel()
    await client.declare(1, 'q')
    client.methods(1, confirmSelect, confirmSelect)
    client.publish(1, { routingKey: 'q' }, '1')
    client.publish(1, { routingKey: 'nowhere', mandatory: true, properties: { messageId: 'm' } }, 'back')
    client.publish(1, { routingKey: 'nowhere' }, 'gone')
    await client.nextOf(2, 'confirm.select-ok')
    const returned = await client.next('basic.return')
    const { replyCode, replyText, exchange, routingKey } = returned.method
    assert.deepEqual(
      [replyCode, replyText, exchange, routingKey, textOf(returned)],
      [312, 'NO_ROUTE', '', 'nowhere', 'back'],
    )
    const { method } = await client.next('basic.ack')
    assert.deepEqual([method.deliveryTag, method.multiple], [3, true])
  })

  it('returns unroutable messages of every size whole', async () => {
    const client = await fakeHarness().channel()
    for (const size of [0, 100, 5000, 200_000]) {
      client.publish(1, { routingKey: 'nowhere', mandatory: true }, Buffer.alloc(size, 9))
      const { body } = await client.next('basic.return')
      assert.ok(Buffer.alloc(size, 9).equals(body ?? Buffer.alloc(1)))
      client.publish(1, { routingKey: 'nowhere' }, Buffer.alloc(size, 9))
    }
    client.methods(1, basicQos(0))
    await client.next('basic.qos-ok')
  })

  it('nacks what the broker refuses and acks the rest around it', async () => {
    const harness = fakeHarness()
    const { vhost } = harness.broker
    vhost.holdsConfirms = true
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.methods(1, confirmSelect)
    for (let count = 0; count < 5; count++) client.publish(1, { routingKey: 'q' }, 'x')
    await client.next('confirm.select-ok')
    await turns()
    for (const { sink, sequence } of vhost.confirms) {
      if (sequence === 3) sink.refuse(sequence)
      else sink.confirm(sequence)
    }
    const heard = [
      (await client.next('basic.ack')).method,
      (await client.next('basic.nack')).method,
      (await client.next('basic.ack')).method,
    ]
    assert.deepEqual(
      heard.map(({ deliveryTag, multiple }) => [deliveryTag, multiple]),
      [
        [2, true],
        [3, false],
        [5, true],
      ],
    )
  })

  it('to a missing exchange closes the channel (404), immediate the connection (540)', async () => {
    const missing = await fakeHarness().channel()
    missing.publish(1, { exchange: 'x', routingKey: 'k' }, 'a')
    const { method } = await missing.next('channel.close')
    assert.deepEqual([method.replyCode, method.classId, method.methodId], [404, 60, 40])
    assert.equal(method.replyText, "NOT_FOUND - no exchange 'x' in vhost '/'")
    const immediate = await fakeHarness().channel()
    immediate.publish(1, { routingKey: 'k', immediate: true }, 'a')
    await immediate.closesConnection(540, 'NOT_IMPLEMENTED - immediate=true')
  })

  it('refuses a foreign user-id and an expiration that is no number (406)', async () => {
    const cases: [object, string | RegExp][] = [
      [{ userId: 'boss' }, "PRECONDITION_FAILED - user_id property set to 'boss' but authenticated user was 'guest'"],
      [{ expiration: 'soon' }, /^PRECONDITION_FAILED - invalid expiration 'soon': /],
      [{ expiration: '-1' }, /^PRECONDITION_FAILED - invalid expiration '-1': /],
    ]
    for (const [properties, text] of cases) {
      for (const size of [1, 5000, 100_000]) {
        const client = await fakeHarness().channel()
        await client.declare(1, 'q')
        client.publish(1, { routingKey: 'q', properties }, Buffer.alloc(size))
        await client.closesChannel(406, text)
      }
    }
    const fine = await fakeHarness().channel()
    await fine.declare(1, 'q')
    fine.publish(1, { routingKey: 'q', properties: { userId: 'guest', expiration: '60000' } }, 'x')
    fine.methods(1, basicGet('q'))
    await fine.next('basic.get-ok')
  })

  it('abandons a large body whose publish does not come', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.bytes(publishBytes(1, { routingKey: 'q' }, Buffer.alloc(100_000)).subarray(0, -20_000))
    client.bytes(publishBytes(1, { routingKey: 'q' }, Buffer.alloc(100_000)).subarray(0, 60_000))
    await turns()
    client.socket.destroy()
    await turns()
    assert.deepEqual(
      harness.broker.vhost.bodies.map(({ isAbandoned }) => isAbandoned),
      [true],
    )
    assert.equal(harness.broker.vhost.queue('q').entries.length, 0)
  })
})
