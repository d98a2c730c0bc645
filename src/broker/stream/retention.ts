/**
 * What a stream forgets: whole segments, the oldest first, never the one that is written. A segment goes when all of the
 * stream takes more than `x-max-length-bytes`, or when all in the segment is older than `x-max-age`. What its records say
 * besides messages must stand in a later record that is stored, and nobody may be reading a large body in it.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Log, Position } from '../../log/log.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import type { IndexedSegment, OffsetIndex } from './offset-index.ts'
import type { StreamBodies } from './stream-bodies.ts'

/** How often ages are looked at, in milliseconds. */
export const retentionCheckMs = 30_000

export interface RetentionPorts {
  readonly definition: QueueDefinition
  readonly log: Log
  readonly index: OffsetIndex
  readonly bodies: StreamBodies
  readonly clock: Clock
}

export class Retention {
  readonly #ports: RetentionPorts
  /** Position of a record that says all that those before it said besides messages: appended, and stored. */
  #stateAppended: Position = 0
  #stateCommitted: Position = 0
  #timer: Timer | null = null

  constructor(ports: RetentionPorts) {
    this.#ports = ports
  }

  start(): void {
    this.run()
    this.#timer = this.#ports.clock.after(retentionCheckMs, () => this.start())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  stateAppended(position: Position): void {
    this.#stateAppended = position
  }

  committed(position: Position): void {
    if (this.#stateCommitted === this.#stateAppended || position < this.#stateAppended) return
    this.#stateCommitted = this.#stateAppended
    this.run()
  }

  run(): void {
    const { log, index } = this.#ports
    for (let first = this.#oldest(); first !== null; first = this.#oldest()) {
      index.dropFirst()
      log.free(first.segment)
    }
  }

  /** The oldest segment if it is to go and may. */
  #oldest(): IndexedSegment | null {
    const { index, bodies } = this.#ports
    const [first, second] = index.segments
    if (first === undefined || second === undefined) return null
    const { segment } = first
    if (
      !segment.isSealed ||
      first.summary === null ||
      this.#stateCommitted < segment.end ||
      bodies.neededFrom < segment.end
    )
      return null
    return this.#isTooMuch() || this.#isTooOld(first, second) ? first : null
  }

  #isTooMuch(): boolean {
    const { definition, log, index } = this.#ports
    const { maxLengthBytes } = definition.settings
    if (maxLengthBytes === null) return false
    let bytes = 0
    for (const { segment } of index.segments)
      bytes += segment.isSealed ? segment.end - segment.base : Math.max(0, log.appended - segment.base)
    return bytes > maxLengthBytes
  }

  #isTooOld(entry: IndexedSegment, next: IndexedSegment): boolean {
    const { definition, clock, index } = this.#ports
    const { maxAgeMs } = definition.settings
    if (maxAgeMs === null) return false
    // A segment of pieces only is as old as the message behind them.
    const behind = next.isEmpty ? index.lastTimestamp : next.firstTimestamp
    return (entry.isEmpty ? behind : entry.lastTimestamp) < clock.now() - maxAgeMs
  }
}
