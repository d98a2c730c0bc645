/**
 * The channel of a client for requests and replies: direct reply-to wants that requests go out where the replies come
 * in. There is one for all requesters and responders of a client, on the publishing connection, opened on first use and
 * again after each loss. Requests that wait for it are sent then; what was under way when it was lost fails, because
 * nobody knows whether it was done.
 */
import type { Connection, Resident } from './connection.ts'
import type { Core } from './core.ts'
import type { Delivery, DriverChannel, DriverConnection, OutgoingMessage, ReturnedMessage } from './driver/driver.ts'
import { closedByUser, WarrenError } from './errors.ts'
import { addressOf, controlMessage, replyQueue } from './reply-wire.ts'

/** One of the two ends of a request. */
export interface Conversation {
  received(delivery: Delivery): void
  /** Nothing more comes; it is forgotten already. */
  failed(error: WarrenError): void
}

interface Entry {
  readonly conversation: Conversation
  /** Not sent yet. */
  request: OutgoingMessage | null
}

/** Before a channel that could not be opened is tried again, in milliseconds. */
const reopenMs = 1_000

export class ReplyChannel implements Resident {
  readonly #core: Core
  readonly #connection: Connection
  #channel: DriverChannel | null = null
  #isAdded = false
  /** By correlation id, in the order they began. */
  readonly #entries = new Map<string, Entry>()
  /** Correlation ids of requests that are not confirmed, by their sequences, in order. */
  readonly #unconfirmed = new Map<number, string>()
  #waiters: { resolve: () => void; reject: (error: WarrenError) => void }[] = []

  constructor(core: Core) {
    this.#core = core
    this.#connection = core.publishing
  }

  // ---------------------------------------------------------------- conversations

  /** Sends the request now, or when there is a channel. */
  ask(id: string, request: OutgoingMessage, conversation: Conversation): void {
    if (this.#connection.isClosed) return conversation.failed(closedByUser('A request was sent'))
    const entry: Entry = { conversation, request }
    this.#entries.set(id, entry)
    this.#add()
    if (this.#channel !== null) this.#sendRequest(this.#channel, id, entry)
  }

  /** Hears what comes with this correlation id. */
  listen(id: string, conversation: Conversation): void {
    this.#entries.set(id, { conversation, request: null })
  }

  forget(id: string): void {
    this.#entries.delete(id)
  }

  /** Resolves when there is a channel. Rejects when the client is closed. */
  opened(): Promise<void> {
    if (this.#connection.isClosed) return Promise.reject(closedByUser('A reply was sent'))
    if (this.#channel !== null) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#add()
    })
  }

  /** Sends now or, without a channel, not at all. Throws a `WarrenError` for what cannot be written. */
  tell(message: OutgoingMessage): boolean {
    if (this.#channel === null || !this.#channel.isOpen) return false
    this.#channel.publish(message)
    return true
  }

  #add(): void {
    if (this.#isAdded) return
    this.#isAdded = true
    this.#connection.add(this)
  }

  #sendRequest(channel: DriverChannel, id: string, entry: Entry): void {
    if (entry.request === null) return
    try {
      this.#unconfirmed.set(channel.publish(entry.request), id)
      entry.request = null
    } catch (error) {
      this.#fail(id, error instanceof WarrenError ? error : closedByUser(String(error)))
    }
  }

  #fail(id: string, error: WarrenError): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    entry.conversation.failed(error)
  }

  // ---------------------------------------------------------------- what comes in

  #delivered(delivery: Delivery): void {
    const entry = this.#entries.get(delivery.properties.correlationId ?? '')
    if (entry !== undefined) return entry.conversation.received(delivery)
    // Late, and still being worked on: in vain.
    const address = addressOf(delivery)
    if (address !== null) this.tell(controlMessage(address, 'cancel'))
  }

  #returned({ properties, routingKey, replyCode, replyText }: ReturnedMessage): void {
    const mend = 'Start a responder for it first: it declares the queue.'
    const sentence = `There is no queue '${routingKey}' for requests.`
    this.#fail(properties.correlationId ?? '', new WarrenError('RETURNED', sentence, { mend, replyCode, replyText }))
  }

  #confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void {
    for (const [each, id] of this.#unconfirmed) {
      if (isMultiple ? each > sequence : each !== sequence) {
        if (each > sequence) return
        continue
      }
      this.#unconfirmed.delete(each)
      if (isNack) this.#fail(id, nacked())
    }
  }

  // ---------------------------------------------------------------- the connection comes and goes

  connected(connection: DriverConnection): void {
    void this.#open(connection)
  }

  disconnected(error: WarrenError | null): void {
    if (error === null && this.#connection.isClosed) this.#failAll(closedByUser('A request was under way'), true)
  }

  /** Never rejects. */
  async #open(connection: DriverConnection): Promise<void> {
    try {
      let isLost = false
      const channel = await connection.openChannel({
        closed: (error) => {
          isLost = true
          this.#closed(connection, error)
        },
        confirmed: (sequence, isMultiple, isNack) => this.#confirmed(sequence, isMultiple, isNack),
        returned: (message) => this.#returned(message),
      })
      await channel.confirmSelect()
      const events = { delivered: (delivery: Delivery) => this.#delivered(delivery), cancelled: () => undefined }
      await channel.consume(replyQueue, { isNoAck: true, isExclusive: false, arguments: {} }, events)
      if (isLost) return
      this.#channel = channel
      this.#unconfirmed.clear()
      for (const [id, entry] of [...this.#entries]) this.#sendRequest(channel, id, entry)
      for (const { resolve } of this.#waiters.splice(0)) resolve()
    } catch (error) {
      if (this.#connection.current !== connection) return
      this.#core.failed(error, 'opening a channel for requests and replies')
      // Not possible here, or not allowed: who waits shall know.
      if (error instanceof WarrenError && error.code === 'CHANNEL_CLOSED') this.#failAll(error, true)
      this.#core.clock.after(reopenMs, () => this.#reopen(connection))
    }
  }

  #closed(connection: DriverConnection, error: WarrenError | null): void {
    const wasOpen = this.#channel !== null
    this.#channel = null
    if (this.#connection.isClosed) return this.#failAll(closedByUser('A request was under way'), true)
    this.#failAll(error ?? closedByUser('The channel of a request ended'), false)
    if (wasOpen) this.#core.clock.soon(() => this.#reopen(connection))
  }

  #reopen(connection: DriverConnection): void {
    if (this.#connection.current === connection && this.#channel === null) void this.#open(connection)
  }

  /** What waits for a channel goes on waiting, unless it is the end. */
  #failAll(error: WarrenError, isEnd: boolean): void {
    for (const [id, { request }] of [...this.#entries]) if (isEnd || request === null) this.#fail(id, error)
    if (isEnd) for (const { reject } of this.#waiters.splice(0)) reject(error)
  }
}

const channels = new WeakMap<Core, ReplyChannel>()

/** The one of this client. */
export function replyChannelOf(core: Core): ReplyChannel {
  const channel = channels.get(core) ?? new ReplyChannel(core)
  channels.set(core, channel)
  return channel
}

function nacked(): WarrenError {
  const mend = 'Start more responders, or ask again later.'
  return new WarrenError('NACKED', 'The broker did not take a request: its queue is full or failed.', { mend })
}
