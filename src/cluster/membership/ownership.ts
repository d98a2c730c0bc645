/**
 * Which shards this node serves: follows the placement, takes leases that are free or whose holder's session is over, and
 * hands over what others should have. It drives one `ShardHost` per shard and knows nothing of logs.
 *
 * The topology comes first: data shards are taken only once this node has said that its topology has caught up
 * (`ready`) and somebody holds the topology shard. A node that is not ready is given no data shards by the others.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import type { Member, MembersListener } from '../members.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { HostedShard, type Wish } from './hosted-shard.ts'
import { Leases } from './leases.ts'
import type { Membership } from './membership.ts'
import { OwnershipJournal } from './ownership-journal.ts'
import { type Place, placeShards } from './placement.ts'
import { type Reach, reachOf, SettlingReach } from './reach.ts'
import { SettledNodes } from './settled-nodes.ts'
import type { HostLoss, ShardHost, ShardHostListener } from './shard-host.ts'

export const topologyShard = 'topology'

export interface OwnershipOptions {
  readonly membership: Membership
  readonly coordination: Coordination
  readonly clock: Clock
  readonly logger: Logger
  /** Of every shard of the cluster, the topology among them. */
  readonly hosts: readonly ShardHost[]
  /** Resolves when this node's topology has caught up with what the cluster had when it was called. */
  readonly ready: () => Promise<void>
  /** Gets the lines of the `OwnershipJournal`. */
  readonly journal: (line: string) => void
  /** A node is given shards when it has been live for so long. Default 2,000. */
  readonly settleMs?: number
}

/** Shards that this node hands over at the same time, unless it is draining. */
const movesAtOnceMax = 2
/** What has no event of its own is looked at so often: nodes that have become settled, sessions seen to be over. */
const tickMs = 250
const settleMsDefault = 2_000
const nobody: ReadonlySet<string> = new Set()
const unplaced: Place = { owner: null, standby: null }

export class Ownership implements MembersListener, ShardHostListener {
  readonly leases: Leases
  readonly #options: OwnershipOptions
  readonly #settled: SettledNodes
  readonly #settleMs: number
  readonly #reachSettling = new SettlingReach()
  #reach: Reach = reachOf([], [])
  readonly #shards: ReadonlyMap<string, HostedShard>
  #places: ReadonlyMap<string, Place> = new Map()
  /** What `#places` was computed of. */
  #placedOf = ''
  /** Names of those that can own data shards. */
  #candidates: readonly string[] = []
  #isReady = false
  #isStopping = false
  #isEnded = false
  #isPending = false
  #timer: Timer | null = null
  #waiting: (() => void)[] = []

  constructor(options: OwnershipOptions) {
    const { membership, coordination, clock, logger, hosts, settleMs = settleMsDefault } = options
    this.#options = options
    this.leases = new Leases(membership.self, coordination, membership.view, clock)
    this.#settled = new SettledNodes(settleMs)
    this.#settleMs = settleMs
    const journal = new OwnershipJournal(clock, membership, options.journal)
    const changed = () => this.#plan()
    const common = { leases: this.leases, journal, clock, logger, changed }
    this.#shards = new Map(hosts.map((host) => [host.shard, new HostedShard({ ...common, host })]))
  }

  start(): void {
    const { membership } = this.#options
    membership.listen(this)
    membership.view.listen({ viewChanged: () => this.#plan() })
    this.currentChanged(membership.isCurrent)
    this.#tick()
    void this.#becomeReady()
  }

  /** By shard. */
  get shards(): ReadonlyMap<string, HostedShard> {
    return this.#shards
  }

  /** Who reaches whom, when it was last looked: when anything of it changed. */
  get reach(): Reach {
    return this.#reach
  }

  /** The nodes that own shards now, by name. */
  ownersNow(): ReadonlyMap<string, NodeIdentity> {
    const { view } = this.#options.membership
    const owners = new Map<string, NodeIdentity>()
    for (const { holder } of [...view.leases.values()].map(({ entry }) => entry)) {
      if (holder !== null && view.isLive(holder)) owners.set(holder.name, holder)
    }
    return owners
  }

  place(shard: string): Place {
    return this.#places.get(shard) ?? unplaced
  }

  /** Resolves when this node, which is draining, serves nothing any more. */
  drained(): Promise<void> {
    if (this.#isEnded) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#plan()
    })
  }

  /** Planned: closes and frees everything. What has not been closed after `graceMs` milliseconds is abandoned. */
  async stop(graceMs = 10_000): Promise<void> {
    this.#isStopping = true
    const timer = this.#options.clock.after(graceMs, () => this.#end())
    await this.drained()
    timer.cancel()
    this.#end()
  }

  hostLost(shard: string, loss: HostLoss, reason: string): void {
    this.#shards.get(shard)?.lost(loss, reason)
  }

  membersChanged(): void {
    this.#plan()
  }

  currentChanged(isCurrent: boolean): void {
    for (const shard of this.#shards.values()) shard.hold(!isCurrent)
    this.#plan()
  }

  sessionLost(): void {
    this.#end()
  }

  #end(): void {
    this.#isEnded = true
    this.#timer?.cancel()
    for (const shard of this.#shards.values()) shard.end()
    this.#tellDrained()
  }

  async #becomeReady(): Promise<void> {
    try {
      await this.#options.ready()
      await this.#options.membership.setReady()
    } catch (error) {
      this.#options.logger.error({ error }, 'this node is not given data shards: its topology has not caught up')
      return
    }
    this.#isReady = true
    this.#plan()
  }

  #tick(): void {
    this.#timer = this.#options.clock.after(tickMs, () => this.#tick())
    this.#act()
  }

  /** At the end of this turn. */
  #plan(): void {
    if (this.#isPending || this.#isEnded) return
    this.#isPending = true
    this.#options.clock.soon(() => {
      this.#isPending = false
      this.#act()
    })
  }

  #act(): void {
    if (this.#isEnded) return
    this.#placeAll()
    const isBeginning = this.#isBeginning()
    for (const [name, shard] of this.#shards) shard.act(this.#wishFor(name, isBeginning))
    this.#tellDrained()
  }

  #wishFor(shard: string, isBeginning: boolean): Wish {
    const { self, isCurrent } = this.#options.membership
    const { owner, standby } = this.place(shard)
    const others = this.#candidates.filter((name) => name !== self.name)
    const avoided = this.#avoidedBy(shard)
    const isLeaving = this.#isLeaving
    const role = isLeaving ? 'none' : owner === self.name ? 'owner' : standby === self.name ? 'standby' : 'none'
    return {
      role,
      mayTake: isCurrent && !isBeginning && (shard === topologyShard || (this.#isReady && this.#isTopologyOwned)),
      // A shard that nobody else is to own stays where it is.
      mayMove: isLeaving || (isCurrent && owner !== null && owner !== self.name && this.#moves < movesAtOnceMax),
      hasOthers: others.length > 0,
      hasFreshOthers: others.some((name) => !avoided.has(name)),
    }
  }

  /**
   * True while this node is new and there are others that are newer: when all nodes of a cluster are started, the first
   * one does not take everything, to give most of it away a moment later.
   */
  #isBeginning(): boolean {
    const { membership, clock } = this.#options
    const now = clock.monotonic()
    if (this.#settled.ageOf(membership.self, now) >= 2 * this.#settleMs) return false
    return [...membership.sessions.values()].some((entry) => this.#settled.ageOf(entry, now) < this.#settleMs)
  }

  get #isLeaving(): boolean {
    const { membership } = this.#options
    return this.#isStopping || membership.sessions.get(membership.self.name)?.isDraining === true
  }

  get #isTopologyOwned(): boolean {
    const own = this.#shards.get(topologyShard)
    if (own?.state.name === 'open') return true
    const { holder } = this.leases.find(topologyShard)
    const { membership } = this.#options
    return holder !== null && holder.name !== membership.self.name && membership.view.isLive(holder)
  }

  get #moves(): number {
    let moves = 0
    for (const shard of this.#shards.values()) if (shard.isMoving) moves++
    return moves
  }

  /** The topology has a placement of its own, so that the node that has it does not get fewer data shards. */
  #placeAll(): void {
    const now = this.#options.clock.monotonic()
    const { sessions } = this.#options.membership
    this.#reach = this.#reachSettling.look(sessions, now)
    const here = [...sessions.values()].filter((entry) => this.#settled.isSettled(entry, now) && !entry.isDraining)
    const able = here.filter(({ isReady }) => isReady)
    const steady = able.filter(({ isSteady }) => isSteady)
    const ready = this.#reachable(steady.length > 0 ? steady : able)
    // Only where nobody is ready yet, as when all are started, is the topology taken by one that may not be reached.
    const settled = ready.length > 0 ? ready : this.#reachable(here)
    const avoid = this.#avoided()
    const of = JSON.stringify([settled, ready, [...avoid].map(([shard, names]) => [shard, [...names]])])
    if (of === this.#placedOf) return
    this.#placedOf = of
    this.#candidates = ready
    const data = [...this.#shards.keys()].filter((shard) => shard !== topologyShard)
    const places = new Map(placeShards({ shards: data, nodes: ready, avoid }))
    const topology = placeShards({ shards: [topologyShard], nodes: settled, avoid })
    for (const [shard, place] of topology) places.set(shard, place)
    this.#places = places
  }

  /** Names of those that others reach; but somebody must own shards, if there is anybody. */
  #reachable(entries: readonly Member[]): string[] {
    const names = entries.map(({ name }) => name)
    const reached = names.filter((name) => this.#reach.owners.has(name))
    return reached.length > 0 ? reached : names
  }

  /** Names of the nodes that could not open a shard, by shard. */
  #avoided(): Map<string, ReadonlySet<string>> {
    const avoided = new Map<string, ReadonlySet<string>>()
    for (const shard of this.#shards.keys()) {
      const names = this.#avoidedBy(shard)
      if (names.size > 0) avoided.set(shard, names)
    }
    return avoided
  }

  #avoidedBy(shard: string): ReadonlySet<string> {
    const { avoid } = this.leases.find(shard)
    if (avoid.length === 0) return nobody
    const names = new Set<string>()
    for (const [name, { incarnation }] of this.#options.membership.sessions) {
      if (avoid.includes(incarnation)) names.add(name)
    }
    return names
  }

  #tellDrained(): void {
    if (this.#waiting.length === 0) return
    for (const [name, shard] of this.#shards) {
      if (this.#isEnded) break
      if (shard.state.name !== 'idle' || this.leases.isOurs(name)) return
    }
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
