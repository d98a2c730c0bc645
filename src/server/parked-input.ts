import { copyBytes } from '../base/arena.ts'

/** Frames of a channel that cannot go on yet, in order, as bytes. Its owner bounds them. */
export class ParkedInput {
  /** The frames are `buffer[start..end)`. */
  buffer: Uint8Array = empty
  start = 0
  end = 0

  get isEmpty(): boolean {
    return this.start === this.end
  }

  get byteCount(): number {
    return this.end - this.start
  }

  append(from: Uint8Array, start: number, end: number): void {
    const bytes = end - start
    if (this.end + bytes > this.buffer.length) this.#makeRoom(bytes)
    copyBytes(from, start, end, this.buffer, this.end)
    this.end += bytes
  }

  /** Everything before `position` has been worked on. */
  consume(position: number): void {
    this.start = position
    if (this.start === this.end) this.drop()
  }

  drop(): void {
    this.buffer = empty
    this.start = 0
    this.end = 0
  }

  /** Always a new buffer: a loop may be reading the old one. */
  #makeRoom(bytes: number): void {
    const grown = new Uint8Array(Math.max(512, (this.byteCount + bytes) * 2))
    grown.set(this.buffer.subarray(this.start, this.end))
    this.end = this.byteCount
    this.start = 0
    this.buffer = grown
  }
}

const empty = new Uint8Array(0)
