import { assert } from '../base/assert.ts'
import { type Random, randomName } from '../base/random.ts'
import type { Position } from '../log/log.ts'
import type { SessionRights } from './access/authorise.ts'
import type {
  BindArguments,
  ConsumeArguments,
  Declared,
  ExchangeArguments,
  QueueArguments,
  Route,
  Session,
  VhostCommands,
} from './commands.ts'
import { RegisteredConsumer } from './consumer.ts'
import { BrokerError } from './errors.ts'
import type { Message } from './message.ts'
import type {
  BodyWriter,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
} from './ports.ts'
import { openRoutedBody, publishRouted } from './publication.ts'
import { BrokerSession } from './session.ts'
import type { DeclaredQueue } from './topology/declared-queue.ts'
import { checkSameQueue } from './topology/equivalence.ts'
import type { Exchange } from './topology/exchange.ts'
import { shown, withoutLineBreaks } from './topology/names.ts'
import { consumerPriority, consumerTimeoutMs } from './topology/queue-arguments.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import { type TopologyAuthority, withResult } from './topology-authority.ts'
import { VhostBindings } from './vhost-bindings.ts'
import { VhostExchanges } from './vhost-exchanges.ts'
import * as rules from './vhost-rules.ts'

/**
 * One vhost as a channel sees it: who may do it, whether it fits what there is, then topology or the queue's shard.
 *
 * Every command first asks for the session's rights on all names it was given; nothing of what exists is looked at
 * before, so that a refusal does not tell what is there. Topology changes at once; the reply carries the position that
 * the client's answer waits for.
 */
export class Vhost implements VhostCommands {
  readonly #parts: VhostParts
  readonly counts: VhostState['counts']
  readonly #state: VhostState
  readonly #topology: Topology
  readonly #bindings: VhostBindings
  readonly #exchanges: VhostExchanges

  constructor(state: VhostState, parts: VhostParts) {
    this.#parts = parts
    this.#state = state
    this.counts = state.counts
    this.#topology = parts.topology
    this.#bindings = new VhostBindings(state, parts)
    this.#exchanges = new VhostExchanges(state, parts)
  }

  get name(): string {
    return this.#state.name
  }

  get routingVersion(): number {
    return this.#state.version
  }

  // ---------------------------------------------------------------- exchanges

  declareExchange(session: Session, args: ExchangeArguments, reply: Reply<boolean>): void {
    this.#exchanges.declare(this.#actor(session), args, reply)
  }

  deleteExchange(session: Session, name: string, ifUnused: boolean, reply: Reply<void>): void {
    this.#exchanges.delete(this.#actor(session), name, ifUnused, reply)
  }

  bindExchange(session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.#bindings.bindExchange(this.#actor(session), args, reply)
  }

  unbindExchange(session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.#bindings.unbindExchange(this.#actor(session), args, reply)
  }

  // ---------------------------------------------------------------- queues

  declareQueue(session: Session, args: QueueArguments, reply: Reply<Declared>): void {
    const rights = this.#rightsOf(session)
    const given = withoutLineBreaks(args.name)
    if (args.isPassive) {
      rights.authoriseAny('queue', given)
      this.#status(rules.usableQueue(this.#state, session, given), reply)
      return
    }
    const name = given === '' ? this.#freeName() : given
    rights.authorise('configure', 'queue', name)
    const properties = rules.queueProperties(name, args, { session, vhost: this.#state })
    const known = this.#state.queues.get(name)
    this.#state.churn.declared++
    if (known === undefined) {
      this.#declareNewQueue(this.#actor(session), name, { ...args, name: given }, reply)
      return
    }
    rules.checkSameOwner(known, properties)
    checkSameQueue(known, properties)
    this.#status(known, reply)
  }

  #declareNewQueue(by: BrokerSession, name: string, args: QueueArguments, reply: Reply<Declared>): void {
    if (args.isExclusive) by.mayOwnQueues = true
    this.#parts.authority.ask(
      { kind: 'declare-queue', by, name, args },
      {
        done: ({ isNew }, position) => {
          const queue = isNew ? undefined : this.#state.queues.get(name)
          // Somebody else was a little faster.
          if (queue !== undefined) this.#status(queue, reply)
          else reply.done({ name, isNew: true, ready: 0, unacked: 0, consumers: 0 }, position)
        },
        failed: (error) => reply.failed(error),
      },
    )
  }

  deleteQueue(
    session: Session,
    name: string,
    conditions: { ifUnused: boolean; ifEmpty: boolean },
    reply: Reply<number>,
  ): void {
    const rights = this.#rightsOf(session)
    const stripped = withoutLineBreaks(name)
    rights.authorise('configure', 'queue', stripped)
    const queue = this.#state.queues.get(stripped)
    if (queue === undefined) {
      reply.done(0, this.#topology.pending)
      return
    }
    rules.checkOwner(session, queue)
    const handle = handleOf(queue)
    // A command like the publishes before it, so that it counts them.
    handle.shard.status(handle, {
      done: (status) => this.#deleteCounted(queue, status, conditions, reply),
      failed: (error) => reply.failed(error),
    })
  }

  #deleteCounted(
    queue: DeclaredQueue,
    { ready, consumers }: QueueStatus,
    conditions: { ifUnused: boolean; ifEmpty: boolean },
    reply: Reply<number>,
  ): void {
    const what = shown('queue', queue.name, this.name)
    if (this.#state.queues.get(queue.name) !== queue) reply.done(0, this.#topology.pending)
    else if (conditions.ifUnused && consumers > 0) {
      reply.failed(new BrokerError('precondition-failed', `${what} in use`))
    } else if (conditions.ifEmpty && ready > 0) {
      reply.failed(new BrokerError('precondition-failed', `${what} not empty`))
    } else {
      this.#parts.authority.ask(
        { kind: 'remove', id: queue.id, ifUnused: false, isOwed: false },
        withResult(reply, ready),
      )
    }
  }

  purgeQueue(session: Session, name: string, reply: Reply<number>): void {
    const queue = this.readableQueue(session, name)
    queue.shard.purge(queue, reply)
  }

  bindQueue(session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.#bindings.bindQueue(this.#actor(session), args, reply)
  }

  unbindQueue(session: Session, args: BindArguments, reply: Reply<boolean>): void {
    this.#bindings.unbindQueue(this.#actor(session), args, reply)
  }

  // ---------------------------------------------------------------- publish

  checkPublish(session: Session, exchange: string): void {
    this.#publishable(this.#rightsOf(session), exchange)
  }

  /** The exchange, if it may be published to. */
  #publishable(rights: SessionRights, name: string): Exchange {
    rights.authorise('write', 'exchange', name)
    const exchange = rules.existingExchange(this.#state, name)
    if (!exchange.isInternal) return exchange
    throw new BrokerError('access-refused', `cannot publish to internal ${shown('exchange', name, this.name)}`)
  }

  resolve(
    session: Session,
    exchange: string,
    routingKey: string,
    message: Message,
    route: Route,
    moreKeys: readonly string[] = [],
  ): void {
    const rights = this.#rightsOf(session)
    const from = this.#publishable(rights, exchange)
    if (from.routingType === 'topic') {
      rights.authoriseTopic('write', exchange, routingKey)
      for (const key of moreKeys) rights.authoriseTopic('write', exchange, key)
    }
    this.#topology.router.fill(route, from, routingKey, message, moreKeys)
    route.version = this.#state.version
  }

  publish(route: Route, message: Message, confirms: ConfirmSink | null, sequence: number): void {
    publishRouted(this.counts, route, message, confirms, sequence)
  }

  openBody(route: Route, isPersistent: boolean, bodyBytes: number): BodyWriter {
    return openRoutedBody(route, isPersistent, bodyBytes)
  }

  // ---------------------------------------------------------------- consume

  get(session: Session, name: string, isNoAck: boolean, sink: GetSink): void {
    const queue = this.readableQueue(session, name)
    queue.shard.get(queue, isNoAck, sink)
  }

  consume(session: Session, args: ConsumeArguments, reply: Reply<Consumer>): void {
    const name = withoutLineBreaks(args.queue)
    this.#rightsOf(session).authorise('read', 'queue', name)
    const queue = handleOf(rules.usableQueue(this.#state, session, name))
    const what = shown('queue', name, this.name)
    const priority = consumerPriority(what, args.arguments)
    const timeoutMs = consumerTimeoutMs(what, args.arguments)
    const consumer = new RegisteredConsumer(this.#parts.nextConsumerId(), queue, { priority, timeoutMs }, args)
    queue.shard.register(consumer, {
      done: (_, committedWith) => reply.done(consumer, committedWith),
      failed: (error) => reply.failed(error),
    })
  }

  activate(consumer: Consumer): void {
    consumer.queue.shard.activate(consumer)
  }

  cancel(consumer: Consumer, reply: Reply<void>): void {
    consumer.queue.shard.unregister(consumer, {
      done: (left, committedWith) => {
        if (left === 0) this.#removeUnused(consumer.queue, reply, committedWith)
        else reply.done(undefined, committedWith)
      },
      failed: (error) => reply.failed(error),
    })
  }

  resume(consumer: Consumer): void {
    consumer.queue.shard.resume(consumer)
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    queue.shard.settle(queue, consumer, first, last, outcome)
  }

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    queue.shard.extendLease(queue, consumer, sequence, ms)
  }

  // ---------------------------------------------------------------- what waits for its time

  listScheduled(
    session: Session,
    name: string,
    { after, limit }: { after: number; limit: number },
    reply: Reply<readonly ScheduledMessage[]>,
  ): void {
    const queue = this.readableQueue(session, name)
    queue.shard.listScheduled(queue, after, limit, reply)
  }

  cancelScheduled(session: Session, name: string, messageId: string, reply: Reply<number>): void {
    const queue = this.readableQueue(session, name)
    queue.shard.cancelScheduled(queue, messageId, reply)
  }

  reschedule(session: Session, name: string, messageId: string, dueAt: number, reply: Reply<number>): void {
    const queue = this.readableQueue(session, name)
    if (!Number.isSafeInteger(dueAt) || dueAt < 0)
      throw new BrokerError('precondition-failed', `invalid time ${dueAt}: milliseconds since 1970 are needed`)
    queue.shard.reschedule(queue, messageId, dueAt, reply)
  }

  readableQueue(session: Session, given: string): Queue {
    const name = withoutLineBreaks(given)
    this.#rightsOf(session).authorise('read', 'queue', name)
    return handleOf(rules.usableQueue(this.#state, session, name))
  }

  // ---------------------------------------------------------------- parts of the above

  #rightsOf(session: Session): SessionRights {
    return this.#actor(session).rights
  }

  #actor(session: Session): BrokerSession {
    assert(session instanceof BrokerSession && session.vhost === this, 'a session is used in the vhost it opened')
    if (this.#state.isClosed) throw new BrokerError('not-allowed', `vhost ${this.name} not found`)
    return session
  }

  #status(queue: DeclaredQueue, reply: Reply<Declared>): void {
    const handle = handleOf(queue)
    this.#topology.redeclared(handle)
    handle.shard.status(handle, {
      done: (status, committedWith) => {
        const { ready, unacked, consumers } = status
        const position = Math.max(committedWith, this.#topology.pendingOf(queue))
        reply.done({ name: queue.name, isNew: false, ready, unacked, consumers }, position)
      },
      failed: (error) => reply.failed(error),
    })
  }

  #freeName(): string {
    for (;;) {
      const name = `amq.gen-${randomName(this.#parts.random, 22)}`
      if (!this.#state.queues.has(name)) return name
    }
  }

  /** An auto-delete queue goes with its last consumer, unless a new one has come meanwhile. */
  #removeUnused(queue: Queue, reply: Reply<void>, committedWith: Position): void {
    const answer = (removed: Position): void => reply.done(undefined, Math.max(removed, committedWith))
    if (this.#autoDeleteQueue(queue) === null) {
      answer(0)
      return
    }
    queue.shard.status(queue, {
      done: ({ consumers }) => {
        const unused = consumers === 0 ? this.#autoDeleteQueue(queue) : null
        if (unused === null) return answer(0)
        const change = { kind: 'remove', id: unused.id, ifUnused: false, isOwed: true } as const
        this.#parts.authority.ask(change, { done: (_, removed) => answer(removed), failed: () => answer(0) })
      },
      failed: () => answer(0),
    })
  }

  /** The declaration behind a handle, if it is still there and goes by itself. */
  #autoDeleteQueue(queue: Queue): DeclaredQueue | null {
    const declared = this.#state.queues.get(queue.definition.name)
    return declared?.id === queue.definition.id && declared.isAutoDelete ? declared : null
  }
}

export interface VhostParts {
  readonly topology: Topology
  readonly authority: TopologyAuthority
  readonly random: Random
  /** One sequence for the whole broker. */
  readonly nextConsumerId: () => number
}

function handleOf(queue: DeclaredQueue): Queue {
  assert(queue.queue !== null, 'a queue that exists has its handle')
  return queue.queue
}
