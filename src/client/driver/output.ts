import type { Clock } from '../../base/clock.ts'
import type { ByteStream } from './byte-stream.ts'

/** What is written at once at most before the turn has ended, in bytes. */
const flushBytesMax = 64 * 1024
const blockBytes = 64 * 1024

/**
 * Frames on their way out: gathered during a turn, written once at its end. A block is filled from front to back and
 * written in pieces that do not overlap, so a stream may keep what it was given.
 */
export class Output {
  readonly #stream: ByteStream
  readonly #clock: Clock
  #block = new Uint8Array(blockBytes)
  #start = 0
  #end = 0
  #isScheduled = false
  #isEnded = false
  /** When bytes were last given to the stream, by the monotonic clock. */
  wroteAt: number

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream
    this.#clock = clock
    this.wroteAt = clock.monotonic()
  }

  /** Copies. `bytes` is one or more whole frames. */
  write(bytes: Uint8Array): void {
    if (this.#isEnded) return
    if (bytes.length > this.#block.length - this.#end) this.#newBlock(bytes.length)
    this.#block.set(bytes, this.#end)
    this.#end += bytes.length
    if (this.#end - this.#start >= flushBytesMax) this.flush()
    else this.#schedule()
  }

  flush(): void {
    if (this.#end === this.#start || this.#isEnded) return
    const piece = this.#block.subarray(this.#start, this.#end)
    this.#start = this.#end
    this.wroteAt = this.#clock.monotonic()
    this.#stream.write(piece)
  }

  end(): void {
    this.#isEnded = true
  }

  #newBlock(bytesNeeded: number): void {
    this.flush()
    this.#block = new Uint8Array(Math.max(blockBytes, bytesNeeded))
    this.#start = 0
    this.#end = 0
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(() => {
      this.#isScheduled = false
      this.flush()
    })
  }
}
