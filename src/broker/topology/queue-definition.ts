import type { FieldTable } from '../../amqp/field-table.ts'
import type { Queue } from '../ports.ts'
import type { QueueSettings } from '../queue/queue-settings.ts'
import type { MessageCounts } from '../statistics/message-counts.ts'

/** What a queue was declared as. What it holds is the shard's. */
export interface QueueDefinition {
  /** Unique for ever, also across restarts and redeclarations: (topology term) × 2^32 + count. Below 2^53. */
  readonly id: number
  readonly vhost: string
  readonly name: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  /** Id of the session (connection) that owns an exclusive queue; null for all others. */
  readonly exclusiveOwner: number | null
  /**
   * The shard that holds its messages: 0 … 65535 a data shard, chosen when the queue is declared and 0 on a single node; a
   * node's incarnation × 2^32: that node's own, which ends with it.
   */
  readonly shardId: number
  readonly arguments: FieldTable
  /** Arguments and policies put together. Another object when a policy changes. */
  settings: QueueSettings
  /** The handle through which its messages are reached; set once, when the definition is applied. */
  queue: Queue | null
  /** Of what clients of this node did with it; null: nothing yet. */
  counts: MessageCounts | null
}
