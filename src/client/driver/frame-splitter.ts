import { WarrenError } from '../errors.ts'

/** Type, channel and size before the payload, and the end octet, in bytes (AMQP 0-9-1 §4.2.3). */
const headerBytes = 7
const overheadBytes = 8
const frameEnd = 0xce

/**
 * Cuts what arrives into whole frames. A frame is handed on where it lies when it is whole in a chunk; else it is put
 * together in a buffer made for it once its size is known. A frame above the agreed size, or one that does not end as
 * frames do, throws a `WarrenError` before anything of it is kept: that is the end of the connection.
 */
export class FrameSplitter {
  /** As negotiated, in bytes. */
  frameBytesMax: number
  readonly #frame: (bytes: Uint8Array) => void
  #header = new Uint8Array(headerBytes)
  /** The frame that is being put together; null while its header is not whole. */
  #partial: Uint8Array | null = null
  #have = 0

  constructor(frameBytesMax: number, frame: (bytes: Uint8Array) => void) {
    this.frameBytesMax = frameBytesMax
    this.#frame = frame
  }

  push(chunk: Uint8Array): void {
    let at = this.#have > 0 ? this.#fill(chunk) : 0
    while (at < chunk.length) {
      if (chunk.length - at < headerBytes) break
      const bytes = this.#sizeAt(chunk, at)
      if (chunk.length - at < bytes) break
      this.#emit(chunk.subarray(at, at + bytes))
      at += bytes
    }
    if (at < chunk.length) this.#begin(chunk.subarray(at))
  }

  /** Completes what was begun; how much of the chunk it took. */
  #fill(chunk: Uint8Array): number {
    let at = 0
    if (this.#partial === null) {
      at = Math.min(headerBytes - this.#have, chunk.length)
      this.#header.set(chunk.subarray(0, at), this.#have)
      this.#have += at
      if (this.#have < headerBytes) return at
      this.#partial = new Uint8Array(this.#sizeAt(this.#header, 0))
      this.#partial.set(this.#header)
    }
    const partial = this.#partial
    const more = Math.min(partial.length - this.#have, chunk.length - at)
    partial.set(chunk.subarray(at, at + more), this.#have)
    this.#have += more
    at += more
    if (this.#have < partial.length) return at
    this.#partial = null
    this.#have = 0
    this.#emit(partial)
    return at
  }

  #begin(rest: Uint8Array): void {
    this.#have = rest.length
    if (rest.length < headerBytes) return this.#header.set(rest)
    this.#partial = new Uint8Array(this.#sizeAt(rest, 0))
    this.#partial.set(rest)
  }

  #emit(frame: Uint8Array): void {
    if (frame[frame.length - 1] !== frameEnd) throw notAmqp(`a frame ends with octet ${frame[frame.length - 1]}`)
    this.#frame(frame)
  }

  /** Of the whole frame that begins there. */
  #sizeAt(bytes: Uint8Array, at: number): number {
    const type = bytes[at]
    if (type === 0x41) throw notAmqp('it answered with a protocol header, so it speaks another version of AMQP')
    if (type !== 1 && type !== 2 && type !== 3 && type !== 8) throw notAmqp(`a frame of type ${type}`)
    const size = new DataView(bytes.buffer, bytes.byteOffset + at + 3, 4).getUint32(0)
    // Brokers may count the eight bytes around the payload or not.
    if (size > this.frameBytesMax) throw notAmqp(`a frame of ${size} bytes, at most ${this.frameBytesMax} were agreed`)
    return size + overheadBytes
  }
}

function notAmqp(what: string): WarrenError {
  const mend = 'Check that host and port are those of an AMQP 0-9-1 broker.'
  return new WarrenError('CONNECTION_LOST', `The other side does not speak AMQP 0-9-1 as agreed (${what}).`, { mend })
}
