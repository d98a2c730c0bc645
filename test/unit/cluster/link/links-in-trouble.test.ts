/**
 * Nodes whose wires, links and lives are cut at random: whatever happens, each link session carries an unbroken
 * beginning of what was sent on it, in the order of each service, and only those are proved gone that are.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { type Peer, type Service, services } from '../../../../src/cluster/peers.ts'
import { FrailNetwork, LinkedNode, LinkWorld } from '../../../support/cluster/linked-nodes.ts'

const spoken: readonly Service[] = [services.shards, services.gossip, services.bodies]
const steps = 80

/** What the two ends of a link session count. */
interface Session {
  readonly serial: number
  readonly sent: Map<Service, number>
  readonly received: Map<Service, number>
  /** The other end's serial, from its first message. */
  theirs: number
}

class TroubledNode {
  readonly node: LinkedNode
  readonly network: FrailNetwork
  readonly #sessions = new WeakMap<Peer, Session>()
  static serials = 0
  received = 0

  constructor(world: LinkWorld, name: string, incarnation: number) {
    this.network = new FrailNetwork(world.network)
    this.node = new LinkedNode(name, incarnation, { network: this.network, clock: world.clock })
    for (const [service, noted] of [
      [services.shards, this.node.shards],
      [services.gossip, this.node.gossip],
      [services.bodies, this.node.bodies],
    ] as const) {
      noted.onMessage = (peer, bytes) => this.#arrived(peer, service, Buffer.from(bytes))
    }
  }

  speak(random: SeededRandom): void {
    for (const peer of this.node.links.all) {
      const session = this.#session(peer)
      for (let count = random.below(6); count > 0; count--) {
        const service = spoken[random.below(spoken.length)] ?? services.shards
        const number = session.sent.get(service) ?? 0
        session.sent.set(service, number + 1)
        const bytes = Buffer.alloc(8 + random.below(random.below(20) === 0 ? 300_000 : 500))
        bytes.writeUInt32BE(session.serial)
        bytes.writeUInt32BE(number, 4)
        peer.send(service, bytes, 0, bytes.length)
      }
    }
  }

  #session(peer: Peer): Session {
    const known = this.#sessions.get(peer)
    if (known !== undefined) return known
    const session = { serial: ++TroubledNode.serials, sent: new Map(), received: new Map(), theirs: 0 }
    this.#sessions.set(peer, session)
    return session
  }

  #arrived(peer: Peer, service: Service, bytes: Buffer): void {
    const session = this.#session(peer)
    const serial = bytes.readUInt32BE()
    if (session.theirs === 0) session.theirs = serial
    assert.equal(serial, session.theirs, 'what was sent on one link does not come by another')
    assert.equal(
      bytes.readUInt32BE(4),
      session.received.get(service) ?? 0,
      'nothing is left out, twice or out of order',
    )
    session.received.set(service, (session.received.get(service) ?? 0) + 1)
    this.received++
  }
}

async function live(seed: number): Promise<number> {
  const random = new SeededRandom(seed)
  const world = new LinkWorld()
  const nodes = new Map<string, TroubledNode>()
  const over = new Set<string>()
  const proofs = new Set<string>()
  let incarnation = 0
  let received = 0

  const begin = async (name: string): Promise<void> => {
    const troubled = new TroubledNode(world, name, ++incarnation)
    await troubled.node.start()
    nodes.set(name, troubled)
    for (const { node } of nodes.values()) {
      node.members.come(troubled.node.member)
      troubled.node.members.come(node.member)
    }
  }
  const end = (name: string): void => {
    const troubled = nodes.get(name)
    if (troubled === undefined) return
    nodes.delete(name)
    over.add(`${name}#${troubled.node.members.self.incarnation}`)
    received += troubled.received
    assert.deepEqual(troubled.node.log.mistakes, [])
    void troubled.node.links.close()
  }
  const collect = (): void => {
    for (const { node } of nodes.values()) for (const proof of node.members.proofs) proofs.add(proof)
    for (const { node } of nodes.values()) assert.deepEqual(node.log.mistakes, [])
    for (const proof of proofs) assert.ok(over.has(proof), `${proof} was proved gone and is not`)
  }

  for (const name of ['a', 'b', 'c']) await begin(name)
  for (let step = 0; step < steps; step++) {
    const name = ['a', 'b', 'c'][random.below(3)] ?? 'a'
    const troubled = nodes.get(name)
    const what = random.below(12)
    if (what === 0 && troubled !== undefined) end(name)
    else if (what <= 2 && troubled === undefined) await begin(name)
    else if (what === 3 && troubled !== undefined) troubled.network.isSilent = true
    else if (what === 4 && troubled !== undefined) {
      for (const socket of troubled.network.sockets) if (random.below(2) === 0) socket.destroy()
    }
    for (const each of nodes.values()) {
      if (random.below(3) === 0) each.network.isSilent = false
      each.speak(random)
    }
    await world.pass(random.below(5) === 0 ? random.below(8_000) : random.below(300))
    collect()
  }

  // All is well again: everybody is there, knows of everybody, and is heard.
  for (const each of nodes.values()) each.network.isSilent = false
  for (const name of ['a', 'b', 'c']) if (!nodes.has(name)) await begin(name)
  for (const { node } of nodes.values()) for (const other of nodes.values()) node.members.come(other.node.member)
  await world.pass(9_000)
  for (const each of nodes.values()) each.speak(random)
  await world.pass(500)
  collect()
  for (const { node } of nodes.values())
    assert.equal([...node.links.all].length, 2, `the links of ${node.members.self.name}`)
  for (const name of [...nodes.keys()]) end(name)
  await world.pass(1_200)
  return received
}

describe('links in trouble', () => {
  for (let seed = 1; seed <= 6; seed++) {
    it(`keep their word, with seed ${seed}`, async () => {
      assert.ok((await live(seed)) > 100, 'there was something to keep')
    })
  }
})
