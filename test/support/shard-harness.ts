/**
 * A shard over in-memory logs with consumers that only remember: for tests of queues without sockets or disks. Opening
 * a second shard over the same logs is a restart: unclean unless `stop` was called before.
 */

import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../src/amqp/content-header.ts'
import { emptyTable } from '../../src/amqp/field-table.ts'
import { SystemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { RunQueue } from '../../src/base/run-queue.ts'
import { Message } from '../../src/broker/message.ts'
import type {
  ConfirmSink,
  Consumer,
  DeliverySink,
  Queue,
  ShardCommands,
  ShardTopology,
} from '../../src/broker/ports.ts'
import type { LocalQueue } from '../../src/broker/queue/local-queue.ts'
import { plainSettings, type QueueSettings } from '../../src/broker/queue/queue-settings.ts'
import { writeCleanStates } from '../../src/broker/shard/clean-stop.ts'
import { Shard } from '../../src/broker/shard/shard.ts'
import type { ShardOptions } from '../../src/broker/shard/shard-options.ts'
import type { QueueDefinition } from '../../src/broker/topology/queue-definition.ts'
import { type MemoryLog, memorySegmentBytes, openMemoryLog } from '../../src/log/memory/memory-log.ts'

export interface Delivered {
  readonly queue: string
  readonly sequence: number
  readonly text: string
  readonly isRedelivered: boolean
}

export class TestConsumer implements DeliverySink {
  isReady = true
  readonly received: Delivered[] = []
  readonly unsettled: Delivered[] = []
  isCancelled = false
  delivered = 0
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
      limit: 0,
      shared: null,
      timeoutMs: null,
      arguments: emptyTable,
      unacked: 0,
      isActive: false,
      isInTurn: false,
      isLeaving: false,
      ...options,
    }
  }

  deliver(consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const one = { queue: consumer.queue.definition.name, sequence, text: textOf(message), isRedelivered }
    this.received.push(one)
    this.delivered++
    if (!consumer.isNoAck) this.unsettled.push(one)
    message.chunks?.release()
  }

  leaseEnded(): void {}

  cancelled(): void {
    this.isCancelled = true
  }
}

export class TestConfirms implements ConfirmSink {
  readonly confirmed: number[] = []
  readonly refused: number[] = []

  confirm(sequence: number): void {
    this.confirmed.push(sequence)
  }

  refuse(sequence: number): void {
    this.refused.push(sequence)
  }
}

/** The message's body, or for a chunked one its size. */
export function textOf(message: Message): string {
  if (message.chunks !== null) return `chunks:${message.chunks.bodyBytes}`
  const content = Buffer.from(message.buffer.subarray(message.contentStart, message.contentEnd))
  return content.subarray(4 + content.readUInt32BE(0)).toString()
}

/** A message in parts form. */
export function messageOf(text: string, isPersistent: boolean, properties: SomeProperties = {}): Message {
  const message = new Message()
  const route = Buffer.from([0, 1, 0x71])
  const body = Buffer.from(text)
  const writer = new ByteWriter()
  writer.bytes(route, 0, route.length)
  const lengthAt = writer.reserve(4)
  encodeContentHeader(writer, body.length, properties)
  writer.patchUint32(lengthAt, writer.length - lengthAt - 4)
  writer.bytes(body, 0, body.length)
  message.buffer = writer.buffer.slice(0, writer.length)
  message.routeStart = 0
  message.routeEnd = route.length
  message.contentStart = route.length
  message.contentEnd = message.buffer.length
  message.isPersistent = isPersistent
  message.bodyBytes = body.length
  return message
}

export function definitionOf(
  id: number,
  name: string,
  isDurable = true,
  settings: Partial<QueueSettings> = {},
): QueueDefinition {
  return {
    id,
    vhost: '/',
    name,
    isDurable,
    isAutoDelete: false,
    exclusiveOwner: null,
    shardId: 0,
    arguments: emptyTable,
    settings: { ...plainSettings, ...settings },
    queue: null,
    counts: null,
  }
}

export class ShardHarness {
  readonly clock = new SystemClock()
  readonly runQueue = new RunQueue(this.clock)
  readonly topology: Mutable<ShardTopology> = { appended: 0, committed: 0, reroute: () => false, expireQueue: () => {} }
  readonly failures: Error[] = []
  readonly definitions: QueueDefinition[]
  readonly options: Partial<ShardOptions>
  log!: MemoryLog
  scratch!: MemoryLog
  shard!: Shard
  congestion: boolean[] = []
  readonly consumers: TestConsumer[] = []
  #ids = 0

  constructor(definitions: QueueDefinition[], options: Partial<ShardOptions> = {}) {
    this.definitions = definitions
    this.options = options
  }

  async start(): Promise<this> {
    this.log = await openMemoryLog({ clock: this.clock })
    return this.restart()
  }

  /** Opens the shard again from the same log, as after a kill: what was only in memory is gone. */
  async restart(): Promise<this> {
    this.kill()
    this.scratch = await openMemoryLog({ clock: this.clock })
    this.shard = await Shard.open({
      log: this.log,
      scratch: this.scratch,
      scratchSegmentBytes: memorySegmentBytes,
      topology: this.topology,
      clock: this.clock,
      random: new SeededRandom(1),
      runQueue: this.runQueue,
      logger: silentLogger,
      definitions: this.definitions,
      listener: {
        congestionChanged: (on) => this.congestion.push(on),
        roomChanged: () => {},
        failed: (error) => this.failures.push(error),
      },
      ...this.options,
    })
    return this
  }

  /** The shard object is dead from now on: it must not go on with the log that the next one opens. */
  kill(): void {
    this.log.listener?.failed(new Error('killed'))
    this.log.listener = null
    this.failures.length = 0
  }

  /** What a stop in good order writes, without closing the log: `restart` finds it. */
  async stop(): Promise<void> {
    await this.settle()
    writeCleanStates(
      this.log,
      this.definitions.map((definition) => this.queue(definition.name)),
      () => {},
    )
    await this.settle()
  }

  queue(name: string): LocalQueue {
    const definition = this.definitions.find((one) => one.name === name)
    if (definition === undefined) throw new Error(`no definition '${name}'`)
    return this.shard.queueOf(definition)
  }

  publish(
    text: string,
    names: string[],
    options: { isPersistent?: boolean; confirms?: ConfirmSink; sequence?: number } = {},
  ): void {
    const message = messageOf(text, options.isPersistent ?? true)
    const queues = names.map((name) => this.queue(name))
    this.commands.publish(message, queues, queues.length, options.confirms ?? null, options.sequence ?? 0)
  }

  get commands(): ShardCommands {
    return this.shard
  }

  consume(name: string, options: Partial<Consumer> = {}): TestConsumer {
    const sink = new TestConsumer(++this.#ids, this.queue(name), options)
    let error: Error | null = null
    this.shard.register(sink.consumer, { done: () => {}, failed: (reason) => (error = reason) })
    if (error !== null) throw error
    this.consumers.push(sink)
    this.shard.activate(sink.consumer)
    return sink
  }

  /** Waits until nothing moves by itself any more: commits, digests, loads, tasks. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 6; ) {
      const before = this.#activity()
      await new Promise<void>((resolve) => setImmediate(resolve))
      quiet = before === this.#activity() && this.runQueue.length === 0 ? quiet + 1 : 0
    }
  }

  #activity(): string {
    const delivered = this.consumers.reduce((sum, one) => sum + one.delivered, 0)
    return `${delivered}/${this.log.appended}/${this.log.committed}/${this.runQueue.length}/${this.log.segments.length}`
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
