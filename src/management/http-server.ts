/**
 * HTTP of a node: a port for the API, the dashboard's files and AMQP over WebSocket. What is served here asks for no
 * login and tells nothing but that a broker is there.
 *
 * A port is a plain one until somebody connects; only then is Node's HTTP loaded, which would otherwise be a good part
 * of a start.
 */
import type * as http from 'node:http'
import { createRequire } from 'node:module'
import * as net from 'node:net'
import type { Arena } from '../base/arena.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { ListenAddress, Listener, Socket } from '../base/network.ts'
import type { DashboardFiles } from './dashboard-files.ts'
import { pathOf, WebSocketUpgrades, webSocketPath } from './web-socket-upgrades.ts'

export interface HttpServerOptions {
  readonly clock: Clock
  /** What the read buffer of WebSockets is cut from. */
  readonly arena: Arena
  readonly logger: Logger
  /** Takes AMQP connections over; what it returns tells whether one has not logged in yet. */
  accept(socket: Socket): () => boolean
  /** What a connection may send before it has logged in, in bytes; then it is cut off. */
  readonly strangerBytesMax: number
  /** Answers what is below `/api` and `/metrics`. */
  api(request: http.IncomingMessage, response: http.ServerResponse): void
  /** Pages that may connect by WebSocket: `same-host`, `*`, or their origins with commas between them. */
  readonly origins: string
  /** TCP connections of all its ports; a further one is closed at once. */
  readonly connectionsMax: number
  /** How long a request may take to arrive, in milliseconds; then 408. */
  readonly requestMsMax: number
  /** How long a WebSocket's peer may take to answer a close, in milliseconds; then it is cut off. */
  readonly closeMsMax: number
  /** One message of a WebSocket, in bytes; above, it is closed (1009). */
  readonly messageBytesMax: number
}

/** Idle connections are closed after this time, in milliseconds. */
const idleMsMax = 5_000
/** How often requests that take too long are looked for, in milliseconds. */
const lookMs = 2_000

export class HttpServer {
  readonly #options: HttpServerOptions
  readonly #listeners = new Set<net.Server>()
  /** TCP connections that are open. */
  #connections = 0
  #connectionsMax: number
  #server: http.Server | null = null
  readonly #upgrades: WebSocketUpgrades
  #dashboard: Promise<DashboardFiles> | null = null
  #isStopping = false

  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#connectionsMax = options.connectionsMax
    this.#upgrades = new WebSocketUpgrades(options)
  }

  /** Holds for connections to come. */
  set limits({ connectionsMax, origins }: Pick<HttpServerOptions, 'connectionsMax' | 'origins'>) {
    this.#connectionsMax = connectionsMax
    this.#upgrades.origins = origins
  }

  /** Takes a connected socket over, encrypted or not, that nobody has read from. */
  take(socket: net.Socket): void {
    if (this.#connections >= this.#connectionsMax) {
      socket.destroy()
      return
    }
    this.#connections++
    socket.once('close', () => this.#connections--)
    this.#server ??= this.#makeServer()
    this.#server.emit('connection', socket)
  }

  #makeServer(): http.Server {
    const { createServer } = createRequire(import.meta.url)('node:http') as typeof http
    const { requestMsMax } = this.#options
    const server = createServer({
      headersTimeout: requestMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: idleMsMax,
      connectionsCheckingInterval: lookMs,
    })
    server.on('request', (request, response) => this.#answer(request, response))
    server.on('upgrade', (request, socket, head) => this.#upgrades.handle(request, socket, head))
    // From here on it looks for requests that take too long; it does not listen itself.
    server.emit('listening')
    return server
  }

  /** Rejects with the system's error. */
  listen({ host, port }: ListenAddress): Promise<Listener> {
    const listener = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.take(socket))
    return new Promise((resolve, reject) => {
      listener.once('error', reject)
      listener.listen({ port, ...(host === '*' ? {} : { host }) }, () => {
        listener.removeListener('error', reject)
        // Running out of file descriptors is no reason to stop listening; the next accept may succeed.
        listener.on('error', () => {})
        this.#listeners.add(listener)
        const bound = listener.address()
        resolve({
          port: bound !== null && typeof bound === 'object' ? bound.port : port,
          close: () => {
            this.#listeners.delete(listener)
            listener.close()
          },
        })
      })
    })
  }

  /** The node stops: it is not healthy any more, and WebSockets that end are told why (1001). */
  stopping(): void {
    this.#isStopping = true
    this.#upgrades.stopping()
  }

  /** Closes its ports and all connections that are no WebSockets. */
  async close(): Promise<void> {
    const closed = [...this.#listeners].map((one) => new Promise<void>((resolve) => one.close(() => resolve())))
    this.#server?.closeAllConnections()
    this.#server?.close()
    await Promise.all(closed)
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = pathOf(request)
    if (path.startsWith('/api/') || path === '/metrics' || path.startsWith('/metrics/'))
      return this.#options.api(request, response)
    // Nothing here reads a body; what of one has not arrived is not waited for.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
      response.shouldKeepAlive = false
    }
    const sentence = this.#sentence(path)
    if (sentence === null) {
      this.#answerByFile(path, request, response).catch((error: unknown) => {
        this.#options.logger.error({ error }, 'the dashboard could not be answered')
        response.destroy()
      })
    } else if (mayRead(request, response)) say(response, ...sentence)
  }

  async #answerByFile(path: string, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { readDashboard, sendFile } = await import('./dashboard-files.ts')
    this.#dashboard ??= readDashboard()
    const file = (await this.#dashboard).get(path)
    if (file !== undefined) {
      if (mayRead(request, response)) sendFile(file, request, response)
    } else if (path !== '/') say(response, 404, 'There is nothing here. AMQP over WebSocket is at /ws.')
    else if (mayRead(request, response)) say(response, 200, withoutDashboard)
  }

  #sentence(path: string): readonly [status: number, sentence: string] | null {
    switch (path) {
      case '/health':
        return this.#isStopping ? [503, 'The broker stops.'] : [200, 'The broker works.']
      case webSocketPath:
        return [426, 'This is for AMQP over WebSocket, with subprotocol amqp.']
      default:
        return null
    }
  }
}

const withoutDashboard =
  'This is Warren, a message broker. AMQP over WebSocket is at /ws; /health tells whether it works.'

/** Answers 405 unless something is only read. */
function mayRead({ method }: http.IncomingMessage, response: http.ServerResponse): boolean {
  if (method === 'GET' || method === 'HEAD') return true
  response.setHeader('allow', 'GET, HEAD')
  say(response, 405, 'This can only be read (GET).')
  return false
}

function say(response: http.ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': sentence.length + 1,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 426 ? { upgrade: 'websocket' } : {}),
  })
  response.end(`${sentence}\n`)
}
