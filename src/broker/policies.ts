import type { Position } from '../log/log.ts'
import { BrokerError } from './errors.ts'
import { topologyLimits as limits } from './topology/limits.ts'
import { checkNameForm } from './topology/names.ts'
import { type ApplyTo, applyTos, policyPattern } from './topology/policy.ts'
import { erlangTerm, type PolicyKind, type PolicyValue, policyValues } from './topology/policy-keys.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import { checkRoom } from './vhost-rules.ts'

/** What an administrator says of a policy; anything may stand in it, as it may in JSON. */
export interface GivenPolicy {
  readonly pattern?: unknown
  readonly definition?: unknown
  /** Default 0. */
  readonly priority?: unknown
  /** Default `all`. */
  readonly applyTo?: unknown
}

/** A policy as it is shown. */
export interface ShownPolicy {
  readonly vhost: string
  readonly name: string
  readonly pattern: string
  readonly applyTo: ApplyTo
  readonly priority: number
  readonly definition: Readonly<Record<string, PolicyValue>>
}

/**
 * Makes a policy, or changes the one of that name; it applies soon after. Throws `precondition-failed` with RabbitMQ's
 * text when something in it does not fit, all of which is said at once.
 */
export function putPolicy(
  topology: Topology,
  kind: PolicyKind,
  at: { vhost: VhostState; name: string },
  given: GivenPolicy,
): Position {
  checkNameForm('policy', at.name)
  const { pattern, definition, priority = 0, applyTo = 'all' } = given
  const values = policyValues(kind, definition)
  const wrong = [
    typeof priority === 'number' ? null : `priority should be a number, actually was ${erlangTerm(priority)}`,
    whyNoPattern(pattern),
    isApplyTo(applyTo) ? null : unrecognised(applyTo),
    typeof values === 'string' ? values : null,
  ].filter((text) => text !== null)
  if (wrong.length > 0 || typeof values === 'string' || !isApplyTo(applyTo)) throw invalid(wrong)
  if (at.vhost.policies.get(kind, at.name) === undefined) checkNew(topology, at.vhost, kind)
  const properties = { name: at.name, pattern: String(pattern), applyTo, priority: Number(priority), values }
  return topology.putPolicy(kind, at.vhost, properties)
}

export function deletePolicy(
  topology: Topology,
  kind: PolicyKind,
  { vhost, name }: { vhost: VhostState; name: string },
): Position {
  const policy = vhost.policies.get(kind, name)
  if (policy === undefined) throw new BrokerError('not-found', `no ${kind} '${name}' in vhost '${vhost.name}'`)
  return topology.removeRow(policy)
}

export function* listPolicies(vhost: VhostState, kind: PolicyKind): Generator<ShownPolicy> {
  for (const { name, pattern, applyTo, priority, values } of vhost.policies.list(kind)) {
    yield { vhost: vhost.name, name, pattern, applyTo, priority, definition: Object.fromEntries(values) }
  }
}

function checkNew(topology: Topology, vhost: VhostState, kind: PolicyKind): void {
  checkRoom(topology, true)
  if (vhost.policies.count(kind) < limits.policiesPerVhostMax) return
  const text = `cannot add ${kind}: policy limit in vhost '${vhost.name}' (${limits.policiesPerVhostMax}) is reached`
  throw new BrokerError('precondition-failed', text)
}

function whyNoPattern(pattern: unknown): string | null {
  if (pattern === undefined) return 'Key "pattern" not found in policy'
  if (typeof pattern !== 'string') return `pattern should be a binary but was ${erlangTerm(pattern)}`
  const { error } = policyPattern(pattern)
  return error === null ? null : `pattern should be regular expression but is invalid: it ${error}`
}

function isApplyTo(value: unknown): value is ApplyTo {
  return applyTos.some((known) => known === value)
}

function unrecognised(applyTo: unknown): string {
  const shown = typeof applyTo === 'string' ? applyTo : erlangTerm(applyTo)
  return (
    `apply-to '${shown}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', ` +
    "'exchanges', or 'all'"
  )
}

function invalid(texts: readonly string[]): BrokerError {
  return new BrokerError('precondition-failed', `Validation failed\n\n${texts.join('\n')}\n`)
}
