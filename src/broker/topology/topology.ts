import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import { topicRow } from '../access/authorise.ts'
import type { User, UserLimits } from '../access/user.ts'
import type { GoneListener, Route } from '../commands.ts'
import type { Message } from '../message.ts'
import type { Queue, QueueStatus, ShardDirectory, ShardTopology } from '../ports.ts'
import type { FormerCounts } from '../statistics/queue-churn.ts'
import type { Binding, BindingEnds } from './binding.ts'
import type { DeclaredQueue, QueueProperties } from './declared-queue.ts'
import { type Definition, Definitions } from './definitions.ts'
import type { Exchange, ExchangeProperties } from './exchange.ts'
import type { GlobalParameter } from './global-parameter.ts'
import type { Journal } from './journal.ts'
import type { ClusterNode } from './node-row.ts'
import type { PolicyProperties } from './policy.ts'
import type { PolicyKind } from './policy-keys.ts'
import { vhostIds } from './predeclared.ts'
import type { QueueDefinition } from './queue-definition.ts'
import { recordOf } from './record-of.ts'
import type { RowRecord } from './records.ts'
import { removalOf } from './removal.ts'
import { Router } from './router.ts'
import { type PositionListener, TopologyLog } from './topology-log.ts'
import type { VhostLimits, VhostProperties } from './vhost-rows.ts'
import type { VhostState } from './vhost-state.ts'
import { type WebhookProperties, webhookRecord } from './webhook.ts'

/**
 * What exists, as a state machine over its own log: vhosts, exchanges, queue definitions, bindings, users and rights.
 *
 * A change is a record: what is durable is appended, then everything is applied, by the same `apply` that a replay
 * calls (`definitions.ts`). Here records are made and written; whether a change may be made was decided before, in
 * `vhost.ts` and `broker.ts`. What is transient is only applied, and so does not exist after a start.
 *
 * Life: construct it, open its log with `logListener`, `open(log)`, give it to the broker, `close()`.
 */
export class Topology implements ShardTopology {
  /** To be given to the log when it is opened. */
  readonly logListener: LogListener
  /** For the broker's other long work too, so that it takes turns with this. */
  readonly runQueue: RunQueue
  readonly router: Router
  /** How far it has come; who has the log. */
  readonly log: TopologyLog
  /** Other nodes must know what is transient too. */
  readonly isShared: boolean
  readonly #definitions: Definitions
  readonly #journal: Journal
  readonly #directory: ShardDirectory
  readonly #placement: Placement

  constructor(parts: TopologyParts) {
    const { runQueue, logger, onFailed } = parts
    this.runQueue = runQueue
    this.#directory = parts.directory
    this.#placement = parts.placement ?? (() => 0)
    this.isShared = parts.placement !== undefined
    this.router = new Router(parts.random)
    this.#definitions = new Definitions(parts.directory, runQueue)
    this.log = new TopologyLog({ definitions: this.#definitions, runQueue, logger, isShared: this.isShared, onFailed })
    this.#journal = this.log.journal
    this.logListener = this.log.listener
  }

  /** Replays the log of a node on its own, makes what a first start needs and resolves when that is committed. */
  open(log: Log): Promise<void> {
    return this.log.open(log)
  }

  // ---------------------------------------------------------------- look

  /** Of vhosts that are gone. */
  get former(): FormerCounts {
    return this.#definitions.former
  }

  get vhosts(): ReadonlyMap<string, VhostState> {
    return this.#definitions.vhosts
  }

  /** How often the log has been opened, or taken over. */
  get term(): number {
    return this.#definitions.term
  }

  get users(): ReadonlyMap<string, User> {
    return this.#definitions.users
  }

  /** The exclusive queues of one session. */
  exclusiveQueuesOf(session: number): Iterable<DeclaredQueue> {
    return this.#definitions.ownedQueues.ofSession(session)
  }

  /** The queues that live in a node's own shard. */
  queuesOfNodeShard(shardId: number): Iterable<DeclaredQueue> {
    return this.#definitions.ownedQueues.ofNodeShard(shardId)
  }

  /** The nodes of a cluster that count, by incarnation. */
  get nodes(): ReadonlyMap<number, ClusterNode> {
    return this.#definitions.global.nodes
  }

  get globalParameters(): ReadonlyMap<string, GlobalParameter> {
    return this.#definitions.global.parameters
  }

  /** What the broker has been named; null: nothing. */
  get clusterName(): string | null {
    return this.#definitions.global.clusterName
  }

  /** Whatever has this id. */
  definition(id: number): Definition | undefined {
    return this.#definitions.byId(id)
  }

  /** Calls back at each commit, in the order of the calls here. Shards first: their confirms wait for it too. */
  hearCommits(listener: PositionListener): void {
    this.log.hearCommits(listener)
  }

  /** Calls back when more is settled, after those who hear of the commit. */
  hearSettled(listener: PositionListener): void {
    this.log.hearSettled(listener)
  }

  /** Calls back when a user or a vhost is gone, whichever node took it away. One listener: the last one counts. */
  hearGone(listener: GoneListener): void {
    this.#definitions.onGone = listener
  }

  /** What is routed from now on may depend on everything up to here. */
  get appended(): Position {
    return this.log.appended
  }

  /** Everything up to here is on stable storage. */
  get committed(): Position {
    return this.log.committed
  }

  /** Everything up to here is committed, and known to every node: answers may go out that take it for granted. */
  get settled(): Position {
    return this.log.settled
  }

  /** What an answer must wait for that takes all that has been said so far for granted; 0: nothing. */
  get pending(): Position {
    return this.appended > this.settled ? this.appended : 0
  }

  /** The same for an answer that takes one definition for granted. */
  pendingOf(definition: Definition): Position {
    const position = definition.stored?.position ?? 0
    return position > this.settled ? position : 0
  }

  /** False while only what frees room may be appended. */
  get hasRoom(): boolean {
    return this.log.hasRoom
  }

  // ---------------------------------------------------------------- change

  declareVhost(name: string): VhostState {
    const id = this.#journal.nextId(vhostIds)
    this.#journal.change({ kind: 'vhost', id, name }, true)
    return this.#made(id, 'vhost')
  }

  declareExchange(vhost: VhostState, properties: ExchangeProperties): Exchange {
    const id = this.#journal.nextId()
    const { name, type, isDurable, isAutoDelete, isInternal } = properties
    const flags = { isDurable, isAutoDelete, isInternal }
    this.#journal.change(
      { kind: 'exchange', id, vhost: vhost.id, name, type, ...flags, arguments: properties.arguments },
      isDurable,
    )
    return this.#made(id, 'exchange')
  }

  /** `session` declares it, 0 is nobody's; a queue that is not durable lives where that session is. */
  declareQueue(vhost: VhostState, properties: QueueProperties, session = 0): DeclaredQueue {
    const id = this.#journal.nextId()
    const { name, isDurable, isAutoDelete, exclusiveOwner } = properties
    const flags = { isDurable, isAutoDelete, exclusiveOwner }
    vhost.churn.created++
    const shardId = this.#placement(vhost.name, properties, session)
    const record = { kind: 'queue', id, vhost: vhost.id, name, ...flags, arguments: properties.arguments } as const
    this.#journal.change(shardId === 0 ? record : { ...record, shardId }, isDurable)
    return this.#made(id, 'queue')
  }

  bind({ source, destination, key, arguments: table }: BindingEnds): Binding {
    const id = this.#journal.nextId()
    const isDurable = source.isDurable && destination.isDurable
    this.#journal.change(
      { kind: 'binding', id, source: source.id, destination: destination.id, key, arguments: table },
      isDurable,
    )
    return this.#made(id, 'binding')
  }

  /** Also removes the auto-delete exchanges that lose their last binding by it. The position is 0 if nothing was durable. */
  remove(definition: DeclaredQueue | Exchange | Binding): Position {
    return this.#journal.removeIds(removalOf(definition))
  }

  /** What is known at once. */
  statusNow({ queue }: DeclaredQueue): QueueStatus {
    return queue === null ? { ready: 0, unacked: 0, consumers: 0 } : this.#directory.statusNow(queue)
  }

  /** Whether its messages are on this node. */
  isServing({ queue }: DeclaredQueue): boolean {
    return queue !== null && (this.#directory.isServing?.(queue) ?? true)
  }

  // ---------------------------------------------------------------- what shards ask for

  reroute(vhost: string, exchange: string, keys: readonly string[], message: Message, route: Route): boolean {
    const from = this.vhosts.get(vhost)?.exchanges.get(exchange)
    if (from === undefined) return false
    this.router.fill(route, from, keys[0] ?? '', message, keys.slice(1))
    return true
  }

  expireQueue(definition: QueueDefinition): void {
    const queue = this.vhosts.get(definition.vhost)?.queues.get(definition.name)
    if (queue?.id === definition.id) this.remove(queue)
  }

  /** An empty vhost, or what is left of one, with all in it. */
  removeVhost(vhost: VhostState): Position {
    return this.#journal.removeIds([vhost.id])
  }

  /** Somebody has declared it again, or asked after it: for queues that expire this is a use. */
  redeclared(queue: Queue): void {
    this.#directory.redeclared(queue)
  }

  /** A node counts from now on. */
  addNode(incarnation: number, name: string): Position {
    return this.#journal.change({ kind: 'node', id: this.#journal.nextId(), incarnation, name }, true)
  }

  /** It counts no more; what it alone had has been removed. */
  removeNode(node: ClusterNode): Position {
    return this.#journal.removeIds([node.id])
  }

  /** Makes a user, or gives one a new password and tags. */
  putUser(name: string, passwordHash: string, tags: readonly string[]): Position {
    const id = this.users.get(name)?.id ?? this.#journal.nextId()
    return this.#journal.change({ kind: 'user', id, name, passwordHash, tags }, true)
  }

  /** Another hash of the password that the user has. */
  upgradePassword(user: User, passwordHash: string): Position {
    const { id, name, tags, passwordHash: upgradedFrom } = user
    const record = { kind: 'user', id, name, passwordHash, tags } as const
    const position = this.#journal.change(this.isShared ? { ...record, upgradedFrom } : record, true)
    user.upgradedFrom = upgradedFrom
    return position
  }

  /** With all their rights. */
  removeUser(user: User): Position {
    return this.#journal.removeIds([user.id])
  }

  putPermission(username: string, vhost: VhostState, patterns: Patterns): Position {
    const id = vhost.permissions.get(username)?.id ?? this.#journal.nextId()
    const user = this.#userId(username)
    return this.#journal.change({ kind: 'permission', id, vhost: vhost.id, user, ...patterns }, true)
  }

  putTopicPermission(
    username: string,
    vhost: VhostState,
    permission: { exchange: string; write: string; read: string },
  ): Position {
    const row = topicRow(username, permission.exchange)
    const id = vhost.topicPermissions.get(row)?.id ?? this.#journal.nextId()
    return this.#journal.change(
      { kind: 'topic-permission', id, vhost: vhost.id, user: this.#userId(username), ...permission },
      true,
    )
  }

  /** A permission or a topic permission. */
  removePermission(permission: { readonly id: number }): Position {
    return this.removeRow(permission)
  }

  /** What stands beside a vhost or a user, or by itself: a policy, limits, metadata, a global parameter. */
  removeRow(row: { readonly id: number }): Position {
    return this.#journal.removeIds([row.id])
  }

  /** Makes a policy, or gives the one of that name new properties. It is applied in slices, soon after. */
  putPolicy(kind: PolicyKind, vhost: VhostState, { values, ...properties }: PolicyProperties): Position {
    const id = vhost.policies.get(kind, properties.name)?.id ?? this.#journal.nextId()
    const { name, pattern, applyTo, priority } = properties
    const definition = Object.fromEntries(values)
    return this.#putRow({ kind, id, vhost: vhost.id, name, pattern, applyTo, priority, definition })
  }

  /** Makes a webhook, or gives the one of that name new properties. */
  putWebhook(vhost: VhostState, properties: WebhookProperties): Position {
    const id = vhost.webhooks.get(properties.name)?.id ?? this.#journal.nextId()
    return this.#putRow(webhookRecord(id, vhost.id, properties))
  }

  putVhostLimits(vhost: VhostState, limits: Pick<VhostLimits, 'maxConnections' | 'maxQueues'>): Position {
    const id = vhost.limits?.id ?? this.#journal.nextId()
    const { maxConnections, maxQueues } = limits
    return this.#putRow({ kind: 'vhost-limits', id, vhost: vhost.id, maxConnections, maxQueues })
  }

  putVhostMetadata(vhost: VhostState, metadata: VhostProperties): Position {
    const id = vhost.metadata?.id ?? this.#journal.nextId()
    const { description, tags, defaultQueueType } = metadata
    return this.#putRow({ kind: 'vhost-metadata', id, vhost: vhost.id, description, tags, defaultQueueType })
  }

  putUserLimits(user: User, limits: Pick<UserLimits, 'maxConnections' | 'maxChannels'>): Position {
    const id = user.limits?.id ?? this.#journal.nextId()
    const { maxConnections, maxChannels } = limits
    return this.#putRow({ kind: 'user-limits', id, user: user.id, maxConnections, maxChannels })
  }

  /** Makes a global parameter, or gives the one of that name a new value: `json` is what `JSON.stringify` makes of it. */
  putGlobalParameter(name: string, json: string): Position {
    const id = this.globalParameters.get(name)?.id ?? this.#journal.nextId()
    return this.#putRow({ kind: 'global-parameter', id, name, json })
  }

  /** Saying again what is known changes nothing, and is not written. */
  #putRow(record: RowRecord): Position {
    const known = this.#definitions.byId(record.id)
    const isKnown = known !== undefined && JSON.stringify(recordOf(known)) === JSON.stringify(record)
    return isKnown ? this.pendingOf(known) : this.#journal.change(record, true)
  }

  /** Every route that anyone has kept must be found again. */
  outdateRoutes(): void {
    for (const vhost of this.vhosts.values()) vhost.version++
  }

  // ---------------------------------------------------------------- close

  /** Commits what was appended. Queues and their shards are the directory's. */
  close(): Promise<void> {
    return this.log.close()
  }

  // ---------------------------------------------------------------- parts of the above

  #made<Kind extends Definition['kind']>(id: number, kind: Kind): Extract<Definition, { kind: Kind }> {
    const definition = this.#definitions.byId(id)
    assert(definition?.kind === kind, 'what was declared exists')
    return definition as Extract<Definition, { kind: Kind }>
  }

  #userId(username: string): number {
    const user = this.users.get(username)
    assert(user !== undefined, 'rights are given to users that exist')
    return user.id
  }
}

export interface TopologyParts {
  readonly directory: ShardDirectory
  readonly runQueue: RunQueue
  /** For exchanges that choose by chance. */
  readonly random: Random
  readonly logger: Logger
  /** The log cannot go on: nothing durable can be declared or deleted any more. */
  readonly onFailed: (error: Error) => void
  /** Only in a cluster: where the messages of a new queue will be. What is transient is then stored and shared as well. */
  readonly placement?: Placement
}

/** Gives the `shardId` of a queue that `session` declares (0: nobody). */
export type Placement = (vhost: string, queue: QueueProperties, session: number) => number

export interface Patterns {
  readonly configure: string
  readonly write: string
  readonly read: string
}
