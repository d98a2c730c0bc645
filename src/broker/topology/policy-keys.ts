import { expiryMsMax, maxAgeMs } from './argument-checks.ts'

/**
 * The keys of policies: which there are, which values they may have, in which kind of policy and for what they mean
 * something. The texts are RabbitMQ's, Erlang terms and all.
 */

export type PolicyValue = string | number | boolean
/** A policy's definition: keys known, values checked. */
export type PolicyValues = ReadonlyMap<string, PolicyValue>

interface PolicyKey {
  readonly fits: (value: unknown) => boolean
  /** Completes "… is not a valid". */
  readonly noun: string
  /** What the policy's user sets and the operator's limits may both say: the lower one counts. */
  readonly isOperators?: true
  /** A policy with it is for streams only, or for all queues but them. Others are for everything. */
  readonly only?: 'streams' | 'queues'
}

const text = (value: unknown): boolean => typeof value === 'string'
const whole = (value: unknown): boolean => Number.isSafeInteger(value)
const from =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    whole(value) && Number(value) >= min && Number(value) <= max
const number =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    typeof value === 'number' && value >= min && value <= max
const among =
  (...values: string[]) =>
  (value: unknown): boolean =>
    typeof value === 'string' && values.includes(value)
const count = from(0, Number.MAX_SAFE_INTEGER)
const locator = among('client-local', 'balanced', 'random', 'least-leaders', 'min-masters')

export const policyKeys: ReadonlyMap<string, PolicyKey> = new Map<string, PolicyKey>([
  ['alternate-exchange', { fits: text, noun: 'alternate exchange name' }],
  ['dead-letter-exchange', { fits: text, noun: 'dead letter exchange name', only: 'queues' }],
  ['dead-letter-routing-key', { fits: text, noun: 'dead letter routing key', only: 'queues' }],
  [
    'dead-letter-strategy',
    { fits: among('at-most-once', 'at-least-once'), noun: 'dead letter strategy', only: 'queues' },
  ],
  ['message-ttl', { fits: from(0, expiryMsMax), noun: 'message TTL', isOperators: true, only: 'queues' }],
  ['expires', { fits: from(1, expiryMsMax), noun: 'queue expiry', isOperators: true, only: 'queues' }],
  ['max-length', { fits: count, noun: 'maximum length', isOperators: true, only: 'queues' }],
  ['max-length-bytes', { fits: count, noun: 'maximum length in bytes', isOperators: true }],
  ['max-in-memory-length', { fits: count, noun: 'maximum memory in bytes', isOperators: true, only: 'queues' }],
  ['max-in-memory-bytes', { fits: count, noun: 'maximum memory in bytes', isOperators: true, only: 'queues' }],
  [
    'overflow',
    { fits: among('drop-head', 'reject-publish', 'reject-publish-dlx'), noun: 'overflow value', only: 'queues' },
  ],
  ['delivery-limit', { fits: whole, noun: 'delivery limit', isOperators: true, only: 'queues' }],
  ['consumer-timeout', { fits: from(0, expiryMsMax), noun: 'consumer timeout', isOperators: true, only: 'queues' }],
  [
    'delayed-retry-type',
    { fits: among('disabled', 'all', 'failed', 'returned'), noun: 'delayed retry type', only: 'queues' },
  ],
  ['delayed-retry-min', { fits: from(0, expiryMsMax), noun: 'delayed retry minimum', only: 'queues' }],
  ['delayed-retry-max', { fits: from(0, expiryMsMax), noun: 'delayed retry maximum', only: 'queues' }],
  ['queue-mode', { fits: among('default', 'lazy'), noun: 'queue-mode value', only: 'queues' }],
  ['queue-version', { fits: from(1, 2), noun: 'queue version', only: 'queues' }],
  ['queue-leader-locator', { fits: locator, noun: 'queue leader locator value' }],
  ['queue-master-locator', { fits: text, noun: 'queue master locator', only: 'queues' }],
  ['target-group-size', { fits: count, noun: 'target group size', isOperators: true }],
  ['max-age', { fits: (value) => text(value) && maxAgeMs(String(value)) !== null, noun: 'max age', only: 'streams' }],
  ['stream-max-segment-size-bytes', { fits: from(1, Number.MAX_SAFE_INTEGER), noun: 'segment size', only: 'streams' }],
  ['stream-filter-size-bytes', { fits: from(16, 255), noun: 'filter size', only: 'streams' }],
  ['initial-cluster-size', { fits: count, noun: 'cluster size', only: 'streams' }],
  ['group-limit', { fits: from(1, 1_000_000), noun: 'group limit', isOperators: true, only: 'queues' }],
  ['retry-attempts', { fits: from(-1, 1_000_000), noun: 'number of retries', only: 'queues' }],
  ['retry-delay', { fits: from(0, expiryMsMax), noun: 'retry delay', only: 'queues' }],
  ['retry-backoff', { fits: number(1, 1_000), noun: 'retry backoff', only: 'queues' }],
  ['retry-max-delay', { fits: from(0, expiryMsMax), noun: 'maximum retry delay', only: 'queues' }],
  ['retry-jitter', { fits: number(0, 1), noun: 'retry jitter', only: 'queues' }],
  ['retry-on', { fits: among('all', 'requeue'), noun: 'retry condition', only: 'queues' }],
  ['retry-parking-queue', { fits: (value) => text(value) && value !== '', noun: 'parking queue', only: 'queues' }],
])

export type PolicyKind = 'policy' | 'operator-policy'

/** The definition, or what is wrong with it. */
export function policyValues(kind: PolicyKind, given: unknown): PolicyValues | string {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return `definition must be a dictionary: ${erlangTerm(given)}`
  }
  const entries = Object.entries(given as Readonly<Record<string, unknown>>)
  if (entries.length === 0) return 'no policy provided'
  const known = (key: string): boolean => {
    const row = policyKeys.get(key)
    return row !== undefined && (kind === 'policy' || row.isOperators === true)
  }
  for (const [key, value] of entries) {
    const row = policyKeys.get(key)
    if (row !== undefined && known(key) && !row.fits(value)) return `${erlangTerm(value)} is not a valid ${row.noun}`
  }
  const unknown = entries.filter(([key]) => !known(key))
  if (unknown.length > 0) {
    const terms = unknown.map(([key, value]) => `{${erlangTerm(key)},${erlangTerm(value)}}`)
    return `[${terms.join(',')}] are not recognised policy settings`
  }
  return new Map(entries as [string, PolicyValue][])
}

/** JSON as RabbitMQ's texts show it. At most some hundred characters. */
export function erlangTerm(value: unknown): string {
  const term = typeof value === 'string' ? `<<${JSON.stringify(value)}>>` : (JSON.stringify(value) ?? 'undefined')
  return term.length <= termLengthMax ? term : `${term.slice(0, termLengthMax)}...`
}

const termLengthMax = 200

/** The definition that applies where a policy and an operator policy both do. */
export function merged(policy: PolicyValues | null, operator: PolicyValues | null): PolicyValues {
  if (policy === null) return operator ?? new Map()
  const values = new Map(policy)
  for (const [key, value] of operator ?? []) values.set(key, lower(key, values.get(key), value))
  return values
}

/** The lower of two limits of one name. Of delivery limits a negative one is none. */
export function lower(key: string, one: PolicyValue | undefined, other: PolicyValue): PolicyValue {
  if (typeof one !== 'number' || typeof other !== 'number') return other
  return key === 'delivery-limit' && (one < 0 || other < 0) ? Math.max(one, other) : Math.min(one, other)
}
