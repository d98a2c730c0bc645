import { createHash } from 'node:crypto'
import { idsPerIncarnation, incarnationOf } from './node-identity.ts'

/** What of a queue decides where it lives. */
export interface HousedQueue {
  readonly name: string
  readonly isDurable: boolean
  readonly exclusiveOwner: number | null
}

/**
 * The shard in which a new queue lives: a data shard, by its name; if it is exclusive or not durable, the shard of the node
 * whose session declares it (0: nobody's). Noted in its definition, so that it may be another way in later versions.
 */
export function homeOf(vhost: string, queue: HousedQueue, session: number, shards: number): number {
  const owner = queue.exclusiveOwner ?? (queue.isDurable ? 0 : session)
  if (owner !== 0) return nodeShardOf(incarnationOf(owner))
  const digest = createHash('sha256').update(vhost).update('\0').update(queue.name).digest()
  return digest.readUInt32BE(0) % shards
}

/** Of a node's own shard. */
export function nodeShardOf(incarnation: number): number {
  return incarnation * idsPerIncarnation
}

/** Whether a shard is some node's own. */
export function isNodeShard(shardId: number): boolean {
  return shardId >= idsPerIncarnation
}
