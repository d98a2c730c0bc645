/**
 * Keeps the sealed segments of a scratch log below a budget of memory: the oldest are stored on disk and read back when
 * somebody asks for them.
 *
 *   sealed ──add──► waiting ──stored──► away ──load──► back (stored and in memory: let go again without I/O)
 *
 * Storing is asynchronous. When it cannot keep up, or the disk has no room, `isFull` says so until it has caught up. Nothing
 * is lost by that: what is not stored stays in memory.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { LogDamaged } from '../log.ts'
import { type MemorySegment, memorySegmentBytes } from './memory-segment.ts'

/** Where pages go. Slots are numbers of its own. */
export interface PageStore {
  store(bytes: Uint8Array): Promise<number>
  read(slot: number, into: Uint8Array): Promise<void>
  release(slot: number): void
  close(): Promise<void>
}

/** What paging needs of the log. */
export interface PagedLog {
  roomChanged(): void
  /** Takes a stored segment's bytes out of memory. */
  pageOut(segment: MemorySegment): void
  takePage(): Uint8Array
}

export interface PagingOptions {
  readonly store: PageStore
  readonly clock: Clock
  readonly logger: Logger
  readonly memoryBytes: number
}

const storesInFlightMax = 2
const retryMs = 1000

export class Paging {
  readonly #store: PageStore
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #pagesMax: number
  readonly #fullAt: number
  #log: PagedLog | null = null
  /** Sealed, in memory and not stored, oldest first; those freed meanwhile are passed over. */
  #waiting: MemorySegment[] = []
  #waitingHead = 0
  #waitingCount = 0
  /** Stored and in memory as well. */
  readonly #back = new Set<MemorySegment>()
  readonly #loads = new Map<MemorySegment, ((error: Error | null) => void)[]>()
  readonly #underWay = new Set<Promise<void>>()
  #held: MemorySegment | null = null
  #inFlight = 0
  #uses = 0
  #retry: Timer | null = null
  #isClosed = false
  isFull = false

  constructor(options: PagingOptions) {
    this.#store = options.store
    this.#clock = options.clock
    this.#logger = options.logger
    this.#pagesMax = Math.max(4, Math.floor(options.memoryBytes / memorySegmentBytes))
    this.#fullAt = this.#pagesMax + Math.max(4, this.#pagesMax >> 2)
  }

  attach(log: PagedLog): void {
    this.#log = log
  }

  /** Pages in memory besides the open one. */
  get count(): number {
    return this.#waitingCount + this.#back.size
  }

  /** A segment has been sealed. */
  add(segment: MemorySegment): void {
    segment.isWaiting = true
    this.#waiting.push(segment)
    this.#waitingCount++
    this.#balance()
  }

  /** A segment has been freed. Its slot is released once nobody writes or reads it. */
  remove(segment: MemorySegment): void {
    if (this.#held === segment) this.#held = null
    this.#back.delete(segment)
    if (segment.slot < 0) {
      if (segment.isWaiting && !segment.isBeingStored) this.#waitingCount--
      this.#report()
    } else if (!this.#loads.has(segment)) {
      this.#store.release(segment.slot)
    }
  }

  touch(segment: MemorySegment): void {
    segment.lastUsed = ++this.#uses
  }

  /** Keeps this segment in memory until another one is loaded. */
  hold(segment: MemorySegment): void {
    this.#held = segment
  }

  load(segment: MemorySegment, loaded: (error: Error | null) => void): void {
    const waiters = this.#loads.get(segment)
    if (waiters !== undefined) {
      waiters.push(loaded)
      return
    }
    this.#loads.set(segment, [loaded])
    this.#track(this.#bringBack(segment))
  }

  /** A copy of a segment's bytes, for replay. */
  async read(segment: MemorySegment): Promise<Uint8Array> {
    const bytes = new Uint8Array(memorySegmentBytes)
    await this.#store.read(segment.slot, bytes)
    if (!segment.isIntact(bytes)) throw damaged(segment)
    return bytes
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#retry?.cancel()
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
    await this.#store.close()
  }

  async #bringBack(segment: MemorySegment): Promise<void> {
    let failure: Error | null = null
    try {
      const bytes = this.#log?.takePage() ?? new Uint8Array(memorySegmentBytes)
      await this.#store.read(segment.slot, bytes)
      if (!segment.isIntact(bytes)) throw damaged(segment)
      if (segment.isFreed) throw new LogDamaged(`segment ${segment.id} was freed while it was read`)
      segment.bringBack(bytes)
      this.touch(segment)
      this.#held = segment
      this.#back.add(segment)
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    const waiters = this.#loads.get(segment) ?? []
    this.#loads.delete(segment)
    if (segment.isFreed) this.#store.release(segment.slot)
    this.#balance()
    for (const loaded of waiters) loaded(failure)
  }

  /** Lets go of what is stored already, then stores more. */
  #balance(): void {
    while (this.count > this.#pagesMax && this.#letGoOldest());
    while (
      this.#waitingCount > 0 &&
      this.count - this.#inFlight > this.#pagesMax &&
      this.#inFlight < storesInFlightMax &&
      this.#retry === null &&
      !this.#isClosed
    ) {
      const segment = this.#nextWaiting()
      if (segment === null) break
      this.#inFlight++
      segment.isBeingStored = true
      this.#track(this.#storeOne(segment))
    }
    this.#report()
  }

  #letGoOldest(): boolean {
    let oldest: MemorySegment | null = null
    for (const segment of this.#back) {
      if (segment !== this.#held && (oldest === null || segment.lastUsed < oldest.lastUsed)) oldest = segment
    }
    if (oldest === null) return false
    this.#back.delete(oldest)
    this.#log?.pageOut(oldest)
    return true
  }

  #nextWaiting(): MemorySegment | null {
    while (this.#waitingHead < this.#waiting.length) {
      const segment = this.#waiting[this.#waitingHead++]
      if (this.#waitingHead > 1024 && this.#waitingHead * 2 > this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#waitingHead)
        this.#waitingHead = 0
      }
      if (segment !== undefined && !segment.isFreed) return segment
    }
    return null
  }

  async #storeOne(segment: MemorySegment): Promise<void> {
    const { bytes } = segment
    if (bytes === null) throw new LogDamaged(`segment ${segment.id} has no bytes to store`)
    segment.seal(bytes)
    try {
      segment.slot = await this.#store.store(bytes)
    } catch (error) {
      this.#logger.warn({ error, segment: segment.id }, 'scratch segment could not be stored; trying again')
      this.#waiting.splice(this.#waitingHead, 0, segment)
      this.#retry ??= this.#clock.after(retryMs, () => {
        this.#retry = null
        this.#balance()
      })
    }
    this.#inFlight--
    segment.isBeingStored = false
    if (segment.isFreed) {
      this.#waitingCount--
      this.#log?.pageOut(segment)
      if (segment.slot >= 0) this.#store.release(segment.slot)
    } else if (segment.slot >= 0) {
      this.#waitingCount--
      if (this.#held === segment) this.#back.add(segment)
      else this.#log?.pageOut(segment)
    }
    this.#balance()
  }

  #report(): void {
    const wasFull = this.isFull
    if (this.#waitingCount >= this.#fullAt) this.isFull = true
    else if (this.#waitingCount <= this.#pagesMax) this.isFull = false
    if (this.isFull !== wasFull) this.#log?.roomChanged()
  }

  #track(work: Promise<void>): void {
    this.#underWay.add(work)
    void work.finally(() => this.#underWay.delete(work))
  }
}

function damaged(segment: MemorySegment): LogDamaged {
  return new LogDamaged(
    `scratch segment ${segment.id} (positions ${segment.base} to ${segment.end - 1}) was not read back as it was stored`,
  )
}
