/**
 * Entries of one queue on their way to its dead-letter exchange, first come, first gone. Until its dead letter is stored
 * each is still an entry of the queue, held by the broker itself, so that a crash loses none.
 */
import type { DeathReason } from '../dead-letter/death-history.ts'
import { type EntryChunk, EntryFlag } from './entry-chunk.ts'
import type { Residences } from './residences.ts'

/** The holder of entries that are dying: no consumer has this id. */
export const dyingHolder = 0xffff_ffff

export interface Dying {
  readonly sequence: number
  readonly reason: DeathReason
  /** It goes to the parking queue of the retry settings. */
  readonly isParked: boolean
}

export class DyingEntries {
  #list: Dying[] = []
  #at = 0
  /** A task works on it, or will when its wait is over. */
  isBusy = false
  /** The first one waits: for its record, for another shard, for a queue that refused it. */
  isWaiting = false
  /** Sent to other shards, which have not answered. */
  underWay = 0
  /** Another shard has refused one: all wait before they are tried again. */
  isPaused = false
  #refused: Dying[] = []
  /** Those that were sent, and that all other shards have: what remains is to be done here, and comes first. */
  #answered: Dying[] = []
  /** Its queue stands among those that publishers work off. */
  isListed = false

  get size(): number {
    return this.#answered.length + this.#list.length - this.#at
  }

  /** `residences`: those of the queue, which hear of it. */
  add(entry: Dying, residences: Residences | null): void {
    this.#list.push(entry)
    if (residences !== null) residences.dies(entry.sequence, entry.reason, true)
  }

  /** One that was dropped before, since it was sent, has been refused. */
  refuse(entry: Dying): void {
    this.#refused.push(entry)
  }

  /** Those that were refused come first again. */
  takeRefused(): void {
    this.#list = [...this.#refused.splice(0), ...this.#list.slice(this.#at)]
    this.#at = 0
  }

  /** One that was dropped before, since it was sent, is stored by the other shards. At most as many as are under way. */
  answer(entry: Dying): void {
    this.#answered.push(entry)
  }

  /** The first that has not been sent. */
  get unsent(): Dying | undefined {
    return this.#list[this.#at]
  }

  first(): Dying | undefined {
    return this.#answered[0] ?? this.unsent
  }

  /** What was the first when it was looked at: answers may have come since. */
  drop(entry: Dying): void {
    if (this.#answered[0] === entry) {
      this.#answered.shift()
      return
    }
    this.#at++
    if (this.#at < 1_024 || this.#at * 2 < this.#list.length) return
    this.#list = this.#list.slice(this.#at)
    this.#at = 0
  }
}

/** Whether it still is, and nobody else has it. */
export function isDying(chunk: EntryChunk, sequence: number): boolean {
  if (chunk.isAway || (chunk.flagsOf(sequence) & EntryFlag.unacked) === 0) return false
  return chunk.holders?.[sequence - chunk.base] === dyingHolder
}
