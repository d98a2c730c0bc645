import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { PeerCertificate } from '../../base/network.ts'
import type { Random } from '../../base/random.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { LoginLedger } from '../../broker/access/login-ledger.ts'
import type { Broker } from '../../broker/broker.ts'
import type { ConnectionDirectory } from '../../broker/connection-directory.ts'
import type { ProductNames } from '../../broker/definitions/export-definitions.ts'
import type { BackupNode } from '../backup.ts'
import type { ClusterFacts } from '../cluster-facts.ts'
import type { MachineFacts } from '../metrics/readings.ts'
import type { ReloadNode } from '../reload.ts'
import type { Sampler } from '../statistics/sampler.ts'
import type { WebhookFacts } from '../webhooks.ts'
import type { Answer } from './answer.ts'
import type { Level, VhostUse } from './caller.ts'
import type { Commits } from './commits.ts'
import type { Leases } from './leases.ts'
import type { HttpLogins } from './login.ts'
import type { LoginSessions } from './login-sessions.ts'
import type { SharedTotals } from './queue-totals.ts'
import type { Redrives } from './redrives.ts'
import type { ApiRequest } from './request.ts'

/** What the API needs of its node. */
export interface ApiParts {
  readonly broker: Broker
  readonly connections: ConnectionDirectory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Who changed what, and from where. */
  readonly audit: Logger
  readonly runQueue: RunQueue
  /** Which name in a client's certificate is the user; left out: the common name. */
  readonly userFrom?: keyof PeerCertificate['names']
  /** The option `http-origins`, as it is now. */
  readonly origins: () => string
  readonly names: ProductNames
  readonly node: NodeFacts
  /** Null for a node on its own. */
  readonly cluster: ClusterFacts | null
  /** Of the cluster, or of this node alone. */
  readonly loginLedger: LoginLedger
  readonly sampler: Sampler
  readonly machine: MachineFacts
  /** Null: this node has no files of its own. */
  readonly backup: BackupNode | null
  /** Null, or left out: messages are not traced. */
  readonly tracer?: TraceCounts | null
  readonly webhooks: WebhookFacts
  /** Null: this node has no configuration that could be read again. */
  readonly reload: ReloadNode | null
}

/** Of spans, since the node started. */
export interface TraceCounts {
  readonly exported: number
  readonly dropped: number
}

/** What is told of the node. */
export interface NodeFacts {
  /** `warren@host`. */
  readonly name: string
  /** Wall time in milliseconds. */
  readonly startedAt: number
  readonly listeners: () => readonly ListenerFacts[]
  readonly memoryBytesMax: number
  readonly memoryBytes: () => number
  readonly diskFreeBytesMin: number
  readonly connectionsMax: number
  readonly messageBytesMax: number
  readonly processId: number
  /** Of the certificate that clients are shown, wall time in milliseconds; null without one. */
  readonly certificateValidUntil: () => number | null
}

export interface ListenerFacts {
  readonly protocol: string
  readonly host: string
  readonly port: number
}

/** The same with what the API keeps for itself. */
export interface Api extends ApiParts {
  readonly commits: Commits
  readonly logins: HttpLogins
  readonly loginSessions: LoginSessions
  readonly redrives: Redrives
  readonly totals: SharedTotals
  /** How many there are. */
  readonly eventStreams: { open: number }
  readonly leases: Leases
  readonly leaseStreams: { open: number }
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** One row of the table that says what there is, and who may use it. */
export interface Route {
  readonly method: Method
  /** Below `/api`; `{name}` stands for one segment of the path. */
  readonly path: string
  readonly level: Level
  /** What is done with `{vhost}`; null where the path has none, or it need not exist. */
  readonly vhost: VhostUse | null
  /** Longest body, in bytes. */
  readonly bodyBytesMax: number
  readonly handle: (api: Api, request: ApiRequest) => Answer | Promise<Answer>
}

/** Of all requests but those that carry definitions or messages, in bytes. */
export const bodyBytesMaxDefault = 1024 * 1024

type Handle = Route['handle']
interface Rest {
  readonly level?: Level
  readonly vhost?: VhostUse | null
  readonly bodyBytesMax?: number
}

/** A row: whoever has access to management may call it, if the vhost in its path is one of theirs. */
export function route(method: Method, path: string, handle: Handle, rest: Rest = {}): Route {
  const use: VhostUse | null = path.includes('{vhost}') ? (method === 'GET' ? 'show' : 'enter') : null
  return { method, path, handle, level: 'management', vhost: use, bodyBytesMax: bodyBytesMaxDefault, ...rest }
}
