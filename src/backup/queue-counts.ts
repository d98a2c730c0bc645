import type { Clock } from '../base/clock.ts'
import { isStream } from '../broker/topology/queue-arguments.ts'
import type { Topology } from '../broker/topology/topology.ts'
import type { QueueCount } from './archive.ts'

/** Queues counted between two turns of the event loop. */
const countedPerTurn = 1_000

/** What is in each queue that a backup holds; streams are not counted. With many queues it is not all of one moment. */
export async function countQueues(topology: Topology, clock: Clock): Promise<QueueCount[]> {
  const counts: QueueCount[] = []
  let looked = 0
  for (const vhost of topology.vhosts.values()) {
    for (const queue of vhost.queues.values()) {
      if (++looked % countedPerTurn === 0) await new Promise<void>((resolve) => clock.soon(resolve))
      if (!queue.isDurable || queue.exclusiveOwner !== null || isStream(queue)) continue
      const { ready, unacked } = topology.statusNow(queue)
      counts.push({ vhost: vhost.name, name: queue.name, messages: ready + unacked })
    }
  }
  return counts
}
