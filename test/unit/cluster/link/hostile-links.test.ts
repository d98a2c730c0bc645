import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Socket } from '../../../../src/base/network.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import {
  decodeGreeting,
  encodeGreeting,
  handshakeFrame,
  handshakeTypes,
} from '../../../../src/cluster/link/link-codec.ts'
import {
  clusterMarkOf,
  DialingSide,
  type HandshakeSelf,
  ListeningSide,
} from '../../../../src/cluster/link/link-handshake.ts'
import { mutate } from '../../../support/byte-mutation.ts'
import { introduce, type LinkedNode, LinkWorld, turns } from '../../../support/cluster/linked-nodes.ts'

let world: LinkWorld
let a: LinkedNode
let b: LinkedNode

beforeEach(async () => {
  world = new LinkWorld()
  ;[a, b] = await world.pair()
})

afterEach(async () => {
  await world.close()
})

/** Somebody who connects to a node and says what he likes. */
class Stranger {
  readonly socket: Socket
  readonly received: Uint8Array[] = []
  isClosed = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.open({
      data: (buffer, start, end) => void this.received.push(buffer.slice(start, end)),
      ended: () => this.#over(),
      closed: () => this.#over(),
    })
  }

  #over(): void {
    this.isClosed = true
  }

  static async to(node: LinkedNode): Promise<Stranger> {
    return new Stranger(await world.network.connect('127.0.0.1', node.port))
  }

  async says(bytes: Uint8Array): Promise<void> {
    this.socket.write(bytes, () => {})
    await turns(12)
  }

  /** What he was told last, without the header. */
  get answer(): Uint8Array {
    return Buffer.concat(this.received).subarray(5)
  }
}

function own(changes: Partial<HandshakeSelf> = {}): HandshakeSelf {
  return {
    self: { name: 'c', incarnation: 3 },
    clusterMark: clusterMarkOf('test-cluster'),
    secret: Buffer.from('a secret that is long enough'),
    nonce: new SeededRandom(7).bytes(32),
    ...changes,
  }
}

/** The healthy link is as it was. */
async function unharmed(): Promise<void> {
  const before = b.shards.messages.length
  a.send('b', 'still here')
  await turns(12)
  assert.equal(b.shards.messages.length, before + 1)
  assert.deepEqual(b.shards.events, ['up a#1'])
  assert.deepEqual(a.shards.events, ['up b#2'])
}

describe('a stranger at the cluster port', () => {
  it('is refused when he says what is no handshake', async () => {
    for (const text of [
      'GET / HTTP/1.1\r\n\r\n',
      'AMQP\0\0\t\u0001',
      '\u0016\u0003\u0001\u0002\0',
      '\0\0\0\u0002\u00f1xx',
    ]) {
      const stranger = await Stranger.to(b)
      await stranger.says(Buffer.from(text, 'latin1'))
      assert.ok(stranger.isClosed, text)
      assert.deepEqual(stranger.received, [], 'he is told nothing')
    }
    assert.equal(b.log.count(/a connection to the cluster port was refused/), 1, 'once a minute for each address')
    await world.pass(61_000)
    await (await Stranger.to(b)).says(Buffer.from('GET / HTTP'))
    assert.equal(b.log.count(/a connection to the cluster port was refused/), 2)
    await unharmed()
  })

  it('is refused when he announces a huge message, before anything of it is kept', async () => {
    const stranger = await Stranger.to(b)
    await stranger.says(Uint8Array.of(0xff, 0xff, 0xff, 0xff, handshakeTypes.greeting))
    assert.ok(stranger.isClosed)
    await unharmed()
  })

  it('is cut off when he takes too long, however he drips', async () => {
    const silent = await Stranger.to(b)
    const dripping = await Stranger.to(b)
    const greeting = encodeGreeting({ ...own().self, ...own(), versionLowest: 3, versionHighest: 3 })
    for (let second = 0; second < 5; second++) {
      assert.ok(!dripping.isClosed)
      await dripping.says(greeting.subarray(second, second + 1))
      await world.pass(1_000)
    }
    assert.ok(silent.isClosed && dripping.isClosed)
    await unharmed()
  })

  it('cannot hold more than some connections, and those who know the secret come through afterwards', async () => {
    const strangers = await Promise.all(Array.from({ length: 40 }, () => Stranger.to(b)))
    await turns()
    assert.equal(strangers.filter(({ isClosed }) => !isClosed).length, 16)
    await world.pass(5_100)
    assert.equal(strangers.filter(({ isClosed }) => !isClosed).length, 0)

    const c = await world.node('c', 3)
    introduce(a, b, c)
    await world.pass(1_100)
    assert.ok(b.links.find('c') !== null)
  })

  it('proves nothing with what he has heard before', async () => {
    const dialing = new DialingSide(own(), () => 'link')
    const first = await Stranger.to(b)
    await first.says(dialing.opening)
    const proof = dialing.take(handshakeTypes.greeting, first.answer).send
    assert.ok(proof !== null)

    const second = await Stranger.to(b)
    await second.says(dialing.opening)
    assert.notDeepEqual(decodeGreeting(second.answer).nonce, decodeGreeting(first.answer).nonce)
    second.received.length = 0
    await second.says(proof)

    assert.ok(second.isClosed)
    assert.deepEqual(second.received, [])
    assert.equal(b.log.count(/does not know the cluster's secret/), 1)
  })

  it('cannot send a proof back to where it came from', () => {
    const dialing = new DialingSide(own(), () => 'link')
    const listening = new ListeningSide(own({ self: { name: 'b', incarnation: 2 } }), () => {
      return { verdict: 'accepted', sentence: '' }
    })
    const greeting = listening.take(handshakeTypes.greeting, dialing.opening.subarray(5)).send
    assert.ok(greeting !== null)
    const proof = dialing.take(handshakeTypes.greeting, greeting.subarray(5)).send
    assert.ok(proof !== null)

    const reflected = handshakeFrame(handshakeTypes.answer, proof.subarray(5))
    assert.throws(
      () => dialing.take(handshakeTypes.answer, reflected.subarray(5)),
      /does not know the cluster's secret/,
    )
  })

  it('cannot change what the answer says', () => {
    const dialing = new DialingSide(own(), () => 'link')
    const listening = new ListeningSide(own({ self: { name: 'b', incarnation: 2 } }), () => {
      return { verdict: 'superseded', sentence: 'a sentence' }
    })
    const greeting = listening.take(handshakeTypes.greeting, dialing.opening.subarray(5)).send
    const proof = dialing.take(handshakeTypes.greeting, greeting?.subarray(5) ?? new Uint8Array()).send
    const answer = listening.take(handshakeTypes.proof, proof?.subarray(5) ?? new Uint8Array()).send
    assert.ok(answer !== null)
    for (const at of [5, 6, 37, answer.length - 1]) {
      const forged = answer.slice(5)
      forged[at - 5] = (forged[at - 5] ?? 0) ^ 1
      assert.throws(() => dialing.take(handshakeTypes.answer, forged), /does not know the cluster's secret/)
    }
    const { result } = dialing.take(handshakeTypes.answer, answer.subarray(5))
    assert.deepEqual(result, {
      peer: { name: 'b', incarnation: 2 },
      intent: 'link',
      verdict: 'superseded',
      sentence: 'a sentence',
    })
  })

  it('is refused by both ends when he is of another cluster, or of a format that is not spoken', async () => {
    const c = await world.node('c', 3, { clusterId: 'another' })
    introduce(a, b, c)
    await world.pass(1_000)
    assert.equal(c.links.find('a'), null)
    assert.ok(a.log.count(/node 'c' belongs to another cluster/) >= 1)
    assert.ok(c.log.count(/node 'a' belongs to another cluster/) >= 1)

    void c.links.close()
    await world.pass(61_000)
    const stranger = await Stranger.to(b)
    const from = { ...own().self, ...own(), versionLowest: 9, versionHighest: 12 }
    await stranger.says(encodeGreeting(from))
    assert.ok(stranger.received.length > 0, 'the greeting is answered, so that the other end can say it too')
    assert.ok(!Buffer.from(stranger.answer).includes('test-cluster'), 'and does not tell the cluster id')
    stranger.socket.end()
    await turns()
    assert.equal(b.log.count(/speaks link formats 9 to 12, this node 4 to 4: upgrade the older one/), 1)

    await world.pass(61_000)
    const older = await Stranger.to(b)
    await older.says(encodeGreeting({ ...own().self, ...own(), versionLowest: 1, versionHighest: 1 }))
    older.socket.end()
    await turns()
    assert.equal(b.log.count(/speaks link formats 1 to 1, this node 4 to 4: upgrade the older one/), 1)
  })

  it('who is no member is told so when he knows the secret', async () => {
    const c = await world.node('c', 3)
    for (const member of [c.member, a.member]) c.members.come(member)
    await world.pass(1_000)
    assert.equal(c.log.count(/node 'a' does not know incarnation 3 of 'c'/), 1)
    assert.equal(a.links.find('c'), null)
    await unharmed()
  })
})

describe('any bytes in the handshake', () => {
  it('do no harm', async () => {
    await world.close()
    world = new LinkWorld()
    ;[a, b] = await world.pair({ limits: { handshakeMsMax: 300 } })
    const random = new SeededRandom(20_261_122)
    const dialing = new DialingSide(own(), () => 'link')
    const sample = new DialingSide(own(), () => 'probe')
    const first = await Stranger.to(b)
    await first.says(dialing.opening)
    const proof = dialing.take(handshakeTypes.greeting, first.answer).send ?? new Uint8Array()
    const traffic = [dialing.opening, Buffer.concat([dialing.opening, proof]), sample.opening, proof]

    for (let round = 0; round < 1_500; round++) {
      const stranger = await Stranger.to(b)
      const base = traffic[random.below(traffic.length)] ?? proof
      stranger.socket.write(mutate(base, traffic, random), () => {})
      if (round % 15 === 14) await world.pass(325)
    }
    await world.pass(325)

    await unharmed()
  })
})

describe('a node that knows the secret and speaks nonsense', () => {
  it('loses its link, and nobody else does', async () => {
    const random = new SeededRandom(77)
    for (let round = 0; round < 300; round++) {
      const node = own({ nonce: random.bytes(32) })
      a.members.come({ ...node.self, host: 'nowhere', port: 1, version: '0', isDraining: false, startedAt: 0 })
      b.members.come({
        ...node.self,
        name: '0',
        host: 'nowhere',
        port: 1,
        version: '0',
        isDraining: false,
        startedAt: 0,
      })
      const stranger = await Stranger.to(b)
      const dialing = new DialingSide({ ...node, self: { name: '0', incarnation: 3 } }, () => 'link')
      await stranger.says(dialing.opening)
      const proof = dialing.take(handshakeTypes.greeting, stranger.answer).send ?? new Uint8Array()
      stranger.received.length = 0
      await stranger.says(proof)
      const { result } = dialing.take(handshakeTypes.answer, stranger.answer.subarray(0, 33))
      assert.equal(result?.verdict, 'accepted')

      const frames = Buffer.concat([
        handshakeFrame(3, random.bytes(20)),
        handshakeFrame(0),
        handshakeFrame(200, random.bytes(3)),
      ])
      await stranger.says(mutate(frames, [frames], random))
      stranger.socket.destroy()
      await turns(12)
      assert.equal(b.links.find('0'), null)
    }
    await unharmedBut('0')
  })

  it('is cut when it announces a message that is too long', async () => {
    const [socket] = [...a.links.all]
    assert.ok(socket !== undefined)
    const stranger = await Stranger.to(b)
    b.members.come({ name: '0', incarnation: 3, host: '', port: 1, version: '0', isDraining: false, startedAt: 0 })
    const dialing = new DialingSide(own({ self: { name: '0', incarnation: 3 } }), () => 'link')
    await stranger.says(dialing.opening)
    await stranger.says(dialing.take(handshakeTypes.greeting, stranger.answer).send ?? new Uint8Array())
    assert.ok(b.links.find('0') !== null)

    await stranger.says(Uint8Array.of(0, 0x10, 0, 1, 3))

    assert.ok(stranger.isClosed)
    assert.equal(b.log.count(/a message of 1048577 bytes was announced/), 1)
  })

  async function unharmedBut(name: string): Promise<void> {
    const others = b.shards.events.filter((event) => !event.includes(`${name}#`))
    assert.deepEqual(others, ['up a#1'])
    assert.ok(a.peer('b').isUp)
  }
})
