/**
 * A broker of a few queues in memory, for tests of the server: it does what it is told at once, or later when the test
 * says so (results, confirms, topology's commit, the publish gate). It keeps no rules; those are tested with the real one.
 */

import { emptyTable } from '../../src/amqp/field-table.ts'
import { assert } from '../../src/base/assert.ts'
import { isLoopbackAddress } from '../../src/base/network.ts'
import type {
  AlarmReason,
  BindArguments,
  BrokerCommands,
  BrokerListener,
  ConsumeArguments,
  Declared,
  ExchangeArguments,
  LoginOrigin,
  LoginProof,
  Principal,
  QueueArguments,
  Route,
  Session,
  VhostCommands,
} from '../../src/broker/commands.ts'
import { BrokerError } from '../../src/broker/errors.ts'
import { Message } from '../../src/broker/message.ts'
import type { MessageTraits } from '../../src/broker/message-traits.ts'
import type {
  BodyWriter,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  Reply,
  ShardCommands,
} from '../../src/broker/ports.ts'
import { plainSettings } from '../../src/broker/queue/queue-settings.ts'
import { VhostCounts } from '../../src/broker/statistics/message-counts.ts'
import type { QueueDefinition } from '../../src/broker/topology/queue-definition.ts'

export class FakeBroker implements BrokerCommands {
  listener: BrokerListener | null = null
  topologyCommitted = 0
  publishGate: 'open' | 'congested' | 'blocked' = 'open'
  alarms: AlarmReason[] = []
  readonly vhost = new FakeVhost(this)
  /** While true, durable declares wait for `commitTopology`. */
  holdsTopology = false
  topologyAppended = 0
  /** While true, results of commands wait for `releaseResults`. */
  holdsResults = false
  /** While true, logins wait for `releaseLogins`. */
  holdsLogins = false
  /** While true, sessions that end wait for `releaseSessions`. */
  holdsSessions = false
  readonly closedSessions: number[] = []
  #results: (() => void)[] = []
  #logins: (() => void)[] = []
  #sessionEnds: (() => void)[] = []
  #sessions = 0

  login(proof: LoginProof, { address }: LoginOrigin, done: (principal: Principal | null) => void): void {
    const username = proof.kind === 'token' ? '' : (proof.username ?? '')
    const isProven = proof.kind === 'certificate' || (proof.kind === 'password' && proof.password === 'guest')
    const isRight = username === 'guest' && isProven && isLoopbackAddress(address)
    const answer = (): void => done(isRight ? { username, tags: [] } : null)
    if (this.holdsLogins) this.#logins.push(answer)
    else answer()
  }

  renewLogin(
    session: Session,
    _secret: string,
    _origin: LoginOrigin,
    done: (principal: Principal | null) => void,
  ): void {
    done(session.principal)
  }

  openSession(principal: Principal, vhost: string): Session {
    if (vhost === 'forbidden') {
      throw new BrokerError('not-allowed', `access to vhost 'forbidden' refused for user '${principal.username}'`)
    }
    if (vhost !== '/') throw new BrokerError('not-allowed', `vhost ${vhost} not found`)
    return { id: ++this.#sessions, principal, vhost: this.vhost, channels: null, channelLimitReached: null }
  }

  get topologyPending(): number {
    return this.topologyAppended > this.topologyCommitted ? this.topologyAppended : 0
  }

  closeSession(session: Session, done: () => void): void {
    this.closedSessions.push(session.id)
    this.vhost.calls.push(`closeSession ${session.id}`)
    this.vhost.dropExclusive(session.id)
    if (this.holdsSessions) this.#sessionEnds.push(done)
    else done()
  }

  releaseLogins(): void {
    for (const login of this.#logins.splice(0)) login()
  }

  releaseSessions(): void {
    for (const end of this.#sessionEnds.splice(0)) end()
  }

  later(step: () => void): void {
    if (this.holdsResults) this.#results.push(step)
    else step()
  }

  releaseResults(): void {
    this.holdsResults = false
    for (const result of this.#results.splice(0)) result()
  }

  /** The position a durable change is stored with. */
  appendTopology(isDurable: boolean): number {
    if (!isDurable) return 0
    this.topologyAppended++
    if (!this.holdsTopology) this.topologyCommitted = this.topologyAppended
    return this.topologyAppended
  }

  commitTopology(): void {
    this.topologyCommitted = this.topologyAppended
    this.listener?.topologyCommitted(this.topologyCommitted)
  }

  setGate(gate: 'open' | 'congested' | 'blocked', alarms: AlarmReason[] = []): void {
    this.publishGate = gate
    this.alarms = alarms
    this.listener?.publishGateChanged()
  }
}

interface Entry {
  readonly sequence: number
  readonly message: StoredMessage
  isRedelivered: boolean
  /** Null when it waits. */
  holder: Consumer | 'get' | null
}

interface StoredMessage {
  readonly bytes: Uint8Array
  readonly routeBytes: number
  readonly isFrames: boolean
  readonly isPersistent: boolean
  readonly bodyBytes: number
  readonly traits: MessageTraits | null
  readonly chunks: FakeBody | null
}

export class FakeQueue implements Queue {
  readonly definition: QueueDefinition
  readonly consumers = new Set<Consumer>()
  entries: Entry[] = []
  nextSequence = 1
  /** Counts what is published to it and keeps nothing. */
  isSink = false

  constructor(definition: QueueDefinition) {
    this.definition = definition
  }

  get shard(): ShardCommands {
    throw new Error('the server talks to the vhost')
  }

  get ready(): Entry[] {
    return this.entries.filter((entry) => entry.holder === null)
  }
}

export class FakeVhost implements VhostCommands {
  readonly name = '/'
  routingVersion = 1
  readonly counts = new VhostCounts()
  /** What the server did, in words. */
  readonly calls: string[] = []
  readonly queues = new Map<string, FakeQueue>()
  /** Bindings by exchange. */
  readonly exchanges = new Map<string, { key: string; queue: string }[]>([['amq.direct', []]])
  /** While true, confirms wait in `confirms`. */
  holdsConfirms = false
  readonly confirms: { sink: ConfirmSink; sequence: number }[] = []
  resolves = 0
  /** Reads of large bodies wait in `reads`. */
  holdsReads = false
  readonly reads: (() => void)[] = []
  readonly bodies: FakeBody[] = []
  /** Thrown by the next publish: a mistake of ours. */
  mistake: Error | null = null
  readonly #broker: FakeBroker
  #consumerIds = 0
  #names = 0

  constructor(broker: FakeBroker) {
    this.#broker = broker
  }

  queue(name: string): FakeQueue {
    const queue = this.queues.get(name)
    if (queue === undefined) throw new BrokerError('not-found', `no queue '${name}' in vhost '/'`)
    return queue
  }

  dropExclusive(session: number): void {
    for (const [name, queue] of this.queues) {
      if (queue.definition.exclusiveOwner === session) this.queues.delete(name)
    }
    this.routingVersion++
  }

  #answer<T>(reply: Reply<T>, command: () => { result: T; position: number }): void {
    this.#broker.later(() => {
      try {
        const { result, position } = command()
        reply.done(result, position)
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        reply.failed(error)
      }
    })
  }

  #changed<T>(reply: Reply<T>, isDurable: boolean, command: () => T): void {
    this.#answer(reply, () => {
      const result = command()
      this.routingVersion++
      return { result, position: this.#broker.appendTopology(isDurable) }
    })
  }

  declareExchange(_session: Session, args: ExchangeArguments, reply: Reply<boolean>): void {
    this.#changed(reply, args.isDurable, () => {
      const isNew = !this.exchanges.has(args.name)
      if (isNew) this.exchanges.set(args.name, [])
      return isNew
    })
  }

  deleteExchange(_session: Session, name: string, _ifUnused: boolean, reply: Reply<void>): void {
    this.#changed(reply, true, () => void this.exchanges.delete(name))
  }

  bindExchange(_session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.calls.push(`bindExchange ${args.source} ${args.destination} ${args.bindingKey}`)
    this.#changed(reply, true, () => true)
  }

  unbindExchange(_session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.calls.push(`unbindExchange ${args.source} ${args.destination} ${args.bindingKey}`)
    this.#changed(reply, true, () => true)
  }

  declareQueue(session: Session, args: QueueArguments, reply: Reply<Declared>): void {
    const name = args.name === '' ? `amq.gen-${++this.#names}` : args.name
    if (args.isPassive) {
      this.#answer(reply, () => ({ result: this.#declared(this.queue(name)), position: 0 }))
      return
    }
    this.#changed(reply, args.isDurable, () => {
      const isNew = !this.queues.has(name)
      if (isNew) {
        const exclusiveOwner = args.isExclusive ? session.id : null
        const definition = {
          id: this.queues.size + 1,
          vhost: '/',
          name,
          isDurable: args.isDurable,
          isAutoDelete: false,
          shardId: 0,
          settings: plainSettings,
        }
        this.queues.set(
          name,
          new FakeQueue({ ...definition, exclusiveOwner, arguments: emptyTable, queue: null, counts: null }),
        )
      }
      return this.#declared(this.queue(name), isNew)
    })
  }

  #declared(queue: FakeQueue, isNew = false): Declared {
    const ready = queue.ready.length
    const unacked = queue.entries.length - ready
    return { name: queue.definition.name, isNew, ready, unacked, consumers: queue.consumers.size }
  }

  deleteQueue(_session: Session, name: string, _conditions: unknown, reply: Reply<number>): void {
    this.#changed(reply, true, () => {
      const queue = this.queues.get(name)
      if (queue === undefined) return 0
      this.queues.delete(name)
      for (const consumer of queue.consumers) consumer.sink.cancelled(consumer)
      return queue.ready.length
    })
  }

  purgeQueue(_session: Session, name: string, reply: Reply<number>): void {
    this.#answer(reply, () => {
      const queue = this.queue(name)
      const count = queue.ready.length
      queue.entries = queue.entries.filter((entry) => entry.holder !== null)
      return { result: count, position: 0 }
    })
  }

  bindQueue(_session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.calls.push(`bindQueue ${args.source} ${args.destination} ${args.bindingKey}`)
    this.#changed(reply, true, () => {
      this.exchanges.get(args.source)?.push({ key: args.bindingKey, queue: args.destination })
      return true
    })
  }

  unbindQueue(_session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.calls.push(`unbindQueue ${args.source} ${args.destination} ${args.bindingKey}`)
    this.#changed(reply, true, () => true)
  }

  readableQueue(_session: Session, name: string): Queue {
    return this.queue(name)
  }

  checkPublish(_session: Session, exchange: string): void {
    if (exchange !== '' && !this.exchanges.has(exchange)) {
      throw new BrokerError('not-found', `no exchange '${exchange}' in vhost '/'`)
    }
  }

  resolve(
    session: Session,
    exchange: string,
    routingKey: string,
    _message: Message,
    route: Route,
    moreKeys: readonly string[] = [],
  ): void {
    this.checkPublish(session, exchange)
    this.resolves++
    const keys = [routingKey, ...moreKeys]
    const bindings = exchange === '' ? keys.map((key) => ({ key, queue: key })) : this.exchanges.get(exchange)
    const names = new Set((bindings ?? []).filter(({ key }) => keys.includes(key)).map(({ queue }) => queue))
    route.count = 0
    for (const name of names) {
      const target = this.queues.get(name)
      if (target !== undefined) route.queues[route.count++] = target
    }
    route.version = this.routingVersion
    route.isCacheable = true
  }

  publish(route: Route, message: Message, confirms: ConfirmSink | null, sequence: number): void {
    assert(route.count > 0, 'an unroutable message is the server’s')
    if (this.mistake !== null) throw this.mistake
    const stored = store(message)
    for (const queue of route.queues.slice(0, route.count)) {
      assert(queue instanceof FakeQueue, 'a route leads to our queues')
      const sequence = queue.nextSequence++
      if (queue.isSink) continue
      queue.entries.push({ sequence, message: stored, isRedelivered: false, holder: null })
      this.pump(queue)
    }
    if (confirms === null) return
    if (this.holdsConfirms) this.confirms.push({ sink: confirms, sequence })
    else confirms.confirm(sequence)
  }

  openBody(_route: Route, _isPersistent: boolean, bodyBytes: number): BodyWriter {
    const body = new FakeBody(this, bodyBytes)
    this.bodies.push(body)
    return body
  }

  get(_session: Session, name: string, isNoAck: boolean, sink: GetSink): void {
    this.#broker.later(() => {
      const queue = this.queues.get(name)
      if (queue === undefined) return sink.failed(new BrokerError('not-found', `no queue '${name}' in vhost '/'`))
      const [entry] = queue.ready
      if (entry === undefined) return sink.empty()
      entry.holder = 'get'
      if (isNoAck) queue.entries = queue.entries.filter((other) => other !== entry)
      sink.message(queue, viewOf(entry.message), entry.sequence, entry.isRedelivered, queue.ready.length)
    })
  }

  consume(_session: Session, args: ConsumeArguments, reply: Reply<Consumer>): void {
    this.#answer(reply, () => {
      const queue = this.queue(args.queue)
      if ([...queue.consumers].some((other) => other.isExclusive || args.isExclusive)) {
        throw new BrokerError('access-refused', `queue '${args.queue}' in vhost '/' in exclusive use`)
      }
      const { tag, sink, isNoAck, isExclusive, limit, shared } = args
      const more = { timeoutMs: null, arguments: args.arguments }
      const counts = { unacked: 0, isActive: false, isInTurn: false, isLeaving: false }
      const id = ++this.#consumerIds
      return {
        result: { id, tag, queue, sink, isNoAck, isExclusive, priority: 0, limit, shared, ...more, ...counts },
        position: 0,
      }
    })
  }

  activate(consumer: Consumer): void {
    this.calls.push(`activate ${consumer.tag}`)
    const queue = this.#queueOf(consumer.queue)
    consumer.isActive = true
    queue.consumers.add(consumer)
    this.pump(queue)
  }

  cancel(consumer: Consumer, reply: Reply<void>): void {
    this.calls.push(`cancel ${consumer.tag}`)
    this.#answer(reply, () => {
      consumer.isActive = false
      this.#queueOf(consumer.queue).consumers.delete(consumer)
      return { result: undefined, position: 0 }
    })
  }

  resume(consumer: Consumer): void {
    this.pump(this.#queueOf(consumer.queue))
  }

  listScheduled(): void {}

  cancelScheduled(): void {}

  reschedule(): void {}

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    this.calls.push(`extendLease ${queue.definition.name} ${consumer?.tag ?? '-'} ${sequence} ${ms}`)
  }

  settle(target: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    const queue = this.#queueOf(target)
    this.calls.push(`settle ${queue.definition.name} ${consumer?.tag ?? '-'} ${first}-${last} ${outcome}`)
    const holder = consumer ?? 'get'
    for (const entry of [...queue.entries]) {
      if (entry.holder !== holder || entry.sequence < first || entry.sequence > last) continue
      if (consumer !== null) consumer.unacked--
      if (consumer?.shared !== null && consumer !== null) consumer.shared.unacked--
      entry.holder = null
      entry.isRedelivered = true
      if (outcome === 'ack' || outcome === 'reject') queue.entries = queue.entries.filter((other) => other !== entry)
    }
    this.pump(queue)
  }

  /** Delivers what can be delivered, to the first consumer that can take it. */
  pump(queue: FakeQueue): void {
    for (const entry of queue.ready) {
      const consumer = [...queue.consumers].find(canTake)
      if (consumer === undefined) return
      entry.holder = consumer
      if (consumer.isNoAck) queue.entries = queue.entries.filter((other) => other !== entry)
      else {
        consumer.unacked++
        if (consumer.shared !== null) consumer.shared.unacked++
      }
      consumer.sink.deliver(consumer, viewOf(entry.message), entry.sequence, entry.isRedelivered)
    }
  }

  #queueOf(queue: Queue): FakeQueue {
    assert(queue instanceof FakeQueue, 'it is one of our queues')
    return queue
  }
}

function canTake(consumer: Consumer): boolean {
  if (!consumer.isActive || !consumer.sink.isReady) return false
  if (consumer.isNoAck) return true
  const { shared, limit, unacked } = consumer
  return (limit === 0 || unacked < limit) && (shared === null || shared.limit === 0 || shared.unacked < shared.limit)
}

/** A large body in memory. */
export class FakeBody implements BodyWriter {
  readonly bodyBytes: number
  readonly pieces: Uint8Array[] = []
  isAbandoned = false
  isPublished = false
  /** How often it was given to a sink, and how often that said it was done with it. */
  grants = 0
  releases = 0
  readonly #vhost: FakeVhost

  constructor(vhost: FakeVhost, bodyBytes: number) {
    this.#vhost = vhost
    this.bodyBytes = bodyBytes
  }

  get count(): number {
    return this.pieces.length
  }

  append(buffer: Uint8Array, start: number, end: number): void {
    this.pieces.push(buffer.slice(start, end))
  }

  abandon(): void {
    this.isAbandoned = true
  }

  read(index: number, done: (error: Error | null, buffer: Uint8Array, start: number, end: number) => void): void {
    const piece = this.pieces[index]
    assert(piece !== undefined, 'a piece that is read has been written')
    const step = (): void => done(null, piece, 0, piece.length)
    if (this.#vhost.holdsReads) this.#vhost.reads.push(step)
    else step()
  }

  release(): void {
    this.releases++
  }
}

function store(message: Message): StoredMessage {
  const route = message.buffer.subarray(message.routeStart, message.routeEnd)
  const content = message.buffer.subarray(message.contentStart, message.contentEnd)
  const { isFrames, isPersistent, bodyBytes, chunks } = message
  assert(chunks === null || chunks instanceof FakeBody, 'a large body is ours')
  if (chunks !== null) chunks.isPublished = true
  return {
    bytes: new Uint8Array([...route, ...content]),
    routeBytes: route.length,
    isFrames,
    isPersistent,
    bodyBytes,
    traits: message.traits?.copy() ?? null,
    chunks,
  }
}

function viewOf(stored: StoredMessage): Message {
  const message = new Message()
  message.buffer = stored.bytes
  message.routeEnd = stored.routeBytes
  message.contentStart = stored.routeBytes
  message.contentEnd = stored.bytes.length
  message.isFrames = stored.isFrames
  message.isPersistent = stored.isPersistent
  message.bodyBytes = stored.bodyBytes
  message.chunks = stored.chunks
  if (stored.chunks !== null) stored.chunks.grants++
  return message
}
