import { hashOf } from '../../broker/topology/hash.ts'
import type { Placement } from '../../broker/topology/topology.ts'
import { idsPerIncarnation, incarnationOf, type NodeIdentity } from '../node-identity.ts'

/**
 * The shard of a new queue. What outlives a node is spread over `shards` data shards by its name; what ends with a session
 * or a node lives where that session is, in the node's own shard (nobody's session: where the topology is owned).
 */
export function queuePlacement(shards: number, self: NodeIdentity): Placement {
  return (vhost, { name, isDurable, exclusiveOwner }, session) => {
    if (isDurable && exclusiveOwner === null) return hashOf(`${vhost}\0${name}`) % shards
    const incarnation = session === 0 ? self.incarnation : incarnationOf(session)
    return incarnation * idsPerIncarnation
  }
}
