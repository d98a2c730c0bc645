/**
 * A driver without a broker: keeps what is asked of it, answers what a test tells it to. Connections and channels are
 * numbered in the order they are opened.
 */
import type {
  ChannelEvents,
  ConnectionEvents,
  ConnectTarget,
  ConsumerEvents,
  Delivery,
  Driver,
  DriverChannel,
  DriverConnection,
  OutgoingMessage,
  QueueInfo,
} from '../../../src/client/driver/driver.ts'
import { channelClosed, connectionLost, WarrenError } from '../../../src/client/errors.ts'

export class FakeDriver implements Driver {
  readonly connections: FakeConnection[] = []
  /** Targets of all attempts, by their labels. */
  readonly attempts: string[] = []
  /** What an attempt ends with; null connects. */
  answer: (target: ConnectTarget) => WarrenError | null = () => null
  isWarren = true
  /** Hears each operation of a channel, as `name argument`; what it throws is the answer. */
  operation: (what: string) => void = () => undefined

  connect(target: ConnectTarget, events: ConnectionEvents, signal: AbortSignal): Promise<DriverConnection> {
    this.attempts.push(target.label)
    const error = this.answer(target)
    if (error !== null) return Promise.reject(error)
    if (signal.aborted) return Promise.reject(signal.reason)
    const connection = new FakeConnection(this, target, events)
    this.connections.push(connection)
    return Promise.resolve(connection)
  }

  /** The newest one for that role. */
  last(role: 'publishing' | 'consuming'): FakeConnection {
    const found = this.connections.filter((one) => one.target.connectionName.includes(role)).at(-1)
    if (found === undefined) throw new Error(`there is no connection for ${role}`)
    return found
  }

  /** The channel messages are published on. */
  get publishChannel(): FakeChannel {
    const channel = this.last('publishing').channels.at(-1)
    if (channel === undefined) throw new Error('nothing is published')
    return channel
  }
}

export class FakeConnection implements DriverConnection {
  readonly product = 'Fake'
  readonly channelsMax = 100
  readonly channels: FakeChannel[] = []
  readonly driver: FakeDriver
  readonly target: ConnectTarget
  readonly events: ConnectionEvents
  isOpen = true

  constructor(driver: FakeDriver, target: ConnectTarget, events: ConnectionEvents) {
    this.driver = driver
    this.target = target
    this.events = events
  }

  get isWarren(): boolean {
    return this.driver.isWarren
  }

  openChannel(events: ChannelEvents): Promise<DriverChannel> {
    if (!this.isOpen) return Promise.reject(connectionLost('fake', undefined))
    const channel = new FakeChannel(this, events)
    this.channels.push(channel)
    return Promise.resolve(channel)
  }

  close(): Promise<void> {
    this.#end(null)
    return Promise.resolve()
  }

  destroy(error: WarrenError): void {
    this.#end(error)
  }

  /** As if the socket had gone. */
  lose(): void {
    this.#end(connectionLost('fake', undefined))
  }

  #end(error: WarrenError | null): void {
    if (!this.isOpen) return
    this.isOpen = false
    for (const channel of this.channels) channel.end(error)
    this.events.closed(error)
  }
}

export class FakeChannel implements DriverChannel {
  readonly connection: FakeConnection
  readonly events: ChannelEvents
  readonly published: OutgoingMessage[] = []
  /** As `ack 1`, `requeue 2`, `reject 3`. */
  readonly settled: string[] = []
  readonly consumers: { queue: string; events: ConsumerEvents }[] = []
  isOpen = true
  isConfirming = false
  #deliveryTag = 0

  constructor(connection: FakeConnection, events: ChannelEvents) {
    this.connection = connection
    this.events = events
  }

  end(error: WarrenError | null): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.events.closed(error)
  }

  /** As if the broker had closed it for something published. */
  refuse(replyCode: number): void {
    this.end(channelClosed(replyCode, 'REFUSED', 'a message'))
  }

  deliver(delivery: Partial<Delivery> = {}): void {
    this.consumers[0]?.events.delivered({
      deliveryTag: ++this.#deliveryTag,
      isRedelivered: false,
      exchange: '',
      routingKey: 'q',
      properties: {},
      body: new TextEncoder().encode(String(this.#deliveryTag)),
      ...delivery,
    })
  }

  /** Bodies of what was published, as text. */
  get bodies(): string[] {
    return this.published.map(({ body }) => new TextDecoder().decode(body))
  }

  publish(message: OutgoingMessage): number {
    if (!this.isOpen) throw connectionLost('fake', undefined)
    this.published.push(message)
    return this.isConfirming ? this.published.length : 0
  }

  consume(queue: string, _options: unknown, events: ConsumerEvents): Promise<string> {
    return this.#do(`consume ${queue}`, () => {
      this.consumers.push({ queue, events })
      return 'tag'
    })
  }

  confirmSelect(): Promise<void> {
    return this.#do('confirm.select', () => {
      this.isConfirming = true
    })
  }

  declareQueue(name: string): Promise<QueueInfo> {
    return this.#do(`declare queue ${name}`, () => ({ name, messageCount: 0, consumerCount: 0 }))
  }

  checkQueue(name: string): Promise<QueueInfo> {
    return this.#do(`check queue ${name}`, () => ({ name, messageCount: 0, consumerCount: 0 }))
  }

  deleteQueue(name: string): Promise<number> {
    return this.#do(`delete queue ${name}`, () => 0)
  }

  purgeQueue(name: string): Promise<number> {
    return this.#do(`purge queue ${name}`, () => 0)
  }

  bindQueue({ source, destination }: { source: string; destination: string }): Promise<void> {
    return this.#do(`bind queue ${destination} to ${source}`, () => undefined)
  }

  unbindQueue({ source, destination }: { source: string; destination: string }): Promise<void> {
    return this.#do(`unbind queue ${destination} from ${source}`, () => undefined)
  }

  declareExchange(name: string): Promise<void> {
    return this.#do(`declare exchange ${name}`, () => undefined)
  }

  checkExchange(name: string): Promise<void> {
    return this.#do(`check exchange ${name}`, () => undefined)
  }

  deleteExchange(name: string): Promise<void> {
    return this.#do(`delete exchange ${name}`, () => undefined)
  }

  bindExchange({ source, destination }: { source: string; destination: string }): Promise<void> {
    return this.#do(`bind exchange ${destination} to ${source}`, () => undefined)
  }

  unbindExchange({ source, destination }: { source: string; destination: string }): Promise<void> {
    return this.#do(`unbind exchange ${destination} from ${source}`, () => undefined)
  }

  cancel(consumerTag: string): Promise<void> {
    return this.#do(`cancel ${consumerTag}`, () => undefined)
  }

  qos(prefetchCount: number): Promise<void> {
    return this.#do(`qos ${prefetchCount}`, () => undefined)
  }

  get(queue: string): Promise<null> {
    return this.#do(`get ${queue}`, () => null)
  }

  ack(deliveryTag: number): void {
    if (this.isOpen) this.settled.push(`ack ${deliveryTag}`)
  }

  nack(deliveryTag: number, { isRequeue }: { isRequeue: boolean }): void {
    if (this.isOpen) this.settled.push(`${isRequeue ? 'requeue' : 'nack'} ${deliveryTag}`)
  }

  reject(deliveryTag: number): void {
    if (this.isOpen) this.settled.push(`reject ${deliveryTag}`)
  }

  close(): Promise<void> {
    this.end(null)
    return Promise.resolve()
  }

  /** An operation: the test hears of it, and a refusal closes the channel, as brokers do. */
  async #do<T>(what: string, result: () => T): Promise<T> {
    if (!this.isOpen) throw connectionLost('fake', undefined)
    try {
      this.connection.driver.operation(what)
    } catch (error) {
      if (error instanceof WarrenError && error.code === 'CHANNEL_CLOSED') this.end(error)
      throw error
    }
    return result()
  }
}
