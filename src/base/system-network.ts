/**
 * The real network. What is unusual here is how it reads: Node allocates a new buffer for each read of an accepted
 * socket, which costs a tenth to a quarter of the throughput. `onread` avoids it but is
 * documented for outgoing sockets only. So an accepted socket is held still (`pauseOnConnect`), its handle is taken off
 * it, and a new `net.Socket` is made around the handle, by the undocumented option of that name, with `onread` set.
 * Where a Node version does not play along, 'data' events do the same, slower; the tests run both ways.
 */
import * as net from 'node:net'
import { Arena, type Block } from './arena.ts'
import {
  headroomBytes,
  type ListenAddress,
  type Listener,
  type Network,
  plainAddress,
  readBufferBytes,
  readBytesMax,
  type Socket,
  type SocketReader,
  type TlsFacts,
} from './network.ts'

/** How accepted sockets are read. `events` is the fallback, and can be asked for. */
export type ReadMode = 'shared-buffer' | 'events'

/** What `net` does not document: the libuv handle behind a socket, and that a socket can be made around one. */
interface WithHandle {
  _handle: { useUserBuffer?: unknown } | null
}
interface HandleOptions extends net.SocketConstructorOpts {
  handle: unknown
  pauseOnCreate: boolean
  onread: { buffer: Uint8Array; callback: (byteCount: number, buffer: Uint8Array) => boolean }
}

export class SystemNetwork implements Network {
  readonly #mode: ReadMode
  readonly arena: Arena
  readonly #block: Block

  /** The read buffer is cut from `arena`. */
  constructor(arena = new Arena(), mode: ReadMode = 'shared-buffer') {
    this.#mode = mode
    this.arena = arena
    this.#block = arena.takeForGood(readBufferBytes)
  }

  listen(address: ListenAddress, accept: (socket: Socket) => void): Promise<Listener> {
    const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true })
    server.on('connection', (accepted) => {
      const socket = this.#adopt(accepted)
      if (socket !== null) accept(socket)
    })
    return listening(server, address)
  }

  connect(host: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return new Promise((resolve, reject) => {
      let target: SystemSocket | null = null
      const isShared = this.#mode === 'shared-buffer'
      const onread = this.#onread((byteCount) => target?.received(byteCount))
      const options = { host, port, noDelay: true, allowHalfOpen: true }
      const socket = net.connect(isShared ? { ...options, onread } : options)
      const release = destroyOnAbort(socket, signal)
      const failed = (error: Error): void => {
        release()
        reject(error)
      }
      socket.once('error', failed)
      socket.once('connect', () => {
        release()
        socket.removeListener('error', failed)
        socket.pause()
        target = new SystemSocket(socket, this.#block, !isShared)
        resolve(target)
      })
    })
  }

  /** Reads go to the shared buffer, behind its headroom. */
  #onread(received: (byteCount: number) => void): HandleOptions['onread'] {
    const buffer = this.#block.buffer.subarray(this.#block.start + headroomBytes, this.#block.end)
    const callback = (byteCount: number): boolean => {
      received(byteCount)
      return true
    }
    return { buffer, callback }
  }

  /** Null when the peer has gone already. */
  #adopt(accepted: net.Socket): Socket | null {
    if (accepted.remoteAddress === undefined) {
      accepted.on('error', () => {})
      accepted.destroy()
      return null
    }
    const inner = accepted as unknown as WithHandle
    const handle = inner._handle
    if (this.#mode === 'events' || handle === null || typeof handle.useUserBuffer !== 'function') {
      return new SystemSocket(accepted, this.#block, true)
    }
    let target: SystemSocket | null = null
    const options: HandleOptions = {
      handle,
      allowHalfOpen: true,
      pauseOnCreate: true,
      onread: this.#onread((byteCount) => target?.received(byteCount)),
    }
    const socket = new net.Socket(options)
    target = new SystemSocket(socket, this.#block, false)
    // Without its handle the accepted socket has nothing left to close, but the server stops counting it.
    inner._handle = null
    accepted.destroy()
    return target
  }
}

/** Begins to listen. Rejects with Node's error when the address is not to be had. */
export function listening(server: net.Server, { host, port }: ListenAddress): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host === '*' ? {} : { host }) }, () => {
      server.removeListener('error', reject)
      // Running out of file descriptors is no reason to stop listening; the next accept may succeed.
      server.on('error', () => {})
      const bound = server.address()
      resolve({
        port: bound !== null && typeof bound === 'object' ? bound.port : port,
        close: () => void server.close(),
      })
    })
  })
}

/** Until the returned function is called. */
export function destroyOnAbort(socket: net.Socket, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {}
  const destroy = (): void => {
    socket.destroy(new Error('the connection was given up before it was made'))
  }
  if (signal.aborted) destroy()
  else signal.addEventListener('abort', destroy, { once: true })
  return () => signal.removeEventListener('abort', destroy)
}

/** A connected socket, read into the shared buffer. */
export class SystemSocket implements Socket {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls?: TlsFacts
  readonly #socket: net.Socket
  readonly #buffer: Uint8Array
  readonly #readStart: number
  #reader: SocketReader | null = null
  #error: Error | null = null
  #isPaused = true

  constructor(socket: net.Socket, block: Block, readsByEvents: boolean, facts?: TlsFacts) {
    this.#socket = socket
    if (facts !== undefined) this.tls = facts
    this.#buffer = block.buffer
    this.#readStart = block.start + headroomBytes
    this.remoteAddress = plainAddress(socket.remoteAddress ?? '')
    this.remotePort = socket.remotePort ?? 0
    this.localAddress = plainAddress(socket.localAddress ?? '')
    this.localPort = socket.localPort ?? 0
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('end', () => this.#reader?.ended())
    socket.on('close', () => this.#reader?.closed(this.#error))
    // A stream that was resumed starts to read a tick later, whatever has happened in between.
    socket.on('resume', () => {
      if (this.#isPaused) socket.pause()
    })
    if (readsByEvents) socket.on('data', (chunk) => this.#receivedChunk(chunk))
    socket.pause()
  }

  open(reader: SocketReader): void {
    this.#reader = reader
    if (this.#socket.closed) process.nextTick(() => reader.closed(this.#error))
    else this.resume()
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#socket.resume()
  }

  write(bytes: Uint8Array, written: (error: Error | null) => void): void {
    this.#socket.write(bytes, (error) => written(error ?? null))
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** So many bytes are in the shared buffer. */
  received(byteCount: number): void {
    if (!this.#socket.destroyed) this.#reader?.data(this.#buffer, this.#readStart, this.#readStart + byteCount)
  }

  /** Bytes in a buffer of their own: copied into the shared one, so that there is room in front of them. */
  #receivedChunk(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at += readBytesMax) {
      const piece = chunk.subarray(at, at + readBytesMax)
      this.#buffer.set(piece, this.#readStart)
      this.received(piece.length)
    }
  }
}
