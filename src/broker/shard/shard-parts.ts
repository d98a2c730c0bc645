/**
 * What a shard is made of, and what each part may ask of the others. Parts know one another only through these
 * functions; read it top to bottom to know who writes, who delivers and who settles.
 */
import type { Log, LogListener, Position } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature } from '../queue/queue-features.ts'
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
import { ScratchUsage } from './scratch-usage.ts'
import { SentMarks } from './sent-marks.ts'
import { Settlements } from './settlements.ts'
import { Settling } from './settling.ts'
import type { ShardOptions } from './shard-options.ts'
import { StoredEntries } from './stored-entries.ts'

export interface ShardHost {
  readonly queues: ReadonlyMap<number, LocalQueue>
  isServing(): boolean
  failed(error: Error): void
  /** The digest of a segment has been written. */
  digestWritten(): void
}

/** Memory for entry columns above which long queues give theirs up, in bytes. */
const entryBytesMaxDefault = 12 * 1024 * 1024
/** Bytes appended and not yet stored above which publishers are held back. */
const uncommittedBytesMaxDefault = 8 * 1024 * 1024

export class ShardParts {
  readonly log: Log & { listener: LogListener | null }
  readonly scratch: Log & { listener: LogListener | null }
  readonly confirms = new PendingConfirms()
  readonly congestion: Congestion
  readonly usage: ScratchUsage
  readonly bodies: LargeBodies
  readonly digests: Digests
  readonly settlements: Settlements
  readonly settling: Settling
  readonly marks: SentMarks
  readonly stored: StoredEntries
  readonly paging: Paging
  readonly deadlines: Deadlines
  readonly delivery: Delivery
  readonly deadLetters: DeadLetters
  readonly failing: Failing
  readonly entering: Entering
  readonly expiry: Expiry
  readonly retiming: Retiming
  readonly consuming: Consuming
  readonly publishing: Publishing
  readonly reclaim: Reclaim
  readonly emptying: EmptyingPorts

  constructor(options: ShardOptions, host: ShardHost) {
    const { log, scratch, clock, random, runQueue, logger, topology } = options
    const { failed, isServing, queues } = host
    const touch = (queue: LocalQueue, position: Position): void => this.digests.touch(queue, position)
    const loadChunk: Paging['load'] = (queue, chunk) => this.paging.load(queue, chunk)
    this.log = log
    this.scratch = scratch
    this.congestion = new Congestion(
      log,
      options.uncommittedBytesMax ?? uncommittedBytesMaxDefault,
      options.listener.congestionChanged,
    )
    this.usage = new ScratchUsage(scratch, options.scratchSegmentBytes)
    this.bodies = new LargeBodies({ log, scratch, usage: this.usage, appended: () => this.congestion.appended() })
    this.settlements = new Settlements(log, clock, touch)
    this.digests = new Digests({
      log,
      clock,
      runQueue,
      logger,
      bodies: this.bodies,
      settlements: this.settlements,
      written: host.digestWritten,
      failed,
    })
    this.settling = new Settling(this.settlements, this.bodies, this.usage)
    this.marks = new SentMarks(log, touch)
    this.stored = new StoredEntries({ log, scratch, bodies: this.bodies, damaged: failed })
    this.paging = new Paging({
      runQueue,
      log,
      bodies: this.bodies,
      logger,
      entryBytesMax: options.entryBytesMax ?? entryBytesMaxDefault,
      resume: (queue) => this.delivery.resume(queue),
      damaged: failed,
    })
    this.deadlines = new Deadlines(clock, queues, (queue) => this.expiry.wake(queue))
    this.delivery = new Delivery({
      stored: this.stored,
      marks: this.marks,
      runQueue,
      clock,
      deadlines: this.deadlines,
      loadChunk,
      settleOne: (queue, chunk, sequence) => this.settling.settleOne(queue, chunk, sequence),
      enforce: (queue) => this.entering.enforce(queue),
      expired: (queue, chunk, sequence) => this.deadLetters.die(queue, chunk, sequence, 'expired'),
    })
    this.deadLetters = new DeadLetters({
      stored: this.stored,
      bodies: this.bodies,
      settling: this.settling,
      topology,
      clock,
      runQueue,
      store: (message, route, body, source) => this.publishing.deadLetter(message, route, body, source),
      drained: (queue) => this.expiry.wake(queue),
      isServing,
      damaged: failed,
    })
    this.failing = new Failing({ log, clock, random, deadlines: this.deadlines, deadLetters: this.deadLetters, touch })
    this.settling.failing = this.failing
    const { deadlines, delivery, deadLetters } = this
    this.entering = new Entering({ deadlines, delivery, deadLetters, loadChunk })
    this.consuming = new Consuming({
      delivery,
      settling: this.settling,
      clock,
      deadlines,
      used: (queue) => this.used(queue, clock.now()),
      enforce: (queue) => this.entering.enforce(queue),
      isServing,
    })
    this.retiming = new Retiming({ clock, stored: this.stored, deadlines, isServing })
    this.expiry = new Expiry({
      clock,
      runQueue,
      deadlines,
      delivery,
      deadLetters,
      stored: this.stored,
      topology,
      loadChunk,
      leaseEnded: (queue, sequence, consumer) => this.consuming.leaseEnded(queue, sequence, consumer),
      isServing,
    })
    this.publishing = new Publishing({
      log,
      scratch,
      usage: this.usage,
      bodies: this.bodies,
      delivery,
      confirms: this.confirms,
      topology,
      clock,
      entering: this.entering,
      touch,
      refused: (queue, message, body) => deadLetters.refuse(queue, message, body),
      settled: ({ queueId, sequence }) => {
        const queue = queues.get(queueId)
        if (queue !== undefined) this.settlements.add(queue, sequence, sequence)
      },
    })
    const isStopped = (): boolean => !isServing()
    this.reclaim = new Reclaim({
      log,
      clock,
      bodies: this.bodies,
      digests: this.digests,
      settlements: this.settlements,
      mover: new Mover({ log, clock, bodies: this.bodies, queues, touch, isStopped }),
      queues,
      failed,
    })
    this.emptying = {
      settled: (queue, first, last) => {
        if (queue.isDurable) this.settlements.add(queue, first, last)
      },
      released: (position, flags) => this.settling.release(position, flags),
      isStopped,
    }
  }

  /** A use of a queue that goes when it has none. */
  used(queue: LocalQueue, now: number): void {
    queue.usedAt = now
    const { expiresMs } = queue.settings
    if ((queue.features & QueueFeature.expires) !== 0) this.deadlines.arm(queue, now + (expiresMs ?? 0))
  }
}
