import { SessionRights } from './access/authorise.ts'
import type { Principal, Session } from './commands.ts'
import type { VhostState } from './topology/vhost-state.ts'
import type { Vhost } from './vhost.ts'

/** A connection that has opened a vhost, and what it may do there. */
export class BrokerSession implements Session {
  readonly id: number
  readonly principal: Principal
  readonly vhost: Vhost
  readonly rights: SessionRights

  constructor(id: number, principal: Principal, opened: { vhost: Vhost; state: VhostState }) {
    this.id = id
    this.principal = principal
    this.vhost = opened.vhost
    this.rights = new SessionRights(principal, opened.state)
  }
}
