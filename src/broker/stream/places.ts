/**
 * Where named consumers go on after they, or the broker, were away. A place is the offset behind the last one up to
 * which everything has been acknowledged. Changes are gathered and appended as one record now and then; what a crash
 * takes of them is delivered again.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Log, Position } from '../../log/log.ts'
import { type Places as PlaceMap, stateBytes, writeState } from './stream-records.ts'

/** How long a change of a place may wait for others before it is appended, in milliseconds. */
const flushMs = 250
/** Names of consumers that one stream remembers at most; all of them fit in one record. */
export const consumerNamesPerStreamMax = 500

export interface PlacesPorts {
  readonly log: Log
  readonly clock: Clock
  /** The offset that comes next. */
  nextOffset(): number
  /** A record has been appended. */
  appended(): void
}

export class Places {
  readonly #ports: PlacesPorts
  readonly #places: Map<string, number>
  readonly #changed = new Map<string, number>()
  #timer: Timer | null = null
  #isStopped = false

  constructor(ports: PlacesPorts, known: Map<string, number>) {
    this.#ports = ports
    this.#places = known
  }

  get all(): PlaceMap {
    return this.#places
  }

  get(name: string): number | null {
    return this.#places.get(name) ?? null
  }

  /** False when there are so many names that no other can be remembered. */
  hasRoomFor(name: string): boolean {
    return this.#places.has(name) || this.#places.size < consumerNamesPerStreamMax
  }

  /** A place never goes back. */
  set(name: string, place: number): void {
    const known = this.#places.get(name)
    if (this.#isStopped || (known !== undefined && place <= known)) return
    this.#places.set(name, place)
    this.#changed.set(name, place)
    this.#timer ??= this.#ports.clock.after(flushMs, () => this.flush())
  }

  /** Appends what has changed. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#changed.size > 0) this.#append(this.#changed)
  }

  /** Appends everything there is to say besides the messages, so that no earlier record is needed for it. */
  appendAll(): Position {
    this.#timer?.cancel()
    this.#timer = null
    return this.#append(this.#places)
  }

  #append(places: PlaceMap): Position {
    const { log, nextOffset, appended } = this.#ports
    if (this.#isStopped) return log.appended
    const at = log.reserve(stateBytes(places))
    writeState(log.buffer, at, { next: nextOffset(), places })
    this.#changed.clear()
    const position = log.appended
    appended()
    return position
  }

  /** The log takes no more. */
  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#timer = null
  }
}
