/**
 * A connection to NATS that lasts: it reconnects for ever, and says in the log what becomes of it. The client library is
 * loaded with the first one.
 */
import type { NatsConnection, NodeConnectionOptions, Status } from '@nats-io/transport-node'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { type CheckServerIdentity, identityOfAny } from '../../base/server-identity.ts'
import { errorName, StartError } from '../../start-error.ts'
import { Login } from './login.ts'
import { deniedSentence, isLoginRefused, loginRefusedSentence } from './refusals.ts'
import type { NatsLogin, TlsFiles } from './settings.ts'
import { readSmallFile } from './small-file.ts'

export interface NatsTarget {
  readonly servers: readonly string[]
  readonly login: NatsLogin
  readonly tls: TlsFiles | null
  /** What the server shows for it, such as `warren n1`. */
  readonly name: string
  /** False: only `servers` are connected to, whatever other servers they tell of. */
  readonly learnsServers: boolean
}

export interface NatsConnected {
  readonly connection: NatsConnection
  /** A sentence on what the servers refuse since the connection was last made; null: nothing. */
  readonly problem: string | null
}

/** A silent server is given up after two of these, in milliseconds. */
const pingMs = 5_000
const reconnectMs = 250
const connectMsMax = 5_000
/** Different refusals that are told of one connection; others are noted in the log at `debug`. */
const toldMax = 100

/**
 * Rejects when no server can be talked to now, with a sentence. `problemChanged` is called when the servers begin to refuse
 * something, or no longer do.
 */
export async function connectNats(
  target: NatsTarget,
  files: Files,
  logger: Logger,
  problemChanged: () => void = () => {},
): Promise<NatsConnected> {
  const { connect } = await import('@nats-io/transport-node')
  const login = await Login.open(target.login, files)
  if (target.tls !== null) await checkTlsFiles(target.tls, files)
  const options = connectionOptions(target, login)
  // Of those that refuse it, the library learns of others, and so it would go on for ever: the first try is at these alone.
  if (target.learnsServers) await (await connect({ ...options, ignoreClusterUpdates: true, reconnect: false })).close()
  const connection = await connect(options)
  const watched = new WatchedConnection(connection, target, logger, problemChanged)
  void watched.follow(login)
  return watched
}

function connectionOptions({ servers, tls, name, learnsServers }: NatsTarget, login: Login): NodeConnectionOptions {
  // Else a server, or who stands between, might do without TLS and be told the password.
  const isTls = tls !== null || servers.some((server) => server.startsWith('tls:'))
  return {
    servers: [...servers],
    name,
    ignoreClusterUpdates: !learnsServers,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: reconnectMs,
    ignoreAuthErrorAbort: true,
    pingInterval: pingMs,
    maxPingOut: 2,
    timeout: connectMsMax,
    // Else each request makes an error with a stack, in case it fails.
    noAsyncTraces: true,
    ...login.options,
    ...(isTls ? { tls: tlsOptions(servers, tls ?? trustOnly) } : {}),
  }
}

/** Whom the system trusts. */
const trustOnly: TlsFiles = { ca: null, certificate: null, key: null }

type TlsOptions = NonNullable<NodeConnectionOptions['tls']>

/** The library reads the files with each attempt to connect: renewed ones need no restart. */
function tlsOptions(servers: readonly string[], { ca, certificate, key }: TlsFiles): TlsOptions {
  // Handed on to Node. The library itself names no host where it was given an address.
  const checked: TlsOptions & { readonly checkServerIdentity: CheckServerIdentity } = {
    checkServerIdentity: identityOfAny(servers.map(hostOf)),
  }
  return {
    ...checked,
    ...(ca === null ? {} : { caFile: ca }),
    ...(certificate === null || key === null ? {} : { certFile: certificate, keyFile: key }),
  }
}

/** Without brackets. */
function hostOf(server: string): string {
  return new URL(server).hostname.replaceAll(/[[\]]/g, '')
}

async function checkTlsFiles({ ca, certificate, key }: TlsFiles, files: Files): Promise<void> {
  for (const [option, path] of Object.entries({ ca, cert: certificate, key })) {
    if (path === null) continue
    try {
      if (!(await readSmallFile(files, path)).includes('-----BEGIN')) throw new Error('it holds no PEM')
    } catch (error) {
      const mend = `give nats-tls-${option} a PEM file that this user may read`
      throw new StartError('cluster', `the file ${path} cannot be used (${errorName(error)}); ${mend}`, error)
    }
  }
}

/** Says what becomes of a connection, and each refusal once until it is made again. */
class WatchedConnection implements NatsConnected {
  readonly connection: NatsConnection
  problem: string | null = null
  readonly #target: NatsTarget
  readonly #logger: Logger
  readonly #problemChanged: () => void
  readonly #told = new Set<string>()
  #isLost = false

  constructor(connection: NatsConnection, target: NatsTarget, logger: Logger, problemChanged: () => void) {
    this.connection = connection
    this.#target = target
    this.#logger = logger
    this.#problemChanged = problemChanged
  }

  async follow(login: Login): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === 'disconnect' || status.type === 'reconnecting') await login.refresh()
      this.#changed(status)
    }
  }

  #changed(status: Status): void {
    const { name } = this.#target
    switch (status.type) {
      case 'disconnect':
        // Each attempt that a server refuses ends with one.
        if (this.#isLost) break
        this.#isLost = true
        this.#logger.warn(
          { connection: name, server: status.server },
          'the connection to NATS is lost; it is tried again',
        )
        break
      case 'reconnect':
        this.#logger.info({ connection: name, server: status.server }, 'the connection to NATS is there again')
        this.#isLost = false
        this.#told.clear()
        this.#set(null)
        break
      case 'error':
        this.#refused(status.error)
        break
      case 'slowConsumer':
        this.#logger.warn({ connection: name, pending: status.pending }, 'a subscription of NATS is behind')
        break
      default:
        this.#logger.debug({ connection: name, status: status.type }, 'the connection to NATS has changed')
    }
  }

  #refused(error: Error): void {
    const { name } = this.#target
    const isNew = !this.#told.has(error.message) && this.#told.size < toldMax
    if (isNew) this.#told.add(error.message)
    this.#logger[isNew ? 'warn' : 'debug']({ connection: name, error }, 'NATS refuses something')
    const sentence = isLoginRefused(error) ? loginRefusedSentence(this.#target) : deniedSentence(error)
    if (sentence !== null) this.#set(sentence)
  }

  #set(problem: string | null): void {
    if (problem === this.problem) return
    this.problem = problem
    this.#problemChanged()
  }
}
