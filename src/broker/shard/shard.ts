/**
 * One writer, one log, many queues: commands become records, records are applied.
 *
 * A durable entry is a record in the log, a transient one in the scratch log, with the same columns and the same
 * deliveries. A publisher hears of a message when its record *and* the topology under which it was routed are
 * committed. A consumer may see a message before.
 *
 * Fail-stop: when the log cannot go on, or a record cannot be read, the whole object is dead. It refuses what waits,
 * cancels its consumers and answers every further command with a refusal; whoever holds it opens a new one by replay.
 */
import type { Position, Segment } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type {
  BodyWriter,
  BrowsedMessage,
  BrowsePage,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  ShardCommands,
} from '../ports.ts'
import { LocalQueue } from '../queue/local-queue.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { writeCleanStates } from './clean-stop.ts'
import { noQueue, noShard } from './consuming.ts'
import { Emptying } from './emptying.ts'
import { LeavingQueues } from './leaving-queues.ts'
import { Opening } from './opening.ts'
import type { Origin, Origins } from './origins.ts'
import type { ShardOptions } from './shard-options.ts'
import { ShardParts } from './shard-parts.ts'

type State =
  | 'opening' // reads its log; nobody has it yet
  | 'serving'
  | 'closing' // delivers and takes nothing any more, writes down what was handed out
  | 'dead' // its log, or a record in it, has failed
  | 'closed'

export class Shard implements ShardCommands {
  readonly #options: ShardOptions
  readonly #queues = new Map<number, LocalQueue>()
  readonly #parts: ShardParts
  readonly #face: ShardCommands
  readonly #leaving: LeavingQueues
  #state: State = 'opening'
  #awaitsClaims: boolean
  /** What failed while it was opening. */
  #failure: Error | null = null

  private constructor(options: ShardOptions) {
    this.#options = options
    this.#awaitsClaims = options.awaitsClaims ?? false
    this.#face = options.face?.(this) ?? this
    this.#leaving = new LeavingQueues(options.topology, options.runQueue, (queue) => this.#forget(queue))
    this.#parts = new ShardParts(options, {
      queues: this.#queues,
      isServing: () => this.#state === 'serving',
      failed: (error) => this.#fail(error),
      digestWritten: () => this.#afterDigest(),
    })
    this.#listen()
  }

  #listen(): void {
    const { log, scratch, digests, usage } = this.#parts
    log.listener = {
      committed: (position) => this.#committed(position),
      failed: (error) => this.#fail(error),
      sealed: (segment) => digests.sealed(segment),
      roomChanged: () => this.#roomChanged(),
    }
    scratch.listener = {
      committed: () => {},
      failed: (error) => this.#fail(error),
      sealed: (segment) => usage.sealed(segment),
      roomChanged: () => this.#roomChanged(),
    }
  }

  /** Reads the log, rebuilds the queues, and serves from then on. Rejects with what the log says. */
  static async open(options: ShardOptions): Promise<Shard> {
    const shard = new Shard(options)
    for (const definition of options.definitions) shard.openQueue(definition)
    const opening = new Opening({
      log: shard.#parts.log,
      bodies: shard.#parts.bodies,
      paging: shard.#parts.paging,
      logger: options.logger,
      runQueue: options.runQueue,
      queues: shard.#queues,
      senders: shard.#parts.senders,
      touch: shard.#parts.digests.touch,
    })
    const withoutDigest = await opening.run()
    if (shard.#failure !== null) throw shard.#failure
    shard.#serve(withoutDigest)
    return shard
  }

  #serve(withoutDigest: readonly Segment[]): void {
    this.#state = 'serving'
    for (const segment of this.#parts.log.segments) if (segment.isSealed) this.#parts.digests.hasDigest(segment)
    for (const segment of withoutDigest) this.#parts.digests.sealed(segment)
    this.#parts.paging.sweep(this.#queues.values(), this.#parts.digests.digestedBelow)
    this.#parts.reclaim.start()
    if (!this.#awaitsClaims) this.#watchAll()
  }

  #watchAll(): void {
    const now = this.#options.clock.now()
    for (const queue of this.#queues.values()) {
      queue.usedAt = now
      this.#parts.expiry.watch(queue)
      this.#parts.entering.enforce(queue)
    }
  }

  // ---------------------------------------------------------------- queues

  openQueue(definition: QueueDefinition): LocalQueue {
    const queue = new LocalQueue(definition, this.#face)
    this.#queues.set(definition.id, queue)
    if (this.#state === 'serving') this.#parts.used(queue, this.#options.clock.now())
    return queue
  }

  get queues(): Iterable<LocalQueue> {
    return this.#queues.values()
  }

  /** The handle of a queue this shard was opened with. */
  queueOf(definition: QueueDefinition): LocalQueue {
    return this.#queues.get(definition.id) ?? this.openQueue(definition)
  }

  /** The queue's definition is gone: nobody reaches it any more, and once that is stored its records are dead. */
  dropQueue(queue: LocalQueue): void {
    if (queue.isDropped) return
    queue.isDropped = true
    this.#parts.consuming.end(queue, noQueue)
    this.#leaving.add(queue)
  }

  #forget(queue: LocalQueue): void {
    queue.isDead = true
    this.#queues.delete(queue.id)
    const emptying = new Emptying(queue, false, this.#parts.emptying, { done: () => {}, stopped: () => {} })
    if (queue.entries.live > 0) this.#options.runQueue.add(emptying)
  }

  statusNow(queue: Queue): QueueStatus {
    const local = queue as LocalQueue
    return { ready: local.entries.ready, unacked: local.entries.unacked, consumers: local.turns.members.size }
  }

  /** The durable log or the scratch log has no room: publishers must be held back. */
  get isFull(): boolean {
    return this.#parts.log.isFull || this.#parts.scratch.isFull
  }

  // ---------------------------------------------------------------- publish

  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    if (this.#state !== 'serving') return this.#refuse(message, confirms, sequence)
    this.#parts.publishing.publish(message, queues, count, confirms, sequence)
    this.#parts.congestion.appended()
  }

  /** Another node's publish, with the number it gave it. Without a number (0) it is like any other. */
  publishFrom(
    origin: Origin,
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    if (origin.number === 0 || this.#state !== 'serving')
      return this.publish(message, queues, count, confirms, sequence)
    this.#parts.publishing.publishFrom(origin, message, queues, count, confirms, sequence)
    this.#parts.congestion.appended()
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#parts.bodies.openWriter(isPersistent, bodyBytes)
  }

  #refuse(message: Message, confirms: ConfirmSink | null, sequence: number): void {
    message.chunks?.release()
    confirms?.refuse(sequence)
  }

  // ---------------------------------------------------------------- get, consume, settle

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    this.#parts.consuming.get(queue as LocalQueue, isNoAck, sink)
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    this.#parts.consuming.register(consumer, reply)
  }

  activate(consumer: Consumer): void {
    this.#parts.consuming.activate(consumer)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    this.#parts.consuming.unregister(consumer, reply)
  }

  resume(consumer: Consumer): void {
    this.#parts.consuming.resume(consumer)
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    this.#parts.consuming.settle(queue, consumer, first, last, outcome)
  }

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    this.#parts.consuming.extendLease(queue as LocalQueue, consumer, sequence, ms)
  }

  // ---------------------------------------------------------------- what an earlier owner did

  get isServing(): boolean {
    return this.#state === 'serving'
  }

  /** What other nodes have published here. */
  get origins(): Origins {
    return this.#parts.senders.origins
  }

  /** See `claiming.ts`. Before anything is delivered. */
  async claim(queue: Queue, consumer: Consumer | null, first: number, last: number): Promise<number> {
    return this.isServing ? await this.#parts.claiming.claim(queue as LocalQueue, consumer, first, last) : 0
  }

  /** What nobody has claimed by now is ready: it may expire, and limits hold. */
  claimsMade(): void {
    if (this.#awaitsClaims && this.isServing) this.#watchAll()
    this.#awaitsClaims = false
  }

  /** Calls back when all that was done so far is committed, perhaps at once; not at all when the shard fails before. */
  whenCommitted(done: () => void): void {
    this.#parts.commitWaiters.add(done)
  }

  /** A policy gives the queue other settings: what is above a limit goes, what is too old expires. */
  settingsChanged(queue: LocalQueue): void {
    queue.settingsChanged()
    const { deduplication } = queue.settings
    if (deduplication === null) queue.window = null
    else queue.window?.configure(deduplication, this.#options.clock.now())
    if (this.#state !== 'serving') return
    this.#parts.used(queue, this.#options.clock.now())
    this.#parts.expiry.watch(queue)
    this.#parts.retiming.start(queue)
    this.#parts.entering.enforce(queue)
  }

  redeclared(queue: LocalQueue): void {
    this.#parts.used(queue, this.#options.clock.now())
  }

  // ---------------------------------------------------------------- what waits for its time

  listScheduled(queue: Queue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    this.#parts.scheduled.list(queue as LocalQueue, after, limit, reply)
  }

  cancelScheduled(queue: Queue, messageId: string, reply: Reply<number>): void {
    this.#parts.scheduled.cancel(queue as LocalQueue, messageId, reply)
  }

  reschedule(queue: Queue, messageId: string, dueAt: number, reply: Reply<number>): void {
    this.#parts.scheduled.reschedule(queue as LocalQueue, messageId, dueAt, reply)
  }

  // ---------------------------------------------------------------- browse, purge, status

  browse(queue: Queue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.#parts.browsing.browse(queue as LocalQueue, page, reply)
  }

  forget(queue: Queue, sequence: number, reply: Reply<number>): void {
    this.#parts.browsing.forget(queue as LocalQueue, sequence, reply)
  }

  purge(queue: Queue, reply: Reply<number>): void {
    const local = queue as LocalQueue
    if (this.#state !== 'serving') return reply.failed(noShard())
    const task = new Emptying(local, true, this.#parts.emptying, {
      done: (count) => {
        this.#parts.settlements.flush()
        reply.done(count, 0)
      },
      stopped: () => reply.failed(noShard()),
    })
    this.#options.runQueue.add(task)
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    reply.done(this.statusNow(queue), 0)
  }

  /** The topology log has committed: confirms may have waited for it. */
  topologyCommitted(): void {
    this.#parts.confirms.release(this.#parts.log.committed, this.#options.topology.committed)
    this.#leaving.topologyCommitted()
  }

  #committed(position: Position): void {
    this.#parts.confirms.release(position, this.#options.topology.committed)
    const goOn = (queue: LocalQueue): void => this.#parts.delivery.pumpLater(queue)
    this.#parts.marks.committed(position, goOn)
    this.#parts.gate?.committed(position, goOn)
    this.#parts.digests.committed(position)
    this.#parts.congestion.committed()
    this.#parts.commitWaiters.committed(position)
  }

  #roomChanged(): void {
    if (this.#state !== 'serving') return
    if (this.#parts.log.isFull) this.#parts.reclaim.runSoon()
    this.#options.listener.roomChanged()
  }

  #afterDigest(): void {
    this.#parts.paging.sweep(this.#queues.values(), this.#parts.digests.digestedBelow)
    this.#parts.reclaim.runSoon()
  }

  // ---------------------------------------------------------------- the end

  #fail(error: Error): void {
    this.#failure ??= error
    if (this.#state === 'closing') this.#parts.confirms.refuseAll()
    if (this.#state !== 'serving') return
    this.#state = 'dead'
    this.#parts.reclaim.stop()
    void this.#parts.digests.stop()
    this.#stopWriting()
    this.#parts.confirms.refuseAll()
    this.#endDeliveries()
    this.#options.listener.failed(error)
  }

  #stopWriting(): void {
    this.#parts.deadlines.stop()
    this.#parts.settlements.stop()
    this.#parts.bodies.stop()
  }

  #endDeliveries(): void {
    for (const queue of this.#queues.values()) {
      this.#parts.consuming.end(queue, noShard)
      queue.residences?.abandon()
    }
  }

  /**
   * A stop in good order: what was handed out is written down exactly, everything is committed. Nothing may be delivered
   * from here on, it would not be in what is written, and no digest may say less exactly than these last records.
   */
  async close(): Promise<void> {
    if (this.#state !== 'serving') return
    this.#state = 'closing'
    this.#parts.reclaim.stop()
    this.#endDeliveries()
    try {
      await this.#parts.digests.stop()
      if (this.#failure !== null) throw this.#failure
      this.#parts.settlements.flush()
      writeCleanStates(this.#parts.log, this.#queues.values(), this.#parts.digests.touch)
      this.#stopWriting()
    } finally {
      await this.#parts.log.close().finally(() => {
        this.#state = 'closed'
        return this.#parts.scratch.close()
      })
    }
    if (this.#failure !== null) throw this.#failure
  }
}
