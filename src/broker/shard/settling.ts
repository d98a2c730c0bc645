/**
 * Taking entries out of queues, one holder's range at a time: what is settled leaves the columns, gives back what it
 * held elsewhere, and goes to the log if it was durable.
 */
import type { Position } from '../../log/log.ts'
import type { DeathReason } from '../dead-letter/death-history.ts'
import type { Outcome } from '../ports.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { Failing } from './failing.ts'
import type { LargeBodies } from './large-bodies.ts'
import type { ScratchUsage } from './scratch-usage.ts'
import type { Settlements } from './settlements.ts'

/** Deliveries of one queue that a holder settles in one way. The holder 0 is a `get`. */
export interface HeldRange {
  readonly holder: number
  readonly first: number
  readonly last: number
  readonly outcome: Outcome
  /** The broker says it for a holder that has kept it too long. */
  readonly isLeaseEnd?: boolean
}

export class Settling {
  readonly #settlements: Settlements
  readonly #bodies: LargeBodies
  readonly #usage: ScratchUsage
  /** Set once: failures settle, and settling finds failures. */
  failing: Failing | null = null

  constructor(settlements: Settlements, bodies: LargeBodies, usage: ScratchUsage) {
    this.#settlements = settlements
    this.#bodies = bodies
    this.#usage = usage
  }

  /** Settles what the holder holds of a range and passes over the rest; returns how many that were. */
  settleHeld(queue: LocalQueue, { holder, first, last, outcome, isLeaseEnd = false }: HeldRange): number {
    const { entries, leases, lateWords } = queue
    const failing = this.failing?.concerns(queue, outcome) === true ? this.failing : null
    let chunk: EntryChunk | null = null
    let held = 0
    let runFirst = 0
    for (let sequence = first; sequence <= last; sequence++) {
      if (chunk === null || sequence >= chunk.first + chunkEntries) chunk = entries.chunkOf(sequence)
      // Saying that a delivery failed whose lease has ended says nothing of the next one.
      const isLate = !isLeaseEnd && lateWords?.take(sequence, holder) === true && outcome !== 'ack'
      if (chunk === null || isLate || !isHeldBy(chunk, sequence, holder)) {
        if (runFirst !== 0) this.#settlements.add(queue, runFirst, sequence - 1)
        runFirst = 0
        continue
      }
      held++
      if (leases !== null) leases.end(sequence)
      if (lateWords !== null && outcome === 'ack') lateWords.forget(sequence)
      if (failing?.failed(queue, chunk, sequence, outcome) === true) {
        if (runFirst !== 0) this.#settlements.add(queue, runFirst, sequence - 1)
        runFirst = 0
      } else if (this.#remove(queue, chunk, sequence) && runFirst === 0) runFirst = sequence
    }
    if (runFirst !== 0) this.#settlements.add(queue, runFirst, last)
    failing?.flush()
    return held
  }

  /** A delivery that needs no acknowledgement. */
  settleOne(queue: LocalQueue, chunk: EntryChunk, sequence: number): void {
    if (this.#remove(queue, chunk, sequence)) this.#settlements.add(queue, sequence, sequence)
  }

  /** An entry dies, and there is nowhere to send it. */
  giveUp(queue: LocalQueue, chunk: EntryChunk, sequence: number, reason: DeathReason): void {
    if (queue.residences !== null) queue.residences.dies(sequence, reason, false)
    this.settleOne(queue, chunk, sequence)
  }

  /** An entry is done with, and the log knows that already. */
  forget(queue: LocalQueue, chunk: EntryChunk, sequence: number): void {
    this.#remove(queue, chunk, sequence)
  }

  /** Gives back what a transient or large entry holds outside of its columns. */
  release(position: Position, flags: number): void {
    const isTransient = (flags & EntryFlag.transient) !== 0
    if ((flags & EntryFlag.large) !== 0) {
      const body = this.#bodies.of(position, isTransient)
      if (body !== null) this.#bodies.release(body)
    }
    if (isTransient) this.#usage.release(position)
  }

  /** Forgets an entry and what it holds elsewhere. True when it was durable: the log must hear of it. */
  #remove(queue: LocalQueue, chunk: EntryChunk, sequence: number): boolean {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    const position = chunk.positions[slot] as number
    queue.entries.remove(chunk, sequence)
    if (queue.residences !== null) queue.residences.left(sequence)
    if ((flags & (EntryFlag.transient | EntryFlag.large)) === 0) return true
    this.release(position, flags)
    return (flags & EntryFlag.transient) === 0
  }
}

function isHeldBy(chunk: EntryChunk, sequence: number, holder: number): boolean {
  if (chunk.isAway || chunk.holders === null) return false
  const slot = sequence - chunk.base
  return ((chunk.flags[slot] ?? 0) & EntryFlag.unacked) !== 0 && chunk.holders[slot] === holder
}
