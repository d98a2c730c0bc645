/**
 * What applies to one queue now: its arguments, its policy and its operator policy put together (`topology/` does
 * that). An object is never changed; a queue whose policy changes gets a new one.
 *
 * Null is "not set" throughout. Times are milliseconds, sizes bytes of bodies.
 */
export interface QueueSettings {
  // ---------------------------------------------------------------- expiry and limits
  /** `x-message-ttl`, `message-ttl`. 0: delivered at once or expired. */
  readonly messageTtlMs: number | null
  /** `x-expires`, `expires`: the queue goes after so long without use. */
  readonly expiresMs: number | null
  /** `x-max-length`, `max-length`: ready messages. */
  readonly maxLength: number | null
  /** `x-max-length-bytes`, `max-length-bytes`: body bytes of ready messages. */
  readonly maxLengthBytes: number | null
  readonly overflow: 'drop-head' | 'reject-publish' | 'reject-publish-dlx'
  // ---------------------------------------------------------------- dead letters
  /** `x-dead-letter-exchange`. The empty string is the default exchange; null: nothing is dead-lettered. */
  readonly deadLetterExchange: string | null
  readonly deadLetterRoutingKey: string | null
  /** `x-dead-letter-strategy` at-least-once: a dead letter that no queue takes stays where it is and is tried again. */
  readonly keepsUnroutable: boolean
  /** `x-delivery-limit`: failed deliveries after which a message is dead-lettered; null is unlimited. */
  readonly deliveryLimit: number | null
  // ---------------------------------------------------------------- order
  /** `x-max-priority`, an argument only; null: no priorities. */
  readonly maxPriority: number | null
  /** `x-single-active-consumer`, an argument only. */
  readonly isSingleActive: boolean
  /** `x-group-limit`, `group-limit`: messages of one `x-group` key in flight at once; 1 keeps their order. */
  readonly groupLimit: number
  // ---------------------------------------------------------------- Warren's own
  readonly retry: RetrySettings | null
  /** `x-message-deduplication: true` with its window; null: no deduplication. */
  readonly deduplication: DeduplicationSettings | null
  /** `x-consumer-timeout`, `consumer-timeout`: a delivery's lease; expiry requeues the message. */
  readonly consumerTimeoutMs: number | null
  // ---------------------------------------------------------------- streams only
  /** `x-max-age`, `max-age`: whole segments go once all in them is older. */
  readonly maxAgeMs: number | null
  /** `x-stream-max-segment-size-bytes`; null: the stream's own default. */
  readonly segmentBytes: number | null
  /** `x-stream-filter-size-bytes`: of the filter beside each part of a segment, 16 to 255. */
  readonly filterBytes: number | null
}

/** Waiting longer and longer between attempts, then parking. `docs/retry.md`. */
export interface RetrySettings {
  /** `x-retry-attempts`: retries after the first delivery; null: for ever. */
  readonly attempts: number | null
  /** `x-retry-delay`: before the first retry. */
  readonly delayMs: number
  /** `x-retry-backoff`: each delay is the one before times this, at least 1. RabbitMQ's delayed retry is linear. */
  readonly backoff: number | 'linear'
  /** `x-retry-max-delay`. */
  readonly maxDelayMs: number
  /** `x-retry-jitter`: share of the delay that is random, 0 to 1. */
  readonly jitter: number
  /**
   * `x-retry-on`: every failure, or only those that ask for the message to come back. The others are RabbitMQ's delayed
   * retry, where a nack is no failure: what is given back waits in any case, only if it failed, or only if it did not.
   */
  readonly on: 'all' | 'requeue' | 'given-back' | 'failed' | 'returned'
  /** `x-retry-parking-queue`: where a message goes when its attempts are used up; null: it is dead-lettered. */
  readonly parkingQueue: string | null
}

export interface DeduplicationSettings {
  /** `x-deduplication-window` (or `x-cache-ttl`): how long an id is remembered. */
  readonly windowMs: number
  /** `x-deduplication-size` (or `x-cache-size`): ids remembered at most, the oldest goes first. */
  readonly idsMax: number
}

/** A queue without any arguments and policies. */
export const plainSettings: QueueSettings = {
  messageTtlMs: null,
  expiresMs: null,
  maxLength: null,
  maxLengthBytes: null,
  overflow: 'drop-head',
  deadLetterExchange: null,
  deadLetterRoutingKey: null,
  keepsUnroutable: false,
  deliveryLimit: null,
  maxPriority: null,
  isSingleActive: false,
  groupLimit: 1,
  retry: null,
  deduplication: null,
  consumerTimeoutMs: null,
  maxAgeMs: null,
  segmentBytes: null,
  filterBytes: null,
}
