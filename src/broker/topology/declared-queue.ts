import type { FieldTable } from '../../amqp/field-table.ts'
import type { Queue } from '../ports.ts'
import type { QueueSettings } from '../queue/queue-settings.ts'
import { IncomingBindings } from './binding.ts'
import type { StoredRecord } from './live-records.ts'
import type { QueueDefinition } from './queue-definition.ts'
import { settingsOf } from './settings-of.ts'
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
  readonly arguments: FieldTable
  settings: QueueSettings
  queue: Queue | null = null
  /** Bindings that lead here. */
  readonly incoming = new IncomingBindings()
  /** The last routing that reached it (`router.ts`). */
  mark = 0
  /** It has been deleted; bindings that still lead here are being taken out (`detaching.ts`). */
  isGone = false
  stored: StoredRecord | null = null

  constructor(id: number, home: VhostState, properties: QueueProperties) {
    this.id = id
    this.home = home
    this.name = properties.name
    this.isDurable = properties.isDurable
    this.isAutoDelete = properties.isAutoDelete
    this.exclusiveOwner = properties.exclusiveOwner
    this.arguments = properties.arguments
    this.settings = settingsOf(properties.arguments)
  }

  get vhost(): string {
    return this.home.name
  }
}

export interface QueueProperties {
  readonly name: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly exclusiveOwner: number | null
  readonly arguments: FieldTable
}
