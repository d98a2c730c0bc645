/**
 * Every bound of the AMQP side, with its unit and what happens when it is reached. One frozen object is shared by all
 * connections of a listener; `daemon.ts` makes it from the configuration.
 */
export interface ServerLimits {
  /** Connections in total. A further one is closed as it is accepted. */
  readonly connectionsMax: number
  /** Connections that have not opened a vhost yet, in total and from one address. A further one is closed. */
  readonly unauthenticatedMax: number
  readonly unauthenticatedPerAddressMax: number
  /** From accept to `connection.open`, in milliseconds. Then the socket is closed. */
  readonly handshakeMsMax: number
  /** What a connection may send before it has logged in, in bytes. Then the socket is closed. */
  readonly loginBytesMax: number
  /** How long the answer to a failed login is held back, in milliseconds. */
  readonly failedLoginDelayMs: number
  /** How long a peer has to answer our `connection.close`, in milliseconds. Then the socket is closed. */
  readonly closeMsMax: number
  /** How long a `connection.close` waits for channels that wait for something, in milliseconds. Then it goes ahead. */
  readonly parkedCloseMsMax: number

  /** Offered in `connection.tune`: largest frame in bytes, highest channel number, seconds between heartbeats. */
  readonly frameBytesMax: number
  readonly channelsMax: number
  readonly heartbeatSeconds: number
  /** Smallest `frame_max` a client may ask for, in bytes. Below: 530. */
  readonly frameBytesMin: number

  /** Body of one message, in bytes. Above: 406, seen at the content header. */
  readonly messageBytesMax: number
  /** Consumers of one channel. A further one: 530. */
  readonly consumersPerChannelMax: number
  /** Deliveries a channel holds unsettled. Then its consumers get nothing; a `basic.get` is 406. */
  readonly unackedPerChannelMax: number
  /** Publishes of a channel that wait for their confirm. Then the connection is not read. */
  readonly unconfirmedPerChannelMax: number
  /** What a transaction keeps until commit, in bytes. Above: 406. */
  readonly transactionBytesMax: number
  /** Entries (publishes and acks) of a transaction. Above: 406. */
  readonly transactionEntriesMax: number

  /** What one connection is given to do before others have their turn, in milliseconds (input: `readBytesMax`). */
  readonly turnMsMax: number
  /** Input of parked channels that one connection keeps, in bytes. Then it is not read. */
  readonly parkedBytesMax: number
  /** Replies that wait for the topology's commit, per channel. Then the channel parks. */
  readonly heldRepliesMax: number
  /** Output of a connection above which its consumers get nothing, in bytes. */
  readonly deliveryBytesMax: number
  /** Output of a connection above which it is not read, in bytes. */
  readonly outputBytesMax: number
  /** Large bodies a connection's output holds open. Above, its consumers get nothing. */
  readonly largeBodiesMax: number
  /** Output of a connection above which direct replies to it are dropped, in bytes. */
  readonly replyOutputBytesMax: number
  /** Body of one direct reply, which is kept in memory, in bytes. Above: 406. */
  readonly replyBytesMax: number
  /** Bytes of a large message that must go back to its publisher (`mandatory`), kept in memory. Above: 406. */
  readonly returnedBytesMax: number
}

export const defaultServerLimits: ServerLimits = Object.freeze({
  connectionsMax: 65_536,
  unauthenticatedMax: 4_096,
  unauthenticatedPerAddressMax: 1_024,
  handshakeMsMax: 10_000,
  loginBytesMax: 64 * 1024,
  failedLoginDelayMs: 1_000,
  closeMsMax: 10_000,
  parkedCloseMsMax: 10_000,
  frameBytesMax: 131_072,
  channelsMax: 2_047,
  heartbeatSeconds: 60,
  frameBytesMin: 4_096,
  messageBytesMax: 128 * 1024 * 1024,
  consumersPerChannelMax: 16_384,
  unackedPerChannelMax: 1_048_576,
  unconfirmedPerChannelMax: 1_048_576,
  transactionBytesMax: 64 * 1024 * 1024,
  transactionEntriesMax: 262_144,
  turnMsMax: 2,
  parkedBytesMax: 1024 * 1024,
  heldRepliesMax: 4_096,
  deliveryBytesMax: 1024 * 1024,
  outputBytesMax: 4 * 1024 * 1024,
  largeBodiesMax: 2,
  replyOutputBytesMax: 64 * 1024 * 1024,
  replyBytesMax: 16 * 1024 * 1024,
  returnedBytesMax: 16 * 1024 * 1024,
})
