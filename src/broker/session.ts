import { SessionRights } from './access/authorise.ts'
import type { Principal, Session } from './commands.ts'
import type { VhostState } from './topology/vhost-state.ts'
import type { Vhost } from './vhost.ts'

/** A connection that has opened a vhost, and what it may do there. */
export class BrokerSession implements Session {
  readonly id: number
  readonly vhost: Vhost
  readonly rights: SessionRights
  channels: { readonly count: number } | null = null
  /** It has asked for exclusive queues, which go when it is closed. */
  mayOwnQueues = false
  readonly #state: VhostState
  readonly #channelLimitReached: (username: string) => number | null

  constructor(id: number, principal: Principal, opened: Opened) {
    this.id = id
    this.vhost = opened.vhost
    this.rights = new SessionRights(principal, opened.state)
    this.#state = opened.state
    this.#channelLimitReached = opened.channelLimitReached
  }

  get principal(): Principal {
    return this.rights.principal
  }

  get state(): VhostState {
    return this.#state
  }

  get channelLimitReached(): number | null {
    return this.#channelLimitReached(this.principal.username)
  }
}

interface Opened {
  readonly vhost: Vhost
  readonly state: VhostState
  readonly channelLimitReached: (username: string) => number | null
}
