/**
 * Of which entries of other shards' queues there are dead letters here. A shard sends one again when it has not heard that it
 * is stored, or when its next owner has not; so each names its source, and is stored once.
 *
 * What is remembered is bounded, so a repeat is recognised only when at most `lettersMax` others came since. A
 * shard has `lettersUnderWayMax` under way at most, and sends them again as soon as it is served again.
 */
import type { Log } from '../../log/log.ts'
import type { Source } from '../message-traits.ts'
import { RecordKind, readU32, readU64, writeU32, writeU64 } from './records.ts'

/** Dead letters remembered in one log, of all other shards together. */
export const lettersMax = 4_096
const letterBytes = 16

export class Letters {
  readonly #kind: number
  /** By the id of the source's queue. */
  readonly #sequences = new Map<number, Set<number>>()
  /** The same in the order in which they came, in a ring. */
  #queueIds = new Float64Array(64)
  #order = new Float64Array(64)
  /** The oldest one, and the one that comes next; `#next - #first` are remembered. */
  #first = 0
  #next = 0

  /** `kind` is that of the record that says all of it again. */
  constructor(kind: number = RecordKind.letters) {
    this.#kind = kind
  }

  get size(): number {
    return this.#next - this.#first
  }

  has({ queueId, sequence }: Source): boolean {
    return this.#sequences.get(queueId)?.has(sequence) === true
  }

  /** A record of it is in the log. */
  stored(source: Source): void {
    if (this.has(source)) return
    if (this.size === lettersMax) this.#forgetFirst()
    if (this.size === this.#order.length) this.#grow()
    const at = this.#next++ & (this.#order.length - 1)
    this.#queueIds[at] = source.queueId
    this.#order[at] = source.sequence
    const sequences = this.#sequences.get(source.queueId) ?? new Set()
    sequences.add(source.sequence)
    this.#sequences.set(source.queueId, sequences)
  }

  #forgetFirst(): void {
    const at = this.#first++ & (this.#order.length - 1)
    const queueId = this.#queueIds[at] as number
    const sequences = this.#sequences.get(queueId)
    sequences?.delete(this.#order[at] as number)
    if (sequences?.size === 0) this.#sequences.delete(queueId)
  }

  #grow(): void {
    const old = this.#order.length
    const [queueIds, order] = [new Float64Array(old * 2), new Float64Array(old * 2)]
    for (let each = this.#first; each < this.#next; each++) {
      queueIds[each & (old * 2 - 1)] = this.#queueIds[each & (old - 1)] as number
      order[each & (old * 2 - 1)] = this.#order[each & (old - 1)] as number
    }
    this.#queueIds = queueIds
    this.#order = order
  }

  /** Says all of it again, in one record; nothing where no dead letter ever came from elsewhere. */
  append(log: Log): void {
    if (this.size === 0) return
    let at = log.reserve(8 + this.size * letterBytes)
    const { buffer } = log
    writeU32(buffer, at, this.#kind)
    writeU32(buffer, at + 4, this.size)
    at += 8
    for (let each = this.#first; each < this.#next; each++, at += letterBytes) {
      writeU64(buffer, at, this.#queueIds[each & (this.#order.length - 1)] as number)
      writeU64(buffer, at + 8, this.#order[each & (this.#order.length - 1)] as number)
    }
  }

  /** Takes in what `append` wrote: all that was known there replaces what is known here. */
  read(buffer: Uint8Array, start: number): void {
    this.#sequences.clear()
    this.#first = this.#next
    let at = start + 8
    for (let count = readU32(buffer, start + 4); count > 0; count--, at += letterBytes)
      this.stored({ queueId: readU64(buffer, at), sequence: readU64(buffer, at + 8) })
  }
}
