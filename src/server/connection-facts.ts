import type { FieldTable } from '../amqp/field-table.ts'
import type { Session } from '../broker/commands.ts'
import type { Endpoint, OpenChannel, OpenConnection } from '../broker/connection-directory.ts'
import type { Consumer } from '../broker/ports.ts'
import type { MessageCounts } from '../broker/statistics/message-counts.ts'
import type { Counted } from '../broker/statistics/recent.ts'
import type { Channel } from './channel.ts'
import type { Connection } from './connection.ts'

/** What can be said of a connection with an open vhost; null for all others. Looked up when it is asked for. */
export function factsOf(connection: Connection): OpenConnection | null {
  const { session } = connection
  return session === null || connection.stateName === 'closed' ? null : new ConnectionFacts(connection, session)
}

class ConnectionFacts implements OpenConnection {
  readonly #connection: Connection
  readonly #session: Session

  constructor(connection: Connection, session: Session) {
    this.#connection = connection
    this.#session = session
  }

  get name(): string {
    return this.#connection.name
  }

  get username(): string {
    return this.#session.principal.username
  }

  get vhost(): string {
    return this.#session.vhost.name
  }

  get peer(): Endpoint {
    return endpointOf(this.name.split(' -> ')[0] ?? '')
  }

  get local(): Endpoint {
    return endpointOf(this.name.split(' -> ')[1] ?? '')
  }

  get connectedAt(): number {
    return this.#connection.connectedAt
  }

  /** A publisher that an alarm holds back is `blocked`. */
  get state(): OpenConnection['state'] {
    const { stateName, broker, publishedBytes } = this.#connection
    if (stateName !== 'running') return 'closing'
    return broker.publishGate === 'blocked' && publishedBytes > 0 ? 'blocked' : 'running'
  }

  get mechanism(): string {
    return this.#connection.login.mechanism
  }

  get tls(): OpenConnection['tls'] {
    return this.#connection.tls
  }

  get clientProperties(): FieldTable {
    return this.#connection.client.properties
  }

  get bytesRead(): number {
    return this.#connection.bytesRead
  }

  get bytesWritten(): number {
    return this.#connection.output.bytesWritten
  }

  get bytesWaiting(): number {
    return this.#connection.output.waitingBytes
  }

  get channelCount(): number {
    return this.#connection.channels.count
  }

  get channelsMax(): number {
    return this.#connection.channels.countMax
  }

  get frameBytesMax(): number {
    return this.#connection.output.frameBytesMax
  }

  get heartbeatSeconds(): number {
    return this.#connection.heartbeat?.intervalSeconds ?? 0
  }

  get traffic(): Counted {
    return this.#connection.output.traffic
  }

  *channels(): Generator<OpenChannel> {
    for (const channel of this.#connection.channels.values()) yield new ChannelFacts(channel)
  }

  close(reason: string): void {
    this.#connection.contain(() => this.#connection.closeForced(reason))
  }
}

/** The address may have colons of its own. */
function endpointOf(text: string): Endpoint {
  const at = text.lastIndexOf(':')
  return { address: text.slice(0, at), port: Number(text.slice(at + 1)) }
}

class ChannelFacts implements OpenChannel {
  readonly #channel: Channel

  constructor(channel: Channel) {
    this.#channel = channel
  }

  get number(): number {
    return this.#channel.id
  }

  get prefetchCount(): number {
    return this.#channel.prefetchCount
  }

  get sharedPrefetchCount(): number {
    return this.#channel.sharedCredit.limit
  }

  get unacked(): number {
    return this.#channel.unacked.count
  }

  get unconfirmed(): number {
    return this.#channel.publisher.confirms?.waiting ?? 0
  }

  get isConfirming(): boolean {
    return this.#channel.publisher.confirms !== null
  }

  get isTransactional(): boolean {
    return this.#channel.publisher.transaction !== null
  }

  get state(): OpenChannel['state'] {
    return this.#channel.isOpen ? 'running' : 'closing'
  }

  get counts(): MessageCounts {
    return this.#channel.counts
  }

  get consumers(): Iterable<Consumer> {
    return consumersOf(this.#channel)
  }

  get consumerCount(): number {
    return this.#channel.consumers.size
  }
}

function* consumersOf(channel: Channel): Generator<Consumer> {
  for (const { consumer } of channel.consumers.values()) if (consumer !== null) yield consumer
}
