import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import { guestPasswordHash } from '../access/password-hash.ts'
import type { Definitions } from './definitions.ts'
import { Journal } from './journal.ts'
import { vhostIds } from './predeclared.ts'
import { Reclaim } from './reclaim.ts'
import { type DefinitionRecord, decodeRecord } from './records.ts'

/**
 * The log that a node's topology lives by, and how far it has come. A node on its own replays and then writes it; in a
 * cluster one node does and all others apply what it has committed:
 *
 *     new ──open──────────────────────► owner ──close──► closed
 *      └───follow──► following ──becomeOwner──►┘
 *                        ▲───────stepDown──────┘
 *
 * Invariant: `settled ≤ committed ≤ appended`, and all three are 0 or the position of a record that has been applied.
 */
export class TopologyLog {
  readonly journal: Journal
  /** Of the log while this node owns it. */
  readonly listener: LogListener
  readonly #parts: TopologyLogParts
  readonly #commitListeners: PositionListener[] = []
  readonly #settledListeners: PositionListener[] = []
  #state: 'new' | 'following' | 'owner' | 'closed' = 'new'
  #log: Log | null = null
  #reclaim: Reclaim | null = null
  /** The last record that was followed. */
  #followed: Position = 0
  #toldFollowed: Position = 0
  #isCaughtUp = false
  #settledMax: Position
  #toldSettled: Position = 0
  #failure: Error | null = null
  /** What was committed by then. */
  #failedAt: Position = 0
  #mustRestart = false
  /** Changes have been applied that were made here, since this node has the log. */
  #hasChanged = false
  #opening: { until: Position; done: (error: Error | null) => void } | null = null

  constructor(parts: TopologyLogParts) {
    this.#parts = parts
    this.#settledMax = parts.isShared ? 0 : Number.POSITIVE_INFINITY
    this.journal = new Journal(parts.definitions, parts.isShared)
    this.listener = {
      committed: (position) => this.#committed(position),
      failed: (error) => {
        this.#failed(error)
        parts.onFailed(error)
      },
      sealed: () => this.#reclaim?.consider(),
      roomChanged: () => {},
    }
  }

  // ---------------------------------------------------------------- look

  get appended(): Position {
    return this.#state === 'owner' ? (this.#log?.appended ?? 0) : this.#followed
  }

  get committed(): Position {
    return this.#state === 'owner' ? (this.#log?.committed ?? 0) : this.#followed
  }

  get settled(): Position {
    return Math.min(this.committed, this.#settledMax)
  }

  get hasRoom(): boolean {
    return this.#log?.isFull === false
  }

  get isOwner(): boolean {
    return this.#state === 'owner' && this.#failure === null && this.#opening === null
  }

  /** Everything that there was has been applied: what the topology knows makes sense. */
  get isCaughtUp(): boolean {
    return this.#state === 'owner' ? this.#hasChanged : this.#isCaughtUp
  }

  /** Changes were applied here that never were committed: what this node knows is wrong, and everything must be built anew. */
  get mustRestart(): boolean {
    return this.#mustRestart
  }

  hearCommits(listener: PositionListener): void {
    this.#commitListeners.push(listener)
  }

  hearSettled(listener: PositionListener): void {
    this.#settledListeners.push(listener)
  }

  // ---------------------------------------------------------------- own

  /** Replays the log, makes what a first start needs and resolves when that is committed. */
  async open(log: Log): Promise<void> {
    assert(this.#state === 'new', 'a topology is opened once')
    const { definitions } = this.#parts
    const reclaim = this.#reclaimOf(log)
    for (const segment of log.segments) {
      await log.replay(segment, (position, buffer, start, end) => {
        definitions.apply(decodeRecord(buffer, start, end), position)
        reclaim.count(segment.id)
      })
    }
    definitions.finishReplay()
    await this.#own(log, reclaim)
    reclaim.consider()
  }

  /** Goes on with the log that was followed, behind the last record of it. */
  async becomeOwner(log: Log): Promise<void> {
    assert(this.#state === 'following' && this.#isCaughtUp, 'who has followed to the end may own')
    const reclaim = this.#reclaimOf(log)
    this.#countRecords(log, reclaim).catch((error: unknown) => {
      this.#parts.logger.error({ error }, 'the topology log cannot be reclaimed')
    })
    await this.#own(log, reclaim)
  }

  /** Reclaim must know what lies where; meanwhile records come behind those that are counted here. */
  async #countRecords(log: Log, reclaim: Reclaim): Promise<void> {
    const [until, followed] = [log.appended, this.#followed]
    reclaim.pause()
    for (const segment of log.segments) {
      if (segment.base > until) break
      await log.replay(segment, (position) => {
        if (position > until) return
        assert(position <= followed, 'whoever owns a log has followed all of it')
        reclaim.count(segment.id)
      })
    }
    reclaim.resume()
  }

  #reclaimOf(log: Log): Reclaim {
    const { definitions, runQueue } = this.#parts
    return new Reclaim({ log, live: definitions.live, runQueue, rewrite: (id) => this.journal.rewrite(id) })
  }

  /**
   * Takes the next term, in which no id has been given yet. Nothing may use an id before the term is committed: a lost
   * tail could otherwise give it out a second time, and a queue would find entries of another in its shard.
   */
  async #own(log: Log, reclaim: Reclaim): Promise<void> {
    const { definitions, logger } = this.#parts
    const term = definitions.term + 1
    this.#state = 'owner'
    this.#log = log
    this.#reclaim = reclaim
    this.#hasChanged = false
    this.journal.begin(log, reclaim, term)
    // The term last, so that a first start that did not get through is a first start again, with the same ids.
    const records = term === 1 ? this.#defaults() : []
    records.push({ kind: 'term', id: termId, term })
    const stored = records.map((record) => ({ record, position: this.journal.append(record) }))
    await this.#whenCommitted(this.appended)
    // Not before: who is deposed in between has changed nothing, and follows on.
    for (const { record, position } of stored) definitions.apply(record, position)
    this.#hasChanged = true
    logger.info({ term, vhosts: definitions.vhosts.size, records: definitions.live.count }, 'topology is open')
  }

  /** Whatever of it a start that did not get through has left behind is said again, with the same ids. */
  #defaults(): DefinitionRecord[] {
    const vhost = this.journal.nextId(vhostIds)
    const user = this.journal.nextId()
    const id = this.journal.nextId()
    const guest = "first start: vhost '/' and user 'guest' (password 'guest', from this machine only) have been made"
    const others =
      'for others make users: PUT /api/users/NAME with {"password": …, "tags": ""}, then /api/permissions/%2F/NAME'
    this.#parts.logger.info({}, `${guest}; ${others}`)
    return [
      { kind: 'vhost', id: vhost, name: '/' },
      { kind: 'user', id: user, name: 'guest', passwordHash: guestPasswordHash, tags: ['administrator'] },
      { kind: 'permission', id, vhost, user, configure: '.*', write: '.*', read: '.*' },
    ]
  }

  #whenCommitted(position: Position): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure)
      if (position <= this.committed) return resolve()
      this.#opening = { until: position, done: (error) => (error === null ? resolve() : reject(error)) }
    })
  }

  // ---------------------------------------------------------------- follow

  /** Also for an owner whose log has failed, unless it `mustRestart`. */
  follow(): void {
    const isOver = this.#state === 'owner' && this.#failure !== null
    assert(isOver || this.#state === 'new' || this.#state === 'following', 'an owner steps down before it follows')
    assert(!this.#mustRestart, 'what has been applied is in the log')
    if (isOver) this.#leave(this.#failedAt)
    this.#state = 'following'
  }

  /** A committed record. One that is known already is passed over. */
  applyRecord(position: Position, buffer: Uint8Array, start: number, end: number): void {
    assert(this.#state === 'following', 'only a follower is told records')
    if (position <= this.#followed) return
    this.#parts.definitions.apply(decodeRecord(buffer, start, end), position)
    this.#followed = position
  }

  /** All that was there when following began has been applied: from now on changes are live. */
  caughtUp(): void {
    if (this.#isCaughtUp) return
    this.#isCaughtUp = true
    this.#parts.definitions.finishReplay()
    this.tellFollowed()
  }

  /** Tells those who listen of the records that have been applied since it was called last. */
  tellFollowed(): void {
    if (this.#state !== 'following' || !this.#isCaughtUp || this.#toldFollowed === this.#followed) return
    this.#toldFollowed = this.#followed
    this.#tellCommitted(this.#followed)
  }

  /** Answers may go out that depend on what is committed up to here. Never goes back. */
  holdSettled(until: Position): void {
    this.#settledMax = Math.max(this.#settledMax, until)
    this.#tellSettled()
  }

  /** Commits what was appended and closes the log; then this is a follower again, unless it `mustRestart`. */
  async stepDown(): Promise<void> {
    assert(this.#state === 'owner', 'only an owner steps down')
    this.#reclaim?.stop()
    this.journal.end()
    const { appended } = this
    await this.#closeLog()
    this.#leave(this.#failure === null ? appended : this.#failedAt)
  }

  async #closeLog(): Promise<void> {
    if (this.#failure !== null) return
    try {
      await this.#log?.close()
    } catch (error) {
      this.#failed(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** An owner that never came to change anything has applied nothing of what it wrote: it is told that like all others. */
  #leave(last: Position): void {
    this.#state = 'following'
    if (this.#hasChanged) this.#followed = last
    this.#toldFollowed = this.#followed
    this.#failure = null
    this.#log = null
    this.#reclaim = null
  }

  // ---------------------------------------------------------------- close

  /** Commits what was appended. */
  async close(): Promise<void> {
    this.#reclaim?.stop()
    if (this.#state === 'owner' && this.#failure === null) await this.#log?.close()
    this.#failure ??= new Error('the topology is closed')
    this.journal.end()
  }

  // ---------------------------------------------------------------- what the log says

  #committed(position: Position): void {
    if (this.#opening !== null && position >= this.#opening.until) {
      this.#opening.done(null)
      this.#opening = null
    }
    this.#tellCommitted(position)
    this.#reclaim?.consider()
  }

  #tellCommitted(position: Position): void {
    for (const listener of this.#commitListeners) listener(position)
    this.#tellSettled()
  }

  #tellSettled(): void {
    const { settled } = this
    if (settled <= this.#toldSettled) return
    this.#toldSettled = settled
    for (const listener of this.#settledListeners) listener(settled)
  }

  #failed(error: Error): void {
    if (this.#failure === null) this.#failedAt = this.committed
    if (this.#hasChanged && this.appended > this.#failedAt) this.#mustRestart = true
    this.#failure = error
    this.journal.end()
    this.#reclaim?.stop()
    this.#opening?.done(error)
    this.#opening = null
  }
}

/** Of the term's own record; no term gives it out. */
const termId = 1

export type PositionListener = (position: Position) => void

export interface TopologyLogParts {
  readonly definitions: Definitions
  readonly runQueue: RunQueue
  readonly logger: Logger
  /** Several nodes have this log: what is transient is in it too, and what is settled is said from outside. */
  readonly isShared: boolean
  readonly onFailed: (error: Error) => void
}
