/** Connections and channels that limits count, told between nodes: what counts, for how long, and what goes over a link. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import type { LimitedCount } from '../../../src/broker/session-counts.ts'
import { ManagementLink } from '../../../src/cluster/management-link.ts'
import type { Member, Members } from '../../../src/cluster/members.ts'
import { SessionReports } from '../../../src/cluster/session-reports.ts'
import { MemoryNetwork } from '../../support/cluster/memory-peers.ts'

class World {
  readonly clock = new ManualClock()
  readonly network = new MemoryNetwork()
  readonly live = new Map<string, Member>()
  readonly nodes = new Map<string, Node>()

  constructor(...names: readonly string[]) {
    for (const name of names) this.start(name)
    this.network.connectAll()
  }

  start(name: string): Node {
    const identity = { name, incarnation: this.nodes.size + 1 + (this.live.get(name)?.incarnation ?? 0) * 100 }
    const member = { ...identity, host: '', port: 0, version: '', isDraining: false, startedAt: 0 }
    this.live.set(name, member)
    const node = new Node(this, identity)
    this.nodes.set(name, node)
    return node
  }

  node(name: string): Node {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`there is no ${name}`)
    return node
  }

  /** The session of a node is over, and everybody knows. */
  ended(name: string): void {
    this.live.delete(name)
    for (const { reports } of this.nodes.values()) reports.membersChanged()
  }

  async told(): Promise<void> {
    this.clock.advance(250)
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

class Node {
  readonly reports: SessionReports
  open: LimitedCount[] = []
  bytes = 0

  constructor({ network, live, clock }: World, identity: { name: string; incarnation: number }) {
    const peers = network.join(identity)
    const link = new ManagementLink(peers, clock)
    const tell = link.tell.bind(link)
    link.tell = (peer, writer) => {
      this.bytes += writer.length
      tell(peer, writer)
    }
    const members = { self: identity, live, isCurrent: true } as unknown as Members
    const runQueue = new RunQueue(clock)
    this.reports = new SessionReports({ link, members, clock, runQueue, limited: () => this.open })
    this.reports.start()
  }

  has(...counts: readonly [LimitedCount['kind'], name: string, connections: number, channels: number][]): void {
    this.open = counts.map(([kind, name, connections, channels]) => ({ kind, name, connections, channels }))
  }

  sees(kind: LimitedCount['kind'], name: string): readonly [connections: number, channels: number] {
    return [this.reports.connections(kind, name), this.reports.channels(name)]
  }
}

describe('what limits count at other nodes', () => {
  it('is the sum of what they have said, of vhosts and users each', async () => {
    const world = new World('a', 'b', 'c')
    world.node('a').has(['user', 'u', 3, 9], ['vhost', 'u', 2, 0])
    world.node('b').has(['user', 'u', 1, 4])
    await world.told()
    assert.deepEqual(world.node('c').sees('user', 'u'), [4, 13])
    assert.equal(world.node('c').reports.connections('vhost', 'u'), 2)
    assert.deepEqual(world.node('a').sees('user', 'u'), [1, 4])
    world.node('a').has(['user', 'u', 2, 1])
    await world.told()
    assert.deepEqual(world.node('c').sees('user', 'u'), [3, 5])
    assert.equal(world.node('c').reports.connections('vhost', 'u'), 0)
  })

  it('is told when it changes, and costs nothing while it does not', async () => {
    const world = new World('a', 'b')
    const a = world.node('a')
    a.open = Array.from({ length: 1_000 }, (_, user) => {
      return { kind: 'user', name: `user-${user}`, connections: 5, channels: 10 }
    })
    await world.told()
    const { bytes } = a
    assert.ok(bytes > 10_000 && bytes < 30_000, `${bytes} bytes`)
    await world.told()
    assert.equal(a.bytes, bytes)
    a.open = a.open.map((count) => (count.name === 'user-7' ? { ...count, connections: 6 } : count))
    await world.told()
    assert.ok(a.bytes - bytes < 30)
    assert.equal(world.node('b').reports.connections('user', 'user-7'), 6)
  })

  it('counts on while the link is down, since the node may go on', async () => {
    const world = new World('a', 'b')
    world.node('a').has(['user', 'u', 3, 0])
    await world.told()
    world.network.cut('a', 'b')
    world.node('a').has(['user', 'u', 1, 0])
    await world.told()
    assert.deepEqual(world.node('b').sees('user', 'u'), [3, 0])
    world.network.mend('a', 'b')
    await world.told()
    assert.deepEqual(world.node('b').sees('user', 'u'), [1, 0])
    world.network.cut('a', 'b')
    world.node('a').has()
    world.network.mend('a', 'b')
    await world.told()
    assert.deepEqual(world.node('b').sees('user', 'u'), [0, 0], 'also that there is none any more')
  })

  it('ends with the session of the node, and is not there twice when it comes again', async () => {
    const world = new World('a', 'b')
    world.node('a').has(['user', 'u', 3, 0])
    await world.told()
    world.network.kill('a')
    assert.deepEqual(world.node('b').sees('user', 'u'), [3, 0])
    const again = world.start('a')
    again.has(['user', 'u', 2, 0])
    world.node('b').reports.membersChanged()
    assert.deepEqual(world.node('b').sees('user', 'u'), [0, 0])
    world.network.connectAll()
    await world.told()
    assert.deepEqual(world.node('b').sees('user', 'u'), [2, 0])
    world.ended('a')
    assert.deepEqual(world.node('b').sees('user', 'u'), [0, 0])
    again.has(['user', 'u', 5, 0])
    await world.told()
    assert.deepEqual(world.node('b').sees('user', 'u'), [0, 0], 'who has no session is not believed')
  })
})
