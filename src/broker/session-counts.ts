import type { User } from './access/user.ts'
import type { Principal } from './commands.ts'
import { BrokerError } from './errors.ts'
import type { BrokerSession } from './session.ts'
import type { VhostState } from './topology/vhost-state.ts'

/** The sessions there are, by vhost and by user, and whether one more may be opened. */
export class SessionCounts {
  readonly #byVhost = new Map<VhostState, number>()
  readonly #byUser = new Map<string, Set<BrokerSession>>()

  /** Throws `not-allowed` (530) when a limit of the vhost, or of the user, is reached. */
  checkRoom({ username }: Principal, vhost: VhostState, user: User | undefined): void {
    const vhostMax = vhost.limits?.maxConnections ?? null
    if (vhostMax !== null && this.inVhost(vhost) >= vhostMax) {
      const text = `access to vhost '${vhost.name}' refused for user '${username}': connection limit (${vhostMax}) is reached`
      throw new BrokerError('not-allowed', text)
    }
    const userMax = user?.limits?.maxConnections ?? null
    if (userMax !== null && this.ofUser(username) >= userMax) {
      const text = `connection refused for user '${username}': user connection limit (${userMax}) is reached`
      throw new BrokerError('not-allowed', text)
    }
  }

  inVhost(vhost: VhostState): number {
    return this.#byVhost.get(vhost) ?? 0
  }

  ofUser(username: string): number {
    return this.#byUser.get(username)?.size ?? 0
  }

  /** In all the user's connections; looked at only when the user has a limit. */
  channelsOf(username: string): number {
    let count = 0
    for (const session of this.#byUser.get(username) ?? []) count += session.channels?.count ?? 0
    return count
  }

  add(session: BrokerSession, vhost: VhostState): void {
    this.#byVhost.set(vhost, this.inVhost(vhost) + 1)
    const { username } = session.principal
    const sessions = this.#byUser.get(username)
    if (sessions === undefined) this.#byUser.set(username, new Set([session]))
    else sessions.add(session)
  }

  /** Nothing happens for a session that has been removed. */
  remove(session: BrokerSession, vhost: VhostState): void {
    const { username } = session.principal
    const sessions = this.#byUser.get(username)
    if (sessions?.delete(session) !== true) return
    if (sessions.size === 0) this.#byUser.delete(username)
    const left = this.inVhost(vhost) - 1
    if (left > 0) this.#byVhost.set(vhost, left)
    else this.#byVhost.delete(vhost)
  }
}
