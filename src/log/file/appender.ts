/**
 * The growing end of a file log: which page and segment are being filled, and what goes into them. Turns records into
 * closed frames and hands these to the group commit; does no I/O itself.
 *
 * Positions are known without the file: a segment may be begun before its file is prepared, and its frames wait.
 */
import { assert } from '../../base/assert.ts'
import { LogFailed, type Position, recordBytesMax } from '../log.ts'
import { internalRecordFlag, liveRunsMax, recordHeaderBytes, sealSlackBytes, segmentHeaderBytes } from './format.ts'
import { FrameBuilder } from './frame-builder.ts'
import type { GroupCommit } from './group-commit.ts'
import { encodeInternal, type InternalRecord, runsOf } from './internal-record.ts'
import type { Page, PageCache } from './page-cache.ts'
import type { Recovered } from './recovery.ts'
import { LogSegment } from './segment.ts'
import type { SegmentSupply } from './segment-supply.ts'

export interface AppenderOptions {
  readonly recovered: Recovered
  readonly cache: PageCache
  readonly supply: SegmentSupply
  readonly commit: GroupCommit
  readonly frameBytesMax: number
  /** Null: half a page. */
  readonly recordBytesMax: number | null
  /** The term of the epoch that begins is not lower. */
  readonly termMin: number
}

export class Appender {
  readonly #pageBytes: number
  readonly #recordBytesMax: number
  readonly #cache: PageCache
  readonly #supply: SegmentSupply
  readonly #commit: GroupCommit
  readonly #builder: FrameBuilder
  #term: number
  #open: LogSegment
  #page: Page
  #closedBytes = 0

  /** Live, ascending; replaced at each change. */
  segments: readonly LogSegment[]
  /** Position of the last record that is not the log's own. */
  appended: Position
  /** Bytes of all such records since the log was opened. */
  recordBytes = 0
  /** Calls of `noteFreed` so far. */
  freesNoted = 0

  constructor(options: AppenderOptions) {
    const { recovered } = options
    const { tail, logId, pageBytes } = recovered
    const open = recovered.segments.at(-1)
    assert(open !== undefined, 'a log has at least one segment')
    this.#pageBytes = pageBytes
    this.#recordBytesMax = Math.min(recordBytesMax, options.recordBytesMax ?? pageBytes / 2)
    this.#cache = options.cache
    this.#supply = options.supply
    this.#commit = options.commit
    this.#page = this.#cache.take()
    this.#builder = new FrameBuilder(logId, this.#page, tail.walk, options.frameBytesMax)
    this.#term = Math.max(tail.term, options.termMin - 1)
    this.#open = open
    this.segments = recovered.segments
    this.appended = tail.lastPosition
  }

  // ---- open

  get term(): number {
    return this.#term
  }

  get open(): LogSegment {
    return this.#open
  }

  /** The open segment has room only for the frames that end it, so that the epoch's first frame is its last. */
  get isNearEnd(): boolean {
    return !this.#open.isSealed && this.#open.committedEnd > this.#open.span - 2 * sealSlackBytes
  }

  /**
   * Brings the last page back, by `read`. What is in it has been verified by the walk over the tail. A page that is full
   * is resumed too: the next one follows it.
   */
  async resume(
    read: (segment: LogSegment, into: Uint8Array, length: number, offset: number) => Promise<unknown>,
  ): Promise<void> {
    const { committedEnd, base } = this.#open
    const offset = Math.floor((committedEnd - 1) / this.#pageBytes) * this.#pageBytes
    await read(this.#open, this.#page.bytes, committedEnd - offset, offset)
    this.#adoptPage(this.#page, (base + offset) / this.#pageBytes, committedEnd - offset)
  }

  /** The first frame of the epoch: it fences what a former owner left behind. */
  beginEpoch(nonce: Uint8Array, openedMs: number): void {
    const isEnding = this.isNearEnd
    this.#term++
    this.#builder.beginEpoch()
    if (this.#open.isSealed) this.#openSegment()
    else if (this.#open.committedEnd === segmentHeaderBytes) this.appendSegments()
    if (isEnding) this.#builder.extendTo(this.#pageBytes)
    this.appendInternal({ kind: 'epoch', term: this.#term, nonce, openedMs })
    if (isEnding) this.#roll()
    else this.closeFrame()
  }

  // ---- append

  get buffer(): Uint8Array {
    return this.#builder.buffer
  }

  reserve(byteLength: number): number {
    let at = this.#builder.reserve(byteLength, 0)
    if (at < 0) at = this.#reserveElsewhere(byteLength, 0)
    this.appended = this.#builder.position
    this.recordBytes += byteLength + recordHeaderBytes
    return at
  }

  appendInternal(record: InternalRecord): void {
    const bytes = encodeInternal(record)
    let at = this.#builder.reserve(bytes.byteLength, internalRecordFlag)
    if (at < 0) at = this.#reserveElsewhere(bytes.byteLength, internalRecordFlag)
    this.#builder.buffer.set(bytes, at)
  }

  /** The list of live segments, with which each segment begins. */
  appendSegments(): void {
    const live = runsOf(this.segments.map((segment) => segment.id))
    this.appendInternal({ kind: 'segments', term: this.#term, live })
  }

  /** The last record of all; the segment always has room for it. */
  appendClosed(): void {
    if (this.#builder.isOpen) this.closeFrame()
    this.#builder.extendTo(this.#pageBytes)
    this.appendInternal({ kind: 'closed' })
    this.closeFrame()
  }

  /** Takes a segment out of the live ones. False when the list of live segments has no room for another gap. */
  noteFreed(segment: LogSegment): boolean {
    const live = this.segments.filter((other) => other !== segment)
    if (live.length > liveRunsMax && runsOf(live.map((other) => other.id)).length > liveRunsMax) return false
    this.segments = live
    this.appendInternal({ kind: 'freed', segment: segment.id })
    this.freesNoted++
    return true
  }

  get openBytes(): number {
    return this.#builder.openBytes
  }

  /** How far the closed frames reach. */
  get end(): { readonly frames: number; readonly end: Position; readonly chain: number } {
    const { ordinal, used, chain } = this.#builder
    return { frames: ordinal + 1, end: this.#page.number * this.#pageBytes + used, chain }
  }

  /** Closes the open frame, if there is one. */
  closeFrame(isSeal = false): void {
    if (!this.#builder.isOpen) return
    const built = this.#builder.close()
    const recordBytes = this.recordBytes - this.#closedBytes
    this.#closedBytes = this.recordBytes
    this.#cache.pin(built.page)
    this.#commit.add({
      page: built.page,
      offset: built.offset,
      bytes: built.bytes,
      segment: this.#open,
      committed: recordBytes > 0 ? this.appended : 0,
      recordBytes,
      frees: this.freesNoted,
      isSeal,
    })
  }

  // ---- pages and segments

  /** This page has no more room: closes the frame and goes on in the next page, perhaps of the next segment. */
  #reserveElsewhere(byteLength: number, flag: number): number {
    assert(byteLength <= this.#recordBytesMax, 'a record is at most recordBytesMax long')
    // Where the open frame is as large as it may be, its page may still have room for another.
    if (this.#builder.isOpen) {
      this.closeFrame()
      const at = this.#builder.reserve(byteLength, flag)
      if (at >= 0) return at
    }
    // A segment begins with a list that may leave no room for a large record in the first page.
    for (let pages = 0; pages < 2; pages++) {
      this.#nextPage()
      const at = this.#builder.reserve(byteLength, flag)
      if (at >= 0) return at
    }
    throw new LogFailed(`a record of ${byteLength} bytes finds no room in an empty page`)
  }

  #nextPage(): void {
    this.closeFrame()
    const next = this.#page.number + 1
    if (next * this.#pageBytes === this.#open.end) {
      this.#roll()
    } else {
      this.#cache.unpin(this.#page)
      this.#adoptPage(this.#cache.take(), next, 0)
    }
  }

  /** The last page of a segment keeps room for the frames that end it. */
  #adoptPage(page: Page, number: number, from: number): void {
    const isLast = (number + 1) * this.#pageBytes === this.#open.end
    const end = isLast ? this.#pageBytes - sealSlackBytes : this.#pageBytes
    this.#page = page
    this.#cache.put(page, number, this.#pageBytes, null)
    this.#cache.pin(page)
    this.#builder.turnTo(page, number * this.#pageBytes, from, end)
  }

  /** Ends the segment, in the open frame or one of its own, and begins the next. */
  #roll(): void {
    const bytes = encodeInternal({ kind: 'sealed', next: this.#open.id + 1 })
    this.#builder.extendTo(this.#pageBytes)
    const at = this.#builder.reserve(bytes.byteLength, internalRecordFlag)
    assert(at >= 0, 'the end of a segment has room for its seal')
    this.#builder.buffer.set(bytes, at)
    this.closeFrame(true)
    this.#cache.unpin(this.#page)
    this.#page = this.#cache.take()
    this.#openSegment()
  }

  #openSegment(): void {
    const id = this.#open.id + 1
    this.#open = new LogSegment(id, this.#open.end, this.#supply.spanOf(id))
    this.segments = [...this.segments, this.#open]
    this.#adoptPage(this.#page, this.#open.base / this.#pageBytes, segmentHeaderBytes)
    this.appendSegments()
  }
}
