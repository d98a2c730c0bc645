import { MessageCounts, VhostCounts } from '../../broker/statistics/message-counts.ts'
import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import { type QueueType, queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { ApiParts } from '../api/route.ts'

/** What there is of everything, added up. */
export interface NodeTotals {
  readonly counts: VhostCounts
  /** The same by type of the queue, as it was declared; what happened to a queue that is gone already counts as classic. */
  readonly byType: Readonly<Record<QueueType, MessageCounts>>
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

/** Queues between two looks at the time. */
const stepQueues = 32

/** Goes through all queues and channels; yields wherever it may be interrupted. */
export function* totalsOf({ broker, connections }: ApiParts): Generator<void, NodeTotals> {
  const { topology } = broker
  const totals: NodeTotals = {
    counts: new VhostCounts(),
    byType: { classic: new MessageCounts(), quorum: new MessageCounts(), stream: new MessageCounts() },
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
  const notClassic: DeclaredQueue[] = []
  let seen = 0
  for (const vhost of topology.vhosts.values()) {
    totals.queues += vhost.queues.size
    for (const queue of vhost.queues.values()) {
      if (++seen % stepQueues === 0) yield
      const { ready, unacked, consumers } = topology.statusNow(queue)
      totals.ready += ready
      totals.unacked += unacked
      totals.consumers += consumers
      if (queueTypeOf(queue.arguments) !== 'classic') notClassic.push(queue)
    }
  }
  addCounts(totals, topology, notClassic)
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

/** In one go: counts of parts and of the whole are of the same moment. */
function addCounts({ counts, byType }: NodeTotals, { former, vhosts }: Topology, notClassic: DeclaredQueue[]): void {
  counts.addVhost(former.messages)
  for (const vhost of vhosts.values()) counts.addVhost(vhost.counts)
  byType.quorum.add(counts.former.quorum)
  byType.stream.add(counts.former.stream)
  for (const queue of notClassic) {
    if (!queue.isGone && queue.counts !== null) byType[queueTypeOf(queue.arguments)].add(queue.counts)
  }
  byType.classic.add(counts)
  byType.classic.subtract(byType.quorum)
  byType.classic.subtract(byType.stream)
}

export function deliveredOf({ deliver, deliverNoAck, get, getNoAck }: MessageCounts): number {
  return deliver + deliverNoAck + get + getNoAck
}
