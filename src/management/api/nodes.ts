import type { FileIo } from '../../base/file-io.ts'
import type { LoginAttemptRows } from '../../broker/access/login-attempts.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { loginProtocols } from '../metrics/node-families.ts'
import { type NodeReadings, readMachine } from '../metrics/readings.ts'
import { nodeColumns } from '../statistics/columns.ts'
import { notFound, ok } from './answer.ts'
import { listed, one } from './list.ts'
import { churnJson, contextsJson, typesJson } from './overview.ts'
import { details, spansOf } from './rates.ts'
import { type ApiRequest, param } from './request.ts'
import { type Api, type Route, route } from './route.ts'

const forMonitors = { level: 'monitoring' } as const

/** The node, for those who monitor. */
export const nodeRoutes: readonly Route[] = [
  route(
    'GET',
    '/nodes',
    async (api, request) => {
      const json = await nodeJson(api, request)
      return listed(api, request, [{ name: api.node.name, json: () => json }])
    },
    forMonitors,
  ),
  route(
    'GET',
    '/nodes/{name}',
    async (api, request) => {
      checkName(api, request)
      return one(request, await nodeJson(api, request))
    },
    forMonitors,
  ),
  route(
    'GET',
    '/nodes/{name}/memory',
    (api, request) => {
      checkName(api, request)
      const { residentBytes, heapUsedBytes, heapTotalBytes, externalBytes } = api.machine.process.now()
      const total = { rss: residentBytes, allocated: heapTotalBytes + externalBytes, erlang: 0 }
      return ok({ memory: { strategy: 'rss', total, binary: externalBytes, heap: heapUsedBytes } })
    },
    forMonitors,
  ),
  route(
    'GET',
    '/auth/attempts/{name}',
    (api, request) => {
      checkName(api, request)
      const { amqp, http } = api.broker.loginAttempts
      return ok([attemptsJson(loginProtocols.amqp, amqp), attemptsJson(loginProtocols.http, http)])
    },
    forMonitors,
  ),
]

function attemptsJson(protocol: string, { succeeded, failed }: LoginAttemptRows['amqp']): JsonObject {
  const auth_attempts = succeeded + failed
  return { protocol, auth_attempts, auth_attempts_failed: failed, auth_attempts_succeeded: succeeded }
}

function checkName({ node }: Api, request: ApiRequest): void {
  if (param(request, 'name') !== node.name) throw notFound()
}

async function nodeJson(api: Api, request: ApiRequest): Promise<JsonObject> {
  const { node, broker, clock, sampler, runQueue } = api
  const spans = spansOf(api, request)
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
    mem_alarm: broker.alarms.includes('memory'),
    mem_calculation_strategy: 'rss',
    disk_free: diskFreeBytes,
    disk_free_limit: node.diskFreeBytesMin,
    disk_free_alarm: broker.alarms.includes('disk'),
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
