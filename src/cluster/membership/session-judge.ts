/**
 * Ends the sessions of others: when their key has not changed for `sessionMs` by the own monotonic clock while the own
 * session was current, or at once when their process is certainly gone.
 *
 * It ends one by removing the key at the revision it has seen, so that it does not matter how old what it saw is: had
 * there been a renewal since, the store would refuse.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import type { NodeIdentity } from '../node-identity.ts'
import type { ClusterView } from './cluster-view.ts'
import { decodeSession, sessionKey } from './session-entry.ts'

export interface SessionJudgeOptions {
  readonly coordination: Coordination
  readonly view: ClusterView
  readonly clock: Clock
  readonly logger: Logger
  readonly sessionMs: number
  readonly self: NodeIdentity
}

/** Another node's session as we have watched it. */
interface Watched {
  incarnation: number
  revision: number
  /** By the own monotonic clock: when the revision changed. */
  changedAt: number
  isProvedDead: boolean
  isEnding: boolean
}

export class SessionJudge {
  readonly #options: SessionJudgeOptions
  readonly #watched = new Map<string, Watched>()

  constructor(options: SessionJudgeOptions) {
    this.#options = options
  }

  viewChanged(): void {
    const { view, clock, self } = this.#options
    for (const name of this.#watched.keys()) if (view.session(name) === null) this.#watched.delete(name)
    for (const [name, { entry, revision }] of view.sessions) {
      if (name === self.name) continue
      const watched = this.#watched.get(name)
      const { incarnation } = entry
      const changedAt = clock.monotonic()
      if (watched?.incarnation !== incarnation) {
        this.#watched.set(name, { incarnation, revision, changedAt, isProvedDead: false, isEnding: false })
      } else if (watched.revision < revision) {
        watched.revision = revision
        watched.changedAt = changedAt
      }
    }
  }

  /** Once a second. Not while the own session is not current: then it may be the store, not they, that is silent. */
  judge(isCurrent: boolean): void {
    const now = this.#options.clock.monotonic()
    for (const [name, watched] of this.#watched) {
      if (!isCurrent) watched.changedAt = now
      else if (watched.isProvedDead || now - watched.changedAt >= this.#options.sessionMs) void this.#end(name, watched)
    }
  }

  provedDead(name: string, incarnation: number): void {
    const watched = this.#watched.get(name)
    if (watched === undefined || watched.incarnation !== incarnation) return
    watched.isProvedDead = true
    void this.#end(name, watched)
  }

  async #end(name: string, watched: Watched): Promise<void> {
    if (watched.isEnding) return
    watched.isEnding = true
    const { logger } = this.#options
    const { incarnation, isProvedDead } = watched
    try {
      const isEnded = await this.#remove(name, watched)
      if (isEnded)
        logger.warn({ node: name, incarnation, isProvedDead }, `the session of node '${name}' has been ended`)
    } catch (error) {
      logger.debug({ error }, `ending the session of node '${name}' has no known outcome`)
    }
    watched.isEnding = false
  }

  /** A renewal from before a proved death may have been faster than the watch: then its revision is looked up. */
  async #remove(name: string, watched: Watched): Promise<boolean> {
    const { coordination } = this.#options
    const key = sessionKey(name)
    for (;;) {
      if (await coordination.remove(key, watched.revision)) return true
      if (!watched.isProvedDead) return false
      const found = await coordination.get(key)
      const isSame = found !== null && decodeSession(key, found.value)?.incarnation === watched.incarnation
      if (!isSame || found.revision <= watched.revision) return false
      watched.revision = found.revision
    }
  }
}
