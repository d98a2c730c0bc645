/**
 * A large body on its way into a shard that is served here: written there as it comes, and kept besides until its publish,
 * since another node may have the shard by then. What was written here is dead in that case, and what was kept is sent.
 */
import type { Chunks } from '../../broker/message.ts'
import type { BodyWriter } from '../../broker/ports.ts'
import type { HeldBody } from './held-body.ts'
import type { LocalShard } from './ports.ts'

/** Bytes of all such bodies of a node. */
export class CarriedBytes {
  readonly max: number
  used = 0

  constructor(max: number) {
    this.max = max
  }

  hasRoomFor(bytes: number): boolean {
    return this.used + bytes <= this.max
  }
}

export class CarriedBody implements BodyWriter {
  readonly #local: LocalShard
  readonly #written: BodyWriter
  readonly #kept: HeldBody
  readonly #carried: CarriedBytes
  #isOver = false

  constructor(local: LocalShard, written: BodyWriter, kept: HeldBody, carried: CarriedBytes) {
    this.#local = local
    this.#written = written
    this.#kept = kept
    this.#carried = carried
    carried.used += kept.bodyBytes
  }

  get count(): number {
    return this.#written.count
  }

  get bodyBytes(): number {
    return this.#written.bodyBytes
  }

  append(buffer: Uint8Array, start: number, end: number): void {
    this.#written.append(buffer, start, end)
    this.#kept.append(buffer, start, end)
  }

  /** All of it has come. In the shard that it was begun in it is what was written there, anywhere else what was kept. */
  endIn(local: LocalShard | null): BodyWriter {
    this.#end()
    if (local === this.#local) return this.#written
    this.#written.abandon()
    return this.#kept
  }

  abandon(): void {
    this.#end()
    this.#written.abandon()
    this.#kept.abandon()
  }

  read(index: number, done: Parameters<Chunks['read']>[1]): void {
    this.#written.read(index, done)
  }

  release(): void {
    this.#end()
    this.#written.release()
  }

  #end(): void {
    if (!this.#isOver) this.#carried.used -= this.#kept.bodyBytes
    this.#isOver = true
  }
}
