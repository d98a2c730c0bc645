/**
 * The one data shard of a node on its own: opens it after the topology, opens it again by replay when it failed, and
 * knows its queues (`ShardDirectory`).
 *
 * Invariant: `definition.queue` is the handle of the shard object that serves now. While none does, it is a handle whose
 * commands are all refused.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import type { Chunks } from '../message.ts'
import type { Queue, QueueStatus, ShardCommands, ShardDirectory, ShardTopology } from '../ports.ts'
import { LocalQueue } from '../queue/local-queue.ts'
import type { ResidenceListener } from '../queue/residences.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { noShard } from './consuming.ts'
import { Shard } from './shard.ts'
import type { ShardOptions } from './shard-options.ts'

type OpenLog = Log & { listener: LogListener | null }

export interface LocalShardsOptions {
  /** Opens the shard's logs; called again after a failure. */
  openLogs(): Promise<{ log: OpenLog; scratch: OpenLog }>
  readonly scratchSegmentBytes: number
  readonly clock: Clock
  readonly upkeepClock?: Clock
  readonly random: Random
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly uncommittedBytesMax?: number
  readonly entryBytesMax?: number
  readonly face?: NonNullable<ShardOptions['face']>
  readonly residences?: ResidenceListener
  /** Publishers should pause, or may go on. */
  congestionChanged(isCongested: boolean): void
  /** There is no room for new messages, or there is again. */
  roomChanged(isFull: boolean): void
  /** The shard serves again with new handles: whatever was kept of the old ones is void. */
  reopened(): void
  /** It failed a second time, or could not be opened again: the process should end. */
  fatal(error: Error): void
}

export class LocalShards implements ShardDirectory {
  readonly #options: LocalShardsOptions
  readonly #definitions = new Map<number, QueueDefinition>()
  #topology: ShardTopology | null = null
  #shard: Shard | null = null
  /** Deleted queues whose deletion the topology may not have stored, and its position: their records still count. */
  readonly #leaving = new Map<QueueDefinition, Position>()
  #logs: OpenLog[] = []
  /** Under way until the shard serves, or could not be opened. */
  #opening: Promise<void> = Promise.resolve()
  #failures = 0
  #isClosing = false

  constructor(options: LocalShardsOptions) {
    this.#options = options
  }

  /** Opens the shard. The topology must have been replayed. */
  async start(topology: ShardTopology): Promise<void> {
    this.#topology = topology
    const opening = this.#openShard(topology)
    this.#opening = opening.catch(() => {})
    await opening
  }

  async #openShard(topology: ShardTopology): Promise<void> {
    const { log, scratch } = await this.#options.openLogs()
    this.#logs = [log, scratch]
    let shard: Shard
    try {
      shard = await Shard.open(this.#shardOptions(log, scratch, topology))
    } catch (error) {
      await this.#closeLogs()
      throw error
    }
    for (const definition of this.#definitions.values()) definition.queue = shard.queueOf(definition)
    for (const queue of [...shard.queues]) if (!this.#definitions.has(queue.id)) shard.dropQueue(queue)
    this.#shard = shard
    this.#options.roomChanged(shard.isFull)
  }

  /** Of a shard that does not serve: no two may have the files of one log open. */
  async #closeLogs(): Promise<void> {
    for (const log of this.#logs.splice(0)) {
      try {
        await log.close()
      } catch (error) {
        this.#options.logger.warn({ error }, 'a log of a failed shard could not be closed in good order')
      }
    }
  }

  open(definition: QueueDefinition): Queue {
    this.#definitions.set(definition.id, definition)
    return this.#shard?.openQueue(definition) ?? new LocalQueue(definition, refusingShard)
  }

  drop(queue: Queue): void {
    this.#definitions.delete(queue.definition.id)
    const { appended, committed } = this.#topology ?? { appended: 0, committed: 0 }
    if (queue.definition.isDurable && appended > committed) this.#leaving.set(queue.definition, appended)
    if (queue instanceof LocalQueue) this.#shard?.dropQueue(queue)
  }

  statusNow(queue: Queue): QueueStatus {
    return this.#shard?.statusNow(queue) ?? { ready: 0, unacked: 0, consumers: 0 }
  }

  settingsChanged(queue: Queue): void {
    if (queue instanceof LocalQueue) this.#shard?.settingsChanged(queue)
  }

  redeclared(queue: Queue): void {
    if (queue instanceof LocalQueue) this.#shard?.redeclared(queue)
  }

  /** What is known of each queue; null while no shard serves. For those who look at memory and for tests. */
  get queues(): Iterable<LocalQueue> | null {
    return this.#shard?.queues ?? null
  }

  /** Calls back when all that was done so far is stored, perhaps at once; not at all when the shard fails before. */
  whenStored(done: () => void): void {
    this.#shard?.whenCommitted(done)
  }

  topologyCommitted(): void {
    const committed = this.#topology?.committed ?? 0
    for (const [definition, storedWith] of this.#leaving) {
      if (storedWith > committed) break
      this.#leaving.delete(definition)
    }
    this.#shard?.topologyCommitted()
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await this.#opening
    await this.#shard?.close()
  }

  #shardOptions(log: OpenLog, scratch: OpenLog, topology: ShardTopology): ShardOptions {
    const { scratchSegmentBytes, clock, random, runQueue, logger } = this.#options
    const { upkeepClock, uncommittedBytesMax, entryBytesMax, face, residences } = this.#options
    return {
      log,
      scratch,
      scratchSegmentBytes,
      topology,
      clock,
      random,
      runQueue,
      logger,
      definitions: [...this.#definitions.values(), ...this.#leaving.keys()],
      ...(upkeepClock === undefined ? {} : { upkeepClock }),
      ...(uncommittedBytesMax === undefined ? {} : { uncommittedBytesMax }),
      ...(entryBytesMax === undefined ? {} : { entryBytesMax }),
      ...(face === undefined ? {} : { face }),
      ...(residences === undefined ? {} : { residences }),
      listener: {
        congestionChanged: (isCongested) => this.#options.congestionChanged(isCongested),
        roomChanged: () => this.#options.roomChanged(this.#shard?.isFull ?? false),
        failed: (error) => this.#failed(error),
      },
    }
  }

  #failed(error: Error): void {
    if (this.#isClosing) return
    this.#options.logger.error({ error }, 'the shard has failed')
    this.#shard = null
    for (const definition of this.#definitions.values()) definition.queue = new LocalQueue(definition, refusingShard)
    this.#options.reopened()
    this.#options.congestionChanged(false)
    this.#failures++
    if (this.#failures > 1 || this.#topology === null) return this.#options.fatal(error)
    this.#opening = this.#reopen(this.#topology)
  }

  async #reopen(topology: ShardTopology): Promise<void> {
    try {
      await this.#closeLogs()
      if (this.#isClosing) return
      await this.#openShard(topology)
    } catch (error) {
      this.#options.fatal(error instanceof Error ? error : new Error(String(error)))
      return
    }
    this.#options.reopened()
  }
}

/** Stands in for a shard that is not there. */
const refusingShard: ShardCommands = {
  publish: (message, _queues, _count, confirms, sequence) => {
    message.chunks?.release()
    confirms?.refuse(sequence)
  },
  openBody: (_isPersistent, bodyBytes) => ({
    count: 0,
    bodyBytes,
    append: () => {},
    abandon: () => {},
    release: () => {},
    read: (_index: number, done: Parameters<Chunks['read']>[1]) => done(noShard(), new Uint8Array(0), 0, 0),
  }),
  get: (_queue, _isNoAck, sink) => sink.failed(noShard()),
  register: (_consumer, reply) => reply.failed(noShard()),
  activate: () => {},
  unregister: (_consumer, reply) => reply.done(0, 0),
  resume: () => {},
  settle: () => {},
  extendLease: () => {},
  listScheduled: (_queue, _after, _limit, reply) => reply.failed(noShard()),
  cancelScheduled: (_queue, _messageId, reply) => reply.failed(noShard()),
  reschedule: (_queue, _messageId, _dueAt, reply) => reply.failed(noShard()),
  browse: (_queue, _page, reply) => reply.failed(noShard()),
  forget: (_queue, _sequence, reply) => reply.failed(noShard()),
  purge: (_queue, reply) => reply.failed(noShard()),
  status: (_queue, reply) => reply.done({ ready: 0, unacked: 0, consumers: 0 }, 0),
}
