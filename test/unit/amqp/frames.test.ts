import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { ChunkedFrames } from '../../../src/amqp/chunked-frames.ts'
import { emptyTable } from '../../../src/amqp/field-table.ts'
import {
  FrameDecoder,
  FrameTypes,
  frameBytesMaxInitial,
  frameBytesMin,
  frameEndOctet,
  frameHeaderBytes,
  frameOverheadBytes,
} from '../../../src/amqp/frame-decoder.ts'
import {
  beginFrame,
  encodeBodyFrames,
  encodeHeaderFrame,
  encodeHeartbeat,
  encodeMethodFrame,
  endFrame,
  protocolHeader,
  protocolHeader09,
} from '../../../src/amqp/frame-encoder.ts'
import { Methods } from '../../../src/amqp/methods.generated.ts'
import { AssertionFailed } from '../../../src/base/assert.ts'
import { headerBytes, methods, specification } from '../../support/amqp-arbitraries.ts'
import { amid, bytesOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

interface Frame {
  readonly type: number
  readonly channel: number
  readonly payload: Uint8Array
}

/** What one connection might send: every type of frame, empty payloads, and octets that look like frame ends. */
const trace = writeTrace()

describe('the frame decoder', () => {
  it('finds every frame of a region, where it is', () => {
    const { buffer, start, end } = amid(trace.bytes)
    const decoder = new FrameDecoder()
    decoder.reset(buffer, start, end)

    const found: Frame[] = []
    let expectedStart = start
    while (decoder.next()) {
      assert.equal(decoder.frameStart, expectedStart)
      assert.equal(decoder.payloadStart, decoder.frameStart + frameHeaderBytes)
      assert.equal(decoder.frameEnd, decoder.payloadEnd + 1)
      expectedStart = decoder.frameEnd
      found.push(frameOf(decoder))
    }

    assert.deepEqual(found, trace.frames)
    assert.deepEqual([decoder.frameStart, decoder.partialBytes, decoder.wholeBytes], [end, 0, 0])
  })

  it('says of an unfinished frame where it begins and, once the header is there, how large it is', () => {
    const whole = frameBytes({ type: FrameTypes.Body, channel: 3, payload: new Uint8Array(20) })
    const before = frameBytes({ type: FrameTypes.Method, channel: 3, payload: new Uint8Array(5) })
    for (let cut = 0; cut < whole.length; cut++) {
      const decoder = new FrameDecoder()
      decoder.reset(bytesOf(before, whole), 0, before.length + cut)
      assert.equal(decoder.next(), true)
      for (const _ of ['once', 'and again']) {
        assert.equal(decoder.next(), false)
        assert.equal(decoder.frameStart, before.length)
        assert.equal(decoder.partialBytes, cut)
        assert.equal(decoder.wholeBytes, cut < frameHeaderBytes ? 0 : whole.length)
      }
      // The rest has been put behind it, in another buffer.
      const { buffer, start, end } = amid(whole)
      decoder.reset(buffer, start, end)
      assert.equal(decoder.next(), true)
      assert.deepEqual(frameOf(decoder), { type: FrameTypes.Body, channel: 3, payload: new Uint8Array(20) })
    }
  })

  it('allows a payload as long as the agreed frame, and nothing longer, before its bytes are there', () => {
    const decoder = new FrameDecoder(frameBytesMin)
    decoder.reset(headerOf(FrameTypes.Body, 1, frameBytesMin), 0, frameHeaderBytes)
    assert.equal(decoder.next(), false)
    assert.equal(decoder.wholeBytes, frameBytesMin + frameOverheadBytes)

    for (const size of [frameBytesMin + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
      decoder.reset(headerOf(FrameTypes.Body, 1, size), 0, frameHeaderBytes)
      throwsProtocolError(() => decoder.next(), 501, new RegExp(`${size} bytes, at most 4088`))
    }
  })

  it('follows the limit when it is changed', () => {
    const decoder = new FrameDecoder()
    const header = headerOf(FrameTypes.Body, 1, 100_000)
    decoder.reset(header, 0, frameHeaderBytes)
    throwsProtocolError(() => decoder.next(), 501, new RegExp(`at most ${frameBytesMaxInitial - 8} `))
    decoder.frameBytesMax = 131_072
    decoder.reset(header, 0, frameHeaderBytes)
    assert.equal(decoder.next(), false)
  })

  it('refuses the size before anything else is looked at', () => {
    const decoder = new FrameDecoder()
    decoder.reset(headerOf(77, 1, 0xffffffff), 0, frameHeaderBytes)
    throwsProtocolError(() => decoder.next(), 501, /4294967295 bytes/)
  })

  it('refuses every type but 1, 2, 3 and 8 with 501', () => {
    for (let type = 0; type < 256; type++) {
      const decoder = new FrameDecoder()
      decoder.reset(frameBytes({ type, channel: 0, payload: new Uint8Array(0) }), 0, 8)
      if (type === 1 || type === 2 || type === 3 || type === 8) assert.equal(decoder.next(), true)
      else throwsProtocolError(() => decoder.next(), 501, /unknown frame type/)
    }
  })

  it('refuses every frame end but 0xCE with 501', () => {
    const frame = frameBytes({ type: FrameTypes.Method, channel: 1, payload: new Uint8Array(4) })
    for (let octet = 0; octet < 256; octet++) {
      if (octet === frameEndOctet) continue
      frame[frame.length - 1] = octet
      const decoder = new FrameDecoder()
      decoder.reset(frame, 0, frame.length)
      throwsProtocolError(() => decoder.next(), 501, new RegExp(`octet ${octet} `))
    }
  })

  it('refuses a heartbeat with a payload with 501 and one on a channel with 505', () => {
    const decoder = new FrameDecoder()
    decoder.reset(frameBytes({ type: FrameTypes.Heartbeat, channel: 0, payload: new Uint8Array(1) }), 0, 9)
    throwsProtocolError(() => decoder.next(), 501, /heartbeat/)
    decoder.reset(frameBytes({ type: FrameTypes.Heartbeat, channel: 256, payload: new Uint8Array(0) }), 0, 8)
    throwsProtocolError(() => decoder.next(), 505, /channel 256/)
  })

  it('insists on a region inside its buffer', () => {
    const decoder = new FrameDecoder()
    assert.throws(() => decoder.reset(new Uint8Array(8), 0, 9), AssertionFailed)
    assert.throws(() => decoder.reset(new Uint8Array(8), 5, 4), AssertionFailed)
  })

  it('has the constants of the specification', () => {
    const constants = new Map(specification.constants.map((constant) => [constant.name, constant.value]))
    assert.equal(constants.get('frame-method'), FrameTypes.Method)
    assert.equal(constants.get('frame-header'), FrameTypes.Header)
    assert.equal(constants.get('frame-body'), FrameTypes.Body)
    assert.equal(constants.get('frame-heartbeat'), FrameTypes.Heartbeat)
    assert.equal(constants.get('frame-end'), frameEndOctet)
    assert.equal(constants.get('frame-min-size'), frameBytesMin)
    assert.equal(Buffer.from(protocolHeader).toString('latin1'), 'AMQP\x00\x00\x09\x01')
    assert.equal(Buffer.from(protocolHeader09).toString('latin1'), 'AMQP\x01\x01\x00\x09')
  })
})

describe('chunks cut anywhere', () => {
  it('give the same frames when they are cut in two at every byte', () => {
    for (let cut = 0; cut <= trace.bytes.length; cut++) {
      assert.deepEqual(framesOf(cutAt(trace.bytes, [cut])), trace.frames, `cut at ${cut}`)
    }
  })

  it('give the same frames when every header is cut into three, at all places', () => {
    let start = 0
    for (const frame of trace.frames) {
      const whole = frame.payload.length + frameOverheadBytes
      const last = Math.min(frameHeaderBytes + 2, whole)
      for (let first = 0; first <= last; first++) {
        for (let second = first; second <= last; second++) {
          const chunks = cutAt(trace.bytes, [start + first, start + second])
          assert.deepEqual(framesOf(chunks), trace.frames, `frame at ${start}, cut at ${first} and ${second}`)
        }
      }
      start += whole
    }
  })

  it('give the same frames when they are pieces of any one size', () => {
    for (const size of [1, 2, 3, 5, 6, 7, 8, 9, 64, 1000]) {
      const cuts = Array.from({ length: Math.floor(trace.bytes.length / size) }, (_, index) => (index + 1) * size)
      assert.deepEqual(framesOf(cutAt(trace.bytes, cuts)), trace.frames, `${size} bytes each`)
    }
  })

  it('give back generated methods, however they are cut', () => {
    const cuts = fc.array(fc.nat(4000), { maxLength: 12 })
    fc.assert(
      fc.property(fc.array(methods, { minLength: 1, maxLength: 6 }), cuts, (sent, places) => {
        const writer = new ByteWriter(64)
        for (const [index, method] of sent.entries()) encodeMethodFrame(writer, index, method)
        const bytes = writer.copy()
        const whole = framesOf([bytes], 1 << 20)
        const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)
        assert.equal(whole.length, sent.length)
        assert.deepEqual(framesOf(cutAt(bytes, sorted), 1 << 20), whole)
      }),
      { numRuns: 60 },
    )
  })

  it('leave frames that lie in one chunk where they are', () => {
    const frames = new ChunkedFrames()
    frames.push(trace.bytes)
    while (frames.next()) assert.equal(frames.decoder.buffer, trace.bytes)
    assert.equal(frames.carriedBytes, 0)
  })

  it('are never held beyond the one unfinished frame', () => {
    const frames = new ChunkedFrames(frameBytesMin)
    const body = frameBytes({ type: FrameTypes.Body, channel: 1, payload: new Uint8Array(4000) })
    frames.push(body.subarray(0, 6))
    assert.equal(frames.next(), false)
    assert.equal(frames.carriedBytes, 6)
    for (let at = 6; at < body.length - 1; at += 100) {
      frames.push(body.subarray(at, Math.min(at + 100, body.length - 1)))
      assert.equal(frames.next(), false)
      assert.ok(frames.carriedBytes < body.length)
    }
    frames.push(bytesOf('ce 08 00'))
    assert.equal(frames.next(), true)
    assert.equal(frames.decoder.payloadEnd - frames.decoder.payloadStart, 4000)
    assert.equal(frames.next(), false)
    assert.equal(frames.carriedBytes, 2)
  })

  it('keep what they hold when asked again before the next one has come', () => {
    for (let cut = 0; cut <= trace.bytes.length; cut++) {
      const frames = new ChunkedFrames()
      const found: Frame[] = []
      for (const chunk of cutAt(trace.bytes, [cut])) {
        frames.push(chunk)
        while (frames.next()) found.push(frameOf(frames.decoder))
        const held = frames.carriedBytes
        assert.equal(frames.next(), false)
        assert.equal(frames.carriedBytes, held)
      }
      assert.deepEqual(found, trace.frames)
    }
  })

  it('are refused as soon as a header that came in pieces is too large', () => {
    const header = headerOf(FrameTypes.Body, 1, 0x7fffffff)
    for (let cut = 0; cut <= frameHeaderBytes; cut++) {
      const frames = new ChunkedFrames()
      frames.push(header.subarray(0, cut))
      const first = (): unknown => frames.next()
      if (cut === frameHeaderBytes) {
        throwsProtocolError(first, 501)
        continue
      }
      assert.equal(first(), false)
      frames.push(header.subarray(cut))
      throwsProtocolError(() => frames.next(), 501, /2147483647/)
    }
  })

  it('must be read before the next one is given', () => {
    const frames = new ChunkedFrames()
    frames.push(trace.bytes)
    assert.throws(() => frames.push(trace.bytes), AssertionFailed)
  })
})

describe('the frame encoder', () => {
  it('writes a heartbeat, a method, a header and bodies as the specification draws them', () => {
    const writer = new ByteWriter(1)
    encodeHeartbeat(writer)
    encodeMethodFrame(writer, 0x0102, {
      id: Methods.BasicAck,
      name: 'basic.ack',
      deliveryTag: 2 ** 32 + 1,
      multiple: true,
    })
    const { buffer, start, end } = amid(bytesOf('aa bb'))
    encodeHeaderFrame(writer, 65535, buffer, start, end)
    encodeBodyFrames(writer, 1, 10, bytesOf('01 02 03'))
    const expected = bytesOf(
      '08 0000 00000000 ce',
      '01 0102 0000000d 003c 0050 0000000100000001 01 ce',
      '02 ffff 00000002 aabb ce',
      '03 0001 00000002 0102 ce',
      '03 0001 00000001 03 ce',
    )
    assert.deepEqual(writer.copy(), plain(expected))
  })

  it('writes no frame for an empty body and no empty frame after a full one', () => {
    const writer = new ByteWriter(1)
    encodeBodyFrames(writer, 1, 4096, new Uint8Array(0))
    assert.equal(writer.length, 0)
    encodeBodyFrames(writer, 1, 4096, new Uint8Array(2 * 4088))
    assert.equal(writer.length, 2 * 4096)
    assert.throws(() => encodeBodyFrames(writer, 1, 8, new Uint8Array(1)), AssertionFailed)
  })

  it('fills in the size of a frame that is written piece by piece', () => {
    const writer = new ByteWriter(1)
    writer.uint8(0xff)
    const frame = beginFrame(writer, FrameTypes.Method, 7)
    writer.bytes(new Uint8Array(300))
    endFrame(writer, frame)
    const decoder = new FrameDecoder()
    decoder.reset(writer.buffer, 1, writer.length)
    assert.equal(decoder.next(), true)
    assert.deepEqual(frameOf(decoder), { type: 1, channel: 7, payload: new Uint8Array(300) })
    assert.equal(decoder.next(), false)
    assert.equal(decoder.frameStart, writer.length)
  })
})

function writeTrace(): { bytes: Uint8Array; frames: Frame[] } {
  const declare = new ByteWriter(16)
  encodeMethodFrame(declare, 0, {
    id: Methods.QueueDeclare,
    name: 'queue.declare',
    queue: 'orders',
    passive: false,
    durable: true,
    exclusive: false,
    autoDelete: false,
    noWait: false,
    arguments: emptyTable,
  })
  const frames: Frame[] = [
    { type: FrameTypes.Method, channel: 1, payload: declare.copy().slice(7, -1) },
    { type: FrameTypes.Heartbeat, channel: 0, payload: new Uint8Array(0) },
    { type: FrameTypes.Header, channel: 2047, payload: headerBytes({ deliveryMode: 2 }, 13) },
    { type: FrameTypes.Body, channel: 2047, payload: new Uint8Array(12).fill(frameEndOctet) },
    { type: FrameTypes.Body, channel: 2047, payload: new Uint8Array(1) },
    { type: FrameTypes.Body, channel: 0xffff, payload: new Uint8Array(0) },
    { type: FrameTypes.Body, channel: 5, payload: Uint8Array.from({ length: 300 }, (_, index) => index) },
    { type: FrameTypes.Heartbeat, channel: 0, payload: new Uint8Array(0) },
    { type: FrameTypes.Heartbeat, channel: 0, payload: new Uint8Array(0) },
  ]
  return { bytes: plain(Buffer.concat(frames.map(frameBytes))), frames }
}

/** Drawn by hand, not with the encoder under test. */
function frameBytes(frame: Frame): Uint8Array {
  return bytesOf(headerOf(frame.type, frame.channel, frame.payload.length), frame.payload, frameEndOctet)
}

function headerOf(type: number, channel: number, size: number): Uint8Array {
  const header = Buffer.alloc(frameHeaderBytes)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(channel, 1)
  header.writeUInt32BE(size, 3)
  return header
}

function frameOf(decoder: FrameDecoder): Frame {
  const payload = decoder.buffer.slice(decoder.payloadStart, decoder.payloadEnd)
  return { type: decoder.type, channel: decoder.channel, payload: plain(payload) }
}

/** The pieces between sorted places, empty ones included; each a buffer of its own, at an offset. */
function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places, bytes.length]
  return ends.map((end, index) => {
    const piece = amid(bytes.subarray(index === 0 ? 0 : ends[index - 1], end))
    return piece.buffer.subarray(piece.start, piece.end)
  })
}

function framesOf(chunks: readonly Uint8Array[], frameBytesMax?: number): Frame[] {
  const frames = new ChunkedFrames(frameBytesMax)
  const found: Frame[] = []
  for (const chunk of chunks) {
    frames.push(chunk)
    while (frames.next()) found.push(frameOf(frames.decoder))
  }
  assert.equal(frames.carriedBytes, 0)
  return found
}
