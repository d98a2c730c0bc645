/** Asks all NATS servers for what `requirements.ts` judges: by the system account, or by their monitoring addresses. */
import type { NatsConnection } from '@nats-io/transport-node'
import {
  type CheckedServer,
  clusterProblems,
  missingServers,
  problemsOf,
  readReport,
  type ServerReport,
} from './requirements.ts'
import { nameOf } from './server-id.ts'

export interface Check {
  readonly servers: readonly CheckedServer[]
  /** Of all servers, and of them together. Empty: all is well. */
  readonly problems: readonly string[]
  /** The cluster's JetStream group has a leader (or there is one server and no group). */
  readonly hasLeader: boolean
  /** More than half of that group have said what they give. */
  readonly hasMajority: boolean
  /** By which names the servers themselves know those that they are with. */
  readonly namesTold: ReadonlySet<string>
}

/** Reports of all servers that answered, and sentences on those that did not. */
export interface Answers {
  readonly reports: readonly ServerReport[]
  readonly failures: readonly CheckedServer[]
}

export type AskServers = () => Promise<Answers>

/** How long answers of further servers are waited for, in milliseconds. */
const answerMsMax = 1_000
const monitorMsMax = 5_000
/** Of a report, in bytes. */
const reportBytesMax = 1024 * 1024

/** `names`: servers that there are, as far as one knows without asking. */
export async function checkServers(ask: AskServers, copies: number, names: readonly string[] = []): Promise<Check> {
  const { reports: all, failures } = await ask()
  const reports = storing(all).map((report) => withNames(report, names))
  const answered = reports.map((report) => {
    return { name: report.name, version: report.version, problems: problemsOf(report) }
  })
  const servers = [...answered, ...failures, ...missingServers(reports)]
  const problems = [...servers.flatMap((server) => server.problems), ...clusterProblems(reports, copies)]
  const isAlone = reports.length === 1 && reports[0]?.groupSize === 0
  const namesTold = new Set(all.flatMap(({ replicas }) => replicas.map(({ name }) => name)))
  const hasLeader = isAlone || reports.some(({ leader }) => leader !== '')
  const hasMajority = reports.every(({ groupSize }) => 2 * reports.length > groupSize)
  return { servers, problems, hasLeader, hasMajority, namesTold }
}

function withNames(report: ServerReport, names: readonly string[]): ServerReport {
  const replicas = report.replicas.map(({ name, isOffline }) => ({ name: nameOf(name, names), isOffline }))
  return { ...report, replicas }
}

/**
 * Without those that store nothing and are not meant to, such as leaf nodes. Where nobody stores, or the group counts on one
 * that does not, all that are concerned remain.
 */
function storing(reports: readonly ServerReport[]): readonly ServerReport[] {
  if (!reports.some(({ hasJetStream }) => hasJetStream)) return reports
  const counted = new Set(reports.flatMap(({ replicas }) => replicas.map(({ name }) => name)))
  return reports.filter(({ name, hasJetStream }) => hasJetStream || counted.has(name))
}

/** Every server of the cluster answers one question. */
export function bySystemAccount(connection: NatsConnection): AskServers {
  return async () => {
    const reports = new Map<string, ServerReport>()
    const answers = await connection.requestMany('$SYS.REQ.SERVER.PING.VARZ', '', { maxWait: answerMsMax })
    for await (const answer of answers) {
      const json = answer.json<{ readonly data?: unknown }>()
      const report = readReport(json.data)
      if (report !== null) reports.set(report.name, report)
    }
    return { reports: [...reports.values()], failures: [] }
  }
}

export function byMonitors(addresses: readonly string[]): AskServers {
  return async () => {
    const answers = await Promise.all(addresses.map(askMonitor))
    return {
      reports: answers.flatMap(({ report }) => (report === null ? [] : [report])),
      failures: answers.flatMap(({ report, failure }) => (report === null ? [failure] : [])),
    }
  }
}

interface MonitorAnswer {
  readonly report: ServerReport | null
  readonly failure: CheckedServer
}

async function askMonitor(address: string): Promise<MonitorAnswer> {
  const problem = (what: string): CheckedServer => {
    const mend = 'start the server with http_port, and give its address in nats-monitor'
    return {
      name: address,
      version: null,
      problems: [`the NATS server at ${address} cannot be asked (${what}): ${mend}`],
    }
  }
  try {
    const response = await fetch(`${address}/varz`, { signal: AbortSignal.timeout(monitorMsMax), redirect: 'error' })
    if (!response.ok) return { report: null, failure: problem(`status ${response.status}`) }
    const text = await response.text()
    const report = text.length > reportBytesMax ? null : readReport(JSON.parse(text))
    return { report, failure: problem('no report of a NATS server') }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return {
      report: null,
      failure: problem(cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)),
    }
  }
}
