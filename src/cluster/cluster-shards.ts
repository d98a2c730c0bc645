/**
 * Where the queues of a cluster live, as one node knows it: in a data shard, which some node serves, or in a node's own
 * shard, which that node has for as long as it is there.
 */
import type { Queue, QueueStatus, ShardDirectory } from '../broker/ports.ts'
import type { QueueDefinition } from '../broker/topology/queue-definition.ts'
import type { ReportedQueues } from './queue-reports.ts'

/** The queues of one shard on this node, whoever serves it. */
export interface ShardQueues {
  /** This node serves it: what it says of its queues is so. */
  readonly isServing: boolean
  addQueue(definition: QueueDefinition): Queue
  dropQueue(queue: Queue): void
  statusNow(queue: Queue): QueueStatus
  settingsChanged(queue: Queue): void
  redeclared(queue: Queue): void
  topologyCommitted(): void
  readonly definitions: Iterable<QueueDefinition>
}

const nobody: QueueStatus = { ready: 0, unacked: 0, consumers: 0 }

export class ClusterShards implements ShardDirectory, ReportedQueues {
  readonly #shards = new Map<number, ShardQueues>()
  readonly #make: (shardId: number) => ShardQueues
  /** What other nodes have said of the queues that they serve, and what was in streams that this one served, by id. */
  readonly #told = new Map<number, QueueStatus>()
  readonly #ids = new Set<number>()

  /** `make` is called once for each shard that has a queue, or is asked for. */
  constructor(make: (shardId: number) => ShardQueues) {
    this.#make = make
  }

  find(shardId: number): ShardQueues {
    let shard = this.#shards.get(shardId)
    if (shard === undefined) {
      shard = this.#make(shardId)
      this.#shards.set(shardId, shard)
    }
    return shard
  }

  /** The shard of a node that is gone for good. */
  forget(shardId: number): void {
    this.#shards.delete(shardId)
  }

  open(definition: QueueDefinition): Queue {
    this.#ids.add(definition.id)
    return this.find(definition.shardId).addQueue(definition)
  }

  drop(queue: Queue): void {
    this.#ids.delete(queue.definition.id)
    this.#told.delete(queue.definition.id)
    this.find(queue.definition.shardId).dropQueue(queue)
  }

  statusNow(queue: Queue): QueueStatus {
    const shard = this.find(queue.definition.shardId)
    return shard.isServing ? shard.statusNow(queue) : (this.#told.get(queue.definition.id) ?? nobody)
  }

  isServing(queue: Queue): boolean {
    return this.find(queue.definition.shardId).isServing
  }

  settingsChanged(queue: Queue): void {
    this.find(queue.definition.shardId).settingsChanged(queue)
  }

  redeclared(queue: Queue): void {
    this.find(queue.definition.shardId).redeclared(queue)
  }

  /** How much is in the queues that are served here. */
  *served(): Generator<readonly [number, QueueStatus]> {
    for (const shard of this.#shards.values()) {
      if (!shard.isServing) continue
      for (const { id, queue } of shard.definitions) if (queue !== null) yield [id, shard.statusNow(queue)]
    }
  }

  told(id: number, status: QueueStatus): void {
    if (status.ready + status.unacked + status.consumers === 0) this.#told.delete(id)
    else if (this.#ids.has(id)) this.#told.set(id, status)
  }

  consumerCame(id: number): void {
    const { ready, unacked, consumers } = this.#told.get(id) ?? nobody
    this.told(id, { ready, unacked, consumers: Math.max(1, consumers) })
  }

  /** Null: nothing was said, or that there is nothing. */
  toldOf(id: number): QueueStatus | null {
    return this.#told.get(id) ?? null
  }

  topologyCommitted(): void {
    for (const shard of this.#shards.values()) shard.topologyCommitted()
  }
}
