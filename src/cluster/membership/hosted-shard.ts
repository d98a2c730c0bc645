/**
 * One shard on this node, and what is being done about it: a state machine between the lease, the placement and the
 * host. `Ownership` calls `act` whenever something may have changed.
 *
 *           take                 open                            close             release
 *   idle ─────────► taking ─────────────► opening ───────► open ───────► closing ─────────► releasing ──► idle
 *     ▲               │ refused             │ fails          │ lost, overtaken
 *     └───────────────┴─────────────────────┴────────────────┘
 *
 * Invariant: the host is told `open` only with an epoch that the store has just acknowledged, it stays open only while the
 * lease says just that, and the lease is freed only after the host has closed or was told to abandon.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Blame, HeldLease, Leases } from './leases.ts'
import type { OwnershipJournal } from './ownership-journal.ts'
import { type HostLoss, LeaseBehind, type ShardHost } from './shard-host.ts'

export type HostedState =
  | { readonly name: 'idle' }
  | { readonly name: 'taking' }
  | { readonly name: 'opening'; readonly epoch: number; readonly lease: HeldLease; readonly abort: AbortController }
  | { readonly name: 'open'; readonly epoch: number; readonly lease: HeldLease; readonly openedAt: number }
  | { readonly name: 'closing'; readonly epoch: number }
  | { readonly name: 'releasing' }
  /** The session is over. */
  | { readonly name: 'ended' }

/** What is wanted of this node at the moment. */
export interface Wish {
  readonly role: 'owner' | 'standby' | 'none'
  /** The lease may be taken and the shard opened. */
  readonly mayTake: boolean
  /** A shard that is open here and not wanted may be handed over now. */
  readonly mayMove: boolean
  /** Other nodes could own it … */
  readonly hasOthers: boolean
  /** … one of which has not failed to open it. */
  readonly hasFreshOthers: boolean
}

export interface HostedShardOptions {
  readonly host: ShardHost
  readonly leases: Leases
  readonly journal: OwnershipJournal
  readonly clock: Clock
  readonly logger: Logger
  /** Something has changed: call `act` again. */
  readonly changed: () => void
}

const retryMsMin = 250
const retryMsMax = 30_000
/** Openings that fail before another node is asked … */
const failuresMax = 3
/** … and before one is asked again that could not open it either. */
const lastFailuresMax = 8
/** A shard that was open for so long did not fail to open. */
const soundMs = 60_000
/** After so long a node that could not open the shard is tried again. */
const forgiveMs = 300_000
/** An owner looks so often whether its lease is still there. */
const leaseLookMs = 5_000

export class HostedShard {
  readonly host: ShardHost
  readonly #options: HostedShardOptions
  #state: HostedState = { name: 'idle' }
  /** An `open` or `close` of the host has not been answered yet, be it that we have abandoned it meanwhile. */
  #isHostBusy = false
  #isFollowing = false
  #isHeld = false
  /** For the lease. */
  #lookedAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #retryAt = Number.NEGATIVE_INFINITY
  #retryTimer: Timer | null = null

  constructor(options: HostedShardOptions) {
    this.host = options.host
    this.#options = options
  }

  get state(): HostedState {
    return this.#state
  }

  get isFollowing(): boolean {
    return this.#isFollowing
  }

  /** Openings in a row that failed. */
  get failures(): number {
    return this.#failures
  }

  /** Being handed over at the moment. */
  get isMoving(): boolean {
    return this.#state.name === 'closing' || this.#state.name === 'releasing'
  }

  act(wish: Wish): void {
    const { leases, clock } = this.#options
    const { shard } = this.host
    const state = this.#state
    switch (state.name) {
      case 'idle':
        if (wish.role === 'owner' && wish.mayTake && leases.isForTaking(shard)) this.#takeWhenDue(wish)
        else if (wish.role !== 'owner' && this.#isDue && leases.isOurs(shard))
          void this.#release(leases.find(shard).epoch)
        break
      case 'opening':
        if (leases.isOvertaken(shard, state.lease)) this.#overtaken(state.epoch)
        else if (wish.role !== 'owner' && wish.mayMove) state.abort.abort(new Error('the shard goes to another node'))
        break
      case 'open':
        if (leases.isOvertaken(shard, state.lease)) this.#overtaken(state.epoch)
        else if (wish.role !== 'owner' && wish.mayMove) void this.#handOver(state.epoch)
        else if (clock.monotonic() - state.openedAt >= forgiveMs) this.#forgive(state.lease)
        this.#lookForLease(state)
        break
      case 'taking':
      case 'closing':
      case 'releasing':
      case 'ended':
        return
    }
    if (this.#state.name === 'idle' && !this.#isHostBusy) this.#follow(wish.role !== 'none')
  }

  /** The host reports that it cannot go on. */
  lost(loss: HostLoss, reason: string): void {
    const state = this.#state
    if (state.name !== 'open' && state.name !== 'closing') return
    const { journal, logger, clock } = this.#options
    const { shard } = this.host
    const { epoch } = state
    journal.note(shard, epoch, loss)
    logger.warn({ shard, epoch, loss, reason }, `shard '${shard}' is not served here any more: ${reason}`)
    const wasSound = state.name === 'open' && clock.monotonic() - state.openedAt >= soundMs
    this.#failed(wasSound ? 0 : this.#failures + 1)
  }

  /** The own session has not been renewed for half of its length, or has been again. */
  hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld || this.#state.name === 'ended') return
    this.#isHeld = isHeld
    if (isHeld) this.host.hold()
    else this.host.resume()
    const { journal } = this.#options
    if (this.#state.name === 'open') journal.note(this.host.shard, this.#state.epoch, isHeld ? 'held' : 'resumed')
  }

  /** The session is over: nothing here is ours. Last call. */
  end(): void {
    const state = this.#state
    if (state.name === 'ended') return
    this.#state = { name: 'ended' }
    this.#retryTimer?.cancel()
    if (state.name === 'opening') state.abort.abort(new Error('the session of this node is over'))
    this.host.abandon()
    if ('epoch' in state) this.#options.journal.note(this.host.shard, state.epoch, 'abandoned')
  }

  #takeWhenDue(wish: Wish): void {
    if (!this.#isDue || this.#isHostBusy) return
    const { leases } = this.#options
    const { shard } = this.host
    // The lease must be ours to give.
    const blame = leases.isOurs(shard) ? this.#blame(wish) : null
    if (blame === null) void this.#take()
    else {
      this.#failures = 0
      void this.#release(leases.find(shard).epoch, blame)
    }
  }

  /** After repeated failure another node is asked; null: not yet. */
  #blame({ hasOthers, hasFreshOthers }: Wish): Blame | null {
    if (this.#failures >= failuresMax && hasFreshOthers) return 'us too'
    return this.#failures >= lastFailuresMax && hasOthers ? 'us alone' : null
  }

  get #isDue(): boolean {
    return this.#options.clock.monotonic() >= this.#retryAt
  }

  async #take(): Promise<void> {
    const { leases, logger, journal } = this.#options
    const { shard } = this.host
    const taking: HostedState = { name: 'taking' }
    this.#state = taking
    this.#follow(true)
    let lease: HeldLease | null = null
    try {
      lease = await leases.acquire(shard)
    } catch (error) {
      logger.debug({ shard, error }, `taking the lease of shard '${shard}' has no known outcome`)
    }
    if (this.#state !== taking) return
    if (lease === null) this.#retryAfter(retryMsMin)
    else {
      journal.note(shard, lease.epoch, 'acquired')
      await this.#open(lease)
    }
  }

  async #open(lease: HeldLease): Promise<void> {
    const { logger, journal, clock } = this.#options
    const { shard } = this.host
    const abort = new AbortController()
    const { epoch } = lease
    const opening: HostedState = { name: 'opening', epoch, lease, abort }
    this.#state = opening
    try {
      await this.#waitForHost(this.host.open(epoch, abort.signal))
    } catch (error) {
      if (this.#state !== opening) return
      journal.note(shard, epoch, abort.signal.aborted ? 'abandoned' : 'failed')
      if (abort.signal.aborted) return void this.#release(epoch)
      if (error instanceof LeaseBehind) return this.#behind(error)
      logger.error({ shard, epoch, error }, `shard '${shard}' could not be opened`)
      return this.#failed(this.#failures + 1)
    }
    if (this.#state !== opening) return
    journal.note(shard, epoch, 'opened')
    if (this.#isHeld) journal.note(shard, epoch, 'held')
    logger.info({ shard, epoch }, `shard '${shard}' is served here`)
    this.#state = { name: 'open', epoch, lease, openedAt: clock.monotonic() }
  }

  /** The shard can be opened, only not with this lease: no failure of this node. */
  #behind({ epoch, message }: LeaseBehind): void {
    const { leases, logger } = this.#options
    const { shard } = this.host
    logger.warn({ shard, epoch }, `${message}: the lease is taken again beyond it`)
    leases.learnEpoch(shard, epoch)
    this.#retryAfter(0)
  }

  async #handOver(epoch: number): Promise<void> {
    const { logger, journal } = this.#options
    const { shard } = this.host
    const closing: HostedState = { name: 'closing', epoch }
    this.#state = closing
    let isClean = true
    try {
      await this.#waitForHost(this.host.close())
    } catch (error) {
      isClean = false
      logger.warn({ shard, epoch, error }, `shard '${shard}' could not be closed cleanly`)
    }
    if (this.#state !== closing) return
    journal.note(shard, epoch, isClean ? 'closed' : 'abandoned')
    this.#failures = 0
    await this.#release(epoch)
  }

  async #waitForHost(call: Promise<void>): Promise<void> {
    this.#isHostBusy = true
    try {
      await call
    } finally {
      this.#isHostBusy = false
      this.#options.changed()
    }
  }

  /** If it fails the lease still looks ours, and the next `act` sees to it. */
  async #release(epoch: number, blame: Blame = 'nobody'): Promise<void> {
    const { leases, logger, journal } = this.#options
    const { shard } = this.host
    const releasing: HostedState = { name: 'releasing' }
    this.#state = releasing
    try {
      await leases.release(shard, epoch, blame)
      journal.note(shard, epoch, 'released')
    } catch (error) {
      logger.debug({ shard, epoch, error }, `releasing the lease of shard '${shard}' has no known outcome`)
    }
    if (this.#state === releasing) this.#retryAfter(retryMsMin)
  }

  #overtaken(epoch: number): void {
    const { journal, logger } = this.#options
    const { shard } = this.host
    const state = this.#state
    this.#state = { name: 'idle' }
    if (state.name === 'opening') state.abort.abort(new Error('the lease does not say so any more'))
    this.host.abandon()
    journal.note(shard, epoch, 'deposed')
    logger.warn({ shard, epoch }, `the lease of shard '${shard}' does not say any more that it is served here`)
    this.#retryAfter(retryMsMin)
  }

  /** Without a lease the shard is given up before that is told: then another node takes it. */
  #lookForLease(state: HostedState & { name: 'open' }): void {
    const { leases, clock, logger } = this.#options
    const now = clock.monotonic()
    if (this.#state !== state || now - this.#lookedAt < leaseLookMs) return
    this.#lookedAt = now
    const { shard } = this.host
    const look = async (): Promise<void> => {
      if (!(await leases.isPurged(shard)) || this.#state !== state) return
      this.#overtaken(state.epoch)
      await leases.leaveTrace(shard)
    }
    look().catch((error: unknown) => {
      logger.debug({ shard, error }, `it is not known whether the lease of shard '${shard}' is still there`)
    })
  }

  #forgive(lease: HeldLease): void {
    const { leases, logger } = this.#options
    const { shard } = this.host
    if (leases.find(shard).avoid.length === 0) return
    const { epoch } = lease
    this.#state = { name: 'open', epoch, lease, openedAt: this.#options.clock.monotonic() }
    leases.forgive(shard, epoch).catch((error) => {
      logger.debug({ shard, epoch, error }, `the lease of shard '${shard}' could not be changed yet`)
    })
  }

  #failed(failures: number): void {
    this.#failures = failures
    this.#retryAfter(Math.min(retryMsMax, retryMsMin * 2 ** Math.max(0, failures - 1)))
  }

  #retryAfter(ms: number): void {
    const { clock, changed } = this.#options
    this.#state = { name: 'idle' }
    this.#retryAt = clock.monotonic() + ms
    this.#retryTimer?.cancel()
    this.#retryTimer = clock.after(ms, changed)
    changed()
  }

  #follow(isWanted: boolean): void {
    if (isWanted === this.#isFollowing) return
    this.#isFollowing = isWanted
    if (isWanted) this.host.follow()
    else this.host.unfollow()
  }
}
