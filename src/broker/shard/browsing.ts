/**
 * Looking at what a queue holds without taking it, and taking single entries away: for people and programs who look
 * after queues. In the order of arrival, in steps.
 */
import type { Clock } from '../../base/clock.ts'
import { bodyStartOf, headerRangeOf } from '../dead-letter/message-copy.ts'
import { BrokerError } from '../errors.ts'
import { type Chunks, chunkBytes, Message } from '../message.ts'
import { type BrowsedMessage, type BrowsePage, browsedBodyBytesMax, type Reply } from '../ports.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { noShard } from './consuming.ts'
import type { Delivery } from './delivery.ts'
import type { LargeBodies } from './large-bodies.ts'
import type { Paging } from './paging.ts'
import { ReadTraits } from './record-traits.ts'
import type { Settlements } from './settlements.ts'
import type { Settling } from './settling.ts'
import type { StoredEntries } from './stored-entries.ts'

/** Entries between two turns. */
const stepEntries = 256
/** Messages of one page, at most. */
const browsedMax = 1_000
/** What a page may hold, in bytes: the message that goes beyond is its last. It is one answer between nodes. */
const pageBytesMax = 512 * 1024

export interface BrowsingPorts {
  readonly clock: Clock
  readonly stored: StoredEntries
  readonly bodies: LargeBodies
  readonly paging: Paging
  readonly settling: Settling
  readonly settlements: Settlements
  readonly delivery: Delivery
  isServing(): boolean
}

type BodyPart = Pick<BrowsePage, 'bodyBytesMax' | 'bodyFrom'>

export class Browsing {
  readonly #ports: BrowsingPorts
  readonly #message = new Message()
  readonly #traits = new ReadTraits()

  constructor(ports: BrowsingPorts) {
    this.#ports = ports
  }

  browse(queue: LocalQueue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.#collect(queue, page).then(
      (found) => reply.done(found, 0),
      (error: unknown) => reply.failed(refusalOf(error)),
    )
  }

  /** Takes one message away that nobody holds; the result is 0 when there is none, or somebody holds it. */
  forget(queue: LocalQueue, sequence: number, reply: Reply<number>): void {
    this.#forget(queue, sequence).then(
      (count) => reply.done(count, 0),
      (error: unknown) => reply.failed(refusalOf(error)),
    )
  }

  async #collect(queue: LocalQueue, { after, limit, ...part }: BrowsePage): Promise<BrowsedMessage[]> {
    const found: BrowsedMessage[] = []
    const most = Math.min(limit, browsedMax)
    const end = queue.entries.next
    let bytes = 0
    let sequence = Math.max(after + 1, queue.entries.head())
    for (let looked = 1; sequence < end && found.length < most && bytes < pageBytesMax; looked++) {
      if (looked % stepEntries === 0) await this.#turn()
      const chunk = await this.#chunkOf(queue, sequence)
      if (chunk === null) {
        sequence = Math.floor(sequence / chunkEntries) * chunkEntries + chunkEntries
        continue
      }
      const message = isThere(chunk, sequence) ? await this.#copy(queue, chunk, sequence, part) : null
      sequence++
      if (message === null) continue
      found.push(message)
      bytes += message.content.length
    }
    return found
  }

  /** Its columns are there; null: nothing is in it. */
  async #chunkOf(queue: LocalQueue, sequence: number): Promise<EntryChunk | null> {
    this.#check(queue)
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk === null || chunk.live === 0) return null
    if (chunk.isAway) await this.#ports.paging.loadNow(queue, chunk)
    this.#check(queue)
    return chunk.isAway || chunk.live === 0 ? null : chunk
  }

  #check(queue: LocalQueue): void {
    if (queue.isDropped || !this.#ports.isServing()) throw noShard()
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#ports.clock.soon(resolve))
  }

  /** Null: it went while it was read. */
  async #copy(
    queue: LocalQueue,
    chunk: EntryChunk,
    sequence: number,
    { bodyBytesMax, bodyFrom = 0 }: BodyPart,
  ): Promise<BrowsedMessage | null> {
    const { stored, bodies } = this.#ports
    while (!stored.view(this.#message, chunk, sequence, chunk.flagsOf(sequence))) {
      await new Promise<void>((resolve) => stored.load(queue, chunk, sequence, resolve))
      this.#check(queue)
      if (!isThere(chunk, sequence)) return null
    }
    const message = this.#message
    const flags = chunk.flagsOf(sequence)
    const body = stored.bodyOf(chunk, sequence, flags)
    const { buffer, routeStart, routeEnd } = message
    const header = headerRangeOf(message)
    const [routeBytes, headerBytes] = [routeEnd - routeStart, header.end - header.start]
    const bodyBytes = chunk.sizes[sequence - chunk.base] as number
    const partBytes = Math.min(Math.max(0, bodyBytes - bodyFrom), bodyBytesMax, browsedBodyBytesMax)
    const content = new Uint8Array(routeBytes + headerBytes + partBytes)
    content.set(buffer.subarray(routeStart, routeEnd))
    content.set(buffer.subarray(header.start, header.end), routeBytes)
    const arrivedAt = stored.arrivedAt
    stored.readTraits(this.#traits)
    const { blindKeys } = this.#traits
    const facts = {
      sequence,
      ...stateOf(queue, chunk, sequence),
      arrivedAt,
      bodyBytes,
      content,
      routeBytes,
      headerBytes,
      blindKeys,
    }
    const payload = content.subarray(routeBytes + headerBytes)
    if (body === null) {
      const bodyStart = bodyStartOf(message) + bodyFrom
      payload.set(buffer.subarray(bodyStart, bodyStart + payload.length))
    } else await readBody(bodies.reader(body), bodyFrom, payload)
    return facts
  }

  async #forget(queue: LocalQueue, sequence: number): Promise<number> {
    const { settling, settlements, delivery } = this.#ports
    if (sequence < 1 || sequence >= queue.entries.next) return 0
    const chunk = await this.#chunkOf(queue, sequence)
    if (chunk === null || !isThere(chunk, sequence) || (chunk.flagsOf(sequence) & EntryFlag.unacked) !== 0) return 0
    settling.settleOne(queue, chunk, sequence)
    settlements.flush()
    // Of a group the next one may go.
    delivery.pump(queue)
    return 1
  }
}

function isThere(chunk: EntryChunk, sequence: number): boolean {
  return !chunk.isAway && (chunk.flagsOf(sequence) & EntryFlag.live) !== 0
}

function stateOf(
  queue: LocalQueue,
  chunk: EntryChunk,
  sequence: number,
): Pick<BrowsedMessage, 'state' | 'isRedelivered' | 'dueAt'> {
  const flags = chunk.flagsOf(sequence)
  const isWaiting = (flags & EntryFlag.waiting) !== 0
  return {
    state: isWaiting ? 'waiting' : (flags & EntryFlag.unacked) !== 0 ? 'unacked' : 'ready',
    isRedelivered: (flags & EntryFlag.redelivered) !== 0 || sequence < queue.maybeSentBelow,
    dueAt: isWaiting ? chunk.dueOf(sequence) : 0,
  }
}

/** From a byte on, as far as there is room. All chunks but the last are of one length. */
async function readBody(chunks: Chunks, from: number, into: Uint8Array): Promise<void> {
  try {
    let skipped = from % chunkBytes
    for (let index = Math.floor(from / chunkBytes), at = 0; at < into.length && index < chunks.count; index++) {
      at += await new Promise<number>((resolve, reject) => {
        chunks.read(index, (error, buffer, start, end) => {
          if (error !== null) return reject(error)
          const first = start + skipped
          const bytes = Math.min(end - first, into.length - at)
          into.set(buffer.subarray(first, first + bytes), at)
          resolve(bytes)
        })
      })
      skipped = 0
    }
  } finally {
    chunks.release()
  }
}

function refusalOf(error: unknown): BrokerError {
  return error instanceof BrokerError ? error : noShard()
}
