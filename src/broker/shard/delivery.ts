/**
 * Hands ready entries to `get`s and consumers: in order, each to the consumer whose turn it is, as long as there is credit.
 *
 * A queue that cannot go on waits for exactly one thing: a chunk or a body being read (`isLoading`), a sent mark being
 * committed (`isWaitingForMark`), its turn in the run queue (`isScheduled`), or the outside (a message, credit, a
 * consumer). Whoever ends the wait calls `pump`.
 */
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log } from '../../log/log.ts'
import { Message } from '../message.ts'
import type { Consumer } from '../ports.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { LargeBodies } from './large-bodies.ts'
import { viewPublish } from './publish-record.ts'
import type { SentMarks } from './sent-marks.ts'

/** Deliveries made at once before the queue goes to the back of the run queue. */
const burstMax = 128
/** How far ahead of the consumer bodies are read back: about this many bytes, and entries within these bounds. */
const readAheadBytes = 4 * 1024 * 1024
const readAheadEntriesMin = 256
const readAheadEntriesMax = 16_384
/** What a record takes besides its body, about, in bytes. */
const recordOverheadBytes = 80

/** What delivery needs of the shard. */
export interface DeliveryPorts {
  readonly log: Log
  readonly scratch: Log
  readonly marks: SentMarks
  readonly bodies: LargeBodies
  readonly runQueue: RunQueue
  /** Loads the columns of a chunk that is away, and some behind it, then calls `resume`. */
  loadChunk(queue: LocalQueue, chunk: EntryChunk): void
  /** A no-ack delivery: the entry is done with. */
  settleOne(queue: LocalQueue, chunk: EntryChunk, sequence: number): void
  /** A record could not be read. The shard stops. */
  damaged(error: Error): void
}

export class Delivery {
  readonly #ports: DeliveryPorts
  /** The one view through which stored messages are delivered. */
  readonly #message = new Message()

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
    if (consumer === null || queue.gets.length > 0 || queue.entries.ready > 1 || message.chunks !== null) {
      this.pump(queue)
      return
    }
    if ((flags & EntryFlag.transient) === 0 && !this.#ports.marks.mayBeSent(queue, sequence)) return
    this.#give(queue, queue.entries.chunkOf(sequence) as EntryChunk, sequence, consumer, message, false)
  }

  /** Delivers what can be delivered; the rest of a long queue in later turns. */
  pump(queue: LocalQueue): void {
    if (queue.isScheduled || queue.isLoading || queue.isWaitingForMark || queue.isDropped) return
    if (this.#burst(queue)) this.#schedule(queue)
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
    if (!isRedelivered && !isTransient && !this.#ports.marks.mayBeSent(queue, sequence)) return false
    if (!this.#view(queue, chunk, sequence, flags)) return false
    if (consumer !== null) this.#give(queue, chunk, sequence, consumer, this.#message, isRedelivered)
    else this.#answerGet(queue, chunk, sequence, isRedelivered)
    return true
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
    }
    consumer.sink.deliver(consumer, message, sequence, isRedelivered)
    if (consumer.isNoAck) this.#ports.settleOne(queue, chunk, sequence)
    queue.turns.served(consumer)
  }

  #answerGet(queue: LocalQueue, chunk: EntryChunk, sequence: number, isRedelivered: boolean): void {
    const get = queue.gets.shift()
    if (get === undefined) return
    if (get.isNoAck) {
      get.sink.message(queue, this.#message, sequence, isRedelivered, queue.entries.ready - 1)
      this.#ports.settleOne(queue, chunk, sequence)
    } else {
      queue.entries.handOut(chunk, sequence, 0)
      get.sink.message(queue, this.#message, sequence, isRedelivered, queue.entries.ready)
    }
  }

  /** Points the view at the stored message; false when its bytes must be read first, which is then under way. */
  #view(queue: LocalQueue, chunk: EntryChunk, sequence: number, flags: number): boolean {
    const isTransient = (flags & EntryFlag.transient) !== 0
    const log = isTransient ? this.#ports.scratch : this.#ports.log
    const position = chunk.positions[sequence - chunk.base] as number
    if (!log.view(position)) {
      queue.isLoading = true
      this.#load(log, { queue, sequence, position }, () => this.resume(queue))
      return false
    }
    viewPublish(this.#message, log.viewBuffer, log.viewStart, log.viewEnd)
    if ((flags & EntryFlag.large) !== 0) {
      const body = this.#ports.bodies.of(position, isTransient)
      if (body !== null) this.#message.chunks = this.#ports.bodies.reader(body)
    }
    if ((sequence & 255) === 0) this.#readAhead(queue, sequence, chunk, log)
    return true
  }

  /** What could not be read is damage only if it is still needed: meanwhile it may have been copied forward, or purged. */
  #load(log: Log, place: Place, loaded: () => void): void {
    log.load(place.position, (error) => {
      if (error !== null && isStillThere(place)) this.#ports.damaged(error)
      else loaded()
    })
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
    const isTransient = (chunk.flagsOf(ahead) & EntryFlag.transient) !== 0
    const position = chunk.positions[ahead - chunk.base] as number
    const aheadLog = isTransient ? this.#ports.scratch : this.#ports.log
    if (aheadLog !== log || log.view(position)) return
    this.#load(log, { queue, sequence: ahead, position }, () => {})
  }
}

/** Where the record of an entry was when it was looked for. */
interface Place {
  readonly queue: LocalQueue
  readonly sequence: number
  readonly position: number
}

function isStillThere({ queue, sequence, position }: Place): boolean {
  const chunk = queue.isDropped ? null : queue.entries.chunkOf(sequence)
  if (chunk === null || chunk.isAway || chunk.flagsOf(sequence) === 0) return false
  return chunk.positions[sequence - chunk.base] === position
}
