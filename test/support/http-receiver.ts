/** A server that takes what is posted: notes it, and answers as it is told. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export class HttpReceiver {
  readonly received: Received[] = []
  /** With the number of the request, from 1. */
  answer: (response: ServerResponse, count: number) => void = (response) => void response.end()
  /** So many were made. */
  connections = 0
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', () => this.connections++)
    server.on('request', (request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const { url = '', headers } = request
        this.received.push({ path: url, headers, body: Buffer.concat(parts).toString() })
        this.answer(response, this.received.length)
      })
    })
  }

  /** On a free port of the loopback; by TLS with a certificate. */
  static async listen(tls: { readonly cert: string; readonly key: string } | null = null): Promise<HttpReceiver> {
    const receiver = new HttpReceiver(tls === null ? createServer() : createTlsServer(tls))
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get bodies(): string[] {
    return this.received.map(({ body }) => body)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

/** An answer without a body. */
export const answering =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void =>
    void response.writeHead(code, headers).end()
