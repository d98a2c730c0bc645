/**
 * A data shard while this node serves it: the shard on its log, and the streams that have it as their home, each on a log
 * of its own. It is opened once; when anything of it fails it is dropped whole, and opened again by whoever owns it then.
 */
import { AnyOf } from '../base/any-of.ts'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { RunQueue } from '../base/run-queue.ts'
import type { Queue, QueueStatus, ShardDirectory, ShardTopology } from '../broker/ports.ts'
import { LocalQueue } from '../broker/queue/local-queue.ts'
import { Shard } from '../broker/shard/shard.ts'
import type { ShardOptions } from '../broker/shard/shard-options.ts'
import { type StreamLogs, Streams } from '../broker/stream/streams.ts'
import { isStream } from '../broker/topology/queue-arguments.ts'
import type { QueueDefinition } from '../broker/topology/queue-definition.ts'
import type { TraceListener } from '../broker/trace-listener.ts'
import { localShard } from './placed-shard/local-shard.ts'
import { localTopology } from './placed-shard/local-topology.ts'
import type { LocalShard } from './placed-shard/ports.ts'

/** What every shard of a node is given. */
export interface ShardWorld {
  readonly clock: Clock
  /** What upkeep goes by where `clock` is moved by hand. */
  readonly upkeepClock: Clock
  readonly random: Random
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly scratchSegmentBytes: number
  readonly uncommittedBytesMax: number
  /** Memory for entry columns of one shard, in bytes. */
  readonly entryBytesMax: number
  /** Who follows traced messages; left out: nobody. */
  readonly residences?: TraceListener
}

export interface ServedShardOptions extends ShardWorld {
  readonly log: ShardOptions['log']
  readonly scratch: ShardOptions['scratch']
  readonly streamLogs: StreamLogs
  readonly topology: ShardTopology
  /** Of all queues that have the shard as their home. */
  readonly definitions: Iterable<QueueDefinition>
  /** Under which this node owns it. */
  readonly epoch: number
  /** Other nodes' clients may hold deliveries of an earlier owner. */
  readonly awaitsClaims: boolean
  /** Auto-delete queues that are known to have had consumers under earlier owners. */
  readonly hadConsumers: readonly QueueDefinition[]
  /** What earlier owners have told of a queue; null: nothing. Left out: there was none. */
  toldOf?(id: number): QueueStatus | null
  congestionChanged(isCongested: boolean): void
  roomChanged(isFull: boolean): void
  /** Anything of it has failed. May be called more than once. */
  failed(error: Error): void
}

type Part = 'shard' | 'streams'

export class ServedShard implements ShardDirectory {
  readonly shard: Shard
  /** As the placed shard uses it. */
  readonly local: LocalShard
  readonly #streams: Streams
  /** The handles of what is served here, by the id of the queue. */
  readonly #queues: Map<number, Queue>

  private constructor(shard: Shard, options: ServedShardOptions, parts: Parts) {
    this.shard = shard
    this.#queues = parts.queues
    const { epoch, awaitsClaims, hadConsumers, topology } = options
    this.local = localShard({
      shard,
      epoch,
      isNew: !awaitsClaims,
      hadConsumers,
      topology,
      streamOf: (definition) => this.#handleOf(definition),
    })
    const { streamLogs, clock, upkeepClock, runQueue, logger, uncommittedBytesMax, residences: spans } = options
    this.#streams = new Streams({
      queues: shardDirectory(shard),
      logs: streamLogs,
      clock,
      upkeepClock,
      runQueue,
      logger,
      uncommittedBytesMax,
      ...(spans === undefined ? {} : { spans }),
      looksAtAll: true,
      storedBefore: (id) => options.toldOf?.(id)?.ready ?? null,
      congestionChanged: (isCongested) => parts.congested.set('streams', isCongested),
      roomChanged: (isFull) => parts.full.set('streams', isFull),
      fatal: (error) => options.failed(error),
    })
  }

  /** The topology must be level with what the log was written under. Rejects with what the logs say. */
  static async open(options: ServedShardOptions): Promise<ServedShard> {
    const parts: Parts = {
      congested: new AnyOf((isAny) => options.congestionChanged(isAny)),
      full: new AnyOf((isAny) => options.roomChanged(isAny)),
      queues: new Map(),
    }
    const definitions = [...options.definitions]
    const shard = await Shard.open({
      ...options,
      deliversStored: true,
      topology: localTopology(options.topology, ({ id }) => parts.queues.get(id) ?? null),
      definitions: definitions.filter((definition) => !isStream(definition)),
      listener: {
        congestionChanged: (isCongested) => parts.congested.set('shard', isCongested),
        roomChanged: () => parts.full.set('shard', shard.isFull),
        failed: (error) => options.failed(error),
      },
    })
    const served = new ServedShard(shard, options, parts)
    for (const definition of definitions) served.open(definition)
    await served.#streams.start(options.topology)
    parts.full.set('shard', shard.isFull)
    return served
  }

  // ---------------------------------------------------------------- queues

  /** A definition is there already when the shard is opened, or comes later. */
  open(definition: QueueDefinition): Queue {
    let queue = this.#queues.get(definition.id)
    if (queue === undefined) {
      queue = this.#streams.open(definition)
      this.#queues.set(definition.id, queue)
    }
    return queue
  }

  #handleOf(definition: QueueDefinition): Queue {
    const queue = this.#queues.get(definition.id)
    assert(queue !== undefined, 'a queue that exists has its handle where it is served')
    return queue
  }

  /** What came or went while it was being opened. */
  hasOnly(definitions: ReadonlyMap<number, QueueDefinition>): void {
    for (const definition of definitions.values()) this.open(definition)
    for (const [id, queue] of this.#queues) if (!definitions.has(id)) this.drop(queue)
  }

  drop({ definition }: Queue): void {
    const queue = this.#queues.get(definition.id)
    if (queue === undefined) return
    this.#queues.delete(definition.id)
    this.#streams.drop(queue)
  }

  statusNow({ definition }: Queue): QueueStatus {
    const queue = this.#queues.get(definition.id)
    return queue === undefined ? { ready: 0, unacked: 0, consumers: 0 } : this.#streams.statusNow(queue)
  }

  settingsChanged({ definition }: Queue): void {
    const queue = this.#queues.get(definition.id)
    if (queue !== undefined) this.#streams.settingsChanged(queue)
  }

  redeclared({ definition }: Queue): void {
    const queue = this.#queues.get(definition.id)
    if (queue !== undefined) this.#streams.redeclared(queue)
  }

  // ---------------------------------------------------------------- upkeep

  topologyCommitted(): void {
    this.shard.topologyCommitted()
    this.#streams.topologyCommitted()
  }

  /** In good order: what is under way is committed, what was handed out written down. Closes the logs. */
  async close(): Promise<void> {
    await this.#streams.close()
    await this.shard.close()
  }
}

interface Parts {
  readonly congested: AnyOf<Part>
  readonly full: AnyOf<Part>
  readonly queues: Map<number, Queue>
}

/** The shard's queues, as `Streams` hands them on. */
function shardDirectory(shard: Shard): ShardDirectory {
  return {
    open: (definition) => shard.queueOf(definition),
    drop: (queue) => {
      if (queue instanceof LocalQueue) shard.dropQueue(queue)
    },
    statusNow: (queue) => shard.statusNow(queue),
    settingsChanged: (queue) => {
      if (queue instanceof LocalQueue) shard.settingsChanged(queue)
    },
    redeclared: (queue) => {
      if (queue instanceof LocalQueue) shard.redeclared(queue)
    },
  }
}
