/** What a node tells those who operate it of its cluster, and what they may ask of it. */
import type { Clock } from './base/clock.ts'
import { clusterStatus } from './cluster/membership/cluster-status.ts'
import type { Gossip } from './cluster/membership/gossip.ts'
import type { LogMark } from './cluster/membership/log-mark.ts'
import type { Membership } from './cluster/membership/membership.ts'
import type { Ownership } from './cluster/membership/ownership.ts'
import type { ClusterSettings } from './cluster/membership/settings.ts'
import type { Nats } from './cluster/nats/start-nats.ts'
import type { ClusterFacts, ClusterReport, LogPosition, NatsReport } from './management/cluster-facts.ts'

export interface ClusterReportsParts {
  /** As the operator calls the cluster. */
  readonly name: string
  readonly clock: Clock
  readonly settings: ClusterSettings
  readonly sessionMs: number
  readonly membership: Membership
  readonly ownership: Ownership
  readonly gossip: Gossip
  readonly nats: Nats
  /** How far the copies of this node have come. */
  ownCopies(): Iterable<readonly [string, LogMark]>
}

/** Without anything stored for so long, NATS makes no progress, in milliseconds: renewals come each second. */
const progressAgeMsMax = 5_000

export class ClusterReports implements ClusterFacts {
  readonly #parts: ClusterReportsParts

  constructor(parts: ClusterReportsParts) {
    this.#parts = parts
  }

  report(): ClusterReport {
    const { name, settings, membership, ownership } = this.#parts
    const status = clusterStatus(settings, membership, ownership)
    return { name, status, positions: [...this.#positions()], nats: this.#nats() }
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
    const { nats, membership, clock, sessionMs } = this.#parts
    const renewedAt = membership.currentUntil - sessionMs / 2
    const servers = nats.servers.map(({ name, version }) => ({ name, version }))
    const progressAgeMs = Math.max(0, clock.now() - renewedAt)
    return { servers, problems: nats.problems, progressAgeMs, progressAgeMsMax }
  }

  setDraining(isDraining: boolean): Promise<void> {
    return this.#parts.membership.setDraining(isDraining)
  }

  async removeNode(name: string): Promise<void> {
    const { membership, nats } = this.#parts
    if (membership.live.has(name)) throw new Error(`node '${name}' is running; stop it first, then remove it`)
    await nats.removeServer(name)
  }
}
