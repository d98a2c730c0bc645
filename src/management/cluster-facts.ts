/** What the management interface is told of a cluster, and what it may ask of the node it runs on. */
import type { LoginLedger } from '../broker/access/login-ledger.ts'
import type { ClusterStatus } from '../cluster/membership/cluster-status.ts'

/** What is not to be done to the cluster as it is; the message says why. */
export class ClusterChangeRefused extends Error {
  readonly code = 'CLUSTER_CHANGE_REFUSED'
}

/** How far a node's copy of a shard's log has come. */
export interface LogPosition {
  readonly shard: string
  readonly node: string
  /** Ordinal of the last frame; counts up. */
  readonly position: number
}

export interface NatsServerReport {
  readonly name: string
  /** Null: it did not answer when it was last asked. */
  readonly version: string | null
}

export interface NatsReport {
  readonly servers: readonly NatsServerReport[]
  /** Sentences on what the servers do not give that is needed; empty when all is well. */
  readonly problems: readonly string[]
  /** Milliseconds since something of ours was last stored by a majority. */
  readonly progressAgeMs: number
  /** Longer than that is no progress, in milliseconds. */
  readonly progressAgeMsMax: number
}

export interface ClusterReport {
  /** As the operator calls it. */
  readonly name: string
  readonly status: ClusterStatus
  /** As far as this node knows them. */
  readonly positions: readonly LogPosition[]
  readonly nats: NatsReport
}

/** Another node of the cluster. */
export interface OtherNode {
  readonly name: string
  /** It has a session: it runs, as far as anybody knows. */
  readonly isLive: boolean
}

export interface ClusterFacts {
  /** As the operator calls the cluster, and this node in it. */
  readonly name: string
  readonly node: string
  /** Those that run, and those that should or did while this node runs, by name. */
  readonly otherNodes: readonly OtherNode[]
  /** Alarms of other nodes: which are on, and at which nodes. */
  readonly remoteAlarms: ReadonlyMap<string, readonly string[]>
  /** What all nodes know of logins to the dashboard. */
  readonly loginLedger: LoginLedger
  /** The node that serves the queues of a shard now; null: none. */
  ownerOf(shardId: number): string | null
  /** Asks another node. Rejects with a sentence when it has no answer, at the latest after `timeoutMs`. */
  ask(node: string, question: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  /** Who answers what others ask; what it rejects with is told to them. */
  answers(answer: (question: Uint8Array) => Promise<Uint8Array>): void
  /** The cluster as this node sees it. */
  report(): ClusterReport | Promise<ClusterReport>
  /**
   * This node gives its shards away and takes none, or takes some again. Resolves when the others have been told. Rejects
   * with `ClusterChangeRefused` when there is nobody to give them to.
   */
  setDraining(isDraining: boolean): Promise<void>
  /**
   * Forgets a node that has been stopped for good: its NATS server no longer counts for a majority. Rejects with
   * `ClusterChangeRefused` when it may not be done as things are, and with a sentence when it could not be done.
   */
  removeNode(name: string): Promise<void>
}
