/**
 * A queue's time to live has changed, and some of its entries have a deadline of their own that was made with the old
 * one: each is made again, from its record. In steps; an entry that is given out or expires meanwhile goes by the old.
 */
import type { Clock } from '../../base/clock.ts'
import { Message } from '../message.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { Deadlines } from './deadlines.ts'
import { deadlineOf } from './entering.ts'
import { ReadTraits } from './record-traits.ts'
import type { StoredEntries } from './stored-entries.ts'

/** Entries between two turns. */
const stepEntries = 512

export interface RetimingPorts {
  readonly clock: Clock
  readonly stored: StoredEntries
  readonly deadlines: Deadlines
  isServing(): boolean
}

export class Retiming {
  readonly #ports: RetimingPorts
  readonly #message = new Message()
  readonly #traits = new ReadTraits()
  readonly #running = new Set<LocalQueue>()
  /** Changed again while it was gone through. */
  readonly #again = new Set<LocalQueue>()

  constructor(ports: RetimingPorts) {
    this.#ports = ports
  }

  start(queue: LocalQueue): void {
    if (queue.entries.aside === null) return
    if (this.#running.has(queue)) {
      this.#again.add(queue)
      return
    }
    this.#running.add(queue)
    void this.#goThrough(queue)
  }

  async #goThrough(queue: LocalQueue): Promise<void> {
    do {
      this.#again.delete(queue)
      const end = queue.entries.next
      const start = Math.floor(queue.entries.head() / chunkEntries) * chunkEntries
      for (let first = start; first < end; first += chunkEntries) await this.#ofChunk(queue, first)
    } while (this.#again.has(queue))
    this.#running.delete(queue)
  }

  async #ofChunk(queue: LocalQueue, within: number): Promise<void> {
    const start = Math.floor(within / chunkEntries) * chunkEntries
    for (let sequence = start; sequence < start + chunkEntries; sequence++) {
      const chunk = queue.entries.chunkOf(sequence)
      if (chunk === null || chunk.side === null || queue.isDropped || !this.#ports.isServing()) return
      if (concerns(chunk, sequence)) await this.#retime(queue, chunk, sequence)
      if (sequence % stepEntries === 0) await new Promise<void>((resolve) => this.#ports.clock.soon(resolve))
    }
  }

  async #retime(queue: LocalQueue, chunk: EntryChunk, sequence: number): Promise<void> {
    const { stored, deadlines } = this.#ports
    while (concerns(chunk, sequence) && !stored.view(this.#message, chunk, sequence, chunk.flagsOf(sequence))) {
      await new Promise<void>((resolve) => stored.load(queue, chunk, sequence, resolve))
    }
    if (!concerns(chunk, sequence)) return
    stored.readTraits(this.#traits)
    const isAside = (chunk.flagsOf(sequence) & EntryFlag.aside) !== 0
    const from = Math.max(this.#traits.dueAt, stored.arrivedAt)
    const deadline = deadlineOf(queue, this.#traits, from, isAside)
    const before = chunk.deadlineOf(sequence)
    if (deadline === before) return
    chunk.sideFor().setDeadline(sequence - chunk.first, deadline)
    queue.entries.aside?.retimed(deadline, before, sequence)
    if (deadline > 0) deadlines.arm(queue, deadline)
  }
}

/** Whether an entry has, or may have, a deadline of its own. */
function concerns(chunk: EntryChunk, sequence: number): boolean {
  const flags = chunk.isAway ? 0 : chunk.flagsOf(sequence)
  return flags !== 0 && ((flags & EntryFlag.aside) !== 0 || chunk.deadlineOf(sequence) > 0)
}
