import type { FieldTable } from '../../amqp/field-table.ts'
import type { Message } from '../message.ts'
import type { Binding } from './binding.ts'
import type { Matcher } from './exchange.ts'
import { valueText } from './field-values.ts'
import { hashOf, mixed } from './hash.ts'
import { headersOfMessage, propertiesOfMessage } from './message-headers.ts'
import type { Router } from './router.ts'

/**
 * Along one binding, the same for all messages that hash alike (`x-consistent-hash`). What is hashed is the routing key, or
 * what the arguments `hash-header` or `hash-property` name. The binding key is a weight.
 *
 * Each destination draws a number for the message out of the hash of both; the highest wins, weights bending the draw
 * (weighted rendezvous hashing). So a new destination takes its share from all others and moves nothing between
 * those, and one that goes leaves its share to them. Only names and weights count, hence a restart, or declaring a queue
 * anew, changes nothing either. Several bindings to one destination count as the heaviest of them.
 */
export class ConsistentHashMatcher implements Matcher {
  readonly readsHeaders: boolean
  readonly #header: string | null
  readonly #property: string | null
  readonly #draws = new Map<Binding, Draw>()

  constructor(table: FieldTable) {
    this.#header = textOf(table, hashHeaderKey)
    this.#property = textOf(table, hashPropertyKey)
    this.readsHeaders = this.#header !== null || this.#property !== null
  }

  add(binding: Binding): void {
    const { kind, name } = binding.destination
    this.#draws.set(binding, { binding, seed: hashOf(`${kind} ${name}`), weight: Number(binding.key) })
  }

  remove(binding: Binding): void {
    this.#draws.delete(binding)
  }

  match(router: Router, key: string, message: Message): void {
    const hash = hashOf(this.#hashed(key, message))
    let best: Binding | null = null
    let highest = Number.NEGATIVE_INFINITY
    router.spend(this.#draws.size)
    for (const { binding, seed, weight } of this.#draws.values()) {
      if (binding.destination.isGone) continue
      const share = (mixed(hash ^ seed) + 0.5) / 2 ** 32
      const drawn = weight / -Math.log(share)
      if (drawn <= highest) continue
      highest = drawn
      best = binding
    }
    if (best !== null) router.reach(best.destination)
  }

  /** What is not there is hashed as the empty text: all such messages go to one place. */
  #hashed(key: string, message: Message): string {
    if (this.#header !== null) {
      const field = headersOfMessage(message).fields.get(this.#header)
      return field === undefined ? '' : valueText(field)
    }
    if (this.#property === null) return key
    const { messageId, correlationId, timestamp } = propertiesOfMessage(message)
    if (this.#property === 'message_id') return messageId ?? ''
    return this.#property === 'correlation_id' ? (correlationId ?? '') : String(timestamp ?? '')
  }
}

interface Draw {
  readonly binding: Binding
  readonly seed: number
  readonly weight: number
}

const hashHeaderKey = 'hash-header'
const hashPropertyKey = 'hash-property'
const properties = ['message_id', 'correlation_id', 'timestamp']

/** What is wrong with the arguments of such an exchange; null when nothing is. */
export function whyNoHash(table: FieldTable): string | null {
  for (const key of [hashHeaderKey, hashPropertyKey]) {
    const field = table.fields.get(key)
    if (field !== undefined && field.tag !== 'S') return `${key} has to be a long string`
  }
  const property = textOf(table, hashPropertyKey)
  if (property === null) return null
  if (textOf(table, hashHeaderKey) !== null) return 'hash-header and hash-property are mutually exclusive'
  return properties.includes(property) ? null : `Unsupported property: ${property}`
}

/** What is wrong with the key of a binding from such an exchange; null when nothing is. */
export function whyNoWeight(key: string): string | null {
  if (!/^[+-]?\d{1,9}$/.test(key)) return `The binding key must be an integer: <<${JSON.stringify(key)}>>`
  return Number(key) < 1 ? 'The binding key must be greater than 0' : null
}

function textOf(table: FieldTable, key: string): string | null {
  const field = table.fields.get(key)
  return field?.tag === 'S' ? field.value : null
}
