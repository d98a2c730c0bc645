import { assert } from '../../base/assert.ts'
import type { Position } from '../../log/log.ts'

/**
 * Where in the log the records lie that still count, oldest first. Every durable definition has exactly one: its last.
 *
 * A doubly linked list, so that a record is added, dropped and moved to the end at the same cost however many there
 * are. Invariant: positions grow along the list.
 */
export class LiveRecords {
  #oldest: StoredRecord | null = null
  #newest: StoredRecord | null = null
  #count = 0

  get count(): number {
    return this.#count
  }

  get oldest(): StoredRecord | null {
    return this.#oldest
  }

  add(record: StoredRecord): void {
    assert(this.#newest === null || this.#newest.position < record.position, 'records are appended in order')
    record.older = this.#newest
    record.newer = null
    if (this.#newest === null) this.#oldest = record
    else this.#newest.newer = record
    this.#newest = record
    this.#count++
  }

  drop(record: StoredRecord): void {
    if (record.older === null) this.#oldest = record.newer
    else record.older.newer = record.newer
    if (record.newer === null) this.#newest = record.older
    else record.newer.older = record.older
    record.older = null
    record.newer = null
    this.#count--
  }

  /** The definition's record has been written again. */
  move(record: StoredRecord, position: Position): void {
    this.drop(record)
    record.position = position
    this.add(record)
  }

  /** After a replay, during which records of one definition may lie in any order to those of others. */
  rebuild(records: StoredRecord[]): void {
    this.#oldest = null
    this.#newest = null
    this.#count = 0
    records.sort((a, b) => a.position - b.position)
    for (const record of records) this.add(record)
  }
}

/** The place of one definition's record. */
export class StoredRecord {
  readonly id: number
  position: Position
  older: StoredRecord | null = null
  newer: StoredRecord | null = null

  constructor(id: number, position: Position) {
    this.id = id
    this.position = position
  }
}
