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
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import { LocalQueue } from '../queue/local-queue.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { writeCleanStates } from './clean-stop.ts'
import { Delivery } from './delivery.ts'
import { Digests } from './digests.ts'
import { Emptying, type EmptyingPorts } from './emptying.ts'
import { LargeBodies, LargeBodyWriter } from './large-bodies.ts'
import { Mover } from './mover.ts'
import { Opening } from './opening.ts'
import { Paging } from './paging.ts'
import { PendingConfirms } from './pending-confirms.ts'
import { appendPublish, targetsMax, writeTarget } from './publish-record.ts'
import { Reclaim } from './reclaim.ts'
import { targetBytes } from './records.ts'
import { ScratchUsage } from './scratch-usage.ts'
import { SentMarks } from './sent-marks.ts'
import { Settlements } from './settlements.ts'

/** The topology log's progress, as far as confirms depend on it. */
export interface TopologyProgress {
  readonly appended: Position
  readonly committed: Position
}

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
  readonly #marks: SentMarks
  readonly #delivery: Delivery
  readonly #paging: Paging
  readonly #reclaim: Reclaim
  readonly #emptyingPorts: EmptyingPorts
  readonly #face: ShardCommands
  readonly #uncommittedBytesMax: number
  #state: State = 'opening'
  #isCongested = false
  /** Targets of the publish at hand, by where they are stored. Reused. */
  readonly #durable: LocalQueue[] = []
  readonly #transient: LocalQueue[] = []
  /** How many of each count: setting an array's length costs more than the rest of a delivery. */
  #durableCount = 0
  #transientCount = 0

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
      settleOne: (queue, chunk, sequence) => this.#settleOne(queue, chunk, sequence),
      damaged: failed,
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
      released: (position, flags) => this.#release(position, flags),
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
    for (const segment of this.#log.segments) if (segment.isSealed) this.#digests.digestedBelow = segment.end
    for (const segment of withoutDigest) {
      this.#digests.digestedBelow = Math.min(this.#digests.digestedBelow, segment.base)
      this.#digests.sealed(segment)
    }
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
    const body = message.chunks instanceof LargeBodyWriter ? message.chunks : null
    body?.flush()
    this.#sortTargets(message, queues, count)
    if (this.#transientCount === 1 && count === 1 && body === null) {
      if (this.#delivery.handOver(this.#transient[0] as LocalQueue, message)) return this.#confirm(0, confirms, sequence)
    }
    const position = this.#durableCount === 0 ? 0 : this.#store(message, this.#durable, this.#durableCount, body, 0)
    if (this.#transientCount > 0) this.#store(message, this.#transient, this.#transientCount, body, EntryFlag.transient)
    body?.release()
    this.#confirm(position, confirms, sequence)
    if (this.#log.uncommittedBytes > this.#uncommittedBytesMax) this.#setCongested(true)
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#bodies.openWriter(isPersistent, bodyBytes)
  }

  #sortTargets(message: Message, queues: readonly Queue[], count: number): void {
    this.#durableCount = 0
    this.#transientCount = 0
    for (let index = 0; index < count; index++) {
      const queue = queues[index] as LocalQueue
      if (queue.isDropped) continue
      if (message.isPersistent && queue.isDurable) this.#durable[this.#durableCount++] = queue
      else this.#transient[this.#transientCount++] = queue
    }
  }

  /** Appends the record (several for a very wide fanout) and enters it in each queue. Returns the last position. */
  #store(
    message: Message,
    targets: readonly LocalQueue[],
    targetCount: number,
    writer: LargeBodyWriter | null,
    transientFlag: number,
  ): Position {
    const log = transientFlag === 0 ? this.#log : this.#scratch
    const flags = EntryFlag.live | transientFlag | (writer === null ? 0 : EntryFlag.large)
    for (let from = 0; from < targetCount; from += targetsMax) {
      const count = Math.min(targetsMax, targetCount - from)
      let at = appendPublish(log, message, count, writer?.body ?? null)
      const { buffer, appended } = log
      for (let index = from; index < from + count; index++, at += targetBytes) {
        const queue = targets[index] as LocalQueue
        writeTarget(buffer, at, queue.id, queue.entries.next)
      }
      if (transientFlag !== 0) this.#usage.add(appended, count)
      if (writer !== null) this.#nameBody(writer, appended, targets, from, count, transientFlag)
      for (let index = from; index < from + count; index++) this.#enter(targets[index] as LocalQueue, message, appended, flags)
    }
    return log.appended
  }

  #enter(queue: LocalQueue, message: Message, position: Position, flags: number): void {
    const sequence = queue.entries.push(position, message.bodyBytes, flags)
    if ((flags & EntryFlag.transient) === 0) this.#digests.touch(queue, position)
    this.#delivery.arrived(queue, sequence, flags, message)
  }

  #nameBody(
    writer: LargeBodyWriter,
    position: Position,
    targets: readonly LocalQueue[],
    from: number,
    count: number,
    transientFlag: number,
  ): void {
    const { body } = writer
    if (transientFlag !== 0) body.scratchPosition = position
    else {
      body.publishPosition = position
      for (let index = from; index < from + count; index++) {
        const queue = targets[index] as LocalQueue
        body.targets.push({ queueId: queue.id, sequence: queue.entries.next })
      }
    }
    for (let index = 0; index < count; index++) this.#bodies.retain(body)
    this.#bodies.named(body)
  }

  #confirm(position: Position, confirms: ConfirmSink | null, sequence: number): void {
    if (confirms === null) return
    const { appended, committed } = this.#options.topology
    if (position === 0 && appended <= committed) confirms.confirm(sequence)
    else this.#confirms.add(position, appended, confirms, sequence)
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
    const held = this.#state === 'serving' && !local.isDropped ? this.#settleHeld(local, consumer?.id ?? 0, first, last, outcome) : 0
    if (consumer !== null) {
      consumer.unacked -= held
      if (consumer.shared !== null) consumer.shared.unacked -= held
      local.turns.enter(consumer)
    }
    if (held > 0) this.#delivery.pump(local)
  }

  /** Settles what the holder holds of a range; returns how many that were. */
  #settleHeld(queue: LocalQueue, holder: number, first: number, last: number, outcome: Outcome): number {
    const { entries } = queue
    let chunk: EntryChunk | null = null
    let held = 0
    let runFirst = 0
    for (let sequence = first; sequence <= last; sequence++) {
      if (chunk === null || sequence >= chunk.first + 1024) chunk = entries.chunkOf(sequence)
      const isHeld = chunk !== null && isHeldBy(chunk, sequence, holder)
      if (!isHeld || chunk === null) {
        if (runFirst !== 0) this.#settlements.add(queue, runFirst, sequence - 1)
        runFirst = 0
        continue
      }
      held++
      if (outcome === 'requeue') entries.takeBack(chunk, sequence)
      else if (this.#remove(queue, chunk, sequence) && runFirst === 0) runFirst = sequence
    }
    if (runFirst !== 0) this.#settlements.add(queue, runFirst, last)
    return held
  }

  #settleOne(queue: LocalQueue, chunk: EntryChunk, sequence: number): void {
    if (this.#remove(queue, chunk, sequence)) this.#settlements.add(queue, sequence, sequence)
  }

  /** Forgets an entry and what it holds elsewhere. True when it was durable: the log must hear of it. */
  #remove(queue: LocalQueue, chunk: EntryChunk, sequence: number): boolean {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    const position = chunk.positions[slot] as number
    queue.entries.remove(chunk, sequence)
    if ((flags & (EntryFlag.transient | EntryFlag.large)) === 0) return true
    this.#release(position, flags)
    return (flags & EntryFlag.transient) === 0
  }

  #release(position: Position, flags: number): void {
    const isTransient = (flags & EntryFlag.transient) !== 0
    if ((flags & EntryFlag.large) !== 0) {
      const body = this.#bodies.of(position, isTransient)
      if (body !== null) this.#bodies.release(body)
    }
    if (isTransient) this.#usage.release(position)
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
    this.#marks.committed(position, (queue) => this.#delivery.pump(queue))
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

function isHeldBy(chunk: EntryChunk, sequence: number, holder: number): boolean {
  if (chunk.isAway || chunk.holders === null) return false
  const slot = sequence - chunk.base
  return ((chunk.flags[slot] ?? 0) & EntryFlag.unacked) !== 0 && chunk.holders[slot] === holder
}
