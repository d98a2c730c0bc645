/**
 * A queue of type `stream` as others see it, whether its log is open or not: it is opened by whoever uses it first, and
 * once again when it has failed, and closed when nobody has used it for a while. What comes meanwhile waits for it.
 *
 *     closed ──use──► opening ──► open ──failure──► opening (once)
 *        ▲               │          └──unused──► opening: what comes before it is closed opens it again
 *        └───────────────┤
 *                        └──cannot be opened──► failed: everything is refused (for now, when that is the disk's room)
 */
import { BrokerError } from '../errors.ts'
import { Message } from '../message.ts'
import type {
  BodyWriter,
  BrowsedMessage,
  BrowsePage,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ShardCommands,
  StreamOffsets,
} from '../ports.ts'
import type { Origin } from '../shard/origins.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { noGet, noPurge, noStream, streamGone } from './consume-arguments.ts'
import { OpenStream, type OpenStreamOptions, uncommittedBytesMaxDefault } from './open-stream.ts'
import { StreamBodyWriter } from './stream-bodies.ts'

export interface StreamPorts extends Omit<OpenStreamOptions, 'definition' | 'log' | 'listener'> {
  openLog(definition: QueueDefinition): Promise<OpenStreamOptions['log']>
  congestionChanged(stream: Stream, isCongested: boolean): void
  roomChanged(stream: Stream, isFull: boolean): void
  /** How many messages it held when somebody else served it last; null: nobody has said. */
  storedBefore(id: number): number | null
  /** The log has failed for a second time: the process must end. */
  fatal(error: Error): void
}

/** Codes of errors that another try would meet again; so would those without a code. */
const lastingErrors = new Set(['LOG_DAMAGED', 'LOG_FORMAT_UNKNOWN'])

/** What it held when its log was closed. */
interface Seen {
  readonly stored: number
  readonly offsets: StreamOffsets
}

type State = 'closed' | 'opening' | 'open' | 'failed' | 'dropped' | 'ended'

export class Stream implements ShardCommands {
  readonly queue: Queue
  readonly #ports: StreamPorts
  readonly #definition: QueueDefinition
  #open: OpenStream | null = null
  #state: State = 'closed'
  #failures = 0
  #isDropped = false
  /** Commands that came before the log was open, in order, and bytes of messages among them. */
  #waiting: (() => void)[] = []
  #waitingBytes = 0
  /** As it was when this was looked at last. */
  #seenNext = -1
  /** Null: the log was never closed in this process. */
  #seen: Seen | null = null
  /** Done when nothing is being opened or closed. */
  #settled: Promise<void> = Promise.resolve()

  constructor(definition: QueueDefinition, ports: StreamPorts) {
    this.#definition = definition
    this.#ports = ports
    this.queue = { definition, shard: this }
  }

  get isOpen(): boolean {
    return this.#open !== null
  }

  // ---------------------------------------------------------------- open

  /** Runs the command when the log is open, now or later; where it cannot be opened, the command finds it closed. */
  #soon(command: () => void): void {
    if (this.#state === 'closed') this.#begin()
    if (this.#state === 'opening') this.#waiting.push(command)
    else command()
  }

  #begin(): void {
    this.#state = 'opening'
    this.#settled = this.#settled.then(() => this.#openLog())
  }

  async #openLog(): Promise<void> {
    if (this.#state !== 'opening') return
    const { logger, openLog, roomChanged } = this.#ports
    const definition = this.#definition
    let log: OpenStreamOptions['log'] | null = null
    try {
      log = await openLog(definition)
      const open = await OpenStream.open({ ...this.#ports, definition, log, listener: this.#listener() })
      if (this.#state !== 'opening') {
        await open.close()
        return
      }
      this.#open = open
      this.#state = 'open'
      roomChanged(this, open.isFull)
    } catch (error) {
      logger.error({ error, stream: definition.name, vhost: definition.vhost }, 'a stream cannot be opened')
      await this.#closeQuietly(log)
      this.#cannotOpen(error)
      return
    }
    this.#runWaiting()
  }

  /** What waits is refused. What the disk refused for now is tried again by the next use; damage is not. */
  #cannotOpen(error: unknown): void {
    if (this.#state !== 'opening') return
    this.#state = 'failed'
    this.#runWaiting()
    if (error instanceof Error && 'code' in error && !lastingErrors.has(String(error.code))) this.#state = 'closed'
  }

  #listener(): OpenStreamOptions['listener'] {
    return {
      congestionChanged: (isCongested) => this.#ports.congestionChanged(this, isCongested),
      roomChanged: () => this.#ports.roomChanged(this, this.#open?.isFull ?? false),
      failed: (error) => this.#failed(error),
    }
  }

  #runWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    this.#ports.congestionChanged(this, false)
    for (const command of waiting) command()
  }

  async #closeQuietly(log: { close(): Promise<void> } | null): Promise<void> {
    try {
      await log?.close()
    } catch (error) {
      this.#ports.logger.warn({ error, stream: this.#definition.name }, 'a stream could not be closed in good order')
    }
  }

  #failed(error: Error): void {
    const open = this.#open
    this.#open = null
    this.#ports.logger.error({ error, stream: this.#definition.name }, 'a stream has failed')
    this.#ports.congestionChanged(this, false)
    this.#ports.roomChanged(this, false)
    this.#settled = this.#settled.then(() => this.#closeQuietly(open))
    if (this.#state !== 'open') return
    if (++this.#failures === 1) this.#begin()
    else {
      this.#state = 'failed'
      this.#ports.fatal(error)
    }
  }

  // ---------------------------------------------------------------- publish

  publish(
    message: Message,
    _queues: readonly Queue[],
    _count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    if (this.#open !== null) this.#open.publish(message, confirms, sequence)
    else this.#publishLater(message, confirms, sequence, null)
  }

  /** Another node's publish, with the number it gave it: stored once, however often it comes. */
  publishFrom(origin: Origin, message: Message, confirms: ConfirmSink | null, sequence: number): void {
    if (this.#open !== null) this.#open.publish(message, confirms, sequence, origin)
    else this.#publishLater(message, confirms, sequence, origin)
  }

  /** Publishers are held back while messages wait, so these are few. */
  #publishLater(message: Message, confirms: ConfirmSink | null, sequence: number, origin: Origin | null): void {
    const isTooMuch = this.#waitingBytes > (this.#ports.uncommittedBytesMax ?? uncommittedBytesMaxDefault)
    if (isTooMuch || this.#state === 'failed' || this.#state === 'ended') {
      message.chunks?.release()
      confirms?.refuse(sequence)
    } else if (this.#state === 'dropped') {
      // As for any queue that is deleted while a message is on its way to it.
      message.chunks?.release()
      confirms?.confirm(sequence)
    } else {
      const copy = copyOf(message)
      this.#waitingBytes += copy.contentEnd
      this.#ports.congestionChanged(this, true)
      this.#soon(() => {
        if (origin === null) this.publish(copy, [], 1, confirms, sequence)
        else this.publishFrom(origin, copy, confirms, sequence)
      })
    }
  }

  openBody(_isPersistent: boolean, bodyBytes: number): BodyWriter {
    // Its pieces are kept in memory until the log is open.
    if (this.#open === null) this.#soon(() => {})
    if (this.#state === 'opening') this.#ports.congestionChanged(this, true)
    if (this.#state === 'opening' || this.#open !== null)
      return new StreamBodyWriter(() => this.#open?.bodies ?? null, bodyBytes)
    return new RefusedBody(bodyBytes)
  }

  // ---------------------------------------------------------------- consume

  get(_queue: Queue, _isNoAck: boolean, sink: GetSink): void {
    sink.failed(noGet(this.#definition))
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    this.#soon(() => {
      if (this.#open !== null) this.#open.consumers.register(consumer, reply)
      else reply.failed(this.#refusal())
    })
  }

  #refusal(): ReturnType<typeof noStream> {
    return this.#state === 'dropped' ? streamGone(this.#definition) : noStream(this.#definition)
  }

  activate(consumer: Consumer): void {
    this.#open?.consumers.activate(consumer)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    reply.done(this.#open?.consumers.unregister(consumer) ?? 0, 0)
  }

  resume(consumer: Consumer): void {
    this.#open?.consumers.resume(consumer)
  }

  settle(_queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    if (consumer === null) return
    const held = Math.min(last - first + 1, consumer.unacked)
    consumer.unacked -= held
    if (consumer.shared !== null) consumer.shared.unacked -= held
    this.#open?.consumers.settle(consumer, first, last, outcome)
  }

  /** Nothing in a stream waits for a time. */
  listScheduled(_queue: Queue, _after: number, _limit: number, reply: Reply<readonly never[]>): void {
    reply.done([], 0)
  }

  cancelScheduled(_queue: Queue, _messageId: string, reply: Reply<number>): void {
    reply.done(0, 0)
  }

  reschedule(_queue: Queue, _messageId: string, _dueAt: number, reply: Reply<number>): void {
    reply.done(0, 0)
  }

  browse(_queue: Queue, _page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    reply.failed(new BrokerError('not-implemented', 'a stream is read by consuming it'))
  }

  forget(_queue: Queue, _sequence: number, reply: Reply<number>): void {
    reply.failed(new BrokerError('not-implemented', 'a stream forgets by its retention only'))
  }

  extendLease(_queue: Queue, _consumer: Consumer | null, _sequence: number, _ms: number): void {}

  // ---------------------------------------------------------------- status

  purge(_queue: Queue, reply: Reply<number>): void {
    reply.failed(noPurge(this.#definition))
  }

  /** All that is stored is ready: consumers take nothing out. */
  status(_queue: Queue, reply: Reply<QueueStatus>): void {
    this.#soon(() => reply.done(this.statusNow(), 0))
  }

  /** While its log is not open nobody consumes, and what is stored is as it was when it was open last. */
  statusNow(): QueueStatus {
    const open = this.#open
    if (open === null) return this.#statusBefore()
    const { index, consumers } = open
    const offsets = { first: index.first, next: index.committedNext, readers: consumers.places() }
    return { ready: open.stored, unacked: 0, consumers: consumers.count, offsets }
  }

  #statusBefore(): QueueStatus {
    const seen = this.#seen
    if (seen !== null) return { ready: seen.stored, unacked: 0, consumers: 0, offsets: seen.offsets }
    return { ready: this.#ports.storedBefore(this.#definition.id) ?? 0, unacked: 0, consumers: 0 }
  }

  settingsChanged(): void {
    this.#open?.settingsChanged()
  }

  topologyCommitted(): void {
    this.#open?.topologyCommitted()
  }

  // ---------------------------------------------------------------- the end

  /** Closes the log when nothing has happened since this was called last, and nobody needs it. */
  closeIfIdle(): void {
    const open = this.#open
    if (open === null || this.#state !== 'open') return
    const isIdle = open.isIdle && open.index.next === this.#seenNext
    this.#seenNext = open.index.next
    if (!isIdle) return
    this.#seen = {
      stored: open.stored,
      offsets: { first: open.index.first, next: open.index.committedNext, readers: [] },
    }
    this.#open = null
    this.#state = 'opening'
    this.#settled = this.#settled.then(() => this.#closeQuietly(open)).then(() => this.#idle())
  }

  async #idle(): Promise<void> {
    if (this.#state !== 'opening') return
    if (this.#waiting.length > 0) return await this.#openLog()
    this.#state = 'closed'
  }

  /** Its definition is gone: consumers are told. What is on its way is still stored, should the deletion not be. */
  drop(): void {
    this.#isDropped = true
    if (this.#state !== 'open') this.#state = 'dropped'
    this.#open?.consumers.end()
  }

  /** Nothing reaches it any more. Confirms what it can, refuses the rest. */
  async close(): Promise<void> {
    const open = this.#open
    this.#open = null
    this.#state = this.#isDropped ? 'dropped' : 'ended'
    if (open !== null) this.#settled = this.#settled.then(() => this.#closeQuietly(open))
    this.#runWaiting()
    await this.#settled
  }
}

function copyOf(message: Message): Message {
  const copy = new Message()
  const route = message.buffer.subarray(message.routeStart, message.routeEnd)
  const content = message.buffer.subarray(message.contentStart, message.contentEnd)
  copy.buffer = Buffer.concat([route, content])
  copy.routeEnd = route.length
  copy.contentStart = route.length
  copy.contentEnd = copy.buffer.length
  copy.isFrames = message.isFrames
  copy.isPersistent = message.isPersistent
  copy.bodyBytes = message.bodyBytes
  copy.traits = message.traits?.copy() ?? null
  copy.chunks = message.chunks
  return copy
}

/** A large body for a stream that takes nothing: it is refused with its publish. */
class RefusedBody implements BodyWriter {
  readonly count = 0
  readonly bodyBytes: number

  constructor(bodyBytes: number) {
    this.bodyBytes = bodyBytes
  }

  append(): void {}

  abandon(): void {}

  read(_index: number, done: Parameters<BodyWriter['read']>[1]): void {
    done(new Error('the body is not stored'), new Uint8Array(0), 0, 0)
  }

  release(): void {}
}
