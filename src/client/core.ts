/**
 * What the parts of one client share: its two connections, what was declared, the publisher, and the outside world. Not
 * public; made by `client.ts`.
 */
import type { Clock } from '../base/clock.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import { targetOf } from './address.ts'
import { ChannelPool } from './channel-pool.ts'
import type { Compression } from './compression.ts'
import { Connection } from './connection.ts'
import type { AnyConsumer } from './consumer.ts'
import type { Driver } from './driver/driver.ts'
import { badOption } from './errors.ts'
import { type ConnectionRole, Emitter } from './events.ts'
import type { ConsumedEvent, Hooks } from './hooks.ts'
import { type ClientOptions, type Settings, settingsOf } from './options.ts'
import { Publisher } from './publisher.ts'
import { Topology } from './topology.ts'

/** The outside world, as Node, a browser or a test has it. */
export interface Platform {
  readonly clock: Clock
  readonly random: Random
  readonly driver: Driver
  readonly compression: Compression
}

/** Before a message is given back whose copy could not be stored, in milliseconds. */
const pauseMs = 1_000

export class Core {
  readonly clock: Clock
  readonly random: Random
  readonly compression: Compression
  readonly settings: Settings
  readonly hooks: Hooks
  readonly events: Emitter
  readonly logger: Logger
  /** For consumers and all operations. Nothing is published here, so it is never blocked. */
  readonly consuming: Connection
  /** For messages only. */
  readonly publishing: Connection
  readonly pool: ChannelPool
  readonly topology: Topology
  readonly publisher: Publisher
  readonly consumers = new Set<AnyConsumer>()
  readonly #idPrefix: string
  #idCount = 0
  #isWarren: boolean | null = null

  /** Throws a `WarrenError` for URLs and options that make no sense. */
  constructor(urls: readonly string[], options: ClientOptions, platform: Platform) {
    if (urls.length === 0) throw badOption('There is no URL to connect to.', "Give one like 'amqp://localhost'.")
    this.settings = settingsOf(options)
    this.clock = platform.clock
    this.random = platform.random
    this.compression = platform.compression
    this.hooks = options.hooks ?? {}
    this.logger = options.logger ?? silentLogger
    this.events = new Emitter((error, name) => this.failed(error, `a listener of '${name}'`))
    this.consuming = this.#connection('consuming', urls, platform.driver)
    this.publishing = this.#connection('publishing', urls, platform.driver)
    const { clock, settings, events, hooks } = this
    this.pool = new ChannelPool({ connection: this.consuming, clock, settings })
    this.topology = new Topology(this.pool, (error, doing) => this.failed(error, doing))
    this.publisher = new Publisher({
      connection: this.publishing,
      clock,
      settings,
      events,
      hooks,
      restored: async () => void (await this.consuming.ready()),
      returned: ({ exchange, routingKey }) => {
        if (exchange === '') this.topology.forgetQueue(routingKey)
      },
      failed: (error, doing) => this.failed(error, doing),
    })
    const letters = [...this.random.bytes(8)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    this.#idPrefix = `${letters}-`
  }

  /** Null while there was no connection yet. */
  get isWarren(): boolean | null {
    this.#isWarren = this.consuming.current?.isWarren ?? this.#isWarren
    return this.#isWarren
  }

  /** Unlike any other, of any client: for message ids and names of queues. */
  nextId(): string {
    return this.#idPrefix + (this.#idCount++).toString(36)
  }

  /** Tells what no promise can tell. */
  failed(error: unknown, doing: string): void {
    const known = error instanceof Error ? error : new Error(String(error))
    this.logger.error({ error: known.message, doing }, 'something failed')
    if (doing !== "a listener of 'error'") this.events.emit('error', { error: known, doing })
  }

  logFailure(error: unknown, queue: string, attempt: number): void {
    const text = error instanceof Error ? error.message : String(error)
    this.logger.warn({ queue, attempt, error: text }, 'a handler failed')
  }

  consumed(event: ConsumedEvent): void {
    if (this.hooks.consumed === undefined) return
    try {
      this.hooks.consumed(event)
    } catch (error) {
      this.failed(error, 'the hook `consumed`')
    }
  }

  pause(): Promise<void> {
    return new Promise((resolve) => void this.clock.after(pauseMs, resolve))
  }

  #connection(role: ConnectionRole, urls: readonly string[], driver: Driver): Connection {
    const { clock, random, settings, events, logger } = this
    const { heartbeatSeconds } = settings
    const name = `${settings.name} (${role})`
    return new Connection({
      role,
      targets: urls.map((url) => targetOf(url, { name, heartbeatSeconds })),
      driver,
      clock,
      random,
      settings,
      events,
      logger,
      restore: async (connection) => {
        if (role === 'consuming') await this.topology.restore(connection)
      },
    })
  }
}
