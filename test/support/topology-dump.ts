import { canonicalText } from '../../src/broker/topology/field-values.ts'
import { recordOf } from '../../src/broker/topology/record-of.ts'
import type { DefinitionRecord } from '../../src/broker/topology/records.ts'
import type { Topology } from '../../src/broker/topology/topology.ts'
import type { VhostState } from '../../src/broker/topology/vhost-state.ts'

/** Everything durable that a topology holds, one line each, in order: equal for two that hold the same. */
export function durableDump(topology: Topology): string[] {
  const lines: string[] = []
  for (const user of topology.users.values()) {
    lines.push(lineOf(recordOf(user)))
    if (user.limits !== null) lines.push(lineOf(recordOf(user.limits)))
  }
  for (const parameter of topology.globalParameters.values()) lines.push(lineOf(recordOf(parameter)))
  for (const vhost of topology.vhosts.values()) lines.push(...vhostDump(vhost))
  return lines.sort()
}

function vhostDump(vhost: VhostState): string[] {
  const lines = [lineOf(recordOf(vhost))]
  for (const permission of vhost.permissions.values()) lines.push(lineOf(recordOf(permission)))
  for (const permission of vhost.topicPermissions.values()) lines.push(lineOf(recordOf(permission)))
  for (const kind of ['policy', 'operator-policy'] as const) {
    for (const policy of vhost.policies.list(kind)) lines.push(lineOf(recordOf(policy)))
  }
  for (const row of [vhost.limits, vhost.metadata]) if (row !== null) lines.push(lineOf(recordOf(row)))
  for (const queue of vhost.queues.values()) if (queue.isDurable) lines.push(lineOf(recordOf(queue)))
  for (const exchange of vhost.exchanges.values()) {
    if (exchange.isDurable) lines.push(lineOf(recordOf(exchange)))
    for (const binding of exchange.outgoing.values()) {
      if (binding.isDurable && !binding.isGone) lines.push(lineOf(recordOf(binding)))
    }
  }
  return lines
}

function lineOf(record: DefinitionRecord): string {
  const table = 'arguments' in record ? canonicalText(record.arguments) : ''
  return JSON.stringify({ ...record, arguments: table })
}
