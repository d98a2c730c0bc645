import { emptyTable, type PlainValue, tableOf } from '../../src/amqp/field-table.ts'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { RunQueue } from '../../src/base/run-queue.ts'
import { Broker } from '../../src/broker/broker.ts'
import type {
  BindArguments,
  ConsumeArguments,
  ExchangeArguments,
  QueueArguments,
  Route,
} from '../../src/broker/commands.ts'
import { BrokerError } from '../../src/broker/errors.ts'
import { Message } from '../../src/broker/message.ts'
import type {
  BodyWriter,
  BrowsedMessage,
  BrowsePage,
  ConfirmSink,
  Consumer,
  GetSink,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  ShardCommands,
  ShardDirectory,
} from '../../src/broker/ports.ts'
import type { BrokerSession } from '../../src/broker/session.ts'
import type { QueueDefinition } from '../../src/broker/topology/queue-definition.ts'
import { Topology } from '../../src/broker/topology/topology.ts'
import { TestLog } from './test-log.ts'

/**
 * Broker, vhosts and topology over a log in memory, with shards that only note what they are told: for tests of what
 * exists, who may do what, and where messages go.
 */
export class BrokerHarness {
  readonly clock = new ManualClock()
  readonly shards = new NotedShards()
  readonly topology: Topology
  readonly broker: Broker
  readonly log: TestLog
  failure: Error | null = null

  private constructor(log: TestLog) {
    this.log = log
    this.topology = new Topology({
      directory: this.shards,
      runQueue: new RunQueue(this.clock),
      random: new SeededRandom(3),
      logger: silentLogger,
      onFailed: (error) => {
        this.failure = error
      },
    })
    this.broker = new Broker({
      topology: this.topology,
      clock: this.clock,
      random: new SeededRandom(7),
      logger: silentLogger,
      // Nothing is held back where time stands still.
      throttle: { failuresPerAddressMax: 10_000, failuresPerUserMax: 10_000 },
      verifier: { verify: (stored, password, done) => setImmediate(() => done(stored.endsWith(`$${password}`))) },
    })
  }

  static async open(log = new TestLog()): Promise<BrokerHarness> {
    const harness = new BrokerHarness(log)
    log.listener = harness.topology.logListener
    await harness.topology.open(log)
    return harness
  }

  /** A session of `guest`, who may do everything. */
  session(username = 'guest', vhost = '/'): BrokerSession {
    return this.broker.openSession({ username, tags: [] }, vhost)
  }

  /** A session of a new user with these patterns. */
  sessionWith(configure: string, write: string, read: string): BrokerSession {
    const name = `user-${this.topology.users.size}`
    this.topology.putUser(name, 'plain$secret', [])
    void this.broker.putPermission(name, '/', { configure, write, read })
    return this.session(name)
  }

  /** Waits until the run queue has nothing left to do. */
  async idle(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve))
    while (this.topology.runQueue.length > 0)
  }
}

// ---------------------------------------------------------------- shards

/** Where queues live, in as many shards as a test asks for. */
export class NotedShards implements ShardDirectory {
  readonly shards: NotedShard[] = [new NotedShard()]
  readonly opened: string[] = []
  readonly dropped: string[] = []
  readonly changed: string[] = []
  readonly statuses = new Map<number, { ready: number; unacked: number; consumers: number }>()
  /** What statuses are thought to be, where that is something else: told of another node some time ago. */
  readonly told = new Map<number, { ready: number; unacked: number; consumers: number }>()
  /** Chooses the shard of a queue. */
  place: (definition: QueueDefinition) => number = () => 0

  open(definition: QueueDefinition): Queue {
    const index = this.place(definition)
    const shard = this.shards[index] ?? new NotedShard()
    this.shards[index] = shard
    shard.statuses = this.statuses
    this.statuses.set(definition.id, { ready: 0, unacked: 0, consumers: 0 })
    this.opened.push(definition.name)
    return { definition, shard }
  }

  drop(queue: Queue): void {
    this.dropped.push(queue.definition.name)
    this.statuses.delete(queue.definition.id)
  }

  statusNow(queue: Queue): QueueStatus {
    const { id } = queue.definition
    return this.told.get(id) ?? this.statuses.get(id) ?? { ready: 0, unacked: 0, consumers: 0 }
  }

  settingsChanged(queue: Queue): void {
    this.changed.push(queue.definition.name)
  }

  redeclared(_queue: Queue): void {}
}

export interface NotedPublish {
  readonly queues: string[]
  readonly confirms: ConfirmSink | null
  readonly sequence: number
  readonly body: unknown
}

export class NotedShard implements ShardCommands {
  /** Nobody serves the queues: whoever asks for a status is refused, which is counted. */
  isServed = true
  refusals = 0
  statuses = new Map<number, { ready: number; unacked: number; consumers: number }>()
  readonly calls: string[] = []
  readonly published: NotedPublish[] = []
  readonly bodies: NotedBody[] = []

  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    const names = queues.slice(0, count).map((queue) => queue.definition.name)
    this.published.push({ queues: names, confirms, sequence, body: message.chunks })
  }

  extendLease(): void {}

  listScheduled(_queue: Queue, _after: number, _limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    reply.done([], 0)
  }

  cancelScheduled(_queue: Queue, _messageId: string, reply: Reply<number>): void {
    reply.done(0, 0)
  }

  reschedule(_queue: Queue, _messageId: string, _dueAt: number, reply: Reply<number>): void {
    reply.done(0, 0)
  }

  browse(queue: Queue, _page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.calls.push(`browse ${queue.definition.name}`)
    reply.done([], 0)
  }

  forget(queue: Queue, sequence: number, reply: Reply<number>): void {
    this.calls.push(`forget ${queue.definition.name} ${sequence}`)
    reply.done(0, 0)
  }

  openBody(_isPersistent: boolean, bodyBytes: number): BodyWriter {
    const body = new NotedBody(bodyBytes)
    this.bodies.push(body)
    return body
  }

  get(queue: Queue, _isNoAck: boolean, sink: GetSink): void {
    this.calls.push(`get ${queue.definition.name}`)
    sink.empty()
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    this.calls.push(`register ${consumer.tag}`)
    this.#count(consumer, 1)
    reply.done(-1, 0)
  }

  activate(consumer: Consumer): void {
    this.calls.push(`activate ${consumer.tag}`)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    this.calls.push(`unregister ${consumer.tag}`)
    reply.done(this.#count(consumer, -1), 0)
  }

  resume(consumer: Consumer): void {
    this.calls.push(`resume ${consumer.tag}`)
  }

  settle(queue: Queue, _consumer: Consumer | null, first: number, last: number, outcome: string): void {
    this.calls.push(`settle ${queue.definition.name} ${first}-${last} ${outcome}`)
  }

  purge(queue: Queue, reply: Reply<number>): void {
    this.calls.push(`purge ${queue.definition.name}`)
    reply.done(this.statuses.get(queue.definition.id)?.ready ?? 0, 0)
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    if (!this.isServed) {
      this.refusals++
      reply.failed(new BrokerError('internal-error', 'nobody serves it'))
      return
    }
    reply.done(this.statuses.get(queue.definition.id) ?? { ready: 0, unacked: 0, consumers: 0 }, 0)
  }

  #count(consumer: Consumer, change: number): number {
    const status = this.statuses.get(consumer.queue.definition.id)
    if (status === undefined) return 0
    status.consumers += change
    return status.consumers
  }
}

export class NotedBody implements BodyWriter {
  readonly count = 1
  readonly bodyBytes: number
  appended = 0
  isAbandoned = false

  constructor(bodyBytes: number) {
    this.bodyBytes = bodyBytes
  }

  append(_buffer: Uint8Array, start: number, end: number): void {
    this.appended += end - start
  }

  abandon(): void {
    this.isAbandoned = true
  }

  read(): void {}

  release(): void {}
}

// ---------------------------------------------------------------- arguments and answers

type Table = { readonly [key: string]: PlainValue }

export function exchangeArguments(
  name: string,
  type: string,
  options: Partial<Omit<ExchangeArguments, 'arguments'>> & { arguments?: Table } = {},
): ExchangeArguments {
  const flags = { isPassive: false, isDurable: false, isAutoDelete: false, isInternal: false }
  return { name, type, ...flags, ...options, arguments: tableOf(options.arguments ?? {}) }
}

export function queueArguments(
  name: string,
  options: Partial<Omit<QueueArguments, 'arguments'>> & { arguments?: Table } = {},
): QueueArguments {
  const flags = { isPassive: false, isDurable: false, isExclusive: false, isAutoDelete: false }
  return { name, ...flags, ...options, arguments: tableOf(options.arguments ?? {}) }
}

export function bindArguments(source: string, destination: string, bindingKey = '', table: Table = {}): BindArguments {
  return { source, destination, bindingKey, arguments: tableOf(table) }
}

export function consumeArguments(
  queue: string,
  tag: string,
  options: Partial<ConsumeArguments> = {},
): ConsumeArguments {
  return {
    queue,
    tag,
    isNoAck: false,
    isExclusive: false,
    arguments: emptyTable,
    limit: 0,
    shared: null,
    sink: { isReady: true, deliver: () => {}, leaseEnded: () => {}, cancelled: () => {} },
    ...options,
  }
}

/** The answer of a command: its result and what it waits for. Throws what the command failed with. */
export function answer<T>(command: (reply: Reply<T>) => void): { result: T; position: number } {
  const answers: ({ result: T; position: number } | BrokerError)[] = []
  command({
    done: (result, position) => answers.push({ result, position }),
    failed: (error) => answers.push(error),
  })
  const [only] = answers
  if (answers.length !== 1 || only === undefined) throw new Error(`${answers.length} answers instead of one`)
  if (only instanceof BrokerError) throw only
  return only
}

/** For `assert.throws`: the kind and the whole text of a refusal. */
export function refusal(kind: BrokerError['kind'], text: string): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof BrokerError)) throw error
    if (error.kind !== kind || error.message !== text) {
      throw new Error(`expected ${kind} - ${text}\n     got ${error.kind} - ${error.message}`)
    }
    return true
  }
}

export function newRoute(): Route {
  return { queues: [], count: 0, hasDurable: false, version: -1, isCacheable: true, exchangeCounts: null }
}

/** The names of the queues a message with these headers goes to, in order of name. */
export function routed(session: BrokerSession, exchange: string, key: string, headers: Table = {}): string[] {
  const route = newRoute()
  session.vhost.resolve(session, exchange, key, messageWith(headers), route)
  return route.queues
    .slice(0, route.count)
    .map((queue) => queue.definition.name)
    .sort()
}

/** A message in parts, with headers and no body. */
export function messageWith(headers: Table): Message {
  const table = tableOf(headers).bytes
  const payload = Buffer.alloc(18 + table.length)
  payload.writeUInt16BE(60, 0)
  payload.writeUInt16BE(0x2000, 12)
  payload.writeUInt32BE(table.length, 14)
  payload.set(table, 18)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(payload.length)
  const message = new Message()
  message.buffer = Buffer.concat([length, payload])
  message.contentEnd = message.buffer.length
  return message
}

/** The same message as it comes over the wire, in frames. */
export function inFrames(message: Message): Message {
  const payload = message.buffer.subarray(4)
  const framed = new Message()
  framed.isFrames = true
  const prefix = Buffer.from([0xaa, 2, 0, 1, 0, 0, 0, 0])
  prefix.writeUInt32BE(payload.length, 4)
  framed.contentStart = 1
  framed.buffer = Buffer.concat([prefix, payload, Buffer.from([0xce])])
  framed.contentEnd = framed.buffer.length
  return framed
}
