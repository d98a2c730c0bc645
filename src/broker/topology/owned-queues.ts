import type { DeclaredQueue } from './declared-queue.ts'

/** Queues that end with something: exclusive ones with a session, those of a node's own shard with that node. */
export class OwnedQueues {
  readonly #bySession = new Map<number, Set<DeclaredQueue>>()
  readonly #byNodeShard = new Map<number, Set<DeclaredQueue>>()

  /** A live view. */
  ofSession(session: number): Iterable<DeclaredQueue> {
    return this.#bySession.get(session) ?? []
  }

  /** A live view. */
  ofNodeShard(shardId: number): Iterable<DeclaredQueue> {
    return this.#byNodeShard.get(shardId) ?? []
  }

  add(queue: DeclaredQueue): void {
    if (queue.exclusiveOwner !== null) addTo(this.#bySession, queue.exclusiveOwner, queue)
    if (queue.shardId >= nodeShardsBegin) addTo(this.#byNodeShard, queue.shardId, queue)
  }

  remove(queue: DeclaredQueue): void {
    if (queue.exclusiveOwner !== null) removeFrom(this.#bySession, queue.exclusiveOwner, queue)
    if (queue.shardId >= nodeShardsBegin) removeFrom(this.#byNodeShard, queue.shardId, queue)
  }
}

/** Ids of data shards are below, those of nodes' own shards are multiples of it. */
const nodeShardsBegin = 2 ** 32

type Index = Map<number, Set<DeclaredQueue>>

function addTo(index: Index, key: number, queue: DeclaredQueue): void {
  const queues = index.get(key)
  if (queues === undefined) index.set(key, new Set([queue]))
  else queues.add(queue)
}

function removeFrom(index: Index, key: number, queue: DeclaredQueue): void {
  const queues = index.get(key)
  queues?.delete(queue)
  if (queues?.size === 0) index.delete(key)
}
