import { assert } from '../base/assert.ts'
import { FrameDecoder, frameHeaderBytes } from './frame-decoder.ts'

/**
 * Makes whole frames of chunks that are cut anywhere. For those who have no read buffer with headroom: the client, and
 * tests.
 *
 * Frames that lie in one chunk are left where they are. Of one that does not, the first bytes are carried over: up to
 * six of its header, and as soon as the header tells the size, one buffer of exactly that size is allocated and filled
 * by the chunks that follow. So at most one frame is held, and no byte is copied twice but for those of a header.
 *
 *     frames.push(chunk)
 *     while (frames.next()) use(frames.decoder)     // type, channel, buffer[payloadStart..payloadEnd)
 */
export class ChunkedFrames {
  /** The frame that `next` has gone to. Valid until the following call. */
  readonly decoder: FrameDecoder
  #chunk: Uint8Array = empty
  #chunkAt = 0
  #carry: Uint8Array = empty
  #carried = 0
  /** The decoder scans what is left of the chunk; nothing is carried. */
  #isInChunk = false
  readonly #header = new Uint8Array(frameHeaderBytes)

  constructor(frameBytesMax?: number) {
    this.decoder = new FrameDecoder(frameBytesMax)
  }

  /** Takes a chunk. All frames of the one before have been read: `next` has returned false. */
  push(chunk: Uint8Array): void {
    assert(this.#chunkAt === this.#chunk.length, 'the chunk before has been read')
    this.#chunk = chunk
    this.#chunkAt = 0
    this.#isInChunk = false
  }

  /** Goes to the next whole frame; false when another chunk is needed. Throws as `FrameDecoder` does. */
  next(): boolean {
    if (!this.#isInChunk) {
      if (this.#carried > 0) return this.#completeCarried()
      this.decoder.reset(this.#chunk, this.#chunkAt, this.#chunk.length)
      this.#isInChunk = true
    }
    if (this.decoder.next()) {
      this.#chunkAt = this.decoder.frameEnd
      return true
    }
    this.#carryRest()
    return false
  }

  /** Bytes of an unfinished frame held. */
  get carriedBytes(): number {
    return this.#carried
  }

  #carryRest(): void {
    const decoder = this.decoder
    this.#carry = decoder.wholeBytes === 0 ? this.#header : new Uint8Array(decoder.wholeBytes)
    this.#isInChunk = false
    this.#fill()
  }

  #completeCarried(): boolean {
    this.#fill()
    if (this.#carried < this.#carry.length) return false
    if (this.#carry === this.#header) {
      this.#growToWhole()
      this.#fill()
    }
    if (this.#carried < this.#carry.length) return false
    this.decoder.reset(this.#carry, 0, this.#carried)
    this.#carried = 0
    return this.decoder.next()
  }

  /** The header is complete: checks it, and makes room for the whole frame. */
  #growToWhole(): void {
    this.decoder.reset(this.#header, 0, frameHeaderBytes)
    this.decoder.next()
    this.#carry = new Uint8Array(this.decoder.wholeBytes)
    this.#carry.set(this.#header)
  }

  #fill(): void {
    const count = Math.min(this.#carry.length - this.#carried, this.#chunk.length - this.#chunkAt)
    if (count === 0) return
    this.#carry.set(this.#chunk.subarray(this.#chunkAt, this.#chunkAt + count), this.#carried)
    this.#carried += count
    this.#chunkAt += count
  }
}

const empty = new Uint8Array(0)
