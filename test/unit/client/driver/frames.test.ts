import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeProperties } from '../../../../src/amqp/content-header.ts'
import { FrameDecoder, FrameTypes } from '../../../../src/amqp/frame-decoder.ts'
import { decodeMethod, Methods } from '../../../../src/amqp/methods.generated.ts'
import type { OutgoingMessage } from '../../../../src/client/driver/driver.ts'
import { FrameSplitter } from '../../../../src/client/driver/frame-splitter.ts'
import { MessageWriter } from '../../../../src/client/driver/message-writer.ts'
import type { TableValue } from '../../../../src/client/driver/properties.ts'
import { deliverFrames } from './scripted-broker.ts'

function outgoing(message: Partial<OutgoingMessage>): OutgoingMessage {
  return { exchange: '', routingKey: 'q', isMandatory: false, properties: {}, body: new Uint8Array(0), ...message }
}

describe('cutting frames', () => {
  const bytes = Buffer.concat([
    deliverFrames(1, 'one', new Uint8Array(0), {}),
    deliverFrames(2, 'two', new Uint8Array(9).fill(1), { messageId: 'm' }),
  ])

  function cut(...chunks: Uint8Array[]): string[] {
    const found: string[] = []
    const splitter = new FrameSplitter(4_096, (frame) => found.push(Buffer.from(frame).toString('hex')))
    for (const chunk of chunks) splitter.push(chunk)
    return found
  }

  it('finds the same frames wherever what comes is cut, in two pieces and in three', () => {
    const whole = cut(bytes)
    assert.equal(whole.length, 5)
    assert.equal(whole.join(''), bytes.toString('hex'))
    for (let first = 0; first <= bytes.length; first++) {
      assert.deepEqual(cut(bytes.subarray(0, first), bytes.subarray(first)), whole)
      for (let second = first; second <= Math.min(first + 9, bytes.length); second++) {
        const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
        assert.deepEqual(cut(...pieces), whole)
      }
    }
  })

  it('refuses a frame that is too large as soon as its size is known, and what is no frame', () => {
    assert.throws(() => cut(Uint8Array.of(3, 0, 1, 0, 1, 0, 0)), { code: 'CONNECTION_LOST' })
    assert.throws(() => cut(Uint8Array.of(3, 0, 1, 0), Uint8Array.of(1, 0, 0)), /at most 4096/)
    assert.throws(() => cut(Uint8Array.of(5, 0, 0, 0, 0, 0, 0)), /type 5/)
    assert.throws(() => cut(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)), /ends with octet 0/)
    assert.throws(() => cut(Buffer.from('AMQP\0\0\x09\x01')), /another version of AMQP/)
  })
})

describe('writing a message', () => {
  const writer = new MessageWriter()

  it('writes what a broker reads', () => {
    const headers = {
      s: 'ä'.repeat(100),
      i: -5,
      l: 3_000_000_000,
      b: 2n ** 60n,
      d: 0.1,
      t: true,
      n: null,
      u: undefined,
      x: Uint8Array.of(1, 2),
      a: [1, ['x']],
      f: { g: { h: 1 } },
      time: new Date(1_700_000_000_000),
    }
    const properties = {
      contentType: 'c',
      contentEncoding: 'e',
      headers,
      deliveryMode: 2,
      priority: 0,
      correlationId: 'co',
      replyTo: 're',
      expiration: '1',
      messageId: 'mé',
      timestamp: new Date(5_000),
      type: 't',
      userId: 'u',
      appId: 'a',
    }
    const message = outgoing({
      exchange: 'x',
      routingKey: 'k',
      isMandatory: true,
      properties,
      body: new Uint8Array(10),
    })
    const bytes = writer.encode(7, message, 4_096)
    const decoder = new FrameDecoder(4_096)
    decoder.reset(bytes, 0, bytes.length)
    assert.ok(decoder.next())
    assert.deepEqual(decodeMethod(decoder.buffer, decoder.payloadStart, decoder.payloadEnd), {
      id: Methods.BasicPublish,
      name: 'basic.publish',
      exchange: 'x',
      routingKey: 'k',
      mandatory: true,
      immediate: false,
    })
    assert.ok(decoder.next())
    const read = decodeProperties(decoder.buffer, decoder.payloadStart, decoder.payloadEnd)
    const { headers: table, ...others } = read
    const { headers: _, ...expected } = properties
    assert.deepEqual(others, { ...expected, timestamp: 5, clusterId: null })
    const tags = [...(table?.fields ?? [])].map(([key, { tag }]) => `${key}:${tag}`)
    assert.deepEqual(tags.join(' '), 's:S i:I l:l b:l d:d t:t n:V x:x a:A f:F time:T')
    assert.equal(table?.fields.get('l')?.value, 3_000_000_000)
    assert.equal(table?.fields.get('d')?.value, 0.1)
    assert.ok(decoder.next())
    assert.equal(decoder.next(), false)
  })

  it('cuts the body so that each frame fits, and writes none for an empty one', () => {
    for (const [length, count] of [
      [0, 0],
      [1, 1],
      [4_088, 1],
      [4_089, 2],
      [10_000, 3],
    ] as const) {
      const bytes = writer.encode(1, outgoing({ body: new Uint8Array(length) }), 4_096)
      const decoder = new FrameDecoder(4_088)
      decoder.reset(bytes, 0, bytes.length)
      let bodies = 0
      let total = 0
      while (decoder.next()) {
        if (decoder.type !== FrameTypes.Body) continue
        bodies++
        total += decoder.payloadEnd - decoder.payloadStart
      }
      assert.deepEqual([bodies, total], [count, length])
    }
  })

  it('refuses what AMQP cannot carry, by an error that says so', () => {
    const loop: { [key: string]: TableValue } = {}
    loop['loop'] = loop
    const wrong: [Partial<OutgoingMessage>, string][] = [
      [{ routingKey: 'x'.repeat(256) }, 'BAD_OPTION'],
      [{ properties: { messageId: 'ä'.repeat(128) } }, 'BAD_OPTION'],
      [{ properties: { headers: loop } }, 'BAD_OPTION'],
      [{ properties: { headers: { big: 2n ** 64n, date: new Date(Number.NaN) } } }, 'BAD_OPTION'],
      [{ properties: { headers: { long: 'x'.repeat(5_000) } } }, 'MESSAGE_TOO_LARGE'],
    ]
    for (const [message, code] of wrong) {
      assert.throws(() => writer.encode(1, outgoing(message), 4_096), { name: 'WarrenError', code })
    }
    writer.encode(1, outgoing({}), 4_096)
  })
})
