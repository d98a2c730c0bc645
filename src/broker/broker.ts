import { inSlices } from '../base/sliced.ts'
import type { Position } from '../log/log.ts'
import { mayEnter } from './access/authorise.ts'
import type { LoginAttemptRows } from './access/login-attempts.ts'
import { LoginDesk } from './access/login-desk.ts'
import { type LoginThrottle, throttleDefaults } from './access/login-throttle.ts'
import { hashPassword, ThreadedPasswordVerifier } from './access/password-hash.ts'
import type { BrokerParts } from './broker-parts.ts'
import { TopologyChanges } from './changes.ts'
import type {
  AlarmReason,
  BrokerCommands,
  BrokerListener,
  LoginOrigin,
  LoginProof,
  Principal,
  Session,
} from './commands.ts'
import { DefinitionsError, type JsonObject } from './definitions/entry.ts'
import { type ExportWish, exportDefinitions, exportVhost } from './definitions/export-definitions.ts'
import type { Imported } from './definitions/import-definitions.ts'
import { BrokerError } from './errors.ts'
import { checkedParameter } from './global-parameters.ts'
import { type GivenPolicy, listPolicies, type ShownPolicy } from './policies.ts'
import { BrokerSession } from './session.ts'
import { SessionCounts } from './session-counts.ts'
import { CaughtUp } from './topology/caught-up.ts'
import { checkNameForm } from './topology/names.ts'
import type { PolicyKind } from './topology/policy-keys.ts'
import type { Patterns, Topology } from './topology/topology.ts'
import type { VhostProperties } from './topology/vhost-rows.ts'
import type { VhostState } from './topology/vhost-state.ts'
import type { AdminChange, ChangeResult, GivenLimits, TopologyAuthority } from './topology-authority.ts'
import { Vhost } from './vhost.ts'

/** RabbitMQ's words. */
const goneTexts = {
  user: (name: string): string => `user '${name}' was deleted`,
  vhost: (name: string): string => `vhost '${name}' is deleted`,
} as const

/**
 * The broker as the server sees it: who logs in, which vhost they open, whether they may publish just now. Vhosts,
 * users and rights are made and unmade here too, for whoever administers; who that may be is checked there.
 */
export class Broker implements BrokerCommands {
  listener: BrokerListener | null = null
  readonly #parts: BrokerParts
  readonly #topology: Topology
  readonly #desk: LoginDesk
  readonly #authority: TopologyAuthority
  readonly #vhosts = new WeakMap<VhostState, Vhost>()
  readonly #alarms = new Set<AlarmReason>()
  /** Of other nodes. */
  #remoteAlarms: readonly AlarmReason[] = []
  #isCongested = false
  readonly #sessions: SessionCounts
  /** Ends of sessions that some node may not know of yet. */
  readonly #ends = new CaughtUp()
  #nextSessionId: number
  #consumerCount = 0

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.#topology = parts.topology
    const { topology, random, logger } = parts
    this.#sessions = new SessionCounts(topology)
    this.#authority = parts.authority ?? new TopologyChanges({ topology, random, logger })
    this.#nextSessionId = parts.firstSessionId ?? 1
    this.#desk = new LoginDesk({
      ...parts,
      audit: parts.audit ?? logger,
      verifier: parts.verifier ?? new ThreadedPasswordVerifier(parts.clock),
      tokens: parts.tokens ?? null,
      throttle: parts.throttle ?? throttleDefaults,
      loopbackUsers: parts.loopbackUsers ?? ['guest'],
      upgrade: (name, from, passwordHash) => this.#change({ kind: 'upgrade-password', name, from, passwordHash }),
    })
    topology.hearSettled((position) => {
      this.listener?.topologyCommitted(position)
      this.#ends.release(position)
    })
    topology.hearGone((kind, name) => this.listener?.gone(kind, name, goneTexts[kind](name)))
  }

  // ---------------------------------------------------------------- sessions

  login(proof: LoginProof, origin: LoginOrigin, done: (principal: Principal | null) => void): void {
    this.#desk.login(proof, origin, done)
  }

  renewLogin(session: Session, secret: string, origin: LoginOrigin, done: (principal: Principal | null) => void): void {
    this.#desk.renew(session.principal, secret, origin, (principal) => {
      if (principal !== null && session instanceof BrokerSession) {
        session.rights.renew(principal)
        // Routes are remembered by channels, and with them that the session may use them.
        this.#topology.outdateRoutes()
      }
      done(principal)
    })
  }

  /** Whether a password is right; nobody is slowed down and nothing written down. */
  authenticate(
    username: string,
    password: string,
    isLoopback: boolean,
    done: (principal: Principal | null) => void,
  ): void {
    this.#desk.checkPassword(username, password, isLoopback, (outcome) =>
      done('principal' in outcome ? outcome.principal : null),
    )
  }

  /** Who guesses passwords. */
  get throttle(): LoginThrottle {
    return this.#desk.throttle
  }

  get loginAttempts(): LoginAttemptRows {
    return this.#desk.attempts.rows
  }

  openSession(principal: Principal, vhost: string): BrokerSession {
    const state = this.#topology.vhosts.get(vhost)
    if (state === undefined || state.isClosed) throw new BrokerError('not-allowed', `vhost ${vhost} not found`)
    const user = this.#topology.users.get(principal.username)
    this.#sessions.checkRoom(principal, state, user)
    if (!mayEnter(principal, state)) {
      throw new BrokerError('not-allowed', `access to vhost '${vhost}' refused for user '${principal.username}'`)
    }
    const channelLimitReached = (username: string): number | null => this.#channelLimitReached(username)
    const opened = { vhost: this.#vhost(state), state, channelLimitReached }
    const session = new BrokerSession(this.#nextSessionId++, principal, opened)
    this.#sessions.add(session, state)
    return session
  }

  closeSession(session: Session, done: () => void): void {
    if (session instanceof BrokerSession) this.#sessions.remove(session, session.state)
    // Nobody is waited for who has nothing: most sessions own no queue.
    if (session instanceof BrokerSession && !session.mayOwnQueues) return this.#parts.clock.soon(done)
    const removed = (_result: ChangeResult, position: Position): void => {
      if (position <= this.#topology.settled) done()
      else this.#ends.add(position, done)
    }
    this.#authority.ask({ kind: 'close-session', session: session.id }, { done: removed, failed: done })
  }

  #channelLimitReached(username: string): number | null {
    const max = this.#topology.users.get(username)?.limits?.maxChannels ?? null
    return max !== null && this.#sessions.channelsOf(username) >= max ? max : null
  }

  /** What limits hold over: here, and as far as they have said so at other nodes. */
  get sessionCounts(): SessionCounts {
    return this.#sessions
  }

  #vhost(state: VhostState): Vhost {
    let vhost = this.#vhosts.get(state)
    if (vhost === undefined) {
      const { topology, random } = this.#parts
      const nextConsumerId = (): number => ++this.#consumerCount
      vhost = new Vhost(state, { topology, random, authority: this.#authority, nextConsumerId })
      this.#vhosts.set(state, vhost)
    }
    return vhost
  }

  // ---------------------------------------------------------------- gate

  get topologyCommitted(): Position {
    return this.#topology.settled
  }

  get topologyPending(): Position {
    return this.#topology.pending
  }

  get publishGate(): 'open' | 'congested' | 'blocked' {
    if (this.#isBlocked) return 'blocked'
    return this.#isCongested ? 'congested' : 'open'
  }

  /** Of this node. */
  get ownAlarms(): readonly AlarmReason[] {
    return [...this.#alarms]
  }

  /** Of this node and all others. */
  get alarms(): readonly AlarmReason[] {
    return [...new Set([...this.#alarms, ...this.#remoteAlarms])]
  }

  /** More is appended than the shards' logs have stored. */
  setCongested(isCongested: boolean): void {
    if (this.#isCongested === isCongested) return
    this.#isCongested = isCongested
    if (!this.#isBlocked) this.listener?.publishGateChanged()
  }

  /** A shard has been opened again: the handles in the routes that channels keep are void. */
  shardsReopened(): void {
    this.#topology.outdateRoutes()
  }

  get #isBlocked(): boolean {
    return this.#alarms.size + this.#remoteAlarms.length > 0
  }

  /** What is on at other nodes of the cluster blocks publishers here as well. */
  setRemoteAlarms(alarms: readonly AlarmReason[]): void {
    this.#remoteAlarms = alarms
    this.#parts.logger.warn({ alarms }, alarms.length > 0 ? 'alarms of other nodes' : 'alarms of other nodes are over')
    this.listener?.publishGateChanged()
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

  /** Nothing happens when it exists. As all that follow, resolves with what must be settled before anyone is told. */
  createVhost(name: string): Promise<Position> {
    return this.#change({ kind: 'create-vhost', name })
  }

  /** At once nobody can open or use it, at the latest when it is gone; its queues go in slices, then itself. */
  deleteVhost(name: string): Promise<Position> {
    return this.#change({ kind: 'delete-vhost', name })
  }

  /** Makes a user, or gives one a new password and tags. */
  async putUser(name: string, password: string, tags: readonly string[]): Promise<Position> {
    checkNameForm('user', name)
    if (password === '') throw new BrokerError('precondition-failed', `the password of user '${name}' is empty`)
    return await this.putUserHash(name, await hashPassword(password, this.#parts.random), tags)
  }

  /** The same with what is to be kept of the password (`access/password-hash.ts`). */
  putUserHash(name: string, passwordHash: string, tags: readonly string[]): Promise<Position> {
    return this.#change({ kind: 'put-user', name, passwordHash, tags })
  }

  /**
   * RabbitMQ's definitions: makes what is not there yet, in slices (`definitions/import-definitions.ts`). Entries that
   * name no vhost go into `vhost`. Rejects with a `DefinitionsError` that names the entry.
   */
  async importDefinitions(document: unknown, vhost = '/'): Promise<Imported> {
    const { result, position } = await this.#ask({ kind: 'import-definitions', document, vhost })
    if (result.refusal !== null) throw new DefinitionsError(result.refusal)
    return { position, warnings: result.warnings }
  }

  /** Of everything, or of one vhost; with password hashes, so for administrators only. Collected in slices: what changes meanwhile may be in it or not. */
  async exportDefinitions(wish: ExportWish, vhost: string | null = null): Promise<JsonObject> {
    const all = vhost === null
    const work = all ? exportDefinitions(this.#topology, wish) : exportVhost(this.#vhostNamed(vhost), wish)
    return await inSlices(this.#topology.runQueue, work)
  }

  deleteUser(name: string): Promise<Position> {
    return this.#change({ kind: 'delete-user', name })
  }

  putPermission(username: string, vhost: string, patterns: Patterns): Promise<Position> {
    return this.#change({ kind: 'put-permission', username, vhost, patterns })
  }

  putTopicPermission(
    username: string,
    vhost: string,
    permission: { exchange: string; write: string; read: string },
  ): Promise<Position> {
    return this.#change({ kind: 'put-topic-permission', username, vhost, permission })
  }

  clearPermission(username: string, vhost: string): Promise<Position> {
    return this.#change({ kind: 'clear-permission', username, vhost })
  }

  /** That on one exchange; null: those on all. */
  clearTopicPermissions(username: string, vhost: string, exchange: string | null = null): Promise<Position> {
    return this.#change({ kind: 'clear-topic-permissions', username, vhost, exchange })
  }

  /** Description, tags and default queue type: all of them, what was said before is forgotten. */
  putVhostMetadata(vhost: string, properties: VhostProperties): Promise<Position> {
    return this.#change({ kind: 'put-vhost-metadata', vhost, properties })
  }

  /** Makes a policy, or changes the one of that name; applied soon after. `precondition-failed` with RabbitMQ's texts. */
  putPolicy(vhost: string, name: string, policy: GivenPolicy, policyKind: PolicyKind = 'policy'): Promise<Position> {
    return this.#change({ kind: 'put-policy', policyKind, vhost, name, policy })
  }

  /** `not-found` when there is none of that name. */
  deletePolicy(vhost: string, name: string, policyKind: PolicyKind = 'policy'): Promise<Position> {
    return this.#change({ kind: 'delete-policy', policyKind, vhost, name })
  }

  listPolicies(vhost: string, kind: PolicyKind = 'policy'): ShownPolicy[] {
    return [...listPolicies(this.#vhostNamed(vhost), kind)]
  }

  /** The same for the policies that only bound what the others set. */
  putOperatorPolicy(vhost: string, name: string, policy: GivenPolicy): Promise<Position> {
    return this.putPolicy(vhost, name, policy, 'operator-policy')
  }

  deleteOperatorPolicy(vhost: string, name: string): Promise<Position> {
    return this.deletePolicy(vhost, name, 'operator-policy')
  }

  listOperatorPolicies(vhost: string): ShownPolicy[] {
    return this.listPolicies(vhost, 'operator-policy')
  }

  /** Makes a webhook, or changes the one of that name (`webhooks.ts`). */
  putWebhook(vhost: string, name: string, given: JsonObject): Promise<Position> {
    return this.#change({ kind: 'put-webhook', vhost, name, given })
  }

  /** `not-found` when there is none of that name. */
  deleteWebhook(vhost: string, name: string): Promise<Position> {
    return this.#change({ kind: 'delete-webhook', vhost, name })
  }

  /** Unless it goes to another address than `url` by now. */
  disableWebhook(vhost: string, name: string, { url, reason }: { url: string; reason: string }): Promise<Position> {
    return this.#change({ kind: 'disable-webhook', vhost, name, url, reason })
  }

  /** `max-connections` and `max-queues`, negative for none; what is not named has none from now on. */
  putVhostLimits(vhost: string, limits: GivenLimits): Promise<Position> {
    return this.#change({ kind: 'put-vhost-limits', vhost, limits })
  }

  clearVhostLimits(vhost: string): Promise<Position> {
    return this.#change({ kind: 'clear-vhost-limits', vhost })
  }

  /** `max-connections` and `max-channels`, in the same way. Those who are there stay. */
  putUserLimits(username: string, limits: GivenLimits): Promise<Position> {
    return this.#change({ kind: 'put-user-limits', username, limits })
  }

  clearUserLimits(username: string): Promise<Position> {
    return this.#change({ kind: 'clear-user-limits', username })
  }

  /** Makes a global parameter, or gives the one of that name a new value, anything that JSON has. */
  async putGlobalParameter(name: string, value: unknown): Promise<Position> {
    checkedParameter(name, value) // here too: what is nested too deep cannot be sent to another node
    return await this.#change({ kind: 'put-global-parameter', name, value })
  }

  /** `not-found` when there is none of that name. */
  deleteGlobalParameter(name: string): Promise<Position> {
    return this.#change({ kind: 'delete-global-parameter', name })
  }

  async #change(change: AdminChange): Promise<Position> {
    return (await this.#ask(change)).position
  }

  #ask(change: AdminChange): Promise<{ result: ChangeResult; position: Position }> {
    return new Promise((resolve, reject) => {
      this.#authority.ask(change, { done: (result, position) => resolve({ result, position }), failed: reject })
    })
  }

  #vhostNamed(name: string): VhostState {
    const state = this.#topology.vhosts.get(name)
    if (state === undefined || state.isClosed) throw new BrokerError('not-found', `no vhost '${name}'`)
    return state
  }
}
