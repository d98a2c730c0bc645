/** A port for TLS: a plain listening socket, whose connections are given to a `TlsAcceptor`. */
import * as net from 'node:net'
import type { ListenAddress, Listener } from './network.ts'
import { TlsAcceptor, type TlsAcceptorParts, type TlsServerSettings } from './tls-acceptor.ts'

export class TlsListener {
  readonly #acceptor: TlsAcceptor

  /** Throws Node's error when certificate, key and authority make no sense. */
  constructor(settings: TlsServerSettings, parts: TlsAcceptorParts) {
    this.#acceptor = new TlsAcceptor(settings, parts)
  }

  renew(settings: TlsServerSettings): void {
    this.#acceptor.renew(settings)
  }

  /** Rejects with the system's error. */
  listen({ host, port }: ListenAddress): Promise<Listener> {
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#acceptor.take(socket))
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ port, ...(host === '*' ? {} : { host }) }, () => {
        server.removeListener('error', reject)
        // Running out of file descriptors is no reason to stop listening; the next accept may succeed.
        server.on('error', () => {})
        const bound = server.address()
        resolve({
          port: bound !== null && typeof bound === 'object' ? bound.port : port,
          close: () => {
            server.close()
            this.#acceptor.close()
          },
        })
      })
    })
  }
}
