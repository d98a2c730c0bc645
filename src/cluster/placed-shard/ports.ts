/**
 * What a placed shard needs of the node it stands on, and how that node tells it who serves the shard.
 *
 * A placed shard is the one lasting face of a shard on a node: queues, channels and consumers keep it while owners come
 * and go. Whoever composes the node calls `ShardPlacement`; everybody else sees `ShardCommands`.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Message } from '../../broker/message.ts'
import type { BodyWriter, ConfirmSink, Consumer, Position, Queue, ShardCommands } from '../../broker/ports.ts'
import type { Origin, OriginProgress } from '../../broker/shard/origins.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'
import type { NodeIdentity } from '../node-identity.ts'
import type { ShardLink } from './shard-link.ts'

/** A shard that this node owns and has open: its queues, streams among them. */
export interface LocalShard {
  /** Under which it is owned; grows with each owner. */
  readonly epoch: number
  /** Nothing was ever delivered from it: nobody has anything to claim. */
  readonly isNew: boolean
  /** False once it has failed: what it then refuses or cancels says nothing of the queue. */
  readonly isServing: boolean
  /** Auto-delete queues that are known to have had consumers under earlier owners. */
  readonly hadConsumers: readonly QueueDefinition[]
  /** Its own handle of a queue: a `LocalQueue`, or a stream's. */
  handleOf(definition: QueueDefinition): Queue
  /** What takes commands for a queue, given its handle: the shard, or the stream. */
  commandsOf(handle: Queue): ShardCommands
  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter
  /** A consumer of the queue is gone with its node. An auto-delete queue goes too when it was the last one. */
  removeUnused(handle: Queue): void
  /** The queue was declared again: for queues that expire without use this is a use. */
  used(handle: Queue): void
  /**
   * A publish that another node numbered: stored with its number, so that a new owner knows it has been. To a stream it may
   * come again: one that is there is confirmed and not stored.
   */
  publishFrom(
    origin: Origin,
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void
  /** Up to where the log holds what an origin numbered. */
  originProgress(incarnation: number): OriginProgress
  /** The origin knows what became of everything below this number. */
  originTold(incarnation: number, below: number): void
  /** The origin is gone for good. */
  forgetOrigin(incarnation: number): void
  /**
   * Those of the entries `first..last` that are ready are held by `consumer` (null: taken by `get`) from now on: it got
   * them from an earlier owner. Resolves with how many these are, when what had to be read has been.
   */
  claim(queue: Queue, consumer: Consumer | null, first: number, last: number): Promise<number>
  /** All claims have been made: what nobody claimed may expire, be dropped or delivered. */
  claimsMade(): void
  /** Calls back when all that was done so far is stored, perhaps at once; never, if the shard fails before. */
  whenCommitted(done: () => void): void
}

export interface PlacedShardLimits {
  /** Publishes that nobody has confirmed yet, in bytes: above it publishers are held back. */
  readonly heldBytesMax: number
  /** How long a command waits for an owner, in milliseconds; then it fails. Publishes wait on. */
  readonly parkedMsMax: number
  /** How long a new owner waits for what other nodes' clients hold, in milliseconds; then that is delivered again. */
  readonly claimsMsMax: number
}

export const placedShardLimits: PlacedShardLimits = {
  heldBytesMax: 8 * 1024 * 1024,
  parkedMsMax: 30_000,
  claimsMsMax: 3_000,
}

export interface PlacedShardOptions {
  readonly shardId: number
  readonly self: NodeIdentity
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: PlacedShardLimits
  /** The ways to the other nodes; the shard is added to it. */
  readonly link: ShardLink
  /**
   * Whether this node's session is current, by the clocks as they are now: a process that stood still must not hand anything
   * to clients before `setCurrent` tells it how late it is.
   */
  isCurrentNow(): boolean
  /** More (or again less) is held than is good: publishers should pause. */
  congestionChanged(isCongested: boolean): void
  /** How far this node has come with the topology: what was routed under it needs an owner that is as far. */
  topologyPosition(): Position
  /** A client of this node has a consumer of the auto-delete queue with this id, and hears of it next. */
  consumerCame(id: number): void
}

/** Who serves the shard. Each call ends what was said before. */
export interface ShardPlacement {
  /** This node does. Before commands reach it, all live nodes claim what their clients hold. */
  servedHere(local: LocalShard): void
  /** Another node does, under this epoch. */
  servedBy(node: NodeIdentity, epoch: number): void
  /** Nobody does, or nobody knows who. Called before a local shard is closed, and when one has failed. */
  servedByNobody(): void
  /** False: deliveries are dropped on arrival and everything is held, until it is true again. */
  setCurrent(isCurrent: boolean): void
}
