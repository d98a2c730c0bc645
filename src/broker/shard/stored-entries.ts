/** The records of entries, wherever they are: looked at where they are in memory, else read first. */
import { gatherRecordsMax, type Log } from '../../log/log.ts'
import type { Message } from '../message.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { LargeBodies, LargeBody } from './large-bodies.ts'
import { arrivedAtOf, readPublishTargets, viewPublish } from './publish-record.ts'
import type { ReadTraits } from './record-traits.ts'

export interface StoredEntriesPorts {
  readonly log: Log
  readonly scratch: Log
  readonly bodies: LargeBodies
  /** A record could not be read. The shard stops. */
  damaged(error: Error): void
}

export class StoredEntries {
  /** When the entry that was looked at last came, wall time in milliseconds. */
  arrivedAt = 0
  readonly #ports: StoredEntriesPorts
  #buffer: Uint8Array = nothing
  #start = 0

  constructor(ports: StoredEntriesPorts) {
    this.#ports = ports
  }

  logOf(flags: number): Log {
    return (flags & EntryFlag.transient) !== 0 ? this.#ports.scratch : this.#ports.log
  }

  /**
   * Points the message at an entry's record; false when its bytes must be read first (`load`). A large body is not
   * attached (`reader`). The chunk must not be away.
   */
  view(message: Message, chunk: EntryChunk, sequence: number, flags: number): boolean {
    const log = this.logOf(flags)
    if (!log.view(chunk.positions[sequence - chunk.base] as number)) return false
    viewPublish(message, log.viewBuffer, log.viewStart, log.viewEnd)
    this.#buffer = log.viewBuffer
    this.#start = log.viewStart
    this.arrivedAt = arrivedAtOf(this.#buffer, this.#start)
    return true
  }

  /** The traits in the record that `view` has just found. */
  readTraits(into: ReadTraits): void {
    const { traitsAt, traitsBytes } = readPublishTargets(this.#buffer, this.#start)
    into.read(this.#buffer, traitsAt, traitsBytes)
  }

  /** The large body of an entry; null when its body is in its record. */
  bodyOf(chunk: EntryChunk, sequence: number, flags: number): LargeBody | null {
    if ((flags & EntryFlag.large) === 0) return null
    return this.#ports.bodies.of(chunk.positions[sequence - chunk.base] as number, (flags & EntryFlag.transient) !== 0)
  }

  /** Attaches a reader of the large body, if it has one, for whoever gets the message. */
  attachBody(message: Message, chunk: EntryChunk, sequence: number, flags: number): void {
    const body = this.bodyOf(chunk, sequence, flags)
    if (body !== null) message.chunks = this.#ports.bodies.reader(body)
  }

  /**
   * Reads an entry's record and calls back. What cannot be read is damage only if it is still needed: meanwhile it may
   * have been copied forward, or purged.
   */
  load(queue: LocalQueue, chunk: EntryChunk, sequence: number, loaded: () => void): void {
    const position = chunk.positions[sequence - chunk.base] as number
    this.logOf(chunk.flagsOf(sequence)).load(position, this.#answer(queue, sequence, position, loaded))
  }

  /** The same, with records of entries that come after it and may lie anywhere. */
  gather(queue: LocalQueue, chunk: EntryChunk, sequence: number, after: readonly number[], loaded: () => void): void {
    const flags = chunk.flagsOf(sequence)
    const position = chunk.positions[sequence - chunk.base] as number
    const positions = [position]
    for (const next of after) {
      const there = next === sequence ? null : queue.entries.chunkOf(next)
      if (there === null || there.isAway || positions.length === gatherRecordsMax) continue
      const isAlike = (there.flagsOf(next) & gatheredMask) === ((flags & EntryFlag.transient) | EntryFlag.live)
      if (isAlike) positions.push(there.positions[next - there.base] as number)
    }
    this.logOf(flags).gather(positions, this.#answer(queue, sequence, position, loaded))
  }

  #answer(queue: LocalQueue, sequence: number, position: number, loaded: () => void): (error: Error | null) => void {
    return (error) => {
      if (error !== null && isStillThere(queue, sequence, position)) this.#ports.damaged(error)
      else loaded()
    }
  }
}

/** What is ready and in the same log. */
const gatheredMask = EntryFlag.live | EntryFlag.unacked | EntryFlag.waiting | EntryFlag.transient

function isStillThere(queue: LocalQueue, sequence: number, position: number): boolean {
  const chunk = queue.isDropped ? null : queue.entries.chunkOf(sequence)
  if (chunk === null || chunk.isAway || chunk.flagsOf(sequence) === 0) return false
  return chunk.positions[sequence - chunk.base] === position
}

const nothing = new Uint8Array(0)
