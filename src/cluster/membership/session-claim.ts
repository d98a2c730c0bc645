/**
 * Puts the own session under the node's name. Whoever has one there goes first: until it is certain that its process is
 * gone, or it is certain that it is not.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination, CoordinationEntry } from '../coordination.ts'
import { CannotJoin } from './cannot-join.ts'
import { pause } from './pause.ts'
import { decodeSession, encodeSession, type SessionEntry, sessionKey } from './session-entry.ts'

export interface ClaimRequest {
  readonly coordination: Coordination
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly entry: SessionEntry
  /**
   * The incarnation that the last process with this node's data directory had. That directory is locked by this process
   * now, so the other one is gone and its session can be replaced at once.
   */
  readonly predecessor: number | null
  readonly sessionMs: number
  readonly renewMs: number
}

/** A moment by both clocks. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export interface Claim {
  readonly revision: number
  /** Before the write that the store acknowledged. */
  readonly sentAt: Instant
}

export function instantOf(clock: Clock): Instant {
  return { monotonic: clock.monotonic(), wall: clock.now() }
}

/**
 * Resolves when the store has acknowledged the session. Throws `CannotJoin` when after `sessionMs` another process still
 * renews a session of this name. As long as the store does not answer, it goes on trying.
 */
export async function claimSession(request: ClaimRequest): Promise<Claim> {
  const { clock, logger, signal, renewMs } = request
  const rival = new Rival(request)
  for (;;) {
    signal.throwIfAborted()
    try {
      const claim = await tryToClaim(request, rival)
      if (claim !== null) return claim
    } catch (error) {
      if (error instanceof CannotJoin) throw error
      logger.debug({ error }, 'the session of this node cannot be written yet')
    }
    await pause(clock, renewMs, signal)
  }
}

async function tryToClaim(request: ClaimRequest, rival: Rival): Promise<Claim | null> {
  const { coordination, clock, entry } = request
  const sentAt = instantOf(clock)
  const key = sessionKey(entry.name)
  const found = await coordination.get(key)
  const other = found === null ? null : decodeSession(key, found.value)
  // An earlier write of ours whose outcome was not known.
  if (found !== null && other?.incarnation === entry.incarnation) return { revision: found.revision, sentAt }
  if (found !== null && !rival.isOver(found, other)) return null
  const revision = await coordination.put(key, encodeSession(entry), found?.revision ?? 0)
  return revision === null ? null : { revision, sentAt }
}

/** Who has a session of our name. */
class Rival {
  readonly #request: ClaimRequest
  /** Of its session, when we first saw it, and as we see it now. */
  #revisionFirst = 0
  #revision = 0
  #firstAt = 0
  #changedAt = 0

  constructor(request: ClaimRequest) {
    this.#request = request
  }

  isOver(found: CoordinationEntry, other: SessionEntry | null): boolean {
    const { clock, logger, entry, predecessor, sessionMs } = this.#request
    // One of an earlier process still is there when the store was put back to an older state.
    if (other !== null && predecessor !== null && other.incarnation <= predecessor) return true
    const now = clock.monotonic()
    if (this.#revisionFirst === 0) {
      this.#revisionFirst = found.revision
      this.#firstAt = now
      const seconds = sessionMs / 1000
      logger.info({ node: entry.name, other }, `waiting up to ${seconds} s for the last session of this node to end`)
    }
    if (found.revision !== this.#revision) {
      this.#revision = found.revision
      this.#changedAt = now
    }
    if (now - this.#changedAt >= sessionMs) return true
    const isRenewed = this.#revision !== this.#revisionFirst
    if (isRenewed && now - this.#firstAt >= sessionMs) throw new CannotJoin(this.#sentence(other))
    return false
  }

  #sentence(other: SessionEntry | null): string {
    const place = other === null ? '' : ` (its cluster link listens at ${other.host}:${other.port})`
    const mend = 'stop it, or give this node another name'
    return `another process with --node-name ${this.#request.entry.name} is running${place}: ${mend}`
  }
}
