/**
 * Runs a handler over the messages of a queue: at most `concurrency` at once; done is acknowledged, what throws is
 * tried again and then dead-lettered. Stopping finishes what is in hand.
 */

import type { Core } from './core.ts'
import type { Delivery, DriverChannel, QueueDeclaration, ReturnedMessage } from './driver/driver.ts'
import type { Table } from './driver/properties.ts'
import { badOption } from './errors.ts'
import { attemptsOf, Failures } from './failures.ts'
import { Fifo } from './fifo.ts'
import type { ConsumeOutcome } from './hooks.ts'
import { Lease, tellLease } from './lease.ts'
import { abortReason, DoNotRetry, Message, type Settlement } from './message.ts'
import { Subscription } from './subscription.ts'
import type { Definition } from './topology.ts'

export type Handler<T> = (message: Message<T>) => unknown

export interface RetryOptions {
  /** Retries after the first delivery; 3 by default. */
  readonly attempts?: number
  readonly backoff?: { readonly initialMs?: number; readonly factor?: number; readonly maxMs?: number }
}

export interface ConsumeOptions {
  /** Handlers at once; 1 by default. */
  readonly concurrency?: number
  /** Messages the broker sends ahead, those in hand included. */
  readonly prefetch?: number
  /** False: none. `broker`: by the queue's own `retry`, on Warren only. */
  readonly retry?: RetryOptions | false | 'broker'
  /** Where a message goes that failed for good: `NAME.dead` by default. False: it is rejected. */
  readonly deadLetter?: string | false
  /** How long a message may take, in milliseconds; then it goes to somebody else. `auto` extends it while the handler runs. */
  readonly lease?: number | { readonly ms: number; readonly extend: 'auto' | 'manual' }
  /** Stops the consumer as `stop()` does. */
  readonly signal?: AbortSignal
  readonly exclusive?: boolean
  /** Consumers with a higher one get messages first. */
  readonly priority?: number
  /** More arguments of `basic.consume`, for example `x-stream-offset`. */
  readonly arguments?: Table
}

/** What a queue tells its consumers. */
export interface ConsumedQueue<T> {
  readonly name: string
  readonly declaration: QueueDeclaration
  readonly definitions: readonly Definition[]
  readonly deadLetter: string | null
  readonly read: (delivery: Delivery) => T | Promise<T>
}

interface InHand<T> {
  readonly delivery: Delivery
  readonly channel: DriverChannel
  readonly arrivedAt: number
  message: Message<T> | null
  lease: Lease | null
  /** Nobody's any more: settling it does nothing. */
  isLost: boolean
}

const defaultRetry = { attempts: 3, backoff: { initialMs: 1_000, factor: 2, maxMs: 60_000 } }
/** The broker's field has 16 bits. */
const prefetchMax = 65_535

export class Consumer<T> {
  readonly #core: Core
  readonly #queue: ConsumedQueue<T>
  readonly #handler: Handler<T>
  readonly #failures: Failures
  readonly #subscription: Subscription
  readonly #concurrency: number
  readonly #lease: { ms: number; isAutomatic: boolean } | null
  readonly #waiting = new Fifo<InHand<T>>()
  readonly #inHand = new Set<InHand<T>>()
  readonly #isByBroker: boolean
  readonly #stopListeners: (() => void)[] = []
  #running = 0
  #isStopping = false
  #stopped: Promise<void> | null = null
  #idle: (() => void)[] = []

  constructor(core: Core, queue: ConsumedQueue<T>, handler: Handler<T>, options: ConsumeOptions) {
    this.#core = core
    this.#queue = queue
    this.#handler = handler
    this.#concurrency = wholeNumber('concurrency', options.concurrency ?? 1)
    this.#lease = leaseOf(options.lease)
    this.#isByBroker = options.retry === 'broker'
    const { topology, publisher, clock, random, settings } = core
    this.#failures = new Failures({
      queue: queue.name,
      declaration: queue.declaration,
      retry: retryOf(options.retry),
      deadLetter:
        options.deadLetter === false ? null : (options.deadLetter ?? queue.deadLetter ?? `${queue.name}.dead`),
      publisher,
      topology,
      now: () => clock.now(),
    })
    const ahead = this.#lease === null ? Math.max(10, 2 * this.#concurrency) : this.#concurrency
    this.#subscription = new Subscription({
      connection: core.consuming,
      topology,
      clock,
      random,
      settings,
      queue: queue.name,
      definitions: queue.definitions,
      prefetch: Math.min(prefetchMax, wholeNumber('prefetch', options.prefetch ?? ahead)),
      consume: {
        isNoAck: false,
        isExclusive: options.exclusive ?? false,
        arguments: argumentsOf(options, this.#lease),
      },
      delivered: (delivery, channel) => this.#delivered(delivery, channel),
      lost: (channel) => this.#lost(channel),
      returned: (message) => this.#returned(message),
      failed: (error, doing) => core.failed(error, doing),
    })
    const { signal } = options
    if (signal?.aborted === true) this.#isStopping = true
    signal?.addEventListener('abort', () => void this.stop(), { once: true })
  }

  /** Calls back when it begins to stop, whoever wanted it. */
  whenStopping(callback: () => void): void {
    if (this.#isStopping) callback()
    else this.#stopListeners.push(callback)
  }

  /** Resolves when it consumes; rejects when the broker refuses. */
  async start(): Promise<void> {
    if (this.#isStopping) return
    if (this.#isByBroker && this.#core.isWarren === false) {
      const mend = 'Use `retry: { attempts, backoff }` of the consumer, which works with every broker.'
      throw badOption(`This broker does not know the retries of queue '${this.#queue.name}'.`, mend)
    }
    this.#core.consumers.add(this)
    try {
      await this.#subscription.start()
    } catch (error) {
      this.#core.consumers.delete(this)
      throw error
    }
  }

  /** Messages whose handlers run, or wait for their turn. */
  get inHandCount(): number {
    return this.#inHand.size
  }

  /** Takes no more, finishes the handlers that run, gives the rest back. Never rejects. */
  stop(): Promise<void> {
    this.#isStopping = true
    for (const callback of this.#stopListeners.splice(0)) callback()
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    await this.#subscription.stop()
    for (const one of this.#waiting.takeAll()) this.#settle(one, 'requeued')
    if (this.#inHand.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
    await this.#subscription.close()
    this.#core.consumers.delete(this)
  }

  /** Aborts the signals of what is still in hand: the time for stopping is over. */
  abort(): void {
    for (const { message } of this.#inHand) message?.abort(abortReason('The consumer was stopped.'))
  }

  // ---------------------------------------------------------------- messages in

  #delivered(delivery: Delivery, channel: DriverChannel): void {
    const arrivedAt = this.#core.clock.monotonic()
    const one: InHand<T> = { delivery, channel, arrivedAt, message: null, lease: null, isLost: false }
    this.#inHand.add(one)
    if (this.#lease !== null) one.lease = this.#leaseFor(one, this.#lease)
    this.#waiting.push(one)
    this.#pump()
  }

  #pump(): void {
    while (this.#running < this.#concurrency && !this.#isStopping) {
      const one = this.#waiting.shift()
      if (one === undefined) return
      if (one.isLost) continue
      this.#running++
      void this.#handle(one).finally(() => {
        this.#running--
        this.#pump()
      })
    }
  }

  /** Never rejects. */
  async #handle(one: InHand<T>): Promise<void> {
    let message: Message<T>
    try {
      const read = this.#queue.read(one.delivery)
      message = this.#messageOf(one, read instanceof Promise ? await read : read)
    } catch (error) {
      // What cannot be read now cannot be read later.
      return this.#failed(one, error, true)
    }
    if (one.isLost) return
    one.message = message
    const settled = new Promise<void>((resolve) => {
      this.#whenSettled.set(one, resolve)
    })
    try {
      const run = async (): Promise<void> => void (await this.#handler(message))
      const { handling } = this.#core.hooks
      await (handling === undefined ? run() : handling(one.delivery, this.#queue.name, run))
      message.ack()
    } catch (error) {
      if (!message.isSettled && !one.isLost) this.#core.logFailure(error, this.#queue.name, message.attempt)
      message.fail(error)
    }
    await settled
  }

  /** Those whose handler waits for the end of their settlement. */
  readonly #whenSettled = new Map<InHand<T>, () => void>()

  #messageOf(one: InHand<T>, body: T): Message<T> {
    const { delivery } = one
    return new Message<T>({
      body,
      queue: this.#queue.name,
      delivery,
      attempt: attemptsOf(delivery) + 1 + deliveryCountOf(delivery),
      settle: (settlement) => void this.#settleAs(one, settlement),
      extend: (ms) => one.lease?.extend(ms) ?? true,
    })
  }

  // ---------------------------------------------------------------- and out

  /** Never rejects. */
  async #settleAs(one: InHand<T>, settlement: Settlement): Promise<void> {
    switch (settlement.kind) {
      case 'ack':
        return this.#settle(one, 'acked')
      case 'requeue':
        return this.#settle(one, 'requeued')
      case 'reject':
        return this.#settle(one, 'rejected')
      case 'failed':
        return this.#failed(one, settlement.error, settlement.isFinal)
    }
  }

  async #failed(one: InHand<T>, error: unknown, isFinal: boolean): Promise<void> {
    one.lease?.stop()
    try {
      this.#settle(one, await this.#failures.failed(one.delivery, error, isFinal || error instanceof DoNotRetry))
    } catch (failure) {
      // Its copy was not stored, so the broker keeps the original.
      this.#core.failed(failure, `moving a failed message of queue '${this.#queue.name}'`)
      await this.#core.pause()
      this.#settle(one, 'requeued')
    }
  }

  #settle(one: InHand<T>, outcome: ConsumeOutcome): void {
    if (!this.#inHand.has(one)) return
    const { channel, delivery } = one
    if (!one.isLost) {
      if (outcome === 'requeued') channel.nack(delivery.deliveryTag, { isRequeue: true, isMultiple: false })
      else if (outcome === 'rejected') channel.reject(delivery.deliveryTag, false)
      else channel.ack(delivery.deliveryTag, false)
      this.#subscription.settled(channel)
    }
    this.#forget(one, one.isLost ? 'lost' : outcome)
  }

  #forget(one: InHand<T>, outcome: ConsumeOutcome): void {
    one.lease?.stop()
    this.#inHand.delete(one)
    this.#whenSettled.get(one)?.()
    this.#whenSettled.delete(one)
    this.#core.consumed({ queue: this.#queue.name, outcome, ms: this.#core.clock.monotonic() - one.arrivedAt })
    if (this.#inHand.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  // ---------------------------------------------------------------- what is taken from us

  #lost(channel: DriverChannel): void {
    for (const one of [...this.#inHand]) {
      if (one.channel === channel) this.#lose(one, 'The connection of this message was lost.')
    }
  }

  #lose(one: InHand<T>, why: string): void {
    one.isLost = true
    one.lease?.stop()
    one.message?.abort(abortReason(why))
    // Of one whose handler runs, the handler's end says so.
    if (one.message === null) this.#forget(one, 'lost')
  }

  #leaseFor(one: InHand<T>, { ms, isAutomatic }: { ms: number; isAutomatic: boolean }): Lease {
    const { clock, consuming } = this.#core
    return new Lease({
      clock,
      ms,
      isAutomatic,
      ended: () => {
        if (!this.#inHand.has(one) || one.isLost) return
        // Warren has taken it back itself, and may have sent it again: a late nack would take that delivery back, too.
        if (consuming.current?.isWarren !== true) {
          one.channel.nack(one.delivery.deliveryTag, { isRequeue: true, isMultiple: false })
        }
        this.#subscription.settled(one.channel)
        this.#lose(one, `The lease of ${ms} ms of this message is over.`)
      },
      extended: (granted) => {
        if (consuming.current?.isWarren === true) tellLease(one.channel, one.delivery.deliveryTag, granted)
      },
    })
  }

  /** A lease that could not be extended. */
  #returned({ properties }: ReturnedMessage): void {
    const tag = properties.headers?.['x-delivery-tag']
    for (const one of [...this.#inHand]) {
      if (one.delivery.deliveryTag !== tag || one.isLost) continue
      this.#subscription.settled(one.channel)
      this.#lose(one, 'The lease of this message is over.')
    }
  }
}

function leaseOf(lease: ConsumeOptions['lease']): { ms: number; isAutomatic: boolean } | null {
  if (lease === undefined) return null
  const { ms, extend } = typeof lease === 'number' ? { ms: lease, extend: 'manual' } : lease
  return { ms: wholeNumber('lease', ms), isAutomatic: extend === 'auto' }
}

function argumentsOf(options: ConsumeOptions, lease: { ms: number } | null): Table {
  return {
    ...(options.priority === undefined ? {} : { 'x-priority': options.priority }),
    ...(lease === null ? {} : { 'x-consumer-timeout': lease.ms }),
    ...options.arguments,
  }
}

function retryOf(retry: ConsumeOptions['retry']): 'broker' | typeof defaultRetry {
  if (retry === 'broker') return 'broker'
  if (retry === false) return { ...defaultRetry, attempts: 0 }
  const backoff = { ...defaultRetry.backoff, ...retry?.backoff }
  const attempts = retry?.attempts ?? defaultRetry.attempts
  if (
    !(attempts >= 0) ||
    !(backoff.initialMs >= 0) ||
    !(backoff.factor >= 1) ||
    !(backoff.maxMs >= backoff.initialMs)
  ) {
    const mend = 'Take attempts >= 0, initialMs >= 0, factor >= 1 and maxMs >= initialMs.'
    throw badOption("The option 'retry' makes no sense.", mend)
  }
  return { attempts, backoff }
}

/** Deliveries that failed at the broker, as it tells them. */
function deliveryCountOf(delivery: Delivery): number {
  const count = delivery.properties.headers?.['x-delivery-count']
  return typeof count === 'number' && count > 0 ? count : 0
}

function wholeNumber(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value
  throw badOption(`The option '${name}' is ${value}.`, 'Give a whole number of at least 1.')
}

/** For those who only hold it. */
export type AnyConsumer = Pick<Consumer<never>, 'stop' | 'abort' | 'inHandCount'>
