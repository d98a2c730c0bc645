/**
 * A large body on its way to a shard of another node: kept in memory, in pieces, until its publish is settled, since it
 * may have to be sent to another owner.
 */
import { type Chunks, chunkBytes, type Message } from '../../broker/message.ts'
import type { BodyWriter, ShardCommands } from '../../broker/ports.ts'

export class HeldBody implements BodyWriter {
  readonly id: number
  readonly isPersistent: boolean
  readonly bodyBytes: number
  readonly pieces: Uint8Array[] = []
  /** Bytes of the last piece. */
  #length = chunkBytes

  constructor(id: number, isPersistent: boolean, bodyBytes: number) {
    this.id = id
    this.isPersistent = isPersistent
    this.bodyBytes = bodyBytes
  }

  get count(): number {
    return this.pieces.length
  }

  append(buffer: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.#length === chunkBytes) {
        this.pieces.push(new Uint8Array(Math.min(chunkBytes, this.bodyBytes - this.pieces.length * chunkBytes)))
        this.#length = 0
      }
      const piece = this.pieces[this.pieces.length - 1] as Uint8Array
      const length = Math.min(end - at, piece.length - this.#length)
      piece.set(buffer.subarray(at, at + length), this.#length)
      this.#length += length
      at += length
    }
  }

  /** Writes all of it into a shard that is served here. */
  copyTo(shard: ShardCommands, { isPersistent }: Message): BodyWriter {
    const writer = shard.openBody(isPersistent, this.bodyBytes)
    for (const piece of this.pieces) writer.append(piece, 0, piece.length)
    return writer
  }

  abandon(): void {
    this.pieces.length = 0
  }

  read(index: number, done: Parameters<Chunks['read']>[1]): void {
    const piece = this.pieces[index]
    if (piece === undefined) done(new Error('the body has no such piece'), nothing, 0, 0)
    else done(null, piece, 0, piece.length)
  }

  release(): void {}
}

const nothing = new Uint8Array(0)
