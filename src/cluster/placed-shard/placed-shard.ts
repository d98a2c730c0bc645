/**
 * A shard as one node sees it, for as long as the node lives, wherever the shard is served: here, by another node, or for
 * a while by nobody.
 *
 *     here       commands go straight on to the shard that is open here
 *     elsewhere  they go over the link to its owner (`attachment.ts`), and to the next one when that is another
 *     nowhere    publishes and settlements are held, in order; what needs an answer waits
 *
 * A change of owner loses nothing and doubles nothing. Publishes that were not confirmed are sent again, and those that
 * an earlier owner stored are found to be (`broker/shard/origins.ts`). Consumers are registered again and claim what their
 * clients hold. Settlements that may not be stored are said again: the shard passes over what is not held.
 */
import type { Timer } from '../../base/clock.ts'
import type { Message } from '../../broker/message.ts'
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
  ScheduledMessage,
  ShardCommands,
} from '../../broker/ports.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { BodyWriters } from './body-writers.ts'
import { CarriedBody } from './carried-body.ts'
import { HeldBody } from './held-body.ts'
import { Owner } from './owner.ts'
import { PlacedConsumer, type PlacedConsumerHost } from './placed-consumer.ts'
import { areDropped, PlacedQueue, PlacedStream } from './placed-queue.ts'
import type { LocalShard, PlacedShardOptions, ShardPlacement } from './ports.ts'
import { noOwner, ParkedRequests, queueGone, type ShardRequest } from './requests.ts'
import { ShardRequests } from './shard-requests.ts'

/** How soon it is looked again whether the session is current, in milliseconds. */
const notCurrentMs = 50

export class PlacedShard implements ShardCommands, ShardPlacement, PlacedConsumerHost {
  readonly shardId: number
  readonly owner: Owner
  readonly #options: PlacedShardOptions
  readonly #queues = new Map<number, PlacedQueue>()
  readonly #consumers = new Map<Consumer, PlacedConsumer>()
  readonly #parked = new ParkedRequests()
  readonly #requests: ShardRequests
  #parkedTimer: Timer | null = null
  readonly #bodies: BodyWriters
  #isCongested = false
  /** Of the publish at hand. */
  readonly #targets: Queue[] = []
  /** The shard that is served here; null while commands cannot go straight to it. */
  #local: LocalShard | null = null

  constructor(options: PlacedShardOptions) {
    this.#options = options
    this.shardId = options.shardId
    this.#bodies = new BodyWriters(options.link.carried)
    this.#requests = new ShardRequests({
      askAgain: (request) => this.#park(request),
      registered: (consumer) => {
        consumer.isMember = true
        if (consumer.placed.definition.isAutoDelete) options.consumerCame(consumer.placed.definition.id)
      },
      notRegistered: (consumer) => this.#forget(consumer),
      left: (consumer) => this.#left(consumer),
      got: (queue, sequence) => this.owner.got(queue, sequence),
    })
    this.owner = new Owner(options, {
      queueOf: (id) => this.#queues.get(id) ?? null,
      consumers: () => this.#consumers.values(),
      localChanged: (local) => this.#localChanged(local),
      reached: () => this.#askParked(),
      requestsEnded: (requests) => this.#parkFirst(requests),
      settled: () => this.#checkCongestion(),
      consumerCancelled: (consumer) => this.consumerCancelled(consumer),
    })
    options.link.add(this)
  }

  // ---------------------------------------------------------------- where it is

  servedHere(local: LocalShard): void {
    this.owner.servedHere(local)
  }

  servedBy(node: NodeIdentity, epoch: number): void {
    this.owner.servedBy(node, epoch)
  }

  servedByNobody(): void {
    this.owner.servedByNobody()
  }

  /** Nobody will serve it again, and its queues are gone. */
  giveUp(): void {
    this.owner.giveUp()
  }

  setCurrent(isCurrent: boolean): void {
    this.owner.setCurrent(isCurrent)
  }

  get isCurrent(): boolean {
    return this.owner.isCurrent && this.#options.isCurrentNow()
  }

  get sharedTurns(): PlacedConsumerHost['sharedTurns'] {
    return this.#options.link.sharedTurns
  }

  #localChanged(local: LocalShard | null): void {
    this.#local = local
    if (local !== null) this.#askParked()
    this.#checkCongestion()
  }

  // ---------------------------------------------------------------- queues

  /** The handle of a queue of this shard, the same for as long as the queue exists. */
  open(definition: QueueDefinition): PlacedQueue {
    let queue = this.#queues.get(definition.id)
    if (queue !== undefined) return queue
    if (isStream(definition)) {
      const stream = new PlacedQueue(definition, new PlacedStream(this, (...body) => this.#openBody(stream, ...body)))
      queue = stream
    } else queue = new PlacedQueue(definition, this)
    this.#queues.set(definition.id, queue)
    return queue
  }

  /** Its definition is gone. Where the shard is served here, that is told after this. */
  drop(queue: Queue): void {
    const placed = queue as PlacedQueue
    placed.isDropped = true
    this.#queues.delete(placed.definition.id)
    this.owner.dropped(placed)
    for (const request of this.#parked.takeOf(placed)) request.failed(queueGone(placed))
    for (const consumer of [...this.#consumers.values()])
      if (consumer.placed === placed) this.consumerCancelled(consumer)
  }

  /** The queue was declared again, by a client of this node: its owner hears of it, wherever that is. */
  redeclared(queue: Queue): void {
    const placed = queue as PlacedQueue
    if (placed.isDropped) return
    if (this.#local === null) this.owner.attachment?.used(placed)
    else this.#local.used(placed.handleIn(this.#local))
  }

  // ---------------------------------------------------------------- publish

  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    const local = this.#local
    if (local === null) return this.#hold(message, queues, count, confirms, sequence)
    const targets = this.#targets
    let found = 0
    let shard: ShardCommands | null = null
    for (let index = 0; index < count; index++) {
      const queue = queues[index] as PlacedQueue
      if (queue.isDropped) continue
      targets[found++] = queue.handleIn(local)
      shard = queue.commands
    }
    if (shard === null) {
      message.chunks?.release()
      confirms?.confirm(sequence)
      return
    }
    if (message.chunks instanceof CarriedBody) message.chunks = message.chunks.endIn(local)
    if (message.chunks instanceof HeldBody) message.chunks = message.chunks.copyTo(shard, message)
    shard.publish(message, targets, found, confirms, sequence)
  }

  /** A body that was begun in a shard here, and is not kept besides, cannot be sent from there. */
  #hold(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    if (message.chunks instanceof CarriedBody) message.chunks = message.chunks.endIn(null)
    if (message.chunks !== null && !(message.chunks instanceof HeldBody)) {
      message.chunks.release()
      confirms?.refuse(sequence)
      return
    }
    if (areDropped(queues, count)) {
      message.chunks?.release()
      return confirms?.confirm(sequence)
    }
    this.owner.publish(message, queues, count, confirms, sequence)
    this.#checkCongestion()
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    const local = this.#local
    if (local === null) return this.#bodies.held(isPersistent, bodyBytes)
    return this.#bodies.carried(local, local.openBody(isPersistent, bodyBytes), isPersistent, bodyBytes)
  }

  #openBody(queue: PlacedQueue, isPersistent: boolean, bodyBytes: number): BodyWriter {
    const local = queue.isDropped ? null : this.#local
    if (local === null) return this.#bodies.held(isPersistent, bodyBytes)
    queue.handleIn(local)
    return this.#bodies.carried(local, queue.commands.openBody(isPersistent, bodyBytes), isPersistent, bodyBytes)
  }

  #checkCongestion(): void {
    const { heldBytesMax } = this.#options.limits
    const { heldBytes } = this.owner
    const isCongested = this.#isCongested ? heldBytes > heldBytesMax / 2 : heldBytes > heldBytesMax
    if (isCongested === this.#isCongested) return
    this.#isCongested = isCongested
    this.#options.congestionChanged(isCongested)
  }

  // ---------------------------------------------------------------- consumers

  register(consumer: Consumer, reply: Reply<number>): void {
    const placed = new PlacedConsumer(this.owner.nextHolder(), consumer, this)
    this.#consumers.set(consumer, placed)
    this.owner.add(placed)
    this.#ask(this.#requests.register(placed, reply))
  }

  activate(consumer: Consumer): void {
    const placed = this.#consumers.get(consumer)
    if (placed === undefined) return
    placed.mayTake = true
    consumer.isActive = true
    if (this.#local !== null) placed.placed.commands.activate(placed)
    else this.owner.attachment?.activate(placed)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    const placed = this.#consumers.get(consumer)
    consumer.isActive = false
    // It ended with its queue, or was never here.
    if (placed === undefined || placed.placed.isDropped) return reply.done(0, 0)
    placed.isLeaving = consumer.isLeaving
    this.#ask(this.#requests.unregister(placed, reply))
  }

  resume(consumer: Consumer): void {
    const placed = this.#consumers.get(consumer)
    if (placed === undefined) return
    if (this.#local !== null) placed.placed.commands.resume(placed)
    else this.owner.attachment?.resume(placed)
    if (consumer.shared !== null) this.sharedTurns.pump(consumer.shared)
  }

  consumerCancelled(consumer: PlacedConsumer): void {
    // A shard that fails, or is given away, ends its consumers; the next owner has them again.
    if (!consumer.placed.isDropped && !this.owner.mayCancel) return
    if (!consumer.isMember) return
    consumer.isMember = false
    consumer.near.isActive = false
    this.#forgetIfDone(consumer)
    consumer.near.sink.cancelled(consumer.near)
  }

  #left(consumer: PlacedConsumer): void {
    consumer.isMember = false
    this.sharedTurns.end(consumer)
    this.#forgetIfDone(consumer)
  }

  #forgetIfDone(consumer: PlacedConsumer): void {
    if (!consumer.isMember && consumer.held.count === 0) this.#forget(consumer)
  }

  #forget(consumer: PlacedConsumer): void {
    this.sharedTurns.end(consumer)
    this.#consumers.delete(consumer.near)
    this.owner.forget(consumer)
  }

  // ---------------------------------------------------------------- settle

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    const placed = queue as PlacedQueue
    if (consumer === null) {
      placed.held?.remove(first, last)
      return this.#settle(placed, null, first, last, outcome)
    }
    const holder = this.#consumers.get(consumer)
    if (holder === undefined || holder.release(first, last, outcome) === 0) return
    this.#settle(placed, holder, first, last, outcome)
    if (consumer.shared !== null) this.sharedTurns.pump(consumer.shared)
    this.#forgetIfDone(holder)
  }

  #settle(queue: PlacedQueue, holder: PlacedConsumer | null, first: number, last: number, outcome: Outcome): void {
    if (queue.isDropped) return
    if (this.#local === null) return this.owner.settle({ queue, consumer: holder, first, last, outcome })
    const handle = queue.handleIn(this.#local)
    queue.commands.settle(handle, holder, first, last, outcome)
  }

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    const placed = queue as PlacedQueue
    const holder = consumer === null ? null : this.#consumers.get(consumer)
    if (holder === undefined || placed.isDropped) return
    if (this.#local === null) return this.owner.attachment?.extendLease(placed, holder, sequence, ms)
    const handle = placed.handleIn(this.#local)
    placed.commands.extendLease(handle, holder, sequence, ms)
  }

  // ---------------------------------------------------------------- what is answered

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    this.#ask(this.#requests.get(queue as PlacedQueue, isNoAck, sink))
  }

  listScheduled(queue: Queue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    this.#ask(this.#requests.listScheduled(queue as PlacedQueue, { after, limit }, reply))
  }

  cancelScheduled(queue: Queue, messageId: string, reply: Reply<number>): void {
    this.#ask(this.#requests.cancelScheduled(queue as PlacedQueue, messageId, reply))
  }

  reschedule(queue: Queue, messageId: string, dueAt: number, reply: Reply<number>): void {
    this.#ask(this.#requests.reschedule(queue as PlacedQueue, messageId, dueAt, reply))
  }

  browse(queue: Queue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.#ask(this.#requests.browse(queue as PlacedQueue, page, reply))
  }

  forget(queue: Queue, sequence: number, reply: Reply<number>): void {
    this.#ask(this.#requests.forget(queue as PlacedQueue, sequence, reply))
  }

  purge(queue: Queue, reply: Reply<number>): void {
    this.#ask(this.#requests.purge(queue as PlacedQueue, reply))
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    this.#ask(this.#requests.status(queue as PlacedQueue, reply))
  }

  #ask(request: ShardRequest): void {
    if (request.queue.isDropped) return request.failed(queueGone(request.queue))
    if (this.#local !== null) return this.#askHere(request, this.#local)
    const { attachment } = this.owner
    if (attachment?.isReady === true) attachment.ask(request)
    else this.#park(request)
  }

  /** A process that stood still and has not been told so yet waits until it has, or its session is renewed. */
  #askHere(request: ShardRequest, local: LocalShard): void {
    if (this.isCurrent) return request.askHere(local)
    this.#park(request)
    this.#options.clock.after(notCurrentMs, () => this.#askParked())
  }

  // ---------------------------------------------------------------- what waits for an owner

  #park(request: ShardRequest): void {
    this.#parked.add(request, this.#options.clock.monotonic())
    this.#watchParked()
  }

  #parkFirst(requests: readonly ShardRequest[]): void {
    this.#parked.addFirst(requests, this.#options.clock.monotonic())
    if (requests.length > 0) this.#watchParked()
  }

  #askParked(): void {
    for (const request of this.#parked.takeAll()) this.#ask(request)
  }

  /** Looks again and again, as long as something waits. */
  #watchParked(): void {
    const { clock, limits } = this.#options
    this.#parkedTimer ??= clock.after(limits.parkedMsMax / 10, () => {
      this.#parkedTimer = null
      const late = this.#parked.takeSince(clock.monotonic() - limits.parkedMsMax)
      for (const request of late) request.failed(noOwner(request.queue, limits.parkedMsMax))
      if (this.#parked.length > 0) this.#watchParked()
    })
  }
}
