import type { BodyWriter } from '../broker/ports.ts'

/** A large body that no queue takes, and that goes back to its publisher or is a direct reply: its pieces, in memory. */
export class MemoryBody implements BodyWriter {
  readonly bodyBytes: number
  #pieces: Uint8Array[] = []

  constructor(bodyBytes: number) {
    this.bodyBytes = bodyBytes
  }

  get count(): number {
    return this.#pieces.length
  }

  append(buffer: Uint8Array, start: number, end: number): void {
    this.#pieces.push(buffer.slice(start, end))
  }

  abandon(): void {
    this.#pieces = []
  }

  /** Copies the whole body. */
  copyTo(buffer: Uint8Array, start: number): void {
    let at = start
    for (const piece of this.#pieces) {
      buffer.set(piece, at)
      at += piece.length
    }
  }

  read(index: number, done: (error: Error | null, buffer: Uint8Array, start: number, end: number) => void): void {
    const piece = this.#pieces[index] ?? new Uint8Array(0)
    done(null, piece, 0, piece.length)
  }

  release(): void {
    this.#pieces = []
  }
}

/** A large body that nobody will see: counted by its publisher's content, and forgotten. */
export class DiscardedBody implements BodyWriter {
  readonly count = 0
  readonly bodyBytes: number

  constructor(bodyBytes: number) {
    this.bodyBytes = bodyBytes
  }

  append(): void {}

  abandon(): void {}

  read(_index: number, done: (error: Error | null, buffer: Uint8Array, start: number, end: number) => void): void {
    done(null, new Uint8Array(0), 0, 0)
  }

  release(): void {}
}
