/**
 * Copies the last live entries of a nearly empty segment to the end of the log, so that the segment can be freed.
 *
 * Moving costs writes, so it is done only when the log holds much more than is live, and only for segments of which at
 * most a quarter is live. Where only the oldest segments give their room back (a replicated log), one that holds as much
 * freed room behind it as is live in all is moved out of, however much of it is live: so the log takes at most
 * about twice what is live, and what moving writes is at most what has been freed. A copy is the same publish record with the targets that are still live; sequences stay,
 * positions change. Large bodies move chunk by chunk; the record that names them follows, wherever it is, if an entry
 * still needs it. A body without one (still coming in, or of transient entries only) is known by its chunks alone.
 */
import type { Clock } from '../../base/clock.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { inSlices } from '../../base/sliced.ts'
import type { Log, Position, Segment } from '../../log/log.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { LargeBodies, LargeBody } from './large-bodies.ts'
import { copyChunk, copyPublish } from './publish-copy.ts'
import { readPublishTargets } from './publish-record.ts'
import { readU64, targetBytes } from './records.ts'
import { type DigestRow, digestReader, readDigestIndex } from './segment-digest.ts'

/** Sealed segments that may stand about before anything is moved. */
const segmentsBeforeMoving = 4
/** A segment is moved out of when at most this share of it is live. */
const liveShareMax = 0.25
/** Bytes copied between two turns of the event loop. Each record counts for some more, which is what finding it costs. */
const bytesPerTurn = 256 * 1024
const recordCostBytes = 512
/** Segments looked at in one round. */
const segmentsPerRound = 4
/** Parts of a segment whose live records are gathered and put in order by themselves. */
const stretchesMax = 64
/** What a record takes besides its body, about, in bytes. */
const recordOverheadBytes = 80

export interface MoverPorts {
  readonly log: Log
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly bodies: LargeBodies
  readonly queues: ReadonlyMap<number, LocalQueue>
  touch(queue: LocalQueue, position: Position): void
  /** Brings back the columns of a chunk that is away. */
  loadChunk(queue: LocalQueue, chunk: EntryChunk): Promise<void>
  isStopped(): boolean
}

export class Mover {
  readonly #ports: MoverPorts
  /** Where the next round goes on. */
  #next = 0

  constructor(ports: MoverPorts) {
    this.#ports = ports
  }

  /**
   * Looks at a few of the segments that could not be freed, another few in each round, and moves out of the first that is
   * worth it. Returns that one. A full log is no reason to wait: a segment gives back four times what its copies take.
   */
  async run(blocked: readonly Segment[]): Promise<Segment | null> {
    const holding = holdingSegment(this.#ports.log)
    if (holding !== null && blocked.includes(holding)) {
      const live = await this.#findLive(holding, 1)
      if (live === null || this.#ports.isStopped()) return null
      await this.#moveOut(holding, live)
      return holding
    }
    if (blocked.length < segmentsBeforeMoving) return null
    for (let count = 0; count < segmentsPerRound; count++) {
      const segment = blocked[this.#next++ % blocked.length] as Segment
      const live = await this.#findLive(segment, liveShareMax)
      if (live === null || this.#ports.isStopped()) continue
      await this.#moveOut(segment, live)
      return segment
    }
    return null
  }

  /** What is live in it; null when it is too much, or when some of the entries may be away. */
  async #findLive(segment: Segment, liveShare: number): Promise<LiveRecords | null> {
    const { log, queues, bodies, clock, runQueue } = this.#ports
    const pause = (): Promise<void> => new Promise((resolve) => clock.soon(resolve))
    const index = await readDigestIndex(digestReader(log, segment), pause)
    if (index === null) return null
    if (liveShare === 1) await this.#bringIn(index.rows)
    const live = new LiveRecords(segment, bodies.chunkedWithin(segment.base, segment.end), liveShare)
    return (await inSlices(runQueue, live.find(queues, index.rows))) ? live : null
  }

  /** Loads all entries that these rows speak of. They are some megabytes at most: what one segment holds. */
  async #bringIn(rows: readonly DigestRow[]): Promise<void> {
    const { queues, loadChunk, isStopped } = this.#ports
    for (const row of rows) {
      const queue = queues.get(row.queueId)
      if (queue === undefined || row.count === 0) continue
      for (let first = Math.floor(row.first / chunkEntries) * chunkEntries; first <= row.last; first += chunkEntries) {
        const chunk = queue.entries.chunkOf(first)
        if (isStopped()) return
        if (chunk?.isAway === true) await loadChunk(queue, chunk)
      }
    }
  }

  async #moveOut(segment: Segment, { bodies, stretches }: LiveRecords): Promise<void> {
    const { log, clock, isStopped } = this.#ports
    for (const body of bodies) {
      await this.#moveChunks(segment, body)
      if (!this.#isNamedByEntries(body)) continue
      this.#move(body.name, await readRecord(log, body.name))
    }
    let copied = 0
    for (const position of inOrder(stretches)) {
      if (isStopped()) return
      const record = recordInMemory(log, position) ?? (await readRecord(log, position))
      copied += this.#move(position, record) + recordCostBytes
      if (copied < bytesPerTurn) continue
      copied = 0
      await new Promise<void>((resolve) => clock.soon(resolve))
    }
  }

  /** Whether a durable entry is live of which the body's record speaks. If none is, the record may be gone already. */
  #isNamedByEntries(body: LargeBody): boolean {
    if (body.isNamedInScratch) return false
    return body.targets.some(({ queueId, sequence }) => {
      const chunk = this.#ports.queues.get(queueId)?.entries.chunkOf(sequence)
      if (chunk === null || chunk === undefined || chunk.isAway || chunk.flagsOf(sequence) === 0) return false
      return chunk.positions[sequence - chunk.base] === body.name
    })
  }

  /** Appends the record again, for the entries that are live. Returns its bytes. */
  #move(position: Position, record: Uint8Array): number {
    if (this.#ports.isStopped()) return 0
    const body = this.#ports.bodies.of(position, false)
    const targets = this.#liveTargets(record, position)
    if (targets.length === 0) return record.length
    const moved = copyPublish(this.#ports.log, record, targets, body)
    if (body !== null) this.#ports.bodies.name(body, moved, false)
    for (const { queue, sequence } of targets) {
      const chunk = queue.entries.chunkOf(sequence)
      if (chunk === null) continue
      chunk.positions[sequence - chunk.base] = moved
      chunk.positionMax = Math.max(chunk.positionMax, moved)
      chunk.isBound = true
      queue.undigestedFrom = Math.min(queue.undigestedFrom, sequence)
      queue.unpagedBelow = Math.max(queue.unpagedBelow, sequence + 1)
      this.#ports.touch(queue, moved)
    }
    return record.length
  }

  async #moveChunks(segment: Segment, body: LargeBody): Promise<void> {
    for (const [index, position] of body.positions.entries()) {
      if (position < segment.base || position >= segment.end) continue
      const chunk = await readRecord(this.#ports.log, position)
      if (this.#ports.isStopped()) return
      body.positions[index] = copyChunk(this.#ports.log, chunk)
    }
  }

  #liveTargets(record: Uint8Array, position: Position): { queue: LocalQueue; sequence: number }[] {
    const live: { queue: LocalQueue; sequence: number }[] = []
    const targets = readPublishTargets(record, 0)
    for (let index = 0, at = targets.at; index < targets.count; index++, at += targetBytes) {
      const queue = this.#ports.queues.get(readU64(record, at))
      const sequence = readU64(record, at + 8)
      const chunk = queue?.entries.chunkOf(sequence)
      if (queue === undefined || chunk === null || chunk === undefined || chunk.isAway) continue
      if (chunk.flagsOf(sequence) !== 0 && chunk.positions[sequence - chunk.base] === position)
        live.push({ queue, sequence })
    }
    return live
  }
}

/** What is live in a segment, if that is not more than moving is worth. */
class LiveRecords {
  /** Positions by the part of the segment they are in: one set of them all would take milliseconds to grow, and to sort. */
  readonly stretches = Array.from({ length: stretchesMax }, () => new Set<Position>())
  /** With chunks in the segment. */
  readonly bodies: readonly LargeBody[]
  readonly #segment: Segment
  readonly #bytesMax: number
  #bytes = 0

  constructor(segment: Segment, bodies: readonly LargeBody[], liveShare: number) {
    this.#segment = segment
    // All of it is never too much, however the entries' share in it is reckoned.
    this.#bytesMax = liveShare === 1 ? Number.POSITIVE_INFINITY : (segment.end - segment.base) * liveShare
    this.bodies = bodies
  }

  /** Yields after each chunk of entries, and each row. False when it is too much, or when entries are away. */
  *find(queues: ReadonlyMap<number, LocalQueue>, rows: readonly DigestRow[]): Generator<void, boolean, void> {
    for (const body of this.bodies) this.#addBody(body)
    const bytesOfBodies = this.#bytes
    // What one queue alone has too much of is found out without remembering any of it: so it is mostly.
    for (const row of rows) {
      this.#bytes = bytesOfBodies
      if (!(yield* this.#addRow(queues.get(row.queueId), row, false))) return false
    }
    this.#bytes = bytesOfBodies
    for (const row of rows) {
      if (!(yield* this.#addRow(queues.get(row.queueId), row, true))) return false
    }
    return this.#bytes <= this.#bytesMax
  }

  #addBody(body: LargeBody): void {
    for (const [index, position] of body.positions.entries()) {
      if (position >= this.#segment.base && position < this.#segment.end) this.#bytes += body.lengths[index] as number
    }
  }

  *#addRow(queue: LocalQueue | undefined, row: DigestRow, isKept: boolean): Generator<void, boolean, void> {
    yield
    if (queue === undefined || row.count === 0) return true
    for (let first = Math.floor(row.first / chunkEntries) * chunkEntries; first <= row.last; first += chunkEntries) {
      const chunk = queue.entries.chunkOf(first)
      if (chunk === null || chunk.live === 0) continue
      if (chunk.isAway) return false
      this.#addChunk(chunk, isKept)
      if (this.#bytes > this.#bytesMax) return false
      yield
    }
    return true
  }

  #addChunk(chunk: EntryChunk, isKept: boolean): void {
    const { base, end } = this.#segment
    const stretchBytes = (end - base) / stretchesMax
    for (let slot = 0; slot < chunk.flags.length; slot++) {
      const flags = chunk.flags[slot] as number
      const position = chunk.positions[slot] as number
      if (flags === 0 || (flags & EntryFlag.transient) !== 0 || position < base || position >= end) continue
      const stretch = this.stretches[Math.floor((position - base) / stretchBytes)] as Set<Position>
      if (isKept && stretch.has(position)) continue
      if (isKept) stretch.add(position)
      this.#bytes += ((flags & EntryFlag.large) === 0 ? (chunk.sizes[slot] as number) : 0) + recordOverheadBytes
    }
  }
}

/** Each stretch is put in order when its turn comes. */
function* inOrder(stretches: readonly Set<Position>[]): Generator<Position, void, void> {
  for (const stretch of stretches) yield* Float64Array.from(stretch).sort()
}

/**
 * The oldest segment, if it holds more room that is free than all live ones take: where only what is older than every live
 * segment is given back. Null when there is no such need.
 */
export function holdingSegment({ segments, canFreeAnyOrder }: Log): Segment | null {
  const oldest = segments[0]
  const open = segments[segments.length - 1]
  if (canFreeAnyOrder || oldest === undefined || open === undefined || oldest === open) return null
  const liveBytes = segments.reduce((sum, { base, end }) => sum + end - base, 0)
  const heldBytes = open.end - oldest.base - liveBytes
  return heldBytes > liveBytes ? oldest : null
}

/** A copy of one record's bytes. */
async function readRecord(log: Log, position: Position): Promise<Uint8Array> {
  // Between a load and its end others may be loaded that take its place in memory.
  for (;;) {
    const record = recordInMemory(log, position)
    if (record !== null) return record
    await new Promise<void>((resolve, reject) => {
      log.load(position, (error) => (error === null ? resolve() : reject(error)))
    })
  }
}

function recordInMemory(log: Log, position: Position): Uint8Array | null {
  return log.view(position) ? log.viewBuffer.slice(log.viewStart, log.viewEnd) : null
}
