/** The cluster as this node sees it, as plain values: for `warren cluster status` and the management API. */

import type { Membership } from './membership.ts'
import type { Ownership } from './ownership.ts'
import type { ClusterSettings } from './settings.ts'

export interface ClusterStatus {
  readonly clusterId: string
  /** The node that says so. */
  readonly node: string
  /** Of that node: false while it cannot reach the coordination store. */
  readonly isCurrent: boolean
  readonly nodes: readonly NodeStatus[]
  readonly shards: readonly ShardStatus[]
  readonly missingLinks: readonly MissingLink[]
}

/** Two nodes that live and have had no link for a while. */
export interface MissingLink {
  /** The one that makes the link. */
  readonly from: string
  readonly to: string
  /** Where `from` must reach `to`, by TCP. */
  readonly host: string
  readonly port: number
}

export interface NodeStatus {
  readonly name: string
  readonly incarnation: number
  readonly host: string
  readonly port: number
  readonly version: string
  readonly isDraining: boolean
  /** Its topology has caught up. */
  readonly isReady: boolean
  /** False: it has come and gone lately, and is given its part of the shards when it has stayed for a while. */
  readonly isSteady: boolean
  /** Wall time in milliseconds. */
  readonly startedAt: number
  /** Names of shards. */
  readonly owns: readonly string[]
}

export interface ShardStatus {
  readonly shard: string
  /** Name of the node that holds the lease; null when nobody does, or its session is over. */
  readonly owner: string | null
  readonly incarnation: number | null
  readonly epoch: number
  /** Wall time in milliseconds at which the lease was taken, or freed. */
  readonly since: number | null
  /** Where it should be. */
  readonly placedOwner: string | null
  readonly standby: string | null
  /** Nodes that could not open it. */
  readonly avoidedNodes: readonly string[]
  /** What the node that says so does about it. */
  readonly local: LocalShardStatus
}

export interface LocalShardStatus {
  readonly state: 'idle' | 'taking' | 'opening' | 'open' | 'closing' | 'releasing' | 'ended'
  readonly isFollowing: boolean
  /** Openings in a row that failed. */
  readonly failures: number
}

export function clusterStatus(settings: ClusterSettings, membership: Membership, ownership: Ownership): ClusterStatus {
  const shards = [...ownership.shards.keys()].map((shard) => shardStatus(shard, membership, ownership))
  const nodes: NodeStatus[] = []
  for (const { renewal: _renewal, unreached: _unreached, ...entry } of membership.sessions.values()) {
    const owned = shards.filter(({ owner, incarnation }) => owner === entry.name && incarnation === entry.incarnation)
    nodes.push({ ...entry, owns: owned.map(({ shard }) => shard) })
  }
  nodes.sort((one, other) => (one.name < other.name ? -1 : 1))
  const { self, isCurrent } = membership
  const missingLinks = ownership.reach.apart.map(([from, to]) => missingLink(from, to, nodes))
  return { clusterId: settings.clusterId, node: self.name, isCurrent, nodes, shards, missingLinks }
}

function missingLink(from: string, to: string, nodes: readonly NodeStatus[]): MissingLink {
  const { host, port } = nodes.find(({ name }) => name === to) ?? { host: '', port: 0 }
  return { from, to, host, port }
}

function shardStatus(shard: string, membership: Membership, ownership: Ownership): ShardStatus {
  const { holder, epoch, since, avoid } = ownership.leases.find(shard)
  const isHeld = holder !== null && membership.view.isLive(holder)
  const place = ownership.place(shard)
  const hosted = ownership.shards.get(shard)
  const avoided = [...membership.sessions.values()].filter(({ incarnation }) => avoid.includes(incarnation))
  return {
    shard,
    owner: isHeld ? holder.name : null,
    incarnation: isHeld ? holder.incarnation : null,
    epoch,
    since: epoch === 0 ? null : since,
    placedOwner: place.owner,
    standby: place.standby,
    avoidedNodes: avoided.map(({ name }) => name),
    local: {
      state: hosted?.state.name ?? 'idle',
      isFollowing: hosted?.isFollowing ?? false,
      failures: hosted?.failures ?? 0,
    },
  }
}
