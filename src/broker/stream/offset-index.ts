/**
 * Where each offset of a stream is. Segments in order, each with its rows in memory (those that are written, or whose
 * digest is not stored yet) or in its digest, of which some pages are kept.
 *
 *     first ≤ committedNext ≤ next        offsets below `first` have been dropped, those from `next` on do not exist
 *
 * Between them an offset is missing only after a repair of the log: it was lost.
 */
import { assert } from '../../base/assert.ts'
import type { Log, Position, Segment } from '../../log/log.ts'
import { blockMessages, type RowPage, SegmentRows } from './segment-rows.ts'
import {
  type DigestSummary,
  digestHeaderBytes,
  encodeDigest,
  pageRows,
  type ReadDigest,
  readPage,
  readSummary,
  readTimestamps,
} from './stream-digest.ts'
import { visitStream } from './stream-opening.ts'
import type { Places } from './stream-records.ts'

/** Pages of rows kept in memory, 64 KiB each; a consumer holds one more. */
const pagesKept = 16

/** One segment of the log and the messages in it. */
export class IndexedSegment {
  readonly segment: Segment
  /** Null once its digest is stored. */
  rows: SegmentRows | null
  summary: DigestSummary | null

  constructor(segment: Segment, known: SegmentRows | DigestSummary) {
    this.segment = segment
    this.rows = known instanceof SegmentRows ? known : null
    this.summary = known instanceof SegmentRows ? null : known
  }

  get first(): number {
    return this.#known.first
  }

  /** One more than the last offset in it. */
  get end(): number {
    return this.#known.first + this.#known.count
  }

  get isEmpty(): boolean {
    return this.#known.count === 0
  }

  get firstTimestamp(): number {
    return this.#known.firstTimestamp
  }

  get lastTimestamp(): number {
    return this.#known.lastTimestamp
  }

  get #known(): SegmentRows | DigestSummary {
    const known = this.rows ?? this.summary
    assert(known !== null, 'a segment has its rows or its digest')
    return known
  }
}

export class OffsetIndex {
  readonly #log: Log
  readonly #filterBytes: number
  readonly #segments: IndexedSegment[] = []
  readonly #pages = new Map<string, RowPage>()
  readonly #loading = new Map<string, Promise<void>>()
  /** The segment that `commitTo` has come to. */
  #committing = 0
  committedNext = 0
  next = 0
  /** Offsets found missing when the stream was opened. */
  lost = 0
  /** No message was stored later than this; times only grow along a stream. */
  lastTimestamp = 0

  constructor(log: Log, filterBytes: number) {
    this.#log = log
    this.#filterBytes = filterBytes
  }

  /** Oldest first; the last one is open. */
  get segments(): readonly IndexedSegment[] {
    return this.#segments
  }

  get first(): number {
    return this.#segments[0]?.first ?? this.next
  }

  // ---------------------------------------------------------------- in

  /** Opening: a segment whose digest is at hand, or whose records `append` will name. */
  adopt(segment: Segment, summary: DigestSummary | null): void {
    if (summary !== null) this.goOnAt(summary.first)
    const entry = new IndexedSegment(segment, summary ?? new SegmentRows(segment, this.next, this.#filterBytes))
    this.#segments.push(entry)
    if (summary !== null && summary.count > 0) this.lastTimestamp = summary.lastTimestamp
    this.next = entry.end
  }

  /** Opening: the next offset is this one. What was before has been dropped, or, behind others, is lost. */
  goOnAt(offset: number): void {
    const missing = offset - this.next
    if (missing < 0) throw new Error(`offset ${offset} stands behind ${this.next}`)
    const last = this.#segments.at(-1)
    if (missing === 0) return
    if (this.#segments.every((entry) => entry.isEmpty)) {
      for (const entry of this.#segments) entry.rows = new SegmentRows(entry.segment, offset, this.#filterBytes)
    } else {
      this.lost += missing
      if (last?.isEmpty === true) last.rows = new SegmentRows(last.segment, offset, this.#filterBytes)
      else last?.rows?.addLost(missing)
    }
    this.next = offset
  }

  /** The log may have begun another segment. Called after each append. */
  follow(): void {
    const last = this.#segments.at(-1)
    if (last !== undefined && this.#log.appended < last.segment.end) return
    for (const segment of this.#log.segments) {
      if (last !== undefined && segment.id <= last.segment.id) continue
      this.#segments.push(new IndexedSegment(segment, new SegmentRows(segment, this.next, this.#filterBytes)))
    }
  }

  /** The message with offset `next` is at this position of the last segment. */
  append(position: Position, timestamp: number, buffer: Uint8Array, filterStart: number, filterEnd: number): void {
    const rows = this.#segments.at(-1)?.rows ?? null
    assert(rows !== null, 'the open segment has its rows')
    rows.add(position, timestamp, buffer, filterStart, filterEnd)
    this.lastTimestamp = timestamp
    this.next++
  }

  /** What was appended up to here is stored: consumers may see it. */
  commitTo(position: Position): void {
    while (this.committedNext < this.next) {
      const entry = this.#segments[this.#committing]
      if (entry === undefined) return
      if (this.committedNext >= entry.end) this.#committing++
      else if (entry.rows === null) this.committedNext = entry.end
      else {
        const { rows } = entry
        let row = this.committedNext - rows.first
        const count = rows.count
        const limit = position - rows.base
        while (row < count && (rows.positions[row] as number) <= limit) row++
        this.committedNext = rows.first + row
        if (row < count) return
      }
    }
  }

  // ---------------------------------------------------------------- out

  entryOf(offset: number): IndexedSegment | null {
    let low = 0
    let high = this.#segments.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const entry = this.#segments[middle] as IndexedSegment
      if (offset < entry.first) high = middle - 1
      else if (offset >= entry.end) low = middle + 1
      else return entry
    }
    return null
  }

  /** The next offset from this one on that is in a segment; `next` when none is. */
  existingFrom(offset: number): number {
    if (this.entryOf(offset) !== null) return offset
    return this.#segments.find((entry) => !entry.isEmpty && entry.first > offset)?.first ?? this.next
  }

  /** Rows around an offset that exists; null when they must be loaded first. */
  pageOf(offset: number): RowPage | null {
    const entry = this.entryOf(offset)
    if (entry === null) return null
    return entry.rows ?? this.#pages.get(pageKey(entry, offset)) ?? null
  }

  /** Brings the rows around an offset into memory. Rejects only when the log cannot be read. */
  loadPage(offset: number): Promise<void> {
    const entry = this.entryOf(offset)
    if (entry === null || entry.rows !== null) return Promise.resolve()
    const key = pageKey(entry, offset)
    const loading = this.#loading.get(key) ?? this.#load(entry, offset, key)
    this.#loading.set(key, loading)
    return loading
  }

  async #load(entry: IndexedSegment, offset: number, key: string): Promise<void> {
    try {
      const { segment, summary } = entry
      if (summary === null) return
      const page = await readPage(segment, summary, offset - summary.first, this.#reader(segment))
      if (page === null) await this.#readAgain(entry)
      else this.#keep(key, page)
    } finally {
      this.#loading.delete(key)
    }
  }

  #reader(segment: Segment): ReadDigest {
    return async (offset, byteLength) =>
      this.#log.segments.includes(segment) ? await this.#log.readDigest(segment, offset, byteLength) : null
  }

  #keep(key: string, page: RowPage): void {
    this.#pages.delete(key)
    this.#pages.set(key, page)
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= pagesKept) return
      this.#pages.delete(oldest)
    }
  }

  /** The digest is gone or damaged: the segment itself knows the same. */
  async #readAgain(entry: IndexedSegment): Promise<void> {
    const { segment } = entry
    const rows = new SegmentRows(segment, entry.first, this.#filterBytes)
    const isFreed = (): boolean => !this.#log.segments.includes(segment)
    if (isFreed()) return
    try {
      await visitStream(this.#log, segment, {
        message: ({ offset, row }) => {
          rows.addLost(offset - rows.first - rows.count)
          rows.add(...row)
        },
      })
      entry.rows = rows
    } catch (error) {
      if (!isFreed()) throw error
    }
  }

  /** Where to begin to find the first message that came at `ms` or later: an offset at or before it. */
  async offsetBefore(ms: number): Promise<number> {
    const entry = this.#segments.find((one) => !one.isEmpty && one.lastTimestamp >= ms)
    if (entry === undefined) return this.next
    if (ms <= entry.firstTimestamp) return entry.first
    const read = this.#reader(entry.segment)
    const timestamps = entry.rows?.timestamps ?? (entry.summary && (await readTimestamps(entry.summary, read)))
    let block = 0
    while (timestamps !== null && block + 1 < timestamps.length && (timestamps[block + 1] as number) < ms) block++
    return entry.first + block * blockMessages
  }

  // ---------------------------------------------------------------- digests

  /** Stores the rows of a sealed segment beside it and lets go of them. */
  async writeDigest(entry: IndexedSegment, places: Places): Promise<void> {
    const { segment, rows } = entry
    if (rows === null) return
    const digest = encodeDigest(rows, { next: this.next, places })
    await this.#log.writeDigest(segment, digest)
    entry.summary = readSummary(digest.subarray(0, digestHeaderBytes))
    // Until all of it is known to be committed, `commitTo` needs its rows.
    if (entry.summary !== null && this.committedNext >= entry.end) entry.rows = null
  }

  /** The oldest segment is no longer of the stream. */
  dropFirst(): IndexedSegment | null {
    const entry = this.#segments.shift() ?? null
    if (this.#committing > 0) this.#committing--
    return entry
  }
}

function pageKey(entry: IndexedSegment, offset: number): string {
  return `${entry.segment.id}/${Math.floor((offset - entry.first) / pageRows)}`
}
