/**
 * One stream whose log is open: messages in, each with the next offset, and consumers that read on from theirs.
 *
 * A publisher hears of a message when its record and the topology under which it was routed are stored. Consumers see
 * only what is stored: an offset that somebody has seen never means another message later.
 *
 * Fail-stop: when the log cannot go on, the whole object is dead. It refuses what waits and
 * cancels its consumers; whoever holds it opens another by replay.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener, Position, Segment } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type { ConfirmSink, ShardTopology } from '../ports.ts'
import { Congestion } from '../shard/congestion.ts'
import { digestRetryMs, isLackOfRoom } from '../shard/lack-of-room.ts'
import type { Origin } from '../shard/origins.ts'
import { PendingConfirms } from '../shard/pending-confirms.ts'
import { type Sender, Senders } from '../shard/senders.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { type IndexedSegment, OffsetIndex } from './offset-index.ts'
import { Places } from './places.ts'
import { Retention } from './retention.ts'
import { StoredContent } from './stored-content.ts'
import { StreamBodies, StreamBodyWriter } from './stream-bodies.ts'
import { StreamConsumers } from './stream-consumers.ts'
import { openStream } from './stream-opening.ts'
import {
  chunkListBytes,
  MessageFlag,
  messageFixedBytes,
  StreamRecordKind,
  senderBytes,
  writeChunkList,
  writeMessageFields,
  writeSender,
} from './stream-records.ts'
import { type StreamSpanListener, StreamTracing } from './stream-tracing.ts'

/** Bytes of the Bloom filter beside 1,024 messages where `x-stream-filter-size-bytes` does not say. */
const filterBytesDefault = 255
/** A record is at most half a page of the log; bodies above 64 KiB are not in it. */
const messageRecordBytesMax = 250 * 1024
export const uncommittedBytesMaxDefault = 8 * 1024 * 1024

export type StreamLog = Log & { listener: LogListener | null }

export interface StreamListener {
  /** More (or again less) is appended than the log has stored: publishers should pause. */
  congestionChanged(isCongested: boolean): void
  /** The log's `isFull` has changed. */
  roomChanged(): void
  /** The stream is dead. Last call. */
  failed(error: Error): void
}

export interface OpenStreamOptions {
  readonly definition: QueueDefinition
  readonly log: StreamLog
  readonly topology: ShardTopology
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly listener: StreamListener
  /** Bytes appended and not yet stored above which publishers are held back. Default 8 MiB. */
  readonly uncommittedBytesMax?: number
  /** Who follows traced messages; left out: nobody. */
  readonly spans?: StreamSpanListener
}

/** What the log said when it was opened. */
interface Known {
  readonly index: OffsetIndex
  readonly places: Map<string, number>
  readonly senders: Senders
}

type State = 'opening' | 'serving' | 'closing' | 'dead'

export class OpenStream {
  readonly bodies: StreamBodies
  readonly consumers: StreamConsumers
  readonly index: OffsetIndex
  readonly #options: OpenStreamOptions
  readonly #log: StreamLog
  readonly #congestion: Congestion
  readonly #confirms = new PendingConfirms()
  readonly #content = new StoredContent()
  #recordBytes = 0
  /** Null: messages are not traced. */
  readonly #tracing: StreamTracing | null
  readonly #places: Places
  readonly #senders: Senders
  readonly #retention: Retention
  /** Digests that wait for what is said behind their segment. */
  #stateWaiters: { readonly position: Position; readonly resolve: () => void }[] = []
  /** Ends the pause before the next try of a digest. */
  #endPause: () => void = () => {}
  /** Digests are written one after the other. */
  #digesting: Promise<void> = Promise.resolve()
  #state: State = 'opening'
  #failure: Error | null = null

  private constructor(options: OpenStreamOptions, { index, places, senders }: Known) {
    const { definition, log, clock, runQueue, listener } = options
    this.#options = options
    this.#log = log
    this.#tracing = options.spans === undefined ? null : new StreamTracing(definition, options.spans)
    this.index = index
    this.#senders = senders
    const appended = (): void => this.#appended()
    const bytesMax = options.uncommittedBytesMax ?? uncommittedBytesMaxDefault
    this.#congestion = new Congestion(log, bytesMax, listener.congestionChanged)
    this.bodies = new StreamBodies(log, appended)
    this.#places = new Places({ log, clock, nextOffset: () => index.next, appended }, places)
    this.#retention = new Retention({ definition, log, index, bodies: this.bodies, clock })
    this.consumers = new StreamConsumers({
      log,
      index,
      bodies: this.bodies,
      places: this.#places,
      clock,
      runQueue,
      logger: options.logger,
      tracing: this.#tracing,
    })
  }

  /** Reads what the log's digests do not say, and serves from then on. Rejects with what the log says. */
  static async open(options: OpenStreamOptions): Promise<OpenStream> {
    const { log, definition } = options
    let failure: Error | null = null
    const sealed: Segment[] = []
    log.listener = {
      committed: () => {},
      failed: (error) => {
        failure = error
      },
      sealed: (segment) => sealed.push(segment),
      roomChanged: () => {},
    }
    const index = new OffsetIndex(log, definition.settings.filterBytes ?? filterBytesDefault)
    const senders = new Senders(StreamRecordKind)
    const places = await openStream(log, index, { senders, id: definition.id })
    if (failure !== null) throw failure as Error
    if (index.lost > 0)
      options.logger.warn({ stream: definition.name, lost: index.lost }, 'messages of a stream are lost')
    const stream = new OpenStream(options, { index, places, senders })
    stream.#serve()
    return stream
  }

  #serve(): void {
    this.#log.listener = {
      committed: (position) => this.#committed(position),
      failed: (error) => this.#fail(error),
      sealed: (segment) => this.#sealed(segment),
      roomChanged: () => this.#options.listener.roomChanged(),
    }
    this.#state = 'serving'
    const stateAt = this.index.segments.length > 1 ? this.#appendState() : 0
    for (const entry of this.index.segments) if (entry.segment.isSealed) this.#digest(entry, stateAt)
    this.#retention.start()
  }

  get isFull(): boolean {
    return this.#log.isFull
  }

  /** Messages that are stored. */
  get stored(): number {
    return this.index.committedNext - Math.min(this.index.first, this.index.committedNext)
  }

  /** Nobody uses it, nothing is on its way, and no time limit needs it open. */
  get isIdle(): boolean {
    const isAging = this.#options.definition.settings.maxAgeMs !== null && this.index.segments.length > 1
    const isQuiet = this.#confirms.length === 0 && this.#log.uncommittedBytes === 0 && !this.bodies.isInUse
    return !isAging && isQuiet && this.consumers.count === 0
  }

  // ---------------------------------------------------------------- publish

  /** `origin`: another node sent it, and may send it again. */
  publish(message: Message, confirms: ConfirmSink | null, sequence: number, origin: Origin | null = null): void {
    const { chunks } = message
    const letterOf = message.traits?.letterOf ?? null
    const sender = origin === null && letterOf === null ? null : { origin, letterOf }
    if (sender !== null && this.#state === 'serving' && this.#senders.has(sender, this.#options.definition.id)) {
      chunks?.release()
      return this.#confirm(this.#log.appended, confirms, sequence)
    }
    const writer = chunks instanceof StreamBodyWriter ? chunks : null
    // A body that was begun in another log cannot be named in this one.
    const isHere = chunks === null || (writer?.finish(this.bodies) ?? false)
    if (this.#state !== 'serving' || !isHere || !this.#measure(message, writer, sender)) {
      chunks?.release()
      confirms?.refuse(sequence)
      return
    }
    const position = this.#store(message, writer, sender)
    chunks?.release()
    this.#confirm(position, confirms, sequence)
    this.#congestion.appended()
  }

  #confirm(position: Position, confirms: ConfirmSink | null, sequence: number): void {
    const { appended, committed } = this.#options.topology
    if (confirms === null) return
    if (position <= this.#log.committed && appended <= committed) confirms.confirm(sequence)
    else this.#confirms.add(position, appended, confirms, sequence)
  }

  /** False when the record would be too long: headers that grew and grew on the way. */
  #measure(message: Message, writer: StreamBodyWriter | null, sender: Sender | null): boolean {
    this.#content.measure(message)
    const routeBytes = message.routeEnd - message.routeStart
    const chunkBytes = writer === null ? 0 : chunkListBytes(writer.chunks)
    const fixedBytes = messageFixedBytes + (sender === null ? 0 : senderBytes)
    this.#recordBytes = fixedBytes + routeBytes + this.#content.bytes + chunkBytes
    return this.#recordBytes <= messageRecordBytesMax
  }

  /** What was measured is stored. */
  #store(message: Message, writer: StreamBodyWriter | null, sender: Sender | null): Position {
    const content = this.#content
    const routeBytes = message.routeEnd - message.routeStart
    const addedBytes = sender === null ? 0 : senderBytes
    const filterAt = content.filterAt === 0 ? 0 : content.filterAt + addedBytes
    const at = this.#log.reserve(this.#recordBytes)
    const { buffer, appended } = this.#log
    const offset = this.index.next
    // Times only grow along a stream, whatever the clock does.
    const timestamp = Math.max(this.#options.clock.now(), this.index.lastTimestamp)
    writeMessageFields(buffer, at, {
      flags: (content.isFrames ? MessageFlag.frames : 0) | (writer === null ? 0 : MessageFlag.chunked),
      routeBytes,
      bodyBytes: message.bodyBytes,
      offset,
      timestamp,
      filterAt,
      filterBytes: content.filterBytes,
    })
    if (sender !== null) writeSender(buffer, at, sender)
    const routeAt = at + messageFixedBytes + addedBytes
    buffer.set(message.buffer.subarray(message.routeStart, message.routeEnd), routeAt)
    const end = content.write(buffer, routeAt + routeBytes, offset)
    if (writer !== null) writeChunkList(buffer, end, writer.chunks)
    this.index.follow()
    if (sender !== null) this.#senders.stored(sender, this.#options.definition.id)
    const filterStart = filterAt === 0 ? -1 : at + filterAt
    this.index.append(appended, timestamp, buffer, filterStart, filterStart + content.filterBytes)
    if (this.#tracing !== null) this.#tracing.published(message, offset, appended)
    return appended
  }

  #appended(): void {
    this.index.follow()
    this.#congestion.appended()
  }

  /** The topology log has committed: confirms may have waited for it. */
  topologyCommitted(): void {
    this.#confirms.release(this.#log.committed, this.#options.topology.committed)
  }

  #committed(position: Position): void {
    this.index.commitTo(position)
    this.#confirms.release(position, this.#options.topology.committed)
    this.consumers.committed(position)
    if (this.#tracing !== null) this.#tracing.committed(position)
    this.#congestion.committed()
    this.#retention.committed(position)
    while ((this.#stateWaiters[0]?.position ?? Number.POSITIVE_INFINITY) <= position)
      this.#stateWaiters.shift()?.resolve()
  }

  // ---------------------------------------------------------------- segments

  #sealed(segment: Segment): void {
    if (this.#state !== 'serving') return
    this.index.follow()
    const stateAt = this.#appendState()
    const entry = this.index.segments.find((one) => one.segment.id === segment.id)
    if (entry !== undefined) this.#digest(entry, stateAt)
  }

  /** Says again all that records say besides messages. */
  #appendState(): Position {
    this.#senders.append(this.#log)
    const position = this.#places.appendAll()
    this.#retention.stateAppended(position)
    return position
  }

  /** A digest does not know who sent what: it stands in for its segment when that has been said behind it. */
  #digest(entry: IndexedSegment, stateAt: Position): void {
    this.#digesting = this.#digesting
      .then(() => this.#stored(stateAt))
      .then(() => this.#writeDigest(entry))
      .then(() => {
        if (this.#state === 'serving') this.#retention.run()
      })
      .catch((error: Error) => this.#fail(error))
  }

  /** It can wait for room. Any other failure ends the stream. */
  async #writeDigest(entry: IndexedSegment): Promise<void> {
    const { clock, logger, definition } = this.#options
    while (this.#state === 'serving') {
      try {
        return await this.index.writeDigest(entry, this.#places.all)
      } catch (error) {
        if (!isLackOfRoom(error)) throw error
        logger.warn({ error, stream: definition.name }, 'there is no room for a digest; trying again')
      }
      await new Promise<void>((resolve) => {
        this.#endPause = resolve
        clock.after(digestRetryMs, resolve)
      })
    }
  }

  async #stored(position: Position): Promise<void> {
    if (this.#log.committed >= position || this.#state !== 'serving') return
    await new Promise<void>((resolve) => this.#stateWaiters.push({ position, resolve }))
  }

  settingsChanged(): void {
    if (this.#state === 'serving') this.#retention.run()
  }

  // ---------------------------------------------------------------- the end

  #fail(error: Error): void {
    this.#failure ??= error
    if (this.#state === 'closing') this.#confirms.refuseAll()
    if (this.#state !== 'serving') return
    this.#state = 'dead'
    this.#stop()
    this.#confirms.refuseAll()
    this.consumers.end()
    this.#tracing?.abandon()
    this.#options.listener.failed(error)
  }

  #stop(): void {
    this.#retention.stop()
    this.#places.stop()
    this.bodies.stop()
    for (const { resolve } of this.#stateWaiters.splice(0)) resolve()
    this.#endPause()
  }

  /** Commits and closes. What waits is confirmed before, as far as it can be. */
  async close(): Promise<void> {
    if (this.#state !== 'serving') {
      await this.#log.close()
      return
    }
    this.consumers.end()
    this.#places.flush()
    this.#state = 'closing'
    this.#stop()
    await this.#digesting
    await this.#log.close()
    this.#confirms.refuseAll()
    this.#tracing?.abandon()
    if (this.#failure !== null) throw this.#failure
  }
}
