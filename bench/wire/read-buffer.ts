/**
 * One buffer for all that a socket delivers: bytes land in a fixed region, and what was left of a frame cut off by the
 * read before is moved into the headroom right in front of it, so that every frame is parsed where it lies.
 *
 *     0            headroom - carried        headroom                          headroom + region
 *     ├── free ────┼── carried, not whole ───┼── this read ──────── … ─────────┤
 *
 * Not a queue: `received` hands everything to the reader before it returns, and only the last, unfinished frame stays.
 * Invariant: carried ≤ headroom, which holds because a frame may not be larger than the headroom.
 */
export interface FrameReader {
  /** Works through the whole frames in `[start, end)`; returns where the first one starts that is not whole. */
  read(bytes: Uint8Array, view: DataView, start: number, end: number): number
}

export class ReadBuffer {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Where the socket writes. */
  readonly region: Uint8Array
  readonly #headroom: number
  #carried = 0

  constructor(frameBytesMax: number, regionBytes = 256 * 1024) {
    this.#headroom = frameBytesMax
    const memory = new ArrayBuffer(frameBytesMax + regionBytes)
    this.bytes = new Uint8Array(memory)
    this.view = new DataView(memory)
    this.region = new Uint8Array(memory, frameBytesMax, regionBytes)
  }

  /** `count` bytes are new at the start of `region`. */
  received(count: number, reader: FrameReader): void {
    const end = this.#headroom + count
    const next = reader.read(this.bytes, this.view, this.#headroom - this.#carried, end)
    const rest = end - next
    if (rest > this.#headroom) throw new Error(`a reader left ${rest} bytes, more than a frame can have`)
    if (rest > 0) this.bytes.copyWithin(this.#headroom - rest, next, end)
    this.#carried = rest
  }
}
