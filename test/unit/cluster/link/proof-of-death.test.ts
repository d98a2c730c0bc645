import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { FrailNetwork, introduce, type LinkedNode, LinkWorld } from '../../../support/cluster/linked-nodes.ts'

let world: LinkWorld

beforeEach(() => {
  world = new LinkWorld()
})

afterEach(async () => {
  await world.close()
})

describe('a process is proved gone', () => {
  for (const [dead, alive] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    it(`by two refusals after its link is down, to the node with the ${alive === 'a' ? 'smaller' : 'larger'} name`, async () => {
      const [a, b] = await world.pair()
      const [gone, other] = dead === 'a' ? [a, b] : [b, a]

      void gone.links.close()
      await world.pass(125)
      assert.deepEqual(other.members.proofs, [], 'one refusal is no proof')
      await world.pass(200)

      assert.deepEqual(other.members.proofs, [`${dead}#${gone.members.self.incarnation}`])
      assert.deepEqual(other.shards.events.slice(-1), [`down ${dead}#${gone.members.self.incarnation}`])
    })
  }

  it('by a later incarnation that answers at its address', async () => {
    const [, b] = await world.pair()
    const port = b.port
    const a = await reach(b)
    void b.links.close()
    await world.node('b', 7, { port })
    await world.pass(200)

    assert.deepEqual(a.members.proofs, ['b#2'])
  })

  it('by a later incarnation that comes itself', async () => {
    const frail = new FrailNetwork(world.network)
    const b = await world.node('b', 2)
    const a = await world.node('a', 1, { network: frail })
    introduce(a, b)
    await world.pass(500)
    // The old one hangs: it answers nothing, and its port still accepts.
    frail.isSilent = true

    const later = await world.node('a', 9)
    for (const member of [later.member, b.member]) later.members.come(member)
    await world.pass(200)

    assert.deepEqual(b.members.proofs, ['a#1'])
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1'])
    b.members.come(later.member)
    await world.pass(1_100)
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1', 'up a#9'])
  })

  async function reach(node: LinkedNode): Promise<LinkedNode> {
    const reaching = await world.node('0', 5)
    introduce(reaching, node)
    await world.pass(500)
    assert.ok(reaching.links.find(node.members.self.name) !== null)
    return reaching
  }
})

describe('a process is not proved gone', () => {
  it('by an address that refuses and has never led to it', async () => {
    const a = await world.node('a', 1)
    const b = await world.node('b', 2)
    a.members.come(a.member)
    a.members.come({ ...b.member, port: 1 })

    await world.pass(30_000)

    assert.deepEqual(a.members.proofs, [])
    assert.equal(a.log.count(/refuses connections/), 1)
  })

  it('by an address that refuses while another node is linked to it', async () => {
    const frail = new FrailNetwork(world.network)
    const a = await world.node('a', 1, { network: frail })
    const [b, c] = [await world.node('b', 2), await world.node('c', 3)]
    introduce(a, b, c)
    await world.pass(500)

    frail.refuses = [b.port]
    for (const link of a.links.all) if (link.name === 'b') link.cut('a test says so')
    await world.pass(30_000)

    assert.deepEqual([...a.members.proofs, ...b.members.proofs], [])
    assert.equal(a.log.count(/node 'c' is linked to it: a firewall in between rejects/), 1)
    assert.equal(a.log.count(/its address refuses connections$/), 1)
    assert.equal(a.links.find('b'), null)

    void b.links.close()
    await world.pass(3_000)
    assert.deepEqual(a.members.proofs, ['b#2'], 'when that node has no link to it any more either, it is')
  })

  it('by an address that refuses before another node has had time to say whether it is linked to it', async () => {
    const [inner, outer] = [new FrailNetwork(world.network), new FrailNetwork(world.network)]
    const a = await world.node('a', 1, { network: outer })
    const b = await world.node('b', 2)
    const c = await world.node('c', 3, { network: inner })
    introduce(a, b, c)
    await world.pass(500)

    // c stands still: it says nothing, and nothing of it can be told.
    inner.isSilent = true
    void b.links.close()
    await world.pass(500)
    assert.deepEqual(a.members.proofs, [])
    await world.pass(500)
    assert.deepEqual(a.members.proofs, ['b#2'])
  })

  it('by silence', async () => {
    const frail = new FrailNetwork(world.network)
    const [a, b] = await world.pair({ network: frail })

    frail.isSilent = true
    frail.isUnreachable = true
    await world.pass(30_000)

    assert.deepEqual([...a.members.proofs, ...b.members.proofs], [])
    assert.equal(a.links.find('b'), null)
    frail.isSilent = false
    frail.isUnreachable = false
    await world.pass(6_500)
    assert.ok(a.peer('b').isUp)
  })

  it('by a link that is cut while it listens', async () => {
    const [a, b] = await world.pair()

    for (let count = 0; count < 5; count++) {
      for (const link of [...b.links.all]) link.cut('a test says so')
      await world.pass(2_000)
    }

    assert.deepEqual([...a.members.proofs, ...b.members.proofs], [])
    assert.ok(a.peer('b').isUp)
  })

  it('by another node at its address', async () => {
    const a = await world.node('a', 1)
    const b = await world.node('b', 2)
    const c = await world.node('c', 3)
    introduce(a, b, c)
    a.members.come({ ...b.member, port: c.port })

    await world.pass(3_000)

    assert.deepEqual(a.members.proofs, [])
    assert.equal(a.log.count(/its address leads to node 'c'/), 1)
    assert.equal(a.links.find('b'), null)
  })

  it('by an earlier incarnation that answers at its address', async () => {
    const [a, b] = await world.pair()

    a.members.come({ ...b.member, incarnation: 8 })
    await world.pass(3_000)

    assert.deepEqual(a.members.proofs, [])
    assert.equal(a.links.find('b'), null)
    assert.equal(a.log.count(/incarnation 2 of it answers, not 8/), 1)
  })

  it('by whoever does not know the secret', async () => {
    const a = await world.node('a', 1)
    const b = await world.node('b', 2)
    introduce(a, b)
    await world.pass(500)
    const impostor = await world.node('b', 9, { secret: 'another secret, long enough' })
    for (const member of [impostor.member, a.member]) impostor.members.come(member)

    a.members.come({ ...b.member, port: impostor.port })
    await world.pass(3_000)

    assert.deepEqual(a.members.proofs, [])
    assert.ok(a.log.count(/do both nodes have the same cluster secret/) >= 1)
    assert.ok(a.log.count(/does not know the cluster's secret/) >= 1)
  })
})

describe('incarnations', () => {
  it('that are over are refused with a sentence', async () => {
    const [, b] = await world.pair()
    b.members.come({ ...(await world.node('a', 6)).member })
    await world.pass(1_000)

    const old = await world.node('a', 4)
    for (const member of [old.member, b.member]) old.members.come(member)
    await world.pass(1_000)

    assert.ok(old.log.count(/node 'b' knows incarnation 6 of 'a', a later one/) === 1)
    assert.equal(old.links.find('b'), null)
    assert.deepEqual(b.members.proofs, [])
  })

  it('come one after the other, down before up', async () => {
    const [a, b] = await world.pair()
    const again = await world.node('b', 3)

    b.links.sessionLost()
    introduce(a, again)
    await world.pass(1_100)

    assert.deepEqual(a.shards.events, ['up b#2', 'down b#2', 'up b#3'])
    a.send('b', 'to the new one')
    await world.pass(50)
    assert.deepEqual(again.shards.texts, ['to the new one'])
    assert.deepEqual(b.shards.texts, [])
  })
})
