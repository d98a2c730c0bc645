import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import { topicRow } from '../access/authorise.ts'
import { guestPasswordHash } from '../access/password-hash.ts'
import type { User, UserLimits } from '../access/user.ts'
import type { Route } from '../commands.ts'
import type { Message } from '../message.ts'
import type { Queue, QueueStatus, ShardDirectory, ShardTopology } from '../ports.ts'
import type { Binding, BindingEnds } from './binding.ts'
import type { DeclaredQueue, QueueProperties } from './declared-queue.ts'
import { type Definition, Definitions } from './definitions.ts'
import type { Exchange, ExchangeProperties } from './exchange.ts'
import { Journal } from './journal.ts'
import type { PolicyProperties } from './policy.ts'
import type { PolicyKind } from './policy-keys.ts'
import { vhostIds } from './predeclared.ts'
import type { QueueDefinition } from './queue-definition.ts'
import { Reclaim } from './reclaim.ts'
import { recordOf } from './record-of.ts'
import {
  decodeRecord,
  type PolicyRecord,
  type UserLimitsRecord,
  type VhostLimitsRecord,
  type VhostMetadataRecord,
} from './records.ts'
import { removalOf } from './removal.ts'
import { Router } from './router.ts'
import type { VhostLimits, VhostProperties } from './vhost-rows.ts'
import type { VhostState } from './vhost-state.ts'

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
  readonly #definitions: Definitions
  readonly #journal: Journal
  readonly #directory: ShardDirectory
  readonly #logger: Logger
  readonly #commitListeners: ((position: Position) => void)[] = []
  #log: Log | null = null
  #reclaim: Reclaim | null = null
  #failure: Error | null = null
  #opening: { until: Position; done: (error: Error | null) => void } | null = null

  constructor(parts: TopologyParts) {
    this.runQueue = parts.runQueue
    this.#directory = parts.directory
    this.#logger = parts.logger
    this.router = new Router(parts.random)
    this.#definitions = new Definitions(parts.directory, parts.runQueue)
    this.#journal = new Journal(this.#definitions)
    this.logListener = {
      committed: (position) => this.#committed(position),
      failed: (error) => {
        this.#failed(error)
        parts.onFailed(error)
      },
      sealed: () => this.#reclaim?.consider(),
      roomChanged: () => {},
    }
  }

  // ---------------------------------------------------------------- open

  /** Replays the log, makes what a first start needs and resolves when that is committed. */
  async open(log: Log): Promise<void> {
    assert(this.#log === null, 'a topology is opened once')
    this.#log = log
    const definitions = this.#definitions
    const reclaim = new Reclaim({
      log,
      live: definitions.live,
      runQueue: this.runQueue,
      rewrite: (id) => this.#journal.rewrite(id),
    })
    for (const segment of log.segments) {
      await log.replay(segment, (position, buffer, start, end) => {
        definitions.apply(decodeRecord(buffer, start, end), position)
        reclaim.count(segment.id)
      })
    }
    definitions.finishReplay()
    this.#reclaim = reclaim
    this.#journal.begin(log, reclaim, definitions.term + 1)
    await this.#begin()
    const { vhosts, term } = definitions
    this.#logger.info({ term, vhosts: vhosts.size, records: definitions.live.count }, 'topology is open')
    reclaim.consider()
  }

  /**
   * Takes the next term, in which no id has been given yet. Nothing may use an id before the term is committed: a lost
   * tail could otherwise give it out a second time, and a queue would find entries of another in its shard.
   */
  async #begin(): Promise<void> {
    const { term } = this.#definitions
    // Last, so that a first start that did not get through is a first start again, with the same ids.
    if (term === 0) this.#makeDefaults()
    await this.#whenCommitted(this.#journal.change({ kind: 'term', id: termId, term: term + 1 }, true))
  }

  /** Whatever of it a start that did not get through has left behind is said again, with the same ids. */
  #makeDefaults(): void {
    const vhost = this.#journal.nextId(vhostIds)
    const user = this.#journal.nextId()
    const permission = this.#journal.nextId()
    const all = { configure: '.*', write: '.*', read: '.*' }
    this.#journal.change({ kind: 'vhost', id: vhost, name: '/' }, true)
    this.#journal.change(
      { kind: 'user', id: user, name: 'guest', passwordHash: guestPasswordHash, tags: ['administrator'] },
      true,
    )
    this.#journal.change({ kind: 'permission', id: permission, vhost, user, ...all }, true)
    this.#logger.info({}, "first start: vhost '/' and user 'guest' (from this machine only) have been made")
  }

  #whenCommitted(position: Position): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure)
      if (position <= this.committed) return resolve()
      this.#opening = { until: position, done: (error) => (error === null ? resolve() : reject(error)) }
    })
  }

  // ---------------------------------------------------------------- look

  get vhosts(): ReadonlyMap<string, VhostState> {
    return this.#definitions.vhosts
  }

  get users(): ReadonlyMap<string, User> {
    return this.#definitions.users
  }

  /** The exclusive queues of one session. */
  exclusiveQueuesOf(session: number): Iterable<DeclaredQueue> {
    return this.#definitions.exclusiveQueues.get(session) ?? []
  }

  /** Calls back at each commit, in the order of the calls here. Shards first: their confirms wait for it too. */
  hearCommits(listener: (position: Position) => void): void {
    this.#commitListeners.push(listener)
  }

  /** What is routed from now on may depend on everything up to here. */
  get appended(): Position {
    return this.#log?.appended ?? 0
  }

  /** Everything up to here is on stable storage. */
  get committed(): Position {
    return this.#log?.committed ?? 0
  }

  /** What an answer must wait for that takes all that has been said so far for granted; 0: nothing. */
  get pending(): Position {
    return this.appended > this.committed ? this.appended : 0
  }

  /** The same for an answer that takes one definition for granted. */
  pendingOf(definition: Definition): Position {
    const position = definition.stored?.position ?? 0
    return position > this.committed ? position : 0
  }

  /** False while only what frees room may be appended. */
  get hasRoom(): boolean {
    return this.#log?.isFull === false
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

  declareQueue(vhost: VhostState, properties: QueueProperties): DeclaredQueue {
    const id = this.#journal.nextId()
    const { name, isDurable, isAutoDelete, exclusiveOwner } = properties
    const flags = { isDurable, isAutoDelete, exclusiveOwner }
    this.#journal.change(
      { kind: 'queue', id, vhost: vhost.id, name, ...flags, arguments: properties.arguments },
      isDurable,
    )
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

  /** Makes a user, or gives one a new password and tags. */
  putUser(name: string, passwordHash: string, tags: readonly string[]): Position {
    const id = this.users.get(name)?.id ?? this.#journal.nextId()
    return this.#journal.change({ kind: 'user', id, name, passwordHash, tags }, true)
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

  /** What stands beside a vhost or a user: a policy, limits, metadata. */
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
  async close(): Promise<void> {
    this.#reclaim?.stop()
    if (this.#failure === null) await this.#log?.close()
    this.#failure ??= new Error('the topology is closed')
    this.#journal.close()
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

  #committed(position: Position): void {
    if (this.#opening !== null && position >= this.#opening.until) {
      this.#opening.done(null)
      this.#opening = null
    }
    for (const listener of this.#commitListeners) listener(position)
    this.#reclaim?.consider()
  }

  #failed(error: Error): void {
    this.#failure = error
    this.#journal.close()
    this.#reclaim?.stop()
    this.#opening?.done(error)
    this.#opening = null
  }
}

/** Of the term's own record; no term gives it out. */
const termId = 1
type RowRecord = PolicyRecord | VhostLimitsRecord | VhostMetadataRecord | UserLimitsRecord

export interface TopologyParts {
  readonly directory: ShardDirectory
  readonly runQueue: RunQueue
  /** For exchanges that choose by chance. */
  readonly random: Random
  readonly logger: Logger
  /** The log cannot go on: nothing durable can be declared or deleted any more. */
  readonly onFailed: (error: Error) => void
}

export interface Patterns {
  readonly configure: string
  readonly write: string
  readonly read: string
}
