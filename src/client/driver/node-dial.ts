/** TCP, TLS and any other `Duplex` of Node as a stream of bytes. The only place of the client that opens sockets. */
import * as net from 'node:net'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import type { ByteReader, ByteStream, Dial } from './byte-stream.ts'
import type { ConnectTarget } from './driver.ts'
import { dialWebSocket } from './web-socket-dial.ts'

/** What `tls.connect` takes, in PEM. */
export interface TlsOptions {
  /** The authorities that are trusted, instead of those Node trusts. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** A certificate of our own, for brokers that ask for one, with its key. */
  readonly cert?: string | Uint8Array
  readonly key?: string | Uint8Array
  readonly passphrase?: string
  /** The name the certificate must have; the host of the URL by default. */
  readonly servername?: string
  /** False accepts any certificate: for tests only. */
  readonly rejectUnauthorized?: boolean
}

/** `amqp:` by TCP, `amqps:` by TLS, `ws:` and `wss:` by WebSocket. */
export function nodeDial(options: TlsOptions): Dial {
  return async (target, signal) => {
    if (target.protocol === 'ws' || target.protocol === 'wss') return dialWebSocket(target, signal)
    const socket = target.protocol === 'amqps' ? tlsSocket(target, options) : net.connect(target.port, target.host)
    await untilOpen(socket, target.protocol === 'amqps' ? 'secureConnect' : 'connect', signal)
    socket.setNoDelay(true)
    return duplexStream(socket)
  }
}

function tlsSocket({ host, port }: ConnectTarget, options: TlsOptions): tls.TLSSocket {
  const servername = options.servername ?? (net.isIP(host) === 0 ? host : '')
  return tls.connect({ host, port, ...(options as tls.ConnectionOptions), servername })
}

function untilOpen(socket: net.Socket, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: unknown): void => {
      signal.removeEventListener('abort', abort)
      socket.off(event, opened).off('error', settle)
      if (error === null) return resolve()
      // Errors that come later belong to nobody.
      socket.on('error', () => undefined)
      socket.destroy()
      reject(error)
    }
    const opened = (): void => settle(null)
    const abort = (): void => settle(signal.reason)
    socket.once(event, opened).once('error', settle)
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
  })
}

/** Takes the stream over: its errors become `closed`. */
export function duplexStream(duplex: Duplex): ByteStream {
  let reader: ByteReader | null = null
  let isClosed = false
  const closed = (error: Error | null): void => {
    if (isClosed) return
    isClosed = true
    reader?.closed(error)
  }
  duplex.on('error', closed)
  duplex.on('end', () => closed(null))
  duplex.on('close', () => closed(null))
  return {
    open: (given) => {
      reader = given
      duplex.on('data', (chunk: Uint8Array) => given.data(chunk))
      if (isClosed || duplex.destroyed) given.closed(null)
    },
    write: (bytes) => {
      if (!duplex.destroyed && !duplex.writableEnded) duplex.write(bytes)
    },
    end: () => {
      if (!duplex.writableEnded && !duplex.destroyed) duplex.end(() => duplex.destroy())
    },
    destroy: () => void duplex.destroy(),
  }
}
