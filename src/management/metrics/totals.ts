import { type MessageCounts, VhostCounts } from '../../broker/statistics/message-counts.ts'
import type { ApiParts } from '../api/route.ts'

/** What there is of everything, added up. */
export interface NodeTotals {
  readonly counts: VhostCounts
  ready: number
  unacked: number
  consumers: number
  queues: number
  connections: number
  channels: number
  /** Channels on which something was published. */
  publishers: number
  unconfirmed: number
  vhosts: number
}

/** Goes through all queues and channels; yields wherever it may be interrupted. */
export function* totalsOf({ broker, connections }: ApiParts): Generator<void, NodeTotals> {
  const { topology } = broker
  const totals: NodeTotals = {
    counts: new VhostCounts(),
    ready: 0,
    unacked: 0,
    consumers: 0,
    queues: 0,
    connections: 0,
    channels: 0,
    publishers: 0,
    unconfirmed: 0,
    vhosts: topology.vhosts.size,
  }
  totals.counts.addVhost(topology.former.messages)
  for (const vhost of topology.vhosts.values()) {
    totals.counts.addVhost(vhost.counts)
    totals.queues += vhost.queues.size
    for (const queue of vhost.queues.values()) {
      const { ready, unacked, consumers } = topology.statusNow(queue)
      totals.ready += ready
      totals.unacked += unacked
      totals.consumers += consumers
      yield
    }
  }
  for (const connection of connections.openConnections) {
    totals.connections++
    for (const { counts, unconfirmed } of connection.channels()) {
      totals.channels++
      totals.unconfirmed += unconfirmed
      if (counts.publish > 0) totals.publishers++
    }
    yield
  }
  return totals
}

export function deliveredOf({ deliver, deliverNoAck, get, getNoAck }: MessageCounts): number {
  return deliver + deliverNoAck + get + getNoAck
}
