import { idsPerIncarnation } from './node-identity.ts'

/** The id of a node's own shard. */
export function nodeShardOf(incarnation: number): number {
  return incarnation * idsPerIncarnation
}

/** Whether a shard is some node's own; all others are data shards. */
export function isNodeShard(shardId: number): boolean {
  return shardId >= idsPerIncarnation
}
