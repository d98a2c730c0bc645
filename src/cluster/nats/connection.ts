/**
 * A connection to NATS that lasts: it reconnects for ever, and says in the log what becomes of it. The client library is
 * loaded with the first one. Secrets go from their files to the server and nowhere else.
 */
import type { Authenticator, NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { errorName, StartError } from '../../start-error.ts'
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

/** A silent server is given up after two of these, in milliseconds. */
const pingMs = 5_000
const reconnectMs = 250
const connectMsMax = 5_000
/** What loses its place when a login is refused while servers restart; it is tried again. */
const refusals = /authorization|authentication|permission/i

/** Rejects when no server can be talked to now, with a sentence. */
export async function connectNats(target: NatsTarget, files: Files, logger: Logger): Promise<NatsConnection> {
  const { connect } = await import('@nats-io/transport-node')
  const options = await connectionOptions(target, files)
  const connection = await connect(options)
  void tellStatus(connection, target, logger)
  return connection
}

async function connectionOptions(target: NatsTarget, files: Files): Promise<NodeConnectionOptions> {
  const { servers, login, tls, name, learnsServers } = target
  const { credentialsFile, user, password, token } = login
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
    ...(user === null ? {} : { user, pass: password ?? '' }),
    ...(token === null ? {} : { token }),
    ...(credentialsFile === null ? {} : { authenticator: await credentials(credentialsFile, files) }),
    ...(tls === null ? {} : { tls: tlsOptions(tls) }),
  }
}

function tlsOptions({ ca, certificate, key }: TlsFiles): NonNullable<NodeConnectionOptions['tls']> {
  return {
    ...(ca === null ? {} : { caFile: ca }),
    ...(certificate === null || key === null ? {} : { certFile: certificate, keyFile: key }),
  }
}

async function credentials(path: string, files: Files): Promise<Authenticator> {
  const { credsAuthenticator } = await import('@nats-io/transport-node')
  try {
    return credsAuthenticator(Buffer.from(await readSmallFile(files, path)))
  } catch (error) {
    const mend = 'give nats-credentials a credentials file that this user may read'
    throw new StartError('cluster', `the credentials ${path} cannot be used (${errorName(error)}); ${mend}`, error)
  }
}

/** A login that was refused is no passing trouble: it will be refused again. */
export function isLoginRefused(error: unknown): boolean {
  return error instanceof Error && refusals.test(`${error.name} ${error.message}`)
}

async function tellStatus(connection: NatsConnection, { name }: NatsTarget, logger: Logger): Promise<void> {
  for await (const status of connection.status()) {
    switch (status.type) {
      case 'disconnect':
        logger.warn({ connection: name, server: status.server }, 'the connection to NATS is lost; it is tried again')
        break
      case 'reconnect':
        logger.info({ connection: name, server: status.server }, 'the connection to NATS is there again')
        break
      case 'error':
        logger.warn({ connection: name, error: status.error }, 'NATS refuses something')
        break
      case 'slowConsumer':
        logger.warn({ connection: name, pending: status.pending }, 'a subscription of NATS is behind')
        break
      default:
        logger.debug({ connection: name, status: status.type }, 'the connection to NATS has changed')
    }
  }
}
