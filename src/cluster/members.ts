/**
 * Who is there. Each node renews a session of its own; nobody but time, or proof that the process is gone, ends that of
 * another.
 */
import type { NodeIdentity } from './node-identity.ts'

export interface Member extends NodeIdentity {
  /** Where its cluster link listens. */
  readonly host: string
  readonly port: number
  /** Of Warren. */
  readonly version: string
  /** It gives its shards away and takes none. */
  readonly isDraining: boolean
  /** Wall time in milliseconds at which its session began. */
  readonly startedAt: number
}

export interface MembersListener {
  /** Somebody has come, gone or changed. */
  membersChanged(): void
  /** `isCurrent` has changed. */
  currentChanged(isCurrent: boolean): void
  /** The own session is over: others may have taken what was ours. Last call; a node goes on with a new incarnation. */
  sessionLost(reason: string): void
}

export interface Members {
  readonly self: NodeIdentity
  /** Those with a live session, this node among them, by name. */
  readonly live: ReadonlyMap<string, Member>
  /**
   * False when the own session has not been renewed for half of its length by the own monotonic clock: nothing may be
   * delivered, routed or answered until it is true again.
   */
  readonly isCurrent: boolean
  listen(listener: MembersListener): void
  /** The process of this incarnation is certainly gone (its link is refused, or answered by a later one): ends its session at once. */
  provedDead(name: string, incarnation: number): void
  setDraining(isDraining: boolean): Promise<void>
}
