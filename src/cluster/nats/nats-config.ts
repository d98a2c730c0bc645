/**
 * The configuration of the NATS server that a node runs, as text. What it says is the contract: every write is synced
 * before it is acknowledged, clients reach it from this machine only and by an account of our own, other servers by a
 * secret.
 */
import { createHmac } from 'node:crypto'
import type { NatsPeer, TlsFiles } from './settings.ts'

/** Made anew for each server that is started: nobody else needs to know them. */
export interface ChildLogins {
  readonly password: string
  readonly systemPassword: string
}

export interface NatsConfigParts {
  readonly clusterName: string
  readonly nodeName: string
  readonly peers: readonly NatsPeer[]
  readonly listenHost: string
  readonly clientPort: number
  readonly storeDirectory: string
  /** Where it writes its log: a file goes on when whoever started it has ended, unlike a pipe. */
  readonly logFile: string
  readonly secret: string
  readonly logins: ChildLogins
  readonly routeTls: TlsFiles | null
}

export const clientUser = 'warren'
export const systemUser = 'system'
/** Of one NATS message with its headers, in bytes. Ours are cut to a quarter of it. */
export const payloadBytesMax = 1024 * 1024

/**
 * What JetStream may store, in bytes. Left out, it would be three quarters of what is free at the start, less with each
 * start as the disk fills; room is watched by the node's own alarm.
 */
const storeBytesMax = 1024 ** 5
/** Nothing of ours is stored in memory. */
const memoryBytesMax = 64 * 1024 * 1024
/** Of its log, in bytes; then it begins another file. So many are kept, with the one that it writes. */
const logBytesMax = 8 * 1024 * 1024
const logFilesMax = 3
/**
 * A route on which nothing comes back is given up after three of these, in seconds. Left out it is 30: a network that was
 * cut for a minute would be used again a minute and more after it is whole, when TCP comes to try again.
 */
const routePingSeconds = 3

export function natsConfig(parts: NatsConfigParts): string {
  const { nodeName, clientPort, storeDirectory, logFile, logins } = parts
  return `# Written by Warren: changes are lost.
server_name: ${quoted(nodeName)}
listen: "127.0.0.1:${clientPort}"
log_file: ${quoted(logFile)}
log_size_limit: ${logBytesMax}
log_max_num: ${logFilesMax}
max_payload: ${payloadBytesMax}

jetstream {
  store_dir: ${quoted(storeDirectory)}
  sync_interval: always
  max_file_store: ${storeBytesMax}
  max_memory_store: ${memoryBytesMax}
}

accounts {
  WARREN { jetstream: enabled, users: [{ user: ${clientUser}, password: ${quoted(logins.password)} }] }
  SYSTEM { users: [{ user: ${systemUser}, password: ${quoted(logins.systemPassword)} }] }
}
system_account: SYSTEM
${clusterBlock(parts)}`
}

/** The logins of a server that was given this configuration; null when it is none of ours. */
export function loginsOf(config: string): ChildLogins | null {
  const passwordOf = (user: string): string | undefined =>
    new RegExp(`\\{ user: ${user}, password: "([\\w-]+)" \\}`).exec(config)?.[1]
  const [password, systemPassword] = [passwordOf(clientUser), passwordOf(systemUser)]
  return password === undefined || systemPassword === undefined ? null : { password, systemPassword }
}

/** A node alone, for trying out, has no routes. */
function clusterBlock({ clusterName, nodeName, peers, listenHost, secret, routeTls }: NatsConfigParts): string {
  const own = peers.find(({ name }) => name === nodeName)
  if (own === undefined || peers.length === 1) return ''
  const password = routePassword(secret, clusterName)
  // With its own address, which it recognises: from their number it knows how many servers the cluster begins with.
  const routes = peers.map(
    ({ host, routePort }) => `"nats-route://${routeUser}:${password}@${inUrl(host)}:${routePort}"`,
  )
  const listenAddress = listenHost === '*' ? '0.0.0.0' : listenHost
  return `
cluster {
  name: ${quoted(clusterName)}
  listen: "${inUrl(listenAddress)}:${own.routePort}"
  no_advertise: true
  ping_interval: ${routePingSeconds}s
  authorization { user: ${routeUser}, password: "${password}", timeout: 5 }
  routes: [
    ${routes.join('\n    ')}
  ]
${tlsBlock(routeTls)}}
`
}

function tlsBlock(tls: TlsFiles | null): string {
  if (tls === null) return ''
  const { ca, certificate, key } = tls
  const files = { ca_file: ca, cert_file: certificate, key_file: key }
  const lines = Object.entries(files).map(([name, path]) => `${name}: ${quoted(path ?? '')}`)
  return `  tls { ${lines.join(', ')}, verify: true, timeout: 5 }\n`
}

const routeUser = 'route'

/** What the servers of a cluster know of each other. The secret itself stays with the nodes' own links. */
export function routePassword(secret: string, clusterName: string): string {
  return createHmac('sha256', secret).update(`warren nats route 1 ${clusterName}`).digest('hex')
}

/** A text of the file's grammar. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
