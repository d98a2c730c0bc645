/**
 * A port of its own for Prometheus, as RabbitMQ has one: it asks for no login, so it is for networks in which everybody
 * may see what there is. Nothing can be changed through it.
 */
import * as http from 'node:http'
import type { Logger } from '../../base/logger.ts'
import type { ListenAddress } from '../../base/network.ts'
import { contentType } from './family.ts'
import { isMetricsPath, type MetricsPath } from './metrics.ts'

export interface MetricsServerOptions {
  readonly logger: Logger
  /** How long a request may take to arrive, in milliseconds. */
  readonly requestMsMax: number
  text(path: MetricsPath, query: URLSearchParams): Promise<AsyncIterable<string>>
}

/** TCP connections in all; a further one is closed at once. */
const connectionsMax = 64
/** Pages that are written at one time; a further request is answered 503. */
const pagesMax = 4

export class MetricsServer {
  readonly #options: MetricsServerOptions
  readonly #server: http.Server
  #pages = 0

  constructor(options: MetricsServerOptions) {
    this.#options = options
    const { requestMsMax } = options
    const timeouts = { headersTimeout: requestMsMax, requestTimeout: requestMsMax, keepAliveTimeout: 5_000 }
    this.#server = http.createServer(timeouts, (request, response) => void this.#answer(request, response))
    this.#server.maxConnections = connectionsMax
  }

  /** Returns the port. Rejects with the system's error. */
  listen({ host, port }: ListenAddress): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ port, ...(host === '*' ? {} : { host }) }, () => {
        this.#server.removeListener('error', reject)
        this.#server.on('error', () => {})
        const bound = this.#server.address()
        resolve(bound !== null && typeof bound === 'object' ? bound.port : port)
      })
    })
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
    if (request.method !== 'GET' && request.method !== 'HEAD') return say(response, 405, 'This can only be read (GET).')
    if (!isMetricsPath(path)) return say(response, 404, 'Metrics are at /metrics.')
    if (this.#pages >= pagesMax) return say(response, 503, 'Too many pages are being written.')
    this.#pages++
    try {
      response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' })
      if (request.method === 'GET') await this.#write(response, path, query)
      response.end()
    } catch (error) {
      this.#options.logger.error({ error }, 'metrics could not be written')
      response.destroy()
    } finally {
      this.#pages--
    }
  }

  /** As fast as it is read; when the reader goes away, no more of it is made. */
  async #write(response: http.ServerResponse, path: MetricsPath, query: string): Promise<void> {
    for await (const part of await this.#options.text(path, new URLSearchParams(query))) {
      if (response.destroyed) return
      if (!response.write(part)) await drained(response)
    }
  }
}

function drained(response: http.ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once('drain', resolve)
    response.once('close', resolve)
  })
}

function say(response: http.ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' })
  response.end(`${sentence}\n`)
}
