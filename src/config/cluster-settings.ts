/**
 * What the options of a cluster mean together: which nodes there are, where this one is, how it comes to NATS. Whatever
 * does not fit together is a sentence; secrets never stand in one.
 *
 * Files are not read here: their paths are handed on.
 */
import { resolve } from 'node:path'
import type { Config } from './options.ts'

/** A node as `--peers` names it. */
export interface PeerAddress {
  readonly name: string
  readonly host: string
  /** Of its cluster link. */
  readonly port: number
  /** Where its NATS server meets those of the others. */
  readonly routePort: number
}

export interface PemFiles {
  readonly ca: string | null
  readonly certificate: string | null
  readonly key: string | null
}

export interface LoginSettings {
  readonly credentialsFile: string | null
  readonly nkeyFile: string | null
  readonly user: string | null
  readonly password: string | null
  readonly token: string | null
}

interface CommonNats {
  readonly clusterName: string
  readonly nodeName: string
  readonly replicas: number
  readonly startMsMax: number
}

/** NATS servers that the nodes run themselves. */
export interface ChildNats extends CommonNats {
  readonly kind: 'child'
  readonly peers: readonly PeerAddress[]
  readonly listenHost: string
  readonly clientPort: number
  readonly directory: string
  readonly program: string | null
  readonly secret: string
  readonly secretFile: string | null
  readonly routeTls: PemFiles | null
}

/** NATS servers that the operator runs. */
export interface JoinedNats extends CommonNats {
  readonly kind: 'joined'
  readonly servers: readonly string[]
  readonly login: LoginSettings
  readonly tls: PemFiles | null
  readonly domain: string | null
  readonly systemLogin: LoginSettings | null
  readonly monitors: readonly string[]
}

export interface ClusterSettings {
  readonly clusterName: string
  readonly nodeName: string
  /** Where the other nodes reach the link of this one. */
  readonly host: string
  readonly port: number
  /** Where the link listens: loopback when `host` is, else `*`. */
  readonly listenHost: string
  /** Empty when the nodes find each other by NATS. */
  readonly peers: readonly PeerAddress[]
  /** What all nodes know; empty when it is in `secretFile`. */
  readonly secret: string
  readonly secretFile: string | null
  /** For links between nodes; null: no TLS. */
  readonly tls: PemFiles | null
  readonly shardCount: number
  readonly sessionMs: number
  readonly nats: ChildNats | JoinedNats
}

/** `settings` is null for a single node, or when there are problems. */
export interface CheckedCluster {
  readonly settings: ClusterSettings | null
  readonly problems: readonly string[]
}

/** Of a secret, in characters. */
export const secretLengthMin = 16

/** Where all nodes are on this machine and nobody gave a secret. It keeps nobody out who is on it too. */
const localSecret = 'all nodes are on this machine'

const nodeNames = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const clusterNames = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/
/** The link, routes of NATS, clients of NATS. */
const portsPerNode = 3

export function checkCluster(config: Config): CheckedCluster {
  const checks = new Checks(config)
  const settings = checks.settings()
  return checks.problems.length > 0 ? { settings: null, problems: checks.problems } : { settings, problems: [] }
}

/** 127.0.0.0/8, ::1 and localhost. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

class Checks {
  readonly problems: string[] = []
  readonly #config: Config

  constructor(config: Config) {
    this.#config = config
  }

  settings(): ClusterSettings | null {
    const { cluster, peers, nodeName } = this.#config
    if (cluster === 'none' && peers === 'none') {
      if (nodeName !== 'none') {
        this.#problem('node-name is set, but neither cluster nor peers; give one of them, or leave node-name out')
      }
      return null
    }
    if (cluster !== 'none' && peers !== 'none') {
      return this.#problem('cluster and peers are both set; give cluster for NATS servers that you run, else peers')
    }
    this.#checkNames()
    return peers === 'none' ? this.#joined() : this.#withChild()
  }

  // ---------------------------------------------------------------- the two ways

  #withChild(): ClusterSettings | null {
    const { nodeName, dataDirectory, natsProgram } = this.#config
    const peers = this.#peers()
    const own = peers.find(({ name }) => name === nodeName)
    if (own === undefined) {
      // One that does not fit may be the one that is missed.
      if (peers.length === this.#config.peers.split(',').length && nodeName !== 'none') {
        const names = peers.map(({ name }) => name).join(', ')
        this.#problem(`peers has no node '${nodeName}'; it has ${names}: add this one, or give another node-name`)
      }
      return null
    }
    this.#checkPeers(peers)
    const secret = this.#secret(peers.every(({ host }) => isLoopbackHost(host)))
    const listenHost = listenHostFor(own.host)
    const tls = this.#pemFiles('cluster-tls', 'needed')
    return {
      ...this.#common(),
      host: own.host,
      port: own.port,
      listenHost,
      peers,
      ...secret,
      tls,
      nats: {
        kind: 'child',
        ...this.#commonNats(),
        peers,
        listenHost,
        clientPort: own.port + 2,
        directory: resolve(dataDirectory, 'nats'),
        program: set(natsProgram),
        ...secret,
        routeTls: tls,
      },
    }
  }

  #joined(): ClusterSettings {
    const { clusterHost, clusterPort, natsMonitors } = this.#config
    const servers = this.#addresses('cluster', this.#config.cluster, ['nats:', 'tls:'])
    const host = set(clusterHost) ?? '127.0.0.1'
    if (clusterHost === 'none' && !servers.every((server) => isLoopbackHost(hostOf(server)))) {
      this.#problem('cluster-host is missing; give the address at which the other nodes reach this machine')
    }
    const systemLogin = this.#login('nats-system')
    const monitors = natsMonitors === 'none' ? [] : this.#addresses('nats-monitor', natsMonitors, ['http:', 'https:'])
    if (systemLogin === null && monitors.length === 0) {
      this.#problem(
        'nobody can check the NATS servers; give nats-system-credentials, nats-system-nkey, nats-system-user with nats-system-password, or nats-monitor',
      )
    }
    return {
      ...this.#common(),
      host,
      port: clusterPort,
      listenHost: listenHostFor(host),
      peers: [],
      ...this.#secret(isLoopbackHost(host)),
      tls: this.#pemFiles('cluster-tls', 'needed'),
      nats: {
        kind: 'joined',
        ...this.#commonNats(),
        servers,
        login: this.#login('nats') ?? noLogin,
        tls: this.#pemFiles('nats-tls', 'optional'),
        domain: this.#domain(),
        systemLogin,
        monitors,
      },
    }
  }

  #common() {
    const { clusterName, nodeName, clusterShards: shardCount, clusterSessionMs: sessionMs } = this.#config
    return { clusterName, nodeName, shardCount, sessionMs }
  }

  #commonNats(): CommonNats {
    const { clusterName, nodeName, clusterReplicas: replicas, clusterStartMsMax: startMsMax } = this.#config
    return { clusterName, nodeName, replicas, startMsMax }
  }

  // ---------------------------------------------------------------- names and nodes

  #checkNames(): void {
    const { nodeName, clusterName, clusterReplicas } = this.#config
    if (nodeName === 'none') {
      this.#problem('node-name is missing; give each node of the cluster a name of its own, such as n1')
    } else if (!nodeNames.test(nodeName)) {
      this.#problem(`node-name = '${nodeName}' does not fit; ${nodeNameRule}`)
    }
    if (!clusterNames.test(clusterName)) {
      const rule = 'give at most 32 letters, digits, "-" and "_", a letter or digit first'
      this.#problem(`cluster-name = '${clusterName}' does not fit; ${rule}`)
    }
    if (clusterReplicas % 2 === 0) {
      this.#problem(`cluster-replicas = ${clusterReplicas} does not fit; give 3 or 5, or 1 for trying out`)
    }
  }

  #peers(): PeerAddress[] {
    const parts = this.#config.peers.split(',').map((part) => part.trim())
    return parts.flatMap((part) => {
      const peer = peerOf(part, this.#config.clusterPort)
      if (peer !== null && nodeNames.test(peer.name)) return [peer]
      this.#problem(`'${part}' in peers does not fit; write each node as name=host:port, such as n1=10.0.0.1:25672`)
      return []
    })
  }

  #checkPeers(peers: readonly PeerAddress[]): void {
    const { clusterReplicas } = this.#config
    const names = peers.map(({ name }) => name)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined) this.#problem(`peers has '${twice}' twice; give each node a name of its own`)
    const close = twoTooClose(peers)
    if (close !== null) {
      const [a, b] = close
      const why = `each node takes its port and the two above it`
      this.#problem(`'${a.name}' and '${b.name}' in peers take the same ports of ${a.host}: ${why}; leave room between`)
    }
    if (peers.length < clusterReplicas) {
      const mend = 'give more nodes, or cluster-replicas 1 for trying out'
      this.#problem(`peers has ${peers.length} of the ${clusterReplicas} nodes that store each message; ${mend}`)
    } else if (peers.length % 2 === 0) {
      this.#problem(`peers has ${peers.length} nodes; give an odd number, since an even one bears no more failures`)
    }
  }

  // ---------------------------------------------------------------- secrets, logins, files

  #secret(isLocal: boolean): { secret: string; secretFile: string | null } {
    const secret = set(this.#config.clusterSecret)
    const secretFile = set(this.#config.clusterSecretFile)
    if (secret !== null && secretFile !== null) {
      this.#problem('cluster-secret and cluster-secret-file are both set; give one of them')
    }
    if (secret !== null && secret.length < secretLengthMin) {
      this.#problem(`cluster-secret is too short; give at least ${secretLengthMin} characters, the same to all nodes`)
    }
    if (secret === null && secretFile === null && !isLocal) {
      this.#problem(
        `cluster-secret is missing; give all nodes the same, of at least ${secretLengthMin} characters, by cluster-secret-file or WARREN_CLUSTER_SECRET`,
      )
    }
    return { secret: secret ?? (secretFile === null ? localSecret : ''), secretFile }
  }

  #login(prefix: 'nats' | 'nats-system'): LoginSettings | null {
    const isSystem = prefix === 'nats-system'
    const { natsCredentials, natsNkey, natsUser, natsPassword, natsToken } = this.#config
    const { natsSystemCredentials, natsSystemNkey, natsSystemUser, natsSystemPassword } = this.#config
    const credentialsFile = set(isSystem ? natsSystemCredentials : natsCredentials)
    const nkeyFile = set(isSystem ? natsSystemNkey : natsNkey)
    const user = set(isSystem ? natsSystemUser : natsUser)
    const password = set(isSystem ? natsSystemPassword : natsPassword)
    const token = isSystem ? null : set(natsToken)
    if ((user === null) !== (password === null)) {
      this.#problem(`${prefix}-user and ${prefix}-password belong together; give both, or neither`)
    }
    const ways = [credentialsFile, nkeyFile, user, token].filter((way) => way !== null).length
    if (ways > 1) {
      const others = isSystem ? `${prefix}-nkey and ${prefix}-user` : 'nats-nkey, nats-user and nats-token'
      this.#problem(`${prefix}-credentials, ${others} are different ways to log in; give one of them`)
    }
    return ways === 0 ? null : { credentialsFile, nkeyFile, user, password, token }
  }

  #domain(): string | null {
    const domain = set(this.#config.natsDomain)
    if (domain !== null && !clusterNames.test(domain)) {
      this.#problem(`nats-domain = '${domain}' does not fit; give the domain of the block jetstream of the servers`)
    }
    return domain
  }

  /** With `needed`, the authority and a certificate belong together: both sides show one. */
  #pemFiles(prefix: 'cluster-tls' | 'nats-tls', own: 'needed' | 'optional'): PemFiles | null {
    const isNats = prefix === 'nats-tls'
    const { natsTlsAuthority, natsTlsCertificate, natsTlsKey } = this.#config
    const { clusterTlsAuthority, clusterTlsCertificate, clusterTlsKey } = this.#config
    const ca = set(isNats ? natsTlsAuthority : clusterTlsAuthority)
    const certificate = set(isNats ? natsTlsCertificate : clusterTlsCertificate)
    const key = set(isNats ? natsTlsKey : clusterTlsKey)
    if (ca === null && certificate === null && key === null) return null
    if ((certificate === null) !== (key === null)) {
      this.#problem(`${prefix}-cert and ${prefix}-key belong together; give both, or neither`)
    } else if (own === 'needed' && (ca === null || certificate === null)) {
      this.#problem(`${prefix}-ca, ${prefix}-cert and ${prefix}-key belong together; give all three, or none`)
    }
    return { ca, certificate, key }
  }

  #addresses(key: string, list: string, protocols: readonly string[]): string[] {
    return list.split(',').flatMap((part) => {
      const address = part.trim().replace(/\/+$/, '')
      const example = `${protocols[0]}//10.0.0.1:${key === 'cluster' ? 4222 : 8222}`
      const url = urlOf(address)
      if (url === null || !protocols.includes(url.protocol) || url.hostname === '') {
        // Not shown: there may be a password in it.
        this.#problem(`an address in ${key} does not fit; write each like ${example}, with commas between`)
        return []
      }
      if (url.username === '') return [address]
      this.#problem(`an address in ${key} has a user in it; give nats-user and nats-password, or nats-credentials`)
      return []
    })
  }

  #problem(sentence: string): null {
    this.problems.push(sentence)
    return null
  }
}

const nodeNameRule = 'give at most 64 letters, digits, "-", "_" and ".", a letter or digit first'
const noLogin: LoginSettings = { credentialsFile: null, nkeyFile: null, user: null, password: null, token: null }

function set(value: string): string | null {
  return value === 'none' ? null : value
}

function listenHostFor(host: string): string {
  return isLoopbackHost(host) ? host : '*'
}

/** `n1=host`, `n1=host:port`, `n1=[::1]:port`. */
function peerOf(text: string, portDefault: number): PeerAddress | null {
  const [, name = '', bracketed, plain = '', portText] =
    /^([^=]+)=(?:\[([^\]]+)\]|([^:[\]\s]+))(?::(\d+))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = portText === undefined ? portDefault : Number(portText)
  if (host === '' || port < 1 || port > 65_536 - portsPerNode) return null
  return { name, host, port, routePort: port + 1 }
}

function twoTooClose(peers: readonly PeerAddress[]): readonly [PeerAddress, PeerAddress] | null {
  for (const a of peers) {
    const b = peers.find((other) => {
      const isFirst = other.port > a.port || (other.port === a.port && other.name > a.name)
      return isFirst && other.host === a.host && other.port - a.port < portsPerNode
    })
    if (b !== undefined) return [a, b]
  }
  return null
}

function urlOf(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}

/** Without brackets. */
function hostOf(address: string): string {
  return (urlOf(address)?.hostname ?? '').replaceAll(/[[\]]/g, '')
}
