/**
 * What a node listens with: one port for AMQP, one for HTTP, on which a WebSocket carries AMQP as well. HTTP is loaded
 * only by nodes that have a port for it.
 */
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import type { Memory } from './base/memory.ts'
import type { Network } from './base/network.ts'
import type { Random } from './base/random.ts'
import type { Config } from './config.ts'
import { type ApiNode, type HttpApi, httpApi } from './http-api.ts'
import type { HttpServer } from './management/http-server.ts'
import type { MetricsServer } from './management/metrics/metrics-server.ts'
import type { Server } from './server/listener.ts'
import { errorName, StartError } from './start-error.ts'

export interface Listening {
  /** As URLs. */
  readonly addresses: readonly string[]
  readonly http: HttpPorts | null
}

export interface ListeningWorld {
  readonly machineClock: Clock
  readonly network: Network
  readonly logger: Logger
  readonly random: Random
  readonly memory: Memory
  readonly files: Files
}

/** All or nothing: what listens is closed again when another part cannot. Throws `StartError`. */
export async function listen(
  server: Server,
  config: Config,
  world: ListeningWorld,
  { listensForAmqp, ...node }: { readonly listensForAmqp: boolean } & Pick<ApiNode, 'broker' | 'runQueue' | 'cluster'>,
): Promise<Listening> {
  const { host } = config
  const addresses: string[] = []
  const stop: (() => void)[] = []
  try {
    if (listensForAmqp) addresses.push(urlOf('amqp', host, await listenForAmqp(server, config)))
    const { machineClock: clock, ...rest } = world
    if (config.httpPort === 'none' && config.prometheusPort === 'none') return { addresses, http: null }
    const api = httpApi({ ...node, ...rest, clock, config, connections: server, addresses })
    stop.push(api.stop)
    const metrics = await listenForMetrics(config, world, api)
    if (metrics !== null) stop.push(() => void metrics.server.close())
    const http = config.httpPort === 'none' ? null : await listenForHttp(server, config.httpPort, config, world, api)
    if (http !== null) addresses.push(urlOf('http', host, http.port))
    if (metrics !== null) addresses.push(urlOf('prometheus', host, metrics.port))
    return { addresses, http: portsOf(http?.server ?? null, metrics?.server ?? null, api) }
  } catch (error) {
    for (const step of stop) step()
    await server.close(0)
    throw error
  }
}

/** What was opened for HTTP; the node tells it when it stops. */
export interface HttpPorts {
  stopping(): void
  close(): Promise<void>
}

function portsOf(http: HttpServer | null, metrics: MetricsServer | null, api: HttpApi): HttpPorts {
  return {
    stopping: () => {
      http?.stopping()
      api.stop()
    },
    close: async () => {
      await metrics?.close()
      await http?.close()
    },
  }
}

async function listenForMetrics(
  { host, prometheusPort, handshakeMsMax: requestMsMax }: Config,
  { logger }: ListeningWorld,
  { metrics: text }: HttpApi,
): Promise<{ server: MetricsServer; port: number } | null> {
  if (prometheusPort === 'none') return null
  const { MetricsServer } = await import('./management/metrics/metrics-server.ts')
  const server = new MetricsServer({ logger, requestMsMax, text })
  try {
    return { server, port: await server.listen({ host, port: prometheusPort }) }
  } catch (error) {
    throw refused(`port ${prometheusPort} of ${host} for Prometheus`, '--prometheus-port', error)
  }
}

async function listenForAmqp(server: Server, { host, port }: Config): Promise<number> {
  try {
    return await server.listen({ host, port })
  } catch (error) {
    throw refused(`port ${port} of ${host}`, '--port', error)
  }
}

async function listenForHttp(
  server: Server,
  httpPort: number,
  config: Config,
  { machineClock, network, logger }: ListeningWorld,
  api: HttpApi,
): Promise<{ server: HttpServer; port: number }> {
  const { host } = config
  const { HttpServer } = await import('./management/http-server.ts')
  const http = new HttpServer({
    clock: machineClock,
    arena: network.arena,
    logger,
    accept: (socket) => {
      const connection = server.accept(socket)
      return () => connection?.principal === null
    },
    strangerBytesMax: config.loginBytesMax,
    api: api.answer,
    origins: config.httpOrigins,
    connectionsMax: config.connectionsMax,
    requestMsMax: config.handshakeMsMax,
    closeMsMax: config.closeMsMax,
    messageBytesMax: config.webSocketMessageBytesMax,
  })
  try {
    return { server: http, port: await http.listen({ host, port: httpPort }) }
  } catch (error) {
    throw refused(`port ${httpPort} of ${host} for HTTP`, '--http-port', error, ', or --http-port none for no HTTP')
  }
}

function refused(place: string, flag: string, cause: unknown, otherwise = ''): StartError {
  const name = errorName(cause)
  const mends: Readonly<Record<string, string>> = {
    EADDRINUSE: `another program listens there; stop it or give another ${flag}${otherwise}`,
    EACCES: `this user may not; give a ${flag} above 1023`,
    EADDRNOTAVAIL: 'no network interface has this address; give another --host',
    ENOTFOUND: 'nobody knows this name; give an address with --host',
  }
  const mend = mends[name] ?? `give another --host or ${flag}`
  return new StartError('address', `cannot listen on ${place} (${name}): ${mend}`, cause)
}

/** IPv6 addresses stand in brackets (RFC 3986 §3.2.2). */
function urlOf(scheme: string, host: string, port: number): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
