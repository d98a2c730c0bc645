import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Place, placeShards } from '../../../../src/cluster/membership/placement.ts'

const shards = Array.from({ length: 16 }, (_, index) => `shard-${index}`)

function names(count: number, series = 0): string[] {
  return Array.from({ length: count }, (_, index) => `node-${series}-${index}`)
}

function ownersOf(places: ReadonlyMap<string, Place>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { owner } of places.values()) if (owner !== null) counts.set(owner, (counts.get(owner) ?? 0) + 1)
  return counts
}

test('gives no node more than its part', () => {
  for (let series = 0; series < 50; series++) {
    for (const count of [1, 2, 3, 4, 5, 7, 16, 20]) {
      const counts = ownersOf(placeShards({ shards, nodes: names(count, series) }))
      assert.equal(
        [...counts.values()].reduce((sum, each) => sum + each, 0),
        shards.length,
      )
      assert.ok(Math.max(...counts.values()) <= Math.ceil(shards.length / count))
    }
  }
})

test('is the same for every order of the nodes', () => {
  const nodes = names(5)
  assert.deepEqual(placeShards({ shards, nodes }), placeShards({ shards, nodes: nodes.toReversed() }))
})

test('gives the shards of a node that goes to their standbys, and moves little else', () => {
  let moved = 0
  let runs = 0
  for (let series = 0; series < 50; series++) {
    for (const count of [2, 3, 4, 5, 7]) {
      const nodes = names(count, series)
      const gone = nodes[series % count] ?? ''
      const before = placeShards({ shards, nodes })
      const after = placeShards({ shards, nodes: nodes.filter((node) => node !== gone) })
      for (const [shard, { owner, standby }] of before) {
        const next = after.get(shard)?.owner
        assert.notEqual(standby, owner)
        if (owner === gone) assert.equal(next, standby)
        else if (owner !== next) moved++
      }
      runs++
    }
  }
  assert.ok(moved / runs < 1.5, `${moved / runs} shards that need not move do`)
})

test('puts a node last for a shard that it could not open', () => {
  const nodes = names(3)
  const before = placeShards({ shards, nodes })
  const { owner } = before.get('shard-3') ?? { owner: null }
  const after = placeShards({ shards, nodes, avoid: new Map([['shard-3', new Set([owner ?? ''])]]) })
  assert.notEqual(after.get('shard-3')?.owner, owner)
  assert.notEqual(after.get('shard-3')?.standby, owner)
  const alone = placeShards({ shards: ['shard-3'], nodes: ['n1'], avoid: new Map([['shard-3', new Set(['n1'])]]) })
  assert.equal(alone.get('shard-3')?.owner, 'n1')
})

test('places nothing where there is nobody', () => {
  assert.deepEqual(placeShards({ shards: ['topology'], nodes: [] }).get('topology'), { owner: null, standby: null })
  assert.deepEqual(placeShards({ shards: ['topology'], nodes: ['n1'] }).get('topology'), { owner: 'n1', standby: null })
})
