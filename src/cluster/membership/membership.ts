/**
 * This node among the nodes: its own session, and those of the others as the coordination store tells of them.
 *
 * The order of a start: an incarnation that nobody had, the session under the node's name, and a view of everything
 * that is level with it. From then on the session is renewed each second until `stop`, or until others have ended it.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import type { Member, Members, MembersListener } from '../members.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { CannotJoin } from './cannot-join.ts'
import { ClusterView } from './cluster-view.ts'
import { takeIncarnation } from './incarnations.ts'
import { NodeSession, type NodeSessionListener, type SessionChange } from './node-session.ts'
import { claimSession } from './session-claim.ts'
import { isNodeName, type SessionEntry } from './session-entry.ts'
import { SessionJudge } from './session-judge.ts'

export const sessionMsDefault = 20_000
export const renewMsDefault = 1_000

export interface MembershipOptions {
  readonly coordination: Coordination
  readonly clock: Clock
  readonly logger: Logger
  /** Ends a start that still waits. */
  readonly signal: AbortSignal
  /** Of this node; `host` and `port` are where others reach its cluster link. */
  readonly node: Pick<Member, 'name' | 'host' | 'port' | 'version'>
  /** What `remember` stored when the last process used this node's data directory; null when there was none. */
  readonly predecessor: number | null
  /** The highest incarnation of any node that this one has known of. Default: `predecessor`. */
  readonly incarnationSeen?: number
  /** Stores the incarnation in the data directory, which is locked, before the session of that incarnation is written. */
  readonly remember: (incarnation: number) => Promise<void>
  /** A session that is not renewed for so long may be ended by others. Default 20,000. */
  readonly sessionMs?: number
  /** Default 1,000; at most a quarter of `sessionMs`. */
  readonly renewMs?: number
}

export class Membership implements Members, NodeSessionListener {
  readonly view: ClusterView
  readonly #clock: Clock
  readonly #renewMs: number
  readonly #session: NodeSession
  readonly #judge: SessionJudge
  readonly #listeners: MembersListener[] = []
  #entries: ReadonlyMap<string, SessionEntry>
  /** Why the session was lost. */
  #lost: string | null = null
  #timer: Timer | null = null
  #steadyTimer: Timer | null = null

  /**
   * Resolves when this node is a member. As long as the store does not answer it goes on trying, until `signal` ends it.
   * Throws `CannotJoin` when another process of this name is running, or the name cannot be used.
   */
  static async start(options: MembershipOptions): Promise<Membership> {
    const { node, coordination, clock, logger, remember } = options
    if (!isNodeName(node.name)) throw new CannotJoin(nameSentence(node.name))
    const times = timesOf(options)
    const { predecessor, incarnationSeen = 0 } = options
    const seen = Math.max(incarnationSeen, predecessor ?? 0)
    const taken = await takeIncarnation({ ...options, ...times, incarnationSeen: seen }, node.name)
    const { incarnation, unsteadyMs } = taken
    await remember(incarnation)
    const startedAt = clock.now()
    const state = { isDraining: false, isReady: false, isSteady: unsteadyMs === 0, unreached: [], renewal: 0 }
    const entry: SessionEntry = { ...node, incarnation, startedAt, ...state }
    const claim = await claimSession({ ...options, ...times, entry })
    const view = new ClusterView(clock, logger)
    const membership = new Membership(options, view, (listener) => {
      return new NodeSession(entry, claim, listener, { coordination, view, clock, logger, ...times })
    })
    view.open(coordination)
    try {
      await Promise.race([view.levelWith(claim.revision), aborted(options.signal)])
    } catch (error) {
      await membership.stop()
      throw error
    }
    membership.#steadyAfter(unsteadyMs)
    return membership
  }

  private constructor(
    options: MembershipOptions,
    view: ClusterView,
    openSession: (listener: NodeSessionListener) => NodeSession,
  ) {
    const { coordination, clock, logger } = options
    const { sessionMs, renewMs } = timesOf(options)
    this.view = view
    this.#clock = clock
    this.#renewMs = renewMs
    this.#session = openSession(this)
    this.#judge = new SessionJudge({ coordination, view, clock, logger, sessionMs, self: this.#session.identity })
    this.#entries = new Map([[this.self.name, this.#session.entry]])
    view.listen(this)
    this.#armJudge()
  }

  get self(): NodeIdentity {
    return this.#session.identity
  }

  get live(): ReadonlyMap<string, Member> {
    return this.#entries
  }

  /** As `live`, with what only membership knows. */
  get sessions(): ReadonlyMap<string, SessionEntry> {
    return this.#entries
  }

  get isCurrent(): boolean {
    return this.#session.isCurrent
  }

  /** Wall time at which the own session stops being current, or stopped, unless it is renewed. */
  get currentUntil(): number {
    return this.#session.currentUntil
  }

  /** Who comes after the session was lost hears of that alone, in a later turn. */
  listen(listener: MembersListener): void {
    const reason = this.#lost
    if (reason === null) this.#listeners.push(listener)
    else this.#clock.soon(() => listener.sessionLost(reason))
  }

  provedDead(name: string, incarnation: number): void {
    this.#judge.provedDead(name, incarnation)
  }

  setDraining(isDraining: boolean): Promise<void> {
    return this.#change({ isDraining })
  }

  /** This node's topology has caught up: it can be given data shards. */
  setReady(): Promise<void> {
    return this.#change({ isReady: true })
  }

  /** Live nodes to which this one has no link, by their incarnations. */
  setUnreached(unreached: readonly number[]): Promise<void> {
    return this.#change({ unreached })
  }

  /** Planned: removes the session, so that the others know at once. Release what is owned before. */
  async stop(): Promise<void> {
    this.#end()
    await this.#session.end()
  }

  currentChanged(isCurrent: boolean): void {
    for (const listener of this.#listeners) listener.currentChanged(isCurrent)
  }

  sessionLost(reason: string): void {
    this.#lost = reason
    this.#end()
    for (const listener of this.#listeners) listener.sessionLost(reason)
  }

  viewChanged(): void {
    this.#session.viewChanged()
    this.#judge.viewChanged()
    this.#refresh()
  }

  async #change(change: SessionChange): Promise<void> {
    const acknowledged = this.#session.change(change)
    this.#refresh()
    await acknowledged
  }

  #refresh(): void {
    const entries = new Map<string, SessionEntry>()
    for (const [name, { entry }] of this.view.sessions) entries.set(name, entry)
    entries.set(this.self.name, this.#session.entry)
    const isChanged = !areAlike(entries, this.#entries)
    this.#entries = entries
    if (isChanged) for (const listener of this.#listeners) listener.membersChanged()
  }

  /** In vain when the session ends before. */
  #steadyAfter(ms: number): void {
    if (ms === 0) return
    this.#steadyTimer = this.#clock.after(ms, () => void this.#change({ isSteady: true }).catch(() => {}))
  }

  #armJudge(): void {
    this.#timer = this.#clock.after(this.#renewMs, () => {
      this.#armJudge()
      this.#judge.judge(this.#session.isCurrent)
    })
  }

  #end(): void {
    this.#timer?.cancel()
    this.#steadyTimer?.cancel()
    this.view.close()
  }
}

function timesOf({ sessionMs = sessionMsDefault, renewMs = renewMsDefault }: MembershipOptions) {
  return { sessionMs, renewMs: Math.min(renewMs, sessionMs / 4) }
}

/** But for renewals. */
function areAlike(some: ReadonlyMap<string, SessionEntry>, others: ReadonlyMap<string, SessionEntry>): boolean {
  if (some.size !== others.size) return false
  for (const [name, entry] of some) {
    const other = others.get(name)
    if (other === undefined || other.incarnation !== entry.incarnation) return false
    if (other.isDraining !== entry.isDraining || other.isReady !== entry.isReady) return false
    if (other.isSteady !== entry.isSteady) return false
    if (other.unreached.join() !== entry.unreached.join()) return false
  }
  return true
}

function nameSentence(name: string): string {
  return `'${name}' cannot be the name of a node: use letters, digits, '-' and '_', with dots between them, at most 64 characters`
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
