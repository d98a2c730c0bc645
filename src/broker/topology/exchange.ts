import type { FieldTable } from '../../amqp/field-table.ts'
import { assert, assertNever } from '../../base/assert.ts'
import type { Message } from '../message.ts'
import { ExchangeCounts } from '../statistics/message-counts.ts'
import { type Binding, IncomingBindings } from './binding.ts'
import { ConsistentHashMatcher } from './consistent-hash-matcher.ts'
import { DefaultMatcher } from './default-matcher.ts'
import { DirectMatcher } from './direct-matcher.ts'
import { FanoutMatcher } from './fanout-matcher.ts'
import { HeadersMatcher } from './headers-matcher.ts'
import type { StoredRecord } from './live-records.ts'
import { ModulusHashMatcher } from './modulus-hash-matcher.ts'
import { RandomMatcher } from './random-matcher.ts'
import type { Router } from './router.ts'
import { TopicMatcher } from './topic-matcher.ts'
import { type AppliedPolicy, noPolicy } from './vhost-policies.ts'
import type { VhostState } from './vhost-state.ts'

export const exchangeTypes = [
  'direct',
  'fanout',
  'topic',
  'headers',
  'x-consistent-hash',
  'x-modulus-hash',
  'x-random',
  'x-local-random',
  'x-delayed-message',
] as const
export type ExchangeType = (typeof exchangeTypes)[number]

export function isExchangeType(type: string): type is ExchangeType {
  return exchangeTypes.some((known) => known === type)
}

/**
 * How an exchange finds its bindings. One for delayed messages does it like the type that its argument names; that a
 * message waits is the business of the queues it is put into.
 */
export type RoutingType = Exclude<ExchangeType, 'x-delayed-message'>

export function routingTypeOf({ type, arguments: table }: Pick<ExchangeProperties, 'type' | 'arguments'>): RoutingType {
  if (type !== 'x-delayed-message') return type
  const delayed = table.fields.get(delayedTypeKey)?.value
  assert(isRoutingType(delayed), 'what an exchange for delayed messages routes like was checked')
  return delayed
}

export function isRoutingType(type: unknown): type is RoutingType {
  return typeof type === 'string' && isExchangeType(type) && type !== 'x-delayed-message'
}

export const delayedTypeKey = 'x-delayed-type'

/** How an exchange finds the bindings for a message: the only thing in which exchange types differ. */
export interface Matcher {
  add(binding: Binding): void
  remove(binding: Binding): void
  /** Gives `router.reach` each binding that the message goes along; a queue or exchange may come up more than once. */
  match(router: Router, key: string, message: Message): void
  /** Whether the result depends on more of the message than its routing key. */
  readonly readsHeaders: boolean
}

/** Where messages are published: a type, its bindings, and where what matches none of them goes. */
export class Exchange {
  readonly kind = 'exchange'
  readonly id: number
  readonly home: VhostState
  readonly name: string
  readonly type: ExchangeType
  /** What its bindings are compared by. */
  readonly routingType: RoutingType
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly isInternal: boolean
  readonly arguments: FieldTable
  /** Where messages go that no binding takes: an argument, else a policy's. */
  alternate: string | null = null
  /** What applies to it of the vhost's policies. */
  applied: AppliedPolicy = noPolicy
  readonly matcher: Matcher
  readonly counts = new ExchangeCounts()
  /** Bindings from here, by identity. */
  readonly outgoing = new Map<string, Binding>()
  /** Bindings that lead here. */
  readonly incoming = new IncomingBindings()
  /** The last routing that reached it (`router.ts`). */
  mark = 0
  /** It has been deleted; bindings from and to it are being taken out (`detaching.ts`). */
  isGone = false
  /** Bindings among `outgoing` that lead to something that is gone. */
  goneBindings = 0
  stored: StoredRecord | null = null

  constructor(id: number, home: VhostState, properties: ExchangeProperties) {
    this.id = id
    this.home = home
    this.name = properties.name
    this.type = properties.type
    this.routingType = routingTypeOf(properties)
    this.isDurable = properties.isDurable
    this.isAutoDelete = properties.isAutoDelete
    this.isInternal = properties.isInternal
    this.arguments = properties.arguments
    this.matcher =
      properties.name === '' ? new DefaultMatcher(home) : matcherFor(this.routingType, properties.arguments)
    this.applyPolicy()
  }

  /** Looks again which policies apply; true when messages may go elsewhere now. */
  applyPolicy(): boolean {
    const { alternate } = this
    // What the default exchange finds no queue for goes nowhere, whatever a policy says (RabbitMQ's neither).
    if (this.name !== '') this.applied = this.home.policies.appliedTo('exchange', this.name)
    const argument = this.arguments.fields.get(alternateExchangeKey)
    const value = argument?.tag === 'S' ? argument.value : this.applied.values.get(alternateExchangeKey)
    this.alternate = typeof value === 'string' ? value : null
    return this.alternate !== alternate
  }

  /** Bindings that lead somewhere. */
  get bindingCount(): number {
    return this.outgoing.size - this.goneBindings
  }

  /** Made with its vhost, not by anyone's declare; cannot be deleted. */
  get isPredeclared(): boolean {
    return this.name === '' || this.name.startsWith('amq.')
  }
}

export const alternateExchangeKey = 'alternate-exchange'

export interface ExchangeProperties {
  readonly name: string
  readonly type: ExchangeType
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly isInternal: boolean
  readonly arguments: FieldTable
}

function matcherFor(type: RoutingType, table: FieldTable): Matcher {
  switch (type) {
    case 'direct':
      return new DirectMatcher()
    case 'fanout':
      return new FanoutMatcher()
    case 'topic':
      return new TopicMatcher()
    case 'headers':
      return new HeadersMatcher()
    case 'x-consistent-hash':
      return new ConsistentHashMatcher(table)
    case 'x-modulus-hash':
      return new ModulusHashMatcher()
    case 'x-random':
    case 'x-local-random':
      return new RandomMatcher()
    default:
      return assertNever(type)
  }
}
