/**
 * The entries of one queue that do not simply wait in the order of their sequences: those with a priority, of a group,
 * with a delay, or waiting to be tried again. Also when each entry with a time of its own expires.
 *
 * Made when a queue gets its first such entry; `entries.ts` tells it of everything that happens to them.
 */
import { DeadlineHeap } from '../../base/deadline-heap.ts'
import type { Entries } from './entries.ts'
import { type EntryChunk, EntryFlag } from './entry-chunk.ts'
import { Groups } from './groups.ts'
import { ReadyLanes } from './ready-lanes.ts'

/** Heaps and lanes are tidied, a few looks for each change, while more than half of them, and this many, are gone. */
const staleMin = 1_024
/** Pairs of a heap looked at for each change. */
const looks = 8
/**
 * Where so many have a time of their own, they expire together every `togetherMs`, in the order of their sequences: so
 * those that die are read from the log in its order, not here and there. The consumer never sees one that is too old.
 */
const togetherMin = 10_000
const togetherMs = 128
/** Between the keys of two that come late one after the other. */
const keyStep = 2 ** -20

export class Aside {
  readonly lanes: ReadyLanes
  readonly groups: Groups
  /** (due, sequence) of those that are not ready before. */
  readonly due = new DeadlineHeap()
  /** (deadline, sequence) of entries with a time of their own; of those that are not ready it may be passed over. */
  readonly expiries = new DeadlineHeap()
  readonly #entries: Entries
  /** The last key that was given to one that came late. */
  #late = 0
  /** Entries with a deadline that are live, about: what the heap is compared with. */
  #expiring = 0

  constructor(entries: Entries, groupLimit: number) {
    this.#entries = entries
    this.lanes = new ReadyLanes((sequence) => this.#isListed(sequence))
    this.groups = new Groups(
      groupLimit,
      (sequence) => this.#isReady(sequence),
      (sequence, isNewTurn) => this.#list(sequence, isNewTurn ? this.#lastKey() : this.#keyOf(sequence)),
    )
  }

  // ---------------------------------------------------------------- what entries tell

  /** An entry has come and is ready, at the place of its sequence or (it fell due) behind all others. */
  ready(chunk: EntryChunk, sequence: number, isLate: boolean): void {
    if (isLate) this.#giveLastPlace(chunk, sequence)
    const group = chunk.groupOf(sequence)
    if (group !== 0) this.groups.ready(group, sequence)
    else this.#list(sequence, this.#keyOf(sequence))
  }

  taken(chunk: EntryChunk, sequence: number): void {
    // One that was not the first is left where it is, and passed over.
    if (this.lanes.first() === sequence) this.lanes.drop()
    const group = chunk.groupOf(sequence)
    if (group !== 0) this.groups.taken(group, sequence)
  }

  /** One that was handed out is ready again. */
  back(chunk: EntryChunk, sequence: number): void {
    const group = chunk.groupOf(sequence)
    if (group !== 0) this.groups.back(group, sequence)
    else this.#list(sequence, this.#keyOf(sequence))
  }

  /** One that was held back is ready: its group need not wait for it any more. */
  released(chunk: EntryChunk, sequence: number): void {
    const group = chunk.groupOf(sequence)
    if (group !== 0) this.groups.back(group, sequence)
    else {
      this.#giveLastPlace(chunk, sequence)
      this.#list(sequence, this.#keyOf(sequence))
    }
  }

  gone(chunk: EntryChunk, sequence: number, flags: number): void {
    if (chunk.deadlineOf(sequence) > 0) {
      this.#expiring--
      this.#tidyExpiries()
    }
    if ((flags & EntryFlag.waiting) !== 0) this.#tidyDue()
    else if ((flags & (EntryFlag.aside | EntryFlag.unacked)) === EntryFlag.aside) this.#tidyLanes()
    const group = chunk.groupOf(sequence)
    if (group === 0) return
    const wasOut = (flags & (EntryFlag.unacked | EntryFlag.heldBack)) !== 0
    this.groups.gone(group, sequence, wasOut)
  }

  // ---------------------------------------------------------------- times

  waitUntil(dueAt: number, sequence: number): void {
    this.due.push(dueAt, sequence)
    this.#tidyDue()
  }

  /** The entry has a deadline for the first time. */
  expiresAt(deadline: number, sequence: number): void {
    this.#expiring++
    this.expiries.push(this.#expiryOf(deadline), sequence)
    this.#tidyExpiries()
  }

  /** It is ready again and expires then. If that time has not been passed over meanwhile, it is still known. */
  watch(deadline: number, sequence: number): void {
    if (deadline <= this.expiries.popped) this.expiries.push(this.#expiryOf(deadline), sequence)
  }

  #expiryOf(deadline: number): number {
    return this.expiries.size < togetherMin ? deadline : Math.ceil(deadline / togetherMs) * togetherMs
  }

  /** Its deadline is another now; 0 is none. */
  retimed(deadline: number, before: number, sequence: number): void {
    if (before > 0) this.#expiring--
    if (deadline > 0) this.expiresAt(deadline, sequence)
  }

  /** The next time at which anything here happens; Infinity when nothing does. */
  get nextTime(): number {
    return Math.min(this.due.firstDeadline, this.expiries.firstDeadline)
  }

  // ---------------------------------------------------------------- order

  #list(sequence: number, key: number): void {
    const chunk = this.#entries.chunkOf(sequence)
    this.lanes.add(chunk?.priorityOf(sequence) ?? 0, key, sequence)
    this.#tidyLanes()
  }

  #keyOf(sequence: number): number {
    return this.#entries.chunkOf(sequence)?.placeOf(sequence) || sequence
  }

  #giveLastPlace(chunk: EntryChunk, sequence: number): void {
    chunk.sideFor().setPlace(sequence - chunk.first, this.#lastKey())
  }

  /** Behind all that has come or fallen due, before all that comes. */
  #lastKey(): number {
    const { next } = this.#entries
    this.#late = Math.min(Math.max(this.#late, next - 1) + keyStep, next - keyStep)
    return this.#late
  }

  #isReady(sequence: number): boolean {
    const flags = this.#entries.chunkOf(sequence)?.flagsOf(sequence) ?? 0
    return (flags & (readyMask | EntryFlag.aside)) === (EntryFlag.live | EntryFlag.aside)
  }

  #isListed(sequence: number): boolean {
    if (!this.#isReady(sequence)) return false
    const group = this.#entries.chunkOf(sequence)?.groupOf(sequence) ?? 0
    return group === 0 || this.groups.isListed(group, sequence)
  }

  // ---------------------------------------------------------------- letting go

  /** Half of what is listed may be gone; when nothing is ready, all of it is. */
  #tidyLanes(): void {
    if (this.lanes.size <= 2 * this.#entries.asideReady + staleMin) return
    if (this.#entries.asideReady === 0) this.lanes.clear()
    else this.lanes.tidy()
  }

  #tidyDue(): void {
    if (this.due.size > 2 * this.#entries.waiting + staleMin) this.due.sweep(looks, this.#isDue)
  }

  #tidyExpiries(): void {
    if (this.expiries.size > 2 * this.#expiring + staleMin) this.expiries.sweep(looks, this.#isExpiring)
  }

  readonly #isDue = (dueAt: number, sequence: number): boolean => {
    const chunk = this.#entries.chunkOf(sequence)
    const isWaiting = chunk !== null && (chunk.flagsOf(sequence) & EntryFlag.waiting) !== 0
    return isWaiting && chunk.dueOf(sequence) === dueAt
  }

  readonly #isExpiring = (expiry: number, sequence: number): boolean => {
    const chunk = this.#entries.chunkOf(sequence)
    if (chunk === null || chunk.flagsOf(sequence) === 0) return false
    const deadline = chunk.deadlineOf(sequence)
    return deadline > 0 && deadline <= expiry && expiry < deadline + togetherMs
  }
}

const readyMask = EntryFlag.live | EntryFlag.unacked | EntryFlag.waiting
