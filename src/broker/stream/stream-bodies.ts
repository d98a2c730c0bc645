/**
 * Bodies above 64 KiB in a stream: pieces in the log, named by the message behind them. What somebody is still reading,
 * or writing, keeps its segments from being dropped.
 */
import type { Log, Position } from '../../log/log.ts'
import { type Chunks, chunkBytes } from '../message.ts'
import type { BodyWriter } from '../ports.ts'
import { writeU32 } from '../shard/records.ts'
import { type ChunkList, chunkFixedBytes, StreamRecordKind } from './stream-records.ts'

export class StreamBodies {
  readonly #log: Log
  readonly #appended: () => void
  readonly #inUse = new Set<StreamBodyReader | StreamBodyWriter>()
  #isStopped = false

  constructor(log: Log, appended: () => void) {
    this.#log = log
    this.#appended = appended
  }

  get log(): Log {
    return this.#log
  }

  /** A body is being written or read. */
  get isInUse(): boolean {
    return this.#inUse.size > 0
  }

  /** The lowest position that somebody still needs. */
  get neededFrom(): Position {
    let lowest = Number.POSITIVE_INFINITY
    for (const { chunks } of this.#inUse) lowest = Math.min(lowest, chunks.positions[0] ?? lowest)
    return lowest
  }

  /** False once the log takes no more: what still comes in is refused with its publish. */
  append(writer: StreamBodyWriter, bytes: Uint8Array): void {
    if (this.#isStopped) return
    const at = this.#log.reserve(chunkFixedBytes + bytes.length)
    writeU32(this.#log.buffer, at, StreamRecordKind.bodyChunk)
    this.#log.buffer.set(bytes, at + chunkFixedBytes)
    writer.chunks.positions.push(this.#log.appended)
    writer.chunks.lengths.push(bytes.length)
    this.#inUse.add(writer)
    this.#appended()
  }

  reader(chunks: ChunkList, bodyBytes: number): Chunks {
    const reader = new StreamBodyReader(this, chunks, bodyBytes)
    this.#inUse.add(reader)
    return reader
  }

  release(user: StreamBodyReader | StreamBodyWriter): void {
    this.#inUse.delete(user)
  }

  stop(): void {
    this.#isStopped = true
  }
}

/** Gives the bodies of the log that serves now; null while none does. */
export type CurrentBodies = () => StreamBodies | null

export class StreamBodyWriter implements BodyWriter {
  readonly bodyBytes: number
  readonly chunks: ChunkList = { positions: [], lengths: [] }
  readonly #current: CurrentBodies
  /** Where its chunks are; null before the first. */
  #home: StreamBodies | null = null
  readonly #pending = new Uint8Array(chunkBytes)
  #length = 0
  /** Pieces that came while no log was open. */
  #held: Uint8Array[] = []

  constructor(current: CurrentBodies, bodyBytes: number) {
    this.#current = current
    this.bodyBytes = bodyBytes
  }

  get count(): number {
    return this.chunks.positions.length
  }

  append(buffer: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const length = Math.min(end - at, chunkBytes - this.#length)
      this.#pending.set(buffer.subarray(at, at + length), this.#length)
      this.#length += length
      at += length
      if (this.#length === chunkBytes) this.flush()
    }
  }

  /** Appends the rest. False when its pieces are not all in the log of these bodies: they cannot be named there. */
  finish(bodies: StreamBodies): boolean {
    this.flush()
    return this.#held.length === 0 && this.#home === bodies
  }

  /** Appends what has gathered, as a piece of its own. */
  flush(): void {
    const bodies = this.#home ?? this.#current()
    if (bodies === null) {
      if (this.#length > 0) this.#held.push(this.#pending.slice(0, this.#length))
    } else {
      this.#home = bodies
      for (const piece of this.#held.splice(0)) bodies.append(this, piece)
      if (this.#length > 0) bodies.append(this, this.#pending.subarray(0, this.#length))
    }
    this.#length = 0
  }

  abandon(): void {
    this.release()
  }

  read(index: number, done: Parameters<Chunks['read']>[1]): void {
    if (this.#home === null) done(new Error('the body is not stored'), nothing, 0, 0)
    else readChunk(this.#home.log, this.chunks, index, done)
  }

  release(): void {
    this.#held = []
    this.#home?.release(this)
  }
}

class StreamBodyReader implements Chunks {
  readonly chunks: ChunkList
  readonly bodyBytes: number
  readonly #bodies: StreamBodies

  constructor(bodies: StreamBodies, chunks: ChunkList, bodyBytes: number) {
    this.#bodies = bodies
    this.chunks = chunks
    this.bodyBytes = bodyBytes
  }

  get count(): number {
    return this.chunks.positions.length
  }

  read(index: number, done: Parameters<Chunks['read']>[1]): void {
    readChunk(this.#bodies.log, this.chunks, index, done)
  }

  release(): void {
    this.#bodies.release(this)
  }
}

function readChunk(log: Log, chunks: ChunkList, index: number, done: Parameters<Chunks['read']>[1]): void {
  const position = chunks.positions[index] as number
  const give = (): void => done(null, log.viewBuffer, log.viewStart + chunkFixedBytes, log.viewEnd)
  if (log.view(position)) return give()
  log.load(position, (error) => {
    if (error !== null) return done(error, nothing, 0, 0)
    if (log.view(position)) give()
    else done(new Error(`record ${position} did not stay in memory`), nothing, 0, 0)
  })
}

const nothing = new Uint8Array(0)
