import { mayEnter } from '../../broker/access/authorise.ts'
import type { Principal } from '../../broker/commands.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { ApiError, notAuthorised, notFound } from './answer.ts'

/** How much of management a route asks for; each is asked for by tags, none of which gives rights to messages. */
export type Level = 'management' | 'policymaker' | 'monitoring' | 'administrator'

/** The tags that reach a level. */
const tagsOf: Readonly<Record<Level, readonly string[]>> = {
  management: ['management', 'policymaker', 'monitoring', 'administrator'],
  policymaker: ['policymaker', 'administrator'],
  monitoring: ['monitoring', 'administrator'],
  administrator: ['administrator'],
}

/** RabbitMQ's words. */
const refusals: Readonly<Record<Level, string>> = {
  management: 'Not management user',
  policymaker: 'User not authorised to access object',
  monitoring: 'Not monitor user',
  administrator: 'Not administrator user',
}

/** What a route does with the vhost in its path: shows it, works in it (which needs a permission row), or administers it. */
export type VhostUse = 'show' | 'enter' | 'administer'

/** Who asks, and how far that one may look. What may be done to queues and exchanges is the broker's to decide. */
export class Caller {
  readonly principal: Principal
  readonly #topology: Topology

  constructor(principal: Principal, topology: Topology) {
    this.principal = principal
    this.#topology = topology
  }

  get username(): string {
    return this.principal.username
  }

  is(level: Level): boolean {
    return tagsOf[level].some((tag) => this.principal.tags.includes(tag))
  }

  /** Throws 401. */
  require(level: Level): void {
    if (!this.is('management')) throw notAuthorised(refusals.management)
    if (!this.is(level)) throw notAuthorised(refusals[level])
  }

  /** The vhost of a route. Who may not see all vhosts is not told which there are. */
  vhost(name: string, use: VhostUse): VhostState {
    const state = this.#topology.vhosts.get(name)
    const isThere = state !== undefined && !state.isClosed
    if (isThere && (use === 'administer' || this.mayEnter(state))) return state
    if (!this.is('monitoring')) throw notAuthorised(vhostRefusal)
    if (!isThere) throw use === 'enter' ? new ApiError(404, 'not_found', 'vhost_not_found') : notFound()
    if (use === 'show') return state
    throw notAuthorised(vhostRefusal)
  }

  mayEnter(vhost: VhostState): boolean {
    return mayEnter(this.principal, vhost)
  }

  /** Those whose contents may be listed. */
  *visibleVhosts(): Generator<VhostState> {
    const all = this.is('monitoring')
    for (const vhost of this.#topology.vhosts.values()) {
      if (!vhost.isClosed && (all || this.mayEnter(vhost))) yield vhost
    }
  }
}

export const vhostRefusal = 'User not authorised to access virtual host'
