/** A port for TLS: a plain listening socket, whose connections are given to a `TlsAcceptor`. */
import * as net from 'node:net'
import type { ListenAddress, Listener } from './network.ts'
import { listening } from './system-network.ts'
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
  async listen(address: ListenAddress): Promise<Listener> {
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#acceptor.take(socket))
    const { port, close } = await listening(server, address)
    return {
      port,
      close: () => {
        close()
        this.#acceptor.close()
      },
    }
  }
}
