import type { Clock } from '../../src/base/clock.ts'
import type { Entry } from './model.ts'

/** Settlements by number: given to the shard, put into its log, and known to be stored. */
export class SettlementMarks {
  #given = 0
  #appended = 0
  #stored = 0

  /** The shard is given this one. What it gathers in a turn it appends at the end of it, before `clock` calls back. */
  give(entry: Entry, clock: Clock): void {
    entry.settlement = ++this.#given
    const given = this.#given
    clock.soon(() => {
      this.#appended = Math.max(this.#appended, given)
    })
  }

  get appended(): number {
    return this.#appended
  }

  get stored(): number {
    return this.#stored
  }

  /** All up to this one are stored. */
  storedUpTo(settlement: number): void {
    this.#stored = Math.max(this.#stored, settlement)
  }

  /** The shard has been opened: what it knows of is stored, and the rest never was. */
  opened(): void {
    this.#appended = this.#given
    this.#stored = this.#given
  }
}
