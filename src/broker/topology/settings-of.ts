import type { FieldTable } from '../../amqp/field-table.ts'
import type { DeduplicationSettings, QueueSettings, RetrySettings } from '../queue/queue-settings.ts'
import { maxAgeMs } from './argument-checks.ts'
import { wholeNumber } from './field-values.ts'

/**
 * The settings of a queue from its arguments, which `queue-arguments.ts` has checked.
 */
export function settingsOf(table: FieldTable): QueueSettings {
  const number = (key: string): number | null => {
    const field = table.fields.get(key)
    const value = field === undefined ? null : wholeNumber(field)
    return value === null ? null : Number(value)
  }
  const text = (key: string): string | null => {
    const field = table.fields.get(key)
    return field?.tag === 'S' ? field.value : null
  }
  const overflow = text('x-overflow')
  const isQuorum = text('x-queue-type') === 'quorum'
  const limit = number('x-delivery-limit') ?? (isQuorum ? quorumDeliveryLimit : null)
  return {
    messageTtlMs: number('x-message-ttl'),
    expiresMs: number('x-expires'),
    maxLength: number('x-max-length'),
    maxLengthBytes: number('x-max-length-bytes'),
    overflow: overflow === 'reject-publish' || overflow === 'reject-publish-dlx' ? overflow : 'drop-head',
    deadLetterExchange: text('x-dead-letter-exchange'),
    deadLetterRoutingKey: text('x-dead-letter-routing-key'),
    deliveryLimit: limit !== null && limit < 0 ? null : limit,
    maxPriority: number('x-max-priority'),
    isSingleActive: table.fields.get('x-single-active-consumer')?.value === true,
    groupLimit: number('x-group-limit') ?? 1,
    retry: retryOf(number, text, table),
    deduplication: deduplicationOf(number, table),
    consumerTimeoutMs: number('x-consumer-timeout') || null,
    maxAgeMs: maxAgeMs(text('x-max-age') ?? ''),
    segmentBytes: number('x-stream-max-segment-size-bytes'),
    filterBytes: number('x-stream-filter-size-bytes'),
  }
}

/** RabbitMQ's for quorum queues since 4.0. */
const quorumDeliveryLimit = 20
const retryDelayMsDefault = 1_000
const retryMaxDelayMsDefault = 3_600_000
const deduplicationWindowMsDefault = 300_000
const deduplicationIdsDefault = 100_000

type ReadNumber = (key: string) => number | null
type ReadText = (key: string) => string | null

function retryOf(number: ReadNumber, text: ReadText, table: FieldTable): RetrySettings | null {
  const attempts = number('x-retry-attempts')
  const delayMs = number('x-retry-delay')
  const delayedType = text('x-delayed-retry-type')
  if (attempts === null && delayMs === null) {
    const min = number('x-delayed-retry-min')
    if (delayedType === null || delayedType === 'disabled' || min === null) return null
    return {
      attempts: null,
      delayMs: min,
      backoff: 'linear',
      maxDelayMs: number('x-delayed-retry-max') ?? retryMaxDelayMsDefault,
      jitter: 0,
      on: 'requeue',
      parkingQueue: null,
    }
  }
  const backoff = table.fields.get('x-retry-backoff')
  const jitter = table.fields.get('x-retry-jitter')
  return {
    attempts: attempts === null || attempts < 0 ? null : attempts,
    delayMs: delayMs ?? retryDelayMsDefault,
    backoff: backoff === undefined ? 2 : Number(backoff.value),
    maxDelayMs: number('x-retry-max-delay') ?? retryMaxDelayMsDefault,
    jitter: jitter === undefined ? 0.2 : Number(jitter.value),
    on: text('x-retry-on') === 'requeue' ? 'requeue' : 'all',
    parkingQueue: text('x-retry-parking-queue'),
  }
}

function deduplicationOf(number: ReadNumber, table: FieldTable): DeduplicationSettings | null {
  if (table.fields.get('x-message-deduplication')?.value !== true) return null
  return {
    windowMs: number('x-deduplication-window') ?? number('x-cache-ttl') ?? deduplicationWindowMsDefault,
    idsMax: number('x-deduplication-size') ?? number('x-cache-size') ?? deduplicationIdsDefault,
  }
}
