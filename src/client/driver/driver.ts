/**
 * What the client needs of an AMQP library, and no more: one connection without reconnects, its channels, and what
 * happens to them. `amqp-client-driver.ts` is the one there is; tests have another.
 *
 * Contract: `closed` of a connection and of a channel is called exactly once, as the last event, whatever the reason;
 * null is an orderly close that was asked for. Every promise settles by then. Nothing throws but `publish`, for a message
 * that cannot be encoded.
 */
import type { WarrenError } from '../errors.ts'
import type { MessageProperties, Table } from './properties.ts'

export interface Driver {
  /** Connects and logs in. Rejects with a `WarrenError`; the signal ends the attempt. */
  connect(target: ConnectTarget, events: ConnectionEvents, signal: AbortSignal): Promise<DriverConnection>
}

/** Where to connect to and as whom; read from a URL by `address.ts`. */
export interface ConnectTarget {
  readonly protocol: 'amqp' | 'amqps' | 'ws' | 'wss'
  readonly host: string
  readonly port: number
  /** The whole URL without user and password, for WebSockets. */
  readonly url: string
  readonly vhost: string
  readonly username: string
  readonly password: string
  /** Shown by the broker. */
  readonly connectionName: string
  /** Asked of the broker, which may want less. 0 is none. */
  readonly heartbeatSeconds: number
  /** How errors name it: without the password. */
  readonly label: string
}

export interface ConnectionEvents {
  closed(error: WarrenError | null): void
  /** The broker takes no messages on this connection for now. */
  blocked(reason: string): void
  unblocked(): void
}

export interface DriverConnection {
  /** From the broker's server properties, for example 'RabbitMQ', and 'warren' of Warren. */
  readonly product: string
  readonly isWarren: boolean
  /** Largest channel number, as negotiated. */
  readonly channelsMax: number
  openChannel(events: ChannelEvents): Promise<DriverChannel>
  /** In order, at most `msMax`; then the socket is dropped. Never rejects. */
  close(msMax: number): Promise<void>
  /** Drops the socket at once; `closed(error)` follows before it returns. */
  destroy(error: WarrenError): void
}

export interface ChannelEvents {
  closed(error: WarrenError | null): void
  /** Sequences up to this one (`isMultiple`) or this one alone. */
  confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void
  /** Always before the confirm of the same message. */
  returned(message: ReturnedMessage): void
}

export interface QueueDeclaration {
  readonly isDurable: boolean
  readonly isExclusive: boolean
  readonly isAutoDelete: boolean
  readonly arguments: Table
}

export interface ExchangeDeclaration {
  readonly type: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly isInternal: boolean
  readonly arguments: Table
}

export interface QueueInfo {
  readonly name: string
  /** Ready messages. */
  readonly messageCount: number
  readonly consumerCount: number
}

export interface BindingDeclaration {
  readonly source: string
  readonly destination: string
  readonly bindingKey: string
  readonly arguments: Table
}

/** Each operation rejects with a `WarrenError`; one that the broker refuses closes the channel. */
export interface DriverChannel {
  readonly isOpen: boolean
  declareQueue(name: string, declaration: QueueDeclaration): Promise<QueueInfo>
  /** Rejects (404) when there is no such queue. */
  checkQueue(name: string): Promise<QueueInfo>
  deleteQueue(name: string, conditions: { ifUnused?: boolean; ifEmpty?: boolean }): Promise<number>
  purgeQueue(name: string): Promise<number>
  bindQueue(binding: BindingDeclaration): Promise<void>
  unbindQueue(binding: BindingDeclaration): Promise<void>
  declareExchange(name: string, declaration: ExchangeDeclaration): Promise<void>
  /** Rejects (404) when there is no such exchange. */
  checkExchange(name: string): Promise<void>
  deleteExchange(name: string, conditions: { ifUnused?: boolean }): Promise<void>
  bindExchange(binding: BindingDeclaration): Promise<void>
  unbindExchange(binding: BindingDeclaration): Promise<void>
  /** From now on publishes are numbered from 1 and confirmed. */
  confirmSelect(): Promise<void>
  /** Writes at the end of this turn. The sequence, or 0 without confirms. Throws a `WarrenError` for what cannot be sent. */
  publish(message: OutgoingMessage): number
  consume(queue: string, options: ConsumeOptions, events: ConsumerEvents): Promise<string>
  /** Deliveries that are under way still come before it resolves. */
  cancel(consumerTag: string): Promise<void>
  qos(prefetchCount: number): Promise<void>
  get(queue: string, options: { isNoAck: boolean }): Promise<(Delivery & { readonly messageCount: number }) | null>
  ack(deliveryTag: number, isMultiple: boolean): void
  nack(deliveryTag: number, options: { isRequeue: boolean; isMultiple: boolean }): void
  reject(deliveryTag: number, isRequeue: boolean): void
  /** Never rejects. */
  close(): Promise<void>
}

export interface ConsumeOptions {
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  readonly arguments: Table
}

export interface ConsumerEvents {
  delivered(delivery: Delivery): void
  /** By the broker: the queue was deleted, or has moved. Nothing more comes. */
  cancelled(): void
}

export interface OutgoingMessage {
  readonly exchange: string
  readonly routingKey: string
  readonly isMandatory: boolean
  readonly properties: MessageProperties
  readonly body: Uint8Array
}

export interface Delivery {
  readonly deliveryTag: number
  readonly isRedelivered: boolean
  readonly exchange: string
  readonly routingKey: string
  readonly properties: MessageProperties
  readonly body: Uint8Array
}

export interface ReturnedMessage {
  readonly replyCode: number
  readonly replyText: string
  readonly exchange: string
  readonly routingKey: string
  readonly properties: MessageProperties
  readonly body: Uint8Array
}
