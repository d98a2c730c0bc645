/**
 * Who may open a WebSocket to us, and what becomes of it: a socket for AMQP. Login, rights and limits are those of any
 * connection; what is checked here is only which web pages a browser may connect for.
 *
 * Loads `ws` with the first upgrade: a node that nobody connects to in this way does not pay for it.
 */
import type { IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import type { WebSocketServer } from 'ws'
import type { Arena, Block } from '../base/arena.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { isLoopbackAddress, plainAddress, readBufferBytes, type Socket } from '../base/network.ts'
import { tlsFactsOf } from '../base/tls-facts.ts'
import { WebSocketSocket } from './web-socket-socket.ts'

export interface WebSocketUpgradesOptions {
  readonly clock: Clock
  readonly arena: Arena
  readonly logger: Logger
  accept(socket: Socket): () => boolean
  readonly strangerBytesMax: number
  readonly origins: string
  readonly closeMsMax: number
  readonly messageBytesMax: number
}

/** RabbitMQ's and LavinMQ's name for AMQP 0-9-1. */
const subprotocol = 'amqp'
export const webSocketPath = '/ws'
/** Pieces one message may come in; above, the WebSocket is closed (1008). */
const fragmentsMax = 1_024

export class WebSocketUpgrades {
  readonly #options: WebSocketUpgradesOptions
  #server: WebSocketServer | null = null
  #block: Block | null = null
  #isStopping = false
  /** Holds for WebSockets to come. */
  origins: string

  constructor(options: WebSocketUpgradesOptions) {
    this.#options = options
    this.origins = options.origins
  }

  stopping(): void {
    this.#isStopping = true
  }

  handle(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    // Until the WebSocket has it, nobody else listens.
    stream.on('error', () => stream.destroy())
    const refusal = this.#refusal(request)
    if (refusal !== null) {
      const [status, sentence] = refusal
      this.#options.logger.warn(
        { address: request.socket.remoteAddress ?? '', status },
        `WebSocket refused: ${sentence}`,
      )
      refuse(stream, status, sentence)
      return
    }
    this.#server ??= this.#makeServer()
    this.#server.handleUpgrade(request, stream, head, (webSocket) => {
      const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = request.socket
      this.#block ??= this.#options.arena.takeForGood(readBufferBytes)
      const socket = new WebSocketSocket(webSocket, {
        clock: this.#options.clock,
        block: this.#block,
        remoteAddress: plainAddress(remoteAddress),
        remotePort,
        localAddress: plainAddress(localAddress),
        localPort,
        tls: tlsFactsOf(request.socket),
        endCode: () => (this.#isStopping ? closeCodes.goingAway : closeCodes.normal),
      })
      this.#watchStranger(request.socket, this.#options.accept(socket), () => socket.destroy())
    })
  }

  /** A message is seen when it is whole, and may be long: until somebody has logged in, what comes of it is counted. */
  #watchStranger(stream: Duplex, isStranger: () => boolean, cutOff: () => void): void {
    let bytes = 0
    const count = (chunk: Uint8Array): void => {
      bytes += chunk.length
      if (!isStranger()) stream.off('data', count)
      else if (bytes > this.#options.strangerBytesMax) cutOff()
    }
    stream.on('data', count)
  }

  #makeServer(): WebSocketServer {
    const { WebSocketServer: Made } = createRequire(import.meta.url)('ws') as typeof import('ws')
    const { messageBytesMax, closeMsMax } = this.#options
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: messageBytesMax,
      maxFragments: fragmentsMax,
      closeTimeout: closeMsMax,
      // Our own way to answer pings is bounded.
      autoPong: false,
      handleProtocols: (offered: Set<string>) => (offered.has(subprotocol) ? subprotocol : false),
    }
    return new Made(options)
  }

  #refusal(request: IncomingMessage): readonly [status: number, sentence: string] | null {
    if (pathOf(request) !== webSocketPath) return [404, `there is no WebSocket here; AMQP is at ${webSocketPath}`]
    if (this.#isStopping) return [503, 'the broker stops']
    const offered = request.headers['sec-websocket-protocol']
    if (offered !== undefined && !offered.split(',').some((name) => name.trim() === subprotocol)) {
      return [400, `the subprotocol must be ${subprotocol} or none`]
    }
    if (!mayConnect(request, this.origins)) {
      const mend = 'name it with the option http-origins'
      return [403, `a page of ${request.headers.origin} may not connect to this broker; ${mend}`]
    }
    return null
  }
}

/** Without the query. What stands there may be anything: it is compared and never parsed. */
export function pathOf({ url = '/' }: Pick<IncomingMessage, 'url'>): string {
  return url.split('?', 1)[0] ?? url
}

/** RFC 6455 §7.4.1. */
const closeCodes = { normal: 1000, goingAway: 1001 } as const

/**
 * Browsers say which page wants to connect (RFC 6455 §10.2); other programs could say anything, so they need not.
 * Without this check, any page that a developer looks at could log in to the broker on their machine as guest.
 */
export function mayConnect(request: Pick<IncomingMessage, 'headers' | 'socket'>, origins: string): boolean {
  const { origin, host, 'sec-fetch-site': site = 'none' } = request.headers
  if (origins === '*') return true
  if (origin === undefined) return site === 'none' || site === 'same-origin'
  if (origins !== 'same-host') return origins.split(',').some((each) => each.trim() === origin)
  const page = hostOf(origin)
  if (page === null || page !== hostOf(`http://${host ?? ''}`)) return false
  // A name that was made to point at this machine (DNS rebinding) is no name of it.
  return !isLoopbackAddress(request.socket.remoteAddress ?? '') || isNameOfThisMachine(page)
}

function hostOf(url: string): string | null {
  try {
    return new URL(url).hostname
  } catch {
    // `null` is what pages without an origin send.
    return null
  }
}

function isNameOfThisMachine(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || isLoopbackAddress(host.replace(/^\[(.*)\]$/, '$1'))
}

const reasons: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
}

function refuse(stream: Duplex, status: number, sentence: string): void {
  const body = `${sentence}\n`
  const head = [
    `HTTP/1.1 ${status} ${reasons[status] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  stream.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => stream.destroy())
}
