import { Policy } from './policy.ts'
import type { PolicyRecord, VhostLimitsRecord, VhostMetadataRecord } from './records.ts'
import type { VhostLimits, VhostMetadata } from './vhost-rows.ts'
import type { VhostState } from './vhost-state.ts'
import type { Webhook, WebhookRecord } from './webhook.ts'

/** What stands beside the contents of a vhost. */
export type VhostRow = Policy | VhostLimits | VhostMetadata | Webhook
type VhostRowRecord = PolicyRecord | VhostLimitsRecord | VhostMetadataRecord | WebhookRecord

/** What vhosts have beside their contents, as the records say: policies, limits, metadata, webhooks. Part of `Definitions`. */
export class VhostDefinitions {
  readonly #vhost: (id: number) => VhostState
  readonly #policiesChanged: (vhost: VhostState) => void

  constructor(vhost: (id: number) => VhostState, policiesChanged: (vhost: VhostState) => void) {
    this.#vhost = vhost
    this.#policiesChanged = policiesChanged
  }

  make(record: VhostRowRecord): VhostRow {
    switch (record.kind) {
      case 'vhost-limits':
        return this.#makeLimits(record)
      case 'vhost-metadata':
        return this.#makeMetadata(record)
      case 'webhook':
        return this.#makeWebhook(record)
      default:
        return this.#makePolicy(record)
    }
  }

  /** All of one vhost. */
  *of({ policies, limits, metadata, webhooks }: VhostState): Generator<VhostRow> {
    yield* policies.list('policy')
    yield* policies.list('operator-policy')
    yield* webhooks.values()
    if (limits !== null) yield limits
    if (metadata !== null) yield metadata
  }

  #makePolicy(record: PolicyRecord): Policy {
    const vhost = this.#vhost(record.vhost)
    const values = new Map(Object.entries(record.definition))
    const policy = new Policy(record.kind, record.id, vhost, { ...record, values })
    vhost.policies.add(policy)
    this.#policiesChanged(vhost)
    return policy
  }

  #makeLimits({ kind, id, vhost, maxConnections, maxQueues }: VhostLimitsRecord): VhostLimits {
    const limits: VhostLimits = { kind, id, vhost, maxConnections, maxQueues, stored: null }
    this.#vhost(vhost).limits = limits
    return limits
  }

  #makeMetadata({ kind, id, vhost, description, tags, defaultQueueType }: VhostMetadataRecord): VhostMetadata {
    const metadata: VhostMetadata = { kind, id, vhost, description, tags, defaultQueueType, stored: null }
    this.#vhost(vhost).metadata = metadata
    return metadata
  }

  #makeWebhook({ vhost, ...record }: WebhookRecord): Webhook {
    const home = this.#vhost(vhost)
    const webhook: Webhook = { ...record, caCertificates: record.caCertificates ?? null, home, stored: null }
    home.webhooks.set(webhook.name, webhook)
    return webhook
  }

  remove(definition: VhostRow): void {
    switch (definition.kind) {
      case 'policy':
      case 'operator-policy':
        definition.home.policies.remove(definition)
        this.#policiesChanged(definition.home)
        break
      case 'webhook':
        definition.home.webhooks.delete(definition.name)
        break
      case 'vhost-limits':
        this.#vhost(definition.vhost).limits = null
        break
      case 'vhost-metadata':
        this.#vhost(definition.vhost).metadata = null
        break
    }
  }
}
