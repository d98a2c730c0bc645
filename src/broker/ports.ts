/**
 * What the broker needs of others, and what its parts need of one another. Every shard and topology operation is a
 * command whose result comes later through a sink, even where it is local and immediate: so a shard may as well live
 * on another node.
 */
import type { FieldTable } from '../amqp/field-table.ts'
import type { Position } from '../log/log.ts'
import type { Route } from './commands.ts'
import type { BrokerError } from './errors.ts'
import type { Chunks, Message } from './message.ts'
import type { QueueDefinition } from './topology/queue-definition.ts'

/** For those above who only hand it back: they need not know the log. */
export type { Position } from '../log/log.ts'

// ---------------------------------------------------------------- what the server implements

/**
 * Gets the result of a command: exactly one of the two is called, once, perhaps before the command returns.
 * `committedWith` is the topology position after which the answer may be given to a client (0: at once).
 */
export interface Reply<T> {
  done(result: T, committedWith: Position): void
  failed(error: BrokerError): void
}

/** Hears of publishes, by the number the channel gave them. In no certain order between shards. */
export interface ConfirmSink {
  confirm(sequence: number): void
  refuse(sequence: number): void
}

/** Where a consumer's messages go; the server's side of one consumer. */
export interface DeliverySink {
  /** False while the connection's output is over its limit; the server calls `vhost.resume(consumer)` when it has room again. */
  readonly isReady: boolean
  /**
   * Takes one message. The view is valid during the call only. Gives it a delivery tag and, unless the consumer is
   * no-ack, remembers (queue, sequence, consumer) for `settle`.
   */
  deliver(consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void
  /** The broker ended this consumer: its queue was deleted or its shard failed. Nothing more is delivered to it. */
  cancelled(consumer: Consumer): void
  /** The lease of a delivery has ended and it was taken back: whatever is still said of it concerns nobody. */
  leaseEnded(consumer: Consumer, sequence: number): void
}

/** Gets the one message of a `basic.get`, or that there is none. Exactly one call. */
export interface GetSink {
  message(queue: Queue, message: Message, sequence: number, isRedelivered: boolean, readyLeft: number): void
  empty(): void
  failed(error: BrokerError): void
}

// ---------------------------------------------------------------- what a shard gives

/** What a channel does with a delivery. */
export type Outcome =
  | 'ack' // done: forget it
  | 'requeue' // asked back (nack, recover): to its place, marked redelivered
  | 'fail' // the same, and counted as a failed delivery: reject with requeue, a channel or connection that ended
  | 'reject' // not wanted: dead-letter it where the queue says so, else forget it

/** Credit shared by all consumers of a channel (`basic.qos` with `global`). */
export interface SharedCredit {
  /** 0 is unlimited. */
  limit: number
  unacked: number
}

/**
 * One registered consumer. Made by `vhost.consume`; the server keeps it and gives it back. `limit` 0 is unlimited.
 * `unacked` counts what was delivered to it and not yet settled.
 */
export interface Consumer {
  readonly id: number
  readonly tag: string
  readonly queue: Queue
  readonly sink: DeliverySink
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  /** `x-priority`; higher first. */
  readonly priority: number
  readonly limit: number
  readonly shared: SharedCredit | null
  /** `x-consumer-timeout` of the consumer in milliseconds; null: what the queue says. */
  readonly timeoutMs: number | null
  /** All arguments of the `basic.consume`. */
  readonly arguments: FieldTable
  unacked: number
  /** False before `activate` and after the consumer ended. */
  isActive: boolean
  /** It ends, and what it holds comes back: set by the server before it unregisters it. Begins false. */
  isLeaving: boolean
  /** The queue's own mark: it stands in the list of consumers whose turn may come. Begins false. */
  isInTurn: boolean
}

export interface QueueStatus {
  readonly ready: number
  readonly unacked: number
  readonly consumers: number
  /** Of a stream whose log is open, or was; without readers then. */
  readonly offsets?: StreamOffsets
}

export interface StreamOffsets {
  /** Of the oldest message that is stored. */
  readonly first: number
  /** Of the next message to be stored. */
  readonly next: number
  readonly readers: readonly StreamReaderPlace[]
}

/** Where a consumer of a stream is. */
export interface StreamReaderPlace {
  readonly tag: string
  /** Under which its place is kept; null: it has none. */
  readonly name: string | null
  /** The next offset it gets. */
  readonly next: number
}

/** A message of a queue that is not ready before its time. */
export interface ScheduledMessage {
  /** Of its entry: where a further list goes on. */
  readonly sequence: number
  readonly messageId: string | null
  /** Wall time in milliseconds. */
  readonly dueAt: number
  readonly bodyBytes: number
  /** It was delivered and failed, and waits to be tried again. */
  readonly isRetry: boolean
}

/** Which messages of a queue are looked at, in the order of arrival. */
export interface BrowsePage {
  /** Sequence of the last one that was seen; 0: from the first. */
  readonly after: number
  /** At most 1,000; and fewer when they come to more than 512 KiB. */
  readonly limit: number
  /** Of each body so many bytes, at most `browsedBodyBytesMax`. */
  readonly bodyBytesMax: number
  /** Of each body from this byte on; left out: from its beginning. */
  readonly bodyFrom?: number
}

/** Of a body that is looked at, in bytes. */
export const browsedBodyBytesMax = 256 * 1024

/** A copy of a message that stays where it is. */
export interface BrowsedMessage {
  readonly sequence: number
  readonly state: 'ready' | 'unacked' | 'waiting'
  readonly isRedelivered: boolean
  /** Wall time in milliseconds. */
  readonly arrivedAt: number
  /** When it becomes ready, wall time in milliseconds; 0 unless it waits. */
  readonly dueAt: number
  /** Of the whole body. */
  readonly bodyBytes: number
  /** Exchange and routing key as short strings, the content header's payload, then of the body what was asked for. */
  readonly content: Uint8Array
  readonly routeBytes: number
  readonly headerBytes: number
  /** Keys of BCC, which the headers do not tell. */
  readonly blindKeys: readonly string[]
}

/** A queue as others see it: its definition and the shard that holds its messages. Local or remote alike. */
export interface Queue {
  readonly definition: QueueDefinition
  readonly shard: ShardCommands
}

/** One writer, one log, many queues. All calls are commands; what they lead to comes through the sinks. */
export interface ShardCommands {
  /**
   * Stores one message in the first `count` of `queues` (all of this shard). With a sink, exactly one of `confirm` and
   * `refuse` follows for `sequence`, once the message is as safe as its kind promises.
   */
  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void
  /** Opens a large body: its pieces go to the log as they arrive. `isPersistent` as the publish that will name it. */
  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter
  get(queue: Queue, isNoAck: boolean, sink: GetSink): void
  /**
   * Registers a consumer that gets nothing before `activate`. Fails for exclusive use. The result is the offset at which it
   * begins where that depends on how far a stream has come now (`next`, `last`); else -1.
   */
  register(consumer: Consumer, reply: Reply<number>): void
  /** From now on it may get messages (its consume-ok has been sent). */
  activate(consumer: Consumer): void
  /** Ends a consumer; what it holds stays unacked. The reply (how many consumers are left) comes after the last delivery. */
  unregister(consumer: Consumer, reply: Reply<number>): void
  /** The consumer's output has room again, or its credit was changed from outside. */
  resume(consumer: Consumer): void
  /**
   * Settles the deliveries `first..last` of a queue that `consumer` holds (null: taken by `get`). What it does not hold
   * (any more) is passed over.
   */
  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void
  /** The holder of this delivery needs `ms` milliseconds more from now. Without effect where there is no lease. */
  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void
  /** Up to `limit` (at most 1,000) messages that wait for their time, behind the entry `after`, in order of arrival. */
  listScheduled(queue: Queue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void
  /** Forgets the waiting messages with this message id; the result is how many there were. */
  cancelScheduled(queue: Queue, messageId: string, reply: Reply<number>): void
  /** Gives the waiting messages with this message id another time, wall time in milliseconds. */
  reschedule(queue: Queue, messageId: string, dueAt: number, reply: Reply<number>): void
  /** Looks at messages without taking them. Of a stream: refused. */
  browse(queue: Queue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void
  /** Takes one message away, unless somebody holds it; the result is how many that were. Of a stream: refused. */
  forget(queue: Queue, sequence: number, reply: Reply<number>): void
  purge(queue: Queue, reply: Reply<number>): void
  status(queue: Queue, reply: Reply<QueueStatus>): void
}

/** A large body on its way into the log. Ends with a publish that names it (`message.chunks = writer`) or `abandon`. */
export interface BodyWriter extends Chunks {
  /** Appends the next piece, at most `chunkBytes`; the bytes are copied. */
  append(buffer: Uint8Array, start: number, end: number): void
  /** The publish will not come: what was written is dead. */
  abandon(): void
}

// ---------------------------------------------------------------- what topology needs of whoever holds the queues

/** Knows where queues live. Called by topology's `apply` when definitions come and go. */
export interface ShardDirectory {
  /** A queue definition has come into being (live or in replay). The result is kept as its handle. */
  open(definition: QueueDefinition): Queue
  /**
   * A queue definition is gone: consumers are cancelled, messages dropped (resumably), confirms that waited for it
   * released. Messages are not dead-lettered. `ready` is what `delete-ok` reports.
   */
  drop(queue: Queue): void
  /** What is known at once about a queue; for `if-unused` and `if-empty`. */
  statusNow(queue: Queue): QueueStatus
  /** Whether its messages are on this node. Left out: all are. */
  isServing?(queue: Queue): boolean
  /** `definition.settings` is another object now. */
  settingsChanged(queue: Queue): void
  /** The queue was declared again: for queues that expire without use this is a use. */
  redeclared(queue: Queue): void
}

// ---------------------------------------------------------------- what a shard needs of topology

/** The topology's log and what it can be asked for: where dead letters go, and the end of a queue nobody uses. */
export interface ShardTopology {
  readonly appended: Position
  readonly committed: Position
  /**
   * Fills `queues` and `count` of the route for a message that goes to an exchange on the broker's own account (a dead
   * letter). The first key is the routing key, the others those of CC and BCC. False when there is no such exchange.
   */
  reroute(vhost: string, exchange: string, keys: readonly string[], message: Message, route: Route): boolean
  /** The queue was not used for as long as `x-expires` says: it is deleted like any other. */
  expireQueue(definition: QueueDefinition): void
}
