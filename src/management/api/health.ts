import { emptyTable } from '../../amqp/field-table.ts'
import type { Session } from '../../broker/commands.ts'
import { type Answer, badRequest, ok } from './answer.ts'
import { inSession } from './in-session.ts'
import { publishTo, takeFrom } from './messages.ts'
import { toldName } from './nodes.ts'
import { type ApiRequest, param } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Health checks: 503 where something is wrong. */
export const healthRoutes: readonly Route[] = [
  route('GET', '/health/checks/alarms', alarms),
  route('GET', '/health/checks/local-alarms', (api) => alarmsAnswer(ownAlarms(api))),
  route('GET', '/health/checks/ready', ready),
  route('GET', '/health/checks/is-in-service', ready),
  route('GET', '/health/checks/ready-to-serve-clients', readyForClients),
  route('GET', '/health/checks/below-node-connection-limit', connectionLimit),
  route('GET', '/health/checks/virtual-hosts', () => healthy()),
  route('GET', '/health/checks/node-is-mirror-sync-critical', () => healthy({ reason: 'single node cluster' })),
  route('GET', '/health/checks/node-is-quorum-critical', quorum),
  route('GET', '/health/checks/certificate-expiration/{within}/{unit}', certificate),
  route('GET', '/health/checks/port-listener/{port}', (api, request) => {
    const port = Number(param(request, 'port'))
    if (!Number.isSafeInteger(port)) throw badRequest('Invalid port')
    const ports = api.node.listeners().map((listener) => listener.port)
    return ports.includes(port) ? healthy({ port }) : failed('No active listener', { missing: port, ports })
  }),
  route('GET', '/health/checks/protocol-listener/{protocol}', (api, request) => {
    const [first = '', ...more] = param(request, 'protocol').split(',').map(protocolOf)
    const protocols = api.node.listeners().map((listener) => listener.protocol)
    const missing = [first, ...more].filter((protocol) => !protocols.includes(protocol))
    if (missing.length === 0) return healthy(more.length === 0 ? { protocol: first } : { protocols })
    return failed('No active listener', { missing: more.length === 0 ? first : missing, protocols })
  }),
  route('GET', '/aliveness-test/{vhost}', aliveness, { vhost: 'enter' }),
]

function healthy(more: object = {}): Answer {
  return ok({ status: 'ok', ...more })
}

function failed(reason: string, more: object): Answer {
  return { status: 503, body: { status: 'failed', reason, ...more } }
}

/** Not while a node of a cluster cannot reach the others: it serves nobody then, or not all. */
function ready({ broker }: Api): Answer {
  if (!broker.alarms.includes('cluster')) return healthy()
  return failed('This node cannot reach a majority of the cluster, or not all nodes that own shards', {})
}

/** What a load balancer asks before it sends a client here. */
function readyForClients(api: Api): Answer {
  const hasListener = api.node.listeners().some(({ protocol }) => protocol === 'amqp' || protocol === 'amqp/ssl')
  if (!hasListener) return failed('no active listeners for AMQP/AMQPS', {})
  const isReady = ready(api)
  return isReady.status === 200 ? connectionLimit(api) : isReady
}

/** Those without a login do not count: they come and go within seconds. */
function connectionLimit({ connections, node }: Api): Answer {
  const { connectionsOpened, connectionsClosed } = connections.totals
  const open = connectionsOpened - connectionsClosed
  return open < node.connectionsMax ? healthy() : failed('node connection limit is reached', { connections: open })
}

/**
 * Whether this node may be stopped: not when no other one runs, nor when the NATS server that it runs is needed for a
 * majority. Servers that have the name of a node are taken for that node's own.
 */
async function quorum({ cluster }: Api): Promise<Answer> {
  if (cluster === null) return healthy({ reason: 'single node cluster' })
  if (!cluster.otherNodes.some(({ isLive }) => isLive)) return failed('no other node of the cluster runs', {})
  const { servers } = (await cluster.report()).nats
  const isOwn = ({ name }: { name: string }): boolean => name === cluster.node
  const left = servers.filter((server) => server.version !== null && !isOwn(server)).length
  if (!servers.some(isOwn) || left * 2 > servers.length) return healthy()
  return failed('without this node the NATS servers that answer are no majority', { left, servers: servers.length })
}

/** Other names that are in use for what listeners are called. */
const protocolNames: Readonly<Record<string, string>> = {
  ...{ amqp091: 'amqp', 'amqp0.9.1': 'amqp', 'amqp0-9-1': 'amqp', amqp0_9_1: 'amqp', amqps: 'amqp/ssl' },
  ...{ http1: 'http', 'http1.1': 'http', http_api: 'http', management: 'http', management_ui: 'http', ui: 'http' },
}

function protocolOf(given: string): string {
  const name = given.toLowerCase()
  return protocolNames[name] ?? name
}

function alarms(api: Api): Answer {
  const remote = [...(api.cluster?.remoteAlarms ?? [])]
  const others = remote.flatMap(([resource, nodes]) => nodes.map((node) => ({ node: toldName(node), resource })))
  return alarmsAnswer([...ownAlarms(api), ...others])
}

interface NodeAlarm {
  readonly node: string
  readonly resource: string
}

function ownAlarms({ broker, node }: Api): NodeAlarm[] {
  return broker.ownAlarms.map((resource) => ({ node: node.name, resource }))
}

function alarmsAnswer(on: readonly NodeAlarm[]): Answer {
  return on.length === 0 ? healthy() : failed('There are alarms in effect in the cluster', { alarms: on })
}

/** RabbitMQ's units, in days. */
const unitDays: Readonly<Record<string, number>> = { days: 1, weeks: 7, months: 28, years: 365 }
const dayMs = 86_400_000

/** Whether the certificate that clients are shown is valid for so long yet. */
function certificate({ node, clock }: Api, request: ApiRequest): Answer {
  const [within, unit] = [Number(param(request, 'within')), unitDays[param(request, 'unit')]]
  if (!Number.isSafeInteger(within) || within < 0) throw badRequest('Invalid expiration')
  if (unit === undefined) throw badRequest('Invalid unit')
  const until = node.certificateValidUntil()
  if (until === null || until - clock.now() > within * unit * dayMs) return healthy()
  return failed('Certificates expiring', { expired: [{ node: node.name, until: new Date(until).toISOString() }] })
}

/** Declares a queue that stays, sends a message through it and takes it out again. */
function aliveness(api: Api, request: ApiRequest): Promise<Answer> {
  return inSession(api, request, async (session) => {
    await api.commits.result((reply) => session.vhost.declareQueue(session, alivenessQueue(), reply))
    await publishTo(api, session, { exchange: '', routingKey: queueName, properties: {}, payload: new Uint8Array(0) })
    await takenOut(api, session)
    return healthy()
  })
}

async function takenOut(api: Api, session: Session): Promise<void> {
  await takeFrom(api, session, queueName, { count: 1, outcome: 'ack', bytesMax: 0 })
}

const queueName = 'aliveness-test'

function alivenessQueue(): Parameters<Session['vhost']['declareQueue']>[1] {
  const flags = { isPassive: false, isDurable: false, isExclusive: false, isAutoDelete: false }
  return { name: queueName, ...flags, arguments: emptyTable }
}
