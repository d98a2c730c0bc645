/** The own shards of all nodes, as one node knows them: its own, which it serves, and those of others, by the link. */
import type { Members } from './members.ts'
import type { NodeIdentity } from './node-identity.ts'
import { NodeShard } from './node-shard.ts'
import type { PlacedShard } from './placed-shard/placed-shard.ts'
import { nodeShardOf } from './shard-homes.ts'

export class NodeShards {
  readonly #members: Members
  readonly #makePlaced: (shardId: number) => PlacedShard
  readonly #shards = new Map<number, NodeShard>()

  constructor(members: Members, makePlaced: (shardId: number) => PlacedShard) {
    this.#members = members
    this.#makePlaced = makePlaced
  }

  get placed(): PlacedShard[] {
    return [...this.#shards.values()].map(({ placed }) => placed)
  }

  find(incarnation: number): NodeShard {
    let shard = this.#shards.get(incarnation)
    if (shard === undefined) {
      shard = new NodeShard(this.#makePlaced(nodeShardOf(incarnation)))
      this.#shards.set(incarnation, shard)
      this.#place(shard, incarnation)
    }
    return shard
  }

  /** Nodes other than this one. */
  *others(): Generator<NodeIdentity> {
    const { live, self } = this.#members
    for (const member of live.values()) if (member.incarnation !== self.incarnation) yield member
  }

  membersChanged(): void {
    for (const [incarnation, shard] of this.#shards) this.#place(shard, incarnation)
  }

  #place(shard: NodeShard, incarnation: number): void {
    if (incarnation === this.#members.self.incarnation) return
    for (const node of this.others()) if (node.incarnation === incarnation) return shard.servedBy(node)
    shard.servedByNobody()
  }
}
