import type { Position } from '../log/log.ts'
import type { SessionRights } from './access/authorise.ts'
import type { BindArguments, Session } from './commands.ts'
import type { Reply } from './ports.ts'
import { bindingIdentity, type Destination } from './topology/binding.ts'
import type { Exchange } from './topology/exchange.ts'
import { withoutLineBreaks } from './topology/names.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import * as rules from './vhost-rules.ts'

/** The bindings of one vhost: who may make and take away which, and that each is there once. Part of `Vhost`. */
export class VhostBindings {
  readonly #state: VhostState
  readonly #topology: Topology

  constructor(state: VhostState, topology: Topology) {
    this.#state = state
    this.#topology = topology
  }

  bindExchange(rights: SessionRights, args: BindArguments, reply: Reply<void>): void {
    const { source, destination } = this.#authorised(rights, 'exchange', args)
    const from = rules.existingExchange(this.#state, source)
    this.#bind(from, rules.existingExchange(this.#state, destination), args, reply)
  }

  unbindExchange(rights: SessionRights, args: BindArguments, reply: Reply<void>): void {
    const { source, destination } = this.#authorised(rights, 'exchange', args)
    this.#unbind(source, this.#state.exchanges.get(destination), args, reply)
  }

  bindQueue(rights: SessionRights, session: Session, args: BindArguments, reply: Reply<void>): void {
    const { source, destination } = this.#authorised(rights, 'queue', args)
    const from = rules.existingExchange(this.#state, source)
    this.#bind(from, rules.usableQueue(this.#state, session, destination), args, reply)
  }

  unbindQueue(rights: SessionRights, session: Session, args: BindArguments, reply: Reply<void>): void {
    const { source, destination } = this.#authorised(rights, 'queue', args)
    const queue = this.#state.queues.get(destination)
    if (queue !== undefined) rules.checkOwner(session, queue)
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

  #bind(source: Exchange, destination: Destination, args: BindArguments, reply: Reply<void>): void {
    const ends = { source, destination, key: args.bindingKey, arguments: args.arguments }
    const known = source.outgoing.get(bindingIdentity(ends))
    if (known !== undefined) {
      reply.done(undefined, this.#topology.pendingOf(known))
      return
    }
    rules.checkNewBinding(this.#state, ends)
    rules.checkRoom(this.#topology, source.isDurable && destination.isDurable)
    reply.done(undefined, rules.positionOf(this.#topology.bind(ends)))
  }

  /** What is not there is as good as unbound. */
  #unbind(source: string, destination: Destination | undefined, args: BindArguments, reply: Reply<void>): void {
    reply.done(undefined, this.#remove(source, destination, args))
  }

  #remove(source: string, destination: Destination | undefined, args: BindArguments): Position {
    if (destination === undefined) return this.#topology.pending
    const identity = bindingIdentity({ destination, key: args.bindingKey, arguments: args.arguments })
    const binding = this.#state.exchanges.get(source)?.outgoing.get(identity)
    return binding === undefined ? this.#topology.pending : this.#topology.remove(binding)
  }
}

interface Ends {
  readonly source: string
  readonly destination: string
}
