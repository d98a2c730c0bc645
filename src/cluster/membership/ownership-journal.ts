/**
 * What this node did with its shards, one line of JSON each, only ever appended: so that the lines of all nodes together
 * prove, or refute, that no two of them served a shard at once. Times are wall time; tests and chaos runs order lines of
 * several nodes of one machine by them.
 */
import type { Clock } from '../../base/clock.ts'
import type { NodeIdentity } from '../node-identity.ts'

export type OwnershipEvent =
  /** The lease is ours. */
  | 'acquired'
  /** Serves from here on … */
  | 'opened'
  /** … but not between these two. */
  | 'held'
  | 'resumed'
  /** Does not serve any more: planned, told to stop, overtaken by a higher epoch, or broken. */
  | 'closed'
  | 'abandoned'
  | 'deposed'
  | 'failed'
  /** The lease is free. */
  | 'released'

export interface OwnershipLine {
  /** Wall time in milliseconds. */
  readonly at: number
  readonly node: string
  readonly incarnation: number
  readonly shard: string
  readonly epoch: number
  readonly event: OwnershipEvent
  /**
   * With an event that ends serving: since when it certainly did not serve, if that is earlier. A process that was
   * stopped writes the line when it goes on, but looks at its session before it does anything else.
   */
  readonly since?: number
}

const ends: ReadonlySet<OwnershipEvent> = new Set(['held', 'closed', 'abandoned', 'deposed', 'failed'])

export interface JournalMembers {
  readonly self: NodeIdentity
  /** Wall time at which the session stops being current, or stopped, unless it is renewed. */
  readonly currentUntil: number
}

export class OwnershipJournal {
  readonly #clock: Clock
  readonly #members: JournalMembers
  readonly #write: (line: string) => void

  /** `write` gets each line with its line feed, and must not throw. */
  constructor(clock: Clock, members: JournalMembers, write: (line: string) => void) {
    this.#clock = clock
    this.#members = members
    this.#write = write
  }

  note(shard: string, epoch: number, event: OwnershipEvent): void {
    const { self, currentUntil } = this.#members
    const at = this.#clock.now()
    const line: OwnershipLine = { at, node: self.name, incarnation: self.incarnation, shard, epoch, event }
    const isEarlier = ends.has(event) && currentUntil < at
    this.#write(`${JSON.stringify(isEarlier ? { ...line, since: currentUntil } : line)}\n`)
  }
}
