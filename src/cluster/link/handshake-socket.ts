import type { Clock, Timer } from '../../base/clock.ts'
import type { Socket, SocketReader } from '../../base/network.ts'
import { frameHeaderBytes, handshakeBytesMax, LinkProtocolError, readUint32 } from './link-codec.ts'
import type { HandshakeResult, HandshakeSide } from './link-handshake.ts'

/** Hears how a handshake ends: exactly one call, in one of the two. */
export interface HandshakeOwner {
  /** Both are who they say they are. Returns who reads from now on; null: the socket is closed, after what was sent. */
  shaken(result: HandshakeResult, socket: Socket): SocketReader | null
  /** The socket is closed. */
  failed(reason: string): void
}

/**
 * A socket during its handshake: bounded in time and bytes, and closed at the first thing that is not as it should be.
 * Afterwards it only passes on what it reads: a socket keeps its first reader.
 */
export class HandshakeSocket implements SocketReader {
  readonly socket: Socket
  readonly #side: HandshakeSide
  readonly #owner: HandshakeOwner
  readonly #clock: Clock
  readonly #timer: Timer
  #next: SocketReader | null = null
  #isOver = false
  /** The beginning of a message. */
  #kept = new Uint8Array(0)

  constructor(socket: Socket, side: HandshakeSide, owner: HandshakeOwner, clock: Clock, msMax: number) {
    this.socket = socket
    this.#side = side
    this.#owner = owner
    this.#clock = clock
    this.#timer = clock.after(msMax, () => this.#fail(`the handshake took longer than ${msMax} ms`))
  }

  begin(): void {
    if (this.#side.opening !== null) this.#send(this.#side.opening)
    this.socket.open(this)
  }

  /** Without a word to the owner. */
  abandon(): void {
    this.#end()
    this.socket.destroy()
  }

  data(buffer: Uint8Array, start: number, end: number): void {
    if (this.#next !== null) this.#next.data(buffer, start, end)
    else if (!this.#isOver) this.#received(buffer, start, end)
  }

  ended(): void {
    if (this.#next !== null) this.#next.ended()
    else this.#fail(this.#side.endedEarly)
  }

  closed(error: Error | null): void {
    if (this.#next !== null) this.#next.closed(error)
    else this.#fail(error === null ? this.#side.endedEarly : `the connection broke: ${error.message}`)
  }

  #received(buffer: Uint8Array, start: number, end: number): void {
    const bytes = new Uint8Array(this.#kept.length + end - start)
    bytes.set(this.#kept)
    bytes.set(buffer.subarray(start, end), this.#kept.length)
    let at = 0
    while (!this.#isOver) {
      const length = bytes.length - at < 4 ? 0 : readUint32(bytes, at)
      if (length > handshakeBytesMax) {
        this.#fail('what was sent is no handshake of a Warren node')
        return
      }
      if (bytes.length - at < frameHeaderBytes + length) break
      const payloadAt = at + frameHeaderBytes
      at = payloadAt + length
      this.#take(bytes[payloadAt - 1] as number, bytes.slice(payloadAt, at))
    }
    if (this.#next === null) this.#kept = bytes.slice(at)
    // What was said right behind the handshake is the end of this read.
    else if (at < bytes.length) this.#next.data(buffer, end - (bytes.length - at), end)
  }

  #take(type: number, payload: Uint8Array): void {
    try {
      const { send, result } = this.#side.take(type, payload)
      if (send !== null) this.#send(send)
      if (result !== null) this.#finish(result)
    } catch (error) {
      if (error instanceof LinkProtocolError) this.#fail(error.message)
      else this.#fail(`the handshake failed here: ${String(error)}`)
    }
  }

  #finish(result: HandshakeResult): void {
    this.#end()
    this.#next = this.#owner.shaken(result, this.socket)
    if (this.#next !== null) return
    // What was sent last goes out before the end. The other side ends too, or is cut off.
    const { socket } = this
    const cut = this.#clock.after(endMsMax, () => socket.destroy())
    this.#next = { data: () => {}, ended: () => socket.destroy(), closed: () => cut.cancel() }
    socket.end()
  }

  #send(bytes: Uint8Array): void {
    // An error here comes with `closed` too.
    this.socket.write(bytes, () => {})
  }

  #fail(reason: string): void {
    if (this.#isOver) return
    this.#end()
    this.socket.destroy()
    this.#owner.failed(reason)
  }

  #end(): void {
    this.#isOver = true
    this.#timer.cancel()
  }
}

/** How long the other side has to end a connection that came to nothing, in milliseconds. */
const endMsMax = 1_000
