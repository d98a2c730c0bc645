import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Board } from '../../../bench/load/board.ts'
import { sourceOf } from '../../../bench/load/body.ts'
import { ConfirmReader } from '../../../bench/load/confirm-reader.ts'
import { ConfirmWindow } from '../../../bench/load/confirm-window.ts'
import { DeliveryChecker } from '../../../bench/load/delivery-checker.ts'
import { DeliveryReader } from '../../../bench/load/delivery-reader.ts'
import { Problems } from '../../../bench/load/problems.ts'
import { PublishBatch } from '../../../bench/load/publish-batch.ts'
import { Histogram } from '../../../bench/stats/histogram.ts'
import { MethodId } from '../../../bench/wire/method-ids.ts'
import { ReadBuffer } from '../../../bench/wire/read-buffer.ts'

const frameBytesMax = 4096

function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(7)
  head[0] = type
  head.writeUInt16BE(channel, 1)
  head.writeUInt32BE(payload.length, 3)
  return Buffer.concat([head, payload, Buffer.of(0xce)])
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

function method(id: number, ...parts: Uint8Array[]): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(id)
  return frame(1, 1, Buffer.concat([head, ...parts]))
}

/** A body as a publisher makes it. */
function bodyOf(sequence: number, publisher = 0, bodyBytes = 100, sentAt = 1): Buffer {
  const batch = new PublishBatch({
    channel: 1,
    exchange: '',
    routingKey: 'q',
    isPersistent: false,
    bodyBytes,
    frameBytesMax: 1 << 20,
    count: 1,
    source: sourceOf(9, publisher),
    firstSlot: sequence,
    property: null,
  })
  batch.stamp(0, sequence, sentAt)
  const bytes = batch.first(1)
  return Buffer.from(bytes.slice(bytes.length - 1 - bodyBytes, bytes.length - 1))
}

/** The frames by which a broker delivers a body, cut into pieces of the given size. */
function delivery(
  tag: number,
  queue: number,
  body: Buffer,
  pieceBytes = frameBytesMax - 8,
  isRedelivered = false,
): Buffer {
  const consumerTag = Buffer.from(String(queue))
  const deliver = method(
    MethodId.BasicDeliver,
    Buffer.of(consumerTag.length),
    consumerTag,
    u64(tag),
    Buffer.of(isRedelivered ? 1 : 0, 0, 1),
    Buffer.from('q'),
  )
  const header = frame(2, 1, Buffer.concat([Buffer.of(0, 60, 0, 0), u64(body.length), Buffer.of(0x10, 0, 2)]))
  const frames = [deliver, header]
  for (let at = 0; at < body.length; at += pieceBytes) frames.push(frame(3, 1, body.subarray(at, at + pieceBytes)))
  return Buffer.concat(frames)
}

function makeReader(options: { bodyBytes?: number; queues?: number; publishers?: number; isAlone?: boolean } = {}) {
  const problems = new Problems()
  const { bodyBytes = 100, queues = 1, publishers = 1, isAlone = true } = options
  const checker = new DeliveryChecker({ bodyBytes, runId: 9, queues, publishers, isAlone, isInOrder: true }, problems)
  const seen: { tag: number; sentAt: number }[] = []
  const controls: number[] = []
  const reader = new DeliveryReader(frameBytesMax, checker, problems, {
    message: (tag, sentAt) => seen.push({ tag, sentAt }),
    control: (view, at) => controls.push(view.getUint32(at + 7)),
  })
  const buffer = new ReadBuffer(frameBytesMax, 64 * 1024)
  const feed = (bytes: Uint8Array): void => {
    buffer.region.set(bytes)
    buffer.received(bytes.length, reader)
  }
  return { problems, checker, reader, seen, controls, feed }
}

describe('reading deliveries', () => {
  it('takes the same messages wherever the broker cuts its writes', () => {
    const stream = Buffer.concat([
      delivery(1, 0, bodyOf(0)),
      frame(8, 0, Buffer.alloc(0)),
      delivery(2, 0, bodyOf(1, 0, 100, 2.5), 10),
      delivery(3, 0, bodyOf(2), 40),
    ])
    for (let cut = 0; cut <= stream.length; cut++) {
      const { reader, problems, seen, checker, feed } = makeReader()
      feed(stream.subarray(0, cut))
      feed(stream.subarray(cut))
      assert.deepEqual(problems.list(), [], `cut at ${cut}`)
      assert.deepEqual(
        seen.map(({ tag }) => tag),
        [1, 2, 3],
      )
      assert.equal(seen[1]?.sentAt, 2.5)
      assert.equal(reader.delivered, 3)
      assert.equal(checker.sequenceSum, 3)
    }
  })

  it('takes a stream that arrives byte by byte', () => {
    const { problems, seen, feed } = makeReader()
    for (const byte of Buffer.concat([delivery(1, 0, bodyOf(0), 7), delivery(2, 0, bodyOf(1))]))
      feed(Uint8Array.of(byte))
    assert.deepEqual(problems.list(), [])
    assert.equal(seen.length, 2)
  })

  it('takes bodies of many frames, and bodies without a time', () => {
    for (const bodyBytes of [16, 17, 23, 24, 25, 10_000]) {
      const { problems, seen, feed } = makeReader({ bodyBytes })
      feed(delivery(1, 0, bodyOf(0, 0, bodyBytes, 4)))
      feed(delivery(2, 0, bodyOf(1, 0, bodyBytes, 4), 13))
      assert.deepEqual(problems.list(), [], `${bodyBytes} bytes`)
      assert.deepEqual(
        seen.map(({ sentAt }) => sentAt),
        bodyBytes < 24 ? [0, 0] : [4, 4],
      )
    }
  })

  it('lets methods of channel 0 come between a header and its body', () => {
    const whole = delivery(1, 0, bodyOf(0))
    const blocked = method(MethodId.ConnectionBlocked, Buffer.of(0))
    const bodyAt = whole.length - 108
    const { problems, controls, reader, feed } = makeReader()
    feed(Buffer.concat([whole.subarray(0, bodyAt), blocked, whole.subarray(bodyAt)]))
    assert.deepEqual(problems.list(), [])
    assert.deepEqual(controls, [MethodId.ConnectionBlocked])
    assert.equal(reader.delivered, 1)
  })

  it('tells queues apart by their consumer tags', () => {
    const { problems, feed } = makeReader({ queues: 120 })
    feed(Buffer.concat([delivery(1, 0, bodyOf(0)), delivery(2, 119, bodyOf(0)), delivery(3, 119, bodyOf(1))]))
    assert.deepEqual(problems.list(), [])
  })

  it('notices each flipped bit of a body', () => {
    const body = bodyOf(0)
    for (let bit = 0; bit < body.length * 8; bit++) {
      const damaged = Buffer.from(body)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const { problems, feed } = makeReader()
      feed(delivery(1, 0, damaged))
      assert.notEqual(problems.list().length, 0, `bit ${bit}`)
    }
  })

  it('notices a gap, a repeat and a wrong order', () => {
    for (const sequences of [
      [0, 2],
      [0, 0],
      [1, 0],
      [0, 1, 3, 2],
    ]) {
      const { problems, feed } = makeReader()
      for (const [index, sequence] of sequences.entries()) feed(delivery(index + 1, 0, bodyOf(sequence)))
      assert.notEqual(problems.list().length, 0, sequences.join(', '))
    }
  })

  it('allows gaps, but no step back, where consumers share a queue', () => {
    const shared = makeReader({ isAlone: false, publishers: 2 })
    const arrived = [bodyOf(3), bodyOf(0, 1), bodyOf(9), bodyOf(4, 1)]
    for (const [index, body] of arrived.entries()) shared.feed(delivery(index + 1, 0, body))
    assert.deepEqual(shared.problems.list(), [])
    shared.feed(delivery(5, 0, bodyOf(8)))
    assert.match(shared.problems.list()[0] ?? '', /message 8 of publisher 0 came where 10 was due/)
  })

  it('notices messages of other runs and sizes, and counts redeliveries', () => {
    const { problems, reader, feed } = makeReader()
    feed(delivery(1, 0, bodyOf(0, 1)))
    feed(delivery(2, 0, bodyOf(0, 0, 50)))
    feed(delivery(3, 0, Buffer.alloc(0)))
    feed(delivery(4, 0, bodyOf(0), 50, true))
    assert.equal(problems.list().length, 3)
    assert.equal(reader.redelivered, 1)
    assert.equal(reader.delivered, 4)
  })

  it('notices a delivery tag out of turn', () => {
    const { problems, feed } = makeReader()
    feed(delivery(2, 0, bodyOf(0)))
    assert.match(problems.list()[0] ?? '', /delivery tag 2 came after 0/)
  })

  it('gives up on a content that breaks the grammar', () => {
    const whole = delivery(1, 0, bodyOf(0))
    const deliver = whole.subarray(0, whole.indexOf(0xce, 7) + 1)
    assert.throws(() => makeReader().feed(Buffer.concat([deliver, deliver])), /inside another/)
    assert.throws(() => makeReader().feed(whole.subarray(deliver.length)), /without a delivery/)
    assert.throws(() => makeReader().feed(Buffer.concat([whole, frame(3, 1, Buffer.alloc(1))])), /more body/)
  })
})

function makeConfirms(capacity: number) {
  const window = new ConfirmWindow(capacity)
  const problems = new Problems()
  const latency = new Histogram()
  const board = { measuredFrom: 0, measuredUntil: Number.POSITIVE_INFINITY }
  const controls: number[] = []
  const control = (view: DataView, at: number): void => {
    controls.push(view.getUint32(at + 7))
  }
  const reader = new ConfirmReader({ frameBytesMax, window, latency, board, problems, control })
  const buffer = new ReadBuffer(frameBytesMax)
  const feed = (bytes: Uint8Array): void => {
    buffer.region.set(bytes)
    buffer.received(bytes.length, reader)
  }
  return { window, problems, latency, reader, controls, feed }
}

function confirm(sequence: number, isMultiple: boolean, id: number = MethodId.BasicAck): Buffer {
  return method(id, u64(sequence), Buffer.of(isMultiple ? 1 : 0))
}

describe('reading confirms', () => {
  it('counts single and multiple ones alike, wherever they are cut', () => {
    const stream = Buffer.concat([confirm(1, false), confirm(4, true), confirm(6, false), confirm(8, true)])
    for (let cut = 0; cut <= stream.length; cut++) {
      const { window, reader, problems, feed } = makeConfirms(8)
      for (let count = 0; count < 8; count++) window.sent(0)
      assert.equal(window.room, 0)
      feed(stream.subarray(0, cut))
      feed(stream.subarray(cut))
      assert.deepEqual(problems.list(), [])
      assert.equal(reader.confirmed, 8)
      assert.equal(window.waiting, 0)
      assert.equal(window.room, 8)
    }
  })

  it('takes confirms out of order and frees room only behind the oldest that waits', () => {
    const { window, reader, feed } = makeConfirms(4)
    for (let count = 0; count < 4; count++) window.sent(0)
    feed(Buffer.concat([confirm(3, false), confirm(2, false)]))
    assert.deepEqual([window.waiting, window.room], [2, 0])
    feed(confirm(1, false))
    assert.deepEqual([window.waiting, window.room], [1, 3])
    for (let count = 0; count < 3; count++) window.sent(0)
    feed(confirm(7, true))
    assert.deepEqual([window.waiting, window.room, reader.confirmed], [0, 4, 7])
  })

  it('counts refusals as settled', () => {
    const { window, reader, feed } = makeConfirms(4)
    window.sent(0)
    window.sent(0)
    feed(confirm(2, true, MethodId.BasicNack))
    assert.deepEqual([reader.confirmed, reader.nacked, window.waiting], [2, 2, 0])
  })

  it('notices confirms of what was not sent, and repeats', () => {
    const { window, problems, feed } = makeConfirms(4)
    window.sent(0)
    feed(Buffer.concat([confirm(2, false), confirm(1, false), confirm(1, false), confirm(0, false)]))
    assert.equal(problems.list().length, 3)
  })

  it('measures only publishes of the measured interval', () => {
    const window = new ConfirmWindow(4)
    const latency = new Histogram()
    for (const at of [9, 10, 19, 20]) window.sent(at)
    window.settle(4, true, 30, latency, 10, 20)
    assert.equal(latency.count, 2)
    assert.equal(latency.percentile(1), 20)
  })

  it('hands every other method on', () => {
    const { controls, feed } = makeConfirms(4)
    feed(method(MethodId.ConnectionUnblocked))
    assert.deepEqual(controls, [MethodId.ConnectionUnblocked])
  })
})

describe('the board', () => {
  it('shows one thread what another has written', () => {
    const board = new Board(2, 3)
    const other = new Board(2, 3, board.memory)
    other.setSent(0, 5)
    other.setSent(1, 6)
    other.setConfirmed(1, 4)
    other.setDelivered(0, 1)
    other.setDelivered(2, 2)
    assert.deepEqual([board.sent(), board.confirmed(), board.delivered()], [11, 4, 3])
    assert.equal(other.measuredFrom, Number.POSITIVE_INFINITY)
    board.measuredFrom = 3
    board.measuredUntil = 4
    assert.deepEqual([other.measuredFrom, other.measuredUntil, other.isStopped], [3, 4, false])
    board.stop()
    assert.equal(other.isStopped, true)
  })
})
