/**
 * The server's side of TLS for sockets that somebody else accepts: handshakes within their time and number, then the
 * encrypted socket. Certificates can be changed at any time; sockets that are there keep theirs.
 *
 * Each socket meets the whole handshake: no session is resumed, so nobody gets in by what an authority said that is not
 * trusted any more. Renegotiation is off.
 */
import { constants, X509Certificate } from 'node:crypto'
import type * as net from 'node:net'
import * as tls from 'node:tls'
import { plainAddress, type TlsFacts } from './network.ts'
import { factsOf } from './tls-facts.ts'

/** `optional`: who shows a certificate must show a good one. */
export type TlsVerify = 'none' | 'optional' | 'required'

export interface TlsServerSettings {
  /** This end's certificate, with those between it and the authority, and its key; PEM. */
  readonly cert: string
  readonly key: string
  /** Whose certificates clients may show; PEM. Null: nobody's. */
  readonly ca: string | null
  readonly verify: TlsVerify
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

export interface TlsAcceptorParts {
  /** Accepted sockets in the handshake, in all and of one address. A further one is closed. */
  readonly handshakesMax: number
  readonly handshakesPerAddressMax: number
  /** From accept to the end of the handshake, in milliseconds. Then the socket is closed. */
  readonly handshakeMsMax: number
  /** The socket is encrypted from here on, and the acceptor's business with it is over. */
  secured(socket: tls.TLSSocket, facts: TlsFacts): void
  /** A socket was closed; `reason` is for the log. */
  refused(address: string, reason: string): void
  /** The peer has gone without a word, as those do who only look whether a port is there. */
  left(address: string): void
}

export class TlsAcceptor {
  readonly #parts: TlsAcceptorParts
  #server: tls.Server
  /** Sockets in the handshake by peer, and what is to be done when it is over. */
  readonly #handshakes = new Map<string, { readonly socket: net.Socket; readonly over: () => boolean }>()
  /** Handshakes by address; only those with some. */
  readonly #byAddress = new Map<string, number>()

  /** Throws Node's error when certificate, key and authority make no sense. */
  constructor(settings: TlsServerSettings, parts: TlsAcceptorParts) {
    this.#parts = parts
    this.#server = this.#makeServer(settings)
  }

  /** For handshakes to come. Throws Node's error when they make no sense; those from before then stay. */
  renew(settings: TlsServerSettings): void {
    this.#server = this.#makeServer(settings)
  }

  /** How many handshakes are under way. */
  get handshakes(): number {
    return this.#handshakes.size
  }

  /** Takes an accepted socket over that nobody has read from. */
  take(socket: net.Socket): void {
    const address = plainAddress(socket.remoteAddress ?? '')
    const refusal = this.#refusal(address)
    if (refusal !== null) {
      socket.on('error', () => {})
      socket.destroy()
      this.#parts.refused(address, refusal)
      return
    }
    const peer = peerOf(socket)
    const over = (): boolean => this.#over(peer, address)
    this.#handshakes.set(peer, { socket, over })
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1)
    socket.once('close', () => {
      if (!over()) return
      if (socket.bytesRead === 0) this.#parts.left(address)
      else this.#parts.refused(address, 'the client has gone in the handshake; it may not trust the certificate')
    })
    // Who ends its side in the handshake has gone, and is not to be waited for until the handshake's time is over.
    socket.allowHalfOpen = false
    // Documented as the way to give a TLS server a stream that it has not accepted itself.
    this.#server.emit('connection', socket)
  }

  /** Ends the handshakes that are under way. */
  close(): void {
    for (const { socket } of this.#handshakes.values()) socket.destroy()
  }

  #refusal(address: string): string | null {
    const { handshakesMax, handshakesPerAddressMax } = this.#parts
    if (this.#handshakes.size >= handshakesMax) return `limit of ${handshakesMax} TLS handshakes is reached`
    if ((this.#byAddress.get(address) ?? 0) < handshakesPerAddressMax) return null
    return `limit of ${handshakesPerAddressMax} TLS handshakes from one address is reached`
  }

  /** False: it was over before. */
  #over(peer: string, address: string): boolean {
    if (!this.#handshakes.delete(peer)) return false
    const left = (this.#byAddress.get(address) ?? 1) - 1
    if (left > 0) this.#byAddress.set(address, left)
    else this.#byAddress.delete(address)
    return true
  }

  #makeServer(settings: TlsServerSettings): tls.Server {
    const server = tls.createServer({
      ...contextOf(settings),
      requestCert: settings.verify !== 'none',
      // Looked at below, so that the log says why.
      rejectUnauthorized: false,
      handshakeTimeout: this.#parts.handshakeMsMax,
      allowHalfOpen: true,
    })
    server.on('tlsClientError', (error, socket) => {
      // Told of when the socket below is closed.
      if ('code' in error && error.code === 'ECONNRESET') socket.destroy()
      else this.#fail(socket, error.message)
    })
    server.on('secureConnection', (socket) => {
      // From here on whoever takes it over listens for errors; until then they end it and nothing else.
      socket.on('error', () => {})
      const reason = whyNot(socket, settings.verify)
      if (reason !== null) return this.#fail(socket, reason)
      this.#handshakes.get(peerOf(socket))?.over()
      socket.allowHalfOpen = true
      this.#parts.secured(socket, factsOf(socket))
    })
    return server
  }

  #fail(socket: tls.TLSSocket, reason: string): void {
    this.#handshakes.get(peerOf(socket))?.over()
    this.#parts.refused(plainAddress(socket.remoteAddress ?? ''), reason)
    socket.destroy()
  }
}

/** Of a port's open sockets no two have the same. */
function peerOf({ remoteAddress, remotePort }: net.Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** Why the peer may not come in; null when it may. */
function whyNot(socket: tls.TLSSocket, verify: TlsVerify): string | null {
  const isShown = socket.getPeerX509Certificate() !== undefined
  if (!isShown) return verify === 'required' ? 'the client showed no certificate' : null
  return socket.authorized ? null : `the client's certificate is refused: ${String(socket.authorizationError)}`
}

/** Throws Node's error, or a sentence, when these cannot be used. */
export function checkTlsSettings(settings: TlsServerSettings): void {
  tls.createSecureContext(contextOf(settings))
  // A text without any certificate in it is taken for no authority, and then nobody would be let in.
  if (settings.ca !== null) new X509Certificate(settings.ca)
}

/** Until when a certificate is valid: wall time in milliseconds. */
export function validUntil({ cert }: Pick<TlsServerSettings, 'cert'>): number {
  return Date.parse(new X509Certificate(cert).validTo)
}

function contextOf({ cert, key, ca, minVersion }: TlsServerSettings): tls.SecureContextOptions {
  return {
    cert,
    key,
    ...(ca === null ? {} : { ca }),
    minVersion,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    honorCipherOrder: true,
  }
}
