/** A shard that is open here, with the streams of its queues, as a placed shard uses it. */
import type { Queue, ShardTopology } from '../../broker/ports.ts'
import { LocalQueue } from '../../broker/queue/local-queue.ts'
import type { Shard } from '../../broker/shard/shard.ts'
import { Stream } from '../../broker/stream/stream.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'
import type { LocalShard } from './ports.ts'

export interface LocalShardParts {
  /** Opened with `awaitsClaims`, unless it is new. */
  readonly shard: Shard
  readonly epoch: number
  /** Nothing was ever delivered from it, as from the shard of a node's own queues when it starts. */
  readonly isNew: boolean
  /** Auto-delete queues that are known to have had consumers under earlier owners. */
  readonly hadConsumers: readonly QueueDefinition[]
  readonly topology: ShardTopology
  /** The handle of a queue of type stream. */
  streamOf(definition: QueueDefinition): Queue
}

export function localShard(parts: LocalShardParts): LocalShard {
  const { shard, epoch, isNew, hadConsumers, topology, streamOf } = parts
  return {
    epoch,
    isNew,
    hadConsumers,
    get isServing() {
      return shard.isServing
    },
    handleOf: (definition) => (isStream(definition) ? streamOf(definition) : shard.queueOf(definition)),
    commandsOf: (handle) => (isStream(handle.definition) ? handle.shard : shard),
    openBody: (isPersistent, bodyBytes) => shard.openBody(isPersistent, bodyBytes),
    removeUnused: (handle) => {
      const isUnused = handle instanceof LocalQueue && handle.turns.members.size === 0 && !handle.isDropped
      if (isUnused && handle.definition.isAutoDelete) topology.expireQueue(handle.definition)
    },
    used: (handle) => {
      if (handle instanceof LocalQueue) shard.redeclared(handle)
    },
    publishFrom: (origin, message, queues, count, confirms, sequence) => {
      const stream = queues[0]?.shard
      if (stream instanceof Stream) stream.publishFrom(origin, message, confirms, sequence)
      else shard.publishFrom(origin, message, queues, count, confirms, sequence)
    },
    originProgress: (incarnation) => shard.origins.of(incarnation),
    originTold: (incarnation, below) => shard.origins.told(incarnation, below),
    forgetOrigin: (incarnation) => shard.origins.forget(incarnation),
    claim: async (queue, consumer, first, last) => {
      if (!isStream(queue.definition)) return await shard.claim(queue, consumer, first, last)
      // Nothing is taken out of a stream: what is held only counts for the consumer's credit.
      if (consumer !== null) consumer.unacked += last - first + 1
      return last - first + 1
    },
    claimsMade: () => shard.claimsMade(),
    whenCommitted: (done) => shard.whenCommitted(done),
  }
}
