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
import type { Log, Position, Segment } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type {
  BodyWriter,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ShardCommands,
} from '../ports.ts'
import { LocalQueue } from '../queue/local-queue.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { writeCleanStates } from './clean-stop.ts'
import { Congestion } from './congestion.ts'
import { Consuming, noQueue, noShard } from './consuming.ts'
import { Delivery } from './delivery.ts'
import { Digests } from './digests.ts'
import { Emptying, type EmptyingPorts } from './emptying.ts'
import { LargeBodies } from './large-bodies.ts'
import { LeavingQueues } from './leaving-queues.ts'
import { Mover } from './mover.ts'
import { Opening } from './opening.ts'
import { Paging } from './paging.ts'
import { PendingConfirms } from './pending-confirms.ts'
import { Publishing } from './publishing.ts'
import { Reclaim } from './reclaim.ts'
import { ScratchUsage } from './scratch-usage.ts'
import { SentMarks } from './sent-marks.ts'
import { Settlements } from './settlements.ts'
import { Settling } from './settling.ts'
import type { ShardOptions } from './shard-options.ts'

type State =
  | 'opening' // reads its log; nobody has it yet
  | 'serving'
  | 'closing' // delivers and takes nothing any more, writes down what was handed out
  | 'dead' // its log, or a record in it, has failed
  | 'closed'

export class Shard implements ShardCommands {
  readonly #options: ShardOptions
  readonly #log: Log
  readonly #scratch: Log
  readonly #queues = new Map<number, LocalQueue>()
  readonly #confirms = new PendingConfirms()
  readonly #usage: ScratchUsage
  readonly #bodies: LargeBodies
  readonly #digests: Digests
  readonly #settlements: Settlements
  readonly #settling: Settling
  readonly #marks: SentMarks
  readonly #delivery: Delivery
  readonly #consuming: Consuming
  readonly #publishing: Publishing
  readonly #paging: Paging
  readonly #reclaim: Reclaim
  readonly #emptyingPorts: EmptyingPorts
  readonly #face: ShardCommands
  readonly #leaving: LeavingQueues
  readonly #congestion: Congestion
  #state: State = 'opening'
  /** What failed while it was opening. */
  #failure: Error | null = null

  private constructor(options: ShardOptions) {
    const { log, scratch, clock, runQueue, logger } = options
    this.#options = options
    this.#log = log
    this.#scratch = scratch
    this.#congestion = new Congestion(
      log,
      options.uncommittedBytesMax ?? 8 * 1024 * 1024,
      options.listener.congestionChanged,
    )
    this.#face = options.face?.(this) ?? this
    this.#leaving = new LeavingQueues(options.topology, runQueue, (queue) => this.#forget(queue))
    const failed = (error: Error): void => this.#fail(error)
    this.#usage = new ScratchUsage(scratch, options.scratchSegmentBytes)
    this.#bodies = new LargeBodies({ log, scratch, usage: this.#usage, appended: () => this.#congestion.appended() })
    const touch = (queue: LocalQueue, position: Position): void => this.#digests.touch(queue, position)
    this.#settlements = new Settlements(log, clock, touch)
    this.#digests = new Digests({
      log,
      clock,
      runQueue,
      logger,
      bodies: this.#bodies,
      settlements: this.#settlements,
      written: () => this.#afterDigest(),
      failed,
    })
    this.#settling = new Settling(this.#settlements, this.#bodies, this.#usage)
    this.#marks = new SentMarks(log, touch)
    this.#paging = new Paging({
      runQueue,
      log,
      bodies: this.#bodies,
      logger,
      entryBytesMax: options.entryBytesMax ?? 12 * 1024 * 1024,
      resume: (queue) => this.#delivery.resume(queue),
      damaged: failed,
    })
    this.#delivery = new Delivery({
      log,
      scratch,
      marks: this.#marks,
      bodies: this.#bodies,
      runQueue,
      loadChunk: (queue, chunk) => this.#paging.load(queue, chunk),
      settleOne: (queue, chunk, sequence) => this.#settling.settleOne(queue, chunk, sequence),
      damaged: failed,
    })
    this.#consuming = new Consuming({
      delivery: this.#delivery,
      settling: this.#settling,
      isServing: () => this.#state === 'serving',
    })
    this.#publishing = new Publishing({
      log,
      scratch,
      usage: this.#usage,
      bodies: this.#bodies,
      delivery: this.#delivery,
      confirms: this.#confirms,
      topology: options.topology,
      touch,
    })
    this.#reclaim = this.#newReclaim(touch, failed)
    this.#emptyingPorts = this.#newEmptyingPorts()
    this.#listen()
  }

  #newEmptyingPorts(): EmptyingPorts {
    return {
      settled: (queue, first, last) => {
        if (queue.isDurable) this.#settlements.add(queue, first, last)
      },
      released: (position, flags) => this.#settling.release(position, flags),
      isStopped: () => this.#state !== 'serving',
    }
  }

  #newReclaim(touch: (queue: LocalQueue, position: Position) => void, failed: (error: Error) => void): Reclaim {
    const { log, clock } = this.#options
    const mover = new Mover({
      log,
      clock,
      bodies: this.#bodies,
      queues: this.#queues,
      touch,
      isStopped: () => this.#state !== 'serving',
    })
    return new Reclaim({
      log,
      clock,
      bodies: this.#bodies,
      digests: this.#digests,
      settlements: this.#settlements,
      mover,
      queues: this.#queues,
      failed,
    })
  }

  #listen(): void {
    this.#options.log.listener = {
      committed: (position) => this.#committed(position),
      failed: (error) => this.#fail(error),
      sealed: (segment) => this.#digests.sealed(segment),
      roomChanged: () => this.#roomChanged(),
    }
    this.#options.scratch.listener = {
      committed: () => {},
      failed: (error) => this.#fail(error),
      sealed: (segment) => this.#usage.sealed(segment),
      roomChanged: () => this.#roomChanged(),
    }
  }

  /** Reads the log, rebuilds the queues, and serves from then on. Rejects with what the log says. */
  static async open(options: ShardOptions): Promise<Shard> {
    const shard = new Shard(options)
    for (const definition of options.definitions) shard.openQueue(definition)
    const opening = new Opening({
      log: shard.#log,
      bodies: shard.#bodies,
      paging: shard.#paging,
      logger: options.logger,
      queues: shard.#queues,
      touch: shard.#digests.touch,
    })
    const withoutDigest = await opening.run()
    if (shard.#failure !== null) throw shard.#failure
    shard.#serve(withoutDigest)
    return shard
  }

  #serve(withoutDigest: readonly Segment[]): void {
    this.#state = 'serving'
    for (const segment of this.#log.segments) if (segment.isSealed) this.#digests.hasDigest(segment)
    for (const segment of withoutDigest) this.#digests.sealed(segment)
    this.#paging.sweep(this.#queues.values(), this.#digests.digestedBelow)
    this.#reclaim.start()
  }

  // ---------------------------------------------------------------- queues

  openQueue(definition: QueueDefinition): LocalQueue {
    const queue = new LocalQueue(definition, this.#face)
    this.#queues.set(definition.id, queue)
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
    this.#consuming.end(queue, noQueue)
    this.#leaving.add(queue)
  }

  #forget(queue: LocalQueue): void {
    queue.isDead = true
    this.#queues.delete(queue.id)
    const emptying = new Emptying(queue, false, this.#emptyingPorts, { done: () => {}, stopped: () => {} })
    if (queue.entries.live > 0) this.#options.runQueue.add(emptying)
  }

  statusNow(queue: Queue): QueueStatus {
    const local = queue as LocalQueue
    return { ready: local.entries.ready, unacked: local.entries.unacked, consumers: local.turns.members.size }
  }

  /** The durable log or the scratch log has no room: publishers must be held back. */
  get isFull(): boolean {
    return this.#log.isFull || this.#scratch.isFull
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
    this.#publishing.publish(message, queues, count, confirms, sequence)
    this.#congestion.appended()
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#bodies.openWriter(isPersistent, bodyBytes)
  }

  #refuse(message: Message, confirms: ConfirmSink | null, sequence: number): void {
    message.chunks?.release()
    confirms?.refuse(sequence)
  }

  // ---------------------------------------------------------------- get, consume, settle

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    this.#consuming.get(queue as LocalQueue, isNoAck, sink)
  }

  register(consumer: Consumer, reply: Reply<void>): void {
    this.#consuming.register(consumer, reply)
  }

  activate(consumer: Consumer): void {
    this.#consuming.activate(consumer)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    this.#consuming.unregister(consumer, reply)
  }

  resume(consumer: Consumer): void {
    this.#consuming.resume(consumer)
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    this.#consuming.settle(queue, consumer, first, last, outcome)
  }

  extendLease(_queue: Queue, _consumer: Consumer | null, _sequence: number, _ms: number): void {}

  settingsChanged(_queue: LocalQueue): void {}

  redeclared(_queue: LocalQueue): void {}

  // ---------------------------------------------------------------- purge, status

  purge(queue: Queue, reply: Reply<number>): void {
    const local = queue as LocalQueue
    if (this.#state !== 'serving') return reply.failed(noShard())
    const task = new Emptying(local, true, this.#emptyingPorts, {
      done: (count) => {
        this.#settlements.flush()
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
    this.#confirms.release(this.#log.committed, this.#options.topology.committed)
    this.#leaving.topologyCommitted()
  }

  #committed(position: Position): void {
    this.#confirms.release(position, this.#options.topology.committed)
    this.#marks.committed(position, (queue) => this.#delivery.pumpLater(queue))
    this.#digests.committed(position)
    this.#congestion.committed()
  }

  #roomChanged(): void {
    if (this.#state !== 'serving') return
    if (this.#log.isFull) this.#reclaim.runSoon()
    this.#options.listener.roomChanged()
  }

  #afterDigest(): void {
    this.#paging.sweep(this.#queues.values(), this.#digests.digestedBelow)
    this.#reclaim.runSoon()
  }

  // ---------------------------------------------------------------- the end

  #fail(error: Error): void {
    this.#failure ??= error
    if (this.#state === 'closing') this.#confirms.refuseAll()
    if (this.#state !== 'serving') return
    this.#state = 'dead'
    this.#reclaim.stop()
    void this.#digests.stop()
    this.#stopWriting()
    this.#confirms.refuseAll()
    this.#endDeliveries()
    this.#options.listener.failed(error)
  }

  #stopWriting(): void {
    this.#settlements.stop()
    this.#bodies.stop()
  }

  #endDeliveries(): void {
    for (const queue of this.#queues.values()) this.#consuming.end(queue, noShard)
  }

  /**
   * A stop in good order: what was handed out is written down exactly, everything is committed. Nothing may be delivered
   * from here on, it would not be in what is written, and no digest may say less exactly than these last records.
   */
  async close(): Promise<void> {
    if (this.#state !== 'serving') return
    this.#state = 'closing'
    this.#reclaim.stop()
    this.#endDeliveries()
    try {
      await this.#digests.stop()
      if (this.#failure !== null) throw this.#failure
      this.#settlements.flush()
      writeCleanStates(this.#log, this.#queues.values(), this.#digests.touch)
      this.#stopWriting()
    } finally {
      await this.#log.close().finally(() => {
        this.#state = 'closed'
        return this.#scratch.close()
      })
    }
    if (this.#failure !== null) throw this.#failure
  }
}
