import { emptyTable, type FieldTable } from '../../amqp/field-table.ts'
import type { Message } from '../message.ts'
import { MessageTraits } from '../message-traits.ts'
import { type DeathReason, recordDeath } from './death-history.ts'
import { MessageCopy, propertiesOf, routeOf } from './message-copy.ts'

/** Why and where a message has died, and where it goes now. */
export interface DeadLetterRoute {
  /** The dead-letter exchange; the empty string is the default exchange. */
  readonly exchange: string
  /** With which the message goes on; null: with its own routing key and those of its CC header. */
  readonly routingKey: string | null
  /** In which it died. */
  readonly queue: string
  readonly reason: DeathReason
  /** When it died: wall time in milliseconds. */
  readonly timeMs: number
}

export interface DeadLetter {
  readonly message: Message
  /** All routing keys with which it goes on: that of `message` first, then those of CC. */
  readonly keys: readonly string[]
  /** Those of `message`, with the death in them: for `isCycle`, and for headers exchanges. */
  readonly headers: FieldTable
}

/**
 * Makes the message that is published in place of one that has died: with the death in its headers, without its
 * `expiration` (or it would expire again at once), by another route. Its priority and its group stay; it is due at once.
 */
export class DeadLetterWriter {
  readonly #copy = new MessageCopy()
  readonly #traits = new MessageTraits()

  /**
   * The message of the result is valid until the next call, and its chunks, if it has any, are those of `message`.
   * Throws `ProtocolError` when the content header of `message` is not well-formed, which one that came from a peer is.
   */
  rewrite(message: Message, to: DeadLetterRoute): DeadLetter {
    const properties = propertiesOf(message)
    const from = routeOf(message)
    const before = properties.headers ?? emptyTable
    const cc = carbonCopies(before)
    const death = {
      queue: to.queue,
      reason: to.reason,
      seconds: Math.floor(to.timeMs / 1000),
      exchange: from.exchange,
      routingKeys: [from.routingKey, ...cc],
      expiration: properties.expiration,
    }
    const headers = recordDeath(before, death, to.routingKey !== null)
    const keys = to.routingKey === null ? death.routingKeys : [to.routingKey]
    const route = { exchange: to.exchange, routingKey: to.routingKey ?? from.routingKey }
    const copy = this.#copy.fill(message, properties, { headers, expiration: null }, route)
    copy.traits = this.#keptTraits(message.traits, to.routingKey === null)
    return { message: copy, keys, headers }
  }

  #keptTraits(from: MessageTraits | null, keepsKeys: boolean): MessageTraits | null {
    if (from === null || (from.priority === 0 && from.group === '' && from.blindKeys.length === 0)) return null
    this.#traits.clear()
    this.#traits.priority = from.priority
    this.#traits.group = from.group
    if (keepsKeys) this.#traits.blindKeys = from.blindKeys
    return this.#traits
  }
}

/** The routing keys of the CC header. What is no array of strings was refused when the message was published. */
function carbonCopies(headers: FieldTable): string[] {
  const field = headers.fields.get('CC')
  if (field?.tag !== 'A') return []
  return field.value.flatMap((item) => (item.tag === 'S' ? [item.value] : []))
}
