import { Policy } from './policy.ts'
import type { PolicyRecord, VhostLimitsRecord, VhostMetadataRecord } from './records.ts'
import type { VhostLimits, VhostMetadata } from './vhost-rows.ts'
import type { VhostState } from './vhost-state.ts'

/** What vhosts have beside their contents, as the records say: policies, limits, metadata. Part of `Definitions`. */
export class VhostDefinitions {
  readonly #vhost: (id: number) => VhostState
  readonly #policiesChanged: (vhost: VhostState) => void

  constructor(vhost: (id: number) => VhostState, policiesChanged: (vhost: VhostState) => void) {
    this.#vhost = vhost
    this.#policiesChanged = policiesChanged
  }

  makePolicy(record: PolicyRecord): Policy {
    const vhost = this.#vhost(record.vhost)
    const values = new Map(Object.entries(record.definition))
    const policy = new Policy(record.kind, record.id, vhost, { ...record, values })
    vhost.policies.add(policy)
    this.#policiesChanged(vhost)
    return policy
  }

  makeLimits({ kind, id, vhost, maxConnections, maxQueues }: VhostLimitsRecord): VhostLimits {
    const limits: VhostLimits = { kind, id, vhost, maxConnections, maxQueues, stored: null }
    this.#vhost(vhost).limits = limits
    return limits
  }

  makeMetadata({ kind, id, vhost, description, tags, defaultQueueType }: VhostMetadataRecord): VhostMetadata {
    const metadata: VhostMetadata = { kind, id, vhost, description, tags, defaultQueueType, stored: null }
    this.#vhost(vhost).metadata = metadata
    return metadata
  }

  remove(definition: Policy | VhostLimits | VhostMetadata): void {
    switch (definition.kind) {
      case 'policy':
      case 'operator-policy':
        definition.home.policies.remove(definition)
        this.#policiesChanged(definition.home)
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
