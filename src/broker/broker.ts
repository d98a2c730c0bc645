import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import { inSlices } from '../base/sliced.ts'
import type { Position } from '../log/log.ts'
import { Logins } from './access/logins.ts'
import {
  hashPassword,
  isPasswordHash,
  isWeak,
  type PasswordVerifier,
  ThreadedPasswordVerifier,
} from './access/password-hash.ts'
import { Pattern } from './access/pattern.ts'
import type { User } from './access/user.ts'
import type { AlarmReason, BrokerCommands, BrokerListener, Principal, Session } from './commands.ts'
import type { JsonObject } from './definitions/entry.ts'
import { exportDefinitions, exportVhost, type ProductNames } from './definitions/export-definitions.ts'
import { type Imported, importDefinitions } from './definitions/import-definitions.ts'
import { BrokerError } from './errors.ts'
import { checkedLimits, userLimitNames, vhostLimitNames } from './limits.ts'
import { deletePolicy, type GivenPolicy, listPolicies, putPolicy, type ShownPolicy } from './policies.ts'
import { BrokerSession } from './session.ts'
import { SessionCounts } from './session-counts.ts'
import { checkNameForm } from './topology/names.ts'
import type { PolicyKind } from './topology/policy-keys.ts'
import { RemoveQueues } from './topology/remove-queues.ts'
import type { Patterns, Topology } from './topology/topology.ts'
import type { VhostProperties } from './topology/vhost-rows.ts'
import type { VhostState } from './topology/vhost-state.ts'
import { Vhost } from './vhost.ts'

/**
 * The broker as the server sees it: who logs in, which vhost they open, whether they may publish just now. Vhosts,
 * users and rights are made and unmade here too, for whoever administers; who that may be is checked there.
 */
export class Broker implements BrokerCommands {
  listener: BrokerListener | null = null
  readonly #parts: BrokerParts
  readonly #topology: Topology
  readonly #logins: Logins
  readonly #vhosts = new Map<VhostState, Vhost>()
  readonly #loopbackUsers: ReadonlySet<string>
  readonly #alarms = new Set<AlarmReason>()
  #isCongested = false
  readonly #sessions = new SessionCounts()
  #sessionCount = 0
  #consumerCount = 0

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.#topology = parts.topology
    this.#loopbackUsers = new Set(parts.loopbackUsers ?? ['guest'])
    const { clock, random, verifier = new ThreadedPasswordVerifier(parts.clock) } = parts
    this.#logins = new Logins({ clock, random, verifier })
    parts.topology.hearCommits((position) => this.listener?.topologyCommitted(position))
  }

  // ---------------------------------------------------------------- sessions

  authenticate(
    username: string,
    password: string,
    isLoopback: boolean,
    done: (principal: Principal | null) => void,
  ): void {
    const stored = this.#topology.users.get(username)?.passwordHash ?? null
    this.#logins.check(username, stored, password, (fits) => {
      const user = this.#topology.users.get(username)
      // The user may have been deleted or given another password while this one was hashed.
      const isStill = user !== undefined && stored !== null && [user.passwordHash, user.upgradedFrom].includes(stored)
      const isRightPlace = isLoopback || !this.#loopbackUsers.has(username)
      done(fits && isStill && isRightPlace ? { username, tags: user.tags } : null)
      if (fits && isStill && isWeak(user.passwordHash)) void this.#upgrade(user, password)
    })
  }

  /** Keeps a stronger hash of a password that has just been shown to be right (RabbitMQ's are imported). */
  async #upgrade(user: User, password: string): Promise<void> {
    const stored = user.passwordHash
    if (user.upgradedFrom === stored) return
    user.upgradedFrom = stored // one at a time
    try {
      const passwordHash = await hashPassword(password, this.#parts.random)
      if (this.#topology.users.get(user.name) !== user || user.passwordHash !== stored) return
      this.#topology.putUser(user.name, passwordHash, user.tags)
      user.upgradedFrom = stored
    } catch (error) {
      this.#parts.logger.warn({ error }, `the password hash of user '${user.name}' could not be made stronger`)
    }
  }

  openSession(principal: Principal, vhost: string): BrokerSession {
    const state = this.#topology.vhosts.get(vhost)
    if (state === undefined || state.isClosed) throw new BrokerError('not-allowed', `vhost ${vhost} not found`)
    const user = this.#topology.users.get(principal.username)
    this.#sessions.checkRoom(principal, state, user)
    if (!state.permissions.has(principal.username)) {
      throw new BrokerError('not-allowed', `access to vhost '${vhost}' refused for user '${principal.username}'`)
    }
    const channelLimitReached = (username: string): number | null => this.#channelLimitReached(username)
    const opened = { vhost: this.#vhost(state), state, channelLimitReached }
    const session = new BrokerSession(++this.#sessionCount, principal, opened)
    this.#sessions.add(session, state)
    return session
  }

  closeSession(session: Session, done: () => void): void {
    if (session instanceof BrokerSession) this.#sessions.remove(session, session.state)
    const queues = this.#topology.exclusiveQueuesOf(session.id)
    this.#topology.runQueue.add(new RemoveQueues(this.#topology, queues, this.#parts.logger, done))
  }

  #channelLimitReached(username: string): number | null {
    const max = this.#topology.users.get(username)?.limits?.maxChannels ?? null
    return max !== null && this.#sessions.channelsOf(username) >= max ? max : null
  }

  #vhost(state: VhostState): Vhost {
    let vhost = this.#vhosts.get(state)
    if (vhost === undefined) {
      const { topology, random } = this.#parts
      const nextConsumerId = (): number => ++this.#consumerCount
      vhost = new Vhost(state, { topology, random, nextConsumerId })
      this.#vhosts.set(state, vhost)
    }
    return vhost
  }

  // ---------------------------------------------------------------- gate

  get topologyCommitted(): Position {
    return this.#topology.committed
  }

  get topologyPending(): Position {
    return this.#topology.pending
  }

  get publishGate(): 'open' | 'congested' | 'blocked' {
    if (this.#alarms.size > 0) return 'blocked'
    return this.#isCongested ? 'congested' : 'open'
  }

  get alarms(): readonly AlarmReason[] {
    return [...this.#alarms]
  }

  /** More is appended than the shards' logs have stored. */
  setCongested(isCongested: boolean): void {
    if (this.#isCongested === isCongested) return
    this.#isCongested = isCongested
    if (this.#alarms.size === 0) this.listener?.publishGateChanged()
  }

  /** A shard has been opened again: the handles in the routes that channels keep are void. */
  shardsReopened(): void {
    this.#topology.outdateRoutes()
  }

  setAlarm(reason: AlarmReason, isOn: boolean): void {
    if (this.#alarms.has(reason) === isOn) return
    if (isOn) this.#alarms.add(reason)
    else this.#alarms.delete(reason)
    this.#parts.logger.warn({ reason, isOn }, isOn ? 'alarm: publishers are blocked' : 'alarm is over')
    this.listener?.publishGateChanged()
  }

  // ---------------------------------------------------------------- administration

  /** What exists, for those who show it. They change it through the broker only. */
  get topology(): Topology {
    return this.#topology
  }

  /** Nothing happens when it exists. The position is what must be committed before anyone is told. */
  createVhost(name: string): Position {
    checkNameForm('vhost', name)
    const known = this.#topology.vhosts.get(name)
    if (known !== undefined) return this.#topology.pendingOf(known)
    return this.#topology.declareVhost(name).stored?.position ?? 0
  }

  /** At once nobody can open or use it; its queues go in slices, then itself, then `done` hears the position. */
  deleteVhost(name: string, done: (position: Position) => void): void {
    const state = this.#topology.vhosts.get(name)
    if (state === undefined || state.isClosed) throw new BrokerError('not-found', `no vhost '${name}'`)
    state.isClosed = true
    state.version++
    const end = (): void => {
      this.#vhosts.delete(state)
      done(this.#topology.removeVhost(state))
    }
    this.#topology.runQueue.add(new RemoveQueues(this.#topology, state.queues.values(), this.#parts.logger, end))
  }

  /** Makes a user, or gives one a new password and tags. */
  async putUser(name: string, password: string, tags: readonly string[]): Promise<Position> {
    checkNameForm('user', name)
    if (password === '') throw new BrokerError('precondition-failed', `the password of user '${name}' is empty`)
    const passwordHash = await hashPassword(password, this.#parts.random)
    return this.#topology.putUser(name, passwordHash, tags)
  }

  /** The same with what is to be kept of the password (`access/password-hash.ts`). */
  putUserHash(name: string, passwordHash: string, tags: readonly string[]): Position {
    checkNameForm('user', name)
    if (!isPasswordHash(passwordHash)) {
      throw new BrokerError('precondition-failed', `the password hash of user '${name}' cannot be read`)
    }
    return this.#topology.putUser(name, passwordHash, tags)
  }

  /**
   * RabbitMQ's definitions: makes what is not there yet, in slices (`definitions/import-definitions.ts`). Entries that
   * name no vhost go into `vhost`. Rejects with a `DefinitionsError` that names the entry.
   */
  async importDefinitions(document: unknown, vhost = '/'): Promise<Imported> {
    const hash = (password: string): Promise<string> => hashPassword(password, this.#parts.random)
    return await importDefinitions({ broker: this, topology: this.#topology, hash }, document, vhost)
  }

  /** Of everything, or of one vhost; with password hashes, so for administrators only. Collected in slices: what changes meanwhile may be in it or not. */
  async exportDefinitions(names: ProductNames, vhost: string | null = null): Promise<JsonObject> {
    const all = vhost === null
    const work = all ? exportDefinitions(this.#topology, names) : exportVhost(this.#vhostNamed(vhost), names)
    return await inSlices(this.#topology.runQueue, work)
  }

  deleteUser(name: string): Position {
    return this.#topology.removeUser(this.#user(name))
  }

  putPermission(username: string, vhost: string, patterns: Patterns): Position {
    for (const right of ['configure', 'write', 'read'] as const) checkPattern(right, patterns[right])
    const state = this.#rowOf(username, vhost)
    return this.#topology.putPermission(username, state, patterns)
  }

  putTopicPermission(
    username: string,
    vhost: string,
    permission: { exchange: string; write: string; read: string },
  ): Position {
    for (const right of ['write', 'read'] as const) checkPattern(right, permission[right])
    return this.#topology.putTopicPermission(username, this.#rowOf(username, vhost), permission)
  }

  clearPermission(username: string, vhost: string): Position {
    const permission = this.#rowOf(username, vhost).permissions.get(username)
    return permission === undefined ? this.#topology.pending : this.#topology.removePermission(permission)
  }

  /** Those on all exchanges. */
  clearTopicPermissions(username: string, vhost: string): Position {
    const { topicPermissions } = this.#rowOf(username, vhost)
    const theirs = [...topicPermissions.values()].filter((permission) => permission.username === username)
    let position = this.#topology.pending
    for (const permission of theirs) position = this.#topology.removePermission(permission)
    return position
  }

  /** Description, tags and default queue type: all of them, what was said before is forgotten. */
  putVhostMetadata(name: string, properties: VhostProperties): Position {
    return this.#topology.putVhostMetadata(this.#vhostNamed(name), properties)
  }

  /** Makes a policy, or changes the one of that name; applied soon after. `precondition-failed` with RabbitMQ's texts. */
  putPolicy(vhost: string, name: string, policy: GivenPolicy, kind: PolicyKind = 'policy'): Position {
    return putPolicy(this.#topology, kind, { vhost: this.#vhostNamed(vhost), name }, policy)
  }

  /** `not-found` when there is none of that name. */
  deletePolicy(vhost: string, name: string, kind: PolicyKind = 'policy'): Position {
    return deletePolicy(this.#topology, kind, { vhost: this.#vhostNamed(vhost), name })
  }

  listPolicies(vhost: string, kind: PolicyKind = 'policy'): ShownPolicy[] {
    return [...listPolicies(this.#vhostNamed(vhost), kind)]
  }

  /** The same for the policies that only bound what the others set. */
  putOperatorPolicy(vhost: string, name: string, policy: GivenPolicy): Position {
    return this.putPolicy(vhost, name, policy, 'operator-policy')
  }

  deleteOperatorPolicy(vhost: string, name: string): Position {
    return this.deletePolicy(vhost, name, 'operator-policy')
  }

  listOperatorPolicies(vhost: string): ShownPolicy[] {
    return this.listPolicies(vhost, 'operator-policy')
  }

  /** `max-connections` and `max-queues`, negative for none; what is not named has none from now on. */
  putVhostLimits(vhost: string, limits: Readonly<Record<string, unknown>>): Position {
    const checked = checkedLimits(vhostLimitNames, limits)
    const [maxConnections, maxQueues] = [checked['max-connections'], checked['max-queues']]
    return this.#topology.putVhostLimits(this.#vhostNamed(vhost), { maxConnections, maxQueues })
  }

  clearVhostLimits(vhost: string): Position {
    const { limits } = this.#vhostNamed(vhost)
    return limits === null ? this.#topology.pending : this.#topology.removeRow(limits)
  }

  /** `max-connections` and `max-channels`, in the same way. Those who are there stay. */
  putUserLimits(username: string, limits: Readonly<Record<string, unknown>>): Position {
    const checked = checkedLimits(userLimitNames, limits)
    const [maxConnections, maxChannels] = [checked['max-connections'], checked['max-channels']]
    return this.#topology.putUserLimits(this.#user(username), { maxConnections, maxChannels })
  }

  clearUserLimits(username: string): Position {
    const { limits } = this.#user(username)
    return limits === null ? this.#topology.pending : this.#topology.removeRow(limits)
  }

  #rowOf(username: string, vhost: string): VhostState {
    const state = this.#vhostNamed(vhost)
    this.#user(username)
    return state
  }

  #vhostNamed(name: string): VhostState {
    const state = this.#topology.vhosts.get(name)
    if (state === undefined || state.isClosed) throw new BrokerError('not-found', `no vhost '${name}'`)
    return state
  }

  #user(name: string): User {
    const user = this.#topology.users.get(name)
    if (user === undefined) throw new BrokerError('not-found', `no user '${name}'`)
    return user
  }
}

export interface BrokerParts {
  readonly topology: Topology
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Default: scrypt on the thread pool. */
  readonly verifier?: PasswordVerifier
  /** Users who may log in from this machine only; default `guest`. */
  readonly loopbackUsers?: readonly string[]
}

function checkPattern(right: string, text: string): void {
  const { error } = new Pattern(text)
  if (error !== null) throw new BrokerError('precondition-failed', `the ${right} pattern '${text}' ${error}`)
}
