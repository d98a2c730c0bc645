/**
 * Streams over file logs on a simulated disk, with small pages and segments, and consumers that only remember: for tests
 * without sockets. `restart` is a stop in good order, `kill` the end of the process at any moment.
 */
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { decodeProperties, encodeContentHeader, type SomeProperties } from '../../../src/amqp/content-header.ts'
import { type PlainValue, tableOf } from '../../../src/amqp/field-table.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import { Message } from '../../../src/broker/message.ts'
import type { Consumer, DeliverySink, Outcome, Queue, QueueStatus, ShardDirectory } from '../../../src/broker/ports.ts'
import type { QueueSettings } from '../../../src/broker/queue/queue-settings.ts'
import { Streams } from '../../../src/broker/stream/streams.ts'
import type { QueueDefinition } from '../../../src/broker/topology/queue-definition.ts'
import type { FileLog } from '../../../src/log/file/file-log.ts'
import { LogDirectories } from '../../../src/log/file/log-directories.ts'
import { ProcessView } from '../../support/process-view.ts'
import { definitionOf, TestConfirms } from '../../support/shard-harness.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'

const kibi = 1024
export const root = '/data/streams'
export const pageBytes = 16 * kibi
export const segmentBytes = 32 * kibi

export interface MessageOptions {
  readonly headers?: { readonly [key: string]: PlainValue }
  readonly properties?: SomeProperties
  /** As it comes over the wire when it is small; else as parts. */
  readonly isFrames?: boolean
}

/** A message as the server would give it. */
export function messageOf(body: string, options: MessageOptions = {}): Message {
  const headers = options.headers === undefined ? {} : { headers: tableOf(options.headers) }
  const writer = new ByteWriter(256)
  encodeContentHeader(writer, Buffer.byteLength(body), { ...headers, ...options.properties })
  const header = Buffer.from(writer.buffer.subarray(0, writer.length))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(header.length)
  const parts = options.isFrames === true ? [frame(2, header), frame(3, Buffer.from(body))] : [length, header, body]
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)))
  const route = Buffer.from('\x02ex\x03key', 'latin1')
  const message = new Message()
  message.buffer = Buffer.concat([route, content])
  message.routeEnd = route.length
  message.contentStart = route.length
  message.contentEnd = message.buffer.length
  message.isFrames = options.isFrames === true
  message.bodyBytes = Buffer.byteLength(body)
  return message
}

function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.from([type, 0, 9, 0, 0, 0, 0])
  head.writeUInt32BE(payload.length, 3)
  return Buffer.concat([head, payload, Buffer.from([0xce])])
}

/** What a consumer would see of a message. */
export function contentOf(message: Message): { properties: ReturnType<typeof decodeProperties>; body: string } {
  const { buffer, contentStart, contentEnd } = message
  const view = Buffer.from(buffer.subarray(contentStart, contentEnd))
  const start = message.isFrames ? 7 : 4
  const headerEnd = start + view.readUInt32BE(message.isFrames ? 3 : 0)
  const properties = decodeProperties(view, start, headerEnd)
  const isEmpty = headerEnd + 1 >= view.length
  const body = message.isFrames ? (isEmpty ? '' : view.subarray(headerEnd + 8, -1)) : view.subarray(headerEnd)
  return { properties, body: body.toString() }
}

export interface Seen {
  readonly offset: number
  readonly body: string
  /** The header `x-stream-offset`. */
  readonly header: number
}

export class StreamConsumer implements DeliverySink {
  isReady = true
  isCancelled = false
  /** Large bodies are kept until this is called. */
  readonly chunked: Message['chunks'][] = []
  readonly seen: Seen[] = []
  readonly consumer: Consumer

  constructor(id: number, queue: Queue, options: Partial<Consumer>) {
    this.consumer = {
      id,
      tag: `c${id}`,
      queue,
      sink: this,
      isNoAck: false,
      isExclusive: false,
      priority: 0,
      limit: 10_000,
      shared: null,
      timeoutMs: null,
      arguments: tableOf({}),
      unacked: 0,
      isActive: false,
      isInTurn: false,
      isLeaving: false,
      ...options,
    }
  }

  deliver(_consumer: Consumer, message: Message, sequence: number): void {
    const { properties, body } = contentOf(message)
    const header = properties.headers?.fields.get('x-stream-offset')
    this.seen.push({ offset: sequence, body, header: Number(header?.value) })
    if (message.chunks !== null) this.chunked.push(message.chunks)
  }

  leaseEnded(): void {}

  cancelled(): void {
    this.isCancelled = true
  }

  get offsets(): number[] {
    return this.seen.map(({ offset }) => offset)
  }

  get bodies(): string[] {
    return this.seen.map(({ body }) => body)
  }

  settle(first: number, last = first, outcome: Outcome = 'ack'): void {
    const { queue } = this.consumer
    queue.shard.settle(queue, this.consumer, first, last, outcome)
  }
}

export interface HarnessOptions {
  readonly looksAtAll?: boolean
  /** What the owner before said of each stream. */
  readonly storedBefore?: number
  readonly files?: SimulatedFiles
  readonly uncommittedBytesMax?: number
}

export class StreamHarness {
  readonly clock = new ManualClock()
  readonly files: SimulatedFiles
  readonly topology = { appended: 0, committed: 0, reroute: () => false, expireQueue: () => {} }
  readonly definitions = new Map<string, QueueDefinition>()
  readonly congestion: boolean[] = []
  readonly room: boolean[] = []
  readonly fatal: Error[] = []
  readonly confirms = new TestConfirms()
  readonly openLogs = new Map<number, FileLog>()
  /** Ids of streams that are too far to be looked at. */
  readonly far = new Set<number>()
  streams!: Streams
  #process!: ProcessView
  #runQueue!: RunQueue
  readonly #uncommittedBytesMax: number
  readonly #looksAtAll: boolean
  readonly #storedBefore: number | null
  #ids = 0
  #published = 0

  private constructor(options: HarnessOptions) {
    this.files = options.files ?? new SimulatedFiles({ hasJournal: false })
    this.#uncommittedBytesMax = options.uncommittedBytesMax ?? 1024 * kibi
    this.#looksAtAll = options.looksAtAll ?? false
    this.#storedBefore = options.storedBefore ?? null
  }

  static async start(options: HarnessOptions = {}): Promise<StreamHarness> {
    const harness = new StreamHarness(options)
    await harness.#open()
    return harness
  }

  async #open(): Promise<void> {
    const process = new ProcessView(this.files)
    this.#process = process
    this.#runQueue = new RunQueue(this.clock)
    const logs = new LogDirectories({
      files: process,
      clock: this.clock,
      random: new SeededRandom(this.files.calls + 1),
      logger: silentLogger,
      root,
      name: 'stream',
      pageBytes,
      firstSegmentBytes: segmentBytes,
      cacheBytes: 6 * pageBytes,
      roomBytesMin: 0,
    })
    this.streams = new Streams({
      queues: noQueues,
      logs: {
        open: async (id) => {
          const log = await logs.open(id, segmentBytes)
          this.openLogs.set(id, log)
          return log
        },
        list: () => logs.list(),
        remove: (id) => logs.remove(id),
        isFar: async (id) => this.far.has(id),
      },
      clock: this.clock,
      runQueue: this.#runQueue,
      logger: silentLogger,
      uncommittedBytesMax: this.#uncommittedBytesMax,
      looksAtAll: this.#looksAtAll,
      storedBefore: () => this.#storedBefore,
      congestionChanged: (isCongested) => this.congestion.push(isCongested),
      roomChanged: (isFull) => this.room.push(isFull),
      fatal: (error) => this.fatal.push(error),
    })
    for (const definition of this.definitions.values()) definition.queue = this.streams.open(definition)
    await this.streams.start(this.topology)
  }

  /** Makes a stream whose definition is stored. */
  declare(name = 's', settings: Partial<QueueSettings> = {}): Queue {
    const definition: QueueDefinition = {
      ...definitionOf(1000 + this.definitions.size, name, true, settings),
      arguments: tableOf({ 'x-queue-type': 'stream' }),
    }
    this.definitions.set(name, definition)
    definition.queue = this.streams.open(definition)
    return definition.queue
  }

  queue(name = 's'): Queue {
    const queue = this.definitions.get(name)?.queue ?? null
    if (queue === null) throw new Error(`no stream '${name}'`)
    return queue
  }

  logOf(name = 's'): FileLog {
    const log = this.openLogs.get(this.queue(name).definition.id)
    if (log === undefined) throw new Error(`the log of '${name}' was never opened`)
    return log
  }

  /** Publishes with a confirm, and returns its number: the first is 1. */
  publish(body: string, options: MessageOptions & { readonly to?: string } = {}): number {
    const queue = this.queue(options.to)
    queue.shard.publish(messageOf(body, options), [queue], 1, this.confirms, ++this.#published)
    return this.#published
  }

  /** Publishes `count` messages in many commits: `<prefix>0`, `<prefix>1` …, filled up to `bytes`. */
  async publishMany(count: number, { bytes = 100, prefix = 'm' } = {}): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.publish(`${prefix}${index}`.padEnd(bytes, '.'))
      if (index % 50 === 49) await this.settle()
    }
    await this.settle()
  }

  /** Registers and activates; throws what the stream says against it. */
  async consume(
    args: { readonly [key: string]: PlainValue } = {},
    options: Partial<Consumer> & { readonly from?: string } = {},
  ): Promise<StreamConsumer> {
    const queue = this.queue(options.from)
    const sink = new StreamConsumer(++this.#ids, queue, { arguments: tableOf(args), ...options })
    await new Promise<void>((resolve, reject) => {
      queue.shard.register(sink.consumer, { done: () => resolve(), failed: reject })
    })
    queue.shard.activate(sink.consumer)
    await this.settle()
    return sink
  }

  cancel(sink: StreamConsumer): void {
    sink.consumer.queue.shard.unregister(sink.consumer, { done: () => {}, failed: () => {} })
  }

  async status(name = 's'): Promise<QueueStatus> {
    const queue = this.queue(name)
    return await new Promise((resolve, reject) => queue.shard.status(queue, { done: resolve, failed: reject }))
  }

  commitTopology(position: number): void {
    this.topology.committed = position
    this.streams.topologyCommitted()
  }

  /** Waits until nothing moves by itself any more. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 12; ) {
      const before = `${this.files.calls}/${this.#runQueue.length}`
      await new Promise<void>((resolve) => setImmediate(resolve))
      quiet = before === `${this.files.calls}/${this.#runQueue.length}` ? quiet + 1 : 0
    }
  }

  /** Lets time go on in steps, so that timers that others set are set in time. */
  async pass(ms: number, steps = 1): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.clock.advance(ms / steps)
      await this.settle()
    }
  }

  async restart(): Promise<void> {
    await this.streams.close()
    await this.#open()
  }

  async kill(): Promise<void> {
    this.#process.kill()
    await this.#open()
  }
}

const noQueues: ShardDirectory = {
  open: () => {
    throw new Error('only streams here')
  },
  drop: () => {},
  statusNow: () => ({ ready: 0, unacked: 0, consumers: 0 }),
  settingsChanged: () => {},
  redeclared: () => {},
}
