/**
 * A network inside the process: two ends of a pipe, with the back-pressure of a real one. Each write arrives as one
 * read (cut at `readBytesMax`), so a test decides where input is cut. Not a simulation of loss or delay.
 */
import { Arena, type Block } from './arena.ts'
import type { Clock } from './clock.ts'
import {
  headroomBytes,
  type ListenAddress,
  type Listener,
  type Network,
  readBufferBytes,
  readBytesMax,
  type Socket,
  type SocketReader,
} from './network.ts'

/** Bytes one direction holds before writes wait for the reader, like the buffers of a kernel. */
export const pipeBytesMax = readBytesMax

export class MemoryNetwork implements Network {
  readonly #clock: Clock
  readonly arena: Arena
  readonly #block: Block
  readonly #accepting = new Map<number, (socket: Socket) => void>()
  #portNext = 49_152

  constructor(clock: Clock, arena = new Arena()) {
    this.#clock = clock
    this.arena = arena
    this.#block = arena.takeForGood(readBufferBytes)
  }

  listen(address: ListenAddress, accept: (socket: Socket) => void): Promise<Listener> {
    const port = address.port === 0 ? this.#portNext++ : address.port
    if (this.#accepting.has(port)) {
      return Promise.reject(Object.assign(new Error(`port ${port} is in use`), { code: 'EADDRINUSE' }))
    }
    this.#accepting.set(port, accept)
    return Promise.resolve({ port, close: () => void this.#accepting.delete(port) })
  }

  connect(_host: string, port: number): Promise<Socket> {
    const accept = this.#accepting.get(port)
    if (accept === undefined) {
      return Promise.reject(Object.assign(new Error(`nothing listens on port ${port}`), { code: 'ECONNREFUSED' }))
    }
    const [near, far] = this.pair(port)
    accept(far)
    return Promise.resolve(near)
  }

  /** Two joined sockets; the second one is the side that listens on `port`. */
  pair(port = 5672, remoteAddress = '127.0.0.1'): [MemorySocket, MemorySocket] {
    const remotePort = this.#portNext++
    const near = new MemorySocket(this.#clock, this.#block, { address: '127.0.0.1', port }, remotePort)
    const far = new MemorySocket(this.#clock, this.#block, { address: remoteAddress, port: remotePort }, port)
    near.join(far)
    far.join(near)
    return [near, far]
  }
}

interface Chunk {
  bytes: Uint8Array
  written: (error: Error | null) => void
}

export class MemorySocket implements Socket {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress = '127.0.0.1'
  readonly localPort: number
  readonly #clock: Clock
  readonly #buffer: Uint8Array
  readonly #readStart: number
  #peer: MemorySocket | null = null
  #reader: SocketReader | null = null
  #isPaused = false
  #isScheduled = false
  #isClosed = false
  /** The peer has said `end`; told to the reader after the last chunk. */
  #isEnded = false
  #toldEnded = false
  /** Both ends have said it: the socket is closed, as one of the system is. */
  #hasSaidEnd = false
  /** Bytes on their way to this end, taken over from the writer. */
  #incoming: Uint8Array[] = []
  #incomingBytes = 0
  /** Writes of the peer that do not fit yet. */
  #waiting: Chunk[] = []

  constructor(clock: Clock, block: Block, remote: { address: string; port: number }, localPort: number) {
    this.#clock = clock
    this.#buffer = block.buffer
    this.#readStart = block.start + headroomBytes
    this.remoteAddress = remote.address
    this.remotePort = remote.port
    this.localPort = localPort
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  join(peer: MemorySocket): void {
    this.#peer = peer
  }

  open(reader: SocketReader): void {
    this.#reader = reader
    this.#schedule()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#schedule()
  }

  write(bytes: Uint8Array, written: (error: Error | null) => void): void {
    const peer = this.#peer
    if (this.#isClosed || peer === null || peer.#isClosed) {
      this.#clock.soon(() => written(Object.assign(new Error('the socket is closed'), { code: 'EPIPE' })))
      return
    }
    peer.#waiting.push({ bytes, written })
    peer.#admit()
  }

  end(): void {
    const peer = this.#peer
    if (peer === null || peer.#isClosed) return
    this.#hasSaidEnd = true
    peer.#isEnded = true
    peer.#schedule()
    if (this.#toldEnded) this.#close(null)
  }

  destroy(): void {
    this.#close(null)
    this.#peer?.refuseWaiting()
    // What was taken over is still on its way to the peer; then it sees the end.
    this.end()
  }

  /** The peer has gone: what it wrote and was not taken over is lost. */
  refuseWaiting(): void {
    const refused = this.#waiting.splice(0)
    this.#clock.soon(() => {
      for (const { written } of refused) written(Object.assign(new Error('the socket is closed'), { code: 'EPIPE' }))
    })
  }

  /** Takes over writes while there is room; one larger than the pipe in pieces, each when the pipe is empty. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { bytes, written } = next
      if (this.#incomingBytes > 0 && this.#incomingBytes + bytes.length > pipeBytesMax) break
      const piece = bytes.slice(0, pipeBytesMax)
      this.#incoming.push(piece)
      this.#incomingBytes += piece.length
      this.#schedule()
      if (piece.length < bytes.length) next.bytes = bytes.subarray(piece.length)
      else {
        this.#waiting.shift()
        this.#clock.soon(() => written(null))
      }
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed || this.#reader === null) return
    this.#isScheduled = true
    this.#clock.soon(() => {
      this.#isScheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    while (!this.#isPaused && !this.#isClosed) {
      const chunk = this.#incoming.shift()
      if (chunk === undefined) break
      this.#incomingBytes -= chunk.length
      this.#buffer.set(chunk, this.#readStart)
      this.#reader?.data(this.#buffer, this.#readStart, this.#readStart + chunk.length)
    }
    if (this.#isClosed) return
    this.#admit()
    if (this.#isPaused || this.#incoming.length > 0 || !this.#isEnded || this.#toldEnded) return
    this.#toldEnded = true
    this.#reader?.ended()
    const peer = this.#peer
    if (peer?.isClosed === true || this.#hasSaidEnd) this.#close(null)
  }

  #close(error: Error | null): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#incoming = []
    this.refuseWaiting()
    this.#clock.soon(() => this.#reader?.closed(error))
  }
}
