import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { OtherNode } from '../cluster-facts.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { type Answer, ok } from './answer.ts'
import { natsJson } from './cluster.ts'
import { durabilityJson } from './durability.ts'
import { listed } from './list.ts'
import { toldName } from './nodes.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type ApiParts, type Route, route } from './route.ts'

/** What each node says of itself, and what everybody may know of whether messages are taken. */
export const nodeReportRoutes: readonly Route[] = [
  route('GET', '/warren/nodes', allReports, { level: 'monitoring' }),
  route('GET', '/warren/publishing', (api, request) => ok(publishing(api, request))),
]

// ---------------------------------------------------------------- of each node

async function allReports(api: Api, request: ApiRequest): Promise<Answer> {
  const nodes = new NodesAsked(api)
  const others = (api.cluster?.otherNodes ?? []).map((other) => otherReport(nodes, other))
  const reports = [await ownReport(api), ...(await Promise.all(others))]
  const rows = reports.map((json) => ({ name: String(json['name']), json: () => json }))
  rows.sort((one, other) => (one.name < other.name ? -1 : 1))
  return nodes.noted(await listed(api, request, rows))
}

/** Of one that does not run, or does not answer, no more than that. */
async function otherReport(nodes: NodesAsked, { name, isLive }: OtherNode): Promise<JsonObject> {
  const report = isLive ? await nodes.one(name, { ask: 'report' }) : null
  return report ?? { name: toldName(name), answers: false, is_live: isLive }
}

/** What this node says of itself. */
export async function ownReport(api: ApiParts): Promise<JsonObject> {
  const { broker, cluster, node } = api
  const report = (await cluster?.report()) ?? null
  return {
    name: node.name,
    answers: true,
    is_live: true,
    alarms: [...broker.ownAlarms],
    publish_gate: broker.publishGate,
    durability: durabilityJson(api),
    ...(report === null ? {} : { is_current: report.status.isCurrent, nats: natsJson(report.nats) }),
  }
}

// ---------------------------------------------------------------- for everybody

/** Whether publishers are held back, and for want of what. At which nodes, and which are not there, is for those who monitor. */
function publishing(api: Api, { caller }: ApiRequest): JsonObject {
  const { broker, cluster, node } = api
  const said = { state: broker.publishGate, reasons: [...broker.alarms] }
  if (!caller.is('monitoring')) return said
  const own = broker.ownAlarms.map((resource) => ({ node: node.name, resource }))
  const remote = [...(cluster?.remoteAlarms ?? [])].flatMap(([resource, nodes]) =>
    nodes.map((name) => ({ node: toldName(name), resource })),
  )
  const away = (cluster?.otherNodes ?? []).filter(({ isLive }) => !isLive).map(({ name }) => toldName(name))
  return { ...said, alarms: [...own, ...remote], nodes_away: away }
}
