/**
 * Publishes with confirms, over reconnects. All messages of a client go through one channel, in the order of their sends;
 * all sends of a turn share one write. What was not confirmed when the channel was lost is published again first, in
 * order. A message that the broker refuses costs the channel and does not say which one it was: so what was under way
 * goes again one by one, and whoever is alone when the channel closes is to blame and rejects.
 *
 * Invariant: every publication is settled, in #unconfirmed or in #waiting; the deadlines of those two, in this order,
 * never decrease.
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { Connection, Resident } from './connection.ts'
import type { DriverChannel, DriverConnection, OutgoingMessage, ReturnedMessage } from './driver/driver.ts'
import { closedByUser, WarrenError } from './errors.ts'
import type { Emitter } from './events.ts'
import { Fifo } from './fifo.ts'
import type { Hooks } from './hooks.ts'
import type { Settings } from './options.ts'
import { Publication } from './publication.ts'

export interface PublisherParts {
  readonly connection: Connection
  readonly clock: Clock
  readonly settings: Settings
  readonly events: Emitter
  readonly hooks: Hooks
  /** Resolves once everything that was declared exists again. */
  readonly restored: () => Promise<void>
  /** No queue took it. */
  readonly returned: (message: ReturnedMessage) => void
  readonly failed: (error: unknown, doing: string) => void
}

/** Before a channel that could not be opened is tried again, in milliseconds. */
const reopenMs = 1_000

export class Publisher implements Resident {
  readonly #parts: PublisherParts
  readonly #unconfirmed = new Fifo<Publication>()
  /** Sequence of the first one in #unconfirmed. */
  #firstSequence = 1
  #unconfirmedBytes = 0
  readonly #waiting = new Fifo<Publication>()
  #waitingBytes = 0
  #channel: DriverChannel | null = null
  #isBlocked = false
  #isAdded = false
  #isClosed = false
  /** So many go one at a time, to find the one that the broker refuses. */
  #suspects = 0
  #timer: Timer | null = null
  readonly #idleWaiters: (() => void)[] = []
  #roomWaiters: (() => void)[] = []

  constructor(parts: PublisherParts) {
    this.#parts = parts
  }

  /** Sends that have not settled, sent or not. */
  get pendingCount(): number {
    return this.#unconfirmed.length + this.#waiting.length
  }

  // ---------------------------------------------------------------- in

  /** Resolves with the broker's confirm; rejects with a `WarrenError`. */
  publish(message: OutgoingMessage): Promise<void> {
    if (this.#isClosed) return Promise.reject(closedByUser('A message was sent'))
    const { clock, settings, connection } = this.#parts
    if (this.#waiting.length >= settings.waitingMax || this.#waitingBytes >= settings.waitingBytesMax) {
      return Promise.reject(this.#tooMany())
    }
    if (!this.#isAdded) {
      this.#isAdded = true
      connection.add(this)
    }
    return new Promise<void>((resolve, reject) => {
      const sentAt = clock.monotonic()
      const times = { sentAt, deadline: sentAt + settings.confirmTimeoutMs }
      const publication = new Publication(this.#hooked(message), times, (error, settled) => {
        this.#tell(settled, error)
        if (error === null) resolve()
        else reject(error)
      })
      this.#waiting.push(publication)
      this.#waitingBytes += publication.bytes
      this.#watch()
      this.#pump()
    })
  }

  /** Resolves when a send would go out at once. */
  async room(): Promise<void> {
    while (!this.#hasRoom() && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
    }
  }

  /** Resolves when every send has settled. */
  idle(): Promise<void> {
    if (this.pendingCount === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  // ---------------------------------------------------------------- out

  #hasRoom(): boolean {
    const { unconfirmedMax, unconfirmedBytesMax } = this.#parts.settings
    if (this.#waiting.length > 0) return false
    return this.#unconfirmed.length < unconfirmedMax && this.#unconfirmedBytes < unconfirmedBytesMax
  }

  #pump(): void {
    const { unconfirmedMax, unconfirmedBytesMax } = this.#parts.settings
    while (this.#channel !== null && !this.#isBlocked && this.#waiting.length > 0) {
      const countMax = this.#suspects > 0 ? 1 : unconfirmedMax
      if (this.#unconfirmed.length >= countMax || this.#unconfirmedBytes >= unconfirmedBytesMax) return
      const publication = this.#waiting.shift() as Publication
      this.#waitingBytes -= publication.bytes
      if (!publication.isSettled) this.#send(this.#channel, publication)
      else this.#suspects = Math.max(0, this.#suspects - 1)
    }
    this.#wakeWaiters()
  }

  #send(channel: DriverChannel, publication: Publication): void {
    try {
      channel.publish(publication.message)
    } catch (error) {
      publication.settle(error instanceof WarrenError ? error : closedByUser(String(error)))
      return
    }
    this.#unconfirmed.push(publication)
    this.#unconfirmedBytes += publication.bytes
  }

  #confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void {
    const index = sequence - this.#firstSequence
    if (isMultiple) for (let at = 0; at <= index; at++) this.#answered(at, isNack)
    else this.#answered(index, isNack)
    this.#dropSettled()
    this.#pump()
  }

  /** From the front: what is settled has no confirm to wait for, or is not worth waiting for. */
  #dropSettled(): void {
    for (let first = this.#unconfirmed.at(0); first?.isSettled === true; first = this.#unconfirmed.at(0)) {
      this.#unconfirmed.shift()
      this.#unconfirmedBytes -= first.bytes
      this.#firstSequence++
      if (this.#suspects > 0) this.#suspects--
    }
  }

  #answered(index: number, isNack: boolean): void {
    const publication = this.#unconfirmed.at(index)
    if (publication === undefined) return
    if (publication.returned !== null) publication.settle(returnedError(publication.returned))
    else publication.settle(isNack ? nacked(publication.message) : null)
  }

  /** The first one it can be: returns come in order, and each message has an id. */
  #returned(message: ReturnedMessage): void {
    const { messageId } = message.properties
    for (let index = 0; index < this.#unconfirmed.length; index++) {
      const publication = this.#unconfirmed.at(index)
      if (publication === undefined || publication.returned !== null) continue
      const sent = publication.message
      if (sent.properties.messageId !== messageId || sent.routingKey !== message.routingKey) continue
      if (sent.exchange !== message.exchange) continue
      publication.returned = message
      break
    }
    this.#parts.returned(message)
    this.#parts.events.emit('returned', message)
  }

  // ---------------------------------------------------------------- the connection comes and goes

  connected(connection: DriverConnection): void {
    void this.#open(connection)
  }

  disconnected(): void {
    // Its channel has said so already.
  }

  blocked(isBlocked: boolean): void {
    this.#isBlocked = isBlocked
    if (!isBlocked) this.#pump()
  }

  /** Never rejects. */
  async #open(connection: DriverConnection): Promise<void> {
    const { restored, failed } = this.#parts
    try {
      await restored()
      let isLost = false
      const channel = await connection.openChannel({
        closed: (error) => {
          isLost = true
          this.#closed(connection, error)
        },
        confirmed: (sequence, isMultiple, isNack) => {
          if (!isLost) this.#confirmed(sequence, isMultiple, isNack)
        },
        returned: (message) => this.#returned(message),
      })
      await channel.confirmSelect()
      if (isLost) return
      this.#channel = channel
      this.#firstSequence = 1
      this.#pump()
    } catch (error) {
      // The connection has gone as well, and comes back; anything else is told, and tried again.
      if (this.#parts.connection.current !== connection) return
      failed(error, 'opening a channel for publishing')
      this.#parts.clock.after(reopenMs, () => {
        if (this.#parts.connection.current === connection && this.#channel === null) void this.#open(connection)
      })
    }
  }

  #closed(connection: DriverConnection, error: WarrenError | null): void {
    const wasOpen = this.#channel !== null
    this.#channel = null
    const sent = this.#unconfirmed.takeAll()
    this.#unconfirmedBytes = 0
    if (error !== null && isBlame(error)) this.#blame(sent, error)
    this.#waitingBytes = 0
    for (const publication of [...sent, ...this.#waiting.takeAll()]) {
      if (publication.isSettled) continue
      this.#waiting.push(publication)
      this.#waitingBytes += publication.bytes
    }
    if (wasOpen && this.#parts.connection.current === connection && !this.#isClosed) {
      // Not at once: the connection may be about to go as well.
      this.#parts.clock.soon(() => {
        if (this.#parts.connection.current === connection) void this.#open(connection)
      })
    }
    this.#wakeWaiters()
  }

  #blame(sent: readonly Publication[], error: WarrenError): void {
    if (sent.length === 1) {
      this.#suspects = Math.max(0, this.#suspects - 1)
      sent[0]?.settle(error)
    } else this.#suspects = Math.max(this.#suspects, sent.filter(({ isSettled }) => !isSettled).length)
  }

  // ---------------------------------------------------------------- time, and the end

  #watch(): void {
    if (this.#timer !== null) return
    const oldest = this.#oldest()
    if (oldest === null) return
    const { clock } = this.#parts
    this.#timer = clock.after(Math.max(0, oldest.deadline - clock.monotonic()), () => {
      this.#timer = null
      this.#expire()
      this.#watch()
    })
  }

  #oldest(): Publication | null {
    for (const queue of [this.#unconfirmed, this.#waiting]) {
      for (let index = 0; index < queue.length; index++) {
        const publication = queue.at(index)
        if (publication !== undefined && !publication.isSettled) return publication
      }
    }
    return null
  }

  #expire(): void {
    const now = this.#parts.clock.monotonic()
    for (const queue of [this.#unconfirmed, this.#waiting]) {
      for (let index = 0; index < queue.length; index++) {
        const publication = queue.at(index)
        if (publication === undefined || publication.isSettled) continue
        if (publication.deadline > now) break
        publication.settle(this.#late(queue === this.#unconfirmed))
      }
    }
    this.#dropSettled()
    for (let first = this.#waiting.at(0); first?.isSettled === true; first = this.#waiting.at(0)) {
      this.#waiting.shift()
      this.#waitingBytes -= first.bytes
    }
    this.#pump()
  }

  #late(wasSent: boolean): WarrenError {
    const { settings, connection } = this.#parts
    const after = `within ${settings.confirmTimeoutMs} ms`
    if (connection.blockedReason !== null) {
      const sentence = `The broker takes no messages (${connection.blockedReason}), and did not take this one ${after}.`
      return new WarrenError('BLOCKED', sentence, {
        mend: 'Free memory or disk of the broker, or consume what it holds.',
      })
    }
    const cause = connection.lastError ?? undefined
    const why = wasSent ? '' : cause === undefined ? '' : ` There is no connection: ${cause.message}`
    const mend = `It may have been stored all the same: send it again with the same message id.${why}`
    return new WarrenError('CONFIRM_TIMEOUT', `A message was not confirmed ${after}.`, { mend, cause })
  }

  /** What has not settled by now rejects. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    const error = new WarrenError('CLOSED', 'The client was closed before a message was confirmed.', {
      mend: 'Allow more time with close({ timeoutMs }); the message may have been stored all the same.',
    })
    for (const queue of [this.#unconfirmed, this.#waiting]) {
      for (const publication of queue.takeAll()) publication.settle(error)
    }
    this.#wakeWaiters()
    for (const resolve of this.#roomWaiters.splice(0)) resolve()
  }

  #wakeWaiters(): void {
    if (this.#roomWaiters.length > 0 && this.#hasRoom()) {
      const waiters = this.#roomWaiters
      this.#roomWaiters = []
      for (const resolve of waiters) resolve()
    }
    if (this.pendingCount === 0) {
      this.#timer?.cancel()
      this.#timer = null
      for (const resolve of this.#idleWaiters.splice(0)) resolve()
    }
  }

  // ---------------------------------------------------------------- hooks and errors

  #hooked(message: OutgoingMessage): OutgoingMessage {
    const { hooks, failed } = this.#parts
    if (hooks.publishing === undefined) return message
    try {
      return hooks.publishing(message)
    } catch (error) {
      failed(error, 'the hook `publishing`')
      return message
    }
  }

  #tell({ message, sentAt }: Publication, error: WarrenError | null): void {
    const { hooks, clock, failed } = this.#parts
    if (hooks.published === undefined) return
    const { exchange, routingKey, body } = message
    try {
      hooks.published({ message, exchange, routingKey, bytes: body.length, ms: clock.monotonic() - sentAt, error })
    } catch (thrown) {
      failed(thrown, 'the hook `published`')
    }
  }

  #tooMany(): WarrenError {
    const why = this.#parts.connection.lastError?.message ?? 'The broker is slower than the sends.'
    const mend = `Await send(), or ready() before it. ${why}`
    return new WarrenError('TOO_MANY_WAITING', `${this.#waiting.length} sends wait already.`, { mend })
  }
}

/** The broker did not like something that was published; anything else may happen to anybody. */
function isBlame({ code, replyCode }: WarrenError): boolean {
  if (code === 'CHANNEL_CLOSED' || code === 'MESSAGE_TOO_LARGE') return true
  return code === 'CONNECTION_CLOSED' && replyCode > 500 && replyCode !== 541
}

function returnedError({ replyCode, replyText, exchange, routingKey }: ReturnedMessage): WarrenError {
  const where =
    exchange === '' ? `There is no queue '${routingKey}'` : `No queue takes '${routingKey}' from exchange '${exchange}'`
  const mend = 'Declare the queue or the binding first; or send with `mandatory: false` if nobody needs to get it.'
  return new WarrenError('RETURNED', `${where}: the message came back.`, { mend, replyCode, replyText })
}

function nacked({ exchange, routingKey }: OutgoingMessage): WarrenError {
  const sentence = `The broker did not take a message for '${exchange === '' ? routingKey : `${exchange}/${routingKey}`}'.`
  const mend = 'Its queue is full (`overflow: reject-publish`) or failed: send it again later.'
  return new WarrenError('NACKED', sentence, { mend })
}
