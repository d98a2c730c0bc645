import type { StoredRecord } from './live-records.ts'
import type { QueueType } from './queue-arguments.ts'

/** What is known of a vhost beside its contents, each in a record of its own that may be said again and taken away. */

/** How much there may be in a vhost; null: no limit. 0 lets nobody in, or nothing be declared. */
export interface VhostLimits {
  readonly kind: 'vhost-limits'
  readonly id: number
  readonly vhost: number
  readonly maxConnections: number | null
  readonly maxQueues: number | null
  stored: StoredRecord | null
}

export interface VhostMetadata extends VhostProperties {
  readonly kind: 'vhost-metadata'
  readonly id: number
  readonly vhost: number
  stored: StoredRecord | null
}

export interface VhostProperties {
  readonly description: string
  readonly tags: readonly string[]
  /** The type of queues that are declared without one; null: classic. */
  readonly defaultQueueType: QueueType | null
}
