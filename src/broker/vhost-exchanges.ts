import type { ExchangeArguments } from './commands.ts'
import { BrokerError } from './errors.ts'
import type { Reply } from './ports.ts'
import { checkSameExchange } from './topology/equivalence.ts'
import { shown, withoutLineBreaks } from './topology/names.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import { type Actor, type TopologyAuthority, withNews, withoutResult } from './topology-authority.ts'
import * as rules from './vhost-rules.ts'

/** The exchanges of one vhost: who may declare and delete which. Part of `Vhost`. */
export class VhostExchanges {
  readonly #state: VhostState
  readonly #topology: Topology
  readonly #authority: TopologyAuthority

  constructor(state: VhostState, { topology, authority }: { topology: Topology; authority: TopologyAuthority }) {
    this.#state = state
    this.#topology = topology
    this.#authority = authority
  }

  declare(by: Actor, args: ExchangeArguments, reply: Reply<boolean>): void {
    const name = withoutLineBreaks(args.name)
    rules.refuseDefaultExchange(name)
    if (args.isPassive) {
      by.rights.authoriseAny('exchange', name)
      reply.done(false, this.#topology.pendingOf(rules.existingExchange(this.#state, name)))
      return
    }
    by.rights.authorise('configure', 'exchange', name)
    const properties = rules.exchangeProperties(name, args)
    const known = this.#state.exchanges.get(name)
    if (known === undefined) {
      this.#authority.ask({ kind: 'declare-exchange', by, args: { ...args, name } }, withNews(reply))
    } else {
      checkSameExchange(known, properties)
      reply.done(false, this.#topology.pendingOf(known))
    }
  }

  delete(by: Actor, given: string, ifUnused: boolean, reply: Reply<void>): void {
    const name = withoutLineBreaks(given)
    rules.refuseDefaultExchange(name)
    by.rights.authorise('configure', 'exchange', name)
    rules.refuseSystemExchange(name, this.#state.name)
    const exchange = this.#state.exchanges.get(name)
    if (ifUnused && exchange !== undefined && exchange.bindingCount > 0) {
      throw new BrokerError('precondition-failed', `${shown('exchange', name, this.#state.name)} in use`)
    }
    if (exchange === undefined) reply.done(undefined, this.#topology.pending)
    else this.#authority.ask({ kind: 'remove', id: exchange.id, ifUnused, isOwed: false }, withoutResult(reply))
  }
}
