/**
 * A coordination store in memory, as several clients see it that are far from it: answers take time and may get lost,
 * writes may arrive after they were given up, reads may be old, a client may be cut off. Seeded.
 */
import type { Clock } from '../../../src/base/clock.ts'
import type { SeededRandom } from '../../../src/base/random.ts'
import type { Coordination, CoordinationEntry, CoordinationWatch } from '../../../src/cluster/coordination.ts'

interface Change {
  readonly key: string
  /** Null: removed. */
  readonly value: string | null
  readonly revision: number
}

export class MemoryStore {
  /** All that ever happened; the revision of a change is its place, from 1 on. */
  readonly changes: Change[] = []
  readonly #latest = new Map<string, Change>()
  readonly #listeners = new Set<() => void>()
  /** Counts how often it was put back: a watch of what it was before is told nothing more. */
  life = 0
  /** Of the store and the network; a client has one of its own. */
  readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  get revision(): number {
    return this.changes.length
  }

  read(key: string): CoordinationEntry | null {
    return entryOf(this.#latest.get(key))
  }

  /** As a store that has not heard of the last changes would answer. */
  readAt(key: string, revision: number): CoordinationEntry | null {
    for (let index = revision - 1; index >= 0; index--) {
      const change = this.changes[index]
      if (change?.key === key) return entryOf(change)
    }
    return null
  }

  /** Null when the key is not at this revision; 0 is that of a key that is not there. */
  write(key: string, value: string | null, revision: number): number | null {
    if ((this.read(key)?.revision ?? 0) !== revision) return null
    const change = { key, value, revision: this.revision + 1 }
    this.changes.push(change)
    this.#latest.set(key, change)
    for (const listener of this.#listeners) listener()
    return change.revision
  }

  /** By hand, without a trace. */
  purge(key: string): void {
    this.#latest.delete(key)
    for (const [index, change] of this.changes.entries())
      if (change.key === key) this.changes[index] = { ...change, value: null }
  }

  /** As an operator puts it back from a copy of that revision; 0: it is removed, and made again empty. */
  putBack(revision: number): void {
    this.changes.length = revision
    this.#latest.clear()
    for (const change of this.changes) this.#latest.set(change.key, change)
    this.life++
  }

  /** What is there, and what was removed, in the order of the last changes. */
  listing(): readonly Change[] {
    return [...this.#latest.values()].sort((one, other) => one.revision - other.revision)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

function entryOf(change: Change | undefined): CoordinationEntry | null {
  if (change === undefined || change.value === null) return null
  return { key: change.key, value: change.value, revision: change.revision }
}

/** Chances are from 0 to 1, times in milliseconds. */
export interface CoordinationFaults {
  readonly delayMsMax: number
  readonly timeoutMs: number
  readonly requestLost: number
  readonly answerLost: number
  /** Written only after the client has given up. */
  readonly requestLate: number
  readonly readStale: number
  /** By how many changes an old read is behind, at most. */
  readonly staleMax: number
}

export const noFaults: CoordinationFaults = {
  delayMsMax: 0,
  timeoutMs: 2_000,
  requestLost: 0,
  answerLost: 0,
  requestLate: 0,
  readStale: 0,
  staleMax: 0,
}

export class MemoryCoordination implements Coordination {
  faults: CoordinationFaults
  readonly #store: MemoryStore
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #watches = new Set<MemoryWatch>()
  #isCut = false

  constructor(store: MemoryStore, clock: Clock, random: SeededRandom, faults: CoordinationFaults = noFaults) {
    this.#store = store
    this.#clock = clock
    this.#random = random
    this.faults = faults
  }

  get isCut(): boolean {
    return this.#isCut
  }

  /** Nothing arrives any more, in either direction, until `heal`. */
  cut(): void {
    this.#isCut = true
  }

  heal(): void {
    this.#isCut = false
    for (const watch of this.#watches) watch.healed()
  }

  /** The process is gone: what is on its way may still arrive. */
  kill(): void {
    this.#isCut = true
    for (const watch of this.#watches) watch.end()
    this.#watches.clear()
  }

  get(key: string): Promise<CoordinationEntry | null> {
    return this.#ask(() => {
      const isStale = this.#random.next() < this.faults.readStale
      const behind = isStale ? this.#random.below(this.faults.staleMax + 1) : 0
      return this.#store.readAt(key, Math.max(0, this.#store.revision - behind))
    })
  }

  put(key: string, value: string, revision: number): Promise<number | null> {
    return this.#ask(() => this.#store.write(key, value, revision))
  }

  remove(key: string, revision: number): Promise<boolean> {
    return this.#ask(() => this.#store.write(key, null, revision) !== null)
  }

  watch(prefix: string, listener: CoordinationWatch): () => void {
    const delayMs = () => this.#delayMs()
    const watch = new MemoryWatch(this.#store, this.#clock, prefix, listener, { delayMs, isCut: () => this.#isCut })
    this.#watches.add(watch)
    return () => {
      watch.end()
      this.#watches.delete(watch)
    }
  }

  #delayMs(): number {
    return this.#random.below(this.faults.delayMsMax + 1)
  }

  #ask<Answer>(act: () => Answer): Promise<Answer> {
    const { faults } = this
    const isLost = this.#isCut || this.#random.next() < faults.requestLost
    const isLate = !isLost && this.#random.next() < faults.requestLate
    const isAnswerLost = this.#random.next() < faults.answerLost
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(faults.timeoutMs, () => reject(new Error('the store did not answer')))
      const arrive = (result: Answer) => {
        if (this.#isCut) return
        timer.cancel()
        resolve(result)
      }
      const answer = (result: Answer) => {
        if (!isAnswerLost && !this.#isCut) this.#clock.after(this.#delayMs(), () => arrive(result))
      }
      const lateMs = isLate ? faults.timeoutMs + this.#delayMs() : 0
      if (!isLost) this.#store.clock.after(this.#delayMs() + lateMs, () => answer(act()))
    })
  }
}

interface WatchWorld {
  readonly delayMs: () => number
  readonly isCut: () => boolean
}

/** Tells in order, each time all that has happened since; after a cut it begins anew. */
class MemoryWatch {
  readonly #store: MemoryStore
  readonly #clock: Clock
  readonly #prefix: string
  readonly #listener: CoordinationWatch
  readonly #world: WatchWorld
  readonly #unlisten: () => void
  readonly #life: number
  #told = 0
  #isListed = false
  #isPending = false
  #isEnded = false

  constructor(store: MemoryStore, clock: Clock, prefix: string, listener: CoordinationWatch, world: WatchWorld) {
    this.#store = store
    this.#clock = clock
    this.#prefix = prefix
    this.#listener = listener
    this.#world = world
    this.#life = store.life
    this.#unlisten = store.onChange(() => this.#wake())
    this.#wake()
  }

  healed(): void {
    this.#isListed = false
    this.#wake()
  }

  end(): void {
    this.#isEnded = true
    this.#unlisten()
  }

  #wake(): void {
    if (this.#isPending || this.#isEnded || this.#world.isCut()) return
    this.#isPending = true
    this.#clock.after(this.#world.delayMs(), () => {
      this.#isPending = false
      if (!this.#isEnded && !this.#world.isCut() && this.#life === this.#store.life) this.#deliver()
    })
  }

  #deliver(): void {
    const changes = this.#isListed ? this.#store.changes.slice(this.#told) : this.#store.listing()
    const isListing = !this.#isListed
    this.#isListed = true
    this.#told = this.#store.revision
    for (const { key, value, revision } of changes) {
      if (!key.startsWith(this.#prefix)) continue
      if (value === null) this.#listener.removed(key, revision)
      else this.#listener.entry({ key, value, revision })
    }
    if (isListing) this.#listener.current()
  }
}
