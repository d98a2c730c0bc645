/** What a shard is opened with. */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener } from '../../log/log.ts'
import type { ShardCommands, ShardTopology } from '../ports.ts'
import type { ResidenceListener } from '../queue/residences.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'

export interface ShardListener {
  /** More (or again less) is appended than the log has stored: publishers should pause. */
  congestionChanged(isCongested: boolean): void
  /** `isFull` has changed. */
  roomChanged(): void
  /** The shard is dead. Last call. */
  failed(error: Error): void
}

export interface ShardOptions {
  readonly log: Log & { listener: LogListener | null }
  readonly scratch: Log & { listener: LogListener | null }
  /** Span of the scratch log's segments, bytes. */
  readonly scratchSegmentBytes: number
  readonly topology: ShardTopology
  readonly clock: Clock
  /** What upkeep of the log goes by where `clock` is moved by hand. Default: `clock`. */
  readonly upkeepClock?: Clock
  readonly random: Random
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly listener: ShardListener
  /** Definitions of the queues that this shard holds. Records of other queues are dead. */
  readonly definitions: Iterable<QueueDefinition>
  /** Bytes appended and not yet stored above which publishers are held back. Default 8 MiB. */
  readonly uncommittedBytesMax?: number
  /** Memory for entry columns above which long queues give theirs up, bytes. Default 12 MiB. */
  readonly entryBytesMax?: number
  /** Durable messages are delivered only once they are stored. Default: as they come. */
  readonly deliversStored?: boolean
  /** Who follows traced messages. Default: nobody. */
  readonly residences?: ResidenceListener
  /** Other nodes' clients hold deliveries of an earlier owner: until `claimsMade` nothing expires or is dropped. */
  readonly awaitsClaims?: boolean
  /** What others hold as `queue.shard`: the shard itself, or something in front of it. */
  readonly face?: (shard: ShardCommands) => ShardCommands
}
