/** What a node of a cluster does about missing links, put together: who looks, what is known, whom it concerns. */
import type { Clock } from './base/clock.ts'
import type { Logger } from './base/logger.ts'
import { LinkTrouble } from './cluster/membership/link-trouble.ts'
import { LinkWatch } from './cluster/membership/link-watch.ts'
import type { Ownership } from './cluster/membership/ownership.ts'
import type { Joined } from './cluster-join.ts'

export interface ClusterLinksParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly joined: Joined
  ownership(): Ownership
  /** This node is apart from an owner of shards, or not any more. */
  changed(isApart: boolean): void
  /** A majority cannot reach this node. */
  isolated(reason: string): void
}

export class ClusterLinks {
  readonly #watch: LinkWatch
  readonly #trouble: LinkTrouble

  constructor({ clock, logger, joined, ownership, changed, isolated }: ClusterLinksParts) {
    const { membership: members, links } = joined
    this.#watch = new LinkWatch({
      clock,
      members,
      isLinked: ({ name, incarnation }) => {
        const peer = links.find(name)
        return peer?.incarnation === incarnation && peer.isUp
      },
    })
    this.#trouble = new LinkTrouble({
      ...{ clock, logger, members, watch: this.#watch, changed, isolated },
      reach: () => ownership().reach,
      owners: () => ownership().ownersNow(),
    })
  }

  start(): void {
    this.#trouble.start()
  }

  stop(): void {
    this.#trouble.stop()
  }

  /** Resolves when this node is one of a majority of the live ones that it has links to. */
  linked(): Promise<void> {
    return this.#watch.majorityLinked()
  }
}
