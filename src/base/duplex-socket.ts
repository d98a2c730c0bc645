/**
 * A connection inside the process without the system: one end is a `Socket`, the other a `Duplex` of Node, as a library
 * takes it that does not care what it talks through. Bytes are copied once in each direction, and nothing is delivered
 * within the call that wrote it: neither side ever runs inside the other.
 *
 * Back-pressure works both ways. A pause of the socket's reader holds the writes of the duplex; a duplex that nobody
 * reads holds those of the socket. While it is open, the process does not end by itself.
 */
import { Duplex } from 'node:stream'
import type { Block } from './arena.ts'
import type { Clock } from './clock.ts'
import { KeepAlive } from './keep-alive.ts'
import { headroomBytes, readBytesMax, type Socket, type SocketReader } from './network.ts'

export interface DuplexPairOptions {
  readonly clock: Clock
  /** What the socket reads into; may be shared by all sockets of a network. `readBufferBytes` long. */
  readonly block: Block
  /** A number that tells connections apart; what a port is elsewhere. */
  readonly remotePort: number
}

export interface DuplexPair {
  readonly socket: Socket
  readonly duplex: Duplex
}

export function duplexPair(options: DuplexPairOptions): DuplexPair {
  const socket = new DuplexSocket(options)
  return { socket, duplex: socket.duplex }
}

type Written = (error: Error | null) => void

class DuplexSocket implements Socket {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort: number
  readonly localAddress = '127.0.0.1'
  readonly localPort = 0
  readonly duplex: Duplex
  readonly #clock: Clock
  readonly #buffer: Uint8Array
  readonly #readStart: number
  readonly #keepAlive = new KeepAlive()
  #reader: SocketReader | null = null
  #isPaused = false
  #isClosed = false
  /** Bytes on their way to the reader, and what tells the duplex that they have arrived. */
  #incoming: readonly Uint8Array[] = []
  /** The next chunk, and the next byte in it. */
  #at = 0
  #chunkAt = 0
  #taken: (() => void) | null = null
  #isPeerEnded = false
  #isReading = false
  /** Writes on their way to the duplex, and one that it has but whose reader is behind. */
  #outgoing: { bytes: Buffer; written: Written }[] = []
  #heldBack: Written | null = null
  #isEnding = false
  #isSending = false

  constructor({ clock, block, remotePort }: DuplexPairOptions) {
    this.remotePort = remotePort
    this.#clock = clock
    this.#buffer = block.buffer
    this.#readStart = block.start + headroomBytes
    this.duplex = new Duplex({
      allowHalfOpen: false,
      writableHighWaterMark: readBytesMax,
      readableHighWaterMark: readBytesMax,
      read: () => this.#peerReads(),
      write: (chunk: Uint8Array, _encoding, done) => this.#arrived([chunk], done),
      writev: (chunks, done) => {
        const bytes = chunks.map(({ chunk }) => chunk as Uint8Array)
        this.#arrived(bytes, done)
      },
      final: (done) => {
        this.#isPeerEnded = true
        this.#readSoon()
        done()
      },
      destroy: (error, done) => {
        this.#close()
        done(error)
      },
    })
  }

  // ---------------------------------------------------------------- in

  open(reader: SocketReader): void {
    this.#reader = reader
    if (this.#isClosed) this.#clock.soon(() => reader.closed(null))
    else this.#readSoon()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#readSoon()
  }

  #arrived(chunks: readonly Uint8Array[], taken: () => void): void {
    this.#incoming = chunks
    this.#at = 0
    this.#chunkAt = 0
    this.#taken = taken
    this.#readSoon()
  }

  #readSoon(): void {
    if (this.#isReading || this.#isClosed || this.#reader === null) return
    this.#isReading = true
    this.#clock.soon(() => {
      this.#isReading = false
      this.#read()
    })
  }

  #read(): void {
    while (!this.#isPaused && !this.#isClosed && this.#at < this.#incoming.length) {
      const end = this.#gather()
      if (end > this.#readStart) this.#reader?.data(this.#buffer, this.#readStart, end)
    }
    if (this.#isClosed || this.#at < this.#incoming.length) return
    const taken = this.#taken
    this.#taken = null
    taken?.()
    if (!this.#isPeerEnded || this.#isPaused || this.#taken !== null) return
    this.#isPeerEnded = false
    this.#reader?.ended()
  }

  /** As many chunks as fit go into the read buffer; returns where they end. */
  #gather(): number {
    const limit = this.#readStart + readBytesMax
    let end = this.#readStart
    while (end < limit && this.#at < this.#incoming.length) {
      const chunk = this.#incoming[this.#at] ?? empty
      const bytes = Math.min(chunk.length - this.#chunkAt, limit - end)
      this.#buffer.set(chunk.subarray(this.#chunkAt, this.#chunkAt + bytes), end)
      end += bytes
      this.#chunkAt += bytes
      if (this.#chunkAt < chunk.length) break
      this.#at++
      this.#chunkAt = 0
    }
    return end
  }

  // ---------------------------------------------------------------- out

  write(bytes: Uint8Array, written: Written): void {
    // The writer has its bytes back before the duplex's reader is done with them.
    this.#outgoing.push({ bytes: Buffer.from(bytes), written })
    this.#sendSoon()
  }

  end(): void {
    this.#isEnding = true
    this.#sendSoon()
  }

  #sendSoon(): void {
    if (this.#isSending || this.#heldBack !== null) return
    this.#isSending = true
    this.#clock.soon(() => {
      this.#isSending = false
      this.#send()
    })
  }

  #send(): void {
    while (this.#heldBack === null && !this.#isClosed) {
      const next = this.#outgoing.shift()
      if (next === undefined) break
      // Whoever reads may throw, as with any stream; what was written is written nevertheless.
      this.#heldBack = next.written
      if (this.duplex.push(next.bytes)) this.#release(null)
    }
    if (this.#isClosed) this.#refuse()
    else if (this.#isEnding && this.#outgoing.length === 0 && this.#heldBack === null) this.duplex.push(null)
  }

  /** The duplex has room again. */
  #peerReads(): void {
    if (this.#heldBack === null) return
    this.#clock.soon(() => {
      this.#release(null)
      this.#sendSoon()
    })
  }

  #release(error: Error | null): void {
    const written = this.#heldBack
    this.#heldBack = null
    written?.(error)
  }

  #refuse(): void {
    const gone = Object.assign(new Error('the stream is closed'), { code: 'EPIPE' })
    this.#release(gone)
    for (const { written } of this.#outgoing.splice(0)) written(gone)
  }

  // ---------------------------------------------------------------- close

  /** The other side learns it as from a socket that was reset, if it listens for errors. */
  destroy(): void {
    if (this.#isClosed) return
    const hasListener = this.duplex.listenerCount('error') > 0 && !this.duplex.readableEnded
    const reset = Object.assign(new Error('the broker has dropped the connection'), { code: 'ECONNRESET' })
    this.duplex.destroy(hasListener ? reset : undefined)
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#keepAlive.release()
    this.#incoming = []
    this.#clock.soon(() => {
      this.#refuse()
      this.#reader?.closed(null)
    })
  }
}

const empty = new Uint8Array(0)
