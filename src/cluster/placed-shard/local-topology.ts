/**
 * The topology as a shard sees it that is served here: dead letters for its own queues are routed to its own handles of
 * them, so that they are stored with the end of what they come from, in one record. All others go through their lasting
 * handles, wherever those shards are.
 */
import type { Queue, ShardTopology } from '../../broker/ports.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'

/** `handleOf` is null for a queue of another shard. */
export function localTopology(
  topology: ShardTopology,
  handleOf: (definition: QueueDefinition) => Queue | null,
): ShardTopology {
  return {
    get appended() {
      return topology.appended
    },
    get committed() {
      return topology.committed
    },
    reroute: (vhost, exchange, keys, message, route) => {
      if (!topology.reroute(vhost, exchange, keys, message, route)) return false
      for (let index = 0; index < route.count; index++) {
        const queue = route.queues[index] as Queue
        route.queues[index] = handleOf(queue.definition) ?? queue
      }
      return true
    },
    expireQueue: (definition) => topology.expireQueue(definition),
  }
}
