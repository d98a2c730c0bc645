/**
 * One consumer of a stream: reads on from its offset at its own pace, as far as messages are stored and its credit goes.
 *
 * It waits for at most one thing: rows or a page being read (`#isLoading`), or the outside (a commit, credit, room in its
 * output), which calls `wake`. What it reads from the past comes by whole pages of the log, the next one read ahead.
 */
import type { RunQueue, Task } from '../../base/run-queue.ts'
import type { Log } from '../../log/log.ts'
import { Message } from '../message.ts'
import type { Consumer } from '../ports.ts'
import { canTake } from '../queue/turns.ts'
import { AckFloor } from './ack-floor.ts'
import type { ConsumerFilter } from './filter.ts'
import type { OffsetIndex } from './offset-index.ts'
import { blockMessages, lostRow, type RowPage } from './segment-rows.ts'
import type { StreamBodies } from './stream-bodies.ts'
import {
  filterBytesOf,
  filterStartOf,
  isChunked,
  offsetOf,
  readChunkList,
  timestampOf,
  viewMessage,
} from './stream-records.ts'
import type { StreamTracing, TracedDeliveries } from './stream-tracing.ts'

/** Messages looked at between two looks at the clock. */
const messagesPerLook = 32
/** Messages delivered at once when the page that they are in has been read. */
const burstMax = 256
/** How far ahead pages are read, in bytes, and how often that is looked at. */
const readAheadBytes = 512 * 1024
const readAheadEvery = 128 * 1024

export interface ReaderPorts {
  readonly log: Log
  readonly index: OffsetIndex
  readonly bodies: StreamBodies
  readonly runQueue: RunQueue
  /** Null: messages are not traced. */
  readonly tracing: StreamTracing | null
  /** It has come to the end: it is to be woken when more is stored. Said once until then. */
  waitsForMore(reader: StreamReader): void
  /** A record that it has come to cannot be read: it cannot go on. */
  damaged(reader: StreamReader, error: Error): void
}

export interface ReaderStart {
  readonly offset: number
  /** Messages that came before this time are passed over until the first that did not; 0: none. */
  readonly notBeforeMs: number
  readonly filter: ConsumerFilter | null
  /** Under which its place is remembered; null: it is not. */
  readonly name: string | null
}

export class StreamReader implements Task {
  readonly consumer: Consumer
  readonly name: string | null
  /** Null: messages are not traced. */
  readonly traced: TracedDeliveries | null
  readonly #ports: ReaderPorts
  readonly #filter: ConsumerFilter | null
  readonly #floor: AckFloor | null
  readonly #message = new Message()
  #next: number
  #notBeforeMs: number
  #page: RowPage | null = null
  #aheadAt = 0
  #isLoading = false
  /** It waits for more to be stored. */
  #isAtEnd = false
  #isEnded = false

  constructor(ports: ReaderPorts, consumer: Consumer, start: ReaderStart) {
    this.#ports = ports
    this.consumer = consumer
    this.#next = start.offset
    this.#notBeforeMs = start.notBeforeMs
    this.#filter = start.filter
    this.name = start.name
    this.traced = ports.tracing?.deliveries(consumer.tag) ?? null
    this.#floor = start.name === null ? null : new AckFloor()
  }

  /** The offset of the message that it looks at next. */
  get next(): number {
    return this.#next
  }

  /** Everything below has been acknowledged, or was not for this consumer. */
  get place(): number {
    return this.#floor?.floor(this.#next) ?? this.#next
  }

  settled(first: number, last: number, isDone: boolean): void {
    this.#floor?.settled(first, last, isDone)
  }

  /** Nothing more is delivered. */
  end(): void {
    this.#isEnded = true
    this.#page = null
    this.#ports.runQueue.remove(this)
  }

  /** There may be something to deliver. */
  wake(): void {
    if (!this.#isLoading && !this.#isEnded) this.#ports.runQueue.add(this)
  }

  /** More is stored. */
  wakeAtEnd(): void {
    this.#isAtEnd = false
    this.wake()
  }

  run(shouldYield: () => boolean): boolean {
    for (let count = 1; this.#one(); count++) if (count % messagesPerLook === 0 && shouldYield()) return true
    return false
  }

  /** Looks at one message. False: there is none, nobody takes it, or something must be read first. */
  #one(): boolean {
    const { index, log } = this.#ports
    if (this.#isEnded || this.#isLoading || !canTake(this.consumer)) return false
    // What it would have read may have been dropped meanwhile.
    if (this.#next < index.first) this.#next = index.first
    if (this.#next >= index.committedNext) return this.#wait()
    const page = this.#pageAt(this.#next)
    if (page === null) return this.#findRows()
    const row = this.#next - page.first
    if (this.#filter !== null && !this.#mayPass(this.#filter, page, row)) return true
    const place = page.positions[row] as number
    if (place === lostRow) return this.#pass()
    const position = page.base + place
    if (!log.view(position)) return this.#loadRecord(position)
    if (offsetOf(log.viewBuffer, log.viewStart) !== this.#next) return this.#mistaken(position)
    this.#look(log.viewBuffer, log.viewStart, log.viewEnd)
    if (position - this.#aheadAt >= readAheadEvery) this.#readAhead(position)
    return true
  }

  #wait(): false {
    if (!this.#isAtEnd) this.#ports.waitsForMore(this)
    this.#isAtEnd = true
    return false
  }

  #pageAt(offset: number): RowPage | null {
    const page = this.#page
    if (page !== null && offset >= page.first && offset < page.first + page.count) return page
    this.#page = this.#ports.index.pageOf(offset)
    return this.#page
  }

  /** Passes over the rest of a block that holds nothing for this consumer. */
  #mayPass(filter: ConsumerFilter, page: RowPage, row: number): boolean {
    const block = Math.floor(row / blockMessages)
    if (filter.mayPass(page.flags[block] as number, page.bloom(block))) return true
    const blockEnd = page.first + Math.min((block + 1) * blockMessages, page.count)
    this.#next = Math.min(blockEnd, this.#ports.index.committedNext)
    return false
  }

  #look(buffer: Uint8Array, start: number, end: number): void {
    const { consumer } = this
    const message = this.#message
    const offset = this.#next++
    if (!this.#isWanted(buffer, start)) return
    viewMessage(message, buffer, start, end)
    if (isChunked(buffer, start)) {
      const chunks = readChunkList(buffer, start)
      // Its first pieces went with the segment before: it is as good as dropped with them.
      if ((chunks.positions[0] ?? 0) < (this.#ports.log.segments[0]?.base ?? 0)) return
      message.chunks = this.#ports.bodies.reader(chunks, message.bodyBytes)
    }
    consumer.unacked++
    if (consumer.shared !== null) consumer.shared.unacked++
    this.#floor?.delivered(offset)
    if (this.traced !== null) this.traced.delivered(message, offset)
    consumer.sink.deliver(consumer, message, offset, false)
  }

  #isWanted(buffer: Uint8Array, start: number): boolean {
    if (this.#notBeforeMs > 0) {
      if (timestampOf(buffer, start) < this.#notBeforeMs) return false
      this.#notBeforeMs = 0
    }
    if (this.#filter === null) return true
    return this.#filter.passes(buffer, filterStartOf(buffer, start), filterBytesOf(buffer, start))
  }

  /** A digest that passes its checks and yet is wrong. */
  #mistaken(position: number): false {
    this.#failed(new Error(`the record at position ${position} is not the message with offset ${this.#next}`))
    return false
  }

  /** What is not there was lost. */
  #pass(): true {
    this.#next++
    return true
  }

  #findRows(): boolean {
    const existing = this.#ports.index.existingFrom(this.#next)
    if (existing !== this.#next) {
      this.#next = existing
      return true
    }
    this.#isLoading = true
    this.#ports.index.loadPage(this.#next).then(
      () => this.#loaded(),
      (error: Error) => this.#failed(error),
    )
    return false
  }

  #loadRecord(position: number): false {
    const offset = this.#next
    this.#isLoading = true
    this.#ports.log.load(position, (error) => {
      // What cannot be read is damage only if it is still there.
      if (error !== null && offset >= this.#ports.index.first) this.#failed(error)
      else this.#loadedAt(error === null)
    })
    return false
  }

  #loaded(): void {
    this.#isLoading = false
    this.wake()
  }

  /** At once, before other loads take the page out of memory again. */
  #loadedAt(isThere: boolean): void {
    this.#isLoading = false
    if (isThere) for (let count = 0; count < burstMax && this.#one(); count++);
    this.wake()
  }

  #failed(error: Error): void {
    this.#isLoading = false
    if (!this.#isEnded) this.#ports.damaged(this, error)
  }

  /** What cannot be read ahead is noticed when it is needed. */
  #readAhead(position: number): void {
    const { log } = this.#ports
    this.#aheadAt = position
    const ahead = position + readAheadBytes
    if (ahead < log.committed) log.load(ahead, () => {})
  }
}
