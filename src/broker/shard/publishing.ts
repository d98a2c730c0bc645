/**
 * A publish on its way into the queues of a shard: one record per log, an entry in each queue, the confirm noted.
 *
 * A durable entry is a record in the log, a transient one in the scratch log; a message may have both. A transient
 * message for a no-ack consumer that waits is handed over and never stored.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log, Position } from '../../log/log.ts'
import type { Route } from '../commands.ts'
import { deduplicationIdOf } from '../deduplication-id.ts'
import type { Message } from '../message.ts'
import type { LetterSource, Source } from '../message-traits.ts'
import type { ConfirmSink, Queue, ShardTopology } from '../ports.ts'
import { DeduplicationWindow, hashOf } from '../queue/deduplication-window.ts'
import { EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature, wouldOverflow } from '../queue/queue-features.ts'
import type { Delivery } from './delivery.ts'
import type { Entering } from './entering.ts'
import { type LargeBodies, type LargeBody, LargeBodyWriter } from './large-bodies.ts'
import type { Origin } from './origins.ts'
import type { PendingConfirms } from './pending-confirms.ts'
import { appendPublish, targetsMax, writeTarget } from './publish-record.ts'
import { RecordTraits } from './record-traits.ts'
import { targetBytes } from './records.ts'
import type { ScratchUsage } from './scratch-usage.ts'
import type { Senders } from './senders.ts'
import type { Tracing } from './tracing.ts'

export interface PublishingPorts {
  readonly log: Log
  readonly scratch: Log
  readonly usage: ScratchUsage
  readonly bodies: LargeBodies
  readonly delivery: Delivery
  readonly confirms: PendingConfirms
  readonly clock: Clock
  readonly entering: Entering
  readonly topology: ShardTopology
  readonly senders: Senders
  /** Null: messages are not traced. */
  readonly tracing: Tracing | null
  touch(queue: LocalQueue, position: Position): void
  /** Messages may have died to make room: some of them are sent on. */
  workOff(): void
  /** A full queue did not take the message, and its dead-letter exchange is to have it. */
  refused(queue: LocalQueue, message: Message, body: LargeBody | null): void
  /** The entry that a dead letter came from must be settled by itself. */
  settled(source: Source): void
}

export class Publishing {
  readonly #ports: PublishingPorts
  /** Targets of the publish at hand, by where they are stored. Reused; the counts say how many are valid. */
  readonly #durable: LocalQueue[] = []
  readonly #transient: LocalQueue[] = []
  #durableCount = 0
  #transientCount = 0
  /** Targets that are full and refuse what is new. */
  readonly #refusing: LocalQueue[] = []
  readonly #stamp = { arrivedAt: 0, traits: new RecordTraits() }
  /** A queue has seen the message before. */
  #hasDuplicate = false
  /** What a queue with deduplication knows the message by; null when none asked. */
  #hash: Uint8Array | null = null
  /** The entry it is the dead letter of. */
  #source: Source | null = null
  /** The same, stored or not: for those who trace it. */
  #letterFrom: Source | null = null
  /** The node that sent it, and its number there; null for all that clients of this node publish. */
  #origin: Origin | null = null

  constructor(ports: PublishingPorts) {
    this.#ports = ports
  }

  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    const writer = this.#writerOf(message)
    if (message.chunks !== null && writer === null) {
      message.chunks.release()
      confirms?.refuse(sequence)
      return
    }
    const letterOf = message.traits?.letterOf ?? null
    if (letterOf !== null && this.#ports.senders.letters.has(letterOf, (queues[0] as LocalQueue).id)) {
      writer?.release()
      return this.#confirm(this.#ports.log.appended, confirms, sequence)
    }
    writer?.flush()
    if (count === 1 && writer === null && message.traits === null && this.#handOver(queues[0] as LocalQueue, message)) {
      return this.#confirm(0, confirms, sequence)
    }
    this.#stamp.arrivedAt = this.#ports.clock.now()
    this.#sortTargets(message, queues, count, true)
    const written = writer === null ? null : writer.body
    const position = this.#storeAll(message, written, null)
    const isRefused = this.#refusing.length > 0
    // A duplicate's confirm waits for whatever stored the message before. Noted now: dead letters come this way too.
    const confirmedWith = this.#hasDuplicate ? this.#ports.log.appended : position
    if (isRefused && message.traits?.isDeadLetter !== true) this.#refuse(message, written)
    writer?.release()
    this.#ports.workOff()
    if (isRefused) confirms?.refuse(sequence)
    else this.#confirm(confirmedWith, confirms, sequence)
  }

  /** Another node's publish: what is stored of it says so. */
  publishFrom(
    origin: Origin,
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    this.#origin = origin
    this.publish(message, queues, count, confirms, sequence)
    this.#origin = null
  }

  /**
   * Stores a dead letter in the queues of the route; the record settles the entry it comes from, if that is stored. False
   * when one of them is full and refuses it: then nothing is stored.
   */
  deadLetter(message: Message, route: Route, body: LargeBody | null, from: LetterSource | null): boolean {
    const source = from?.isStored === true ? from : null
    for (let index = 0; index < route.count; index++) {
      const queue = route.queues[index] as LocalQueue
      if ((queue.features & QueueFeature.rejects) !== 0 && isTooFull(queue, message)) return false
    }
    this.#stamp.arrivedAt = this.#ports.clock.now()
    this.#sortTargets(message, route.queues, route.count, false)
    this.#letterFrom = from
    const position = this.#storeAll(message, body, source)
    this.#letterFrom = null
    // Targets that are not durable say nothing of the source.
    if (source !== null && position === 0) this.#ports.settled(source)
    return true
  }

  /** Before anything else, since what is not stored needs no time and no record. */
  #handOver(queue: LocalQueue, message: Message): boolean {
    if (queue.features !== 0 || queue.isDropped || (message.isPersistent && queue.isDurable)) return false
    if (!this.#ports.delivery.handOver(queue, message)) return false
    if (this.#ports.tracing !== null) this.#ports.tracing.passed(queue, message)
    return true
  }

  /** A body that was begun before the shard failed is not in this shard's logs: its publish cannot name it. */
  #writerOf({ chunks }: Message): LargeBodyWriter | null {
    return chunks instanceof LargeBodyWriter && chunks.isOf(this.#ports.bodies) ? chunks : null
  }

  /** What has died has been taken once: it is no duplicate, and that it is not refused is known. */
  #sortTargets(message: Message, queues: readonly Queue[], count: number, isNew: boolean): void {
    this.#durableCount = 0
    this.#transientCount = 0
    this.#refusing.length = 0
    this.#hash = null
    this.#hasDuplicate = false
    for (let index = 0; index < count; index++) {
      const queue = queues[index] as LocalQueue
      if (queue.isDropped) continue
      if (isNew && queue.features !== 0 && !this.#isTaken(queue, message)) continue
      if (message.isPersistent && queue.isDurable) this.#durable[this.#durableCount++] = queue
      else this.#transient[this.#transientCount++] = queue
    }
  }

  /** Whether a queue takes the message: not when it is full and refuses, nor when it has seen the message before. */
  #isTaken(queue: LocalQueue, message: Message): boolean {
    const isAsked = (queue.features & QueueFeature.deduplication) !== 0 && message.traits?.isDeadLetter !== true
    const id = isAsked ? deduplicationIdOf(message) : null
    const window = id === null ? null : windowOf(queue)
    if (id !== null && window?.isDuplicate(id, this.#stamp.arrivedAt) === true) {
      this.#hasDuplicate = true
      return false
    }
    if ((queue.features & QueueFeature.rejects) !== 0 && isTooFull(queue, message)) {
      this.#refusing.push(queue)
      return false
    }
    if (id === null || window === null) return true
    this.#hash ??= hashOf(id)
    window.rememberHash(this.#hash, 0, this.#stamp.arrivedAt)
    return true
  }

  /** Full queues that ask for it send what they refuse to their dead-letter exchange. Letters wait where they come from. */
  #refuse(message: Message, written: LargeBody | null): void {
    for (const queue of [...this.#refusing]) {
      if (queue.settings.overflow === 'reject-publish-dlx') this.#ports.refused(queue, message, written)
    }
  }

  /** Returns the position of the last durable record; 0 when nothing was durable. */
  #storeAll(message: Message, written: LargeBody | null, source: Source | null): Position {
    this.#source = source
    const position =
      this.#durableCount === 0 ? 0 : this.#store(message, this.#durable, this.#durableCount, written, false)
    const letterOf = message.traits?.letterOf ?? null
    if (position !== 0 && (this.#origin !== null || letterOf !== null))
      this.#ports.senders.stored({ origin: this.#origin, letterOf }, (this.#durable[0] as LocalQueue).id)
    this.#origin = null
    if (this.#transientCount > 0) this.#store(message, this.#transient, this.#transientCount, written, true)
    return position
  }

  /**
   * Appends the record (several for a very wide fanout) and enters it in each queue. Returns the last one's position. That
   * one settles the source of a dead letter: a crash before it leaves the source as it was.
   */
  #store(
    message: Message,
    targets: readonly LocalQueue[],
    targetCount: number,
    written: LargeBody | null,
    isTransient: boolean,
  ): Position {
    const { bodies, usage } = this.#ports
    const log = isTransient ? this.#ports.scratch : this.#ports.log
    const flags = EntryFlag.live | (isTransient ? EntryFlag.transient : 0) | (written === null ? 0 : EntryFlag.large)
    let position = 0
    for (let from = 0; from < targetCount; from += targetsMax) {
      const count = Math.min(targetsMax, targetCount - from)
      const isLast = from + count === targetCount
      const isLastStored = isLast && !isTransient
      const source = isLastStored ? this.#source : null
      this.#stamp.traits.set(message.traits, this.#hash, source, isLastStored ? this.#origin : null)
      const body = written === null ? null : bodies.named(written)
      let at = appendPublish(log, message, count, body, this.#stamp)
      const buffer = log.buffer
      position = log.appended
      for (let index = from; index < from + count; index++, at += targetBytes) {
        const queue = targets[index] as LocalQueue
        writeTarget(buffer, at, queue.id, queue.entries.next)
        if (body !== null) body.targets.push({ queueId: queue.id, sequence: queue.entries.next })
      }
      if (isTransient) usage.add(position, count)
      if (body !== null) this.#name(body, position, count, isTransient)
      for (let index = from; index < from + count; index++)
        this.#enter(targets[index] as LocalQueue, message, position, flags)
    }
    return position
  }

  #name(body: LargeBody, position: Position, count: number, isTransient: boolean): void {
    this.#ports.bodies.name(body, position, isTransient)
    for (let index = 0; index < count; index++) this.#ports.bodies.retain(body)
  }

  #enter(queue: LocalQueue, message: Message, position: Position, flags: number): void {
    if ((flags & EntryFlag.transient) === 0) this.#ports.touch(queue, position)
    if (this.#ports.tracing !== null) {
      const origin = this.#letterFrom ?? message.traits?.letterOf ?? null
      this.#ports.tracing.enters(queue, queue.entries.next, message, origin)
    }
    if (queue.features === 0 && message.traits === null) {
      const sequence = queue.entries.push(position, message.bodyBytes, flags)
      this.#ports.delivery.arrived(queue, sequence, flags, message)
    } else this.#ports.entering.enter(queue, message, position, flags, this.#stamp.arrivedAt)
  }

  #confirm(position: Position, confirms: ConfirmSink | null, sequence: number): void {
    if (confirms === null) return
    const { appended, committed } = this.#ports.topology
    if (position <= this.#ports.log.committed && appended <= committed) confirms.confirm(sequence)
    else this.#ports.confirms.add(position, appended, confirms, sequence)
  }
}

function isTooFull({ settings, entries }: LocalQueue, { bodyBytes }: Message): boolean {
  return wouldOverflow(settings, entries.ready, entries.readyBytes, bodyBytes)
}

/** What a queue remembers of ids; null where it does not. */
export function windowOf(queue: LocalQueue): DeduplicationWindow | null {
  const { deduplication } = queue.settings
  if (deduplication === null) return null
  queue.window ??= new DeduplicationWindow(deduplication)
  return queue.window
}
