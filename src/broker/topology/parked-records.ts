import type { Position } from '../../log/log.ts'
import { type DefinitionRecord, needsOf } from './records.ts'

/**
 * Records that came, during a replay, before something they need: reclaim has written that again further on and freed
 * its old place. They wait here; live there are none.
 */
export class ParkedRecords {
  readonly #parked = new Map<number, ParkedRecord>()
  /** What a parked record needs, missing or not → the record's id. */
  readonly #waiting = new Map<number, number[]>()

  get count(): number {
    return this.#parked.size
  }

  park(record: DefinitionRecord, position: Position): void {
    this.#parked.set(record.id, { record, position })
    for (const need of needsOf(record)) {
      const waiting = this.#waiting.get(need)
      if (waiting === undefined) this.#waiting.set(need, [record.id])
      else waiting.push(record.id)
    }
  }

  /** Takes out what waits for `id`, which now exists. It may have to be parked again for something else. */
  takeWaiting(id: number): ParkedRecord[] {
    const taken: ParkedRecord[] = []
    for (const waitingId of this.#waiting.get(id) ?? []) {
      const parked = this.#parked.get(waitingId)
      if (parked === undefined || !this.#parked.delete(waitingId)) continue
      taken.push(parked)
    }
    this.#waiting.delete(id)
    return taken
  }

  /** `id` does not exist any more and never will: neither will what waits for it, nor itself if it waits. */
  remove(id: number): void {
    this.#parked.delete(id)
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    for (const waitingId of waiting) this.remove(waitingId)
  }
}

export interface ParkedRecord {
  readonly record: DefinitionRecord
  readonly position: Position
}
