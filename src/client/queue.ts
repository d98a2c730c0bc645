import { codecOf, decodeBody } from './codec.ts'
import { checkCompression, decompressed } from './compression.ts'
import { type ConsumedQueue, type ConsumeOptions, Consumer, type Handler } from './consumer.ts'
import type { Core } from './core.ts'
import type { Delivery, QueueInfo } from './driver/driver.ts'
import type { Table } from './driver/properties.ts'
import { Message } from './message.ts'
import { MessageIterator } from './message-iterator.ts'
import { Producer, type SendOptions } from './producer.ts'
import { type QueueOptions, queueDeclarationOf, queueDefinitions } from './queue-options.ts'
import { checked } from './schema.ts'
import type { Definition } from './topology.ts'

/**
 * A queue as code: declared on first use and again after each reconnect. `In` is what is sent, `Out` what handlers get
 * when the schema makes something else of it.
 */
export class Queue<In = unknown, Out = In> {
  readonly name: string
  readonly #core: Core
  readonly #options: QueueOptions
  readonly #definitions: Definition[]
  readonly #producer: Producer<In>

  /** `more` is declared behind the queue: what it is bound to, and the bindings. */
  constructor(core: Core, name: string, options: QueueOptions, more: readonly Definition[] = []) {
    checkCompression(core.compression, options.compression)
    this.name = name
    this.#core = core
    this.#options = options
    this.#definitions = [...queueDefinitions(name, options), ...more]
    this.#producer = new Producer<In>(core, {
      exchange: '',
      routingKey: name,
      isMandatory: true,
      isDelaying: false,
      definitions: this.#definitions,
      codec: codecOf(options.codec),
      schema: options.schema ?? null,
      compression: options.compression ?? null,
    })
  }

  /** What is declared for it, in order. */
  get definitions(): readonly Definition[] {
    return this.#definitions
  }

  // ---------------------------------------------------------------- send

  /** Resolves when the broker has confirmed it. Rejects with a `WarrenError`. */
  send(message: In, options?: SendOptions): Promise<void> {
    return this.#producer.send(message, options)
  }

  /** See `Producer.sendMany`. */
  sendMany(messages: Iterable<In> | AsyncIterable<In>, options?: SendOptions): Promise<number> {
    return this.#producer.sendMany(messages, options)
  }

  producer(): Producer<In> {
    return this.#producer
  }

  // ---------------------------------------------------------------- consume

  /** Resolves when it consumes; rejects when the broker refuses. */
  async consume(handler: Handler<Out>, options: ConsumeOptions = {}): Promise<Consumer<Out>> {
    const consumer = new Consumer<Out>(this.#core, this.#consumed(), handler, options)
    await consumer.start()
    return consumer
  }

  /**
   * One message after the other. Asking for the next acknowledges the one before; leaving the loop by `break`, `return`
   * or an error gives back the one in hand, unless it was settled.
   */
  messages(options: Omit<ConsumeOptions, 'concurrency'> = {}): AsyncIterableIterator<Message<Out>> {
    return new MessageIterator<Out>(
      (handler) => new Consumer<Out>(this.#core, this.#consumed(), handler, { ...options, concurrency: 1 }),
    )
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message<Out>> {
    return this.messages()
  }

  /** The first message, which is gone from the queue then; null when it is empty. One that cannot be read stays there. */
  async get(): Promise<Message<Out> | null> {
    await this.declare()
    return this.#core.pool.run(`A message of queue '${this.name}'`, async (channel) => {
      const delivery = await channel.get(this.name, { isNoAck: false })
      if (delivery === null) return null
      const message = await this.#gotten(delivery).catch((error: unknown) => {
        channel.reject(delivery.deliveryTag, true)
        throw error
      })
      channel.ack(delivery.deliveryTag, false)
      return message
    })
  }

  async #gotten(delivery: Delivery): Promise<Message<Out>> {
    const body = await this.#read(delivery)
    const settle = (): void => undefined
    return new Message<Out>({ body, queue: this.name, delivery, attempt: 1, settle, extend: () => true })
  }

  #consumed(): ConsumedQueue<Out> {
    const { deadLetter } = this.#options
    return {
      name: this.name,
      declaration: queueDeclarationOf(this.#options),
      definitions: this.#definitions,
      deadLetter: typeof deadLetter === 'string' ? deadLetter : null,
      read: (delivery) => this.#read(delivery),
    }
  }

  /** Throws or rejects with `BAD_BODY`, `MESSAGE_TOO_LARGE` or `SCHEMA_FAILED`. */
  #read(delivery: Delivery): Out | Promise<Out> {
    const { compression, settings } = this.#core
    const encoding = delivery.properties.contentEncoding
    const bytes = decompressed(compression, { encoding, body: delivery.body, bytesMax: settings.decompressedBytesMax })
    return bytes instanceof Promise ? bytes.then((body) => this.#decode(body)) : this.#decode(bytes)
  }

  #decode(bytes: Uint8Array): Out | Promise<Out> {
    const { codec, schema } = this.#options
    const what = `A message of queue '${this.name}'`
    const result = checked(schema ?? null, decodeBody(codecOf(codec), bytes, what), what)
    // The schema's type, or what the codec was said to give.
    return result instanceof Promise ? result.then(({ value }) => value as Out) : (result.value as Out)
  }

  // ---------------------------------------------------------------- the queue itself

  /** Declares it now instead of on first use. Rejects when it exists with other properties. */
  declare(): Promise<void> {
    return this.#core.topology.ensureAll(this.#definitions)
  }

  /** Ready messages and consumers. Only asks: rejects (404) when there is no such queue. */
  info(): Promise<QueueInfo> {
    return this.#core.pool.run(`The question for queue '${this.name}'`, (channel) => channel.checkQueue(this.name))
  }

  /** Routes to this queue what an exchange gets with this key. Bound again after each reconnect. */
  async bind(exchange: string, bindingKey = '', table: Table = {}): Promise<void> {
    await this.declare()
    const binding = { source: exchange, destination: this.name, bindingKey, arguments: table }
    const definition: Definition = { kind: 'binding', to: 'queue', binding }
    await this.#core.topology.ensure(definition)
    this.#definitions.push(definition)
  }

  /** Removes what is ready; resolves with how many. */
  async purge(): Promise<number> {
    await this.declare()
    return this.#core.pool.run(`The purge of queue '${this.name}'`, (channel) => channel.purgeQueue(this.name))
  }

  /** With all it holds; resolves with how many were ready. It is declared again when it is used again. */
  async delete(conditions: { ifUnused?: boolean; ifEmpty?: boolean } = {}): Promise<number> {
    const count = await this.#core.pool.run(`The deletion of queue '${this.name}'`, (channel) =>
      channel.deleteQueue(this.name, conditions),
    )
    this.#core.topology.forgetQueue(this.name)
    return count
  }
}
