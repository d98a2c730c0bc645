/**
 * A shard in front of a shard that answers late: each command waits a random number of turns of the event loop, in
 * order, and so does each answer. What works with it works with a shard on another node.
 *
 * Views do not live as long as the wait, so it copies messages: that, too, is what a link to another node does.
 */
import type { Clock } from '../../src/base/clock.ts'
import type { SeededRandom } from '../../src/base/random.ts'
import { Message } from '../../src/broker/message.ts'
import type {
  BodyWriter,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ShardCommands,
} from '../../src/broker/ports.ts'

const turnsMax = 4

export class DelayedShard implements ShardCommands {
  readonly #shard: ShardCommands
  readonly #commands: Line
  readonly #answers: Line

  constructor(shard: ShardCommands, clock: Clock, random: SeededRandom) {
    this.#shard = shard
    this.#commands = new Line(clock, random)
    this.#answers = new Line(clock, random)
  }

  publish(message: Message, queues: readonly Queue[], count: number, confirms: ConfirmSink | null, sequence: number): void {
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

  register(consumer: Consumer, reply: Reply<void>): void {
    this.#commands.later(() => this.#shard.register(consumer, this.#replyLater(reply)))
  }

  activate(consumer: Consumer): void {
    this.#commands.later(() => this.#shard.activate(consumer))
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    this.#commands.later(() => this.#shard.unregister(consumer, this.#replyLater(reply)))
  }

  resume(consumer: Consumer): void {
    this.#commands.later(() => this.#shard.resume(consumer))
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    this.#commands.later(() => this.#shard.settle(queue, consumer, first, last, outcome))
  }

  purge(queue: Queue, reply: Reply<number>): void {
    this.#commands.later(() => this.#shard.purge(queue, this.#replyLater(reply)))
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    this.#commands.later(() => this.#shard.status(queue, this.#replyLater(reply)))
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

/** Things done later, in order. */
class Line {
  readonly #clock: Clock
  readonly #random: SeededRandom
  #waiting: (() => void)[] = []
  #isMoving = false

  constructor(clock: Clock, random: SeededRandom) {
    this.#clock = clock
    this.#random = random
  }

  later(action: () => void): void {
    this.#waiting.push(action)
    if (!this.#isMoving) this.#move(this.#random.below(turnsMax))
  }

  #move(turns: number): void {
    this.#isMoving = true
    this.#clock.soon(() => {
      if (turns > 0) return this.#move(turns - 1)
      const now = this.#waiting.splice(0, 1 + this.#random.below(this.#waiting.length))
      for (const action of now) action()
      this.#isMoving = false
      if (this.#waiting.length > 0) this.#move(this.#random.below(turnsMax))
    })
  }
}

function copyOf(message: Message): Message {
  const copy = new Message()
  Object.assign(copy, message)
  copy.buffer = message.buffer.slice()
  return copy
}
