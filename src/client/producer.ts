/** Sends typed messages to one place. Whoever awaits a send knows that the broker has the message. */
import { badBody, type Codec, encodeBody } from './codec.ts'
import { type CompressionName, compressedBytesMin } from './compression.ts'
import type { Core } from './core.ts'
import type { OutgoingMessage } from './driver/driver.ts'
import type { Table, TableValue } from './driver/properties.ts'
import { badOption, WarrenError } from './errors.ts'
import { checked, type StandardSchema } from './schema.ts'
import type { Definition } from './topology.ts'

export interface SendOptions {
  /** Milliseconds until it can be consumed. Warren only, or an exchange of type `x-delayed-message`. */
  readonly delay?: number
  /** When it can be consumed first. Warren only. */
  readonly at?: Date
  /** Milliseconds after which it expires. */
  readonly ttl?: number
  /** 0 to 255; counts in queues with `maxPriority`. */
  readonly priority?: number
  /** Messages of one group are handled one after the other. Warren only. */
  readonly group?: string
  /** A queue with deduplication takes one message with this id. */
  readonly dedup?: string
  readonly headers?: Table
  /** Made by the client without. */
  readonly messageId?: string
  readonly correlationId?: string
  readonly replyTo?: string
  readonly type?: string
  readonly appId?: string
  readonly timestamp?: Date
  /** Survives a restart of the broker, in a durable queue; true by default. */
  readonly persistent?: boolean
  /** Rejects with `RETURNED` when no queue takes it. True by default when sent to a queue, false to an exchange. */
  readonly mandatory?: boolean
}

export interface Destination {
  readonly exchange: string
  /** '' when each send says it. */
  readonly routingKey: string
  readonly isMandatory: boolean
  /** The exchange takes `x-delay` whatever the broker is. */
  readonly isDelaying: boolean
  readonly definitions: readonly Definition[]
  readonly codec: Codec<unknown>
  readonly schema: StandardSchema | null
  readonly compression: CompressionName | null
}

const noOptions: SendOptions = {}

export class Producer<T> {
  readonly #core: Core
  readonly #destination: Destination
  /** The topology's version when all definitions were declared. */
  #declaredAt = -1
  /** Sends that are checked, compressed or wait for a declaration, in order. */
  #preparing = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(core: Core, destination: Destination) {
    this.#core = core
    this.#destination = destination
  }

  /** Resolves when the broker has confirmed it. Rejects with a `WarrenError`; then it may have been stored or not. */
  send(value: T, options: SendOptions = noOptions): Promise<void> {
    return this.sendTo(this.#destination.routingKey, value, options)
  }

  /** The same with a routing key of its own. */
  sendTo(routingKey: string, value: T, options: SendOptions = noOptions): Promise<void> {
    try {
      const message = this.#prepare(routingKey, value, options)
      if (!(message instanceof Promise) && this.#isDeclared && this.#preparing === 0) {
        return this.#core.publisher.publish(message)
      }
      return this.#inOrder(message)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Sends one after the other, as many on their way as the window allows; resolves with their number when all are
   * confirmed. After the first that fails no further is sent; it rejects when those on their way have settled.
   */
  async sendMany(values: Iterable<T> | AsyncIterable<T>, options: SendOptions = noOptions): Promise<number> {
    let count = 0
    let failure: { error: unknown } | null = null
    const underWay = new Set<Promise<void>>()
    for await (const value of values) {
      await this.ready()
      if (failure !== null) break
      const sent: Promise<void> = this.send(value, options).then(
        () => void underWay.delete(sent),
        (error: unknown) => {
          underWay.delete(sent)
          failure ??= { error }
        },
      )
      underWay.add(sent)
      count++
    }
    await Promise.all(underWay)
    if (failure !== null) throw (failure as { error: unknown }).error
    return count
  }

  /** Resolves when a send would go out at once: await it before `send` where you do not await `send`. */
  async ready(): Promise<void> {
    while (this.#preparing >= this.#core.settings.unconfirmedMax) await this.#last
    await this.#core.publisher.room()
  }

  get #isDeclared(): boolean {
    return this.#destination.definitions.length === 0 || this.#declaredAt === this.#core.topology.version
  }

  #inOrder(message: OutgoingMessage | Promise<OutgoingMessage>): Promise<void> {
    const { topology, publisher, settings } = this.#core
    const prepared = Promise.resolve(message)
    // Seen by `turn`, which may come to it later.
    prepared.catch(() => undefined)
    if (this.#preparing >= settings.waitingMax) {
      const mend = 'Await send(), or ready() before it.'
      return Promise.reject(new WarrenError('TOO_MANY_WAITING', `${this.#preparing} sends wait already.`, { mend }))
    }
    this.#preparing++
    const turn = this.#last.then(async () => {
      try {
        if (!this.#isDeclared) {
          const { version } = topology
          await topology.ensureAll(this.#destination.definitions)
          this.#declaredAt = version
        }
        return { confirmed: publisher.publish(await prepared) }
      } finally {
        this.#preparing--
      }
    })
    this.#last = turn.catch(() => undefined)
    return turn.then(({ confirmed }) => confirmed)
  }

  /** Throws or rejects with a `WarrenError`. */
  #prepare(routingKey: string, value: unknown, options: SendOptions): OutgoingMessage | Promise<OutgoingMessage> {
    const { schema, exchange } = this.#destination
    this.#check(options)
    if (schema === null) return this.#encode(routingKey, value, options)
    const what = `A message for '${exchange === '' ? routingKey : exchange}'`
    const result = checked(schema, value, what)
    // What was given is sent: the consumer's check turns it into what the schema makes of it.
    if (result instanceof Promise) return result.then(() => this.#encode(routingKey, value, options))
    return this.#encode(routingKey, value, options)
  }

  #encode(routingKey: string, value: unknown, options: SendOptions): OutgoingMessage | Promise<OutgoingMessage> {
    const { codec, compression, exchange } = this.#destination
    const body = encodeBody(codec, value, `A message for '${exchange === '' ? routingKey : exchange}'`)
    if (compression === null || body.length < compressedBytesMin) return this.#message(routingKey, body, options, null)
    const smaller = this.#core.compression.compress(compression, body)
    if (!(smaller instanceof Promise)) return this.#message(routingKey, smaller, options, compression)
    return smaller.then(
      (bytes) => this.#message(routingKey, bytes, options, compression),
      (error: unknown) => {
        throw badBody(`A body cannot be compressed by ${compression}`, error)
      },
    )
  }

  #message(
    routingKey: string,
    body: Uint8Array,
    options: SendOptions,
    encoding: CompressionName | null,
  ): OutgoingMessage {
    const { exchange, isMandatory, codec } = this.#destination
    return {
      exchange,
      routingKey,
      isMandatory: options.mandatory ?? isMandatory,
      body,
      properties: {
        contentType: codec.contentType,
        contentEncoding: encoding ?? undefined,
        headers: headersOf(options),
        deliveryMode: options.persistent === false ? 1 : 2,
        priority: options.priority,
        correlationId: options.correlationId,
        replyTo: options.replyTo,
        expiration: options.ttl === undefined ? undefined : String(Math.ceil(options.ttl)),
        messageId: options.messageId ?? this.#core.nextId(),
        timestamp: options.timestamp ?? new Date(this.#core.clock.now()),
        type: options.type,
        appId: options.appId,
      },
    }
  }

  /** What the broker would quietly not do is refused here. */
  #check(options: SendOptions): void {
    const { delay, at, group, ttl, priority } = options
    if (delay !== undefined && !(delay >= 0)) throw wrong('delay', delay, 'a number of milliseconds from 0 on')
    if (ttl !== undefined && !(ttl >= 0)) throw wrong('ttl', ttl, 'a number of milliseconds from 0 on')
    if (priority !== undefined && !(priority >= 0 && priority <= 255))
      throw wrong('priority', priority, 'from 0 to 255')
    if (delay === undefined && at === undefined && group === undefined) return
    if (this.#core.isWarren !== false) return
    if (this.#destination.isDelaying && at === undefined && group === undefined) return
    const option = delay !== undefined ? 'delay' : at !== undefined ? 'at' : 'group'
    const mend = 'Use Warren, or the exchange type `x-delayed-message` of RabbitMQ for delays.'
    throw badOption(`This broker would not heed the option '${option}'.`, mend)
  }
}

function wrong(name: string, value: number, expected: string): WarrenError {
  return badOption(`The option '${name}' is ${value}.`, `Give ${expected}.`)
}

function headersOf({ headers, delay, at, group, dedup }: SendOptions): Table | undefined {
  if (delay === undefined && at === undefined && group === undefined && dedup === undefined) return headers
  const result: { [key: string]: TableValue } = { ...headers }
  if (delay !== undefined) result['x-delay'] = Math.ceil(delay)
  if (at !== undefined) result['x-deliver-at'] = at.getTime()
  if (group !== undefined) result['x-group'] = group
  if (dedup !== undefined) result['x-deduplication-header'] = dedup
  return result
}
