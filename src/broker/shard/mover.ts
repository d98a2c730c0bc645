/**
 * Copies the last live entries of a nearly empty segment to the end of the log, so that the segment can be freed.
 *
 * Moving costs writes, so it is done only when the log holds much more than is live, and only for segments of which at
 * most a quarter is live. A copy is the same publish record with the targets that are still live; sequences stay,
 * positions change. Large bodies move chunk by chunk.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log, Position, Segment } from '../../log/log.ts'
import { EntryFlag, chunkEntries } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { LargeBodies, LargeBody } from './large-bodies.ts'
import { copyChunk, copyPublish } from './publish-copy.ts'
import { readPublishTargets } from './publish-record.ts'
import { readU64, targetBytes } from './records.ts'

/** Sealed segments that may stand about before anything is moved. */
const segmentsBeforeMoving = 4
/** A segment is moved out of when at most this share of it is live. */
const liveShareMax = 0.25
/** Bytes copied between two turns of the event loop. */
const bytesPerTurn = 256 * 1024

export interface MoverPorts {
  readonly log: Log
  readonly clock: Clock
  readonly bodies: LargeBodies
  readonly queues: ReadonlyMap<number, LocalQueue>
  touch(queue: LocalQueue, position: Position): void
  isStopped(): boolean
}

export class Mover {
  readonly #ports: MoverPorts

  constructor(ports: MoverPorts) {
    this.#ports = ports
  }

  /** Moves out of the oldest segment that is worth it, if any is. */
  async run(blocked: readonly Segment[]): Promise<void> {
    if (blocked.length < segmentsBeforeMoving || this.#ports.log.isFull) return
    for (const segment of blocked) {
      if (this.#ports.isStopped()) return
      const live = this.#livePositions(segment)
      if (live === null || live.bytes > (segment.end - segment.base) * liveShareMax) continue
      await this.#moveOut(segment, live.positions)
      return
    }
  }

  /** Positions of records with live entries, and about how many bytes they are; null when entries of it may be away. */
  #livePositions(segment: Segment): { positions: Set<Position>; bytes: number } | null {
    const positions = new Set<Position>()
    let bytes = 0
    for (const queue of this.#ports.queues.values()) {
      if (queue.runs.some((run) => run.segmentId === segment.id && isAwayWithin(queue, run.first, run.last))) return null
      for (const chunk of queue.entries.chunks()) {
        if (chunk.isAway || chunk.live === 0 || chunk.positionMax < segment.base) continue
        for (let slot = 0; slot < chunk.flags.length; slot++) {
          const flags = chunk.flags[slot] as number
          const position = chunk.positions[slot] as number
          if (flags === 0 || (flags & EntryFlag.transient) !== 0 || position < segment.base || position >= segment.end) continue
          positions.add(position)
          bytes += (chunk.sizes[slot] as number) + 96
        }
      }
    }
    for (const body of this.#ports.bodies.chunkedWithin(segment.base, segment.end)) {
      positions.add(body.isNamedInScratch ? 0 : body.name)
      bytes += body.bodyBytes
    }
    return { positions, bytes }
  }

  async #moveOut(segment: Segment, positions: ReadonlySet<Position>): Promise<void> {
    let copied = 0
    for (const position of [...positions].sort((a, b) => a - b)) {
      if (this.#ports.isStopped() || this.#ports.log.isFull) return
      copied += await this.#move(segment, position)
      if (copied < bytesPerTurn) continue
      copied = 0
      await new Promise<void>((resolve) => this.#ports.clock.soon(resolve))
    }
  }

  async #move(segment: Segment, position: Position): Promise<number> {
    // Position 0 is a body whose publish has not come yet: its writer still needs the chunks where they are.
    if (position === 0) return 0
    const body = this.#ports.bodies.of(position, false)
    if (body !== null) await this.#moveChunks(segment, body)
    const record = await readRecord(this.#ports.log, position)
    const targets = this.#liveTargets(record, position)
    if (targets.length === 0) return record.length
    const moved = copyPublish(this.#ports.log, record, targets, body)
    if (body !== null) this.#ports.bodies.name(body, moved, false)
    for (const { queue, sequence } of targets) {
      const chunk = queue.entries.chunkOf(sequence)
      if (chunk === null) continue
      chunk.positions[sequence - chunk.base] = moved
      chunk.positionMax = Math.max(chunk.positionMax, moved)
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
      if (chunk.flagsOf(sequence) !== 0 && chunk.positions[sequence - chunk.base] === position) live.push({ queue, sequence })
    }
    return live
  }
}

function isAwayWithin(queue: LocalQueue, first: number, last: number): boolean {
  for (let at = Math.floor(first / chunkEntries) * chunkEntries; at <= last; at += chunkEntries) {
    if (queue.entries.chunkOf(at)?.isAway === true) return true
  }
  return false
}

/** A copy of one record's bytes. */
async function readRecord(log: Log, position: Position): Promise<Uint8Array> {
  if (!log.view(position)) {
    await new Promise<void>((resolve, reject) => {
      log.load(position, (error) => (error === null ? resolve() : reject(error)))
    })
    if (!log.view(position)) throw new Error(`record ${position} did not stay in memory`)
  }
  return log.viewBuffer.slice(log.viewStart, log.viewEnd)
}
