/** What a node is told of its NATS servers: those it runs itself, or those that somebody else runs. */

/** Where one of the nodes that run a NATS server each can be reached. */
export interface NatsPeer {
  readonly name: string
  readonly host: string
  /** Where its NATS server takes the connections of the others. */
  readonly routePort: number
}

/** PEM files. */
export interface TlsFiles {
  /** Whom to trust; null: whom the system trusts. */
  readonly ca: string | null
  /** With `key`, the own certificate. */
  readonly certificate: string | null
  readonly key: string | null
}

/** How one logs in to NATS; what is null is not used. Values are secrets: never log them. */
export interface NatsLogin {
  /** Path of a credentials file (JWT and seed). */
  readonly credentialsFile: string | null
  /** Path of a file with the seed of an nkey. */
  readonly nkeyFile: string | null
  readonly user: string | null
  readonly password: string | null
  readonly token: string | null
}

/** This node runs a NATS server as a child process; those of all peers are the cluster. */
export interface ChildNatsSettings {
  readonly kind: 'child'
  readonly clusterName: string
  readonly nodeName: string
  /** All nodes, this one among them. */
  readonly peers: readonly NatsPeer[]
  /** Where the child takes routes: an address, or `*` for all interfaces. */
  readonly listenHost: string
  /** Of the child, for this node alone, on loopback. */
  readonly clientPort: number
  /** Config, process file and the store of the child: `DATA/nats`. */
  readonly directory: string
  /** Path of the program; null: looked for. */
  readonly program: string | null
  /** What all nodes know; empty when it is in `secretFile`. */
  readonly secret: string

  readonly secretFile: string | null
  /** For routes between machines; null: none. Both sides show a certificate. */
  readonly routeTls: TlsFiles | null
  readonly replicas: number
  /** How long a start waits for the others, in milliseconds. */
  readonly startMsMax: number
}

/** The NATS servers are run by somebody else. */
export interface JoinedNatsSettings {
  readonly kind: 'joined'
  readonly clusterName: string
  readonly nodeName: string
  /** `nats://host:port` or `tls://host:port`. */
  readonly servers: readonly string[]
  readonly login: NatsLogin
  readonly tls: TlsFiles | null
  /** JetStream domain of those that store; null: that of whom one connects to. */
  readonly domain: string | null
  /** Login to the system account, for the checks; null: `monitors` are asked. */
  readonly systemLogin: NatsLogin | null
  /** Monitoring addresses of all servers, `http://host:8222`. */
  readonly monitors: readonly string[]
  readonly replicas: number
  readonly startMsMax: number
}

export type NatsSettings = ChildNatsSettings | JoinedNatsSettings
