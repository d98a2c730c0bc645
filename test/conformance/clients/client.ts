/**
 * What the conformance tests ask of any client library, so that one set of behaviours is proved with each of them. Each
 * library keeps its own habits behind this: how it pipelines, which frame size it asks for, how it tells of errors.
 */

export interface Received {
  readonly body: Buffer
  readonly redelivered: boolean
  readonly exchange: string
  readonly routingKey: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly properties: Readonly<Record<string, unknown>>
  ack(): void
  nack(requeue: boolean): void
}

export interface QueueOptions {
  readonly durable?: boolean
  readonly exclusive?: boolean
  readonly autoDelete?: boolean
  readonly passive?: boolean
}

export interface PublishOptions {
  readonly persistent?: boolean
  readonly mandatory?: boolean
  readonly headers?: Readonly<Record<string, unknown>>
  readonly messageId?: string
}

/** One connection with one channel in confirm mode. An error of a channel rejects the call that met it, with code and text. */
export interface Client {
  /** Gives the number of ready messages. */
  declareQueue(name: string, options: QueueOptions): Promise<number>
  deleteQueue(name: string): Promise<number>
  declareExchange(name: string, type: string): Promise<void>
  deleteExchange(name: string): Promise<void>
  bind(queue: string, exchange: string, routingKey: string): Promise<void>
  /** Settles when the broker has confirmed; rejects when it refuses. */
  publish(exchange: string, routingKey: string, body: Buffer, options?: PublishOptions): Promise<void>
  /** Messages that came back, each noted before its confirm. */
  readonly returned: readonly { body: Buffer; replyText: string }[]
  /** Returns how to cancel. */
  consume(queue: string, prefetch: number, onMessage: (message: Received) => void): Promise<() => Promise<void>>
  get(queue: string): Promise<Received | null>
  close(): Promise<void>
}

/** How one library is put behind `Client`, and which header values it can carry both ways. */
export interface Library {
  readonly name: string
  connect(url: string): Promise<Client>
  readonly headers: Readonly<Record<string, unknown>>
}
