/**
 * A shard in front of a shard that answers late: each command waits a random number of turns of the event loop, in
 * order, and so does everything that comes back, deliveries included. What works with it works with a shard on another
 * node.
 *
 * Views do not live as long as the wait, so it copies messages: that, too, is what a link to another node does. What it
 * does not do: lose, repeat or reorder anything, or delay the topology, which every node has for itself.
 */
import type { FieldTable } from '../../src/amqp/field-table.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { SeededRandom } from '../../src/base/random.ts'
import { Message } from '../../src/broker/message.ts'
import { MessageTraits } from '../../src/broker/message-traits.ts'
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
  SharedCredit,
} from '../../src/broker/ports.ts'

const turnsMax = 4

/** Deliveries to one consumer that may be on their way. */
const underWayMax = 64

export class DelayedShard implements ShardCommands {
  readonly #shard: ShardCommands
  readonly #commands: Line
  readonly #answers: Line
  /** What the shard knows of each consumer of ours. */
  readonly #far = new WeakMap<Consumer, FarConsumer>()

  constructor(shard: ShardCommands, clock: Clock, random: SeededRandom) {
    this.#shard = shard
    this.#commands = new Line(clock, random)
    this.#answers = new Line(clock, random)
  }

  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    const copy = copyOf(message)
    const targets = queues.slice(0, count)
    const sink = confirms === null ? null : this.#confirmsLater(confirms)
    this.#commands.later(() => this.#shard.publish(copy, targets, count, sink, sequence))
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#shard.openBody(isPersistent, bodyBytes)
  }

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    const late: GetSink = {
      message: (from, message, sequence, isRedelivered, readyLeft) => {
        const copy = copyOf(message)
        this.#answers.later(() => sink.message(from, copy, sequence, isRedelivered, readyLeft))
      },
      empty: () => this.#answers.later(() => sink.empty()),
      failed: (error) => this.#answers.later(() => sink.failed(error)),
    }
    this.#commands.later(() => this.#shard.get(queue, isNoAck, late))
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    const far = new FarConsumer(consumer, this.#shard, this.#answers)
    this.#far.set(consumer, far)
    this.#commands.later(() => this.#shard.register(far, this.#replyLater(reply)))
  }

  activate(consumer: Consumer): void {
    this.#commands.later(() => this.#shard.activate(this.#farOf(consumer)))
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    const { isLeaving } = consumer
    this.#commands.later(() => {
      const far = this.#farOf(consumer)
      far.isLeaving = isLeaving
      this.#shard.unregister(far, this.#replyLater(reply))
    })
  }

  resume(consumer: Consumer): void {
    this.#commands.later(() => this.#shard.resume(this.#farOf(consumer)))
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    const far = consumer === null ? null : this.#farOf(consumer)
    this.#commands.later(() => this.#shard.settle(queue, far, first, last, outcome))
  }

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    const far = consumer === null ? null : this.#farOf(consumer)
    this.#commands.later(() => this.#shard.extendLease(queue, far, sequence, ms))
  }

  browse(queue: Queue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.#commands.later(() => this.#shard.browse(queue, page, this.#replyLater(reply)))
  }

  forget(queue: Queue, sequence: number, reply: Reply<number>): void {
    this.#commands.later(() => this.#shard.forget(queue, sequence, this.#replyLater(reply)))
  }

  listScheduled(queue: Queue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    this.#commands.later(() => this.#shard.listScheduled(queue, after, limit, this.#replyLater(reply)))
  }

  cancelScheduled(queue: Queue, messageId: string, reply: Reply<number>): void {
    this.#commands.later(() => this.#shard.cancelScheduled(queue, messageId, this.#replyLater(reply)))
  }

  reschedule(queue: Queue, messageId: string, dueAt: number, reply: Reply<number>): void {
    this.#commands.later(() => this.#shard.reschedule(queue, messageId, dueAt, this.#replyLater(reply)))
  }

  purge(queue: Queue, reply: Reply<number>): void {
    this.#commands.later(() => this.#shard.purge(queue, this.#replyLater(reply)))
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    this.#commands.later(() => this.#shard.status(queue, this.#replyLater(reply)))
  }

  #farOf(consumer: Consumer): FarConsumer {
    const far = this.#far.get(consumer)
    if (far === undefined) throw new Error(`consumer '${consumer.tag}' was never registered with this shard`)
    return far
  }

  #replyLater<T>(reply: Reply<T>): Reply<T> {
    return {
      done: (result, committedWith) => this.#answers.later(() => reply.done(result, committedWith)),
      failed: (error) => this.#answers.later(() => reply.failed(error)),
    }
  }

  #confirmsLater(confirms: ConfirmSink): ConfirmSink {
    return {
      confirm: (sequence) => this.#answers.later(() => confirms.confirm(sequence)),
      refuse: (sequence) => this.#answers.later(() => confirms.refuse(sequence)),
    }
  }
}

/** The consumer that the shard sees: what is delivered to it reaches the near one later. */
class FarConsumer implements Consumer, DeliverySink {
  readonly id: number
  readonly tag: string
  readonly queue: Queue
  readonly sink: DeliverySink = this
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  readonly priority: number
  readonly limit: number
  readonly shared: SharedCredit | null
  readonly timeoutMs: number | null
  readonly arguments: FieldTable
  unacked = 0
  isActive = false
  isInTurn = false
  isLeaving = false
  readonly #near: Consumer
  readonly #shard: ShardCommands
  readonly #answers: Line
  #underWay = 0
  #wasRefused = false

  constructor(near: Consumer, shard: ShardCommands, answers: Line) {
    this.#near = near
    this.#shard = shard
    this.#answers = answers
    this.id = near.id
    this.tag = near.tag
    this.queue = near.queue
    this.isNoAck = near.isNoAck
    this.isExclusive = near.isExclusive
    this.priority = near.priority
    this.limit = near.limit
    this.shared = near.shared
    this.timeoutMs = near.timeoutMs
    this.arguments = near.arguments
  }

  get isReady(): boolean {
    if (this.#underWay < underWayMax) return this.#near.sink.isReady
    this.#wasRefused = true
    return false
  }

  deliver(_far: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const copy = copyOf(message)
    this.#underWay++
    this.#answers.later(() => {
      this.#underWay--
      this.#near.sink.deliver(this.#near, copy, sequence, isRedelivered)
      if (!this.#wasRefused || this.#underWay > underWayMax / 2) return
      this.#wasRefused = false
      this.#shard.resume(this)
    })
  }

  leaseEnded(_far: Consumer, sequence: number): void {
    this.#answers.later(() => this.#near.sink.leaseEnded(this.#near, sequence))
  }

  cancelled(): void {
    this.#answers.later(() => this.#near.sink.cancelled(this.#near))
  }
}

/** Things done later, in order. What is said in one turn stays together, as it does in one batch to another node. */
class Line {
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #waiting: (() => void)[][] = []
  /** What has been said in this turn so far. */
  #turn: (() => void)[] | null = null
  #isMoving = false

  constructor(clock: Clock, random: SeededRandom) {
    this.#clock = clock
    this.#random = random
  }

  later(action: () => void): void {
    this.#thisTurn().push(action)
    if (!this.#isMoving) this.#move(this.#random.below(turnsMax))
  }

  #thisTurn(): (() => void)[] {
    if (this.#turn === null) {
      this.#turn = []
      this.#waiting.push(this.#turn)
      this.#clock.soon(() => {
        this.#turn = null
      })
    }
    return this.#turn
  }

  #move(turns: number): void {
    this.#isMoving = true
    this.#clock.soon(() => {
      if (turns > 0) return this.#move(turns - 1)
      const now = this.#waiting.splice(0, 1 + this.#random.below(this.#waiting.length))
      // The turn that is being done now is no more added to.
      this.#turn = null
      for (const actions of now) for (const action of actions) action()
      this.#isMoving = false
      if (this.#waiting.length > 0) this.#move(this.#random.below(turnsMax))
    })
  }
}

/** The message with the bytes it views: `[route][content]`. */
function copyOf(message: Message): Message {
  const { buffer, routeStart, routeEnd, contentStart, contentEnd } = message
  const copy = new Message()
  Object.assign(copy, message)
  copy.traits = message.traits === null ? null : Object.assign(new MessageTraits(), message.traits)
  copy.buffer = Buffer.concat([buffer.subarray(routeStart, routeEnd), buffer.subarray(contentStart, contentEnd)])
  copy.routeStart = 0
  copy.routeEnd = routeEnd - routeStart
  copy.contentStart = copy.routeEnd
  copy.contentEnd = copy.buffer.length
  return copy
}
