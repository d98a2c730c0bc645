/**
 * How much room a log's stream has. The log says that it is full while a reserve is left, so that settlements and the
 * log's own records go on; the stream itself refuses only when that is used up too.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { FrameStream } from './frame-stream.ts'

/** An eighth of the stream's bytes, and not more than this: two segments of the usual size. */
const reserveBytesMax = 128 * 1024 * 1024
const reserveShare = 1 / 8
/** What a message takes besides its frame, about, in bytes. */
const messageOverheadBytes = 200
/** How often the stream is asked, in milliseconds: when it has much room, and when it has little. */
const askMs = { rarely: 10_000, often: 1_000 } as const

export class StreamRoom {
  readonly #stream: FrameStream
  readonly #clock: Clock
  readonly #bytesMax: number
  #bytes = 0
  #timer: Timer | null = null
  #isStopped = false
  #isAsking = false
  isFull = false
  changed: () => void = () => {}

  constructor(stream: FrameStream, clock: Clock) {
    this.#stream = stream
    this.#clock = clock
    this.#bytesMax = stream.bytesMax - Math.min(reserveBytesMax, stream.bytesMax * reserveShare)
  }

  start(): void {
    void this.ask()
  }

  appended(frameBytes: number): void {
    this.#set(this.#bytes + frameBytes + messageOverheadBytes)
  }

  /** The stream had no room for a frame. */
  refused(): void {
    this.#set(Math.max(this.#bytes, this.#bytesMax))
  }

  /** Asks the stream how much it holds. Without an answer the count of what was appended goes on. */
  async ask(): Promise<void> {
    if (this.#isAsking || this.#isStopped) return
    this.#isAsking = true
    this.#timer?.cancel()
    try {
      this.#set((await this.#stream.state()).bytes)
    } catch {
      // see above
    } finally {
      this.#isAsking = false
      const isTight = this.#bytes > this.#bytesMax / 2
      if (!this.#isStopped) this.#timer = this.#clock.after(isTight ? askMs.often : askMs.rarely, () => void this.ask())
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  #set(bytes: number): void {
    this.#bytes = bytes
    const isFull = bytes >= this.#bytesMax
    if (isFull === this.isFull) return
    this.isFull = isFull
    if (!this.#isStopped) this.changed()
  }
}
