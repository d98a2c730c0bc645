/**
 * All that the coordination store has told this node, in the store's order: sessions and leases.
 *
 * It may be old, but it is never torn: a lease is told after the session of its holder, so a holder that has no session
 * here had one, and it is over. That holds once the view is level with the own session (`levelWith`), because what the
 * store tells at the beginning is told in one turn, and changes after it in order.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination, CoordinationEntry, CoordinationWatch } from '../coordination.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { decodeLease, type LeaseEntry, leasePrefix, noLease } from './lease-entry.ts'
import { decodeSession, type SessionEntry, sessionPrefix } from './session-entry.ts'

export interface Seen<Entry> {
  readonly entry: Entry
  readonly revision: number
}

export interface ClusterViewListener {
  /** Something has changed; called once, at the end of the turn in which it was told. */
  viewChanged(): void
}

export class ClusterView implements CoordinationWatch {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #sessions = new Map<string, Seen<SessionEntry>>()
  readonly #leases = new Map<string, Seen<LeaseEntry>>()
  /** By shard: the highest that was ever told. */
  readonly #epochs = new Map<string, number>()
  /** Of each key that was ever told, removed ones too: what is told again after a broken watch may be older. */
  readonly #revisions = new Map<string, number>()
  readonly #listeners: ClusterViewListener[] = []
  #waiting: { readonly revision: number; readonly resolve: () => void }[] = []
  #revisionTold = 0
  #isBegun = false
  #isChanged = false
  #end: () => void = () => {}

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  open(coordination: Coordination): void {
    this.#end = coordination.watch('', this)
  }

  close(): void {
    this.#end()
    this.#end = () => {}
  }

  listen(listener: ClusterViewListener): void {
    this.#listeners.push(listener)
  }

  /** By name. */
  get sessions(): ReadonlyMap<string, Seen<SessionEntry>> {
    return this.#sessions
  }

  session(name: string): Seen<SessionEntry> | null {
    return this.#sessions.get(name) ?? null
  }

  /** By shard. */
  get leases(): ReadonlyMap<string, Seen<LeaseEntry>> {
    return this.#leases
  }

  lease(shard: string): Seen<LeaseEntry> {
    return this.#leases.get(shard) ?? { entry: noLease, revision: 0 }
  }

  /** The highest epoch that any lease of this shard was told to have; 0 if there was none. */
  epochOf(shard: string): number {
    return this.#epochs.get(shard) ?? 0
  }

  isLive({ name, incarnation }: NodeIdentity): boolean {
    return this.#sessions.get(name)?.entry.incarnation === incarnation
  }

  /** Of the last change of this key that was told, its removal too; 0 if there was none. */
  revisionOf(key: string): number {
    return this.#revisions.get(key) ?? 0
  }

  /** Resolves when all that the store held at this revision has been told. */
  levelWith(revision: number): Promise<void> {
    if (this.#isBegun && this.#revisionTold >= revision) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ revision, resolve }))
  }

  entry({ key, value, revision }: CoordinationEntry): void {
    if (!this.#isNews(key, revision)) return
    if (key.startsWith(sessionPrefix)) this.#putSession(key, value, revision)
    else if (key.startsWith(leasePrefix)) this.#putLease(key, value, revision)
  }

  removed(key: string, revision: number): void {
    if (!this.#isNews(key, revision)) return
    if (key.startsWith(sessionPrefix)) this.#sessions.delete(key.slice(sessionPrefix.length))
    else if (key.startsWith(leasePrefix)) this.#leases.delete(key.slice(leasePrefix.length))
  }

  current(): void {
    this.#isBegun = true
    this.#tell()
  }

  #isNews(key: string, revision: number): boolean {
    if (revision <= (this.#revisions.get(key) ?? 0)) return false
    this.#revisions.set(key, revision)
    this.#revisionTold = Math.max(this.#revisionTold, revision)
    if (!this.#isChanged) {
      this.#isChanged = true
      this.#clock.soon(() => this.#tell())
    }
    return true
  }

  #putSession(key: string, value: string, revision: number): void {
    const entry = decodeSession(key, value)
    if (entry === null) this.#logger.error({ key, value }, 'a coordination key holds no session: it is passed over')
    else this.#sessions.set(entry.name, { entry, revision })
  }

  #putLease(key: string, value: string, revision: number): void {
    const shard = key.slice(leasePrefix.length)
    const entry = decodeLease(value)
    // Its revision counts all the same: whoever takes the shard writes a lease in its place.
    if (entry === null)
      this.#logger.error({ key, value }, 'a coordination key holds no lease: the shard counts as free')
    this.#leases.set(shard, { entry: entry ?? noLease, revision })
    this.#epochs.set(shard, Math.max(this.epochOf(shard), entry?.epoch ?? 0))
  }

  #tell(): void {
    if (!this.#isBegun) return
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ revision }) => revision > this.#revisionTold)
    for (const { revision, resolve } of waiting) if (revision <= this.#revisionTold) resolve()
    if (!this.#isChanged) return
    this.#isChanged = false
    for (const listener of this.#listeners) listener.viewChanged()
  }
}
