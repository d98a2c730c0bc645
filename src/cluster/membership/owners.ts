import type { NodeIdentity } from '../node-identity.ts'

/** Who serves which shard, as far as this node knows. A hint where to ask: the owner's log says whether it is so. */
export interface Owners {
  /** Null when nobody holds the shard, or its holder's session is over. */
  find(shard: string): Owner | null
  listen(listener: OwnersListener): void
}

export interface Owner extends NodeIdentity {
  /** Of the lease. Grows with each change of owner; also when the same node opens the shard again. */
  readonly epoch: number
}

export interface OwnersListener {
  /** Told for each shard at the beginning, then for each change. `epoch` is that of the last lease, 0 if there was none. */
  ownerChanged(shard: string, owner: NodeIdentity | null, epoch: number): void
}
