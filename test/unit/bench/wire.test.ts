import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sourceOf } from '../../../bench/load/body.ts'
import { type MessageProperty, propertyValue } from '../../../bench/load/message-property.ts'
import { PublishBatch } from '../../../bench/load/publish-batch.ts'
import { AckBuffer } from '../../../bench/wire/ack-buffer.ts'
import { parseAmqpUrl, showAddress } from '../../../bench/wire/amqp-url.ts'
import { frameEnd } from '../../../bench/wire/frame-end.ts'
import { encodeTable, queueDeclare, startOk } from '../../../bench/wire/method-frames.ts'
import { MethodId } from '../../../bench/wire/method-ids.ts'
import { type FrameReader, ReadBuffer } from '../../../bench/wire/read-buffer.ts'
import { readServerName } from '../../../bench/wire/server-name.ts'

interface Frame {
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
}

/** An independent, plain reading of a frame stream. */
function splitFrames(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = []
  const all = Buffer.from(bytes)
  for (let at = 0; at < all.length; ) {
    const size = all.readUInt32BE(at + 3)
    assert.equal(all[at + 7 + size], 0xce, 'end octet')
    frames.push({ type: all[at] ?? 0, channel: all.readUInt16BE(at + 1), payload: all.subarray(at + 7, at + 7 + size) })
    at += size + 8
  }
  return frames
}

const batchOptions = {
  channel: 1,
  exchange: '',
  routingKey: 'q',
  isPersistent: true,
  bodyBytes: 100,
  frameBytesMax: 4096,
  count: 3,
  source: sourceOf(7, 2),
  firstSlot: 5,
  property: null,
}

describe('AMQP URLs', () => {
  it('fills in what is not given as clients do', () => {
    const expected = { host: 'h', port: 5672, user: 'guest', password: 'guest', vhost: '/' }
    assert.deepEqual(parseAmqpUrl('amqp://h'), expected)
    assert.deepEqual(parseAmqpUrl('amqp://h/'), expected)
  })

  it('decodes user, password and vhost, and takes IPv6 hosts', () => {
    const address = parseAmqpUrl('amqp://me%40x:p%3Aw@[::1]:5673/a%2Fb')
    assert.deepEqual(address, { host: '::1', port: 5673, user: 'me@x', password: 'p:w', vhost: 'a/b' })
  })

  it('never shows the password', () => {
    assert.equal(showAddress(parseAmqpUrl('amqp://u:secret@[::1]:1/a%2Fb')), 'amqp://[::1]:1/a%2Fb')
  })

  for (const text of ['amqps://h', 'http://h', 'localhost:5672', '']) {
    it(`refuses '${text}' with an example of a right one`, () => {
      assert.throws(() => parseAmqpUrl(text), /amqp:\/\/user:password@host/)
    })
  }
})

describe('method frames', () => {
  it('lays out queue.declare as AMQP 0-9-1 §1.7.2.1 says', () => {
    const expected = '01 0001 0000000e 0032000a 0000 02 7171 02 00000000 ce'.replaceAll(' ', '')
    assert.equal(queueDeclare(1, 'qq', true).toString('hex'), expected)
  })

  it('sends user and password as PLAIN wants them', () => {
    const [frame] = splitFrames(startOk('me', 'secret', 'name'))
    assert.ok(frame?.payload.includes(Buffer.from('\x05PLAIN\x00\x00\x00\x0a\x00me\x00secret\x05en_US', 'latin1')))
  })

  it('encodes nested tables with their lengths', () => {
    const encoded = encodeTable({ a: true, b: { c: 'x' } })
    assert.equal(encoded.toString('latin1'), '\x01at\x01\x01bF\x00\x00\x00\x08\x01cS\x00\x00\x00\x01x')
  })

  it('gathers acknowledgements of one read into one send and never touches bytes it has given away', () => {
    const sent: Uint8Array[] = []
    const acks = new AckBuffer(1, (bytes) => sent.push(bytes))
    acks.add(5)
    acks.add(0x1_0000_0002)
    acks.flush()
    const first = Buffer.from(sent[0] ?? [])
    for (let tag = 1; tag <= 200; tag++) acks.add(tag)
    acks.flush()
    acks.flush()
    assert.equal(Buffer.compare(first, sent[0] ?? Buffer.alloc(0)), 0)
    const tags = splitFrames(Buffer.concat(sent)).map(({ payload }) => {
      assert.equal(payload.readUInt32BE(0), MethodId.BasicAck)
      assert.equal(payload[12], 1, 'multiple')
      return payload.readBigUInt64BE(4)
    })
    assert.deepEqual(tags.slice(0, 2), [5n, 0x1_0000_0002n])
    assert.deepEqual(
      tags.slice(2),
      Array.from({ length: 200 }, (_, index) => BigInt(index + 1)),
    )
  })
})

describe('prebuilt publishes', () => {
  it('are three frames each, with the delivery mode in the header', () => {
    const batch = new PublishBatch(batchOptions)
    const frames = splitFrames(batch.first(3))
    assert.deepEqual(
      frames.map(({ type }) => type),
      [1, 2, 3, 1, 2, 3, 1, 2, 3],
    )
    assert.equal(frames[0]?.payload.toString('hex'), `003c0028${'0000'}${'00'}${'0171'}${'00'}`)
    assert.equal(frames[1]?.payload.toString('hex'), `003c0000${'0000000000000064'}${'1000'}${'02'}`)
    assert.equal(frames[2]?.payload.length, 100)
  })

  it('carry a property whose value differs from message to message, where AMQP wants it', () => {
    const headerOf = (property: MessageProperty, sequence: number): string => {
      const batch = new PublishBatch({ ...batchOptions, property })
      batch.stamp(1, sequence, 0)
      return splitFrames(batch.first(2))[4]?.payload.toString('hex') ?? ''
    }
    const of = (kind: MessageProperty['kind'], low: number, high: number): MessageProperty => {
      return { kind, low, high, isRandom: false }
    }
    const fixed = `003c0000${'0000000000000064'}`
    assert.equal(headerOf(of('priority', 3, 9), 8), `${fixed}1800${'02'}${'04'}`)
    assert.equal(headerOf(of('expiration', 1000, 2000), 7), `${fixed}1100${'02'}${'04'}${hex('1007')}`)
    assert.equal(headerOf(of('id', 0, 1e9), 12_345), `${fixed}1080${'02'}${'0c'}${hex('000000012345')}`)
    const group = `${'00000014'}${'07'}${hex('x-group')}${hex('S')}${'00000007'}${hex('0000002')}`
    assert.equal(headerOf(of('group', 0, 9), 12), `${fixed}3000${group}${'02'}`)
    const delay = `${'0000000d'}${'07'}${hex('x-delay')}${hex('I')}${'00007530'}`
    assert.equal(headerOf(of('delay', 30_000, 30_001), 2), `${fixed}3000${delay}${'02'}`)
  })

  it('draw values at random, repeatably and from the whole range', () => {
    const property: MessageProperty = { kind: 'priority', low: 2, high: 5, isRandom: true }
    const seen = Array.from({ length: 200 }, (_, sequence) => propertyValue(property, sequence))
    assert.deepEqual([...new Set(seen)].sort(), [2, 3, 4, 5])
    assert.deepEqual(
      seen,
      seen.map((_, sequence) => propertyValue(property, sequence)),
    )
  })

  it('give the first messages alone when fewer are wanted', () => {
    const batch = new PublishBatch(batchOptions)
    assert.equal(batch.first(1).length, batch.messageBytes)
    assert.equal(splitFrames(batch.first(2)).length, 6)
  })

  it('split a body over frames of the negotiated size without losing a byte', () => {
    const whole = new PublishBatch({ ...batchOptions, bodyBytes: 10_000, frameBytesMax: 131_072, count: 2 })
    const split = new PublishBatch({ ...batchOptions, bodyBytes: 10_000, count: 2 })
    for (const batch of [whole, split]) batch.stamp(1, 77, 123.5)
    const bodies = [whole, split].map((batch) => {
      const frames = splitFrames(batch.first(2))
      return Buffer.concat(frames.filter(({ type }) => type === 3).map(({ payload }) => payload))
    })
    assert.ok(splitFrames(split.first(2)).every(({ payload }) => payload.length + 8 <= 4096))
    assert.equal(splitFrames(split.first(2)).length, 2 * (2 + 3))
    assert.deepEqual(bodies[0], bodies[1])
  })

  it('refuse bodies too small for the head', () => {
    assert.throws(() => new PublishBatch({ ...batchOptions, bodyBytes: 15 }), /at least 16/)
  })
})

describe('the read buffer', () => {
  /** Keeps each whole frame it sees. */
  class Keeper implements FrameReader {
    readonly frames: Buffer[] = []
    read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
      for (let at = start; ; ) {
        const next = frameEnd(bytes, view, at, end, 64)
        if (next === 0) return at
        this.frames.push(Buffer.from(bytes.slice(at, next)))
        at = next
      }
    }
  }

  const frames = [0, 1, 5, 56, 2].map((size, index) => {
    const frame = Buffer.alloc(size + 8, index + 1)
    frame.writeUInt32BE(size, 3)
    frame[size + 7] = 0xce
    return frame
  })

  it('gives the same frames wherever the stream is cut, in two or three pieces', () => {
    const stream = Buffer.concat(frames)
    for (let first = 0; first <= stream.length; first++) {
      for (let second = first; second <= stream.length; second++) {
        const buffer = new ReadBuffer(64, 128)
        const keeper = new Keeper()
        for (const piece of [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)]) {
          buffer.region.set(piece)
          buffer.received(piece.length, keeper)
        }
        assert.deepEqual(keeper.frames, frames, `cut at ${first} and ${second}`)
      }
    }
  })

  it('reports a frame above the negotiated size as soon as its size is known', () => {
    const head = Buffer.of(3, 0, 1, 0, 0, 0, 57, 0)
    const bytes = new Uint8Array(head)
    assert.throws(() => frameEnd(bytes, new DataView(bytes.buffer), 0, 8, 64), /65 bytes, above frame_max 64/)
  })

  it('reports a missing end octet', () => {
    const bytes = Uint8Array.of(3, 0, 1, 0, 0, 0, 0, 0xcf)
    assert.throws(() => frameEnd(bytes, new DataView(bytes.buffer), 0, 8, 64), /end octet/)
  })
})

describe('the name of a broker', () => {
  const start = (table: Buffer): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(table.length)
    return Buffer.concat([Buffer.of(0, 10, 0, 10, 0, 9), length, table])
  }

  it('is product and version from connection.start, whatever stands before them', () => {
    const table = encodeTable({ capabilities: { x: true }, product: 'Rabbit', flag: false, version: '1.2' })
    assert.equal(readServerName(start(table)), 'Rabbit 1.2')
  })

  it('falls back when the table is cut or of unknown types', () => {
    assert.equal(readServerName(start(Buffer.from('\x01a?whatever', 'latin1'))), 'broker')
  })
})

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}
