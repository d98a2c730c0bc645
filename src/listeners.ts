/**
 * What a node listens with: one port for AMQP, one for HTTP, on which a WebSocket carries AMQP as well. HTTP is loaded
 * only by nodes that have a port for it.
 */
import type { Clock } from './base/clock.ts'
import type { Logger } from './base/logger.ts'
import type { Memory } from './base/memory.ts'
import type { Network } from './base/network.ts'
import type { Random } from './base/random.ts'
import type { Config } from './config.ts'
import { type ApiNode, type HttpApi, httpApi } from './http-api.ts'
import type { HttpServer } from './management/http-server.ts'
import type { Server } from './server/listener.ts'
import { errorName, StartError } from './start-error.ts'

export interface Listening {
  /** As URLs. */
  readonly addresses: readonly string[]
  readonly http: HttpServer | null
}

export interface ListeningWorld {
  readonly machineClock: Clock
  readonly network: Network
  readonly logger: Logger
  readonly random: Random
  readonly memory: Memory
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
  let stop = (): void => {}
  try {
    if (listensForAmqp) addresses.push(urlOf('amqp', host, await listenForAmqp(server, config)))
    const { machineClock: clock, ...rest } = world
    if (config.httpPort === 'none') return { addresses, http: null }
    const api = httpApi({ ...node, ...rest, clock, config, connections: server, addresses })
    stop = api.stop
    const http = await listenForHttp(server, config.httpPort, config, world, api)
    addresses.push(urlOf('http', host, http.port))
    return { addresses, http: http.server }
  } catch (error) {
    stop()
    await server.close(0)
    throw error
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
    stopping: api.stop,
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
