import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { type Clock, ManualClock, type Timer } from '../../../../src/base/clock.ts'
import { MemoryNetwork } from '../../../../src/base/memory-network.ts'
import { messageBytesMax, services } from '../../../../src/cluster/peers.ts'
import { FrailNetwork, introduce, LinkedNode, LinkWorld, turns } from '../../../support/cluster/linked-nodes.ts'

let world: LinkWorld

beforeEach(() => {
  world = new LinkWorld()
})

afterEach(async () => {
  await world.close()
})

describe('links of a node', () => {
  it('are one per pair, told to every service once', async () => {
    const nodes = [await world.node('a', 1), await world.node('b', 2), await world.node('c', 3)]
    introduce(...nodes)

    await world.pass(2_000)

    for (const node of nodes) {
      const others = nodes.filter((other) => other !== node).map((other) => `up ${other.members.self.name}`)
      for (const service of [node.shards, node.gossip, node.bodies]) {
        assert.deepEqual(service.events.map((event) => event.split('#')[0]).sort(), others)
      }
      assert.equal([...node.links.all].length, 2)
    }
  })

  it('wait until the node itself is a live member', async () => {
    const a = await world.node('a', 1)
    const b = await world.node('b', 2)
    a.members.come(b.member)
    b.members.come(a.member)
    b.members.come(b.member)

    await world.pass(1_000)
    assert.equal(a.links.find('b'), null)

    a.members.come(a.member)
    await world.pass(1_100)
    assert.ok(a.links.find('b') !== null)
  })

  it('come up soon after the slower of the two has learned of the other', async () => {
    const a = await world.node('a', 1)
    const b = await world.node('b', 2)
    for (const member of [a.member, b.member]) a.members.come(member)
    await world.pass(5_000)
    assert.equal(a.links.find('b'), null)

    for (const member of [a.member, b.member]) b.members.come(member)
    await world.pass(125)

    assert.ok(a.links.find('b') !== null && b.links.find('a') !== null)
  })

  it('carry messages whole and in order, both ways, of every length', async () => {
    const [a, b] = await world.pair()
    const lengths = [0, 1, 5, 4_095, 4_096, 70_000, 200_000, 262_144, 400_000, messageBytesMax, 3, messageBytesMax - 1]
    const messages = lengths.map((length, index) => Buffer.alloc(length, index + 1))

    for (const message of messages) {
      a.send('b', message)
      b.send('a', message)
    }
    await world.pass(100)

    assert.deepEqual(b.shards.messages.map(summary), messages.map(summary))
    assert.deepEqual(a.shards.messages.map(summary), messages.map(summary))
  })

  it('refuse a message that is too long with a sentence, and go on', async () => {
    const [a, b] = await world.pair()

    assert.throws(() => a.send('b', new Uint8Array(messageBytesMax + 1)), /at most 1048576 bytes/)
    a.send('b', 'still here')
    await turns()

    assert.deepEqual(b.shards.texts, ['still here'])
  })

  it('write everything of a turn at once', async () => {
    const frail = new FrailNetwork(world.network)
    const a = await world.node('a', 1, { network: frail })
    const b = await world.node('b', 2)
    introduce(a, b)
    await world.pass(500)
    const before = frail.writes

    for (let index = 0; index < 50; index++) {
      a.send('b', `shard ${index}`)
      a.send('b', `body ${index}`, services.bodies)
      a.send('b', `gossip ${index}`, services.gossip)
    }
    await turns()

    assert.equal(frail.writes - before, 1)
    assert.equal(b.shards.messages.length + b.bodies.messages.length + b.gossip.messages.length, 150)
  })

  it('drop a link to a member that is gone, and tell it', async () => {
    const [a, b] = await world.pair()

    a.members.gone('b')
    b.members.gone('a')
    await world.pass(100)

    assert.equal(a.links.find('b'), null)
    assert.deepEqual(a.shards.events, ['up b#2', 'down b#2'])
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1'])
  })

  it('let what was said before the end go out, and tell both sides', async () => {
    const [a, b] = await world.pair()

    a.send('b', 'the last word')
    const closed = a.links.close()
    a.links.find('b')?.send(services.shards, Buffer.from('too late'), 0, 8)
    await world.pass(100)
    await closed

    assert.deepEqual(b.shards.texts, ['the last word'])
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1'])
    assert.deepEqual(a.shards.events, ['up b#2', 'down b#2'])
  })

  it('end with the session of the node', async () => {
    const [a, b] = await world.pair()

    a.links.sessionLost()
    await world.pass(100)

    assert.equal(a.links.find('b'), null)
    assert.equal(b.links.find('a'), null)
  })

  it('tell all services of an up before the down that one of them causes', async () => {
    const a = await world.node('a', 1)
    const b = await world.node('b', 2)
    const up = a.gossip.up.bind(a.gossip)
    a.gossip.up = (peer) => {
      up(peer)
      a.members.gone('b')
    }
    introduce(a, b)

    await world.pass(500)

    assert.deepEqual(a.shards.events.slice(0, 2), ['up b#2', 'down b#2'])
    assert.deepEqual(a.bodies.events.slice(0, 2), ['up b#2', 'down b#2'])
  })

  it('go down when a service throws, and come up again', async () => {
    const [a, b] = await world.pair()
    b.shards.onMessage = (_peer, bytes) => {
      if (bytes.length === 3) throw new Error('spoiled')
    }

    a.send('b', 'bad')
    await world.pass(500)

    assert.equal(b.log.count(/service 3 has failed/), 1)
    assert.match(String(b.log.mistakes.pop()), /spoiled/)
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1', 'up a#1'])
    assert.ok(a.links.find('b') !== null)
  })

  it('need a secret, a name and a cluster id that can be used', () => {
    const clock = new ManualClock()
    const options = { network: new MemoryNetwork(clock), clock }

    assert.throws(() => new LinkedNode('a', 1, { ...options, secret: 'short' }), /at least 16/)
    assert.throws(() => new LinkedNode('a b', 1, options), /no node name/)
    assert.throws(() => new LinkedNode('a', 1, { ...options, clusterId: '' }), /no cluster id/)
  })
})

describe('a link that is lost', () => {
  it('is made again, and down is told before up', async () => {
    const frail = new FrailNetwork(world.network)
    const [a, b] = await world.pair({ network: frail })

    for (const socket of frail.sockets) socket.destroy()
    await world.pass(500)

    assert.deepEqual(a.shards.events, ['up b#2', 'down b#2', 'up b#2'])
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1', 'up a#1'])
    a.send('b', 'hello')
    await turns()
    assert.deepEqual(b.shards.texts, ['hello'])
  })

  it('is found by silence when nobody says so, and made again when the wire is back', async () => {
    const frail = new FrailNetwork(world.network)
    const [a, b] = await world.pair({ network: frail })

    frail.isSilent = true
    await world.pass(4_000)
    assert.ok(a.peer('b').isUp)
    await world.pass(2_500)
    assert.equal(a.links.find('b'), null)
    assert.equal(b.links.find('a'), null)

    frail.isSilent = false
    await world.pass(7_000)
    assert.ok(a.peer('b').isUp && b.peer('a').isUp)
    assert.deepEqual(a.members.proofs, [])
    assert.deepEqual(b.members.proofs, [])
  })

  it('is kept while there is nothing to say', async () => {
    const [a, b] = await world.pair()

    await world.pass(30_000)

    assert.deepEqual(a.shards.events, ['up b#2'])
    assert.deepEqual(b.shards.events, ['up a#1'])
  })

  it('is not taken for lost because the machine slept', async () => {
    const clock = new LateClock(world.clock)
    const [a, b] = await world.pair({ clock })

    clock.isAsleep = true
    await world.pass(60_000)
    clock.wake()
    await world.pass(3_000)

    assert.deepEqual(a.shards.events, ['up b#2'])
    assert.deepEqual(b.shards.events, ['up a#1'])
  })

  it('is replaced when the other node, which has lost it, comes again', async () => {
    const near = new FrailNetwork(world.network)
    const a = await world.node('a', 1, { network: near })
    const b = await world.node('b', 2)
    introduce(a, b)
    await world.pass(500)

    // Only the near side learns of it.
    near.isSilent = true
    for (const link of [...a.links.all]) link.cut('a test says so')
    await turns()
    assert.deepEqual(b.shards.events, ['up a#1'])
    near.isSilent = false
    await world.pass(500)

    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1', 'up a#1'])
    assert.ok(b.peer('a').isUp)
  })
})

/** While it sleeps, nothing happens; then what was due happens late, once. */
class LateClock implements Clock {
  isAsleep = false
  readonly #clock: Clock
  #due: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wake(): void {
    this.isAsleep = false
    for (const callback of this.#due.splice(0)) callback()
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  after(ms: number, callback: () => void): Timer {
    return this.#clock.after(ms, () => {
      if (this.isAsleep) this.#due.push(callback)
      else callback()
    })
  }

  soon(callback: () => void): void {
    this.#clock.soon(callback)
  }
}

function summary(bytes: Uint8Array): string {
  return `${bytes.length} bytes of ${bytes[0]} to ${bytes.at(-1)}`
}
