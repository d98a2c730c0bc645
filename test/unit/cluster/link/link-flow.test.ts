import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import { MemoryNetwork, type MemorySocket } from '../../../../src/base/memory-network.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { RunQueue } from '../../../../src/base/run-queue.ts'
import { Link, type LinkOwner } from '../../../../src/cluster/link/link.ts'
import { frameHeaderBytes, writeFrameHeader } from '../../../../src/cluster/link/link-codec.ts'
import { defaultLinkLimits, type LinkLimits } from '../../../../src/cluster/link/link-limits.ts'
import { messageBytesMax, type Service, services } from '../../../../src/cluster/peers.ts'
import { pass, turns } from '../../../support/cluster/linked-nodes.ts'

/** A link whose other end is in the hands of the test. */
class TestedLink implements LinkOwner {
  readonly clock = new ManualClock()
  readonly link: Link
  readonly far: MemorySocket
  readonly messages: { service: number; bytes: Buffer }[] = []
  readonly writes: Buffer[] = []
  drained = 0
  down = ''
  isGone = false
  onMessage: (bytes: Buffer) => void = () => {}

  constructor(limits: Partial<LinkLimits> = {}) {
    const network = new MemoryNetwork(this.clock)
    const [near, far] = network.pair()
    this.far = far
    const write = near.write.bind(near)
    near.write = (bytes, written) => {
      this.writes.push(Buffer.from(bytes))
      write(bytes, written)
    }
    const parts = { clock: this.clock, runQueue: new RunQueue(this.clock), arena: network.arena }
    this.link = new Link(
      { name: 'b', incarnation: 2 },
      near,
      { ...parts, limits: { ...defaultLinkLimits, ...limits } },
      this,
    )
    near.open(this.link)
  }

  message(_link: Link, service: number, buffer: Uint8Array, start: number, end: number): void {
    const bytes = Buffer.from(buffer.subarray(start, end))
    this.messages.push({ service, bytes })
    this.onMessage(bytes)
  }

  linkDrained(): void {
    this.drained++
  }

  linkDown(_link: Link, reason: string): void {
    assert.equal(this.down, '', 'down is told once')
    this.down = reason
  }

  linkGone(): void {
    this.isGone = true
  }

  send(service: Service, bytes: Uint8Array): void {
    this.link.send(service, bytes, 0, bytes.length)
  }

  /** What the other end gets from now on. */
  read(): { bytes: Buffer } {
    const read = { bytes: Buffer.alloc(0) }
    this.far.open({
      data: (buffer, start, end) => {
        read.bytes = Buffer.concat([read.bytes, buffer.subarray(start, end)])
      },
      ended: () => {},
      closed: () => {},
    })
    return read
  }
}

let tested: TestedLink

beforeEach(() => {
  tested = new TestedLink()
})

afterEach(async () => {
  tested.link.cut('the test is over')
  await turns()
  assert.ok(tested.isGone)
})

describe('input of a link', () => {
  it('gives whole messages, however it is cut', async () => {
    const random = new SeededRandom(5)
    const lengths = [0, 1, 4, 5, 6, 300, 20_000, 170_000, 0, 65_536, 300_000, 2, messageBytesMax, 7]
    const sent = lengths.map((length) => random.bytes(length))
    const stream = Buffer.concat(sent.map((bytes, index) => frame(1 + (index % 6), bytes)))

    for (const largest of [7, 4_000, 70_000, 262_144, stream.length]) {
      tested.messages.length = 0
      for (let at = 0; at < stream.length; ) {
        // Small pieces around the beginnings, so that headers are cut too; then larger ones, or it takes for ever.
        const bytes = at < 600 ? 1 + random.below(largest) : 1 + random.below(Math.max(largest, 9_000))
        tested.far.write(stream.subarray(at, at + bytes), () => {})
        at += bytes
      }
      await turns(2_500)
      assert.deepEqual(
        tested.messages.map(({ bytes }) => digest(bytes)),
        sent.map(digest),
      )
      assert.deepEqual(
        tested.messages.map(({ service }) => service),
        sent.map((_bytes, index) => 1 + (index % 6)),
      )
    }
  })

  it('gives each header that is cut at each of its bytes', async () => {
    const message = frame(3, Buffer.from('hello'))
    for (let cut = 1; cut < message.length; cut++) {
      tested.far.write(message.subarray(0, cut), () => {})
      await turns(6)
      tested.far.write(Buffer.concat([message.subarray(cut), message]), () => {})
      await turns(6)
    }
    assert.equal(tested.messages.length, 2 * (message.length - 1))
    assert.ok(tested.messages.every(({ bytes }) => bytes.toString() === 'hello'))
  })

  it('lets others have their turn when there is much of it, and loses nothing', async () => {
    const count = 3_000
    let turnsTaken = 0
    let inThisTurn = 0
    let mostInATurn = 0
    tested.onMessage = () => {
      if (inThisTurn++ === 0) {
        turnsTaken++
        setImmediate(() => {
          mostInATurn = Math.max(mostInATurn, inThisTurn)
          inThisTurn = 0
        })
      }
      // Each message takes a tenth of a millisecond: by the clock that stands still otherwise.
      tested.clock.advance(0.1)
    }
    const all = Buffer.concat(Array.from({ length: count }, (_, index) => frame(3, Buffer.from(`${index}`))))

    tested.far.write(all, () => {})
    await turns(1_000)

    assert.deepEqual(
      tested.messages.map(({ bytes }) => Number(bytes)),
      Array.from({ length: count }, (_, index) => index),
    )
    assert.ok(turnsTaken > 20, `${turnsTaken} turns`)
    assert.ok(mostInATurn < 300, `${mostInATurn} messages in a turn`)
  })

  it('ends with the link, in the middle of what has arrived', async () => {
    tested.onMessage = (bytes) => {
      if (bytes.toString() === 'stop') tested.link.cut('a service says so')
    }
    tested.far.write(Buffer.concat(['go', 'stop', 'not this'].map((text) => frame(3, Buffer.from(text)))), () => {})
    await turns()
    assert.deepEqual(
      tested.messages.map(({ bytes }) => bytes.toString()),
      ['go', 'stop'],
    )
    assert.equal(tested.down, 'a service says so')
  })
})

describe('output of a link', () => {
  it('puts control before shards and shards before bodies, each in its order', async () => {
    const read = tested.read()
    for (let index = 0; index < 3; index++) {
      tested.send(services.bodies, Buffer.from(`body ${index}`))
      tested.send(services.shards, Buffer.from(`shard ${index}`))
      tested.send(services.topology, Buffer.from(`topology ${index}`))
    }
    await turns()

    const texts = framesOf(read.bytes).map(({ bytes }) => bytes.toString())
    assert.deepEqual(
      texts,
      ['topology', 'shard', 'body'].flatMap((kind) => [0, 1, 2].map((index) => `${kind} ${index}`)),
    )
    assert.equal(tested.writes.length, 1)
  })

  it('lets control overtake what waits for a slow peer', async () => {
    for (let index = 0; index < 40; index++) tested.send(services.bodies, Buffer.alloc(100_000, index))
    await turns()
    const writtenBefore = tested.writes.length
    tested.send(services.gossip, Buffer.from('urgent'))
    await turns()
    assert.equal(tested.writes.length, writtenBefore, 'the peer does not read')
    tested.read()
    await turns(200)

    const position = tested.writes.findIndex((write) =>
      framesOf(write).some(({ service }) => service === services.gossip),
    )
    assert.equal(position, writtenBefore, 'it is in the next write')
  })

  it('starves no lane: bodies get through while shards have more to say all the time', async () => {
    const read = tested.read()
    const piece = Buffer.alloc(60_000, 1)
    tested.send(services.bodies, Buffer.from('body'))
    let rounds = 0
    for (; rounds < 100; rounds++) {
      // More than one write is always waiting in the lane ahead.
      while (tested.link.waitingBytes < 1_000_000) tested.send(services.shards, piece)
      await turns(1)
      if (rounds === 0) tested.send(services.bodies, Buffer.alloc(200_000, 2))
      const arrived = framesOf(read.bytes)
      if (arrived.filter(({ service }) => service === services.bodies).length === 2) break
      read.bytes = tailOf(read.bytes)
    }
    assert.ok(rounds < 50, `${rounds} rounds`)
  })

  it('is congested above 4 MiB and drained below 2 MiB, once each', async () => {
    const piece = new Uint8Array(64 * 1024 - frameHeaderBytes)
    for (let index = 0; index < 64; index++) tested.send(services.bodies, piece)
    assert.ok(!tested.link.isCongested)
    tested.send(services.bodies, piece)
    assert.ok(tested.link.isCongested)
    await turns()
    assert.equal(tested.drained, 0)

    let waitingWhenDrained = 0
    tested.linkDrained = () => {
      tested.drained++
      waitingWhenDrained = tested.link.waitingBytes
    }
    tested.read()
    await turns(200)

    assert.equal(tested.drained, 1)
    assert.ok(!tested.link.isCongested)
    assert.ok(waitingWhenDrained < 2 * 1024 * 1024 && waitingWhenDrained > 1024 * 1024)
    assert.equal(tested.link.waitingBytes, 0)
  })

  it('takes the link down, not within `send`, when more waits than may', async () => {
    tested = new TestedLink({ waitingBytesMax: 1_000_000 })
    for (let index = 0; index < 12; index++) {
      tested.send(services.bodies, new Uint8Array(100_000))
      assert.equal(tested.down, '')
    }
    await turns()
    assert.match(tested.down, /more than 1000000 bytes wait/)
  })

  it('sends a sign of life each second, unless something waits anyway', async () => {
    // What is pooled has been used before.
    tested.send(services.gossip, Buffer.alloc(2_000, 0xff))
    const read = tested.read()
    await turns()
    read.bytes = Buffer.alloc(0)
    await pass(tested.clock, 3_000)
    assert.deepEqual([...read.bytes], Array(15).fill(0))

    tested.far.pause()
    tested.far.write(frame(0, new Uint8Array()), () => {})
    for (let index = 0; index < 20; index++) tested.send(services.bodies, new Uint8Array(100_000))
    const waiting = tested.link.waitingBytes
    await pass(tested.clock, 2_000)
    assert.ok(tested.link.waitingBytes <= waiting)
  })
})

describe('a link goes down', () => {
  it('after 5 s of silence, and not before', async () => {
    tested.read()
    await pass(tested.clock, 4_900)
    assert.equal(tested.down, '')
    await pass(tested.clock, 1_200)
    assert.match(tested.down, /nothing has come for 5000 ms/)
  })

  it('when the peer takes nothing for 10 s, though it speaks', async () => {
    const speak = (): void => tested.far.write(frame(0, new Uint8Array()), () => {})
    for (let index = 0; index < 20; index++) tested.send(services.bodies, new Uint8Array(100_000))
    for (let second = 0; second < 9; second++) {
      speak()
      await pass(tested.clock, 1_000)
    }
    assert.equal(tested.down, '')
    for (let second = 0; second < 3 && tested.down === ''; second++) {
      speak()
      await pass(tested.clock, 1_000)
    }
    assert.match(tested.down, /taken nothing for 10000 ms/)
  })

  it('is not down while we do not read, however long that is', async () => {
    // The run queue is another's: our turn does not come.
    let isOurs = false
    const run = RunQueue.prototype.add
    RunQueue.prototype.add = function add(task) {
      if (isOurs) run.call(this, task)
    }
    try {
      tested.far.write(Buffer.alloc(262_144), () => {})
      tested.read()
      await pass(tested.clock, 20_000)
      assert.equal(tested.down, '')
    } finally {
      isOurs = true
      RunQueue.prototype.add = run
    }
  })

  it('when the peer ends it, with what came before', async () => {
    tested.far.write(frame(3, Buffer.from('the last word')), () => {})
    tested.far.end()
    await turns()
    assert.equal(tested.messages.length, 1)
    assert.match(tested.down, /has closed the link/)
  })
})

function frame(service: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(frameHeaderBytes + payload.length)
  writeFrameHeader(bytes, 0, service, payload.length)
  bytes.set(payload, frameHeaderBytes)
  return bytes
}

function framesOf(bytes: Buffer): { service: number; bytes: Buffer }[] {
  const frames: { service: number; bytes: Buffer }[] = []
  for (let at = 0; at + frameHeaderBytes <= bytes.length; ) {
    const end = at + frameHeaderBytes + bytes.readUInt32BE(at)
    frames.push({ service: bytes.readUInt8(at + 4), bytes: bytes.subarray(at + frameHeaderBytes, end) })
    at = end
  }
  return frames
}

/** The frame that is not whole yet; the others are forgotten, but for those of bodies. */
function tailOf(bytes: Buffer): Buffer {
  const kept: Buffer[] = []
  let at = 0
  while (at + frameHeaderBytes <= bytes.length) {
    const end = at + frameHeaderBytes + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    if (bytes.readUInt8(at + 4) === services.bodies) kept.push(bytes.subarray(at, end))
    at = end
  }
  return Buffer.concat([...kept, bytes.subarray(at)])
}

function digest(bytes: Uint8Array): string {
  let sum = 0
  for (let index = 0; index < bytes.length; index++) sum = (Math.imul(sum, 31) + (bytes[index] ?? 0)) | 0
  return `${bytes.length}:${sum}`
}
