/** The owners of shards as leases and sessions tell: whoever holds the lease, while its session lasts. */
import type { NodeIdentity } from '../node-identity.ts'
import type { ClusterView, ClusterViewListener } from './cluster-view.ts'
import { isSameNode } from './lease-entry.ts'
import type { Owner, Owners, OwnersListener } from './owners.ts'

export class LeaseOwners implements Owners, ClusterViewListener {
  readonly #view: ClusterView
  readonly #told: Map<string, { owner: NodeIdentity | null; epoch: number }>
  readonly #listeners: OwnersListener[] = []

  constructor(view: ClusterView, shards: readonly string[]) {
    this.#view = view
    this.#told = new Map(shards.map((shard) => [shard, this.#look(shard)]))
    view.listen(this)
  }

  find(shard: string): Owner | null {
    const { owner, epoch } = this.#look(shard)
    return owner === null ? null : { ...owner, epoch }
  }

  listen(listener: OwnersListener): void {
    this.#listeners.push(listener)
    for (const [shard, { owner, epoch }] of this.#told) listener.ownerChanged(shard, owner, epoch)
  }

  viewChanged(): void {
    for (const [shard, told] of this.#told) {
      const now = this.#look(shard)
      if (now.epoch === told.epoch && isSameNode(now.owner, told.owner)) continue
      this.#told.set(shard, now)
      for (const listener of this.#listeners) listener.ownerChanged(shard, now.owner, now.epoch)
    }
  }

  #look(shard: string): { owner: NodeIdentity | null; epoch: number } {
    const { holder, epoch } = this.#view.lease(shard).entry
    return { owner: holder !== null && this.#view.isLive(holder) ? holder : null, epoch }
  }
}
