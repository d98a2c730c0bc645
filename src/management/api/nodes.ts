import type { FileIo } from '../../base/file-io.ts'
import type { LoginAttemptRows } from '../../broker/access/login-attempts.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { OtherNode } from '../cluster-facts.ts'
import { loginProtocols } from '../metrics/node-families.ts'
import { type NodeReadings, readMachine } from '../metrics/readings.ts'
import { nodeColumns } from '../statistics/columns.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import type { Question } from './all-nodes/question.ts'
import { ApiError, notFound, ok } from './answer.ts'
import { listed, one } from './list.ts'
import { churnJson, contextsJson, typesJson } from './overview.ts'
import { details, type Spans, spansOf } from './rates.ts'
import { type ApiRequest, param } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'

const forMonitors = { level: 'monitoring' } as const

/** The nodes, for those who monitor. */
export const nodeRoutes: readonly Route[] = [
  route(
    'GET',
    '/nodes',
    async (api, request) => {
      const nodes = new NodesAsked(api)
      const all = await allNodes(api, nodes, spansOf(api, request))
      const rows = all.map((json) => ({ name: String(json['name']), json: () => json }))
      return nodes.noted(await listed(api, request, rows))
    },
    forMonitors,
  ),
  route(
    'GET',
    '/nodes/{name}',
    async (api, request) => {
      const nodes = new NodesAsked(api)
      const name = nodeIn(api, request)
      const spans = spansOf(api, request)
      const json = name === null ? await ownNodeJson(api, spans) : await otherNode(nodes, name, spans)
      return nodes.noted(one(request, json))
    },
    forMonitors,
  ),
  route(
    'GET',
    '/nodes/{name}/memory',
    async (api, request) => ok(await partOfNode(api, request, memoryJson, { ask: 'memory' })),
    forMonitors,
  ),
  route(
    'GET',
    '/auth/attempts/{name}',
    async (api, request) => ok(await partOfNode(api, request, attemptsJson, { ask: 'attempts' })),
    forMonitors,
  ),
]

/** The name of a node as it is told: RabbitMQ's names have a host. */
export function toldName(node: string): string {
  return `warren@${node}`
}

/** The other node in the path, by its own name or the one that is told; null: this one. Throws 404. */
function nodeIn({ node, cluster }: Api, request: ApiRequest): OtherNode | null {
  const name = param(request, 'name')
  if (name === node.name || name === cluster?.node) return null
  const other = cluster?.otherNodes.find((one) => one.name === name || toldName(one.name) === name)
  if (other === undefined) throw notFound()
  return other
}

/** By name; of one that does not run, or does not answer, no more than that. */
async function allNodes(api: Api, nodes: NodesAsked, spans: Spans): Promise<JsonObject[]> {
  const others = api.cluster?.otherNodes ?? []
  const asked = others.map((other) => otherNode(nodes, other, spans))
  const all = [await ownNodeJson(api, spans), ...(await Promise.all(asked))]
  return all.sort((one, other) => (String(one['name']) < String(other['name']) ? -1 : 1))
}

async function otherNode(nodes: NodesAsked, { name, isLive }: OtherNode, spans: Spans): Promise<JsonObject> {
  const json = isLive ? await nodes.one(name, { ask: 'node', spans }) : null
  return json ?? { name: toldName(name), type: 'disc', running: false }
}

/** What the node in the path says of itself. Throws 404, and 503 when it does not answer. */
async function partOfNode<T>(
  api: Api,
  request: ApiRequest,
  own: (api: ApiParts) => T,
  question: Question & { readonly ask: 'memory' | 'attempts' },
): Promise<unknown> {
  const other = nodeIn(api, request)
  if (other === null) return own(api)
  const answer = await new NodesAsked(api).one(other.name, question)
  if (answer === null) throw new ApiError(503, 'service_unavailable', `node '${other.name}' does not answer`)
  return answer
}

export function attemptsJson({ broker }: ApiParts): JsonObject[] {
  const { amqp, http } = broker.loginAttempts
  return [attemptsOf(loginProtocols.amqp, amqp), attemptsOf(loginProtocols.http, http)]
}

function attemptsOf(protocol: string, { succeeded, failed }: LoginAttemptRows['amqp']): JsonObject {
  const auth_attempts = succeeded + failed
  return { protocol, auth_attempts, auth_attempts_failed: failed, auth_attempts_succeeded: succeeded }
}

export function memoryJson({ machine }: ApiParts): JsonObject {
  const { residentBytes, heapUsedBytes, heapTotalBytes, externalBytes } = machine.process.now()
  const total = { rss: residentBytes, allocated: heapTotalBytes + externalBytes, erlang: 0 }
  return { memory: { strategy: 'rss', total, binary: externalBytes, heap: heapUsedBytes } }
}

/** Of this node. */
export async function ownNodeJson(api: ApiParts, spans: Spans): Promise<JsonObject> {
  const { node, broker, clock, sampler, runQueue } = api
  const { descriptors, diskFreeBytes, io, process }: NodeReadings = await readMachine(api.machine)
  let sockets = 0
  for (const _ of api.connections.openConnections) sockets++
  return {
    name: node.name,
    type: 'disc',
    running: true,
    being_drained: false,
    os_pid: String(node.processId),
    uptime: Math.max(0, clock.now() - node.startedAt),
    rates_mode: 'basic',
    ...churnJson(api, spans.node),
    partitions: [],
    cluster_links: [],
    processors: process.processors,
    run_queue: runQueue.length,
    mem_used: node.memoryBytes(),
    mem_used_details: details([sampler.node], nodeColumns.mem_used, spans.node),
    mem_limit: node.memoryBytesMax,
    mem_alarm: broker.ownAlarms.includes('memory'),
    mem_calculation_strategy: 'rss',
    disk_free: diskFreeBytes,
    disk_free_limit: node.diskFreeBytesMin,
    disk_free_alarm: broker.ownAlarms.includes('disk'),
    fd_used: descriptors.open,
    fd_total: descriptors.max,
    sockets_used: sockets,
    sockets_total: node.connectionsMax,
    ...(io === null ? {} : ioJson(io)),
    exchange_types: typesJson(),
    auth_mechanisms: [{ name: 'PLAIN', description: 'SASL PLAIN authentication mechanism', enabled: true }],
    applications: [{ name: 'warren', description: 'Warren', version: api.names.productVersion }],
    contexts: contextsJson(api),
    enabled_plugins: [],
    config_files: [],
    log_files: [],
  }
}

/** Times in milliseconds, as RabbitMQ tells them. */
function ioJson(io: FileIo): JsonObject {
  const average = (seconds: number, count: number): number => (count === 0 ? 0 : (seconds * 1_000) / count)
  return {
    io_read_count: io.reads,
    io_read_bytes: io.readBytes,
    io_read_avg_time: average(io.readSeconds, io.reads),
    io_write_count: io.writes,
    io_write_bytes: io.writeBytes,
    io_write_avg_time: average(io.writeSeconds, io.writes),
    io_sync_count: io.syncs,
    io_sync_avg_time: average(io.syncSeconds, io.syncs),
  }
}
