/**
 * The shard that a node has for itself: exclusive queues of its connections and those that are not durable. It is in
 * memory, and gone when the node is. Other nodes know it too, and reach it over the link.
 */
import type { Queue, QueueStatus } from '../broker/ports.ts'
import type { QueueDefinition } from '../broker/topology/queue-definition.ts'
import type { ShardQueues } from './cluster-shards.ts'
import type { NodeIdentity } from './node-identity.ts'
import type { PlacedShard } from './placed-shard/placed-shard.ts'
import { ServedShard, type ServedShardOptions } from './served-shard.ts'

const nobody: QueueStatus = { ready: 0, unacked: 0, consumers: 0 }

export class NodeShard implements ShardQueues {
  readonly placed: PlacedShard
  readonly #definitions = new Map<number, QueueDefinition>()
  #served: ServedShard | null = null
  /** The node is not there: no more, or not yet. */
  #isAway = false

  constructor(placed: PlacedShard) {
    this.placed = placed
  }

  /** On the node whose shard it is. There is no queue yet. */
  async serve(options: ServedShardOptions): Promise<void> {
    this.#served = await ServedShard.open(options)
    this.placed.servedHere(this.#served.local)
  }

  servedBy(node: NodeIdentity): void {
    this.#isAway = false
    this.placed.servedBy(node, 1)
  }

  servedByNobody(): void {
    this.#isAway = true
    this.placed.servedByNobody()
    this.#giveUpIfGone()
  }

  /** When the topology has taken its queues away too, the node does not come back. */
  #giveUpIfGone(): void {
    if (this.#isAway && this.#definitions.size === 0) this.placed.giveUp()
  }

  get isServing(): boolean {
    return this.#served !== null
  }

  get definitions(): Iterable<QueueDefinition> {
    return this.#definitions.values()
  }

  addQueue(definition: QueueDefinition): Queue {
    this.#definitions.set(definition.id, definition)
    this.#served?.open(definition)
    return this.placed.open(definition)
  }

  dropQueue(queue: Queue): void {
    this.#definitions.delete(queue.definition.id)
    this.placed.drop(queue)
    this.#served?.drop(queue)
    this.#giveUpIfGone()
  }

  statusNow(queue: Queue): QueueStatus {
    return this.#served?.statusNow(queue) ?? nobody
  }

  settingsChanged(queue: Queue): void {
    this.#served?.settingsChanged(queue)
  }

  redeclared(queue: Queue): void {
    this.placed.redeclared(queue)
  }

  topologyCommitted(): void {
    this.#served?.topologyCommitted()
  }

  async close(): Promise<void> {
    if (this.#served === null) return
    this.placed.servedByNobody()
    await this.#served.close()
  }
}
