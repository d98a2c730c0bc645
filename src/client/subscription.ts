/**
 * One consumer of a queue that goes on by itself: subscribes again after the connection came back, after the broker
 * cancelled it, and after its channel was closed, declaring the queue again if it must. Each time on a channel of its
 * own, so that what is wrong with one consumer does not touch another.
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { backoffMs } from './backoff.ts'
import type { Connection, Resident } from './connection.ts'
import type { ConsumeOptions, Delivery, DriverChannel, DriverConnection, ReturnedMessage } from './driver/driver.ts'
import { closedByUser, WarrenError } from './errors.ts'
import type { Settings } from './options.ts'
import type { Definition, Topology } from './topology.ts'

export interface SubscriptionParts {
  readonly connection: Connection
  readonly topology: Topology
  readonly clock: Clock
  readonly random: Random
  readonly settings: Settings
  readonly queue: string
  /** Declared before each subscription, if they are not. */
  readonly definitions: readonly Definition[]
  readonly prefetch: number
  readonly consume: ConsumeOptions
  readonly delivered: (delivery: Delivery, channel: DriverChannel) => void
  /** What was delivered on this channel is not ours any more. */
  readonly lost: (channel: DriverChannel) => void
  readonly returned: (message: ReturnedMessage) => void
  readonly failed: (error: WarrenError, doing: string) => void
}

export class Subscription implements Resident {
  readonly #parts: SubscriptionParts
  #channel: DriverChannel | null = null
  #tag = ''
  #isStopped = false
  #failures = 0
  #timer: Timer | null = null
  /** Only the latest attempt counts. */
  #attempt = 0
  /** Deliveries that are not settled, by channel. */
  readonly #inHand = new Map<DriverChannel, number>()
  /** Channels whose consumer is gone; closed when what came on them is settled. */
  readonly #retired = new Set<DriverChannel>()
  #first: { resolve: () => void; reject: (error: WarrenError) => void } | null = null

  constructor(parts: SubscriptionParts) {
    this.#parts = parts
  }

  /** Resolves when the first subscription stands; rejects when the broker refuses it, and it is stopped then. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject }
      if (this.#parts.connection.isClosed) this.#giveUp(closedByUser('A consumer was started'))
      else this.#parts.connection.add(this)
    })
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  connected(connection: DriverConnection): void {
    void this.#subscribe(connection)
  }

  disconnected(error: WarrenError | null): void {
    this.#attempt++
    if (error === null && this.#parts.connection.isClosed) this.#giveUp(closedByUser('A consumer was started'))
  }

  /** Never rejects. */
  async #subscribe(connection: DriverConnection): Promise<void> {
    const attempt = ++this.#attempt
    const { topology, definitions, prefetch, queue, consume, delivered } = this.#parts
    let channel: DriverChannel | null = null
    try {
      await topology.ensureAll(definitions)
      if (this.#isStopped || attempt !== this.#attempt) return
      const opened = await connection.openChannel({
        closed: (error) => {
          if (channel !== null) this.#closed(channel, error)
        },
        confirmed: () => undefined,
        returned: (message) => this.#parts.returned(message),
      })
      channel = opened
      this.#channel = opened
      await opened.qos(prefetch)
      this.#tag = await opened.consume(queue, consume, {
        delivered: (delivery) => {
          this.#inHand.set(opened, (this.#inHand.get(opened) ?? 0) + 1)
          delivered(delivery, opened)
        },
        cancelled: () => this.#cancelled(opened),
      })
      this.#failures = 0
      this.#first?.resolve()
      this.#first = null
      if (this.#isStopped) await this.#leave(opened)
    } catch (error) {
      if (attempt !== this.#attempt) return
      if (this.#channel === channel) this.#channel = null
      void channel?.close()
      this.#failedWith(error)
    }
  }

  #failedWith(error: unknown): void {
    const known = error instanceof WarrenError ? error : closedByUser(String(error))
    const isFinal = known.code !== 'CONNECTION_LOST' && known.code !== 'OPERATION_TIMEOUT'
    if (this.#first !== null && isFinal) return this.#giveUp(known)
    if (this.#isStopped) return
    if (known.code === 'CHANNEL_CLOSED') {
      this.#parts.failed(known, `subscribing to queue '${this.#parts.queue}' again`)
    }
    this.#again()
  }

  #giveUp(error: WarrenError): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#parts.connection.remove(this)
    this.#first?.reject(error)
    this.#first = null
  }

  /** Later, and later each time, as long as it fails; at once with the next connection. */
  #again(): void {
    const { clock, random, settings, connection } = this.#parts
    this.#failures++
    const attempt = ++this.#attempt
    this.#timer?.cancel()
    this.#timer = clock.after(backoffMs(settings.reconnect, this.#failures, random), () => {
      const { current } = connection
      if (attempt === this.#attempt && !this.#isStopped && current !== null) void this.#subscribe(current)
    })
  }

  #closed(channel: DriverChannel, error: WarrenError | null): void {
    this.#inHand.delete(channel)
    this.#retired.delete(channel)
    this.#parts.lost(channel)
    if (this.#channel !== channel) return
    this.#channel = null
    // While it is being set up, its operations fail and say so.
    if (this.#tag === '' || this.#isStopped) return
    this.#tag = ''
    if (error === null || error.code !== 'CHANNEL_CLOSED') return
    this.#parts.failed(error, `consuming from queue '${this.#parts.queue}'`)
    this.#again()
  }

  /** What was delivered can still be settled, on the old channel. */
  #cancelled(channel: DriverChannel): void {
    if (this.#channel !== channel || this.#isStopped) return
    this.#channel = null
    this.#tag = ''
    this.#parts.topology.forget(this.#parts.definitions)
    this.#retired.add(channel)
    this.#closeRetired(channel)
    this.#again()
  }

  /** One of the deliveries on this channel is settled. */
  settled(channel: DriverChannel): void {
    const inHand = this.#inHand.get(channel)
    if (inHand === undefined) return
    this.#inHand.set(channel, inHand - 1)
    this.#closeRetired(channel)
  }

  #closeRetired(channel: DriverChannel): void {
    if (!this.#retired.has(channel) || (this.#inHand.get(channel) ?? 0) > 0) return
    this.#retired.delete(channel)
    void channel.close()
  }

  /** No more deliveries come after it resolves. The channel stays open for acks. Never rejects. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#timer?.cancel()
    if (this.#channel !== null) await this.#leave(this.#channel)
  }

  async #leave(channel: DriverChannel): Promise<void> {
    if (this.#tag === '') return
    const tag = this.#tag
    this.#tag = ''
    try {
      await channel.cancel(tag)
    } catch {
      // The channel has closed: nothing comes either.
    }
  }

  /** After `stop`, when all is settled. What is not goes back to the queue. Never rejects. */
  async close(): Promise<void> {
    await this.stop()
    this.#parts.connection.remove(this)
    this.#giveUp(closedByUser('A consumer was started'))
    const channels = [...this.#retired, ...(this.#channel === null ? [] : [this.#channel])]
    this.#retired.clear()
    this.#channel = null
    await Promise.all(channels.map((channel) => channel.close()))
  }
}
