/**
 * Where the queues of a cluster live, as one node knows it: in a data shard, which some node serves, or in a node's own
 * shard, which that node has for as long as it is there.
 */
import type { Queue, QueueStatus, ShardDirectory } from '../broker/ports.ts'
import type { QueueDefinition } from '../broker/topology/queue-definition.ts'

/** The queues of one shard on this node, whoever serves it. */
export interface ShardQueues {
  addQueue(definition: QueueDefinition): Queue
  dropQueue(queue: Queue): void
  statusNow(queue: Queue): QueueStatus
  settingsChanged(queue: Queue): void
  redeclared(queue: Queue): void
  topologyCommitted(): void
}

export class ClusterShards implements ShardDirectory {
  readonly #shards = new Map<number, ShardQueues>()
  readonly #make: (shardId: number) => ShardQueues

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
    return this.find(definition.shardId).addQueue(definition)
  }

  drop(queue: Queue): void {
    this.find(queue.definition.shardId).dropQueue(queue)
  }

  statusNow(queue: Queue): QueueStatus {
    return this.find(queue.definition.shardId).statusNow(queue)
  }

  settingsChanged(queue: Queue): void {
    this.find(queue.definition.shardId).settingsChanged(queue)
  }

  redeclared(queue: Queue): void {
    this.find(queue.definition.shardId).redeclared(queue)
  }

  topologyCommitted(): void {
    for (const shard of this.#shards.values()) shard.topologyCommitted()
  }
}
