/**
 * Who tries to own which shard. A lease decides no more than that: who writes is decided by the epoch record in the
 * shard's log, for which it gives the number.
 *
 * Each opening of a shard needs an epoch of its own, so `acquire` counts up also when the lease is already ours, and from
 * the highest epoch that is known of the shard: a lease that was removed, damaged or set back by hand says less than there was.
 */
import type { Clock } from '../../base/clock.ts'
import type { Coordination } from '../coordination.ts'
import type { NodeIdentity } from '../node-identity.ts'
import type { ClusterView, Seen } from './cluster-view.ts'
import { decodeLease, encodeLease, isSameNode, type LeaseEntry, leaseKey } from './lease-entry.ts'

/** Who could not open a shard that is freed: nobody; this node besides those before; or this one, and the others may try again. */
export type Blame = 'nobody' | 'us too' | 'us alone'

/** A lease that the store has acknowledged to be ours. */
export interface HeldLease {
  readonly epoch: number
  /** What stands there at a later one was not written by us to say that it is ours. */
  readonly revision: number
}

export class Leases {
  readonly #self: NodeIdentity
  readonly #coordination: Coordination
  readonly #view: ClusterView
  readonly #clock: Clock
  /** Of shards whose logs have told a higher epoch than their leases. */
  readonly #epochsInLogs = new Map<string, number>()

  constructor(self: NodeIdentity, coordination: Coordination, view: ClusterView, clock: Clock) {
    this.#self = self
    this.#coordination = coordination
    this.#view = view
    this.#clock = clock
  }

  find(shard: string): LeaseEntry {
    return this.#view.lease(shard).entry
  }

  isOurs(shard: string): boolean {
    return isSameNode(this.find(shard).holder, this.#self)
  }

  /** It is free, or ours, or the session of its holder is over. */
  isForTaking(shard: string): boolean {
    const { holder } = this.find(shard)
    return holder === null || isSameNode(holder, this.#self) || !this.#view.isLive(holder)
  }

  /**
   * The lease does not say any more that it is ours, whatever it says instead: of another node, of a higher epoch or of a
   * lower one, nothing at all. Nobody would find us by it.
   */
  isOvertaken(shard: string, { epoch, revision }: HeldLease): boolean {
    if (this.#view.revisionOf(leaseKey(shard)) <= revision) return false
    const lease = this.find(shard)
    return lease.epoch !== epoch || !isSameNode(lease.holder, this.#self)
  }

  /**
   * What somebody purged by hand is gone without a word: only nodes that begin afterwards miss it, and would wait for an owner
   * that the others still know. So an owner looks for its lease. Rejects when the store does not answer.
   */
  async isPurged(shard: string): Promise<boolean> {
    return (await this.#coordination.get(leaseKey(shard))) === null && this.isOurs(shard)
  }

  /** Of a purge, so that all nodes hear of it and the shard is taken anew. Rejects when the outcome is not known. */
  async leaveTrace(shard: string): Promise<void> {
    await this.#coordination.remove(leaseKey(shard), 0)
  }

  /** The shard's log has had an owner with this epoch: the lease, which was set back, must go beyond it. */
  learnEpoch(shard: string, epoch: number): void {
    this.#epochsInLogs.set(shard, Math.max(epoch, this.#epochsInLogs.get(shard) ?? 0))
  }

  /**
   * The lease with whose epoch to open the shard; null when somebody else was first or it is not for taking. Rejects
   * when the outcome is not known; what comes of it is told by the view.
   */
  async acquire(shard: string): Promise<HeldLease | null> {
    const seen = this.#view.lease(shard)
    if (!this.isForTaking(shard)) return null
    const { avoid } = seen.entry
    const epoch = Math.max(this.#view.epochOf(shard), this.#epochsInLogs.get(shard) ?? 0) + 1
    const revision = await this.#put(shard, seen, { holder: this.#self, epoch, since: this.#clock.now(), avoid })
    return revision === null ? null : { epoch, revision }
  }

  /**
   * Frees the lease if it is ours with this epoch. Rejects when the outcome is not known.
   */
  async release(shard: string, epoch: number, blame: Blame): Promise<void> {
    const seen = await this.#read(shard)
    const { entry } = seen
    if (entry.epoch !== epoch || !isSameNode(entry.holder, this.#self)) return
    const { incarnation } = this.#self
    const others = blame === 'us alone' ? [] : this.#live(entry.avoid).filter((other) => other !== incarnation)
    const avoid = blame === 'nobody' ? others : [...others, incarnation]
    await this.#put(shard, seen, { holder: null, epoch, since: this.#clock.now(), avoid })
  }

  /** Forgets who could not open the shard, which is ours with this epoch. Rejects when the outcome is not known. */
  async forgive(shard: string, epoch: number): Promise<void> {
    const seen = await this.#read(shard)
    if (seen.entry.epoch !== epoch || !isSameNode(seen.entry.holder, this.#self)) return
    await this.#put(shard, seen, { ...seen.entry, avoid: [] })
  }

  async #put(shard: string, seen: Seen<LeaseEntry>, entry: LeaseEntry): Promise<number | null> {
    return await this.#coordination.put(leaseKey(shard), encodeLease(entry), seen.revision)
  }

  /** What the view knows, or what the store says if that is newer: the view may not have heard of our own write yet. */
  async #read(shard: string): Promise<Seen<LeaseEntry>> {
    const found = await this.#coordination.get(leaseKey(shard))
    const seen = this.#view.lease(shard)
    const entry = found === null || found.revision <= seen.revision ? null : decodeLease(found.value)
    return found === null || entry === null ? seen : { entry, revision: found.revision }
  }

  #live(incarnations: readonly number[]): number[] {
    const live = new Set([...this.#view.sessions.values()].map(({ entry }) => entry.incarnation))
    return incarnations.filter((incarnation) => live.has(incarnation))
  }
}
