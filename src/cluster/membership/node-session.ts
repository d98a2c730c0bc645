/**
 * The session of this node: a key that it renews, and what follows for what the node may do.
 *
 * A session is over when its key has been removed or replaced by compare-and-set, never by time alone; so a write that
 * the store acknowledges proves that nobody has taken what is ours. Others may remove it when they have seen no renewal
 * for `sessionMs`. Since they saw the last one no sooner than we sent it, a node that trusts itself for half of
 * `sessionMs` from then on stops before anybody else begins, even with clocks one of which runs at twice the speed of the
 * other.
 *
 * `isCurrent` looks at the clocks each time it is asked: a process that was stopped and goes on finds it false before
 * any timer has run. The wall clock is asked as well, since the monotonic one stands still while a machine sleeps; when
 * the wall clock is set forward it is false in error until the next renewal.
 *
 * Renewals are sent by a timer and wait for nothing of this process. What the event loop is busy with delays them by as
 * much as its longest piece of work (`RunQueue` cuts that into slices of milliseconds), so the store must be reached over
 * a connection of its own, on which no bulk of data goes before them.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import type { NodeIdentity } from '../node-identity.ts'
import type { ClusterView } from './cluster-view.ts'
import { type Claim, type Instant, instantOf } from './session-claim.ts'
import { decodeSession, encodeSession, type SessionEntry, sessionKey } from './session-entry.ts'

export interface NodeSessionListener {
  currentChanged(isCurrent: boolean): void
  /** Last call. */
  sessionLost(reason: string): void
}

export interface NodeSessionOptions {
  readonly coordination: Coordination
  readonly view: ClusterView
  readonly clock: Clock
  readonly logger: Logger
  readonly sessionMs: number
  readonly renewMs: number
}

/** What a node may say anew about itself while its session lasts. */
export type SessionChange = Partial<Pick<SessionEntry, 'isDraining' | 'isReady' | 'isSteady' | 'unreached'>>

/** How often `end` tries to remove the key. What is left is ended by the others after `sessionMs`. */
const endTriesMax = 3

export class NodeSession {
  readonly identity: NodeIdentity
  readonly #options: NodeSessionOptions
  readonly #key: string
  readonly #listener: NodeSessionListener
  #entry: SessionEntry
  #revision: number
  /** When the last acknowledged renewal was sent. */
  #renewedAt: Instant
  #state: 'live' | 'ended' = 'live'
  #isCurrentTold = true
  #isRenewing = false
  /** Those who wait until what they have changed is acknowledged. */
  #waiting: { readonly renewal: number; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []
  #renewTimer: Timer | null = null
  #expiryTimer: Timer | null = null

  constructor(entry: SessionEntry, claim: Claim, listener: NodeSessionListener, options: NodeSessionOptions) {
    this.identity = { name: entry.name, incarnation: entry.incarnation }
    this.#options = options
    this.#key = sessionKey(entry.name)
    this.#listener = listener
    this.#entry = entry
    this.#revision = claim.revision
    this.#renewedAt = claim.sentAt
    this.#armExpiry()
    this.#armRenewal()
  }

  /** As it is, or is about to be, in the store. */
  get entry(): SessionEntry {
    return this.#entry
  }

  /** See `Members.isCurrent`. */
  get isCurrent(): boolean {
    return this.#state === 'live' && this.#sinceRenewal() < this.#options.sessionMs / 2
  }

  /** Wall time at which it stops being current, or stopped, unless it is renewed. */
  get currentUntil(): number {
    return this.#renewedAt.wall + this.#options.sessionMs / 2
  }

  /** Resolves when the store has acknowledged it; rejects when the session is over. */
  change(change: SessionChange): Promise<void> {
    if (this.#state === 'ended') return Promise.reject(new Error(`the session of node '${this.#entry.name}' is over`))
    this.#entry = { ...this.#entry, ...change }
    // A renewal that is on its way says the old thing.
    const renewal = this.#entry.renewal + 1
    return new Promise((resolve, reject) => {
      this.#waiting.push({ renewal, resolve, reject })
      void this.#renew()
    })
  }

  /** Looks whether the view knows that the session is over, sooner than the next renewal would. */
  viewChanged(): void {
    if (this.#state === 'ended') return
    const revision = this.#options.view.revisionOf(this.#key)
    if (revision <= this.#revision) return
    const seen = this.#options.view.session(this.#entry.name)
    if (seen === null || seen.entry.incarnation !== this.#entry.incarnation) this.#lose(seen?.entry ?? null)
  }

  /** Stops renewing, and removes the key. */
  async end(): Promise<void> {
    if (this.#state === 'ended') return
    this.#stop('the node was stopped')
    for (let tries = 0; tries < endTriesMax; tries++) {
      try {
        if (await this.#options.coordination.remove(this.#key, this.#revision)) return
        if (!(await this.#findRevision())) return
      } catch (error) {
        this.#options.logger.debug({ error }, 'the session of this node could not be removed yet')
      }
    }
  }

  #sinceRenewal(): number {
    const { monotonic, wall } = this.#renewedAt
    const { clock } = this.#options
    return Math.max(clock.monotonic() - monotonic, clock.now() - wall)
  }

  #armRenewal(ms = this.#options.renewMs): void {
    this.#renewTimer?.cancel()
    this.#renewTimer = this.#options.clock.after(ms, () => {
      this.#armRenewal()
      this.#tellCurrent()
      void this.#renew()
    })
  }

  #armExpiry(): void {
    const { clock, sessionMs } = this.#options
    this.#expiryTimer?.cancel()
    this.#expiryTimer = clock.after(Math.max(0, sessionMs / 2 - this.#sinceRenewal()), () => this.#tellCurrent())
  }

  #tellCurrent(): void {
    if (this.#state === 'ended') return
    const { isCurrent } = this
    if (isCurrent === this.#isCurrentTold) return
    this.#isCurrentTold = isCurrent
    this.#listener.currentChanged(isCurrent)
  }

  /** One at a time: the next one needs the revision of this one. */
  async #renew(): Promise<void> {
    if (this.#isRenewing || this.#state === 'ended') return
    this.#isRenewing = true
    this.#entry = { ...this.#entry, renewal: this.#entry.renewal + 1 }
    const { renewal } = this.#entry
    const sentAt = instantOf(this.#options.clock)
    const revisionBefore = this.#revision
    try {
      const revision = await this.#options.coordination.put(this.#key, encodeSession(this.#entry), this.#revision)
      if (revision !== null) this.#acknowledged(revision, renewal, sentAt)
      else if (!(await this.#findRevision())) this.#lose(this.#options.view.session(this.#entry.name)?.entry ?? null)
    } catch (error) {
      this.#options.logger.debug({ error }, 'a renewal of the session of this node has no known outcome')
      // The store may choose a leader at any moment: what is lost until it is noticed is lost to everybody.
      if (this.#state === 'live') this.#armRenewal(this.#options.renewMs / 4)
      if (!this.isCurrent) await this.#lookForLoss()
    }
    this.#isRenewing = false
    // Something was changed meanwhile, or an earlier write stood in the way.
    const isOld = this.#waiting.some((waiting) => waiting.renewal > renewal)
    const isLate = this.#revision !== revisionBefore && this.#renewedAt !== sentAt
    if (isOld || isLate) void this.#renew()
  }

  #acknowledged(revision: number, renewal: number, sentAt: Instant): void {
    this.#revision = revision
    if (this.#state === 'ended') return
    this.#renewedAt = sentAt
    this.#armExpiry()
    const waiting = this.#waiting
    this.#waiting = waiting.filter((each) => each.renewal > renewal)
    for (const each of waiting) if (each.renewal <= renewal) each.resolve()
    this.#tellCurrent()
  }

  /**
   * Nothing is served while the session is not current, so there is time to look whether the store has lost what it had
   * acknowledged: it was removed, or put back from an old copy. Then no renewal would ever succeed.
   */
  async #lookForLoss(): Promise<void> {
    try {
      if (!(await this.#findRevision())) this.#lose(null)
    } catch (error) {
      this.#options.logger.debug({ error }, 'the session of this node cannot be read')
    }
  }

  /**
   * The key is not at the revision we know. True when it is still ours, written by a renewal whose outcome we did not
   * learn, or when what was read is too old to tell. Once the session is not current any more, a read is not old for long.
   */
  async #findRevision(): Promise<boolean> {
    const found = await this.#options.coordination.get(this.#key)
    if (found === null) return false
    if (found.revision < this.#revision && !this.isCurrent) return false
    const isOurs = decodeSession(this.#key, found.value)?.incarnation === this.#entry.incarnation
    if (isOurs && found.revision > this.#revision) this.#revision = found.revision
    return isOurs || found.revision <= this.#revision
  }

  #lose(successor: SessionEntry | null): void {
    if (this.#state === 'ended') return
    const reason =
      successor !== null && successor.incarnation !== this.#entry.incarnation
        ? `another process has taken the name of node '${this.#entry.name}' (incarnation ${successor.incarnation})`
        : `the session of node '${this.#entry.name}' is gone: the others have ended it after a long silence or since its link port refused one of them (as by a firewall that rejects), or what the nodes agree on was lost`
    this.#stop(reason)
    this.#listener.sessionLost(reason)
  }

  #stop(reason: string): void {
    this.#state = 'ended'
    this.#renewTimer?.cancel()
    this.#expiryTimer?.cancel()
    const waiting = this.#waiting
    this.#waiting = []
    for (const { reject } of waiting) reject(new Error(`the session of this node is over: ${reason}`))
  }
}
