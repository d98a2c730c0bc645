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
}

export class OwnershipJournal {
  readonly #clock: Clock
  readonly #self: NodeIdentity
  readonly #write: (line: string) => void

  /** `write` gets each line with its line feed, and must not throw. */
  constructor(clock: Clock, self: NodeIdentity, write: (line: string) => void) {
    this.#clock = clock
    this.#self = self
    this.#write = write
  }

  note(shard: string, epoch: number, event: OwnershipEvent): void {
    const { name: node, incarnation } = this.#self
    const line: OwnershipLine = { at: this.#clock.now(), node, incarnation, shard, epoch, event }
    this.#write(`${JSON.stringify(line)}\n`)
  }
}
