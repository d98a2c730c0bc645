/**
 * Hands ready entries to `get`s and consumers: in order, each to the consumer whose turn it is, as long as there is credit.
 *
 * A queue that cannot go on waits for exactly one thing: a chunk or a body being read (`isLoading`), a sent mark or, where
 * that is asked for, the entry itself being committed (`isWaitingForMark`), its turn in the run queue (`isScheduled`), or the outside (a message, credit, a
 * consumer). Whoever ends the wait calls `pump`.
 */
import type { Clock } from '../../base/clock.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { gatherRecordsMax, type Log } from '../../log/log.ts'
import { DeliveryHeaders } from '../dead-letter/delivery-headers.ts'
import { Message } from '../message.ts'
import type { Consumer } from '../ports.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import { Leases } from '../queue/leases.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature } from '../queue/queue-features.ts'
import type { Deadlines } from './deadlines.ts'
import type { SentMarks } from './sent-marks.ts'
import type { StoredEntries } from './stored-entries.ts'
import type { StoredGate } from './stored-gate.ts'
import type { Tracing } from './tracing.ts'

/** Deliveries made at once before the queue goes to the back of the run queue. */
const burstMax = 128
/** How far ahead of the consumer bodies are read back: about this many bytes, and entries within these bounds. */
const readAheadBytes = 4 * 1024 * 1024
const readAheadEntriesMin = 256
const readAheadEntriesMax = 16_384
/** Entries aside whose records are read together, at least. */
const gatherMin = 64
/** What a record takes besides its body, about, in bytes. */
const recordOverheadBytes = 80

/** What delivery needs of the shard. */
export interface DeliveryPorts {
  readonly stored: StoredEntries
  readonly marks: SentMarks
  /** Null where messages may be seen before they are stored. */
  readonly gate: StoredGate | null
  readonly runQueue: RunQueue
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Null: messages are not traced. */
  readonly tracing: Tracing | null
  /** Loads the columns of a chunk that is away, and some behind it, then calls `resume`. */
  loadChunk(queue: LocalQueue, chunk: EntryChunk): void
  /** A no-ack delivery: the entry is done with. */
  settleOne(queue: LocalQueue, chunk: EntryChunk, sequence: number): void
  /** Nothing more can be delivered now: what is above the limits goes. */
  enforce(queue: LocalQueue): void
  /** The entry's time is over. */
  expired(queue: LocalQueue, chunk: EntryChunk, sequence: number): void
}

export class Delivery {
  readonly #ports: DeliveryPorts
  /** The one view through which stored messages are delivered. */
  readonly #message = new Message()
  readonly #headers = new DeliveryHeaders()

  constructor(ports: DeliveryPorts) {
    this.#ports = ports
  }

  /** The message goes straight to a no-ack consumer of an empty queue and is never stored. False: it must be stored. */
  handOver(queue: LocalQueue, message: Message): boolean {
    if (queue.entries.ready > 0 || queue.gets.length > 0) return false
    const consumer = queue.turns.next()
    if (consumer === null || !consumer.isNoAck) return false
    consumer.sink.deliver(consumer, message, queue.entries.skip(), false)
    queue.turns.served(consumer)
    return true
  }

  /** An entry has come in whose message is still at hand. */
  arrived(queue: LocalQueue, sequence: number, flags: number, message: Message): void {
    if (queue.isScheduled || queue.isLoading || queue.isWaitingForMark) return
    const consumer = queue.turns.next()
    if (consumer === null && queue.gets.length === 0) return
    if (consumer === null || queue.gets.length > 0 || queue.entries.ready > 1 || (flags & EntryFlag.large) !== 0) {
      this.pump(queue)
      return
    }
    const chunk = queue.entries.chunkOf(sequence) as EntryChunk
    const isTransient = (flags & EntryFlag.transient) !== 0
    if (this.#needsMark(isTransient) && !this.#ports.marks.mayBeSent(queue, sequence)) return
    if (!isTransient && !this.#isStored(queue, chunk, sequence)) return
    this.#give(queue, chunk, sequence, consumer, message, false)
  }

  /** Delivers what can be delivered; the rest of a long queue in later turns. */
  pump(queue: LocalQueue): void {
    if (queue.isScheduled || queue.isLoading || queue.isWaitingForMark || queue.isDropped) return
    if (this.#burst(queue)) this.#schedule(queue)
    else if ((queue.features & QueueFeature.limits) !== 0) this.#ports.enforce(queue)
  }

  /** The same, but behind what the present turn still does to the queue: for entries that come back one after the other. */
  pumpLater(queue: LocalQueue): void {
    if (queue.isScheduled || queue.isLoading || queue.isWaitingForMark || queue.isDropped) return
    this.#schedule(queue)
  }

  /** A wait is over. */
  resume(queue: LocalQueue): void {
    queue.isLoading = false
    this.pump(queue)
  }

  #schedule(queue: LocalQueue): void {
    queue.isScheduled = true
    this.#ports.runQueue.add({
      run: (shouldYield) => {
        while (this.#burst(queue)) if (shouldYield()) return true
        queue.isScheduled = false
        if ((queue.features & QueueFeature.limits) !== 0) this.#ports.enforce(queue)
        return false
      },
    })
  }

  /** Up to `burstMax` deliveries. True when there is more to do right away. */
  #burst(queue: LocalQueue): boolean {
    for (let count = 0; count < burstMax; count++) if (!this.#one(queue)) return false
    return true
  }

  /** One delivery. False: nothing to deliver, nobody to deliver to, or something to wait for. */
  #one(queue: LocalQueue): boolean {
    if (queue.isDropped || queue.isLoading) return false
    const sequence = queue.entries.firstReady()
    const get = queue.gets[0]
    if (sequence === 0) {
      if (get === undefined) return false
      queue.gets.shift()
      get.sink.empty()
      return queue.gets.length > 0
    }
    const consumer = get === undefined ? queue.turns.next() : null
    if (get === undefined && consumer === null) return false
    const chunk = queue.entries.chunkOf(sequence) as EntryChunk
    if (chunk.isAway) {
      queue.isLoading = true
      this.#ports.loadChunk(queue, chunk)
      return false
    }
    const flags = chunk.flagsOf(sequence)
    const isRedelivered = (flags & EntryFlag.redelivered) !== 0 || sequence < queue.maybeSentBelow
    const isTransient = (flags & EntryFlag.transient) !== 0
    if (!isRedelivered && this.#needsMark(isTransient) && !this.#ports.marks.mayBeSent(queue, sequence)) return false
    if (!isTransient && !this.#isStored(queue, chunk, sequence)) return false
    if (!this.#view(queue, chunk, sequence, flags)) return false
    if (this.#mayExpire(queue, chunk) && this.#isExpired(queue, chunk, sequence, consumer !== null)) {
      this.#ports.expired(queue, chunk, sequence)
      return true
    }
    if ((flags & EntryFlag.large) !== 0) this.#ports.stored.attachBody(this.#message, chunk, sequence, flags)
    const message = chunk.side === null ? this.#message : this.#withCounts(chunk, sequence)
    if (consumer !== null) this.#give(queue, chunk, sequence, consumer, message, isRedelivered)
    else this.#answerGet(queue, chunk, sequence, message, isRedelivered)
    return true
  }

  /** Clients outlive an owner that may be overtaken: the next one must not give a transient entry's sequence to another. */
  #needsMark(isTransient: boolean): boolean {
    return !isTransient || this.#ports.gate !== null
  }

  #isStored(queue: LocalQueue, chunk: EntryChunk, sequence: number): boolean {
    const { gate } = this.#ports
    return gate === null || gate.mayBeSent(queue, chunk.positions[sequence - chunk.base] as number)
  }

  #give(
    queue: LocalQueue,
    chunk: EntryChunk,
    sequence: number,
    consumer: Consumer,
    message: Message,
    isRedelivered: boolean,
  ): void {
    if (!consumer.isNoAck) {
      queue.entries.handOut(chunk, sequence, consumer.id)
      consumer.unacked++
      if (consumer.shared !== null) consumer.shared.unacked++
      if ((queue.features & QueueFeature.lease) !== 0 || consumer.timeoutMs !== null)
        this.#lease(queue, sequence, consumer, consumer.timeoutMs ?? queue.settings.consumerTimeoutMs)
    }
    if (this.#ports.tracing !== null)
      this.#ports.tracing.delivered(queue, sequence, message, this.#ports.stored.arrivedAt)
    consumer.sink.deliver(consumer, message, sequence, isRedelivered)
    if (consumer.isNoAck) this.#ports.settleOne(queue, chunk, sequence)
    queue.turns.served(consumer)
  }

  #mayExpire(queue: LocalQueue, chunk: EntryChunk): boolean {
    return (queue.features & QueueFeature.ttl) !== 0 || (chunk.side !== null && chunk.side.deadlines !== null)
  }

  /** What has failed says how often. */
  #withCounts(chunk: EntryChunk, sequence: number): Message {
    const deliveryCount = chunk.failuresOf(sequence)
    const acquiredCount = chunk.returnsOf(sequence)
    if (deliveryCount === 0 && acquiredCount === 0) return this.#message
    return this.#headers.withDeliveryHeaders(this.#message, { deliveryCount, acquiredCount })
  }

  #lease(queue: LocalQueue, sequence: number, consumer: Consumer | null, ms: number | null): void {
    if (ms === null || ms === 0) return
    const now = this.#ports.clock.now()
    queue.leases ??= new Leases()
    queue.leases.begin(sequence, consumer, now, ms)
    this.#ports.deadlines.arm(queue, now + ms)
  }

  #answerGet(queue: LocalQueue, chunk: EntryChunk, sequence: number, message: Message, isRedelivered: boolean): void {
    const get = queue.gets.shift()
    if (get === undefined) return
    if (this.#ports.tracing !== null)
      this.#ports.tracing.delivered(queue, sequence, message, this.#ports.stored.arrivedAt)
    if (get.isNoAck) {
      get.sink.message(queue, message, sequence, isRedelivered, queue.entries.ready - 1)
      this.#ports.settleOne(queue, chunk, sequence)
    } else {
      queue.entries.handOut(chunk, sequence, 0)
      if ((queue.features & QueueFeature.lease) !== 0)
        this.#lease(queue, sequence, null, queue.settings.consumerTimeoutMs)
      get.sink.message(queue, message, sequence, isRedelivered, queue.entries.ready)
    }
  }

  /** Points the view at the stored message; false when its bytes must be read first, which is then under way. */
  #view(queue: LocalQueue, chunk: EntryChunk, sequence: number, flags: number): boolean {
    const { stored } = this.#ports
    if (!stored.view(this.#message, chunk, sequence, flags)) {
      queue.isLoading = true
      if ((flags & EntryFlag.aside) === 0) stored.load(queue, chunk, sequence, () => this.resume(queue))
      else this.#gather(queue, chunk, sequence)
      return false
    }
    if ((flags & EntryFlag.aside) !== 0) queue.asideViews++
    // What fell due stands in an order of its own: the entries behind it in the log are not those that come next.
    if ((sequence & 255) === 0 && chunk.placeOf(sequence) === 0)
      this.#readAhead(queue, sequence, chunk, stored.logOf(flags))
    return true
  }

  /** Reads the entry's record, and ahead twice as many as were used of those read last. */
  #gather(queue: LocalQueue, chunk: EntryChunk, sequence: number): void {
    const count = Math.min(gatherRecordsMax, Math.max(gatherMin, 2 * queue.asideViews))
    queue.asideViews = 0
    const after = queue.entries.aside?.lanes.ahead(count) ?? []
    this.#ports.stored.gather(queue, chunk, sequence, after, () => this.resume(queue))
  }

  /** Whether the entry that was looked at last has been here too long. One that may not wait at all is still given to a consumer that waits. */
  #isExpired(queue: LocalQueue, chunk: EntryChunk, sequence: number, isAsked: boolean): boolean {
    const own = chunk.deadlineOf(sequence)
    const ttlMs = queue.settings.messageTtlMs
    if (own === 0 && (ttlMs === null || (chunk.flagsOf(sequence) & EntryFlag.aside) !== 0)) return false
    const { arrivedAt } = this.#ports.stored
    const deadline = own === 0 ? arrivedAt + (ttlMs ?? 0) : own
    const isNew =
      deadline <= Math.max(arrivedAt, chunk.dueOf(sequence)) && (chunk.flagsOf(sequence) & EntryFlag.redelivered) === 0
    return deadline <= this.#ports.clock.now() && !(isNew && isAsked)
  }

  /** Bodies that have been let go are read back before the consumer comes to them. */
  #readAhead(queue: LocalQueue, sequence: number, at: EntryChunk, log: Log): void {
    const recordBytes = at.readyBytes / Math.max(1, at.ready) + recordOverheadBytes
    const entries = Math.min(
      readAheadEntriesMax,
      Math.max(readAheadEntriesMin, Math.floor(readAheadBytes / recordBytes)),
    )
    const ahead = sequence + entries
    const chunk = queue.entries.chunkOf(ahead)
    if (chunk?.isAway === true) return this.#ports.loadChunk(queue, chunk)
    if (chunk === null || (chunk.flagsOf(ahead) & EntryFlag.live) === 0) return
    const position = chunk.positions[ahead - chunk.base] as number
    if (this.#ports.stored.logOf(chunk.flagsOf(ahead)) !== log || log.view(position)) return
    this.#ports.stored.load(queue, chunk, ahead, () => {})
  }
}
