/**
 * Bodies above 64 KiB: written to a log in chunk records while they arrive, named by a publish record, read back one
 * chunk at a time. A body lives as long as an entry, a reader or its writer needs it; its chunks are dead with the last.
 *
 * Chunks of a persistent body are in the durable log, of all others in the scratch log. A body that goes to durable and
 * to transient queues is stored once, and both publish records name the same chunks.
 */
import type { Log, Position } from '../../log/log.ts'
import { type Chunks, chunkBytes } from '../message.ts'
import type { BodyWriter } from '../ports.ts'
import { bodyChunkFixedBytes, RecordKind, writeU32 } from './records.ts'
import type { ScratchUsage } from './scratch-usage.ts'

/** The body of one publish record. A body that several records name is one such object for each. */
export class LargeBody {
  /** Its chunks are in the durable log. */
  readonly isDurable: boolean
  readonly bodyBytes: number
  readonly positions: number[]
  readonly lengths: number[]
  /** Position of the record that names it, and whether that is in the scratch log; 0 while it is being written. */
  name: Position = 0
  isNamedInScratch = false
  /** The entries that the record makes. */
  targets: { queueId: number; sequence: number }[] = []
  /** Entries, readers and the writer that still need it. */
  references = 0

  constructor(isDurable: boolean, bodyBytes: number, positions: number[], lengths: number[]) {
    this.isDurable = isDurable
    this.bodyBytes = bodyBytes
    this.positions = positions
    this.lengths = lengths
  }
}

export interface LargeBodiesPorts {
  readonly log: Log
  readonly scratch: Log
  readonly usage: ScratchUsage
  /** A chunk has been appended: more may wait for the disk than is good. */
  appended(): void
}

export interface NamedBody {
  /** Position of the record that names it, as it was when this was asked for. */
  readonly name: Position
  readonly body: LargeBody
}

export class LargeBodies {
  readonly #log: Log
  readonly #scratch: Log
  readonly #usage: ScratchUsage
  readonly #appended: () => void
  #isStopped = false
  /** By position of the publish record. */
  readonly #durable = new Map<Position, LargeBody>()
  readonly #transient = new Map<Position, LargeBody>()
  /** Durable bodies that something needs, also those still being written. */
  readonly #needed = new Set<LargeBody>()

  constructor({ log, scratch, usage, appended }: LargeBodiesPorts) {
    this.#log = log
    this.#scratch = scratch
    this.#usage = usage
    this.#appended = appended
  }

  /** The logs take no more and need not be told what is free. Bodies that still come in are refused with their publish. */
  stop(): void {
    this.#isStopped = true
  }

  openWriter(isDurable: boolean, bodyBytes: number): LargeBodyWriter {
    const body = new LargeBody(isDurable, bodyBytes, [], [])
    this.retain(body)
    return new LargeBodyWriter(this, body, isDurable ? this.#log : this.#scratch)
  }

  appendChunk(body: LargeBody, log: Log, bytes: Uint8Array, length: number): void {
    if (this.#isStopped) return
    const at = log.reserve(bodyChunkFixedBytes + length)
    writeU32(log.buffer, at, RecordKind.bodyChunk)
    log.buffer.set(bytes.subarray(0, length), at + bodyChunkFixedBytes)
    body.positions.push(log.appended)
    body.lengths.push(length)
    if (!body.isDurable) this.#usage.add(log.appended, 1)
    this.#appended()
  }

  retain(body: LargeBody): void {
    if (body.references++ === 0 && body.isDurable) this.#needed.add(body)
  }

  release(body: LargeBody): void {
    if (--body.references > 0 || this.#isStopped) return
    if (body.name !== 0) this.#namesOf(body).delete(body.name)
    this.#needed.delete(body)
    if (!body.isDurable) for (const position of body.positions) this.#usage.release(position)
  }

  /** The body for one more record: the written one itself for the first, one that shares its chunks for any other. */
  named(written: LargeBody): LargeBody {
    if (written.name === 0) return written
    const { isDurable, bodyBytes, positions, lengths } = written
    if (!isDurable) for (const position of positions) this.#usage.add(position, 1)
    return new LargeBody(isDurable, bodyBytes, [...positions], [...lengths])
  }

  /** The record that names a body has been appended, for the first time or again. */
  name(body: LargeBody, position: Position, isInScratch: boolean): void {
    if (body.name !== 0) this.#namesOf(body).delete(body.name)
    body.name = position
    body.isNamedInScratch = isInScratch
    this.#namesOf(body).set(position, body)
  }

  #namesOf(body: LargeBody): Map<Position, LargeBody> {
    return body.isNamedInScratch ? this.#transient : this.#durable
  }

  of(position: Position, isTransient: boolean): LargeBody | null {
    return (isTransient ? this.#transient : this.#durable).get(position) ?? null
  }

  /** A reader for one delivery; keeps the body until it is released. */
  reader(body: LargeBody): Chunks {
    this.retain(body)
    return new LargeBodyReader(this, body, body.isDurable ? this.#log : this.#scratch)
  }

  /** Durable bodies whose publish record is in the range, with its place: it may be copied forward at any time. */
  namedWithin(base: Position, end: Position): NamedBody[] {
    const found: NamedBody[] = []
    for (const [name, body] of this.#durable) if (name >= base && name < end) found.push({ name, body })
    return found
  }

  /** Durable bodies that have chunks in the range. */
  chunkedWithin(base: Position, end: Position): LargeBody[] {
    const found: LargeBody[] = []
    for (const body of this.#needed) {
      if (body.positions.some((position) => position >= base && position < end)) found.push(body)
    }
    return found
  }
}

export class LargeBodyWriter implements BodyWriter {
  readonly body: LargeBody
  readonly #bodies: LargeBodies
  readonly #log: Log
  readonly #pending = new Uint8Array(chunkBytes)
  #length = 0
  #isEnded = false

  constructor(bodies: LargeBodies, body: LargeBody, log: Log) {
    this.#bodies = bodies
    this.body = body
    this.#log = log
  }

  /** Whether its chunks are where a publish with these bodies can name them. */
  isOf(bodies: LargeBodies): boolean {
    return this.#bodies === bodies
  }

  get count(): number {
    return this.body.positions.length
  }

  get bodyBytes(): number {
    return this.body.bodyBytes
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

  /** Appends what has gathered; before the publish that names the chunks. */
  flush(): void {
    if (this.#length === 0) return
    this.#bodies.appendChunk(this.body, this.#log, this.#pending, this.#length)
    this.#length = 0
  }

  abandon(): void {
    this.release()
  }

  read(index: number, done: Parameters<Chunks['read']>[1]): void {
    readChunk(this.#log, this.body, index, done)
  }

  /** The writer itself needs the body no longer: its entries do. */
  release(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#bodies.release(this.body)
  }
}

class LargeBodyReader implements Chunks {
  readonly count: number
  readonly bodyBytes: number
  readonly #bodies: LargeBodies
  readonly #body: LargeBody
  readonly #log: Log
  #isReleased = false

  constructor(bodies: LargeBodies, body: LargeBody, log: Log) {
    this.#bodies = bodies
    this.#body = body
    this.#log = log
    this.count = body.positions.length
    this.bodyBytes = body.bodyBytes
  }

  read(index: number, done: Parameters<Chunks['read']>[1]): void {
    readChunk(this.#log, this.#body, index, done)
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#bodies.release(this.#body)
  }
}

function readChunk(log: Log, body: LargeBody, index: number, done: Parameters<Chunks['read']>[1]): void {
  const position = body.positions[index] as number
  const give = (): void => done(null, log.viewBuffer, log.viewStart + bodyChunkFixedBytes, log.viewEnd)
  if (log.view(position)) return give()
  log.load(position, (error) => {
    // Copied forward meanwhile, and its old place freed.
    if (body.positions[index] !== position) return readChunk(log, body, index, done)
    if (error !== null) return done(error, nothing, 0, 0)
    if (log.view(position)) give()
    else done(new Error(`record ${position} did not stay in memory`), nothing, 0, 0)
  })
}

const nothing = new Uint8Array(0)
