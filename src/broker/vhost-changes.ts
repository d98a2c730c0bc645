import type { Position } from '../log/log.ts'
import { BrokerError } from './errors.ts'
import { type BindingEnds, bindingIdentity } from './topology/binding.ts'
import { checkSameExchange, checkSameQueue } from './topology/equivalence.ts'
import { shown } from './topology/names.ts'
import type { Topology } from './topology/topology.ts'
import type { TopologyChange } from './topology-authority.ts'
import * as rules from './vhost-rules.ts'

/**
 * What sessions change, made where the topology is written. Rights on the names that were given have been checked where
 * the session is; somebody else may have made or removed things since, so what exists is looked at once more.
 */

export interface Made {
  readonly isNew: boolean
  readonly position: Position
}

export function declareExchange(topology: Topology, { by, args }: ChangeOf<'declare-exchange'>): Made {
  const properties = rules.exchangeProperties(args.name, args)
  const known = by.state.exchanges.get(args.name)
  if (known !== undefined) {
    checkSameExchange(known, properties)
    return { isNew: false, position: topology.pendingOf(known) }
  }
  rules.checkNewExchange(by.state, properties, by.rights)
  rules.checkRoom(topology, properties.isDurable || topology.isShared)
  return { isNew: true, position: rules.positionOf(topology.declareExchange(by.state, properties)) }
}

export function declareQueue(topology: Topology, { by, name, args }: ChangeOf<'declare-queue'>): Made {
  const properties = rules.queueProperties(name, args, { session: by, vhost: by.state })
  const known = by.state.queues.get(name)
  if (known !== undefined) {
    rules.checkSameOwner(known, properties)
    checkSameQueue(known, properties)
    return { isNew: false, position: topology.pendingOf(known) }
  }
  rules.checkNewQueue(by.state, properties, { rights: by.rights, isServerNamed: args.name === '' })
  rules.checkRoom(topology, properties.isDurable || topology.isShared)
  return { isNew: true, position: rules.positionOf(topology.declareQueue(by.state, properties, by.id)) }
}

export function bind(topology: Topology, { by, to, args }: ChangeOf<'bind'>): Made {
  const { state } = by
  const source = rules.existingExchange(state, args.source)
  const destination =
    to === 'queue' ? rules.usableQueue(state, by, args.destination) : rules.existingExchange(state, args.destination)
  const ends: BindingEnds = { source, destination, key: args.bindingKey, arguments: args.arguments }
  const known = source.outgoing.get(bindingIdentity(ends))
  if (known !== undefined) return { isNew: false, position: topology.pendingOf(known) }
  rules.checkNewBinding(state, ends)
  rules.checkRoom(topology, (source.isDurable && destination.isDurable) || topology.isShared)
  return { isNew: true, position: rules.positionOf(topology.bind(ends)) }
}

/** By id, so that it never takes something else of the same name. */
export function remove(topology: Topology, { id, ifUnused }: ChangeOf<'remove'>): Position {
  const definition = topology.definition(id)
  switch (definition?.kind) {
    case 'exchange':
      if (ifUnused && definition.bindingCount > 0) {
        const what = shown('exchange', definition.name, definition.home.name)
        throw new BrokerError('precondition-failed', `${what} in use`)
      }
      return topology.remove(definition)
    case 'queue':
    case 'binding':
      return topology.remove(definition)
    default:
      return topology.pending
  }
}

type ChangeOf<Kind extends TopologyChange['kind']> = Extract<TopologyChange, { kind: Kind }>
