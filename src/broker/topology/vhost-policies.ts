import type { FieldTable } from '../../amqp/field-table.ts'
import type { QueueSettings } from '../queue/queue-settings.ts'
import type { Matched, Policy } from './policy.ts'
import { merged, type PolicyKind, type PolicyValues } from './policy-keys.ts'
import { settingsOf } from './settings-of.ts'

/**
 * The policies of one vhost, and which of them apply to what: of each kind one, whatever others match too. Nothing is
 * put together of two policies but the limits of an operator's.
 */
export class VhostPolicies {
  readonly #byName: Readonly<Record<PolicyKind, Map<string, Policy>>> = {
    policy: new Map(),
    'operator-policy': new Map(),
  }
  readonly #inOrder: Record<PolicyKind, readonly Policy[]> = { policy: [], 'operator-policy': [] }
  /** By ids; made anew when a policy changes. */
  readonly #pairs = new Map<string, AppliedPolicy>()

  list(kind: PolicyKind): Iterable<Policy> {
    return this.#byName[kind].values()
  }

  get(kind: PolicyKind, name: string): Policy | undefined {
    return this.#byName[kind].get(name)
  }

  count(kind: PolicyKind): number {
    return this.#byName[kind].size
  }

  /** A policy of the same name is replaced. */
  add(policy: Policy): void {
    this.#byName[policy.kind].set(policy.name, policy)
    this.#changed(policy.kind)
  }

  remove(policy: Policy): void {
    this.#byName[policy.kind].delete(policy.name)
    this.#changed(policy.kind)
  }

  /** What applies to something of this kind and name. */
  appliedTo(kind: Matched, name: string): AppliedPolicy {
    const policy = this.#inOrder.policy.find((one) => one.matches(kind, name)) ?? null
    const operator = this.#inOrder['operator-policy'].find((one) => one.matches(kind, name)) ?? null
    if (policy === null && operator === null) return noPolicy
    const ids = `${policy?.id}/${operator?.id}`
    let pair = this.#pairs.get(ids)
    if (pair === undefined) {
      pair = new AppliedPolicy(policy, operator)
      this.#pairs.set(ids, pair)
    }
    return pair
  }

  #changed(kind: PolicyKind): void {
    this.#pairs.clear()
    this.#inOrder[kind] = [...this.#byName[kind].values()].sort(
      (a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1),
    )
  }
}

/** A policy and an operator policy together, shared by all they apply to. */
export class AppliedPolicy {
  readonly policy: Policy | null
  readonly operatorPolicy: Policy | null
  /** With the lower of the limits that both have. */
  readonly values: PolicyValues
  /** The same for two that say the same. */
  readonly text: string
  #plain: QueueSettings | null = null

  constructor(policy: Policy | null, operatorPolicy: Policy | null) {
    this.policy = policy
    this.operatorPolicy = operatorPolicy
    this.values = merged(policy?.values ?? null, operatorPolicy?.values ?? null)
    this.text = JSON.stringify([...this.values].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** The settings of a queue with these arguments. Queues without any share one object. */
  settingsFor(table: FieldTable): QueueSettings {
    if (table.fields.size > 0) return settingsOf(table, this.values)
    this.#plain ??= settingsOf(table, this.values)
    return this.#plain
  }
}

export const noPolicy = new AppliedPolicy(null, null)
