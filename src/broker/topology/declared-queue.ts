import type { FieldTable } from '../../amqp/field-table.ts'
import type { Queue } from '../ports.ts'
import type { QueueSettings } from '../queue/queue-settings.ts'
import type { MessageCounts } from '../statistics/message-counts.ts'
import { IncomingBindings } from './binding.ts'
import type { StoredRecord } from './live-records.ts'
import { queueTypeOf } from './queue-arguments.ts'
import type { QueueDefinition } from './queue-definition.ts'
import { type AppliedPolicy, noPolicy } from './vhost-policies.ts'
import type { VhostState } from './vhost-state.ts'

/** A queue definition with what topology notes beside it: its bindings, and where its record lies. */
export class DeclaredQueue implements QueueDefinition {
  readonly kind = 'queue'
  readonly id: number
  readonly home: VhostState
  readonly name: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly exclusiveOwner: number | null
  readonly shardId: number
  readonly arguments: FieldTable
  settings: QueueSettings
  /** What applies to it of the vhost's policies. */
  applied: AppliedPolicy = noPolicy
  queue: Queue | null = null
  counts: MessageCounts | null = null
  /** Bindings that lead here. */
  readonly incoming = new IncomingBindings()
  /** The last routing that reached it (`router.ts`). */
  mark = 0
  /** It has been deleted; bindings that still lead here are being taken out (`detaching.ts`). */
  isGone = false
  stored: StoredRecord | null = null

  constructor(id: number, home: VhostState, properties: QueueProperties & { readonly shardId?: number }) {
    this.id = id
    this.home = home
    this.name = properties.name
    this.isDurable = properties.isDurable
    this.isAutoDelete = properties.isAutoDelete
    this.exclusiveOwner = properties.exclusiveOwner
    this.shardId = properties.shardId ?? 0
    this.arguments = properties.arguments
    this.settings = noPolicy.settingsFor(properties.arguments)
    this.applyPolicy()
  }

  get vhost(): string {
    return this.home.name
  }

  /** Looks again which policies apply; true when the settings are others now. */
  applyPolicy(): boolean {
    const { applied } = this
    this.applied = this.home.policies.appliedTo(queueTypeOf(this.arguments), this.name)
    if (this.applied.text === applied.text) return false
    this.settings = this.applied.settingsFor(this.arguments)
    return true
  }
}

export interface QueueProperties {
  readonly name: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly exclusiveOwner: number | null
  readonly arguments: FieldTable
}
