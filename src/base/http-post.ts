/**
 * POST over HTTP, to addresses that the caller has found if they say so: then the name in the URL is for the certificate
 * and the `host` header and is never looked up here. No redirect is followed, certificates are verified, and time and answers are bounded.
 */
import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Clock } from './clock.ts'

export interface PostWish {
  readonly url: URL
  /** Numeric; tried in this order. A literal address in the URL has to be the one there is. Null: those the machine finds. */
  readonly addresses: readonly string[] | null
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** From now to the head of the answer, in milliseconds. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface PostAnswer {
  readonly status: number
  readonly retryAfter: string | null
}

/** Of an answer's body, in bytes: nobody reads it, but a connection can be used again only behind its end. */
const answerBytesMax = 16 * 1024
/** Of an answer's head, in bytes. */
const headBytesMax = 16 * 1024
/** How long a connection that is not used stays open, in milliseconds. */
const idleMs = 4_000

/** The connections to one server, so many at a time. */
export class HttpPoster {
  readonly #clock: Clock
  readonly #agents: { readonly plain: PlainAgent; readonly tls: TlsAgent }

  /** `authorities`: PEM of those that sign certificates; null: those that Node knows. */
  constructor(clock: Clock, connectionsMax: number, authorities: string | null = null) {
    this.#clock = clock
    const settings = { keepAlive: true, maxSockets: connectionsMax, timeout: idleMs, rejectUnauthorized: true }
    const tls = authorities === null ? settings : { ...settings, ca: authorities }
    this.#agents = { plain: new PlainAgent(settings), tls: new TlsAgent(tls) }
  }

  /** Rejects with a sentence, or the system's error, when there is no whole head of an answer in time. */
  async post(wish: PostWish): Promise<PostAnswer> {
    const until = this.#clock.monotonic() + wish.timeoutMs
    try {
      return await this.#once(wish, wish.timeoutMs)
    } catch (error) {
      // The server has closed a connection in the moment in which it was used again.
      if (!(error instanceof StaleConnection)) throw error
      return await this.#once(wish, Math.max(1, until - this.#clock.monotonic()))
    }
  }

  #once({ url, addresses, headers, body, signal }: PostWish, timeoutMs: number): Promise<PostAnswer> {
    return new Promise((resolve, reject) => {
      const isTls = url.protocol === 'https:'
      const request = (isTls ? tlsRequest : plainRequest)({
        method: 'POST',
        protocol: url.protocol,
        hostname: url.hostname.replaceAll(/[[\]]/g, ''),
        port: url.port,
        path: `${url.pathname}${url.search}`,
        headers: { ...headers, 'content-length': body.length },
        agent: isTls ? this.#agents.tls : this.#agents.plain,
        ...(addresses === null ? {} : { lookup: lookupOf(addresses) }),
        maxHeaderSize: headBytesMax,
        signal,
      })
      const timer = this.#clock.after(timeoutMs, () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)))
      request.once('response', (response) => {
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] ?? null })
        drain(response, request)
      })
      request.once('error', (error) => {
        timer.cancel()
        reject(isStale(request, error) ? new StaleConnection(error.message, { cause: error }) : error)
      })
      // Also where there was neither an answer nor an error, as when another protocol is offered.
      request.once('close', () => {
        timer.cancel()
        reject(new Error('the connection was closed without an answer'))
      })
      request.end(body)
    })
  }

  /** Connections that are in use end with their requests. */
  close(): void {
    this.#agents.plain.destroy()
    this.#agents.tls.destroy()
  }
}

class StaleConnection extends Error {
  readonly code = 'STALE_CONNECTION'
}

function isStale(request: ClientRequest, error: Error): boolean {
  return request.reusedSocket && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

/** Passes over the body, as far as that is worth it; the timer of the request goes on meanwhile. */
function drain(response: IncomingMessage, request: ClientRequest): void {
  let bytes = 0
  response.on('data', (part: Uint8Array) => {
    bytes += part.length
    if (bytes > answerBytesMax) request.destroy()
  })
  // What was asked for is known already.
  response.on('error', () => {})
  request.on('error', () => {})
}

/** Whoever looks the name up is told what was found before. */
function lookupOf(addresses: readonly string[]): LookupFunction {
  return (_host, options, callback) => {
    const found = addresses.map((address) => ({ address, family: isIP(address) }))
    const [first] = found
    if (first === undefined) callback(new Error('no address'), '', 0)
    else if (options.all === true) callback(null, found)
    else callback(null, first.address, first.family)
  }
}
