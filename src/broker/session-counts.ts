import type { User } from './access/user.ts'
import type { Principal } from './commands.ts'
import { BrokerError } from './errors.ts'
import type { BrokerSession } from './session.ts'
import type { VhostState } from './topology/vhost-state.ts'

/** How many connections a vhost, or connections and channels a user, has on one node; only where a limit counts them. */
export interface LimitedCount {
  readonly kind: 'vhost' | 'user'
  readonly name: string
  readonly connections: number
  /** 0 of a vhost. */
  readonly channels: number
}

/** The same on all other nodes of a cluster together. */
export interface OtherCounts {
  connections(kind: LimitedCount['kind'], name: string): number
  channels(username: string): number
}

/** Whose limits there are. */
interface Limited {
  readonly users: ReadonlyMap<string, Pick<User, 'limits'>>
}

const nobody: OtherCounts = { connections: () => 0, channels: () => 0 }

/** The sessions there are, by vhost and by user, and whether one more may be opened. */
export class SessionCounts {
  /** Of other nodes; a node on its own has none. */
  others: OtherCounts = nobody
  readonly #limited: Limited
  readonly #byVhost = new Map<VhostState, number>()
  readonly #byUser = new Map<string, Set<BrokerSession>>()

  constructor(limited: Limited) {
    this.#limited = limited
  }

  /** Throws `not-allowed` (530) when a limit of the vhost, or of the user, is reached. */
  checkRoom({ username }: Principal, vhost: VhostState, user: User | undefined): void {
    const vhostMax = vhost.limits?.maxConnections ?? null
    if (vhostMax !== null && this.#inVhost(vhost) + this.others.connections('vhost', vhost.name) >= vhostMax) {
      const text = `access to vhost '${vhost.name}' refused for user '${username}': connection limit (${vhostMax}) is reached`
      throw new BrokerError('not-allowed', text)
    }
    const userMax = user?.limits?.maxConnections ?? null
    if (userMax !== null && this.#ofUser(username) + this.others.connections('user', username) >= userMax) {
      const text = `connection refused for user '${username}': user connection limit (${userMax}) is reached`
      throw new BrokerError('not-allowed', text)
    }
  }

  #inVhost(vhost: VhostState): number {
    return this.#byVhost.get(vhost) ?? 0
  }

  #ofUser(username: string): number {
    return this.#byUser.get(username)?.size ?? 0
  }

  /** In all the user's connections, wherever they are; looked at only when the user has a limit. */
  channelsOf(username: string): number {
    return this.#ownChannelsOf(username) + this.others.channels(username)
  }

  #ownChannelsOf(username: string): number {
    let count = 0
    for (const session of this.#byUser.get(username) ?? []) count += session.channels?.count ?? 0
    return count
  }

  /** Of this node: what others must know, for a limit counts it. May be walked in slices. */
  *limited(): Generator<LimitedCount> {
    for (const [{ name, limits, isClosed }, connections] of this.#byVhost) {
      const isLimited = !isClosed && (limits?.maxConnections ?? null) !== null
      if (isLimited) yield { kind: 'vhost', name, connections, channels: 0 }
    }
    for (const [name, { size: connections }] of this.#byUser) {
      const { maxConnections = null, maxChannels = null } = this.#limited.users.get(name)?.limits ?? {}
      if (maxConnections === null && maxChannels === null) continue
      yield { kind: 'user', name, connections, channels: maxChannels === null ? 0 : this.#ownChannelsOf(name) }
    }
  }

  add(session: BrokerSession, vhost: VhostState): void {
    this.#byVhost.set(vhost, this.#inVhost(vhost) + 1)
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
    const left = this.#inVhost(vhost) - 1
    if (left > 0) this.#byVhost.set(vhost, left)
    else this.#byVhost.delete(vhost)
  }
}
