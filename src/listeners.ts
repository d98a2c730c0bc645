/**
 * What a node listens with: ports for AMQP and for HTTP, on which a WebSocket carries AMQP as well, each without TLS and with, and one
 * for Prometheus. HTTP and TLS are loaded only by nodes that have a port for them.
 */
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, type LogPart, logOf } from './base/logger.ts'
import type { Memory } from './base/memory.ts'
import { type Listener, type Network, readBufferBytes } from './base/network.ts'
import type { Random } from './base/random.ts'
import type { TlsListener } from './base/tls-listener.ts'
import type { Certificates } from './certificates.ts'
import type { Config } from './config.ts'
import { type ApiNode, type HttpApi, httpApi } from './http-api.ts'
import type { HttpServer } from './management/http-server.ts'
import type { Server } from './server/listener.ts'
import { errorName, StartError } from './start-error.ts'

export interface ListeningWorld {
  readonly machineClock: Clock
  readonly network: Network
  readonly logger: Logger
  readonly random: Random
  readonly memory: Memory
  readonly files: Files
}

export interface ListeningParts {
  readonly server: Server
  readonly world: ListeningWorld
  readonly certificates: Certificates
  /** False: AMQP without TLS has no port. */
  readonly listensForAmqp: boolean
  readonly node: Pick<ApiNode, 'broker' | 'runQueue' | 'cluster' | 'reload' | 'backup' | 'tracer' | 'webhooks'>
}

/** In the order in which they are told. */
const kinds = ['amqp', 'amqps', 'http', 'https', 'prometheus'] as const
type Kind = (typeof kinds)[number]

const portFields = {
  amqp: 'port',
  amqps: 'tlsPort',
  http: 'httpPort',
  https: 'httpsPort',
  prometheus: 'prometheusPort',
} as const satisfies Record<Kind, keyof Config>

interface OpenPort {
  /** As the options name it: 0 stays 0. */
  readonly wanted: number
  readonly url: string
  close(): void
  renew?: TlsListener['renew']
}

/** Ports that have been opened beside those there are; exactly one of the two is to be called. */
export interface PortChange {
  /** They stay, and those that nobody wants any more are closed; connections stay. */
  keep(): void
  undo(): void
}

export class NodePorts {
  /** As URLs. */
  readonly addresses: string[] = []
  readonly #parts: ListeningParts
  /** Ports do not move from one host to another. */
  readonly #host: string
  #config: Config
  readonly #open = new Map<Kind, OpenPort>()
  #api: HttpApi | null = null
  #http: HttpServer | null = null

  private constructor(config: Config, parts: ListeningParts) {
    this.#parts = parts
    this.#config = config
    this.#host = config.host
    parts.certificates.changed = (settings) => {
      for (const port of this.#open.values()) port.renew?.(settings)
    }
  }

  /** All or nothing: what listens is closed again when another part cannot. Rejects with `StartError`. */
  static async open(config: Config, parts: ListeningParts): Promise<NodePorts> {
    const ports = new NodePorts(config, parts)
    try {
      // Other nodes ask what happens here, also where nobody asks by HTTP.
      if (parts.node.cluster !== undefined) ports.#httpApi()
      const change = await ports.prepare(config)
      change.keep()
      return ports
    } catch (error) {
      ports.stopping()
      await parts.server.close(0)
      throw error
    }
  }

  /** Opens what a configuration wants and what is not open yet. Rejects with `StartError`; then nothing has changed. */
  async prepare(config: Config): Promise<PortChange> {
    const opened = new Map<Kind, OpenPort>()
    const undo = (): void => {
      for (const port of opened.values()) port.close()
    }
    try {
      for (const kind of kinds) {
        const wanted = this.#wanted(kind, config)
        if (wanted === null || this.#open.get(kind)?.wanted === wanted) continue
        opened.set(kind, await this.#openPort(kind, wanted, config))
      }
    } catch (error) {
      undo()
      throw error
    }
    return { undo, keep: () => this.#keep(opened, config) }
  }

  /** Those who listen to HTTP are told that the node is not healthy any more. */
  stopping(): void {
    this.#http?.stopping()
    this.#api?.stop()
  }

  /** Closes its ports; AMQP connections are the server's to end. */
  async close(): Promise<void> {
    for (const port of this.#open.values()) port.close()
    this.#open.clear()
    await this.#http?.close()
  }

  #keep(opened: ReadonlyMap<Kind, OpenPort>, config: Config): void {
    this.#config = config
    for (const kind of kinds) {
      const now = opened.get(kind)
      const isOver = now !== undefined || this.#wanted(kind, config) === null
      if (isOver) this.#open.get(kind)?.close()
      if (isOver) this.#open.delete(kind)
      if (now !== undefined) this.#open.set(kind, now)
    }
    const urls = kinds.flatMap((kind) => this.#open.get(kind)?.url ?? [])
    this.addresses.splice(0, this.addresses.length, ...urls)
    if (this.#http !== null) this.#http.limits = httpLimits(config)
  }

  /** Null: none. */
  #wanted(kind: Kind, config: Config): number | null {
    if (kind === 'amqp' && !this.#parts.listensForAmqp) return null
    const port = config[portFields[kind]]
    return port === 'none' ? null : port
  }

  // ---------------------------------------------------------------- one port

  async #openPort(kind: Kind, wanted: number, config: Config): Promise<OpenPort> {
    const address = { host: this.#host, port: wanted }
    try {
      const { port, close, renew } = await this.#listen(kind, address, config)
      const url = urlOf(kind, this.#host, port)
      return { wanted, url, close, ...(renew === undefined ? {} : { renew }) }
    } catch (error) {
      throw error instanceof StartError ? error : refused(kind, address, error)
    }
  }

  async #listen(
    kind: Kind,
    address: { host: string; port: number },
    config: Config,
  ): Promise<Listener & Pick<OpenPort, 'renew'>> {
    switch (kind) {
      case 'amqp':
        return await this.#parts.server.listen(address)
      case 'amqps': {
        const tls = await this.#amqpOverTls(config)
        const listener = await tls.listen(address)
        return { ...listener, renew: (settings) => tls.renew(settings) }
      }
      case 'http':
        return await (await this.#httpServer(config)).listen(address)
      case 'https': {
        const http = await this.#httpServer(config)
        const tls = await this.#tlsListener(config, 'http', (socket) => http.take(socket))
        const listener = await tls.listen(address)
        return { ...listener, renew: (settings) => tls.renew(settings) }
      }
      case 'prometheus':
        return await this.#listenForMetrics(address, config)
    }
  }

  async #amqpOverTls(config: Config): Promise<TlsListener> {
    const { SystemSocket } = await import('./base/system-network.ts')
    const { server, world } = this.#parts
    const block = world.network.arena.takeForGood(readBufferBytes)
    return await this.#tlsListener(config, 'server', (socket, facts) => {
      server.accept(new SystemSocket(socket, block, true, facts))
    })
  }

  async #tlsListener(config: Config, part: LogPart, secured: Secured): Promise<TlsListener> {
    const { certificates, world } = this.#parts
    const logger = logOf(world.logger, part)
    const { TlsListener: Made } = await import('./base/tls-listener.ts')
    const settings = await certificates.settingsFor(config)
    return new Made(settings, {
      handshakesMax: config.unauthenticatedMax,
      handshakesPerAddressMax: config.unauthenticatedPerAddressMax,
      handshakeMsMax: Math.min(tlsHandshakeMsMax, config.handshakeMsMax),
      secured,
      refused: (address, reason) => logger.warn({ address }, `TLS connection refused: ${reason}`),
      left: (address) => logger.debug({ address }, 'a TLS connection was closed before it said anything'),
    })
  }

  async #httpServer(config: Config): Promise<HttpServer> {
    if (this.#http !== null) return this.#http
    const { server, world } = this.#parts
    const api = this.#httpApi()
    api.loadSoon()
    const { HttpServer: Made } = await import('./management/http-server.ts')
    this.#http = new Made({
      clock: world.machineClock,
      arena: world.network.arena,
      logger: logOf(world.logger, 'http'),
      accept: (socket) => {
        const connection = server.accept(socket)
        return () => connection?.principal === null
      },
      strangerBytesMax: config.loginBytesMax,
      api: api.answer,
      ...httpLimits(config),
      requestMsMax: config.handshakeMsMax,
      closeMsMax: config.closeMsMax,
      messageBytesMax: config.webSocketMessageBytesMax,
    })
    return this.#http
  }

  async #listenForMetrics(address: { host: string; port: number }, config: Config): Promise<Listener> {
    const { MetricsServer } = await import('./management/metrics/metrics-server.ts')
    const { metrics: text } = this.#httpApi()
    const server = new MetricsServer({
      logger: logOf(this.#parts.world.logger, 'http'),
      requestMsMax: config.handshakeMsMax,
      text,
    })
    return { port: await server.listen(address), close: () => void server.close() }
  }

  #httpApi(): HttpApi {
    if (this.#api !== null) return this.#api
    const { world, node, server, certificates } = this.#parts
    const { machineClock: clock, ...rest } = world
    const about = {
      config: () => this.#config,
      addresses: this.addresses,
      certificateValidUntil: () => certificates.validUntil,
    }
    this.#api = httpApi({ ...node, ...rest, ...about, clock, connections: server })
    return this.#api
  }
}

/** From accept to the end of a TLS handshake, in milliseconds. */
const tlsHandshakeMsMax = 5_000

type Secured = ConstructorParameters<typeof TlsListener>[1]['secured']

function httpLimits({ connectionsMax, httpOrigins: origins }: Config): { connectionsMax: number; origins: string } {
  return { connectionsMax, origins }
}

const placeOf: Readonly<Record<Kind, readonly [purpose: string, flag: string]>> = {
  amqp: ['', '--port'],
  amqps: [' for AMQP over TLS', 'tls-port'],
  http: [' for HTTP', '--http-port'],
  https: [' for HTTPS', 'https-port'],
  prometheus: [' for Prometheus', '--prometheus-port'],
}

function refused(kind: Kind, { host, port }: { host: string; port: number }, cause: unknown): StartError {
  const name = errorName(cause)
  const [purpose, flag] = placeOf[kind]
  const otherwise = kind === 'http' ? ', or --http-port none for no HTTP' : ''
  const mends: Readonly<Record<string, string>> = {
    EADDRINUSE: `another program listens there; stop it or give another ${flag}${otherwise}`,
    EACCES: `this user may not; give a ${flag} above 1023`,
    EADDRNOTAVAIL: 'no network interface has this address; give another --host',
    ENOTFOUND: 'nobody knows this name; give an address with --host',
  }
  const mend = mends[name] ?? `give another --host or ${flag}`
  return new StartError('address', `cannot listen on port ${port} of ${host}${purpose} (${name}): ${mend}`, cause)
}

/** IPv6 addresses stand in brackets (RFC 3986 §3.2.2). */
function urlOf(scheme: string, host: string, port: number): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
