/**
 * How much of each segment of the scratch log is still needed: transient messages leave no settlements behind, so a
 * count per segment says when it may be freed. Segments of the scratch log have a fixed span (`scratchSegmentBytes`).
 */
import type { Log, Position, Segment } from '../../log/log.ts'

export class ScratchUsage {
  readonly #log: Log
  readonly #spanBytes: number
  /** Counts from segment `#first` on. */
  #counts: number[] = []
  #first = 0
  readonly #sealed = new Map<number, Segment>()

  constructor(log: Log, spanBytes: number) {
    this.#log = log
    this.#spanBytes = spanBytes
  }

  add(position: Position, count: number): void {
    const at = Math.floor(position / this.#spanBytes) - this.#first
    while (this.#counts.length <= at) this.#counts.push(0)
    this.#counts[at] = (this.#counts[at] as number) + count
  }

  release(position: Position): void {
    const id = Math.floor(position / this.#spanBytes)
    const left = (this.#counts[id - this.#first] as number) - 1
    this.#counts[id - this.#first] = left
    if (left === 0) this.#freeIfSealed(id)
  }

  sealed(segment: Segment): void {
    this.#sealed.set(segment.id, segment)
    if ((this.#counts[segment.id - this.#first] ?? 0) === 0) this.#freeIfSealed(segment.id)
  }

  #freeIfSealed(id: number): void {
    const segment = this.#sealed.get(id)
    if (segment === undefined) return
    this.#sealed.delete(id)
    this.#log.free(segment)
    this.#dropLeading()
  }

  /** Counts of freed segments at the front are forgotten, so that the table does not grow for ever. */
  #dropLeading(): void {
    let drop = 0
    const open = this.#log.segments[0]?.id ?? this.#first
    while (this.#first + drop < open && drop < this.#counts.length) drop++
    if (drop < 256) return
    this.#counts = this.#counts.slice(drop)
    this.#first += drop
  }
}
