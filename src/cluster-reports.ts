/** What a node tells those who operate it of its cluster, and what they may ask of it. */
import type { Clock } from './base/clock.ts'
import type { LoginLedger } from './broker/access/login-ledger.ts'
import { clusterStatus } from './cluster/membership/cluster-status.ts'
import type { Gossip } from './cluster/membership/gossip.ts'
import type { LogMark } from './cluster/membership/log-mark.ts'
import type { Membership } from './cluster/membership/membership.ts'
import type { Ownership } from './cluster/membership/ownership.ts'
import type { ClusterSettings } from './cluster/membership/settings.ts'
import { ServerStays } from './cluster/nats/nats-check.ts'
import type { Nats } from './cluster/nats/start-nats.ts'
import { incarnationOf } from './cluster/node-identity.ts'
import type { NodeTelling } from './cluster/node-telling.ts'
import {
  ClusterChangeRefused,
  type ClusterFacts,
  type ClusterReport,
  type LogPosition,
  type NatsReport,
  type OtherNode,
} from './management/cluster-facts.ts'

/** What the operator has said of it. */
export interface ConfiguredCluster {
  readonly clusterName: string
  readonly peers: readonly { readonly name: string }[]
  readonly sessionMs: number
}

export interface ClusterReportsParts {
  readonly configured: ConfiguredCluster
  readonly clock: Clock
  readonly settings: ClusterSettings
  readonly membership: Membership
  readonly ownership: Ownership
  readonly gossip: Gossip
  readonly nats: Nats
  readonly telling: Pick<NodeTelling, 'link' | 'loginLedger'>
  /** Of a data shard; null: of a node's own shard. */
  shardName(shardId: number): string | null
  /** How far the copies of this node have come. */
  ownCopies(): Iterable<readonly [string, LogMark]>
}

/** Without anything stored for so long, NATS makes no progress, in milliseconds: renewals come each second. */
const progressAgeMsMax = 5_000

export class ClusterReports implements ClusterFacts {
  readonly #parts: ClusterReportsParts
  /** Names of nodes that there should be, or were while this one runs. */
  readonly #seen: Set<string>

  constructor(parts: ClusterReportsParts) {
    this.#parts = parts
    this.#seen = new Set(parts.configured.peers.map(({ name }) => name))
  }

  get name(): string {
    return this.#parts.configured.clusterName
  }

  get node(): string {
    return this.#parts.membership.self.name
  }

  get loginLedger(): LoginLedger {
    return this.#parts.telling.loginLedger
  }

  get otherNodes(): readonly OtherNode[] {
    const { live } = this.#parts.membership
    const names = [...this.#seen].filter((name) => name !== this.node).sort()
    return names.map((name) => ({ name, isLive: live.has(name) }))
  }

  get remoteAlarms(): ReadonlyMap<string, readonly string[]> {
    return this.#parts.gossip.remoteAlarms
  }

  /** A server of NATS that came or went with its node is seen soon. */
  membersChanged(): void {
    const { membership, nats } = this.#parts
    for (const name of membership.live.keys()) this.#seen.add(name)
    nats.checkSoon()
  }

  ownerOf(shardId: number): string | null {
    const { membership, ownership, shardName } = this.#parts
    const shard = shardName(shardId)
    if (shard === null) return this.#nodeWith(incarnationOf(shardId))
    const { holder } = ownership.leases.find(shard)
    return holder !== null && membership.view.isLive(holder) ? holder.name : null
  }

  #nodeWith(incarnation: number): string | null {
    for (const one of this.#parts.membership.live.values()) if (one.incarnation === incarnation) return one.name
    return null
  }

  ask(node: string, question: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return this.#parts.telling.link.ask(node, question, timeoutMs)
  }

  answers(answer: (question: Uint8Array) => Promise<Uint8Array>): void {
    this.#parts.telling.link.answers(answer)
  }

  report(): ClusterReport {
    const { settings, membership, ownership } = this.#parts
    const status = clusterStatus(settings, membership, ownership)
    return { name: this.name, status, positions: [...this.#positions()], nats: this.#nats() }
  }

  *#positions(): Generator<LogPosition> {
    const { membership, gossip, ownCopies } = this.#parts
    for (const [shard, { ordinal }] of ownCopies()) {
      yield { shard, node: membership.self.name, position: ordinal }
    }
    for (const [node, copies] of gossip.copies()) {
      for (const [shard, { ordinal }] of copies) yield { shard, node, position: ordinal }
    }
  }

  /** Judged by what was stored for us, not by what servers say of themselves. */
  #nats(): NatsReport {
    const { nats, membership, clock, configured } = this.#parts
    const renewedAt = membership.currentUntil - configured.sessionMs / 2
    const servers = nats.servers.map(({ name, version }) => ({ name, version }))
    const progressAgeMs = Math.max(0, clock.now() - renewedAt)
    return { servers, problems: nats.problems, progressAgeMs, progressAgeMsMax }
  }

  async setDraining(isDraining: boolean): Promise<void> {
    const { membership } = this.#parts
    if (isDraining && !hasTaker(membership)) {
      const mend = 'start another node, or take the drain of one back; to end all of them, stop them'
      throw new ClusterChangeRefused(`no other node could take the shards of '${membership.self.name}': ${mend}`)
    }
    await membership.setDraining(isDraining)
  }

  async removeNode(name: string): Promise<void> {
    const { membership, nats } = this.#parts
    if (membership.live.has(name))
      throw new ClusterChangeRefused(`node '${name}' is running; stop it first, then remove it`)
    await nats.removeServer(name).catch((error: unknown) => {
      throw error instanceof ServerStays ? new ClusterChangeRefused(error.message) : error
    })
    this.#seen.delete(name)
  }
}

/** Whether another node is there that may be given shards. */
function hasTaker({ sessions, self }: Membership): boolean {
  return [...sessions.values()].some(({ name, isReady, isDraining }) => name !== self.name && isReady && !isDraining)
}
