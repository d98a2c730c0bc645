/**
 * A connection that comes back: while it is wanted there is an open one, or an attempt to get one, with growing delays
 * over all URLs. What lives on it (publishing, consumers) hears `connected` each time, with a new driver connection.
 *
 *     idle ──open──► connecting ──► open ──lost──► waiting ──► connecting …       any ──close──► closed
 */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import { backoffMs } from './backoff.ts'
import type { ConnectTarget, Driver, DriverConnection } from './driver/driver.ts'
import { closedByUser, WarrenError } from './errors.ts'
import type { ConnectionRole, Emitter } from './events.ts'
import type { Settings } from './options.ts'
import { Sleep } from './waiting.ts'

export interface ConnectionParts {
  readonly role: ConnectionRole
  readonly targets: readonly ConnectTarget[]
  readonly driver: Driver
  readonly clock: Clock
  readonly random: Random
  readonly settings: Settings
  readonly events: Emitter
  readonly logger: Logger
  /** Before anybody uses a connection that came back: declares again. Must not reject. */
  readonly restore: (connection: DriverConnection) => Promise<void>
}

/** Something that lives on a connection and survives its loss. */
export interface Resident {
  connected(connection: DriverConnection): void
  disconnected(error: WarrenError | null): void
  blocked?(isBlocked: boolean): void
}

/** A connection that lasted so long, in milliseconds, was a good one: the delays begin anew. */
const goodMs = 5_000

export class Connection {
  readonly #parts: ConnectionParts
  #current: DriverConnection | null = null
  #isWanted = false
  #isClosed = false
  #wasOpen = false
  #blockedReason: string | null = null
  #lastError: WarrenError | null = null
  #failures = 0
  #openedAt = 0
  #next = 0
  #abort: AbortController | null = null
  readonly #sleep = new Sleep()
  readonly #residents = new Set<Resident>()
  #waiters: { resolve: (connection: DriverConnection) => void; reject: (error: WarrenError) => void }[] = []

  constructor(parts: ConnectionParts) {
    this.#parts = parts
  }

  get vhost(): string {
    return this.#parts.targets[0]?.vhost ?? '/'
  }

  get current(): DriverConnection | null {
    return this.#current
  }

  /** What the broker says while it takes no messages. */
  get blockedReason(): string | null {
    return this.#blockedReason
  }

  /** Why there is no connection at the moment. */
  get lastError(): WarrenError | null {
    return this.#current === null ? this.#lastError : null
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  // ---------------------------------------------------------------- open

  /** The first connection: goes through all URLs `connectRounds` times, then rejects with the last error. */
  async open(): Promise<void> {
    const { settings, targets, clock, random } = this.#parts
    this.#isWanted = true
    for (let round = 1; ; round++) {
      for (let index = 0; index < targets.length; index++) {
        if (await this.#attempt()) return
        if (this.#isClosed) throw closedByUser('A connection was asked for')
      }
      if (round >= settings.connectRounds) throw this.#lastError ?? closedByUser('A connection was asked for')
      await this.#sleep.for(clock, backoffMs(settings.reconnect, round, random))
    }
  }

  /** An open connection, now or when there is one again. Rejects when the client is closed. */
  ready(): Promise<DriverConnection> {
    if (this.#isClosed) return Promise.reject(closedByUser('A connection was asked for'))
    if (this.#current !== null) return Promise.resolve(this.#current)
    this.#want()
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  /** Keeps it open from now on. */
  add(resident: Resident): void {
    this.#residents.add(resident)
    if (this.#current !== null) resident.connected(this.#current)
    else if (!this.#isClosed) this.#want()
  }

  remove(resident: Resident): void {
    this.#residents.delete(resident)
  }

  #want(): void {
    if (this.#isWanted) return
    this.#isWanted = true
    void this.#reconnect()
  }

  /** Until there is one. Never rejects. */
  async #reconnect(): Promise<void> {
    const { settings, targets, clock, random, events, role } = this.#parts
    for (let tries = 0; !this.#isClosed; ) {
      if (this.#failures > 0 && tries % targets.length === 0) {
        const delayMs = backoffMs(settings.reconnect, this.#failures, random)
        const error = this.#lastError ?? closedByUser('A connection was asked for')
        events.emit('reconnecting', { connection: role, attempt: this.#failures, delayMs, error })
        await this.#sleep.for(clock, delayMs)
        if (this.#isClosed) return
      }
      if (await this.#attempt()) return
      tries++
      if (tries % targets.length === 0) this.#failures++
    }
  }

  /** One URL, the next one each time. Never rejects. */
  async #attempt(): Promise<boolean> {
    const { targets, driver, clock, settings, logger, role, restore } = this.#parts
    const target = targets[this.#next++ % targets.length]
    if (target === undefined || this.#isClosed) return false
    const abort = new AbortController()
    this.#abort = abort
    const timer = clock.after(settings.connectTimeoutMs, () => abort.abort(connectTimeout(target, settings)))
    let opened: DriverConnection | null = null
    let lost: WarrenError | null | undefined
    try {
      opened = await driver.connect(
        target,
        {
          closed: (error) => {
            lost = error
            if (opened !== null && this.#current === opened) this.#lost(error)
          },
          blocked: (reason) => this.#blocked(reason),
          unblocked: () => this.#unblocked(),
        },
        abort.signal,
      )
      if (this.#wasOpen) await restore(opened)
      if (lost !== undefined) throw lost ?? closedByUser('The connection ended')
    } catch (error) {
      this.#lastError = error instanceof WarrenError ? error : closedByUser(String(error))
      logger.warn({ connection: role, to: target.label, error: this.#lastError.message }, 'no connection')
      return false
    } finally {
      timer.cancel()
      this.#abort = null
    }
    if (this.#isClosed) {
      await opened.close(settings.connectTimeoutMs)
      return false
    }
    this.#opened(opened, target)
    return true
  }

  #opened(connection: DriverConnection, target: ConnectTarget): void {
    const { clock, events, logger, role } = this.#parts
    this.#current = connection
    this.#wasOpen = true
    this.#openedAt = clock.monotonic()
    logger.info({ connection: role, to: target.label, broker: connection.product }, 'connected')
    events.emit('connected', { connection: role, to: target.label })
    for (const { resolve } of this.#waiters.splice(0)) resolve(connection)
    for (const resident of [...this.#residents]) if (this.#current === connection) resident.connected(connection)
  }

  // ---------------------------------------------------------------- while it is open

  #blocked(reason: string): void {
    this.#blockedReason = reason
    this.#parts.logger.warn({ reason }, 'the broker takes no messages')
    this.#parts.events.emit('blocked', { reason })
    for (const resident of [...this.#residents]) resident.blocked?.(true)
  }

  #unblocked(): void {
    if (this.#blockedReason === null) return
    this.#blockedReason = null
    this.#parts.events.emit('unblocked', {})
    for (const resident of [...this.#residents]) resident.blocked?.(false)
  }

  #lost(error: WarrenError | null): void {
    const { clock, events, logger, role } = this.#parts
    this.#current = null
    this.#unblocked()
    for (const resident of [...this.#residents]) resident.disconnected(error)
    if (this.#isClosed) return
    this.#lastError = error ?? closedByUser('The connection ended')
    this.#failures = clock.monotonic() - this.#openedAt >= goodMs ? 1 : this.#failures + 1
    logger.warn({ connection: role, error: this.#lastError.message }, 'disconnected')
    events.emit('disconnected', { connection: role, error: this.#lastError })
    void this.#reconnect()
  }

  // ---------------------------------------------------------------- close

  /** In order, at most so long. Never rejects. */
  async close(msMax: number): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const error = closedByUser('A connection was asked for')
    this.#abort?.abort(error)
    this.#sleep.wake()
    for (const { reject } of this.#waiters.splice(0)) reject(error)
    if (this.#current !== null) await this.#current.close(msMax)
    else for (const resident of [...this.#residents]) resident.disconnected(null)
  }
}

function connectTimeout(target: ConnectTarget, settings: Settings): WarrenError {
  const sentence = `${target.label} did not answer within ${settings.connectTimeoutMs} ms.`
  const mend = 'Check that a broker answers there, or allow more time with `connectTimeoutMs`.'
  return new WarrenError('CONNECT_TIMEOUT', sentence, { mend })
}
