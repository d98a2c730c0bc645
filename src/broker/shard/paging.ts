/**
 * Memory does not grow with the backlog: the columns of a long queue's middle are given up once digests hold them, and
 * read again before the consumer comes near.
 */
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { inSlices } from '../../base/sliced.ts'
import type { Log, RecordVisitor, Segment } from '../../log/log.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { EntryRun, LocalQueue } from '../queue/local-queue.ts'
import type { LargeBodies } from './large-bodies.ts'
import { readPublishTargets } from './publish-record.ts'
import { RecordKind, readU32, readU64, targetBytes } from './records.ts'
import { digestReader } from './segment-digest.ts'

/** Chunks loaded by one read. */
const groupChunks = 16
/** Chunks from the first ready one on that are never sent away. */
const nearChunks = 32
/** Queues looked at between two looks at the clock. */
const queuesPerLook = 256

export interface PagingPorts {
  readonly runQueue: RunQueue
  readonly log: Log
  readonly bodies: LargeBodies
  readonly logger: Logger
  /** Memory for entry columns above which long queues give theirs up, in bytes. */
  readonly entryBytesMax: number
  resume(queue: LocalQueue): void
  damaged(error: Error): void
}

export class Paging {
  readonly #ports: PagingPorts
  readonly #coming = new Set<EntryChunk>()

  constructor(ports: PagingPorts) {
    this.#ports = ports
  }

  /** Sends away what may go, longest queues in full, when the columns of all take more than the limit. */
  sweep(queues: Iterable<LocalQueue>, digestedBelow: number): void {
    const { runQueue, damaged } = this.#ports
    inSlices(runQueue, this.#sweep(queues, digestedBelow)).catch(damaged)
  }

  *#sweep(queues: Iterable<LocalQueue>, digestedBelow: number): Generator<void, void, void> {
    const long: LocalQueue[] = []
    let bytes = 0
    let looked = 0
    for (const queue of queues) {
      if (++looked % queuesPerLook === 0) yield
      if (queue.entries.live < nearChunks * chunkEntries) continue
      long.push(queue)
      for (const chunk of queue.entries.chunks()) bytes += chunk.isAway ? 0 : chunk.memoryBytes
      yield
    }
    if (bytes <= this.#ports.entryBytesMax) return
    for (const queue of long) {
      sweepQueue(queue, digestedBelow)
      yield
    }
  }

  /** Loads the columns of a chunk and of those behind it, then resumes the queue. */
  load(queue: LocalQueue, chunk: EntryChunk): void {
    if (this.#coming.has(chunk)) return
    const group = [chunk]
    for (let next = chunk.first + chunkEntries; group.length < groupChunks; next += chunkEntries) {
      const behind = queue.entries.chunkOf(next)
      if (behind === null || !behind.isAway || this.#coming.has(behind)) break
      group.push(behind)
    }
    for (const one of group) this.#coming.add(one)
    this.#loadGroup(queue, group).then(
      () => {
        for (const one of group) this.#coming.delete(one)
        this.#ports.resume(queue)
      },
      (error: Error) => this.#ports.damaged(error),
    )
  }

  /** The same, awaited: for opening. */
  async loadNow(queue: LocalQueue, chunk: EntryChunk): Promise<void> {
    await this.#loadGroup(queue, [chunk])
  }

  async #loadGroup(queue: LocalQueue, group: EntryChunk[]): Promise<void> {
    const from = (group[0] as EntryChunk).first
    const to = (group[group.length - 1] as EntryChunk).first + chunkEntries - 1
    const fillings = new Map(group.map((chunk) => [chunk.first, new Filling(chunk)]))
    for (const run of queue.runs) {
      if (run.last < from || run.first > to) continue
      const segment = this.#ports.log.segments.find((one) => one.id === run.segmentId)
      if (segment === undefined) continue
      if (await this.#readRun(segment, run, from, to, fillings)) continue
      await this.#replayRun(segment, queue, from, to, fillings)
    }
    for (const filling of fillings.values()) filling.finish(queue, this.#ports.bodies)
  }

  /** Fills from the rows of a digest; false when they cannot be had. */
  async #readRun(
    segment: Segment,
    run: EntryRun,
    from: number,
    to: number,
    fillings: Map<number, Filling>,
  ): Promise<boolean> {
    const isContiguous = run.last - run.first === run.count - 1
    const first = isContiguous ? Math.max(from, run.first) : run.first
    const count = isContiguous ? Math.min(to, run.last) - first + 1 : run.count
    const rowBytes = isContiguous ? 8 : 12
    const read = digestReader(this.#ports.log, segment)
    const rows = await read(run.offset + (first - run.first) * (isContiguous ? 8 : 0), count * rowBytes)
    if (rows === null) return false
    for (let index = 0, at = 0; index < count; index++, at += rowBytes) {
      const sequence = isContiguous ? first + index : run.first + readU32(rows, at + 8)
      fillings.get(chunkStart(sequence))?.put(sequence, segment.base + readU32(rows, at), readU32(rows, at + 4))
    }
    return true
  }

  /** The digest is missing or damaged: the segment itself knows the same. */
  async #replayRun(
    segment: Segment,
    queue: LocalQueue,
    from: number,
    to: number,
    fillings: Map<number, Filling>,
  ): Promise<void> {
    const { log, logger } = this.#ports
    // Freed meanwhile: what was asked for has been purged, or copied to where another run says.
    const isFreed = (): boolean => !log.segments.includes(segment)
    if (isFreed()) return
    logger.warn({ segment: segment.id }, 'a digest cannot be read; reading the segment instead')
    const visit: RecordVisitor = (position, buffer, start) => {
      if (buffer[start] !== RecordKind.publish) return
      const targets = readPublishTargets(buffer, start)
      for (let index = 0, at = targets.at; index < targets.count; index++, at += targetBytes) {
        const sequence = readU64(buffer, at + 8)
        if (readU64(buffer, at) !== queue.id || sequence < from || sequence > to) continue
        fillings.get(chunkStart(sequence))?.put(sequence, position, targets.bodyBytes)
      }
    }
    try {
      await log.replay(segment, visit)
    } catch (error) {
      if (!isFreed()) throw error
    }
  }
}

/** New columns for one chunk that is away. */
class Filling {
  readonly #chunk: EntryChunk
  readonly #positions = new Float64Array(chunkEntries)
  readonly #sizes = new Uint32Array(chunkEntries)

  constructor(chunk: EntryChunk) {
    this.#chunk = chunk
  }

  /** A record that was copied forward stands in two segments: the later one counts. */
  put(sequence: number, position: number, size: number): void {
    const slot = sequence - this.#chunk.first
    if (position < (this.#positions[slot] as number)) return
    this.#positions[slot] = position
    this.#sizes[slot] = size
  }

  /** The chunk may have been settled in part, or dropped, while its columns were read. */
  finish(queue: LocalQueue, bodies: LargeBodies): void {
    const chunk = this.#chunk
    if (!chunk.isAway || queue.entries.chunkOf(chunk.first) !== chunk) return
    const flags = new Uint8Array(chunkEntries)
    let readyBytes = 0
    let before = 0
    for (let slot = 0; slot < chunkEntries; slot++) {
      if (!chunk.isAwayLive(chunk.first + slot)) continue
      const position = this.#positions[slot] as number
      if (position === 0)
        throw new Error(`no record for sequence ${chunk.first + slot} of queue '${queue.definition.name}'`)
      const isLarge = bodies.of(position, false) !== null
      flags[slot] = isLarge ? EntryFlag.live | EntryFlag.large : EntryFlag.live
      chunk.isBound ||= isLarge || position < before
      before = position
      readyBytes += this.#sizes[slot] as number
    }
    chunk.positions = this.#positions
    chunk.sizes = this.#sizes
    chunk.flags = flags
    chunk.base = chunk.first
    chunk.settled = null
    chunk.isAway = false
    queue.entries.correctBytes(chunk, readyBytes)
  }
}

function sweepQueue(queue: LocalQueue, digestedBelow: number): void {
  const keepBelow = queue.entries.firstReady() + nearChunks * chunkEntries
  for (const chunk of queue.entries.chunks()) {
    if (chunk.isAway || chunk.isBound || chunk.live !== chunk.ready || chunk.live === 0) continue
    if (chunk.first < keepBelow || chunk.first < queue.unpagedBelow || chunk.positionMax >= digestedBelow) continue
    if (chunk.first + chunkEntries > queue.entries.next) continue
    chunk.sendAway()
  }
}

function chunkStart(sequence: number): number {
  return Math.floor(sequence / chunkEntries) * chunkEntries
}
