/**
 * What one queue holds: its entries by sequence, in chunks, with a cursor at the first one that is ready.
 *
 * Sequences count from 1 and are given in the order of arrival; a requeued entry is back at its own place. Counters are
 * kept with every change, so reading them costs nothing.
 *
 * Entries with a place of their own (a priority, a group, a delay) are *aside*: they are counted here, and `aside.ts`
 * knows their order. `firstReady` chooses between the two.
 *
 * Not here: who gets an entry (`local-queue.ts`), records (`shard/`), how a chunk that is away is loaded (`shard/paging.ts`).
 *
 * Invariant: no entry below `#cursor` is ready, but those aside; `ready + unacked + waiting = live`.
 */
import { Aside } from './aside.ts'
import { chunkEntries, EntryChunk, EntryFlag } from './entry-chunk.ts'

const readyMask = EntryFlag.live | EntryFlag.unacked | EntryFlag.aside

/** Entries with these keep their chunk from going away. */
const bindingFlags = EntryFlag.transient | EntryFlag.large | EntryFlag.redelivered | EntryFlag.aside | EntryFlag.waiting
const heldBackFlags = EntryFlag.redelivered | EntryFlag.aside | EntryFlag.waiting | EntryFlag.heldBack

export class Entries {
  /** The sequence the next entry will have. */
  next = 1
  live = 0
  ready = 0
  readyBytes = 0
  /** Not ready before their time. */
  waiting = 0
  /** Those among the ready ones that are aside. */
  asideReady = 0
  /** Null as long as no entry ever was. */
  aside: Aside | null = null
  #cursor = 1
  #chunks: (EntryChunk | null)[] = []
  /** Chunk index of `#chunks[#head]`. */
  #firstIndex = 0
  #head = 0

  get unacked(): number {
    return this.live - this.ready - this.waiting
  }

  /** The chunk that holds (or would hold) a sequence; null when there is none. */
  chunkOf(sequence: number): EntryChunk | null {
    const at = Math.floor(sequence / chunkEntries) - this.#firstIndex + this.#head
    return at < this.#head ? null : (this.#chunks[at] ?? null)
  }

  /** Adds an entry behind all others and returns its sequence. */
  push(position: number, size: number, flags: number): number {
    const sequence = this.next++
    this.put(sequence, position, size, flags)
    return sequence
  }

  /** Takes a sequence without an entry: its message was handed over without being stored. */
  skip(): number {
    return this.next++
  }

  /** Sets the entry of a sequence: behind all others, or in replay anywhere. An entry that is there gets a new position. */
  put(sequence: number, position: number, size: number, flags: number): void {
    const chunk = this.#chunkForPut(sequence)
    const slot = chunk.slotFor(sequence)
    if (chunk.flags[slot] === 0) {
      chunk.flags[slot] = flags
      chunk.sizes[slot] = size
      if ((flags & EntryFlag.waiting) === 0) this.#count(chunk, 1, size)
      else this.#countWaiting(chunk, 1)
      if ((flags & (EntryFlag.aside | EntryFlag.waiting)) === EntryFlag.aside) this.asideReady++
    } else if ((flags & EntryFlag.large) !== 0) chunk.flags[slot] = (chunk.flags[slot] as number) | EntryFlag.large
    chunk.positions[slot] = position
    if (position > chunk.positionMax) chunk.positionMax = position
    if ((flags & bindingFlags) !== 0) chunk.isBound = true
    // A copy of an older record: positions do not ascend any more.
    if (sequence + 1 < this.next) chunk.isBound = true
    if (sequence >= this.next) this.next = sequence + 1
    if (sequence < this.#cursor) this.#cursor = sequence
  }

  /**
   * All sequences of a chunk are live and their columns stand in digests (replay). What was known of it before is part of
   * that: copies of records stand in two segments, and of the older one some may have been freed.
   */
  putAway(first: number, readyBytes: number, positionMax: number): void {
    const there = this.chunkOf(first)
    if (there !== null) this.dropChunk(there)
    this.#chunkAt(Math.floor(first / chunkEntries), () =>
      EntryChunk.away(first, readyBytes, Math.max(positionMax, there?.positionMax ?? 0)),
    )
    this.live += chunkEntries
    this.ready += chunkEntries
    this.readyBytes += readyBytes
    if (first + chunkEntries > this.next) this.next = first + chunkEntries
    if (first < this.#cursor) this.#cursor = first
  }

  /** The sequence whose turn it is, or 0. Its chunk may be away. */
  firstReady(): number {
    const inPlace = this.firstInPlace()
    const { aside } = this
    if (aside === null || this.asideReady === 0) return inPlace
    const first = aside.lanes.first()
    if (first === 0 || (inPlace !== 0 && aside.lanes.lane === 0 && inPlace < aside.lanes.key)) return inPlace
    return first
  }

  /** What a full queue gives up first: the oldest of the lowest priority, or 0. */
  firstToDrop(): number {
    const inPlace = this.firstInPlace()
    const { aside } = this
    const last = aside === null || this.asideReady === 0 ? 0 : aside.lanes.last()
    if (aside === null || (last === 0 && inPlace !== 0)) return inPlace
    // All that is ready waits behind others of its group.
    if (last === 0) return this.ready === 0 ? 0 : this.#oldestReady()
    return inPlace === 0 || (aside.lanes.lane === 0 && aside.lanes.key < inPlace) ? last : inPlace
  }

  #oldestReady(): number {
    for (const chunk of this.chunks()) {
      if (chunk.isAway || chunk.ready === 0) continue
      for (let slot = 0; slot < chunk.flags.length; slot++) {
        const flags = chunk.flags[slot] as number
        if ((flags & (EntryFlag.live | EntryFlag.unacked | EntryFlag.waiting)) === EntryFlag.live)
          return chunk.base + slot
      }
    }
    return 0
  }

  /** The first ready sequence among those that stand in order, or 0. Its chunk may be away. */
  firstInPlace(): number {
    if (this.ready === this.asideReady) return 0
    for (;;) {
      const chunk = this.chunkOf(this.#cursor)
      if (chunk !== null && chunk.ready > 0) {
        const sequence = chunk.isAway ? firstAway(chunk, this.#cursor) : firstReadyOf(chunk, this.#cursor)
        if (sequence !== 0) {
          this.#cursor = sequence
          return sequence
        }
      }
      this.#cursor = chunkStart(this.#cursor) + chunkEntries
    }
  }

  /** The lowest live sequence, or `next` when the queue holds nothing: everything below is settled. */
  head(): number {
    for (let at = this.#head; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at]
      if (chunk === null || chunk === undefined || chunk.live === 0) continue
      return chunk.isAway ? firstAway(chunk, chunk.first) : firstLiveOf(chunk)
    }
    return this.next
  }

  /** A ready entry is handed out to `holder`. */
  handOut(chunk: EntryChunk, sequence: number, holder: number): void {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    chunk.flags[slot] = flags | EntryFlag.unacked
    chunk.holdersFor()[slot] = holder
    if ((flags & EntryFlag.aside) !== 0) {
      this.asideReady--
      this.aside?.taken(chunk, sequence)
    }
    const size = chunk.sizes[slot] as number
    chunk.ready--
    chunk.readyBytes -= size
    this.ready--
    this.readyBytes -= size
  }

  /** An unacked entry is ready again, at its old place. */
  takeBack(chunk: EntryChunk, sequence: number): void {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    chunk.flags[slot] = (flags & ~EntryFlag.unacked) | EntryFlag.redelivered
    chunk.isBound = true
    const size = chunk.sizes[slot] as number
    chunk.ready++
    chunk.readyBytes += size
    this.ready++
    this.readyBytes += size
    if ((flags & EntryFlag.aside) !== 0) {
      this.asideReady++
      this.aside?.back(chunk, sequence)
    } else if (sequence < this.#cursor) this.#cursor = sequence
  }

  /** A ready entry waits until its time after all (replay). */
  postpone(chunk: EntryChunk, sequence: number, dueAt: number): void {
    this.handOut(chunk, sequence, 0)
    this.holdBack(chunk, sequence, dueAt)
  }

  /** An unacked entry waits until its time; its group waits with it. */
  holdBack(chunk: EntryChunk, sequence: number, dueAt: number): void {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    const wasAside = (flags & EntryFlag.aside) !== 0
    chunk.flags[slot] = (flags & ~EntryFlag.unacked) | heldBackFlags
    chunk.sideFor().setDue(sequence - chunk.first, dueAt)
    this.waiting++
    const aside = this.asideFor(1)
    if (!wasAside) chunk.isBound = true
    aside.waitUntil(dueAt, sequence)
  }

  /** A waiting entry is ready, its time has come. */
  release(chunk: EntryChunk, sequence: number): void {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    chunk.flags[slot] = flags & ~(EntryFlag.waiting | EntryFlag.heldBack)
    const size = chunk.sizes[slot] as number
    this.waiting--
    chunk.ready++
    chunk.readyBytes += size
    this.ready++
    this.readyBytes += size
    this.asideReady++
    if ((flags & EntryFlag.heldBack) !== 0) this.aside?.released(chunk, sequence)
    else this.aside?.ready(chunk, sequence, true)
  }

  /** A waiting entry waits until another time than its record says. */
  reschedule(chunk: EntryChunk, sequence: number, dueAt: number): void {
    chunk.sideFor().setRescheduled(sequence - chunk.first)
    if (chunk.dueOf(sequence) === dueAt) return
    chunk.sideFor().setDue(sequence - chunk.first, dueAt)
    this.aside?.waitUntil(dueAt, sequence)
  }

  asideFor(groupLimit: number): Aside {
    this.aside ??= new Aside(this, groupLimit)
    return this.aside
  }

  /** Forgets an entry, ready or unacked. The chunk must not be away. */
  remove(chunk: EntryChunk, sequence: number): void {
    const slot = sequence - chunk.base
    const flags = chunk.flags[slot] as number
    chunk.flags[slot] = 0
    if ((flags & EntryFlag.waiting) !== 0) this.#countWaiting(chunk, -1)
    else if ((flags & EntryFlag.unacked) === 0) {
      this.#count(chunk, -1, -(chunk.sizes[slot] as number))
      if ((flags & EntryFlag.aside) !== 0) this.asideReady--
    } else {
      chunk.live--
      this.live--
    }
    if (this.aside !== null && chunk.side !== null) this.aside.gone(chunk, sequence, flags)
    if (chunk.live === 0) this.#dropIfPassed(chunk)
  }

  /** Forgets one entry of a chunk that is away (replay). The byte counters are right again once the chunk is loaded. */
  removeAway(chunk: EntryChunk, sequence: number): void {
    if (!chunk.settleAway(sequence)) return
    this.live--
    this.ready--
    if (chunk.live === 0) this.dropChunk(chunk)
  }

  /** Forgets a whole chunk whose live entries are all ready. Returns how many there were. */
  dropChunk(chunk: EntryChunk): number {
    if (chunk.side !== null) return this.#dropEach(chunk)
    const count = chunk.live
    this.live -= count
    this.ready -= chunk.ready
    this.readyBytes -= chunk.readyBytes
    chunk.live = 0
    chunk.ready = 0
    chunk.readyBytes = 0
    this.#forget(chunk)
    return count
  }

  /** The byte counters of a chunk change from outside: it was loaded and its true sizes are known. */
  correctBytes(chunk: EntryChunk, readyBytes: number): void {
    this.readyBytes += readyBytes - chunk.readyBytes
    chunk.readyBytes = readyBytes
  }

  /** Every chunk, from the oldest. */
  *chunks(): Generator<EntryChunk> {
    for (let at = this.#head; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at]
      if (chunk !== null && chunk !== undefined) yield chunk
    }
  }

  /** Whether a sequence is live, wherever its chunk is. */
  isLive(sequence: number): boolean {
    const chunk = this.chunkOf(sequence)
    if (chunk === null || sequence >= this.next) return false
    return chunk.isAway ? chunk.isAwayLive(sequence) : chunk.flagsOf(sequence) !== 0
  }

  #chunkForPut(sequence: number): EntryChunk {
    const index = Math.floor(sequence / chunkEntries)
    const at = index - this.#firstIndex + this.#head
    const there = at < this.#head ? null : this.#chunks[at]
    if (there !== null && there !== undefined) return there
    // A queue that filled its last chunk will fill the next one too: no growing in steps.
    const before = this.chunkOf(sequence - 1)
    const capacity = before !== null && before.flags.length === chunkEntries ? chunkEntries : 0
    // The last chunk stayed although it was empty, to be used again; sequences without entries have passed it.
    const last = this.#chunks[this.#chunks.length - 1]
    if (last?.live === 0 && last.first < sequence) this.#forget(last)
    const base = capacity === 0 ? sequence : chunkStart(sequence)
    return this.#chunkAt(index, () => new EntryChunk(chunkStart(sequence), base, capacity))
  }

  #chunkAt(index: number, make: () => EntryChunk): EntryChunk {
    if (this.#head === this.#chunks.length) {
      this.#chunks = []
      this.#head = 0
      this.#firstIndex = index
    }
    if (index < this.#firstIndex) {
      const missing = new Array<null>(this.#firstIndex - index).fill(null)
      this.#chunks = [...missing, ...this.#chunks.slice(this.#head)]
      this.#head = 0
      this.#firstIndex = index
    }
    const at = index - this.#firstIndex + this.#head
    while (this.#chunks.length <= at) this.#chunks.push(null)
    const chunk = this.#chunks[at] ?? make()
    this.#chunks[at] = chunk
    return chunk
  }

  #dropEach(chunk: EntryChunk): number {
    const count = chunk.live
    for (let slot = 0; slot < chunk.flags.length; slot++) {
      if (chunk.flags[slot] !== 0) this.remove(chunk, chunk.base + slot)
    }
    return count
  }

  #countWaiting(chunk: EntryChunk, by: number): void {
    chunk.live += by
    this.live += by
    this.waiting += by
  }

  #count(chunk: EntryChunk, by: number, bytes: number): void {
    chunk.live += by
    chunk.ready += by
    chunk.readyBytes += bytes
    this.live += by
    this.ready += by
    this.readyBytes += bytes
  }

  /** The chunk that still grows stays, so that its columns are used again. */
  #dropIfPassed(chunk: EntryChunk): void {
    if (this.next >= chunk.first + chunkEntries) this.#forget(chunk)
  }

  #forget(chunk: EntryChunk): void {
    const at = Math.floor(chunk.first / chunkEntries) - this.#firstIndex + this.#head
    this.#chunks[at] = null
    while (this.#head < this.#chunks.length && this.#chunks[this.#head] === null) {
      this.#head++
      this.#firstIndex++
    }
    if (this.#head > 64 && this.#head > this.#chunks.length / 2) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
  }
}

function chunkStart(sequence: number): number {
  return Math.floor(sequence / chunkEntries) * chunkEntries
}

function firstReadyOf(chunk: EntryChunk, from: number): number {
  const flags = chunk.flags
  for (let slot = Math.max(0, from - chunk.base); slot < flags.length; slot++) {
    if (((flags[slot] as number) & readyMask) === EntryFlag.live) return chunk.base + slot
  }
  return 0
}

function firstLiveOf(chunk: EntryChunk): number {
  for (let slot = 0; slot < chunk.flags.length; slot++) if (chunk.flags[slot] !== 0) return chunk.base + slot
  return chunk.first + chunkEntries
}

function firstAway(chunk: EntryChunk, from: number): number {
  for (let sequence = Math.max(from, chunk.first); sequence < chunk.first + chunkEntries; sequence++) {
    if (chunk.isAwayLive(sequence)) return sequence
  }
  return 0
}
