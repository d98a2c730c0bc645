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
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener, Position, Segment } from '../../log/log.ts'
import { BrokerError } from '../errors.ts'
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
import { Delivery } from './delivery.ts'
import { Digests } from './digests.ts'
import { Emptying, type EmptyingPorts } from './emptying.ts'
import { LargeBodies } from './large-bodies.ts'
import { Mover } from './mover.ts'
import { Opening } from './opening.ts'
import { Paging } from './paging.ts'
import { PendingConfirms } from './pending-confirms.ts'
import { Publishing, type TopologyProgress } from './publishing.ts'
import { Reclaim } from './reclaim.ts'
import { ScratchUsage } from './scratch-usage.ts'
import { SentMarks } from './sent-marks.ts'
import { Settlements } from './settlements.ts'
import { Settling } from './settling.ts'

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
  readonly topology: TopologyProgress
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly listener: ShardListener
  /** Definitions of the queues that this shard holds. Records of other queues are dead. */
  readonly definitions: Iterable<QueueDefinition>
  /** Bytes appended and not yet stored above which publishers are held back. Default 8 MiB. */
  readonly uncommittedBytesMax?: number
  /** Memory for entry columns above which long queues give theirs up, bytes. Default 12 MiB. */
  readonly entryBytesMax?: number
  /** What others hold as `queue.shard`: the shard itself, or something in front of it. */
  readonly face?: (shard: ShardCommands) => ShardCommands
}

type State = 'opening' | 'serving' | 'dead' | 'closed'

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
  readonly #publishing: Publishing
  readonly #paging: Paging
  readonly #reclaim: Reclaim
  readonly #emptyingPorts: EmptyingPorts
  readonly #face: ShardCommands
  readonly #uncommittedBytesMax: number
  #state: State = 'opening'
  #isCongested = false

  private constructor(options: ShardOptions) {
    const { log, scratch, clock, runQueue, logger } = options
    this.#options = options
    this.#log = log
    this.#scratch = scratch
    this.#uncommittedBytesMax = options.uncommittedBytesMax ?? 8 * 1024 * 1024
    this.#face = options.face?.(this) ?? this
    const failed = (error: Error): void => this.#fail(error)
    this.#usage = new ScratchUsage(scratch, options.scratchSegmentBytes)
    this.#bodies = new LargeBodies(log, scratch, this.#usage)
    const touch = (queue: LocalQueue, position: Position): void => this.#digests.touch(queue, position)
    this.#settlements = new Settlements(log, clock, touch)
    this.#digests = new Digests({
      log,
      bodies: this.#bodies,
      settlements: this.#settlements,
      written: () => this.#afterDigest(),
      failed,
    })
    this.#settling = new Settling(this.#settlements, this.#bodies, this.#usage)
    this.#marks = new SentMarks(log, touch)
    this.#paging = new Paging({
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
    const mover = new Mover({
      log,
      clock,
      bodies: this.#bodies,
      queues: this.#queues,
      touch,
      isStopped: () => this.#state !== 'serving',
    })
    this.#reclaim = new Reclaim({ log, clock, bodies: this.#bodies, digests: this.#digests, mover, queues: this.#queues, failed })
    this.#emptyingPorts = {
      settled: (queue, first, last) => {
        if (queue.isDurable) this.#settlements.add(queue, first, last)
      },
      released: (position, flags) => this.#settling.release(position, flags),
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
    shard.#serve(withoutDigest)
    return shard
  }

  #serve(withoutDigest: readonly Segment[]): void {
    this.#state = 'serving'
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
      roomChanged: () => this.#options.listener.roomChanged(),
    }
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

  /** The handle of a queue this shard was opened with. */
  queueOf(definition: QueueDefinition): LocalQueue {
    return this.#queues.get(definition.id) ?? this.openQueue(definition)
  }

  /** The queue's definition is gone. Its records are dead from then on, nothing is written. */
  dropQueue(queue: LocalQueue): void {
    if (queue.isDropped) return
    queue.isDropped = true
    this.#queues.delete(queue.id)
    const name = `no queue '${queue.definition.name}' in vhost '${queue.definition.vhost}'`
    this.#delivery.failGets(queue, 'not-found', name)
    this.#endConsumers(queue)
    const emptying = new Emptying(queue, false, this.#emptyingPorts, () => {})
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

  publish(message: Message, queues: readonly Queue[], count: number, confirms: ConfirmSink | null, sequence: number): void {
    if (this.#state !== 'serving') return this.#refuse(message, confirms, sequence)
    this.#publishing.publish(message, queues, count, confirms, sequence)
    if (this.#log.uncommittedBytes > this.#uncommittedBytesMax) this.#setCongested(true)
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#bodies.openWriter(isPersistent, bodyBytes)
  }

  #refuse(message: Message, confirms: ConfirmSink | null, sequence: number): void {
    message.chunks?.release()
    confirms?.refuse(sequence)
  }

  // ---------------------------------------------------------------- get, consume

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    const local = queue as LocalQueue
    if (this.#state !== 'serving' || local.isDropped) {
      sink.failed(new BrokerError('not-found', `no queue '${local.definition.name}' in vhost '${local.definition.vhost}'`))
      return
    }
    local.gets.push({ sink, isNoAck })
    this.#delivery.pump(local)
  }

  register(consumer: Consumer, reply: Reply<void>): void {
    const queue = consumer.queue as LocalQueue
    const name = `queue '${queue.definition.name}' in vhost '${queue.definition.vhost}'`
    if (this.#state !== 'serving' || queue.isDropped) return reply.failed(new BrokerError('not-found', `no ${name}`))
    const members = queue.turns.members
    const isTaken = consumer.isExclusive ? members.size > 0 : [...members].some((other) => other.isExclusive)
    if (isTaken) return reply.failed(new BrokerError('access-refused', `${name} in exclusive use`))
    queue.turns.add(consumer)
    reply.done(undefined, 0)
  }

  activate(consumer: Consumer): void {
    const queue = consumer.queue as LocalQueue
    if (!queue.turns.members.has(consumer)) return
    consumer.isActive = true
    this.resume(consumer)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    const queue = consumer.queue as LocalQueue
    queue.turns.remove(consumer)
    reply.done(queue.turns.members.size, 0)
  }

  resume(consumer: Consumer): void {
    const queue = consumer.queue as LocalQueue
    queue.turns.enter(consumer)
    this.#delivery.pump(queue)
  }

  // ---------------------------------------------------------------- settle

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    const local = queue as LocalQueue
    const held = this.#state === 'serving' && !local.isDropped ? this.#settling.settleHeld(local, { holder: consumer?.id ?? 0, first, last, outcome }) : 0
    if (consumer !== null) {
      consumer.unacked -= held
      if (consumer.shared !== null) consumer.shared.unacked -= held
      local.turns.enter(consumer)
    }
    if (held === 0) return
    // Of many that come back one after the other, the first must not draw those behind after it.
    if (outcome === 'requeue') this.#delivery.pumpLater(local)
    else this.#delivery.pump(local)
  }

  // ---------------------------------------------------------------- purge, status

  purge(queue: Queue, reply: Reply<number>): void {
    const local = queue as LocalQueue
    if (this.#state !== 'serving') return reply.failed(new BrokerError('internal-error', 'the shard of this queue has failed'))
    const task = new Emptying(local, true, this.#emptyingPorts, (count) => {
      this.#settlements.flush()
      reply.done(count, 0)
    })
    this.#options.runQueue.add(task)
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    reply.done(this.statusNow(queue), 0)
  }

  // ---------------------------------------------------------------- what the logs say

  /** The topology log has committed: confirms may have waited for it. */
  topologyCommitted(): void {
    this.#confirms.release(this.#log.committed, this.#options.topology.committed)
  }

  #committed(position: Position): void {
    this.#confirms.release(position, this.#options.topology.committed)
    this.#marks.committed(position, (queue) => this.#delivery.pumpLater(queue))
    this.#digests.committed(position)
    if (this.#isCongested && this.#log.uncommittedBytes < this.#uncommittedBytesMax / 2) this.#setCongested(false)
  }

  #setCongested(isCongested: boolean): void {
    if (this.#isCongested === isCongested) return
    this.#isCongested = isCongested
    this.#options.listener.congestionChanged(isCongested)
  }

  #roomChanged(): void {
    if (this.#log.isFull) this.#reclaim.runSoon()
    this.#options.listener.roomChanged()
  }

  #afterDigest(): void {
    this.#paging.sweep(this.#queues.values(), this.#digests.digestedBelow)
    this.#reclaim.runSoon()
  }

  // ---------------------------------------------------------------- the end

  #fail(error: Error): void {
    if (this.#state === 'dead' || this.#state === 'closed') return
    this.#state = 'dead'
    this.#stopTasks()
    this.#settlements.forget()
    this.#confirms.refuseAll()
    for (const queue of this.#queues.values()) {
      this.#delivery.failGets(queue, 'internal-error', 'the shard of this queue has failed')
      this.#endConsumers(queue)
    }
    this.#options.listener.failed(error)
  }

  #endConsumers(queue: LocalQueue): void {
    for (const consumer of [...queue.turns.members]) {
      queue.turns.remove(consumer)
      consumer.sink.cancelled(consumer)
    }
  }

  #stopTasks(): void {
    this.#reclaim.stop()
    void this.#digests.stop()
  }

  /** A stop in good order: what was handed out is written down exactly, everything is committed. */
  async close(): Promise<void> {
    if (this.#state !== 'serving') return
    this.#settlements.flush()
    this.#state = 'closed'
    this.#reclaim.stop()
    writeCleanStates(this.#log, this.#queues.values(), this.#digests.touch)
    await this.#digests.caughtUp()
    await this.#digests.stop()
    await this.#log.close()
    await this.#scratch.close()
  }
}
