/**
 * What a shard is made of, and what each part may ask of the others. Parts know one another only through these
 * functions; read it top to bottom to know who writes, who delivers and who settles.
 */
import type { Log, LogListener, Position } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature } from '../queue/queue-features.ts'
import { Browsing } from './browsing.ts'
import { Claiming } from './claiming.ts'
import { CommitWaiters } from './commit-waiters.ts'
import { Congestion } from './congestion.ts'
import { Consuming } from './consuming.ts'
import { DeadLetters } from './dead-letters.ts'
import { Deadlines } from './deadlines.ts'
import { Delivery } from './delivery.ts'
import { Digests } from './digests.ts'
import type { EmptyingPorts } from './emptying.ts'
import { Entering } from './entering.ts'
import { Expiry } from './expiry.ts'
import { Failing } from './failing.ts'
import { LargeBodies } from './large-bodies.ts'
import { Mover } from './mover.ts'
import { Paging } from './paging.ts'
import { PendingConfirms } from './pending-confirms.ts'
import { Publishing } from './publishing.ts'
import { Reclaim } from './reclaim.ts'
import { Retiming } from './retiming.ts'
import { Scheduled } from './scheduled.ts'
import { ScratchUsage } from './scratch-usage.ts'
import { Senders } from './senders.ts'
import { SentMarks } from './sent-marks.ts'
import { Settlements } from './settlements.ts'
import { Settling } from './settling.ts'
import type { ShardOptions } from './shard-options.ts'
import { StoredEntries } from './stored-entries.ts'
import { StoredGate } from './stored-gate.ts'
import { Tracing } from './tracing.ts'

export interface ShardHost {
  readonly queues: ReadonlyMap<number, LocalQueue>
  isServing(): boolean
  failed(error: Error): void
  /** The digest of a segment has been written. */
  digestWritten(): void
}

/** Dying entries that are sent after each publish: more than one publish to one queue makes. */
const workedOffPerPublish = 2
/** Memory for entry columns above which long queues give theirs up, in bytes. */
const entryBytesMaxDefault = 12 * 1024 * 1024
/** Bytes appended and not yet stored above which publishers are held back. */
const uncommittedBytesMaxDefault = 8 * 1024 * 1024

export class ShardParts {
  readonly log: Log & { listener: LogListener | null }
  readonly scratch: Log & { listener: LogListener | null }
  readonly confirms = new PendingConfirms()
  readonly senders = new Senders()
  readonly congestion: Congestion
  readonly usage: ScratchUsage
  readonly bodies: LargeBodies
  readonly digests: Digests
  readonly settlements: Settlements
  readonly settling: Settling
  readonly commitWaiters: CommitWaiters
  readonly marks: SentMarks
  readonly gate: StoredGate | null
  readonly stored: StoredEntries
  readonly paging: Paging
  readonly deadlines: Deadlines
  readonly delivery: Delivery
  readonly deadLetters: DeadLetters
  readonly failing: Failing
  readonly entering: Entering
  readonly expiry: Expiry
  readonly retiming: Retiming
  readonly scheduled: Scheduled
  readonly browsing: Browsing
  readonly consuming: Consuming
  readonly claiming: Claiming
  readonly publishing: Publishing
  readonly reclaim: Reclaim
  readonly emptying: EmptyingPorts

  constructor(options: ShardOptions, host: ShardHost) {
    const { log, scratch, clock, random, runQueue } = options
    const { failed, isServing, queues } = host
    const touch = (queue: LocalQueue, position: Position): void => this.digests.touch(queue, position)
    const uncommittedBytesMax = options.uncommittedBytesMax ?? uncommittedBytesMaxDefault
    this.log = log
    this.scratch = scratch
    this.congestion = new Congestion(log, uncommittedBytesMax, options.listener.congestionChanged)
    this.usage = new ScratchUsage(scratch, options.scratchSegmentBytes)
    this.bodies = new LargeBodies({ log, scratch, usage: this.usage, appended: () => this.congestion.appended() })
    this.settlements = new Settlements(log, clock, touch)
    this.commitWaiters = new CommitWaiters(log, this.settlements)
    this.digests = newDigests(this, options, host)
    this.settling = new Settling(this.settlements, this.bodies, this.usage)
    this.marks = new SentMarks(log, touch)
    this.gate = options.deliversStored === true ? new StoredGate(log) : null
    this.stored = new StoredEntries({ log, scratch, bodies: this.bodies, damaged: failed })
    this.paging = newPaging(this, options, host)
    this.deadlines = new Deadlines(clock, queues, (queue) => this.expiry.wake(queue))
    this.delivery = newDelivery(this, options)
    this.deadLetters = newDeadLetters(this, options, host)
    const { deadlines, delivery, deadLetters, settling, settlements, stored, paging } = this
    this.failing = new Failing({ log, clock, random, deadlines, deadLetters, touch })
    this.settling.failing = this.failing
    const loadChunk: Paging['load'] = (queue, chunk) => paging.load(queue, chunk)
    this.entering = new Entering({ runQueue, deadlines, delivery, deadLetters, isServing, loadChunk })
    const used = (queue: LocalQueue): void => this.used(queue, clock.now())
    const enforce = (queue: LocalQueue): void => this.entering.enforce(queue)
    this.claiming = new Claiming({ clock, deadlines, loadChunk: (queue, chunk) => paging.loadNow(queue, chunk) })
    this.consuming = new Consuming({ delivery, settling, clock, deadlines, used, isServing })
    const { failing } = this
    this.scheduled = new Scheduled({ clock, stored, settling, settlements, failing, deadlines, isServing })
    const { bodies } = this
    this.browsing = new Browsing({ clock, stored, bodies, paging, settling, settlements, delivery, isServing })
    this.retiming = new Retiming({ clock, stored, deadlines, isServing })
    const leaseEnded: Consuming['leaseEnded'] = (...lease) => this.consuming.leaseEnded(...lease)
    const { topology } = options
    const parts = { clock, runQueue, deadlines, delivery, deadLetters, stored, topology, loadChunk, isServing }
    this.expiry = new Expiry({ ...parts, enforce, leaseEnded })
    this.publishing = newPublishing(this, options, host, touch)
    this.reclaim = newReclaim(this, options, host, touch)
    this.emptying = {
      settled: (queue, first, last) => {
        if (queue.isDurable) this.settlements.add(queue, first, last)
      },
      released: (position, flags) => this.settling.release(position, flags),
      isStopped: () => !isServing(),
    }
  }

  /** A use of a queue that goes when it has none. */
  used(queue: LocalQueue, now: number): void {
    queue.usedAt = now
    const { expiresMs } = queue.settings
    if ((queue.features & QueueFeature.expires) !== 0) this.deadlines.arm(queue, now + (expiresMs ?? 0))
  }
}

type Touch = (queue: LocalQueue, position: Position) => void

function newDigests(parts: ShardParts, { log, clock, runQueue, logger }: ShardOptions, host: ShardHost): Digests {
  const { bodies, settlements, senders } = parts
  const { digestWritten, failed } = host
  return new Digests({ log, clock, runQueue, logger, bodies, settlements, senders, written: digestWritten, failed })
}

function newPaging(parts: ShardParts, options: ShardOptions, { failed }: ShardHost): Paging {
  const { runQueue, log, logger, entryBytesMax } = options
  return new Paging({
    runQueue,
    log,
    bodies: parts.bodies,
    logger,
    entryBytesMax: entryBytesMax ?? entryBytesMaxDefault,
    resume: (queue) => parts.delivery.resume(queue),
    damaged: failed,
  })
}

function newDelivery(parts: ShardParts, { runQueue, clock, residences }: ShardOptions): Delivery {
  const { stored, marks, gate, deadlines, paging } = parts
  return new Delivery({
    stored,
    marks,
    gate,
    runQueue,
    clock,
    deadlines,
    tracing: tracingOf(residences),
    loadChunk: (queue, chunk) => paging.load(queue, chunk),
    settleOne: (queue, chunk, sequence) => parts.settling.settleOne(queue, chunk, sequence),
    enforce: (queue) => parts.entering.enforce(queue),
    expired: (queue, chunk, sequence) => parts.deadLetters.die(queue, chunk, sequence, 'expired'),
  })
}

function newDeadLetters(parts: ShardParts, options: ShardOptions, { isServing, failed }: ShardHost): DeadLetters {
  const { topology, clock, runQueue } = options
  const { stored, bodies, settling } = parts
  return new DeadLetters({
    stored,
    bodies,
    settling,
    topology,
    clock,
    runQueue,
    store: (message, route, body, from) => parts.publishing.deadLetter(message, route, body, from),
    drained: (queue) => {
      parts.expiry.wake(queue)
      // A group may go on that waited for one of them.
      parts.delivery.pump(queue)
    },
    isStored: (position) => position <= parts.log.committed,
    whenStored: (done) => parts.commitWaiters.add(done),
    isServing,
    damaged: failed,
  })
}

function newPublishing(parts: ShardParts, options: ShardOptions, { queues }: ShardHost, touch: Touch): Publishing {
  const { log, scratch, topology, clock } = options
  const { usage, bodies, delivery, confirms, entering, senders } = parts
  return new Publishing({
    log,
    scratch,
    usage,
    bodies,
    delivery,
    confirms,
    topology,
    clock,
    entering,
    senders,
    tracing: tracingOf(options.residences),
    touch,
    workOff: () => parts.deadLetters.workOff(workedOffPerPublish),
    refused: (queue, message, body) => parts.deadLetters.refuse(queue, message, body),
    settled: ({ queueId, sequence }) => {
      const queue = queues.get(queueId)
      if (queue !== undefined) parts.settlements.add(queue, sequence, sequence)
    },
  })
}

function newReclaim(parts: ShardParts, options: ShardOptions, host: ShardHost, touch: Touch): Reclaim {
  const { log, runQueue, upkeepClock: clock = options.clock } = options
  const { bodies, digests, settlements, paging } = parts
  const { queues, failed, isServing } = host
  const loadChunk: Paging['loadNow'] = (queue, chunk) => paging.loadNow(queue, chunk)
  const mover = new Mover({ log, clock, runQueue, bodies, queues, touch, loadChunk, isStopped: () => !isServing() })
  return new Reclaim({ log, clock, bodies, digests, settlements, mover, queues, failed })
}

function tracingOf(listener: ShardOptions['residences']): Tracing | null {
  return listener === undefined ? null : new Tracing(listener)
}
