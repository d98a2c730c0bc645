/** Which settings of a queue concern every message, as bits: so that a plain queue costs one comparison with 0. */
import type { QueueSettings } from './queue-settings.ts'

export const QueueFeature = {
  priority: 1,
  ttl: 2,
  limits: 4,
  /** The limits refuse what is new instead of giving up what is old. */
  rejects: 8,
  deduplication: 16,
  deadLetters: 32,
  lease: 64,
  /** Failures are counted in the log, because something depends on them. */
  counts: 128,
  expires: 256,
} as const

export function featuresOf(settings: QueueSettings): number {
  const hasLimit = settings.maxLength !== null || settings.maxLengthBytes !== null
  return (
    (settings.maxPriority === null ? 0 : QueueFeature.priority) |
    (settings.messageTtlMs === null ? 0 : QueueFeature.ttl) |
    (hasLimit ? QueueFeature.limits : 0) |
    (hasLimit && settings.overflow !== 'drop-head' ? QueueFeature.rejects : 0) |
    (settings.deduplication === null ? 0 : QueueFeature.deduplication) |
    (settings.deadLetterExchange === null ? 0 : QueueFeature.deadLetters) |
    (settings.consumerTimeoutMs === null ? 0 : QueueFeature.lease) |
    (settings.retry === null && settings.deliveryLimit === null ? 0 : QueueFeature.counts) |
    (settings.expiresMs === null ? 0 : QueueFeature.expires)
  )
}

/** Whether one more message of so many bytes would be above the limits. */
export function wouldOverflow(settings: QueueSettings, ready: number, readyBytes: number, bodyBytes: number): boolean {
  if (settings.maxLength !== null && ready + 1 > settings.maxLength) return true
  return settings.maxLengthBytes !== null && readyBytes + bodyBytes > settings.maxLengthBytes
}

/** Whether there is more than the limits allow. */
export function isOverfull(settings: QueueSettings, ready: number, readyBytes: number): boolean {
  if (settings.maxLength !== null && ready > settings.maxLength) return true
  return settings.maxLengthBytes !== null && readyBytes > settings.maxLengthBytes
}
