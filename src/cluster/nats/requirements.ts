/**
 * What NATS servers must give, so that a confirmed message is safe: a version without the known faults, every write
 * synced before it is acknowledged, enough servers for the copies. Asked of every server, by the system account or by
 * its monitoring address; a server that cannot be asked does not pass.
 */
import { isOlder, natsVersionMin } from './nats-program.ts'
import { idInstead } from './server-id.ts'

/** What a server says of itself (`VARZ`), as far as it matters. */
export interface ServerReport {
  readonly name: string
  readonly version: string
  /** JetStream is on. */
  readonly hasJetStream: boolean
  readonly isSyncAlways: boolean
  readonly payloadBytesMax: number
  /** Of the cluster's JetStream group; empty while there is none. */
  readonly leader: string
  /** How many servers the group has, whether they are there or not; 0 without cluster. */
  readonly groupSize: number
  /** This server's last word on those of the group that it leads: their names, and whether they answer. */
  readonly replicas: readonly { readonly name: string; readonly isOffline: boolean }[]
}

export interface CheckedServer {
  readonly name: string
  /** Null when it did not answer. */
  readonly version: string | null
  readonly problems: readonly string[]
}

/** Largest frame of ours with its headers, in bytes. */
export const payloadBytesMin = 512 * 1024

/** Sentences, each with the server and the mend. */
export function problemsOf(report: ServerReport): string[] {
  const { name, version, hasJetStream, isSyncAlways, payloadBytesMax } = report
  const problems: string[] = []
  if (isOlder(version, natsVersionMin)) {
    problems.push(`NATS server ${name} has version ${version}; ${natsVersionMin} is needed: install a newer one`)
  }
  if (!hasJetStream) {
    problems.push(
      `NATS server ${name} has no JetStream: give it a block jetstream { store_dir, sync_interval: always }`,
    )
  } else if (!isSyncAlways) {
    const what = 'acknowledges before it syncs, so a power failure loses confirmed messages'
    problems.push(`NATS server ${name} ${what}: put sync_interval: always into its block jetstream`)
  }
  if (payloadBytesMax < payloadBytesMin) {
    problems.push(`NATS server ${name} takes ${payloadBytesMax} bytes at most: set max_payload to 1MB`)
  }
  return problems
}

/** Sentences on all together. */
export function clusterProblems(reports: readonly ServerReport[], replicas: number): string[] {
  if (replicas === 1) return []
  const groupSize = Math.max(0, ...reports.map((report) => report.groupSize))
  if (groupSize >= replicas) return []
  const what = groupSize === 0 ? 'the NATS servers are no cluster' : `the NATS cluster has ${groupSize} servers`
  return [
    `${what}; each message is to be stored by ${replicas}: add servers, or give --cluster-replicas 1 for trying out`,
  ]
}

/** Those of the group of which nobody has a report: they are named by the leader alone. */
export function missingServers(reports: readonly ServerReport[]): CheckedServer[] {
  const known = new Set(reports.map(({ name }) => name))
  const named = reports.flatMap((report) => report.replicas.map(({ name }) => name))
  return [...new Set(named)]
    .filter((name) => !known.has(name))
    .map((name) => ({ name, version: null, problems: [missing(name)] }))
}

function missing(name: string): string {
  const id = idInstead(name)
  if (id === null) return `NATS server ${name} does not answer: start it, or remove it`
  const why = 'none of those that answer has met it since they were started'
  return `a NATS server does not answer whose name is not known, with the id ${id} (${why}): start it, or remove it by its name`
}

/** How one of our streams is stored. */
export interface StoredStream {
  readonly name: string
  readonly num_replicas: number
  /** `async`: acknowledged before it is stored. */
  readonly persist_mode?: string
}

export function streamProblems(streams: readonly StoredStream[], replicas: number): string[] {
  return streams.flatMap(({ name, num_replicas: copies, persist_mode: mode }) => {
    const problems: string[] = []
    if (copies < replicas) {
      problems.push(
        `stream ${name} has ${copies} copies and not ${replicas}: \`nats stream edit ${name} --replicas ${replicas}\``,
      )
    }
    if (mode === 'async') {
      problems.push(`stream ${name} has persist_mode async, which loses confirmed messages: move it into a new cluster`)
    }
    return problems
  })
}

/** The JSON of `VARZ`; null when it is none. */
export function readReport(json: unknown): ServerReport | null {
  const name = at(json, 'server_name')
  const version = at(json, 'version')
  const payload = at(json, 'max_payload')
  if (typeof name !== 'string' || typeof version !== 'string' || typeof payload !== 'number') return null
  const leader = at(json, 'jetstream', 'meta', 'leader')
  const groupSize = at(json, 'jetstream', 'meta', 'cluster_size')
  const replicas = at(json, 'jetstream', 'meta', 'replicas')
  return {
    name,
    version,
    hasJetStream: at(json, 'jetstream', 'config') !== null,
    isSyncAlways: at(json, 'jetstream', 'config', 'sync_always') === true,
    payloadBytesMax: payload,
    leader: typeof leader === 'string' ? leader : '',
    groupSize: typeof groupSize === 'number' ? groupSize : 0,
    replicas: Array.isArray(replicas) ? replicas.flatMap(readReplica) : [],
  }
}

function readReplica(json: unknown): ServerReport['replicas'] {
  const name = at(json, 'name')
  return typeof name === 'string' ? [{ name, isOffline: at(json, 'offline') === true }] : []
}

function at(json: unknown, ...path: readonly string[]): unknown {
  let value = json
  for (const name of path) {
    value = typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : null
  }
  return value
}
