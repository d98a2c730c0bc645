/**
 * The clients of a simulated broker: channels with consumers that take, hold and settle, as the server would have them.
 * They know what they were given; what must have been given is the model's.
 */
import assert from 'node:assert/strict'
import { emptyTable } from '../../src/amqp/field-table.ts'
import type { Message } from '../../src/broker/message.ts'
import type { Consumer, DeliverySink, Outcome, Queue, SharedCredit } from '../../src/broker/ports.ts'
import type { Entry } from './model.ts'

/** What the clients tell of what happens to them. */
export interface Watcher {
  delivered(sink: SimulatedConsumer, message: Message, sequence: number, isRedelivered: boolean): Entry | null
  /** Called before the shard is told. */
  settling(entry: Entry, outcome: Outcome): void
}

export interface Held {
  readonly entry: Entry
  readonly queue: Queue
  readonly consumer: SimulatedConsumer | null
  readonly sequence: number
}

export class SimulatedConsumer implements DeliverySink, Consumer {
  readonly id: number
  readonly tag: string
  readonly queue: Queue
  readonly channel: SimulatedChannel
  readonly isNoAck: boolean
  readonly isExclusive = false
  readonly priority: number
  readonly limit: number
  readonly shared: SharedCredit
  readonly timeoutMs = null
  readonly arguments = emptyTable
  unacked = 0
  isActive = false
  isInTurn = false
  isLeaving = false
  isReady = true
  isCancelled = false
  readonly sink = this

  constructor(
    id: number,
    channel: SimulatedChannel,
    queue: Queue,
    kind: { isNoAck: boolean; limit: number; priority: number },
  ) {
    this.id = id
    this.tag = `c${id}`
    this.channel = channel
    this.queue = queue
    this.isNoAck = kind.isNoAck
    this.limit = kind.limit
    this.priority = kind.priority
    this.shared = channel.shared
  }

  deliver(consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    assert.equal(consumer, this)
    assert.ok(this.isReady && !this.isCancelled, 'a consumer got a message that it could not take')
    const entry = this.channel.watcher.delivered(this, message, sequence, isRedelivered)
    if (entry !== null && !this.isNoAck) this.channel.hold({ entry, queue: this.queue, consumer: this, sequence })
  }

  leaseEnded(): void {}

  cancelled(): void {
    assert.ok(!this.isCancelled, 'a consumer is cancelled once')
    this.isCancelled = true
    this.channel.consumers.delete(this)
  }

  /** Whether it should have been given a message, if there is one. */
  get couldTake(): boolean {
    if (!this.isReady || this.isCancelled || !this.isActive) return false
    if (this.isNoAck) return true
    const { limit, unacked } = this.shared
    return (this.limit === 0 || this.unacked < this.limit) && (limit === 0 || unacked < limit)
  }
}

export class SimulatedChannel {
  readonly watcher: Watcher
  readonly shared: SharedCredit
  readonly consumers = new Set<SimulatedConsumer>()
  held: Held[] = []
  isClosed = false

  constructor(watcher: Watcher, sharedLimit: number) {
    this.watcher = watcher
    this.shared = { limit: sharedLimit, unacked: 0 }
  }

  hold(one: Held): void {
    this.held.push(one)
  }

  /** Settles some of what is held; neighbours of one holder together. */
  settle(from: number, count: number, outcome: Outcome): void {
    const some = this.held.splice(from, count)
    let run: Held[] = []
    for (const one of some) {
      const last = run[run.length - 1]
      const continues =
        last?.queue === one.queue && last.consumer === one.consumer && last.sequence + 1 === one.sequence
      if (!continues && run.length > 0) {
        this.#settleRun(run, outcome)
        run = []
      }
      run.push(one)
    }
    if (run.length > 0) this.#settleRun(run, outcome)
    if (this.shared.limit > 0) this.resume()
  }

  #settleRun(run: readonly Held[], outcome: Outcome): void {
    const first = run[0]
    if (first === undefined) return
    for (const { entry } of run) this.watcher.settling(entry, outcome)
    const { queue, consumer, sequence } = first
    queue.shard.settle(queue, consumer, sequence, sequence + run.length - 1, outcome)
  }

  resume(): void {
    for (const consumer of [...this.consumers]) consumer.queue.shard.resume(consumer)
  }

  /** Ends a consumer; what it holds stays with the channel. */
  cancel(consumer: SimulatedConsumer): void {
    this.consumers.delete(consumer)
    consumer.queue.shard.unregister(consumer, { done: () => {}, failed: () => {} })
  }

  /** The channel closes: everything goes back, in order. */
  close(): void {
    this.isClosed = true
    for (const consumer of [...this.consumers]) this.cancel(consumer)
    this.settle(0, this.held.length, 'requeue')
  }
}
