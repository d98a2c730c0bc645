/** What a test sees of messages: read from their bytes as any client would. */
import type { FieldTable, FieldValue } from '../../src/amqp/field-table.ts'
import type { DeathReason } from '../../src/broker/dead-letter/death-history.ts'
import { propertiesOf, routeOf } from '../../src/broker/dead-letter/message-copy.ts'
import type { Message } from '../../src/broker/message.ts'
import type { ModelDeath } from './model-message.ts'

export interface SeenMessage {
  readonly id: string
  readonly isRedelivered: boolean
  readonly isPersistent: boolean
  readonly bytes: number
  readonly exchange: string
  readonly key: string
  readonly cc: readonly string[]
  readonly expiration: string | null
  readonly deaths: readonly ModelDeath[]
  /** Queue and reason of `x-first-death-*`. */
  readonly firstDeath: string | null
  readonly deliveryCount: number
  readonly acquiredCount: number
}

/** A dead letter on its way to an exchange. */
export interface Died {
  readonly seen: SeenMessage
  /** Where it died, and why, as its newest death says. */
  readonly queue: string
  readonly reason: DeathReason
  readonly exchange: string
  readonly keys: readonly string[]
}

/** The body of a message of the model: its id, and dots up to its size. */
export function bodyText(id: string, bytes: number): string {
  return id.padEnd(bytes, '.')
}

export function seenMessage(message: Message, isRedelivered: boolean): SeenMessage {
  const { exchange, routingKey } = routeOf(message)
  const properties = propertiesOf(message)
  const fields = properties.headers?.fields ?? new Map<string, FieldValue>()
  const body = Buffer.from(message.buffer.subarray(message.contentEnd - message.bodyBytes, message.contentEnd))
  const text = (key: string): string => String(fields.get(key)?.value)
  return {
    id: body.toString().replace(/\.*$/, ''),
    isRedelivered,
    isPersistent: properties.deliveryMode === 2,
    bytes: message.bodyBytes,
    exchange,
    key: routingKey,
    cc: texts(fields.get('CC')),
    expiration: properties.expiration,
    deaths: items(fields.get('x-death')).map(readDeath),
    firstDeath: fields.has('x-first-death-queue')
      ? `${text('x-first-death-queue')} ${text('x-first-death-reason')}`
      : null,
    deliveryCount: Number(fields.get('x-delivery-count')?.value ?? 0),
    acquiredCount: Number(fields.get('x-acquired-count')?.value ?? 0),
  }
}

export function seenDeath(message: Message, exchange: string, keys: readonly string[]): Died {
  const seen = seenMessage(message, false)
  const [newest] = seen.deaths
  if (newest === undefined) throw new Error(`'${seen.id}' goes to '${exchange}' without a death`)
  return { seen, queue: newest.queue, reason: newest.reason, exchange, keys: [...keys] }
}

function items(field: FieldValue | undefined): readonly FieldValue[] {
  return field?.tag === 'A' ? field.value : []
}

function texts(field: FieldValue | undefined): string[] {
  return items(field).map((item) => String(item.value))
}

function readDeath(item: FieldValue): ModelDeath {
  if (item.tag !== 'F') throw new Error('an entry of x-death is no table')
  const { fields }: FieldTable = item.value
  const text = (key: string): string => String(fields.get(key)?.value)
  return {
    queue: text('queue'),
    reason: text('reason') as DeathReason,
    count: Number(fields.get('count')?.value),
    seconds: Number(fields.get('time')?.value),
    exchange: text('exchange'),
    keys: texts(fields.get('routing-keys')),
    expiration: fields.has('original-expiration') ? text('original-expiration') : null,
  }
}
