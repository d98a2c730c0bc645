/**
 * Stands in front of the shard of a single node as if it were another node's: what is asked of it goes through a placed
 * shard, over a link in memory, to a second placed shard behind which the shard really is. Each message on the link takes
 * a few turns of the event loop, drawn from a seed.
 */
import type { Clock } from '../../src/base/clock.ts'
import type { Logger } from '../../src/base/logger.ts'
import type { SeededRandom } from '../../src/base/random.ts'
import type { Message } from '../../src/broker/message.ts'
import type {
  BodyWriter,
  BrowsedMessage,
  BrowsePage,
  ConfirmSink,
  Consumer,
  DeliverySink,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  ShardCommands,
} from '../../src/broker/ports.ts'
import { Shard } from '../../src/broker/shard/shard.ts'
import type { NodeIdentity } from '../../src/cluster/node-identity.ts'
import { localShard } from '../../src/cluster/placed-shard/local-shard.ts'
import type { PlacedQueue } from '../../src/cluster/placed-shard/placed-queue.ts'
import { PlacedShard } from '../../src/cluster/placed-shard/placed-shard.ts'
import { placedShardLimits } from '../../src/cluster/placed-shard/ports.ts'
import { ShardLink } from '../../src/cluster/placed-shard/shard-link.ts'
import { MemoryNetwork } from './cluster/memory-peers.ts'

const ownerNode: NodeIdentity = { name: 'owner', incarnation: 1 }
const entryNode: NodeIdentity = { name: 'entry', incarnation: 2 }

export interface RemoteFaceOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly random: SeededRandom
  /** Turns of the event loop that a message takes, at most. Default: 3. */
  readonly turnsMax?: number
}

/** The two ends; they stay when the shard is opened again. */
export class RemotePair {
  readonly owner: PlacedShard
  readonly entry: PlacedShard
  #epoch = 0

  constructor({ clock, logger, random, turnsMax = 3 }: RemoteFaceOptions) {
    const network = new MemoryNetwork()
    network.turns = () => random.below(turnsMax + 1)
    const placed = (self: NodeIdentity, other: NodeIdentity): PlacedShard => {
      const link = new ShardLink({ peers: network.join(self), logger, otherNodes: () => [other] })
      const congestionChanged = (): void => {}
      const topologyPosition = (): number => 0
      const isCurrentNow = (): boolean => true
      const options = { shardId: 0, self, clock, logger, limits: placedShardLimits, link }
      return new PlacedShard({ ...options, congestionChanged, topologyPosition, isCurrentNow, consumerCame: () => {} })
    }
    this.owner = placed(ownerNode, entryNode)
    this.entry = placed(entryNode, ownerNode)
    network.connectAll()
  }

  /** Puts itself in front of a shard that is being opened. */
  readonly face = (shard: ShardCommands): ShardCommands => {
    if (!(shard instanceof Shard)) throw new Error('only a shard can be served')
    const epoch = ++this.#epoch
    const streamOf = (): never => {
      throw new Error('streams have a face of their own')
    }
    const face = new RemoteFace(this)
    // It is being opened still, and says so itself once it serves.
    const wait = (): void => {
      if (!shard.isServing) {
        setTimeout(wait, 1)
        return
      }
      this.owner.servedHere(
        localShard({ shard, epoch, isNew: false, hadConsumers: [], topology: noTopology, streamOf }),
      )
      this.entry.servedBy(ownerNode, epoch)
    }
    setImmediate(wait)
    return face
  }
}

/** Nothing asks it: no node of these is ever gone. */
const noTopology = { appended: 0, committed: 0, reroute: () => false, expireQueue: () => {} }

class RemoteFace implements ShardCommands {
  readonly #pair: RemotePair
  /** By the handle that everybody else holds. */
  readonly #queues = new Map<Queue, PlacedQueue>()
  readonly #consumers = new WeakMap<Consumer, NearConsumer>()

  constructor(pair: RemotePair) {
    this.#pair = pair
  }

  #placed(queue: Queue): PlacedQueue {
    let placed = this.#queues.get(queue)
    if (placed === undefined) {
      this.#pair.owner.open(queue.definition)
      placed = this.#pair.entry.open(queue.definition)
      this.#queues.set(queue, placed)
    }
    return placed
  }

  publish(message: Message, queues: readonly Queue[], count: number, sink: ConfirmSink | null, sequence: number): void {
    const targets = queues.slice(0, count).map((queue) => this.#placed(queue))
    this.#pair.entry.publish(message, targets, count, sink, sequence)
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#pair.entry.openBody(isPersistent, bodyBytes)
  }

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    this.#pair.entry.get(this.#placed(queue), isNoAck, {
      message: (_placed, ...answer) => sink.message(queue, ...answer),
      empty: () => sink.empty(),
      failed: (error) => sink.failed(error),
    })
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    const near = new NearConsumer(consumer, this.#placed(consumer.queue))
    this.#consumers.set(consumer, near)
    this.#pair.entry.register(near, reply)
  }

  #near(consumer: Consumer): NearConsumer {
    const near = this.#consumers.get(consumer)
    if (near === undefined) throw new Error(`consumer '${consumer.tag}' was never registered`)
    return near
  }

  activate(consumer: Consumer): void {
    this.#pair.entry.activate(this.#near(consumer))
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    this.#pair.entry.unregister(this.#near(consumer), reply)
  }

  resume(consumer: Consumer): void {
    this.#pair.entry.resume(this.#near(consumer))
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    const near = consumer === null ? null : this.#near(consumer)
    this.#pair.entry.settle(this.#placed(queue), near, first, last, outcome)
  }

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    const near = consumer === null ? null : this.#near(consumer)
    this.#pair.entry.extendLease(this.#placed(queue), near, sequence, ms)
  }

  browse(queue: Queue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.#pair.entry.browse(this.#placed(queue), page, reply)
  }

  forget(queue: Queue, sequence: number, reply: Reply<number>): void {
    this.#pair.entry.forget(this.#placed(queue), sequence, reply)
  }

  listScheduled(queue: Queue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    this.#pair.entry.listScheduled(this.#placed(queue), after, limit, reply)
  }

  cancelScheduled(queue: Queue, messageId: string, reply: Reply<number>): void {
    this.#pair.entry.cancelScheduled(this.#placed(queue), messageId, reply)
  }

  reschedule(queue: Queue, messageId: string, dueAt: number, reply: Reply<number>): void {
    this.#pair.entry.reschedule(this.#placed(queue), messageId, dueAt, reply)
  }

  purge(queue: Queue, reply: Reply<number>): void {
    this.#pair.entry.purge(this.#placed(queue), reply)
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    this.#pair.entry.status(this.#placed(queue), reply)
  }
}

/** The consumer of a channel, whose queue is the placed one. */
class NearConsumer implements Consumer, DeliverySink {
  readonly queue: Queue
  readonly sink: DeliverySink = this
  isInTurn = false
  readonly #consumer: Consumer

  constructor(consumer: Consumer, queue: Queue) {
    this.#consumer = consumer
    this.queue = queue
  }

  get id(): number {
    return this.#consumer.id
  }
  get tag(): string {
    return this.#consumer.tag
  }
  get isNoAck(): boolean {
    return this.#consumer.isNoAck
  }
  get isExclusive(): boolean {
    return this.#consumer.isExclusive
  }
  get priority(): number {
    return this.#consumer.priority
  }
  get limit(): number {
    return this.#consumer.limit
  }
  get shared(): Consumer['shared'] {
    return this.#consumer.shared
  }
  get timeoutMs(): number | null {
    return this.#consumer.timeoutMs
  }
  get arguments(): Consumer['arguments'] {
    return this.#consumer.arguments
  }
  get unacked(): number {
    return this.#consumer.unacked
  }
  set unacked(count: number) {
    this.#consumer.unacked = count
  }
  get isActive(): boolean {
    return this.#consumer.isActive
  }
  set isActive(isActive: boolean) {
    this.#consumer.isActive = isActive
  }
  get isLeaving(): boolean {
    return this.#consumer.isLeaving
  }
  set isLeaving(isLeaving: boolean) {
    this.#consumer.isLeaving = isLeaving
  }

  get isReady(): boolean {
    return this.#consumer.sink.isReady
  }

  deliver(_near: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    this.#consumer.sink.deliver(this.#consumer, message, sequence, isRedelivered)
  }

  cancelled(): void {
    this.#consumer.sink.cancelled(this.#consumer)
  }

  leaseEnded(_near: Consumer, sequence: number): void {
    this.#consumer.sink.leaseEnded(this.#consumer, sequence)
  }
}
