import { changeFields, type FieldTable } from '../../amqp/field-table.ts'
import { BrokerError } from '../errors.ts'
import * as checks from './argument-checks.ts'
import { typeName, valueText } from './field-values.ts'

/**
 * The `x-` arguments of a queue: which are known, and which values they may have. What they do is the queue's business.
 *
 * There are two kinds of queue. `stream` is a log that is read again and again. All others are one kind with the
 * features of RabbitMQ's classic and quorum queues both: either name is accepted as `x-queue-type`, and each argument of
 * either is known to both. An argument of one kind is refused on the other. Arguments nobody knows are kept and mean
 * nothing.
 */
export const queueTypeKey = 'x-queue-type'
export const deadLetterExchangeKey = 'x-dead-letter-exchange'

export const queueTypes = ['classic', 'quorum', 'stream'] as const
export type QueueType = (typeof queueTypes)[number]

/** Whether this is one that is read again and again, which `broker/stream` holds. */
export function isStream(definition: { readonly arguments: FieldTable }): boolean {
  return queueTypeOf(definition.arguments) === 'stream'
}

/** As declared; saying nothing is saying classic. */
export function queueTypeOf(table: FieldTable): QueueType {
  const type = table.fields.get(queueTypeKey)?.value
  return type === 'quorum' || type === 'stream' ? type : 'classic'
}

/** The same arguments with a type, where they have none: what a vhost's default type does to a declare. */
export function withDefaultType(table: FieldTable, type: QueueType): FieldTable {
  if (type === 'classic' || table.fields.has(queueTypeKey)) return table
  return changeFields(table, new Map([[queueTypeKey, { tag: 'S', value: type }]]))
}

// ---------------------------------------------------------------- the table

const priorityMax = 255
/** Messages of one group that may be in flight; more is no grouping. */
const groupLimitMax = 1_000_000
const retryAttemptsMax = 1_000_000
const retryBackoffMax = 1_000
/** Ids one queue remembers: some 100 bytes each. */
const deduplicationIdsMax = 10_000_000

const { both, needs, without, notNegative, positive, milliseconds, positiveMilliseconds } = checks
const retries = needs(['x-retry-attempts', 'x-retry-delay'], '"means nothing without \'x-retry-attempts\'"')
const deduplicates = needs(['x-message-deduplication'], '"means nothing without \'x-message-deduplication\'"')
const delayedRetries = ['x-delayed-retry-type', 'x-delayed-retry-min', 'x-delayed-retry-max']
const locators = ['client-local', 'balanced', 'random', 'least-leaders', 'min-masters']

const queueChecks: readonly Row[] = [
  ['x-expires', positiveMilliseconds],
  ['x-message-ttl', milliseconds],
  [deadLetterExchangeKey, checks.text],
  ['x-dead-letter-routing-key', both(checks.text, needs([deadLetterExchangeKey], 'routing_key_but_no_dlx_defined'))],
  ['x-dead-letter-strategy', checks.oneOf(['at-most-once', 'at-least-once'], 'invalid_dlx_strategy')],
  ['x-max-length', notNegative],
  ['x-max-length-bytes', notNegative],
  ['x-max-in-memory-length', notNegative],
  ['x-max-in-memory-bytes', notNegative],
  ['x-max-priority', checks.atMost(priorityMax, notNegative)],
  ['x-overflow', checks.oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], 'invalid_overflow')],
  ['x-single-active-consumer', checks.boolean],
  ['x-delivery-limit', checks.whole],
  ['x-consumer-timeout', milliseconds],
  ['x-consumer-disconnected-timeout', notNegative],
  ['x-delayed-retry-type', checks.oneOf(['disabled', 'all', 'failed', 'returned'], 'invalid_delayed_retry_type')],
  ['x-delayed-retry-min', milliseconds],
  ['x-delayed-retry-max', milliseconds],
  ['x-quorum-initial-group-size', positive],
  ['x-queue-mode', checks.queueMode],
  ['x-queue-version', checks.queueVersion],
  ['x-queue-master-locator', checks.text],
  ['x-retry-attempts', both(checks.atMost(retryAttemptsMax, checks.whole), without(delayedRetries))],
  ['x-retry-delay', both(milliseconds, without(delayedRetries))],
  ['x-retry-backoff', both(checks.numberWithin(1, retryBackoffMax), retries)],
  ['x-retry-max-delay', both(milliseconds, retries)],
  ['x-retry-jitter', both(checks.numberWithin(0, 1), retries)],
  ['x-retry-on', both(checks.oneOf(['all', 'requeue'], 'invalid_retry_on'), retries)],
  ['x-retry-parking-queue', both(checks.name, retries)],
  ['x-group-limit', checks.atMost(groupLimitMax, positive)],
  ['x-message-deduplication', checks.boolean],
  ['x-deduplication-window', both(positiveMilliseconds, both(deduplicates, without(['x-cache-ttl'])))],
  ['x-cache-ttl', both(positiveMilliseconds, deduplicates)],
  [
    'x-deduplication-size',
    both(checks.atMost(deduplicationIdsMax, positive), both(deduplicates, without(['x-cache-size']))),
  ],
  ['x-cache-size', both(checks.atMost(deduplicationIdsMax, positive), deduplicates)],
]

/** Bytes of a stream's filter, as RabbitMQ bounds them. */
const filterBytes = { min: 16, max: 255 }

const streamChecks: readonly Row[] = [
  ['x-max-age', checks.maxAge],
  ['x-stream-max-segment-size-bytes', positive],
  ['x-stream-filter-size-bytes', both(notNegative, checks.numberWithin(filterBytes.min, filterBytes.max))],
  ['x-initial-cluster-size', positive],
]

const sharedChecks: readonly Row[] = [
  [queueTypeKey, checks.text],
  ['x-queue-leader-locator', checks.oneOf(locators, 'invalid_queue_locator_arg')],
]

const rows = [...sharedChecks, ...queueChecks, ...streamChecks]
const keysOf = (some: readonly Row[]): string[] => some.map(([key]) => key)
const streamArguments = new Set(['x-max-length-bytes', ...keysOf([...streamChecks, ...sharedChecks])])
const queueArguments = new Set(keysOf([...sharedChecks, ...queueChecks]))

/** Compared when a queue is declared again. */
export const knownArguments: readonly string[] = keysOf(rows)

type Row = readonly [key: string, check: checks.Check]

// ---------------------------------------------------------------- what is asked of it

/** Throws (406) unless a queue may be made with these; `what` is how the error names the queue. */
export function checkQueueArguments(what: string, table: FieldTable): void {
  if (table.fields.size === 0) return
  const type = table.fields.get(queueTypeKey)
  if (type?.tag === 'S' && !queueTypes.some((known) => known === type.value)) {
    throw invalid(queueTypeKey, what, `"unsupported queue type '${valueText(type)}'"`)
  }
  for (const [key, check] of rows) {
    const field = table.fields.get(key)
    const wrong = field === undefined ? null : check(field, table)
    if (wrong !== null) throw invalid(key, what, wrong)
  }
  checkKindOf(what, table)
  checkDelayedRetry(what, table)
}

/** Throws (406) unless a stream may be so; other queues may be anything. */
export function checkStreamProperties(
  what: string,
  queue: { isDurable: boolean; isAutoDelete: boolean; exclusiveOwner: number | null; isServerNamed: boolean },
): void {
  if (queue.isServerNamed) {
    throw new BrokerError('precondition-failed', 'Cannot declare a server-named queue for type rabbit_stream_queue')
  }
  const wrong = [
    queue.isAutoDelete ? 'auto-delete' : null,
    queue.exclusiveOwner === null ? null : 'exclusive-owner',
    queue.isDurable ? null : 'non-durable',
  ].find((property) => property !== null)
  if (wrong !== undefined) throw new BrokerError('precondition-failed', `invalid property '${wrong}' for ${what}`)
}

/** The name in an argument that names an exchange; null when there is none. Throws when it is no name. */
export function exchangeArgument(what: string, key: string, table: FieldTable): string | null {
  const field = table.fields.get(key)
  if (field === undefined) return null
  if (field.tag === 'S') return field.value
  throw new BrokerError('precondition-failed', `invalid type '${typeName(field.tag)}' for arg '${key}' in ${what}`)
}

/** `x-priority` of a consumer; 0 when it does not say. */
export function consumerPriority(what: string, table: FieldTable): number {
  const field = table.fields.get('x-priority')
  if (field === undefined) return 0
  const wrong = checks.whole(field)
  if (wrong !== null) throw invalid('x-priority', what, wrong)
  return Number(field.value) // what is beyond 2^53 is rounded, which changes no order that anyone relies on
}

/** `x-consumer-timeout` of a consumer in milliseconds; null when it does not say, or says 0. */
export function consumerTimeoutMs(what: string, table: FieldTable): number | null {
  const field = table.fields.get('x-consumer-timeout')
  if (field === undefined) return null
  const wrong = checks.milliseconds(field)
  if (wrong !== null) throw invalid('x-consumer-timeout', what, wrong)
  return Number(field.value) || null
}

/** An argument of the other kind of queue. */
function checkKindOf(what: string, table: FieldTable): void {
  const type = queueTypeOf(table)
  const own = type === 'stream' ? streamArguments : queueArguments
  for (const key of table.fields.keys()) {
    if (own.has(key) || !knownArguments.includes(key)) continue
    throw new BrokerError('precondition-failed', `invalid arg '${key}' for ${what} of queue type ${type}`)
  }
}

function checkDelayedRetry(what: string, table: FieldTable): void {
  const type = table.fields.get('x-delayed-retry-type')?.value
  const min = table.fields.get('x-delayed-retry-min')?.value
  const max = table.fields.get('x-delayed-retry-max')?.value
  if (type !== undefined && type !== 'disabled' && min === undefined) {
    throw invalid('x-delayed-retry-type', what, '"means nothing without \'x-delayed-retry-min\'"')
  }
  if (min !== undefined && max !== undefined && Number(max) < Number(min)) {
    throw invalid('x-delayed-retry-max', what, `"expected at least ${Number(min)}, got ${Number(max)}"`)
  }
}

function invalid(key: string, what: string, why: string): BrokerError {
  return new BrokerError('precondition-failed', `invalid arg '${key}' for ${what}: ${why}`)
}
