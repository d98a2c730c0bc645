import { emptyTable, type FieldTable } from '../../amqp/field-table.ts'
import {
  type DeduplicationSettings,
  plainSettings,
  type QueueSettings,
  type RetrySettings,
} from '../queue/queue-settings.ts'
import { maxAgeMs } from './argument-checks.ts'
import { wholeNumber } from './field-values.ts'
import { lower, type PolicyValue, type PolicyValues } from './policy-keys.ts'
import { queueTypeOf } from './queue-arguments.ts'

/**
 * The settings of a queue: its arguments, which `queue-arguments.ts` has checked, and what its policies say, which
 * `policy-keys.ts` has. Of limits that both set the lower counts; in all else an argument stands before a policy.
 */
export function settingsOf(table: FieldTable, policy: PolicyValues): QueueSettings {
  if (table.fields.size === 0 && policy.size === 0) return plainSettings
  const said = new Said(table, policy)
  const deliveryLimit = said.limit('delivery-limit') ?? (queueTypeOf(table) === 'quorum' ? quorumDeliveryLimit : -1)
  return {
    messageTtlMs: said.limit('message-ttl'),
    expiresMs: said.limit('expires'),
    maxLength: said.limit('max-length'),
    maxLengthBytes: said.limit('max-length-bytes'),
    overflow: overflowOf(said),
    deadLetterExchange: said.text('dead-letter-exchange'),
    deadLetterRoutingKey: said.text('dead-letter-routing-key'),
    keepsUnroutable: said.text('dead-letter-strategy') === 'at-least-once',
    deliveryLimit: deliveryLimit < 0 ? null : deliveryLimit,
    maxPriority: said.argument('max-priority'),
    isSingleActive: table.fields.get('x-single-active-consumer')?.value === true,
    groupLimit: said.limit('group-limit') ?? 1,
    retry: retryOf(said),
    deduplication: deduplicationOf(table, said),
    // Nothing can be done in no time: 0 is none.
    consumerTimeoutMs: said.limit('consumer-timeout') || null,
    maxAgeMs: maxAgeOf(table, policy),
    segmentBytes: said.number('stream-max-segment-size-bytes'),
    filterBytes: said.number('stream-filter-size-bytes'),
  }
}

/** RabbitMQ's for quorum queues since 4.0. */
const quorumDeliveryLimit = 20
const retryDelayMsDefault = 1_000
const retryMaxDelayMsDefault = 3_600_000
const retryBackoffDefault = 2
const retryJitterDefault = 0.2
const deduplicationWindowMsDefault = 300_000
const deduplicationIdsDefault = 100_000

/** What arguments and policy say of a key; an argument's is the same with `x-` before it. Null: nothing. */
class Said {
  readonly #table: FieldTable
  readonly #policy: PolicyValues

  constructor(table: FieldTable, policy: PolicyValues) {
    this.#table = table
    this.#policy = policy
  }

  /** Either of them has something under one of these keys, in the one place or the other. */
  isIn(place: 'arguments' | 'policy', keys: readonly string[]): boolean {
    return keys.some((key) => (place === 'policy' ? this.#policy.has(key) : this.#table.fields.has(`x-${key}`)))
  }

  /** Only what the arguments, or only what the policy says. */
  only(place: 'arguments' | 'policy'): Said {
    return place === 'policy' ? new Said(emptyTable, this.#policy) : new Said(this.#table, noValues)
  }

  limit(key: string): number | null {
    const argument = this.argument(key)
    const policy = this.#policy.get(key)
    if (typeof policy !== 'number') return argument
    return argument === null ? policy : Number(lower(key, argument, policy))
  }

  number(key: string): number | null {
    const policy = this.#policy.get(key)
    return this.argument(key) ?? (typeof policy === 'number' ? policy : null)
  }

  text(key: string): string | null {
    const field = this.#table.fields.get(`x-${key}`)
    const policy = this.#policy.get(key)
    return field?.tag === 'S' ? field.value : typeof policy === 'string' ? policy : null
  }

  argument(key: string): number | null {
    const field = this.#table.fields.get(`x-${key}`)
    if (field === undefined) return null
    if (field.tag === 'f' || field.tag === 'd') return field.value
    const value = wholeNumber(field)
    return value === null ? null : Number(value)
  }
}

const noValues: ReadonlyMap<string, PolicyValue> = new Map()

function overflowOf(said: Said): QueueSettings['overflow'] {
  const overflow = said.text('overflow')
  return overflow === 'reject-publish' || overflow === 'reject-publish-dlx' ? overflow : 'drop-head'
}

function maxAgeOf(table: FieldTable, policy: PolicyValues): number | null {
  const argument = maxAgeMs(String(table.fields.get('x-max-age')?.value ?? ''))
  const limit = maxAgeMs(String(policy.get('max-age') ?? ''))
  return argument === null || limit === null ? (argument ?? limit) : Math.min(argument, limit)
}

/** One of both says all of it: an argument for one part and a policy for another would be nobody's plan. */
function retryOf(both: Said): RetrySettings | null {
  const place = both.isIn('arguments', retryKeys) ? 'arguments' : 'policy'
  if (!both.isIn(place, retryKeys)) return null
  const said = both.only(place)
  if (!said.isIn(place, ['retry-attempts', 'retry-delay'])) return delayedRetryOf(said)
  const attempts = said.number('retry-attempts')
  return {
    attempts: attempts === null || attempts < 0 ? null : attempts,
    delayMs: said.number('retry-delay') ?? retryDelayMsDefault,
    backoff: said.number('retry-backoff') ?? retryBackoffDefault,
    maxDelayMs: said.number('retry-max-delay') ?? retryMaxDelayMsDefault,
    jitter: said.number('retry-jitter') ?? retryJitterDefault,
    on: said.text('retry-on') === 'requeue' ? 'requeue' : 'all',
    parkingQueue: said.text('retry-parking-queue'),
  }
}

const retryKeys = ['retry-attempts', 'retry-delay', 'delayed-retry-type', 'delayed-retry-min']

/** RabbitMQ's: the delay grows by its own length with each failure, and only messages that are given back wait. */
function delayedRetryOf(said: Said): RetrySettings | null {
  const type = said.text('delayed-retry-type')
  const min = said.number('delayed-retry-min')
  if (type === null || type === 'disabled' || min === null || min === 0) return null
  return {
    attempts: null,
    delayMs: min,
    backoff: 'linear',
    maxDelayMs: said.number('delayed-retry-max') || min,
    jitter: 0,
    on: type === 'failed' || type === 'returned' ? type : 'given-back',
    parkingQueue: null,
  }
}

function deduplicationOf(table: FieldTable, said: Said): DeduplicationSettings | null {
  if (table.fields.get('x-message-deduplication')?.value !== true) return null
  return {
    windowMs: said.argument('deduplication-window') ?? said.argument('cache-ttl') ?? deduplicationWindowMsDefault,
    idsMax: said.argument('deduplication-size') ?? said.argument('cache-size') ?? deduplicationIdsDefault,
  }
}
