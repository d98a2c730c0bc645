/**
 * Which dead letters of other shards' entries are here. A shard sends one again when it has not heard that it is stored, or
 * when its next owner has not; so each names its source, and is stored once in each queue.
 *
 * What is remembered is bounded, so a repeat is recognised only when at most `lettersMax` others came since. A
 * shard has `lettersUnderWayMax` under way at most, and sends them again as soon as it is served again.
 */
import type { Log } from '../../log/log.ts'
import type { Source } from '../message-traits.ts'
import { RecordKind, readU32, readU64, writeU32, writeU64 } from './records.ts'

/** Dead letters remembered in one log, of all other shards together. */
export const lettersMax = 4_096
const letterBytes = 24

interface Letter {
  readonly source: Source
  /** The queue that it is in. */
  readonly queueId: number
}

export class Letters {
  readonly #kind: number
  /** In the order in which they came. */
  readonly #letters = new Map<string, Letter>()

  /** `kind` is that of the record that says all of it again. */
  constructor(kind: number = RecordKind.letters) {
    this.#kind = kind
  }

  get size(): number {
    return this.#letters.size
  }

  has(source: Source, queueId: number): boolean {
    return this.#letters.has(keyOf(source, queueId))
  }

  /** A record of it is in the log. */
  stored(source: Source, queueId: number): void {
    this.#letters.set(keyOf(source, queueId), { source, queueId })
    if (this.#letters.size <= lettersMax) return
    for (const oldest of this.#letters.keys()) {
      this.#letters.delete(oldest)
      return
    }
  }

  /** Says all of it again, in one record; nothing where no dead letter ever came from elsewhere. */
  append(log: Log): void {
    if (this.size === 0) return
    let at = log.reserve(8 + this.size * letterBytes)
    const { buffer } = log
    writeU32(buffer, at, this.#kind)
    writeU32(buffer, at + 4, this.size)
    at += 8
    for (const { source, queueId } of this.#letters.values()) {
      writeU64(buffer, at, source.queueId)
      writeU64(buffer, at + 8, source.sequence)
      writeU64(buffer, at + 16, queueId)
      at += letterBytes
    }
  }

  /** Takes in what `append` wrote: all that was known there replaces what is known here. */
  read(buffer: Uint8Array, start: number): void {
    this.#letters.clear()
    let at = start + 8
    for (let count = readU32(buffer, start + 4); count > 0; count--, at += letterBytes) {
      const source = { queueId: readU64(buffer, at), sequence: readU64(buffer, at + 8) }
      this.stored(source, readU64(buffer, at + 16))
    }
  }
}

function keyOf({ queueId, sequence }: Source, into: number): string {
  return `${queueId}/${sequence}/${into}`
}
