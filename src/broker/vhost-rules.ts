import type { FieldTable } from '../amqp/field-table.ts'
import type { Position } from '../log/log.ts'
import type { SessionRights } from './access/authorise.ts'
import type { ExchangeArguments, QueueArguments, Session } from './commands.ts'
import { BrokerError } from './errors.ts'
import type { BindingEnds } from './topology/binding.ts'
import { whyNoHash, whyNoWeight } from './topology/consistent-hash-matcher.ts'
import type { DeclaredQueue, QueueProperties } from './topology/declared-queue.ts'
import {
  alternateExchangeKey,
  delayedTypeKey,
  type Exchange,
  type ExchangeProperties,
  isExchangeType,
  isRoutingType,
  routingTypeOf,
} from './topology/exchange.ts'
import { whyNoCondition } from './topology/headers-matcher.ts'
import { topologyLimits as limits } from './topology/limits.ts'
import type { StoredRecord } from './topology/live-records.ts'
import { checkNewName, reservedPrefix, shown } from './topology/names.ts'
import {
  checkQueueArguments,
  checkStreamProperties,
  deadLetterExchangeKey,
  exchangeArgument,
  isStream,
  withDefaultType,
} from './topology/queue-arguments.ts'
import { hashesIn, hashesMax } from './topology/topic-matcher.ts'
import type { VhostState } from './topology/vhost-state.ts'

/** What may be declared, bound and deleted, apart from rights that depend on names only. Each rule throws or returns. */

export function existingExchange(vhost: VhostState, name: string): Exchange {
  const exchange = vhost.exchanges.get(name)
  if (exchange === undefined) throw new BrokerError('not-found', `no ${shown('exchange', name, vhost.name)}`)
  return exchange
}

export function existingQueue(vhost: VhostState, name: string): DeclaredQueue {
  const queue = vhost.queues.get(name)
  if (queue === undefined) throw new BrokerError('not-found', `no ${shown('queue', name, vhost.name)}`)
  return queue
}

/** A queue that exists and is not another session's own. */
export function usableQueue(vhost: VhostState, session: SessionId, name: string): DeclaredQueue {
  const queue = existingQueue(vhost, name)
  checkOwner(session, queue)
  return queue
}

/** What the answer to a change waits for; 0 for something transient. */
export function positionOf(made: { readonly stored: StoredRecord | null }): Position {
  return made.stored?.position ?? 0
}

export function refuseDefaultExchange(name: string): void {
  if (name === '') throw new BrokerError('access-refused', 'operation not permitted on the default exchange')
}

export function refuseSystemExchange(name: string, vhost: string): void {
  if (!name.startsWith(reservedPrefix)) return
  const what = shown('exchange', name, vhost)
  throw new BrokerError('access-refused', `deletion of system ${what} not allowed`)
}

export function locked(queue: DeclaredQueue): BrokerError {
  const what = shown('queue', queue.name, queue.vhost)
  return new BrokerError(
    'resource-locked',
    `cannot obtain exclusive access to locked ${what}. It could be originally declared on another connection or the ` +
      'exclusive property value does not match that of the original declaration.',
  )
}

/** An exclusive queue is for the session that declared it. */
export function checkOwner(session: SessionId, queue: DeclaredQueue): void {
  if (queue.exclusiveOwner !== null && queue.exclusiveOwner !== session.id) throw locked(queue)
}

/** A queue that is declared again as what it is: exclusive or not, and by whom. */
export function checkSameOwner(known: DeclaredQueue, properties: QueueProperties): void {
  if (known.exclusiveOwner !== properties.exclusiveOwner) throw locked(known)
}

/** Asked before anything durable is made; what is there may always be removed. */
export function checkRoom(topology: { readonly hasRoom: boolean }, isStored: boolean): void {
  if (!isStored || topology.hasRoom) return
  throw new BrokerError('precondition-failed', 'no room is left on disk to store new definitions')
}

/** Which session it is. */
type SessionId = Pick<Session, 'id'>

/** Whose rights a new thing needs. */
type Rights = Pick<SessionRights, 'authorise'>

// ---------------------------------------------------------------- exchanges

export function exchangeProperties(name: string, args: ExchangeArguments): ExchangeProperties {
  const { type, isDurable, isAutoDelete, isInternal } = args
  if (!isExchangeType(type)) throw unknownType(type)
  if (type === 'x-delayed-message') checkDelayedType(args.arguments)
  return { name, type, isDurable, isAutoDelete, isInternal, arguments: args.arguments }
}

function checkDelayedType(table: FieldTable): void {
  const type = table.fields.get(delayedTypeKey)
  if (type?.tag !== 'S') {
    const text = "Invalid argument, 'x-delayed-type' must be an existing exchange type"
    throw new BrokerError('precondition-failed', text)
  }
  if (!isRoutingType(type.value)) throw unknownType(type.value)
}

function unknownType(type: string): BrokerError {
  return new BrokerError('command-invalid', `unknown exchange type '${type}'`)
}

export function checkNewExchange(vhost: VhostState, exchange: ExchangeProperties, rights: Rights): void {
  checkNewName('exchange', exchange.name)
  const what = shown('exchange', exchange.name, vhost.name)
  const alternate = exchangeArgument(what, alternateExchangeKey, exchange.arguments)
  if (alternate !== null) {
    rights.authorise('read', 'exchange', exchange.name)
    rights.authorise('write', 'exchange', alternate)
  }
  const wrong = routingTypeOf(exchange) === 'x-consistent-hash' ? whyNoHash(exchange.arguments) : null
  if (wrong !== null) throw new BrokerError('precondition-failed', wrong)
  if (vhost.exchanges.size >= limits.exchangesPerVhostMax) {
    throw limitReached(`declare ${what}`, `exchange limit in vhost '${vhost.name}'`, limits.exchangesPerVhostMax)
  }
}

// ---------------------------------------------------------------- queues

/** An exclusive queue is never durable: nobody could use it after a restart. */
export function queueProperties(
  name: string,
  args: QueueArguments,
  { session, vhost }: { session: SessionId; vhost: VhostState },
): QueueProperties {
  const type = vhost.metadata?.defaultQueueType ?? null
  return {
    name,
    isDurable: args.isDurable && !args.isExclusive,
    isAutoDelete: args.isAutoDelete,
    exclusiveOwner: args.isExclusive ? session.id : null,
    arguments: type !== null && mayBeOfAnyType(args) ? withDefaultType(args.arguments, type) : args.arguments,
  }
}

/** A vhost's default type is for queues that RabbitMQ could replicate; all others are classic, as they always were. */
function mayBeOfAnyType({ isDurable, isExclusive, isAutoDelete, name }: QueueArguments): boolean {
  return isDurable && !isExclusive && !isAutoDelete && name !== ''
}

export function checkNewQueue(
  vhost: VhostState,
  queue: QueueProperties,
  { rights, isServerNamed }: { rights: Rights; isServerNamed: boolean },
): void {
  if (!isServerNamed) checkNewName('queue', queue.name)
  const what = shown('queue', queue.name, vhost.name)
  const deadLetterExchange = exchangeArgument(what, deadLetterExchangeKey, queue.arguments)
  if (deadLetterExchange !== null) {
    rights.authorise('read', 'queue', queue.name)
    rights.authorise('write', 'exchange', deadLetterExchange)
  }
  checkQueueArguments(what, queue.arguments)
  if (isStream(queue)) checkStreamProperties(what, { ...queue, isServerNamed })
  const queuesMax = vhost.limits?.maxQueues ?? null
  if (queuesMax !== null && vhost.queues.size >= queuesMax) {
    throw limitReached(`declare queue '${queue.name}'`, `queue limit in vhost '${vhost.name}'`, queuesMax)
  }
  if (vhost.queues.size >= limits.queuesPerVhostMax) {
    throw limitReached(`declare ${what}`, `queue limit in vhost '${vhost.name}'`, limits.queuesPerVhostMax)
  }
}

// ---------------------------------------------------------------- bindings

export function checkNewBinding(vhost: VhostState, { source, destination, key, arguments: table }: BindingEnds): void {
  const from = shown('exchange', source.name, vhost.name)
  const wrong = whyNoBinding(source, key, table)
  if (wrong !== null) throw new BrokerError('precondition-failed', wrong)
  if (table.fields.size > limits.bindingArgumentsMax) {
    throw limitReached(`bind to ${from}`, 'binding argument limit', limits.bindingArgumentsMax)
  }
  if (vhost.bindingCount >= limits.bindingsPerVhostMax) {
    throw limitReached(`bind to ${from}`, `binding limit in vhost '${vhost.name}'`, limits.bindingsPerVhostMax)
  }
  if (destination.incoming.size >= limits.bindingsPerDestinationMax) {
    const to = shown(destination.kind, destination.name, vhost.name)
    throw limitReached(`bind ${to}`, 'limit of bindings per destination', limits.bindingsPerDestinationMax)
  }
}

/** What the type of the source has against it. */
function whyNoBinding({ routingType }: Exchange, key: string, table: FieldTable): string | null {
  switch (routingType) {
    case 'topic':
      return whyNoPattern(key)
    case 'headers':
      return whyNoCondition(table)
    case 'x-consistent-hash':
      return whyNoWeight(key)
    case 'x-local-random':
      return key === '' ? null : `Non empty binding '${key}' key not permitted`
    default:
      return null
  }
}

function whyNoPattern(key: string): string | null {
  const hashes = hashesIn(key)
  if (hashes <= hashesMax) return null
  return `Topic binding key '${key}' uses ${hashes} '#' wildcards, at most ${hashesMax} are allowed`
}

function limitReached(what: string, limit: string, max: number): BrokerError {
  return new BrokerError('precondition-failed', `cannot ${what}: ${limit} (${max}) is reached`)
}
