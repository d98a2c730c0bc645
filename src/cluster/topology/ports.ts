/** What whoever composes a node needs to know of the topology of a cluster. `cluster-topology.ts` implements it. */

import type { ShardTopology } from '../../broker/ports.ts'
import type { TopologyAuthority } from '../../broker/topology-authority.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import type { NodeIdentity } from '../node-identity.ts'

/** Hears the committed records of the topology's log, each once and in order. */
export interface FollowedRecords {
  /** Bytes `start..end` are valid during the call only. Records that are known already are passed over. */
  record(position: Position, buffer: Uint8Array, start: number, end: number): void
  /** Everything that was there when following began has been told. Throws `LogDamaged` when it does not make sense. */
  caughtUp(): void
}

/**
 * The topology on one node of a cluster: it follows, or owns. The broker takes it as its authority, the shards as
 * their topology.
 *
 *     following ──becomeOwner──► owner ──stepDown──► following …
 */
export interface ClusterTopologyCommands extends TopologyAuthority, ShardTopology {
  /** Follows from now on; to be given to the replica. Also again, after `stepDown` or `logFailed`, unless `mustRestart` was called. */
  following(): FollowedRecords
  /**
   * Goes on with the log behind the last record that was followed: takes the next term, makes what a first start needs,
   * takes away what belonged to nodes that are gone. Resolves when changes can be made. Sets the log's listener.
   */
  becomeOwner(log: Log & { listener: LogListener | null }): Promise<void>
  /** Makes no more changes, commits and closes the log. Then it is a follower once more, unless `mustRestart` was called. */
  stepDown(): Promise<void>
  /** Give it to the `Topology` as `onFailed`. Calls `mustRestart` when changes were applied that are not in the log. */
  logFailed(error: Error): void
  /** What is known of who owns the topology: for what is said to those who wait. */
  ownerChanged(owner: NodeIdentity | null): void
  /**
   * Settles once this node counts: whatever is answered from then on anywhere in the cluster is known here. Clients are
   * let in after that.
   */
  ready(): Promise<void>
  /** Calls back once all up to `position` has been applied here, at once if it has. In the order of positions. */
  caughtUpTo(position: Position, done: () => void): void
  close(): void
}
