/**
 * A WebSocket as the server sees any connection: bytes in, bytes out.
 *
 * In, messages may be cut anywhere. Out, each message holds whole frames, since there are clients that lose their place
 * when the head of a frame comes in two messages. Only binary messages are AMQP; text closes the WebSocket (1003).
 */
import type { RawData, WebSocket } from 'ws'
import type { Block } from '../base/arena.ts'
import type { Clock } from '../base/clock.ts'
import { headroomBytes, readBytesMax, type Socket, type SocketReader, type TlsFacts } from '../base/network.ts'
import { FrameEnds } from './frame-ends.ts'

export interface WebSocketSocketOptions {
  readonly clock: Clock
  /** What it reads into; may be shared by all sockets of a network. */
  readonly block: Block
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: TlsFacts | null
  /** The code of RFC 6455 §7.4 with which it is closed now, when we close it. */
  endCode(): number
}

/** Pings are answered only while less than this waits to be sent, in bytes. */
const pongBytesMax = 16 * 1024
const unsupportedData = 1003

export class WebSocketSocket implements Socket {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls?: TlsFacts
  readonly #webSocket: WebSocket
  readonly #options: WebSocketSocketOptions
  readonly #buffer: Uint8Array
  readonly #readStart: number
  readonly #frameEnds = new FrameEnds()
  #reader: SocketReader | null = null
  #error: Error | null = null
  #isPaused = true
  #isRefused = false
  #isScheduled = false
  /** Messages that were already here when reading was paused: at most what one read of the socket brought. */
  #kept: Uint8Array[] = []

  constructor(webSocket: WebSocket, options: WebSocketSocketOptions) {
    this.remoteAddress = options.remoteAddress
    this.remotePort = options.remotePort
    this.localAddress = options.localAddress
    this.localPort = options.localPort
    if (options.tls !== null) this.tls = options.tls
    this.#webSocket = webSocket
    this.#options = options
    this.#buffer = options.block.buffer
    this.#readStart = options.block.start + headroomBytes
    webSocket.on('message', (data, isBinary) => this.#arrived(data, isBinary))
    webSocket.on('ping', (data) => {
      if (webSocket.bufferedAmount < pongBytesMax) webSocket.pong(data)
    })
    webSocket.on('error', (error) => {
      this.#error = error
    })
    webSocket.on('close', () => this.#reader?.closed(this.#error))
    webSocket.pause()
  }

  // ---------------------------------------------------------------- in

  open(reader: SocketReader): void {
    this.#reader = reader
    if (this.#webSocket.readyState === closed) this.#options.clock.soon(() => reader.closed(this.#error))
    else this.resume()
  }

  pause(): void {
    this.#isPaused = true
    this.#webSocket.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#kept.length === 0) this.#webSocket.resume()
    else this.#readSoon()
  }

  #readSoon(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#options.clock.soon(() => {
      this.#isScheduled = false
      this.#read()
    })
  }

  #arrived(data: RawData, isBinary: boolean): void {
    if (this.#isRefused) return
    if (!isBinary) {
      this.#isRefused = true
      this.#error = new Error('a text message came over the WebSocket; AMQP is binary')
      this.#webSocket.close(unsupportedData, 'AMQP is binary')
      return
    }
    const bytes = data as Buffer
    if (bytes.length === 0) return
    this.#kept.push(bytes)
    if (!this.#isPaused && !this.#isScheduled) this.#read()
  }

  #read(): void {
    while (!this.#isPaused) {
      const next = this.#kept.shift()
      if (next === undefined) {
        this.#webSocket.resume()
        return
      }
      if (next.length > readBytesMax) this.#kept.unshift(next.subarray(readBytesMax))
      const piece = next.subarray(0, readBytesMax)
      this.#buffer.set(piece, this.#readStart)
      if (this.#webSocket.readyState !== closed) {
        this.#reader?.data(this.#buffer, this.#readStart, this.#readStart + piece.length)
      }
    }
  }

  // ---------------------------------------------------------------- out

  write(bytes: Uint8Array, written: (error: Error | null) => void): void {
    const messages = this.#frameEnds.cut(bytes)
    const last = messages.pop()
    if (last === undefined) {
      this.#options.clock.soon(() => written(null))
      return
    }
    for (const message of messages) this.#webSocket.send(message, binary)
    this.#webSocket.send(last, binary, (error) => written(error ?? null))
  }

  end(): void {
    this.#webSocket.close(this.#options.endCode())
  }

  destroy(): void {
    this.#webSocket.terminate()
  }
}

const binary = { binary: true } as const
/** `WebSocket.CLOSED`. */
const closed = 3
