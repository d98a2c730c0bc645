import type { Permissions } from '../access/authorise.ts'
import type { Permission, TopicPermission } from '../access/permission.ts'
import { VhostCounts } from '../statistics/message-counts.ts'
import { QueueChurn } from '../statistics/queue-churn.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Exchange } from './exchange.ts'
import type { StoredRecord } from './live-records.ts'
import { VhostPolicies } from './vhost-policies.ts'
import type { VhostLimits, VhostMetadata } from './vhost-rows.ts'
import type { Webhook } from './webhook.ts'

/** What exists in one vhost. Only topology's `apply` changes it. */
export class VhostState implements Permissions {
  readonly kind = 'vhost'
  readonly id: number
  readonly name: string
  readonly exchanges = new Map<string, Exchange>()
  readonly queues = new Map<string, DeclaredQueue>()
  readonly permissions = new Map<string, Permission>()
  readonly topicPermissions = new Map<string, TopicPermission>()
  readonly policies = new VhostPolicies()
  readonly webhooks = new Map<string, Webhook>()
  /** Null: none. */
  limits: VhostLimits | null = null
  metadata: VhostMetadata | null = null
  permissionEpoch = 0
  /** Changes with every exchange, queue, binding and right. */
  version = 0
  bindingCount = 0
  readonly counts = new VhostCounts()
  readonly churn = new QueueChurn()
  /** It is being deleted or has been: nothing can be done in it any more. */
  isClosed = false
  stored: StoredRecord | null = null

  constructor(id: number, name: string) {
    this.id = id
    this.name = name
  }
}
