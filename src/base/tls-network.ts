/**
 * A network on which both ends show a certificate (mutual TLS), for nodes of a cluster. Who connects also checks that the
 * other's certificate is for the host it asked for. What is below and above does not know of it.
 */
import * as tls from 'node:tls'
import { Arena, type Block } from './arena.ts'
import { type ListenAddress, type Listener, type Network, readBufferBytes, type Socket } from './network.ts'
import { destroyOnAbort, listening, SystemSocket } from './system-network.ts'

export interface TlsOptions {
  /** This end's certificate, with those between it and the authority, and its key; PEM. */
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
  /** Whose certificates are accepted; PEM. No other authority is. */
  readonly ca: string | Uint8Array
}

/** From accept to the end of the TLS handshake, in milliseconds. Then the socket is closed. */
const handshakeMsMax = 5_000

/** Accepted sockets in the TLS handshake. A further one is closed. */
const handshakesMax = 64

export class TlsNetwork implements Network {
  readonly arena: Arena
  readonly #block: Block
  readonly #options: tls.SecureContextOptions

  /** The read buffer is cut from `arena`. Throws Node's error when certificate, key and authority make no sense. */
  constructor(options: TlsOptions, arena = new Arena()) {
    this.arena = arena
    this.#block = arena.takeForGood(readBufferBytes)
    this.#options = { cert: pem(options.cert), key: pem(options.key), ca: pem(options.ca), minVersion: 'TLSv1.3' }
    tls.createSecureContext(this.#options)
  }

  listen(address: ListenAddress, accept: (socket: Socket) => void): Promise<Listener> {
    const asked = { requestCert: true, rejectUnauthorized: true, handshakeTimeout: handshakeMsMax }
    const server = tls.createServer({ ...this.#options, ...asked, noDelay: true, allowHalfOpen: true })
    let handshakes = 0
    server.on('connection', (socket) => {
      if (++handshakes > handshakesMax) socket.destroy()
    })
    // Each connection comes to one of these two: whoever does not pass, is late or goes away, to the first.
    server.on('tlsClientError', (_error, socket) => {
      handshakes--
      socket.destroy()
    })
    server.on('secureConnection', (socket) => {
      handshakes--
      accept(new SystemSocket(socket, this.#block, true))
    })
    return listening(server, address)
  }

  connect(host: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return new Promise((resolve, reject) => {
      // `allowHalfOpen` is documented and not declared.
      const options = { ...this.#options, host, port, rejectUnauthorized: true, allowHalfOpen: true }
      const socket = tls.connect(options)
      const release = destroyOnAbort(socket, signal)
      socket.setNoDelay(true)
      const failed = (error: Error): void => {
        release()
        reject(error)
      }
      socket.once('error', failed)
      socket.once('secureConnect', () => {
        release()
        socket.removeListener('error', failed)
        resolve(new SystemSocket(socket, this.#block, true))
      })
    })
  }
}

function pem(bytes: string | Uint8Array): string | Buffer {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes)
}
