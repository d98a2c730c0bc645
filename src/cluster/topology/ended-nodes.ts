import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { BrokerError } from '../../broker/errors.ts'
import type { ClusterNode } from '../../broker/topology/node-row.ts'
import { RemoveQueues } from '../../broker/topology/remove-queues.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { Members } from '../members.ts'
import { idsPerIncarnation } from '../node-identity.ts'

/** How long a node that this one has never seen may be live all the same, in milliseconds: what is read may be old. */
export const unseenMsMax = 10_000

/**
 * Takes away what belonged to nodes that are gone, while this node owns the topology: the queues of their own shards, and
 * with them the exclusive ones, then the record by which they counted. An owner that ends in the middle leaves that
 * record, so the next one goes on.
 *
 * When none is live that counted before this owner, the whole cluster was started anew: then exchanges that are not durable
 * go as well.
 */
export class EndedNodes {
  readonly #parts: EndedNodesParts
  /** Incarnations that this node has seen live. */
  readonly #seen = new Set<number>()
  readonly #ending = new Set<number>()
  /** Nodes that counted when this one became the owner, as long as all of those that were looked at have gone; else null. */
  #predecessors: Set<number> | null = null
  #firstOwnId = 0
  #since = 0
  #isOwner = false
  #timer: Timer | null = null

  constructor(parts: EndedNodesParts) {
    this.#parts = parts
    this.noteLive()
  }

  /** `firstOwnId`: no definition made before this owner has one that is higher. */
  begin(firstOwnId: number): void {
    const { topology, members, clock } = this.#parts
    this.#isOwner = true
    this.#firstOwnId = firstOwnId
    this.#since = clock.monotonic()
    this.#ending.clear()
    const known = new Set(topology.nodes.keys())
    this.#predecessors = known.has(members.self.incarnation) || known.size === 0 ? null : known
    this.#timer = clock.after(unseenMsMax + 1_000, () => {
      this.look()
      this.#parts.changed()
    })
    this.look()
  }

  end(): void {
    this.#isOwner = false
    this.#timer?.cancel()
  }

  /** Call it whenever it may have changed who is live, whether this node is the owner or not. */
  noteLive(): void {
    for (const { incarnation } of this.#parts.members.live.values()) this.#seen.add(incarnation)
  }

  /** Whether the node must be waited for: for all that is known it may answer clients. */
  isLive({ incarnation, name }: Pick<ClusterNode, 'incarnation' | 'name'>): boolean {
    const { members, clock } = this.#parts
    if (incarnation === members.self.incarnation) return true
    const live = members.live.get(name)
    if (live !== undefined) return live.incarnation <= incarnation
    return !this.#seen.has(incarnation) && clock.monotonic() - this.#since < unseenMsMax
  }

  look(): void {
    if (!this.#isOwner) return
    for (const node of [...this.#parts.topology.nodes.values()]) {
      if (this.isLive(node)) {
        // Who was here all along keeps what is not durable; who is only not known to be gone says nothing yet.
        if (this.#seen.has(node.incarnation) && this.#predecessors?.has(node.incarnation)) this.#predecessors = null
      } else if (!this.#ending.has(node.incarnation)) this.#remove(node)
    }
  }

  #remove(node: ClusterNode): void {
    const { topology, logger } = this.#parts
    const { incarnation, name } = node
    this.#ending.add(incarnation)
    logger.info({ node: name, incarnation }, 'a node has gone: its own queues go too')
    const queues = topology.queuesOfNodeShard(incarnation * idsPerIncarnation)
    const done = (error: BrokerError | null): void => {
      this.#ending.delete(incarnation)
      if (error === null) this.#removed(node)
    }
    topology.runQueue.add(new RemoveQueues(topology, queues, logger, done))
  }

  #removed(node: ClusterNode): void {
    const { topology, logger } = this.#parts
    if (!this.#isOwner || topology.definition(node.id) !== node) return
    try {
      this.#predecessors?.delete(node.incarnation)
      if (this.#predecessors?.size === 0) this.#sweep()
      topology.removeNode(node)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      logger.warn({ error, node: node.name }, 'what a node left behind could not be removed')
    }
    this.#parts.changed()
  }

  /** Exchanges are few, and those that are not durable fewer. */
  #sweep(): void {
    const { topology, logger } = this.#parts
    this.#predecessors = null
    let count = 0
    for (const vhost of topology.vhosts.values()) {
      for (const exchange of [...vhost.exchanges.values()]) {
        if (exchange.isDurable || exchange.isGone || exchange.id >= this.#firstOwnId) continue
        topology.remove(exchange)
        count++
      }
    }
    logger.info({ exchanges: count }, 'the whole cluster was started anew: exchanges that are not durable are gone')
  }
}

export interface EndedNodesParts {
  readonly topology: Topology
  readonly members: Members
  readonly clock: Clock
  readonly logger: Logger
  /** A node counts no more. */
  changed(): void
}
