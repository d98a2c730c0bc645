/**
 * A channel of the library, with three things done by ourselves: deliveries go to their consumer at once (the library
 * loses one that comes together with `consume-ok`), confirms go to whoever counts publishes, and each operation settles
 * when the channel closes, also one that was asked for in the same turn.
 */
import { AMQPChannel } from '@cloudamqp/amqp-client/amqp-channel'
import { AMQPConsumer } from '@cloudamqp/amqp-client/amqp-consumer'
import type { AMQPMessage } from '@cloudamqp/amqp-client/amqp-message'
import type { AMQPProperties } from '@cloudamqp/amqp-client/amqp-properties'
import { channelClosed, connectionLost, WarrenError } from '../errors.ts'
import type {
  BindingDeclaration,
  ChannelEvents,
  ConsumeOptions,
  ConsumerEvents,
  Delivery,
  DriverChannel,
  ExchangeDeclaration,
  OutgoingMessage,
  QueueDeclaration,
  QueueInfo,
} from './driver.ts'
import type { LibraryConnection } from './library-connection.ts'
import type { MessageProperties, Table, TableValue } from './properties.ts'

type LibraryField = AMQPProperties['headers'] extends Record<string, infer F> | undefined ? F : never

/** The library's own object: what comes in is passed on. */
class Wire extends AMQPChannel {
  owner: LibraryChannel | null = null

  override setClosed(error?: Error): void {
    super.setClosed(error)
    this.owner?.ended(error ?? null)
  }

  override publishConfirmed(sequence: number, isMultiple: boolean, isNack: boolean): void {
    this.owner?.confirmed(sequence, isMultiple, isNack)
  }

  override deliver(message: AMQPMessage): void {
    this.owner?.delivered(message)
  }

  override onReturn(message: AMQPMessage): void {
    this.owner?.returned(message)
  }
}

/** Stands in the library's list of consumers: hears when the broker cancels. */
class CancelNotice extends AMQPConsumer {
  readonly #cancelled: () => void

  constructor(channel: AMQPChannel, tag: string, cancelled: () => void) {
    super(channel, tag, () => undefined)
    this.#cancelled = cancelled
  }

  override setClosed(error?: Error): void {
    if (error !== undefined && !this.channel.closed) this.#cancelled()
  }
}

export class LibraryChannel implements DriverChannel {
  readonly #connection: LibraryConnection
  readonly #wire: Wire
  readonly #events: ChannelEvents
  readonly #consumers = new Map<string, ConsumerEvents>()
  /** Rejects what is under way. */
  readonly #pending = new Set<(error: WarrenError) => void>()
  #isOpen = true
  #isConfirming = false
  #sequence = 0
  #consumerCount = 0
  #doing = 'an operation'

  private constructor(connection: LibraryConnection, wire: Wire, events: ChannelEvents) {
    this.#connection = connection
    this.#wire = wire
    this.#events = events
    wire.owner = this
    wire.onerror = () => undefined
  }

  static async open(connection: LibraryConnection, id: number, events: ChannelEvents): Promise<LibraryChannel> {
    const wire = new Wire(connection, id)
    connection.channels[id] = wire
    const channel = new LibraryChannel(connection, wire, events)
    await channel.#call('a channel', () => wire.open())
    return channel
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  // ---------------------------------------------------------------- topology

  async declareQueue(name: string, declaration: QueueDeclaration): Promise<QueueInfo> {
    const { isDurable: durable, isExclusive: exclusive, isAutoDelete: autoDelete } = declaration
    const flags = { passive: false, durable, exclusive, autoDelete }
    return this.#call(`the declaration of queue '${name}'`, () =>
      this.#wire.queueDeclare(name, flags, libraryTable(declaration.arguments)),
    )
  }

  async checkQueue(name: string): Promise<QueueInfo> {
    const flags = { passive: true, durable: false, exclusive: false, autoDelete: false }
    return this.#call(`the question for queue '${name}'`, () => this.#wire.queueDeclare(name, flags))
  }

  async deleteQueue(name: string, conditions: { ifUnused?: boolean; ifEmpty?: boolean }): Promise<number> {
    const ok = await this.#call(`the deletion of queue '${name}'`, () => this.#wire.queueDelete(name, conditions))
    return ok.messageCount
  }

  async purgeQueue(name: string): Promise<number> {
    const ok = await this.#call(`the purge of queue '${name}'`, () => this.#wire.queuePurge(name))
    return ok.messageCount
  }

  async bindQueue({ source, destination, bindingKey, arguments: table }: BindingDeclaration): Promise<void> {
    await this.#call(`the binding of queue '${destination}' to exchange '${source}'`, () =>
      this.#wire.queueBind(destination, source, bindingKey, libraryTable(table)),
    )
  }

  async unbindQueue({ source, destination, bindingKey, arguments: table }: BindingDeclaration): Promise<void> {
    await this.#call(`the unbinding of queue '${destination}' from exchange '${source}'`, () =>
      this.#wire.queueUnbind(destination, source, bindingKey, libraryTable(table)),
    )
  }

  async declareExchange(name: string, declaration: ExchangeDeclaration): Promise<void> {
    const { type, isDurable: durable, isAutoDelete: autoDelete, isInternal: internal } = declaration
    await this.#call(`the declaration of exchange '${name}'`, () =>
      this.#wire.exchangeDeclare(
        name,
        type,
        { passive: false, durable, autoDelete, internal },
        libraryTable(declaration.arguments),
      ),
    )
  }

  async checkExchange(name: string): Promise<void> {
    await this.#call(`the question for exchange '${name}'`, () =>
      this.#wire.exchangeDeclare(name, '', { passive: true }),
    )
  }

  async deleteExchange(name: string, conditions: { ifUnused?: boolean }): Promise<void> {
    await this.#call(`the deletion of exchange '${name}'`, () => this.#wire.exchangeDelete(name, conditions))
  }

  async bindExchange({ source, destination, bindingKey, arguments: table }: BindingDeclaration): Promise<void> {
    await this.#call(`the binding of exchange '${destination}' to exchange '${source}'`, () =>
      this.#wire.exchangeBind(destination, source, bindingKey, libraryTable(table)),
    )
  }

  async unbindExchange({ source, destination, bindingKey, arguments: table }: BindingDeclaration): Promise<void> {
    await this.#call(`the unbinding of exchange '${destination}' from exchange '${source}'`, () =>
      this.#wire.exchangeUnbind(destination, source, bindingKey, libraryTable(table)),
    )
  }

  // ---------------------------------------------------------------- publishing

  async confirmSelect(): Promise<void> {
    await this.#call('confirms', () => this.#wire.confirmSelect())
    this.#isConfirming = true
  }

  publish(message: OutgoingMessage): number {
    if (!this.#isOpen) throw connectionLost(this.#connection.label, undefined)
    this.#doing = 'a message'
    this.#connection.writeMessage(this.#wire.id, message)
    return this.#isConfirming ? ++this.#sequence : 0
  }

  confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void {
    this.#events.confirmed(sequence, isMultiple, isNack)
  }

  returned(message: AMQPMessage): void {
    const { exchange, routingKey } = message
    const properties = propertiesOf(message)
    const body = message.body ?? noBytes
    const replyCode = message.replyCode ?? 0
    this.#events.returned({ replyCode, replyText: message.replyText ?? '', exchange, routingKey, properties, body })
  }

  // ---------------------------------------------------------------- consuming

  async consume(queue: string, options: ConsumeOptions, events: ConsumerEvents): Promise<string> {
    const tag = `warren-${this.#wire.id}-${++this.#consumerCount}`
    const notice = new CancelNotice(this.#wire, tag, () => {
      if (this.#consumers.delete(tag)) events.cancelled()
    })
    // Before the answer, because deliveries and even the end may come together with it.
    this.#consumers.set(tag, events)
    this.#wire.consumers.set(tag, notice)
    const parameters = {
      tag,
      noAck: options.isNoAck,
      exclusive: options.isExclusive,
      args: libraryTable(options.arguments),
    }
    try {
      await this.#call(`the subscription to queue '${queue}'`, () =>
        this.#wire.basicConsume(queue, parameters, () => undefined),
      )
    } catch (error) {
      this.#consumers.delete(tag)
      throw error
    }
    this.#wire.consumers.set(tag, notice)
    return tag
  }

  delivered(message: AMQPMessage): void {
    this.#consumers.get(message.consumerTag)?.delivered(deliveryOf(message))
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#call('the end of a subscription', () => this.#wire.basicCancel(consumerTag))
    this.#consumers.delete(consumerTag)
  }

  async qos(prefetchCount: number): Promise<void> {
    await this.#call(`a prefetch of ${prefetchCount}`, () => this.#wire.basicQos(prefetchCount))
  }

  async get(
    queue: string,
    options: { isNoAck: boolean },
  ): Promise<(Delivery & { readonly messageCount: number }) | null> {
    const message = await this.#call(`a message of queue '${queue}'`, () =>
      this.#wire.basicGet(queue, { noAck: options.isNoAck }),
    )
    return message === null ? null : { ...deliveryOf(message), messageCount: message.messageCount ?? 0 }
  }

  ack(deliveryTag: number, isMultiple: boolean): void {
    if (this.#isOpen) this.#wire.basicAck(deliveryTag, isMultiple).catch(ignore)
  }

  nack(deliveryTag: number, options: { isRequeue: boolean; isMultiple: boolean }): void {
    if (this.#isOpen) this.#wire.basicNack(deliveryTag, options.isRequeue, options.isMultiple).catch(ignore)
  }

  reject(deliveryTag: number, isRequeue: boolean): void {
    if (this.#isOpen) this.#wire.basicReject(deliveryTag, isRequeue).catch(ignore)
  }

  // ---------------------------------------------------------------- the end

  async close(): Promise<void> {
    if (!this.#isOpen) return
    try {
      await this.#call('the end of a channel', () => this.#wire.close())
    } catch {
      // It has closed in another way, which `closed` has said.
    }
    this.ended(null)
  }

  /** The library says so, or the connection has gone. */
  ended(error: Error | null): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const reason = this.#connection.reasonOf(this.#wire.id)
    const known =
      reason === null ? this.#connectionEnd(error) : channelClosed(reason.replyCode, reason.replyText, this.#doing)
    const rejection = known ?? closedMeanwhile(this.#doing)
    for (const reject of [...this.#pending]) reject(rejection)
    this.#pending.clear()
    this.#consumers.clear()
    this.#events.closed(known)
  }

  #connectionEnd(error: Error | null): WarrenError | null {
    if (error === null || error instanceof WarrenError) return error
    return this.#connection.endedBy ?? connectionLost(this.#connection.label, error)
  }

  /** One operation of the library, which also settles with the channel. */
  #call<T>(doing: string, operation: () => Promise<T>): Promise<T> {
    if (!this.#isOpen) return Promise.reject(connectionLost(this.#connection.label, this.#connection.endedBy))
    this.#doing = doing
    return new Promise<T>((resolve, reject) => {
      const end = (error: WarrenError): void => {
        this.#pending.delete(end)
        reject(error)
      }
      this.#pending.add(end)
      void attempt(operation).then(
        (value) => {
          this.#pending.delete(end)
          resolve(value)
        },
        // When the channel closes, `ended` knows better why, and comes in the same turn.
        (error: unknown) => void Promise.resolve().then(() => end(this.#unexpected(doing, error))),
      )
    })
  }

  #unexpected(doing: string, error: unknown): WarrenError {
    if (error instanceof WarrenError) return error
    if (this.#isOpen) {
      const text = error instanceof Error ? error.message : String(error)
      const mend = 'Check names and arguments: a name has at most 255 bytes, all arguments together 4 KiB.'
      return new WarrenError('BAD_OPTION', `AMQP cannot carry ${doing} (${text}).`, { mend, cause: error })
    }
    return connectionLost(this.#connection.label, error)
  }
}

const noBytes = new Uint8Array(0)
const ignore = (): void => undefined

function closedMeanwhile(doing: string): WarrenError {
  const mend = 'Wait for what is under way before you close.'
  return new WarrenError('CLOSED', `The channel was closed while ${doing} was under way.`, { mend })
}

/** What throws at once rejects, too. */
async function attempt<T>(operation: () => Promise<T>): Promise<T> {
  return operation()
}

function deliveryOf(message: AMQPMessage): Delivery {
  const { deliveryTag, redelivered, exchange, routingKey } = message
  const body = message.body ?? noBytes
  return { deliveryTag, isRedelivered: redelivered, exchange, routingKey, properties: propertiesOf(message), body }
}

/** Ours and the library's have the same shape; what a peer can send is a table value. */
function propertiesOf(message: AMQPMessage): MessageProperties {
  return message.properties as MessageProperties
}

/** The library writes whole numbers from 2^31 to 2^32 as negative ones; as bigint they are right. */
function libraryTable(table: Table): Record<string, LibraryField> {
  const result: Record<string, LibraryField> = {}
  for (const [key, value] of Object.entries(table)) result[key] = libraryValue(value) as LibraryField
  return result
}

function libraryValue(value: TableValue): unknown {
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) >= 2 ** 31) return BigInt(value)
  if (Array.isArray(value)) return value.map((one: TableValue) => libraryValue(one))
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof Uint8Array) return value
  return libraryTable(value as Table)
}
