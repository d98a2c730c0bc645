import { isObject, type JsonObject } from '../broker/definitions/entry.ts'
import { globalParameter } from '../broker/global-parameters.ts'
import type { Topology } from '../broker/topology/topology.ts'
import type { ClusterFacts } from './cluster-facts.ts'

/** Of a node on its own. */
export const nodeNameAlone = 'warren@localhost'

/**
 * What the broker is called to whoever asks: as somebody has named it, else as its cluster is configured, else as its
 * node. Only shown: streams of NATS and the secret between nodes go by the option `cluster-name`.
 */
export function shownClusterName(topology: Topology, cluster: ClusterFacts | null, nodeName = nodeNameAlone): string {
  return topology.clusterName ?? cluster?.name ?? nodeName
}

/** What tells it from others whatever it is called: given by definitions of RabbitMQ, else what is configured. */
export function permanentClusterId(topology: Topology, cluster: ClusterFacts | null, nodeName: string): string {
  const given = globalParameter(topology, 'internal_cluster_id')
  return typeof given === 'string' && given.length <= labelLengthMax ? given : (cluster?.name ?? nodeName)
}

/** Of a label in metrics, in UTF-16 units. */
const labelLengthMax = 255

/** What RabbitMQ calls tags of a cluster: texts by names of whoever looks after it. */
export function clusterTags(topology: Topology): JsonObject {
  const given = globalParameter(topology, 'cluster_tags')
  return isObject(given) ? given : {}
}
