import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { ClusterStatus } from '../../cluster/membership/cluster-status.ts'
import { ClusterChangeRefused, type ClusterFacts, type ClusterReport, type NatsReport } from '../cluster-facts.ts'
import { shownClusterName } from '../cluster-name.ts'
import { type Answer, ApiError, badRequest, noContent, ok } from './answer.ts'
import { type ApiRequest, param } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** The cluster this node belongs to, if any: Warren's own. */
export const clusterRoutes: readonly Route[] = [
  route('GET', '/warren/cluster', status, { level: 'monitoring' }),
  route('PUT', '/warren/cluster/drain', drain, { level: 'administrator' }),
  route('DELETE', '/warren/cluster/nodes/{node}', remove, { level: 'administrator' }),
]

async function status({ cluster, node, broker }: Api): Promise<Answer> {
  const shownName = shownClusterName(broker.topology, cluster, node.name)
  if (cluster === null) return ok({ is_cluster: false, node: node.name, cluster_name: shownName })
  return ok({ ...reportJson(await cluster.report()), cluster_name: shownName })
}

/** `{"draining": false}` takes it back. */
async function drain(api: Api, request: ApiRequest): Promise<Answer> {
  const cluster = clusterOf(api)
  const isDraining = (await request.fields()).flag('draining', true)
  await done(() => cluster.setDraining(isDraining))
  api.logger.info(
    { by: request.caller.username, isDraining },
    'this node was asked to give its shards away, or to stay',
  )
  return noContent
}

async function remove(api: Api, request: ApiRequest): Promise<Answer> {
  const cluster = clusterOf(api)
  const name = param(request, 'node')
  await done(() => cluster.removeNode(name))
  api.logger.info({ by: request.caller.username, removed: name }, 'a node was removed from the cluster')
  return noContent
}

function clusterOf({ cluster, node }: Api): ClusterFacts {
  if (cluster !== null) return cluster
  throw badRequest(`${node.name} is a single node and belongs to no cluster`)
}

/** What it rejects with is a sentence for whoever asked. */
async function done(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (error instanceof ClusterChangeRefused) throw badRequest(error.message)
    throw new ApiError(503, 'service_unavailable', error instanceof Error ? error.message : String(error))
  }
}

// ---------------------------------------------------------------- JSON

function reportJson({ name, status: seen, positions, nats }: ClusterReport): JsonObject {
  const { clusterId, node, isCurrent, nodes, shards, missingLinks } = seen
  return {
    is_cluster: true,
    name,
    cluster_id: clusterId,
    node,
    is_current: isCurrent,
    nodes: nodes.map(nodeJson),
    shards: shards.map((shard) => shardJson(shard, positions)),
    missing_links: missingLinks.map(({ from, to, host, port }) => ({ from, to, host, port })),
    nats: natsJson(nats),
  }
}

function nodeJson(node: ClusterStatus['nodes'][number]): JsonObject {
  const { name, incarnation, host, port, version, isDraining, isReady, isSteady, startedAt, owns } = node
  const state = isDraining ? 'draining' : isReady ? 'running' : 'starting'
  const facts = { name, incarnation, host, port, version, state, is_steady: isSteady, started_at: startedAt }
  return { ...facts, owns: [...owns] }
}

function shardJson(shard: ClusterStatus['shards'][number], positions: ClusterReport['positions']): JsonObject {
  const { owner, incarnation, epoch, since, placedOwner, standby, avoidedNodes, local } = shard
  const own = positions.filter((position) => position.shard === shard.shard)
  return {
    name: shard.shard,
    owner,
    incarnation,
    epoch,
    since,
    placed_owner: placedOwner,
    standby,
    avoided_nodes: [...avoidedNodes],
    local: { state: local.state, is_following: local.isFollowing, failures: local.failures },
    positions: Object.fromEntries(own.map(({ node, position }) => [node, position])),
  }
}

export function natsJson({ servers, problems, progressAgeMs, progressAgeMsMax }: NatsReport): JsonObject {
  return {
    is_healthy: problems.length === 0 && progressAgeMs <= progressAgeMsMax,
    progress_age_ms: Math.round(progressAgeMs),
    progress_age_ms_max: progressAgeMsMax,
    problems: [...problems],
    servers: servers.map(({ name, version }) => ({ name, version })),
  }
}
