import type { FieldTable } from '../amqp/field-table.ts'
import type { TlsFacts } from '../base/network.ts'
import type { Consumer } from './ports.ts'
import type { MessageCounts } from './statistics/message-counts.ts'
import type { Counted } from './statistics/recent.ts'

/**
 * The connections there are, for those who show or close them. Implemented by whoever holds them; nothing is kept for it,
 * all of it is looked up when it is asked for. Those without a login are not in it.
 */
export interface ConnectionDirectory {
  /** With a vhost open. May be walked in slices: what comes and goes meanwhile may be in it or not. */
  readonly openConnections: Iterable<OpenConnection>
  /** Since the node started. */
  readonly totals: ConnectionTotals
}

export interface ConnectionTotals {
  /** With a vhost. */
  connectionsOpened: number
  connectionsClosed: number
  channelsOpened: number
  channelsClosed: number
  /** Of connections that are gone. */
  bytesRead: number
  bytesWritten: number
}

export interface OpenConnection {
  /** `127.0.0.1:41234 -> 127.0.0.1:5672`; unique at any one time. */
  readonly name: string
  readonly username: string
  readonly vhost: string
  readonly peer: Endpoint
  readonly local: Endpoint
  /** Wall time in milliseconds. */
  readonly connectedAt: number
  readonly state: 'running' | 'blocked' | 'closing'
  /** How it logged in: `PLAIN`, `AMQPLAIN` or `EXTERNAL`. */
  readonly mechanism: string
  /** Null without TLS. */
  readonly tls: TlsFacts | null
  readonly clientProperties: FieldTable
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Bytes that wait for the peer to read. */
  readonly bytesWaiting: number
  /** For whoever samples the bytes. */
  readonly traffic: Counted
  readonly channelCount: number
  readonly channelsMax: number
  readonly frameBytesMax: number
  /** 0: none. */
  readonly heartbeatSeconds: number
  channels(): Iterable<OpenChannel>
  /** Ends it with 320; the reason is what the client reads. */
  close(reason: string): void
}

export interface Endpoint {
  /** Numeric. */
  readonly address: string
  readonly port: number
}

export interface OpenChannel {
  readonly number: number
  /** For consumers to come, and for all of the channel together; 0 is unlimited. */
  readonly prefetchCount: number
  readonly sharedPrefetchCount: number
  readonly unacked: number
  /** Publishes whose confirm has not been sent. */
  readonly unconfirmed: number
  readonly isConfirming: boolean
  readonly isTransactional: boolean
  readonly state: 'running' | 'closing'
  readonly consumers: Iterable<Consumer>
  readonly consumerCount: number
  readonly counts: MessageCounts
}
