import type { SessionRights } from './access/authorise.ts'
import type { BindArguments } from './commands.ts'
import type { Reply } from './ports.ts'
import { type Binding, bindingIdentity, type Destination } from './topology/binding.ts'
import type { Exchange } from './topology/exchange.ts'
import { withoutLineBreaks } from './topology/names.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import { type Actor, type TopologyAuthority, withNews, withResult } from './topology-authority.ts'
import * as rules from './vhost-rules.ts'

/** The bindings of one vhost: who may make and take away which, and that each is there once. Part of `Vhost`. */
export class VhostBindings {
  readonly #state: VhostState
  readonly #topology: Topology
  readonly #authority: TopologyAuthority

  constructor(state: VhostState, { topology, authority }: { topology: Topology; authority: TopologyAuthority }) {
    this.#state = state
    this.#topology = topology
    this.#authority = authority
  }

  bindExchange(by: Actor, args: BindArguments, reply: Reply<boolean>): void {
    const { source, destination } = this.#authorised(by.rights, 'exchange', args)
    const from = rules.existingExchange(this.#state, source)
    this.#bind(by, from, rules.existingExchange(this.#state, destination), args, reply)
  }

  unbindExchange({ rights }: Actor, args: BindArguments, reply: Reply<boolean>): void {
    const { source, destination } = this.#authorised(rights, 'exchange', args)
    this.#unbind(source, this.#state.exchanges.get(destination), args, reply)
  }

  bindQueue(by: Actor, args: BindArguments, reply: Reply<boolean>): void {
    const { source, destination } = this.#authorised(by.rights, 'queue', args)
    const from = rules.existingExchange(this.#state, source)
    this.#bind(by, from, rules.usableQueue(this.#state, by, destination), args, reply)
  }

  unbindQueue(by: Actor, args: BindArguments, reply: Reply<boolean>): void {
    const { source, destination } = this.#authorised(by.rights, 'queue', args)
    const queue = this.#state.queues.get(destination)
    if (queue !== undefined) rules.checkOwner(by, queue)
    this.#unbind(source, queue, args, reply)
  }

  /** Write on where it leads, read on where it comes from, and on the key where that is a topic exchange. */
  #authorised(rights: SessionRights, kind: 'queue' | 'exchange', args: BindArguments): Ends {
    const source = withoutLineBreaks(args.source)
    const destination = withoutLineBreaks(args.destination)
    rights.authorise('write', kind, destination)
    if (kind === 'exchange') rules.refuseDefaultExchange(destination)
    rules.refuseDefaultExchange(source)
    rights.authorise('read', 'exchange', source)
    if (this.#state.exchanges.get(source)?.routingType === 'topic')
      rights.authoriseTopic('read', source, args.bindingKey)
    return { source, destination }
  }

  #bind(by: Actor, source: Exchange, destination: Destination, given: BindArguments, reply: Reply<boolean>): void {
    const ends = { source, destination, key: given.bindingKey, arguments: given.arguments }
    const known = source.outgoing.get(bindingIdentity(ends))
    if (known !== undefined) {
      reply.done(false, this.#topology.pendingOf(known))
      return
    }
    const args = { ...given, source: source.name, destination: destination.name }
    this.#authority.ask({ kind: 'bind', by, to: destination.kind, args }, withNews(reply))
  }

  /** What is not there is as good as unbound. */
  #unbind(source: string, destination: Destination | undefined, args: BindArguments, reply: Reply<boolean>): void {
    const binding = destination === undefined ? undefined : this.#binding(source, destination, args)
    if (binding === undefined) reply.done(false, this.#topology.pending)
    else
      this.#authority.ask({ kind: 'remove', id: binding.id, ifUnused: false, isOwed: false }, withResult(reply, true))
  }

  #binding(source: string, destination: Destination, args: BindArguments): Binding | undefined {
    const identity = bindingIdentity({ destination, key: args.bindingKey, arguments: args.arguments })
    return this.#state.exchanges.get(source)?.outgoing.get(identity)
  }
}

interface Ends {
  readonly source: string
  readonly destination: string
}
