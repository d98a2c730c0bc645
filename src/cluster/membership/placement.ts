/**
 * Which node should own which shard, computed alike by everybody from the names of the nodes.
 *
 * Rendezvous hashing with bounded loads: each shard ranks the nodes by a hash of both names, and goes to the first that
 * does not have its fair part yet. So no node has more than ⌈shards ÷ nodes⌉, a node that comes or goes moves little
 * besides its own part, and who goes next is known in advance: the standby is the node that would own the shard if its
 * owner were not there.
 */
export interface Place {
  readonly owner: string | null
  /** Keeps a copy. Null when there is one node only. */
  readonly standby: string | null
}

export interface PlacementRequest {
  readonly shards: readonly string[]
  /** Names of those that can own shards, in any order. */
  readonly nodes: readonly string[]
  /** Nodes that could not open a shard: they come last for it. */
  readonly avoid?: ReadonlyMap<string, ReadonlySet<string>>
}

const nobody: ReadonlySet<string> = new Set()

/** By shard. */
export function placeShards({ shards, nodes, avoid = new Map() }: PlacementRequest): ReadonlyMap<string, Place> {
  const rankings = new Map(shards.map((shard) => [shard, ranking(shard, nodes, avoid.get(shard) ?? nobody)]))
  const owners = ownersAmong(rankings, null)
  const standbys = new Map<string, string>()
  for (const node of new Set(owners.values())) {
    const others = ownersAmong(rankings, node)
    for (const [shard, owner] of owners) {
      const standby = others.get(shard)
      if (owner === node && standby !== undefined) standbys.set(shard, standby)
    }
  }
  return new Map(shards.map((shard) => [shard, placeOf(owners.get(shard), standbys.get(shard))]))
}

function placeOf(owner: string | undefined, standby: string | undefined): Place {
  return { owner: owner ?? null, standby: standby ?? null }
}

/** Best first. */
function ranking(shard: string, nodes: readonly string[], avoided: ReadonlySet<string>): readonly string[] {
  const ranked = nodes.map((node) => ({ node, isAvoided: avoided.has(node), score: scoreOf(shard, node) }))
  ranked.sort((one, other) => {
    if (one.isAvoided !== other.isAvoided) return one.isAvoided ? 1 : -1
    return other.score - one.score || (one.node < other.node ? -1 : 1)
  })
  return ranked.map(({ node }) => node)
}

/** Without the node `absent`. Shards choose in the order of their names, which is the same everywhere. */
function ownersAmong(rankings: ReadonlyMap<string, readonly string[]>, absent: string | null): Map<string, string> {
  const owners = new Map<string, string>()
  const loads = new Map<string, number>()
  const nodes = [...rankings.values()][0]?.filter((node) => node !== absent).length ?? 0
  const loadMax = Math.ceil(rankings.size / Math.max(1, nodes))
  for (const shard of [...rankings.keys()].sort()) {
    for (const node of rankings.get(shard) ?? []) {
      const load = loads.get(node) ?? 0
      if (node === absent || load >= loadMax) continue
      owners.set(shard, node)
      loads.set(node, load + 1)
      break
    }
  }
  return owners
}

/** A number that looks random, the same on every machine: FNV-1a over both names, mixed as MurmurHash3 ends. */
function scoreOf(shard: string, node: string): number {
  let hash = 0x811c9dc5
  const text = `${shard}\n${node}`
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
