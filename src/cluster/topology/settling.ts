import type { ClusterNode } from '../../broker/topology/node-row.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { Position } from '../../log/log.ts'
import type { NodeIdentity } from '../node-identity.ts'

/**
 * How far every node has come that counts and is live, as the owner hears it. Nothing is answered anywhere that some node
 * could contradict: an answer waits until its position is settled.
 */
export class Settling {
  readonly #topology: Topology
  readonly #self: NodeIdentity
  readonly #isLive: (node: ClusterNode) => boolean
  /** By incarnation. */
  readonly #applied = new Map<number, Position>()

  constructor(topology: Topology, self: NodeIdentity, isLive: (node: ClusterNode) => boolean) {
    this.#topology = topology
    this.#self = self
    this.#isLive = isLive
  }

  /** A node says how far it has come; to this owner or to the one before, the log is the same. */
  heard(incarnation: number, position: Position): void {
    this.#applied.set(incarnation, Math.max(position, this.#applied.get(incarnation) ?? 0))
  }

  /** Those that have said something. */
  get heardOf(): Iterable<number> {
    return this.#applied.keys()
  }

  /** Forgets those that are gone. */
  keepOnly(incarnations: ReadonlySet<number>): void {
    for (const incarnation of this.#applied.keys())
      if (!incarnations.has(incarnation)) this.#applied.delete(incarnation)
  }

  get settled(): Position {
    let position = this.#topology.committed
    for (const node of this.#topology.nodes.values()) {
      const { incarnation } = node
      if (incarnation === this.#self.incarnation || !this.#isLive(node)) continue
      position = Math.min(position, this.#applied.get(incarnation) ?? 0)
    }
    return position
  }
}
