/**
 * A publish on its way into the queues of a shard: one record per log, an entry in each queue, the confirm noted.
 *
 * A durable entry is a record in the log, a transient one in the scratch log; a message may have both. A transient
 * message for a no-ack consumer that waits is handed over and never stored.
 */
import type { Log, Position } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type { ConfirmSink, Queue, ShardTopology } from '../ports.ts'
import { EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { Delivery } from './delivery.ts'
import { type LargeBodies, type LargeBody, LargeBodyWriter } from './large-bodies.ts'
import type { PendingConfirms } from './pending-confirms.ts'
import { appendPublish, targetsMax, writeTarget } from './publish-record.ts'
import { targetBytes } from './records.ts'
import type { ScratchUsage } from './scratch-usage.ts'

export interface PublishingPorts {
  readonly log: Log
  readonly scratch: Log
  readonly usage: ScratchUsage
  readonly bodies: LargeBodies
  readonly delivery: Delivery
  readonly confirms: PendingConfirms
  readonly topology: ShardTopology
  touch(queue: LocalQueue, position: Position): void
}

export class Publishing {
  readonly #ports: PublishingPorts
  /** Targets of the publish at hand, by where they are stored. Reused; the counts say how many are valid. */
  readonly #durable: LocalQueue[] = []
  readonly #transient: LocalQueue[] = []
  #durableCount = 0
  #transientCount = 0

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
    writer?.flush()
    this.#sortTargets(message, queues, count)
    if (count === 1 && this.#transientCount === 1 && writer === null) {
      if (this.#ports.delivery.handOver(this.#transient[0] as LocalQueue, message))
        return this.#confirm(0, confirms, sequence)
    }
    const position =
      this.#durableCount === 0 ? 0 : this.#store(message, this.#durable, this.#durableCount, writer, false)
    if (this.#transientCount > 0) this.#store(message, this.#transient, this.#transientCount, writer, true)
    writer?.release()
    this.#confirm(position, confirms, sequence)
  }

  /** A body that was begun before the shard failed is not in this shard's logs: its publish cannot name it. */
  #writerOf({ chunks }: Message): LargeBodyWriter | null {
    return chunks instanceof LargeBodyWriter && chunks.isOf(this.#ports.bodies) ? chunks : null
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

  /** Appends the record (several for a very wide fanout) and enters it in each queue. Returns the last one's position. */
  #store(
    message: Message,
    targets: readonly LocalQueue[],
    targetCount: number,
    writer: LargeBodyWriter | null,
    isTransient: boolean,
  ): Position {
    const { bodies, usage } = this.#ports
    const log = isTransient ? this.#ports.scratch : this.#ports.log
    const flags = EntryFlag.live | (isTransient ? EntryFlag.transient : 0) | (writer === null ? 0 : EntryFlag.large)
    let position = 0
    for (let from = 0; from < targetCount; from += targetsMax) {
      const count = Math.min(targetsMax, targetCount - from)
      const body = writer === null ? null : bodies.named(writer.body)
      let at = appendPublish(log, message, count, body)
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
    const sequence = queue.entries.push(position, message.bodyBytes, flags)
    if ((flags & EntryFlag.transient) === 0) this.#ports.touch(queue, position)
    this.#ports.delivery.arrived(queue, sequence, flags, message)
  }

  #confirm(position: Position, confirms: ConfirmSink | null, sequence: number): void {
    if (confirms === null) return
    const { appended, committed } = this.#ports.topology
    if (position === 0 && appended <= committed) confirms.confirm(sequence)
    else this.#ports.confirms.add(position, appended, confirms, sequence)
  }
}
