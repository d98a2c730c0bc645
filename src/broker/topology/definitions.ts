import { assert, assertNever } from '../../base/assert.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { LogDamaged, type Position } from '../../log/log.ts'
import type { Permission, TopicPermission } from '../access/permission.ts'
import type { User, UserLimits } from '../access/user.ts'
import type { GoneListener } from '../commands.ts'
import type { ShardDirectory } from '../ports.ts'
import { FormerCounts } from '../statistics/queue-churn.ts'
import { AccessDefinitions } from './access-definitions.ts'
import { ApplyPolicies } from './apply-policies.ts'
import { Binding, type Destination, removeBinding } from './binding.ts'
import { DeclaredQueue } from './declared-queue.ts'
import { Detaching, detachedAtOnceMax } from './detaching.ts'
import { Exchange } from './exchange.ts'
import { GlobalDefinitions } from './global-definitions.ts'
import type { GlobalParameter } from './global-parameter.ts'
import { LiveRecords, StoredRecord } from './live-records.ts'
import type { ClusterNode } from './node-row.ts'
import { OwnedQueues } from './owned-queues.ts'
import { ParkedRecords } from './parked-records.ts'
import { predeclaredExchanges } from './predeclared.ts'
import { queueTypeOf } from './queue-arguments.ts'
import type {
  BindingRecord,
  DefinitionRecord,
  ExchangeRecord,
  QueueRecord,
  TopologyRecord,
  VhostRecord,
} from './records.ts'
import { needsOf } from './records.ts'
import { isReplaced } from './said-again.ts'
import { VhostDefinitions, type VhostRow } from './vhost-definitions.ts'
import { VhostState } from './vhost-state.ts'

/**
 * Everything that exists, as the records say: `apply` is the one way in which it changes, live and in a replay. It
 * decides nothing, looks at no clock and draws no lots; whoever makes the records has done that.
 *
 * A record with position 0 is of something transient: applied, not stored. The shards hear of queues as they come and
 * go; in a replay only at its end, of those that are left.
 */
export class Definitions {
  readonly vhosts = new Map<string, VhostState>()
  readonly former = new FormerCounts()
  readonly ownedQueues = new OwnedQueues()
  readonly global = new GlobalDefinitions()
  readonly live = new LiveRecords()
  /** Called when a user or a vhost is gone, not in a replay. */
  onGone: GoneListener = () => {}
  readonly #byId = new Map<number, Definition>()
  readonly #parked = new ParkedRecords()
  readonly #directory: ShardDirectory
  readonly #detaching: Detaching
  readonly #access: AccessDefinitions
  readonly #ofVhosts: VhostDefinitions
  #term: Term | null = null
  #isReplaying = true

  constructor(directory: ShardDirectory, runQueue: RunQueue) {
    this.#directory = directory
    this.#detaching = new Detaching(runQueue, (binding) => this.#remove(binding.id))
    const vhost = (id: number): VhostState => this.#vhost(id)
    this.#access = new AccessDefinitions({ vhost, user: (id) => this.#user(id) })
    const applyPolicies = new ApplyPolicies(runQueue, directory)
    this.#ofVhosts = new VhostDefinitions(vhost, (changed) => {
      // In a replay nothing has a handle yet; its end looks at all of them.
      if (!this.#isReplaying) applyPolicies.changed(changed)
    })
  }

  /** The last opening that the log knows of; 0 for none. */
  get term(): number {
    return this.#term?.term ?? 0
  }

  get users(): ReadonlyMap<string, User> {
    return this.#access.users
  }

  byId(id: number): Definition | undefined {
    return this.#byId.get(id)
  }

  /** Takes out a binding of which an end is gone; it would go by itself soon. */
  forget(binding: Binding): void {
    this.#remove(binding.id)
  }

  apply(record: TopologyRecord, position: Position): void {
    if (record.kind === 'removed') {
      for (const id of record.ids) this.#remove(id)
      return
    }
    const known = this.#byId.get(record.id)
    if (known !== undefined) {
      this.#applyAgain(known, record, position)
      return
    }
    if (!needsOf(record).every((id) => this.#byId.has(id))) {
      assert(this.#isReplaying, 'what a new definition needs exists')
      this.#parked.park(record, position)
      return
    }
    this.#make(record, position)
    this.#unpark(record.id)
    if (record.kind !== 'vhost') return
    for (let index = 0; index < predeclaredExchanges.length; index++) this.#unpark(record.id + 1 + index)
  }

  /** From now on changes are live. Throws when records refer to something that the log does not have. */
  finishReplay(): void {
    if (this.#parked.count > 0) {
      throw new LogDamaged(`${this.#parked.count} topology records refer to something that was never defined`)
    }
    this.#isReplaying = false
    const stored: StoredRecord[] = []
    for (const definition of this.#byId.values()) {
      if (definition.stored !== null) stored.push(definition.stored)
      if (definition.kind === 'exchange' || definition.kind === 'queue') definition.applyPolicy()
      if (definition.kind === 'queue') definition.queue = this.#directory.open(definition)
    }
    this.live.rebuild(stored)
  }

  // ---------------------------------------------------------------- a record that says something new

  #make(record: DefinitionRecord, position: Position): void {
    const definition = this.#definitionOf(record)
    this.#byId.set(definition.id, definition)
    if (position === 0) return
    definition.stored = new StoredRecord(definition.id, position)
    if (!this.#isReplaying) this.live.add(definition.stored)
  }

  #definitionOf(record: DefinitionRecord): Definition {
    switch (record.kind) {
      case 'term':
        return this.#makeTerm(record.id, record.term)
      case 'vhost':
        return this.#makeVhost(record)
      case 'exchange':
        return this.#makeExchange(record)
      case 'queue':
        return this.#makeQueue(record)
      case 'binding':
        return this.#makeBinding(record)
      case 'user':
        return this.#access.makeUser(record)
      case 'permission':
        return this.#access.makePermission(record)
      case 'topic-permission':
        return this.#access.makeTopicPermission(record)
      case 'user-limits':
        return this.#access.makeLimits(record)
      case 'policy':
      case 'operator-policy':
      case 'vhost-limits':
      case 'vhost-metadata':
      case 'webhook':
        return this.#ofVhosts.make(record)
      case 'node':
        return this.global.makeNode(record)
      case 'global-parameter':
        return this.global.makeParameter(record)
      default:
        return assertNever(record)
    }
  }

  #makeTerm(id: number, term: number): Term {
    this.#term = { kind: 'term', id, term, stored: null }
    return this.#term
  }

  #makeVhost(record: VhostRecord): VhostState {
    const vhost = new VhostState(record.id, record.name)
    this.vhosts.set(vhost.name, vhost)
    for (const [index, properties] of predeclaredExchanges.entries()) {
      const exchange = new Exchange(record.id + 1 + index, vhost, properties)
      vhost.exchanges.set(exchange.name, exchange)
      this.#byId.set(exchange.id, exchange)
    }
    return vhost
  }

  #makeExchange(record: ExchangeRecord): Exchange {
    const vhost = this.#vhost(record.vhost)
    const exchange = new Exchange(record.id, vhost, record)
    vhost.exchanges.set(exchange.name, exchange)
    vhost.version++
    return exchange
  }

  #makeQueue(record: QueueRecord): DeclaredQueue {
    const vhost = this.#vhost(record.vhost)
    const queue = new DeclaredQueue(record.id, vhost, record)
    vhost.queues.set(queue.name, queue)
    vhost.version++
    this.ownedQueues.add(queue)
    if (!this.#isReplaying) queue.queue = this.#directory.open(queue)
    return queue
  }

  #makeBinding(record: BindingRecord): Binding {
    const source = this.#byId.get(record.source)
    const destination = this.#byId.get(record.destination)
    assert(source?.kind === 'exchange', 'a binding comes from an exchange')
    assert(
      destination?.kind === 'exchange' || destination?.kind === 'queue',
      'a binding leads to a queue or an exchange',
    )
    const binding = new Binding(record.id, { source, destination, key: record.key, arguments: record.arguments })
    source.outgoing.set(binding.identity, binding)
    source.matcher.add(binding)
    destination.incoming.add(binding)
    source.home.bindingCount++
    source.home.version++
    return binding
  }

  /** Said again: by reclaim, which only moves it, or because it says something else now. */
  #applyAgain(known: Definition, record: DefinitionRecord, position: Position): void {
    if (known.stored !== null) {
      if (this.#isReplaying) known.stored.position = position
      else this.live.move(known.stored, position)
    }
    if (known.kind === 'term' && record.kind === 'term') known.term = record.term
    if (known.kind === 'user' && record.kind === 'user') {
      if (known.passwordHash !== record.passwordHash) known.upgradedFrom = record.upgradedFrom ?? null
      known.passwordHash = record.passwordHash
      known.tags = record.tags
    }
    if (!isReplaced(known, record)) return
    const { stored } = known
    const changed = this.#definitionOf(record)
    changed.stored = stored
    this.#byId.set(changed.id, changed)
  }

  #unpark(id: number): void {
    if (this.#parked.count === 0) return
    for (const { record, position } of this.#parked.takeWaiting(id)) this.apply(record, position)
  }

  // ---------------------------------------------------------------- a record that takes something away

  #remove(id: number): void {
    if (this.#isReplaying) this.#parked.remove(id)
    const definition = this.#byId.get(id)
    if (definition === undefined) return
    if (definition.stored !== null && !this.#isReplaying) this.live.drop(definition.stored)
    definition.stored = null
    this.#detach(definition)
    this.#byId.delete(id)
    const { kind } = definition
    if (!this.#isReplaying && (kind === 'user' || kind === 'vhost')) this.onGone(kind, definition.name)
  }

  /** Takes it out of what refers to it, and removes first what cannot be without it. */
  #detach(definition: Definition): void {
    switch (definition.kind) {
      case 'term':
        return
      case 'vhost':
        this.#removeVhost(definition)
        break
      case 'exchange':
        this.#removeExchange(definition)
        break
      case 'queue':
        this.#removeQueue(definition)
        break
      case 'binding':
        removeBinding(definition)
        break
      case 'user':
        this.#removeUser(definition)
        break
      case 'permission':
        this.#access.removePermission(definition)
        break
      case 'topic-permission':
        this.#access.removeTopicPermission(definition)
        break
      case 'user-limits':
        this.#access.removeLimits(definition)
        break
      case 'policy':
      case 'operator-policy':
      case 'vhost-limits':
      case 'vhost-metadata':
      case 'webhook':
        this.#ofVhosts.remove(definition)
        break
      case 'node':
      case 'global-parameter':
        this.global.remove(definition)
        break
      default:
        assertNever(definition)
    }
  }

  #removeVhost(vhost: VhostState): void {
    for (const queue of vhost.queues.values()) this.#remove(queue.id)
    for (const exchange of vhost.exchanges.values()) this.#remove(exchange.id)
    for (const permission of vhost.permissions.values()) this.#remove(permission.id)
    for (const permission of vhost.topicPermissions.values()) this.#remove(permission.id)
    for (const row of this.#ofVhosts.of(vhost)) this.#remove(row.id)
    this.vhosts.delete(vhost.name)
    this.former.add(vhost)
    vhost.isClosed = true
    vhost.version++
  }

  #removeExchange(exchange: Exchange): void {
    exchange.isGone = true
    this.#detachFrom(exchange)
    if (this.#mayWait(exchange.outgoing.size)) this.#detaching.add(exchange.outgoing.values())
    else for (const binding of exchange.outgoing.values()) this.#remove(binding.id)
    exchange.home.exchanges.delete(exchange.name)
    exchange.home.version++
  }

  #removeQueue(queue: DeclaredQueue): void {
    queue.isGone = true
    this.#detachFrom(queue)
    queue.home.queues.delete(queue.name)
    queue.home.counts.queueGone(queueTypeOf(queue.arguments), queue.counts)
    if (!this.#isReplaying) queue.home.churn.deleted++
    queue.home.version++
    this.ownedQueues.remove(queue)
    if (queue.queue !== null) this.#directory.drop(queue.queue)
  }

  /** The bindings that lead to what is gone count no more; they go at once, or in slices. */
  #detachFrom({ incoming }: Destination): void {
    for (const { source } of incoming) source.goneBindings++
    if (this.#mayWait(incoming.size)) this.#detaching.add(incoming)
    else for (const binding of incoming) this.#remove(binding.id)
  }

  #mayWait(bindings: number): boolean {
    return !this.#isReplaying && bindings > detachedAtOnceMax
  }

  #removeUser(user: User): void {
    for (const id of user.permissions) this.#remove(id)
    if (user.limits !== null) this.#remove(user.limits.id)
    this.#access.removeUser(user)
  }

  #vhost(id: number): VhostState {
    const vhost = this.#byId.get(id)
    assert(vhost?.kind === 'vhost', 'the vhost of a definition exists')
    return vhost
  }

  #user(id: number): User {
    const user = this.#byId.get(id)
    assert(user?.kind === 'user', 'the user of a permission exists')
    return user
  }
}

/** Anything with an id. */
export type Definition =
  | Term
  | VhostState
  | Exchange
  | DeclaredQueue
  | Binding
  | User
  | Permission
  | TopicPermission
  | UserLimits
  | VhostRow
  | ClusterNode
  | GlobalParameter

interface Term {
  readonly kind: 'term'
  readonly id: number
  term: number
  stored: StoredRecord | null
}
