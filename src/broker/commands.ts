/**
 * What the server calls: the broker, one vhost, and the arguments of their commands. Implemented by `broker.ts` and
 * `vhost.ts`. Names and keys are strings as `amqp/short-string.ts` decodes them (lossless).
 *
 * Commands either call their reply or throw `BrokerError`; both mean the same. Each checks the rights of the session's
 * principal by the one `authorise()` before it does anything else.
 */
import type { FieldTable } from '../amqp/field-table.ts'
import type { Position } from '../log/log.ts'
import type { TokenRights } from './access/token-rights.ts'
import type { Message } from './message.ts'
import type {
  BodyWriter,
  ConfirmSink,
  Consumer,
  DeliverySink,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  SharedCredit,
} from './ports.ts'
import type { ExchangeCounts, VhostCounts } from './statistics/message-counts.ts'

/** Who acts: somebody who has logged in. Rights are looked up under this name at each operation (cached per epoch). */
export interface Principal {
  readonly username: string
  readonly tags: readonly string[]
  /** Where a token was shown: rights are those in it and no others. Left out: those of the user of this name. */
  readonly token?: TokenRights
}

/** How somebody proves who they are. */
export type LoginProof =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** The name is out of a certificate that TLS has found in order; null: it has no name, or several. */
  | { readonly kind: 'certificate'; readonly username: string | null }
  | { readonly kind: 'token'; readonly token: string }

/** Where they come from. */
export interface LoginOrigin {
  /** Of the peer, numeric. */
  readonly address: string
  readonly via: 'amqp' | 'http'
}

/** A connection that has opened a vhost; owner of its exclusive queues. */
export interface Session {
  readonly id: number
  readonly principal: Principal
  readonly vhost: VhostCommands
  /** The server's channels of this session; set with the first of them. Null: none yet. */
  channels: { readonly count: number } | null
  /** How many channels the user may have in all connections together, when there are so many; null while one more may be opened. */
  readonly channelLimitReached: number | null
}

/** `cluster`: this node cannot reach a majority, or its log waits for one. */
export type AlarmReason = 'memory' | 'disk' | 'cluster'

/** What the server wants to hear. */
/** A user or a vhost of that name exists no more. */
export type GoneListener = (kind: 'user' | 'vhost', name: string) => void

export interface BrokerListener {
  /** Replies and confirms that waited for this topology position may go out. */
  topologyCommitted(position: Position): void
  /** `publishGate` has changed. */
  publishGateChanged(): void
  /** A user or a vhost is gone: whoever uses it ends, with this text. */
  gone(kind: 'user' | 'vhost', name: string, text: string): void
}

export interface BrokerCommands {
  listener: BrokerListener | null
  /**
   * Calls `done` exactly once, perhaps before it returns (a login that was verified within the last minute), else when
   * the proof has been checked elsewhere. Null when name, proof or place do not fit (`guest` only from loopback), when
   * there were too many failures or when too many logins wait; never says which. Does not throw.
   */
  login(proof: LoginProof, origin: LoginOrigin, done: (principal: Principal | null) => void): void
  /**
   * A new secret for a session that is there (`connection.update-secret`). For sessions by token: a token of the same user,
   * whose rights count from then on; others are not asked again. Calls `done` once with the principal, or null as `login`.
   */
  renewLogin(session: Session, secret: string, origin: LoginOrigin, done: (principal: Principal | null) => void): void
  /**
   * Throws `not-allowed` (530): `vhost x not found`, `access to vhost 'x' refused for user 'u'`, and the limits of
   * connections that a vhost or a user may have. A session counts until `closeSession`.
   */
  openSession(principal: Principal, vhost: string): Session
  /** Deletes the session's exclusive queues (its consumers are cancelled by the server before); `done` when they are gone, for every node. */
  closeSession(session: Session, done: () => void): void
  /** Topology records up to here are on stable storage. */
  readonly topologyCommitted: Position
  /** What an answer must wait for that takes all that has been declared so far for granted; 0: nothing. */
  readonly topologyPending: Position
  /**
   * Whether `publish` may be called. `congested`: more is appended than the log has stored, stop reading publishers for a
   * moment. `blocked`: an alarm, tell them (`connection.blocked`). A publish that was read waits unprocessed.
   */
  readonly publishGate: 'open' | 'congested' | 'blocked'
  readonly alarms: readonly AlarmReason[]
}

export interface ExchangeArguments {
  readonly name: string
  readonly type: string
  readonly isPassive: boolean
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly isInternal: boolean
  readonly arguments: FieldTable
}

export interface QueueArguments {
  /** Empty: the broker makes a name `amq.gen-…`. */
  readonly name: string
  readonly isPassive: boolean
  readonly isDurable: boolean
  readonly isExclusive: boolean
  readonly isAutoDelete: boolean
  readonly arguments: FieldTable
}

export interface BindArguments {
  readonly source: string
  /** A queue's name for `bindQueue`, an exchange's for `bindExchange`. */
  readonly destination: string
  readonly bindingKey: string
  readonly arguments: FieldTable
}

export interface ConsumeArguments {
  readonly queue: string
  readonly tag: string
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  readonly arguments: FieldTable
  readonly limit: number
  readonly shared: SharedCredit | null
  readonly sink: DeliverySink
}

export interface Declared extends QueueStatus {
  readonly name: string
  /** It was not there before. */
  readonly isNew: boolean
}

/** Where a publish goes. Made once per channel and filled by `resolve`; `queues` is reused, only `count` entries count. */
export interface Route {
  readonly queues: Queue[]
  count: number
  /** At least one target queue is durable. */
  hasDurable: boolean
  /** Equals `vhost.routingVersion` as long as resolving again would give the same. */
  version: number
  /** False when the result depends on the message's headers. */
  isCacheable: boolean
  /** Of the exchange it was resolved for. */
  exchangeCounts: ExchangeCounts | null
}

export interface VhostCommands {
  readonly name: string
  /** Changes whenever any exchange, binding, queue or right of this vhost does. */
  readonly routingVersion: number
  /** What its clients on this node did. Publishes to queues are counted by `publish`, all else by whoever does it. */
  readonly counts: VhostCounts

  /** Results of commands for exchanges and bindings are whether something changed: a declare of what is there changes nothing. */
  declareExchange(session: Session, args: ExchangeArguments, reply: Reply<boolean>): void
  deleteExchange(session: Session, name: string, ifUnused: boolean, reply: Reply<void>): void
  bindExchange(session: Session, args: BindArguments, reply: Reply<boolean>): void
  unbindExchange(session: Session, args: BindArguments, reply: Reply<boolean>): void
  declareQueue(session: Session, args: QueueArguments, reply: Reply<Declared>): void
  deleteQueue(
    session: Session,
    name: string,
    conditions: { ifUnused: boolean; ifEmpty: boolean },
    reply: Reply<number>,
  ): void
  purgeQueue(session: Session, name: string, reply: Reply<number>): void
  bindQueue(session: Session, args: BindArguments, reply: Reply<boolean>): void
  unbindQueue(session: Session, args: BindArguments, reply: Reply<boolean>): void

  /** The first part of `resolve`: the right to write, the exchange, internal or not. Throws `BrokerError`. */
  checkPublish(session: Session, exchange: string): void
  /**
   * Fills `route` for one publish: rights, exchange, internal or not, bindings, alternate exchange. Each queue once.
   * `message` is looked at only by headers exchanges. `moreKeys` are those of CC and BCC. Throws `BrokerError`.
   */
  resolve(
    session: Session,
    exchange: string,
    routingKey: string,
    message: Message,
    route: Route,
    moreKeys?: readonly string[],
  ): void
  /** Sends a routed message to its shards. `route.count` must not be 0: the caller answers unroutable messages. */
  publish(route: Route, message: Message, confirms: ConfirmSink | null, sequence: number): void
  openBody(route: Route, isPersistent: boolean, bodyBytes: number): BodyWriter

  get(session: Session, queue: string, isNoAck: boolean, sink: GetSink): void
  /** The consumer gets nothing before `activate`: its consume-ok goes first. */
  consume(session: Session, args: ConsumeArguments, reply: Reply<Consumer>): void
  activate(consumer: Consumer): void
  /** Also deletes an auto-delete queue whose last consumer this was. */
  cancel(consumer: Consumer, reply: Reply<void>): void
  resume(consumer: Consumer): void
  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void
  /** The holder of a delivery needs more time before its lease ends. */
  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void

  /** The handle of a queue that the session may read, for what its shard does for those who look after queues. Throws. */
  readableQueue(session: Session, name: string): Queue
  /** Messages of a queue that wait for their time, behind the entry `after`; at most 1,000. */
  listScheduled(
    session: Session,
    queue: string,
    page: { after: number; limit: number },
    reply: Reply<readonly ScheduledMessage[]>,
  ): void
  /** Forgets those with this message id; the result is how many there were. */
  cancelScheduled(session: Session, queue: string, messageId: string, reply: Reply<number>): void
  /** Gives those with this message id another time, wall time in milliseconds. */
  reschedule(session: Session, queue: string, messageId: string, dueAt: number, reply: Reply<number>): void
}
