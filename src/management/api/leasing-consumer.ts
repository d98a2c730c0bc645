import { tableOf } from '../../amqp/field-table.ts'
import type { Session } from '../../broker/commands.ts'
import type { Message } from '../../broker/message.ts'
import type { Consumer, DeliverySink } from '../../broker/ports.ts'
import { countsOf } from '../../broker/statistics/message-counts.ts'
import type { Leases } from './leases.ts'
import type { Api } from './route.ts'
import { type Taken, takenOf } from './taken-message.ts'

export interface Leased {
  readonly token: string
  readonly message: Taken
}

export interface LeaseWish {
  readonly queue: string
  /** Messages out at one time. */
  readonly limit: number
  readonly leaseMs: number
}

/** Bodies that wait for their reader, in bytes; above, no more are taken. */
const waitingBytesMax = 4 * 1024 * 1024

/** A consumer whose messages go out over HTTP, each under a token. */
export class LeasingConsumer implements DeliverySink {
  readonly #leases: Leases
  readonly #session: Session
  readonly #leaseMs: number
  readonly #waiting: Leased[] = []
  #waitingBytes = 0
  /** Large bodies that are being read. */
  #reading = 0
  #consumer: Consumer | null = null
  #isOver = false
  #wake: (() => void) | null = null

  private constructor(leases: Leases, session: Session, leaseMs: number) {
    this.#leaseMs = leaseMs
    this.#leases = leases
    this.#session = session
  }

  /** Rejects with the broker's refusal. */
  static async open(api: Api, session: Session, { queue, limit, leaseMs }: LeaseWish): Promise<LeasingConsumer> {
    api.leases.check(limit)
    const sink = new LeasingConsumer(api.leases, session, leaseMs)
    const args = {
      queue,
      tag: `http-${session.id}`,
      isNoAck: false,
      isExclusive: false,
      arguments: tableOf({ 'x-consumer-timeout': leaseMs }),
      limit,
      shared: null,
      sink,
    }
    sink.#consumer = await api.commits.result<Consumer>((reply) => session.vhost.consume(session, args, reply))
    session.vhost.activate(sink.#consumer)
    return sink
  }

  // ---------------------------------------------------------------- what comes

  get isReady(): boolean {
    return !this.#isOver && this.#waitingBytes < waitingBytesMax
  }

  deliver(consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const { vhost, principal } = this.#session
    vhost.counts.delivered(false, isRedelivered)
    countsOf(consumer.queue.definition).delivered(false, isRedelivered)
    const { queue } = consumer
    const token = this.#leases.add({ username: principal.username, vhost, queue, consumer, sequence }, this.#leaseMs)
    const facts = { isRedelivered, readyLeft: 0, bytesMax: Number.POSITIVE_INFINITY }
    this.#reading++
    const came = (leased: Leased | null): void => {
      this.#reading--
      if (leased !== null) this.#came(leased)
      this.#wakeUp()
    }
    takenOf(
      message,
      facts,
      (taken) => came({ token, message: taken }),
      // It cannot be read now: back with it.
      () => {
        this.#leases.settle(token, 'requeue')
        came(null)
      },
    )
  }

  #came(leased: Leased): void {
    // Nobody waits any more. Later, because the queue is in the middle of handing it out.
    if (this.#isOver) return void Promise.resolve().then(() => this.#leases.settle(leased.token, 'requeue'))
    this.#waiting.push(leased)
    this.#waitingBytes += leased.message.payload.length
  }

  cancelled(consumer: Consumer): void {
    this.#leases.lost(consumer)
    this.#waiting.length = 0
    this.#isOver = true
    this.#wakeUp()
  }

  leaseEnded(consumer: Consumer, sequence: number): void {
    this.#leases.ended(consumer, sequence)
  }

  // ---------------------------------------------------------------- what goes

  /** Something is on its way from the disk. */
  get isReading(): boolean {
    return this.#reading > 0
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  /** The next message that has come; null: none has. */
  take(): Leased | null {
    const leased = this.#waiting.shift()
    if (leased === undefined) return null
    const wasFull = this.#waitingBytes >= waitingBytesMax
    this.#waitingBytes -= leased.message.payload.length
    if (wasFull && this.#consumer !== null && !this.#isOver) this.#session.vhost.resume(this.#consumer)
    return leased
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Resolves when something has come, or nothing more will. */
  changed(): Promise<void> {
    if (this.#isOver || this.#waiting.length > 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #wakeUp(): void {
    this.#wake?.()
    this.#wake = null
  }

  /** Takes no more. What was taken from here stays out; what nobody took goes back. */
  close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#wakeUp()
    if (this.#consumer !== null) this.#session.vhost.cancel(this.#consumer, { done: () => {}, failed: () => {} })
    for (const { token } of this.#waiting.splice(0)) this.#leases.settle(token, 'requeue')
  }
}
