import type { FieldTable, FieldValue } from '../../amqp/field-table.ts'
import { BrokerError } from '../errors.ts'
import { typeName, valueText, wholeNumber } from './field-values.ts'

/**
 * The `x-` arguments of a queue: which are known, and which values they may have. What they do is the queue's business.
 *
 * One kind of queue has the features of RabbitMQ's classic and quorum queues both, so both names are accepted as
 * `x-queue-type` and each argument of either is known to both. Arguments of streams are refused on them.
 */
export const queueTypeKey = 'x-queue-type'
export const deadLetterExchangeKey = 'x-dead-letter-exchange'

type Check = (field: FieldValue, all: FieldTable) => string | null

const expiryMsMax = 315_360_000_000 // ten years
const priorityMax = 255

const checks: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['x-expires', expires],
  ['x-message-ttl', milliseconds],
  [deadLetterExchangeKey, text],
  ['x-dead-letter-routing-key', deadLetterRoutingKey],
  ['x-dead-letter-strategy', oneOf(['at-most-once', 'at-least-once'], 'invalid_dlx_strategy')],
  ['x-max-length', notNegative],
  ['x-max-length-bytes', notNegative],
  ['x-max-in-memory-length', notNegative],
  ['x-max-in-memory-bytes', notNegative],
  ['x-max-priority', priority],
  ['x-overflow', oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], 'invalid_overflow')],
  ['x-single-active-consumer', boolean],
  ['x-delivery-limit', whole],
  ['x-consumer-timeout', notNegative],
  ['x-consumer-disconnected-timeout', notNegative],
  ['x-delayed-retry-type', text],
  ['x-delayed-retry-min', notNegative],
  ['x-delayed-retry-max', notNegative],
  ['x-quorum-initial-group-size', groupSize],
  ['x-queue-mode', text],
  ['x-queue-version', version],
  ['x-queue-master-locator', text],
  ['x-queue-leader-locator', locator],
  [queueTypeKey, queueType],
])

/** Compared when a queue is declared again. */
export const knownArguments: readonly string[] = [...checks.keys()]

/** Known, but not to the queues there are. */
const streamArguments = [
  'x-max-age',
  'x-stream-max-segment-size-bytes',
  'x-stream-filter-size-bytes',
  'x-initial-cluster-size',
]

/** Throws unless a queue may be made with these; `what` is how the error names the queue. */
export function checkQueueArguments(what: string, table: FieldTable): void {
  for (const [key, field] of table.fields) {
    const wrong = checks.get(key)?.(field, table) ?? null
    if (wrong !== null) throw new BrokerError('precondition-failed', `invalid arg '${key}' for ${what}: ${wrong}`)
    if (!streamArguments.includes(key)) continue
    const type = table.fields.get(queueTypeKey)?.value ?? 'classic'
    throw new BrokerError('precondition-failed', `invalid arg '${key}' for ${what} of queue type ${type}`)
  }
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
  const wrong = whole(field)
  if (wrong !== null) throw new BrokerError('precondition-failed', `invalid arg 'x-priority' for ${what}: ${wrong}`)
  return Number(field.value) // what is beyond 2^53 is rounded, which changes no order that anyone relies on
}

// ---------------------------------------------------------------- values; the texts are RabbitMQ's

function whole(field: FieldValue): string | null {
  return wholeNumber(field) === null ? `"expected integer, got ${typeName(field.tag)}"` : null
}

function notNegative(field: FieldValue): string | null {
  const number = wholeNumber(field)
  if (number === null) return whole(field)
  return number < 0 ? `{value_negative,${number}}` : null
}

function milliseconds(field: FieldValue): string | null {
  const wrong = notNegative(field)
  if (wrong !== null) return wrong
  return Number(field.value) > expiryMsMax ? `{value_too_large,${field.value}}` : null
}

function expires(field: FieldValue): string | null {
  return wholeNumber(field) === 0 ? '{value_zero,0}' : milliseconds(field)
}

function priority(field: FieldValue): string | null {
  const wrong = notNegative(field)
  if (wrong !== null) return wrong
  return Number(field.value) > priorityMax ? `{max_value_exceeded,${field.value}}` : null
}

function groupSize(field: FieldValue): string | null {
  return wholeNumber(field) === 0 ? '{value_zero,0}' : notNegative(field)
}

/** Both versions there have been are taken; neither means anything here. */
function version(field: FieldValue): string | null {
  const number = wholeNumber(field)
  if (number === null) return whole(field)
  return number === 1 || number === 2 ? null : `"unsupported queue version '${number}'"`
}

function text(field: FieldValue): string | null {
  return field.tag === 'S' ? null : unacceptable(field)
}

function boolean(field: FieldValue): string | null {
  return field.tag === 't' ? null : unacceptable(field)
}

function deadLetterRoutingKey(field: FieldValue, all: FieldTable): string | null {
  return text(field) ?? (all.fields.has(deadLetterExchangeKey) ? null : 'routing_key_but_no_dlx_defined')
}

function oneOf(values: readonly string[], wrong: string): Check {
  return (field) => text(field) ?? (values.includes(String(field.value)) ? null : wrong)
}

const locators = ['client-local', 'balanced', 'random', 'least-leaders', 'min-masters']

function locator(field: FieldValue): string | null {
  return text(field) ?? (locators.includes(String(field.value)) ? null : 'invalid_queue_locator_arg')
}

function queueType(field: FieldValue): string | null {
  if (field.tag !== 'S') return unacceptable(field)
  return field.value === 'classic' || field.value === 'quorum' ? null : `"unsupported queue type '${valueText(field)}'"`
}

function unacceptable(field: FieldValue): string {
  return `{unacceptable_type,${typeName(field.tag)}}`
}
