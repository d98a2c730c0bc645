import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { Gossip, type GossipSource } from '../../../../src/cluster/membership/gossip.ts'
import { decodeGossip, encodeGossip, type SharedAlarm } from '../../../../src/cluster/membership/gossip-message.ts'
import type { LogMark } from '../../../../src/cluster/membership/log-mark.ts'
import type { Peer, Peers, Service, ServiceHandler } from '../../../../src/cluster/peers.ts'

/** Links between gossips of one process: what is sent arrives at once. */
class Wire implements Peers {
  readonly name: string
  readonly peers = new Map<string, WirePeer>()
  handler: ServiceHandler | null = null

  constructor(name: string) {
    this.name = name
  }

  get all(): Iterable<Peer> {
    return this.peers.values()
  }

  find(name: string): Peer | null {
    return this.peers.get(name) ?? null
  }

  serve(_service: Service, handler: ServiceHandler): void {
    this.handler = handler
  }

  join(other: Wire): void {
    const there = new WirePeer(
      other.name,
      () => other.handler,
      () => other.peers.get(this.name),
    )
    const here = new WirePeer(
      this.name,
      () => this.handler,
      () => this.peers.get(other.name),
    )
    this.peers.set(other.name, there)
    other.peers.set(this.name, here)
    this.handler?.up(there)
    other.handler?.up(here)
  }

  part(other: Wire): void {
    for (const [one, another] of [
      [this, other],
      [other, this],
    ] as const) {
      const peer = one.peers.get(another.name)
      one.peers.delete(another.name)
      if (peer !== undefined) one.handler?.down(peer)
    }
  }
}

class WirePeer implements Peer {
  readonly name: string
  readonly incarnation = 1
  readonly isUp = true
  readonly isCongested = false
  sent = 0
  readonly #handler: () => ServiceHandler | null
  readonly #back: () => Peer | undefined

  constructor(name: string, handler: () => ServiceHandler | null, back: () => Peer | undefined) {
    this.name = name
    this.#handler = handler
    this.#back = back
  }

  send(_service: Service, bytes: Uint8Array, start: number, end: number): void {
    this.sent++
    const back = this.#back()
    if (back !== undefined) this.#handler()?.message(back, bytes.slice(start, end), 0, end - start)
  }
}

class Node implements GossipSource {
  readonly wire: Wire
  readonly gossip: Gossip
  readonly marks = new Map<string, LogMark>()
  readonly ownAlarms = new Set<SharedAlarm>()
  position = 0
  readonly told: string[] = []

  constructor(name: string, clock: ManualClock) {
    this.wire = new Wire(name)
    this.gossip = new Gossip({
      peers: this.wire,
      clock,
      logger: silentLogger,
      source: this,
      shards: ['topology', 'shard-0'],
      listener: {
        remoteAlarmsChanged: (alarms) => {
          this.told.push([...alarms].map(([alarm, nodes]) => `${alarm} at ${nodes.join(' ')}`).join(', ') || 'none')
        },
        logsDisagree: (shard, ordinal, node) => this.told.push(`dispute of ${shard} ${ordinal} with ${node}`),
      },
    })
    this.gossip.start()
  }

  alarms() {
    return this.ownAlarms
  }

  topologyPosition() {
    return this.position
  }

  copies() {
    return this.marks
  }
}

function nodes(): { clock: ManualClock; one: Node; two: Node; three: Node } {
  const clock = new ManualClock()
  return { clock, one: new Node('n1', clock), two: new Node('n2', clock), three: new Node('n3', clock) }
}

test('the highest mark of a log comes to all, also by way of others, and outlives who knew it', () => {
  const { clock, one, two, three } = nodes()
  one.wire.join(two.wire)
  two.wire.join(three.wire)
  one.marks.set('shard-0', { ordinal: 41, chain: 7 })
  clock.advance(3_000)
  assert.deepEqual(three.gossip.highest('shard-0'), { ordinal: 41, chain: 7 })
  one.wire.part(two.wire)
  three.marks.set('shard-0', { ordinal: 40, chain: 6 })
  clock.advance(3_000)
  assert.deepEqual(three.gossip.highest('shard-0'), { ordinal: 41, chain: 7 })
  assert.deepEqual(two.gossip.copies().get('n3')?.get('shard-0'), { ordinal: 40, chain: 6 })
  assert.equal(two.gossip.copies().has('n1'), false)
})

test('marks that were stored are known again, and those of unknown shards are passed over', () => {
  const { clock, one, two } = nodes()
  one.gossip.restore([
    ['shard-0', { ordinal: 5, chain: 1 }],
    ['shard-77', { ordinal: 5, chain: 1 }],
  ])
  one.wire.join(two.wire)
  clock.advance(1_000)
  assert.deepEqual([...two.gossip.known], [['shard-0', { ordinal: 5, chain: 1 }]])
})

test('a log of which nothing is stored has no mark', () => {
  const { one } = nodes()
  one.marks.set('shard-0', { ordinal: -1, chain: 0 })
  assert.equal(one.gossip.highest('shard-0'), null)
})

test('an alarm is told at the end of the turn, and ends with it or with the link', async () => {
  const { one, two, three } = nodes()
  one.wire.join(two.wire)
  three.wire.join(two.wire)
  one.ownAlarms.add('memory')
  one.gossip.changed()
  one.gossip.changed()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(two.told, ['memory at n1'])
  three.ownAlarms.add('memory')
  three.gossip.changed()
  await new Promise((resolve) => setImmediate(resolve))
  one.ownAlarms.clear()
  one.gossip.changed()
  await new Promise((resolve) => setImmediate(resolve))
  three.wire.part(two.wire)
  assert.deepEqual(two.told, ['memory at n1', 'memory at n1 n3', 'memory at n3', 'none'])
  assert.equal(two.gossip.remoteAlarms.size, 0)
})

test('each node is told once a second, and once for several changes of one turn', async () => {
  const { clock, one, two } = nodes()
  one.wire.join(two.wire)
  const peer = one.wire.peers.get('n2')
  assert.equal(peer?.sent, 1)
  clock.advance(5_000)
  assert.equal(peer?.sent, 6)
  one.position = 17
  for (let count = 0; count < 10; count++) one.gossip.changed()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(peer?.sent, 7)
  assert.equal(two.gossip.topologyPositions().get('n1'), 17)
  one.gossip.stop()
  clock.advance(5_000)
  assert.equal(peer?.sent, 7)
})

test('two nodes that hold different frames at one place are found, once', () => {
  const { clock, one, two } = nodes()
  one.wire.join(two.wire)
  one.marks.set('shard-0', { ordinal: 3, chain: 7 })
  two.marks.set('shard-0', { ordinal: 3, chain: 8 })
  clock.advance(3_000)
  assert.deepEqual(one.told, ['dispute of shard-0 3 with n2'])
})

test('what is no gossip is refused, and what a later version says besides is passed over', () => {
  const copies = new Map([['topology', { ordinal: 1, chain: 2 }]])
  const message = { alarms: ['disk' as const], topologyPosition: 9, copies, known: new Map() }
  assert.deepEqual(decodeGossip(encodeGossip(message)), message)
  const later = { alarms: ['disk', 'heat'], topologyPosition: 9, copies: { topology: [1, 2, 3] }, known: {}, more: 1 }
  assert.deepEqual(decodeGossip(Buffer.from(JSON.stringify(later))), message)
  for (const bad of ['', 'x', '[]', '{}', '{"alarms":[],"topologyPosition":-1,"copies":{},"known":{}}']) {
    assert.equal(decodeGossip(Buffer.from(bad)), null)
  }
  const crooked = { ...later, copies: { topology: 'high' } }
  assert.equal(decodeGossip(Buffer.from(JSON.stringify(crooked))), null)
  assert.equal(decodeGossip(Buffer.alloc(70_000, ' ')), null)
})

test('a message that cannot be read changes nothing', () => {
  const { one, two } = nodes()
  one.wire.join(two.wire)
  const peer = one.wire.peers.get('n2')
  peer?.send(1, Buffer.from('nonsense'), 0, 8)
  assert.deepEqual(two.told, [])
})
