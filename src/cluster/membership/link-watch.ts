/**
 * Looks which live nodes this one has a link to, and says in its session to which it has none: only what lasts counts, so
 * that shards do not move to and fro with a link that comes and goes.
 *
 *     linked ── unlinkedMsMax without ──► missed ── relinkedMsMin with ──► on trial ── relinkedMsMax with ──► linked
 *                                           ▲ └─ a break: twice as long  ─┐   │
 *                                           └──── a break: at once, and ──┴───┘
 *
 * On trial the node counts as reached. So one that comes back for good is waited for no longer than `relinkedMsMin`, and a
 * link that keeps breaking must last longer each time, up to `relinkedMsMax`.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Member } from '../members.ts'
import type { NodeIdentity } from '../node-identity.ts'

/** Without a link to a live node for so long, it counts as not reached, in milliseconds. */
export const unlinkedMsMax = 5_000
/** A link that was missing must be there again for so long without a break, in milliseconds; after each break twice as long. */
export const relinkedMsMin = 3_000
/** The longest time that is asked of a link, and how long one that counts again is on trial, in milliseconds. */
export const relinkedMsMax = 30_000
const lookMs = 500

export interface LinkWatchParts {
  readonly clock: Clock
  readonly members: LinkWatchMembers
  /** The link to exactly this process is up. */
  isLinked(node: NodeIdentity): boolean
}

export interface LinkWatchMembers {
  readonly self: NodeIdentity
  readonly live: ReadonlyMap<string, Member>
  readonly isCurrent: boolean
  /** Incarnations. Resolves when the store has acknowledged it. */
  setUnreached(incarnations: readonly number[]): Promise<void>
}

interface Seen {
  isLinked: boolean
  /** By the own monotonic clock: since when that is so. */
  since: number
  isReached: boolean
  /** It has not been linked for long since it was missed. */
  isOnTrial: boolean
  /** How long the link must last to count. */
  askedMs: number
}

export class LinkWatch {
  readonly #parts: LinkWatchParts
  readonly #seen = new Map<number, Seen>()
  #timer: Timer | null = null
  #told = ''
  #isOfMajority = false
  #waiting: (() => void)[] = []

  constructor(parts: LinkWatchParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = this.#parts.clock.after(lookMs, () => this.start())
    this.#look()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** This node has links to so many that it is one of a majority of the live ones. */
  get isOfMajority(): boolean {
    return this.#isOfMajority
  }

  /** Resolves when this node has links to so many that it is one of a majority of the live ones. */
  majorityLinked(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#look()
    })
  }

  /** Whether there has been no link to this live node for a while. It is over as soon as there is one. */
  isMissed({ incarnation }: NodeIdentity): boolean {
    const seen = this.#seen.get(incarnation)
    return seen !== undefined && !seen.isLinked && this.#parts.clock.monotonic() - seen.since >= unlinkedMsMax
  }

  #look(): void {
    const { clock, members, isLinked } = this.#parts
    const now = clock.monotonic()
    let count = 1
    const live = new Set<number>()
    for (const member of members.live.values()) {
      if (member.name === members.self.name) continue
      live.add(member.incarnation)
      const linked = isLinked(member)
      if (linked) count++
      this.#note(member.incarnation, linked, now)
    }
    for (const incarnation of this.#seen.keys()) if (!live.has(incarnation)) this.#seen.delete(incarnation)
    this.#isOfMajority = 2 * count > live.size + 1
    if (this.#isOfMajority) this.#tellWaiting()
    this.#tell()
  }

  #note(incarnation: number, isLinked: boolean, now: number): void {
    const seen = this.#seen.get(incarnation)
    if (seen === undefined) {
      this.#seen.set(incarnation, { isLinked, since: now, isReached: true, isOnTrial: false, askedMs: relinkedMsMin })
      return
    }
    if (seen.isLinked !== isLinked) {
      seen.isLinked = isLinked
      seen.since = now
      if (!isLinked && seen.isOnTrial) brokeOnTrial(seen)
    }
    const lastedMs = now - seen.since
    if (isLinked) lasts(seen, lastedMs)
    else if (lastedMs >= unlinkedMsMax) {
      seen.isReached = false
      seen.isOnTrial = true
    }
  }

  #tellWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** What is not acknowledged is in the session all the same, and goes with its next renewal. */
  #tell(): void {
    const { members } = this.#parts
    const unreached = [...this.#seen].filter(([, seen]) => !seen.isReached).map(([incarnation]) => incarnation)
    const text = unreached.sort((one, other) => one - other).join()
    if (text === this.#told || !members.isCurrent) return
    this.#told = text
    members.setUnreached(unreached).catch(() => {})
  }
}

function brokeOnTrial(seen: Seen): void {
  seen.isReached = false
  seen.askedMs = Math.min(2 * seen.askedMs, relinkedMsMax)
}

function lasts(seen: Seen, lastedMs: number): void {
  if (lastedMs >= seen.askedMs) seen.isReached = true
  if (lastedMs < seen.askedMs + relinkedMsMax) return
  seen.isOnTrial = false
  seen.askedMs = relinkedMsMin
}
