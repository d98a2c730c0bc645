/**
 * What of a queue waits for its time, for people and programs who look after it: listed, cancelled, given another time.
 * By the message id, which is in the records, so they are gone through in steps; a million take about a second.
 */
import { messageIdOf } from '../../amqp/content-header.ts'
import type { Clock } from '../../base/clock.ts'
import { headerRangeOf } from '../dead-letter/message-copy.ts'
import { BrokerError } from '../errors.ts'
import { Message } from '../message.ts'
import type { Reply, ScheduledMessage } from '../ports.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { noShard } from './consuming.ts'
import type { Deadlines } from './deadlines.ts'
import type { Failing } from './failing.ts'
import type { Settlements } from './settlements.ts'
import type { Settling } from './settling.ts'
import type { StoredEntries } from './stored-entries.ts'

/** Entries between two turns. */
const stepEntries = 256
/** Messages listed at once, at most. */
export const listedMax = 1_000

export interface ScheduledPorts {
  readonly clock: Clock
  readonly stored: StoredEntries
  readonly settling: Settling
  readonly settlements: Settlements
  readonly failing: Failing
  readonly deadlines: Deadlines
  isServing(): boolean
}

/** What to do with an entry that was found; false ends the search. */
type Visit = (chunk: EntryChunk, sequence: number, messageId: string | null) => boolean

export class Scheduled {
  readonly #ports: ScheduledPorts
  readonly #message = new Message()

  constructor(ports: ScheduledPorts) {
    this.#ports = ports
  }

  /** Up to `limit` waiting messages behind the entry `after`, in the order in which they came. */
  list(queue: LocalQueue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    const found: ScheduledMessage[] = []
    const most = Math.min(limit, listedMax)
    const visit: Visit = (chunk, sequence, messageId) => {
      const isRetry = (chunk.flagsOf(sequence) & EntryFlag.heldBack) !== 0
      const bodyBytes = chunk.sizes[sequence - chunk.base] as number
      found.push({ sequence, messageId, dueAt: chunk.dueOf(sequence), bodyBytes, isRetry })
      return found.length < most
    }
    this.#visitAll(queue, after + 1, visit).then(
      () => reply.done(found, 0),
      (error: unknown) => fail(reply, error),
    )
  }

  /** Forgets the waiting messages with this id; how many there were. */
  cancel(queue: LocalQueue, messageId: string, reply: Reply<number>): void {
    this.#forId(queue, messageId, reply, (chunk, sequence) => this.#ports.settling.settleOne(queue, chunk, sequence))
  }

  /** Gives the waiting messages with this id another time (wall time in milliseconds); how many there were. */
  reschedule(queue: LocalQueue, messageId: string, dueAt: number, reply: Reply<number>): void {
    this.#forId(queue, messageId, reply, (chunk, sequence) => {
      const isDurable = (chunk.flagsOf(sequence) & EntryFlag.transient) === 0
      queue.entries.reschedule(chunk, sequence, dueAt)
      this.#ports.deadlines.arm(queue, dueAt)
      if (isDurable) this.#ports.failing.writeWait(queue, sequence, dueAt)
    })
  }

  #forId(
    queue: LocalQueue,
    messageId: string,
    reply: Reply<number>,
    act: (chunk: EntryChunk, sequence: number) => void,
  ): void {
    let count = 0
    const visit: Visit = (chunk, sequence, id) => {
      if (id !== messageId) return true
      act(chunk, sequence)
      count++
      return true
    }
    this.#visitAll(queue, 1, visit).then(
      () => {
        this.#ports.settlements.flush()
        reply.done(count, 0)
      },
      (error: unknown) => fail(reply, error),
    )
  }

  async #visitAll(queue: LocalQueue, from: number, visit: Visit): Promise<void> {
    const { clock } = this.#ports
    const end = queue.entries.next
    let sequence = Math.max(from, queue.entries.head())
    for (let looked = 0; sequence < end && queue.entries.waiting > 0; looked++) {
      if (queue.isDropped || !this.#ports.isServing()) throw noShard()
      const chunk = queue.entries.chunkOf(sequence)
      if (chunk === null || chunk.side === null || chunk.side.dues === null) {
        sequence = Math.floor(sequence / chunkEntries) * chunkEntries + chunkEntries
        continue
      }
      if (isWaiting(chunk, sequence) && !(await this.#visit(queue, chunk, sequence, visit))) return
      sequence++
      if (looked % stepEntries === stepEntries - 1) await new Promise<void>((resolve) => clock.soon(resolve))
    }
  }

  async #visit(queue: LocalQueue, chunk: EntryChunk, sequence: number, visit: Visit): Promise<boolean> {
    const { stored } = this.#ports
    while (!stored.view(this.#message, chunk, sequence, chunk.flagsOf(sequence))) {
      await new Promise<void>((resolve) => stored.load(queue, chunk, sequence, resolve))
      if (!isWaiting(chunk, sequence)) return true
    }
    const { start, end } = headerRangeOf(this.#message)
    return visit(chunk, sequence, messageIdOf(this.#message.buffer, start, end))
  }
}

function isWaiting(chunk: EntryChunk, sequence: number): boolean {
  return (chunk.flagsOf(sequence) & EntryFlag.waiting) !== 0
}

function fail(reply: { failed(error: BrokerError): void }, error: unknown): void {
  reply.failed(error instanceof BrokerError ? error : noShard())
}
