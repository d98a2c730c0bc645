/**
 * The log on one disk: records gathered into frames, each written to a preallocated segment and on stable storage before
 * it is reported as committed. `trimmed ≤ committed ≤ appended`.
 *
 * Any failed write ends the log (`LogListener.failed`): after it nobody knows what the disk holds, and trying again might
 * report success for bytes that are not there.
 *
 * Not here: finding the end of the log (`recovery.ts`), the layout of frames (`frame-builder.ts`), storing them
 * (`group-commit.ts`), files ahead of the log (`segment-supply.ts`).
 */
import { assert } from '../../base/assert.ts'
import {
  type Log,
  LogFailed,
  type LogListener,
  type Position,
  type RecordVisitor,
  recordBytesMax,
  type Segment,
} from '../log.ts'
import { DigestStore } from './digest-store.ts'
import { type FileLogOptions, withDefaults } from './file-log-options.ts'
import { internalRecordFlag, liveRunsMax, recordHeaderBytes, sealSlackBytes, segmentHeaderBytes } from './format.ts'
import { FrameBuilder } from './frame-builder.ts'
import { GroupCommit, type WaitingFrame } from './group-commit.ts'
import { encodeInternal, type InternalRecord, nonceBytes, runsOf } from './internal-record.ts'
import { type Page, PageCache } from './page-cache.ts'
import { PageLoader } from './page-loader.ts'
import { type Recovered, recover, type TailReport } from './recovery.ts'
import { SegmentReplay } from './replay.ts'
import { findSegment, LogSegment, segmentName } from './segment.ts'
import { SegmentReader } from './segment-reader.ts'
import { SegmentSupply } from './segment-supply.ts'

export type { FileLogOptions } from './file-log-options.ts'
export type { TailReport } from './recovery.ts'

/**
 * Opens the log of a directory, or makes one. Rejects with `LogDamaged` or `FormatUnknown` when what is there cannot be
 * trusted. The caller replays, sets `listener`, and only then appends.
 */
export async function openFileLog(options: FileLogOptions): Promise<FileLog> {
  const full = withDefaults(options)
  const log = new FileLog(full, await recover(full))
  try {
    await log.begin()
  } catch (error) {
    await log.close()
    throw error
  }
  return log
}

type State =
  | 'opening' // the epoch is not yet committed
  | 'open'
  | 'closing' // takes no more records, commits those it has
  | 'failed' // takes no more records and commits none; what is stored can still be read
  | 'closed'

export class FileLog implements Log {
  listener: LogListener | null = null
  /** What was found at the end of the log when it was opened. */
  readonly tailReport: TailReport
  committed: Position
  viewStart = 0
  viewEnd = 0
  readonly canFreeAnyOrder = true
  /** Frames stored since the log was opened, and their bytes. */
  framesStored = 0
  bytesStored = 0

  readonly #options: Required<FileLogOptions>
  readonly #recovered: Recovered
  readonly #pageBytes: number
  readonly #recordBytesMax: number
  readonly #cache: PageCache
  readonly #reader: SegmentReader
  readonly #loader: PageLoader
  readonly #digests: DigestStore
  readonly #supply: SegmentSupply
  readonly #commit: GroupCommit
  readonly #builder: FrameBuilder
  #state: State = 'opening'
  #failure: LogFailed | null = null
  #term: number
  #segments: readonly LogSegment[]
  #open: LogSegment
  /** The page that is being filled. */
  #page: Page
  #appended: Position
  /** Record bytes in all frames so far, in those that are closed, and in those that are committed. */
  #recordBytes = 0
  #closedBytes = 0
  #committedBytes = 0
  #isScheduled = false
  /** Freed, and the record that says so is not yet committed. */
  readonly #freed: LogSegment[] = []
  /** Freed, and the list of live segments has no room for another gap. */
  readonly #postponed: LogSegment[] = []
  #freesNoted = 0
  #freesDone = 0
  /** The page that `view` looked at last. */
  #viewed: Page

  constructor(options: Required<FileLogOptions>, recovered: Recovered) {
    const { tail, logId, pageBytes } = recovered
    const { files, directory, clock, random } = options
    this.#options = options
    this.#recovered = recovered
    this.tailReport = recovered.report
    this.#pageBytes = pageBytes
    this.#recordBytesMax = Math.min(recordBytesMax, pageBytes / 2)
    this.#segments = recovered.segments
    this.#open = lastOf(recovered.segments)
    this.#term = tail.term
    this.#appended = this.committed = tail.lastPosition
    this.#cache = new PageCache(pageBytes, options.cacheBytes)
    this.#reader = new SegmentReader(files, directory)
    this.#loader = new PageLoader({ reader: this.#reader, cache: this.#cache, clock, logId, pageBytes })
    this.#digests = new DigestStore({ files, directory, logId, random })
    this.#page = this.#viewed = this.#cache.take()
    this.#builder = new FrameBuilder(logId, this.#page, tail.walk)
    this.#supply = new SegmentSupply({ ...options, logId, pageBytes }, this.#open.id + 1, this.#open.end, {
      prepared: () => this.#commit.pump(),
      roomChanged: () => this.listener?.roomChanged(),
      failed: (error, what) => this.#fail(what, error),
    })
    this.#commit = new GroupCommit(this.#supply, pageBytes, {
      closeOpenFrame: () => {
        if (this.#builder.isOpen) this.#closeFrame(false)
      },
      stored: (frame) => this.#stored(frame),
      failed: (what, cause) => this.#fail(what, cause),
    })
  }

  // ---- open

  /** Brings the last page into memory and commits the epoch; the log then takes records. */
  async begin(): Promise<void> {
    await this.#takeOverFiles()
    const isEnding = this.#isNearEnd()
    if (isEnding || this.#open.isSealed) await this.#supply.prepareFirst()
    if (!this.#open.isSealed) await this.#resumePage()
    this.#beginEpoch(isEnding)
    await this.#commit.settle()
    this.#state = 'open'
    this.#supply.start()
  }

  async #takeOverFiles(): Promise<void> {
    const { files } = this.#options
    for (const header of this.#recovered.prepared) {
      const file = await files.open(this.#reader.path(header.id), 'write', { isSynced: true })
      this.#supply.adopt({ ...header, file })
    }
    for (const spare of this.#recovered.spares) this.#supply.addSpare(spare)
    if (!this.#open.isSealed)
      this.#open.file = await files.open(this.#reader.path(this.#open.id), 'write', { isSynced: true })
  }

  /** Only the room that is kept for ending the segment is left in it. */
  #isNearEnd(): boolean {
    return !this.#open.isSealed && this.#open.committedEnd > this.#open.span - 2 * sealSlackBytes
  }

  /** What is in the last page has been verified by the walk over the tail. A full page is resumed too: the next follows it. */
  async #resumePage(): Promise<void> {
    const { committedEnd, base, id } = this.#open
    const offset = Math.floor((committedEnd - 1) / this.#pageBytes) * this.#pageBytes
    await this.#reader.read(id, this.#page.bytes, committedEnd - offset, offset)
    this.#adoptPage(this.#page, (base + offset) / this.#pageBytes, committedEnd - offset)
  }

  /**
   * The first frame of the epoch, committed before anything else is accepted: it fences what a former owner left behind.
   * In a segment that has no room for more than this frame, the same frame ends it.
   */
  #beginEpoch(isEnding: boolean): void {
    const { random, clock } = this.#options
    this.#term++
    this.#builder.beginEpoch()
    if (this.#open.isSealed) this.#openSegment()
    if (isEnding) this.#builder.extendTo(this.#pageBytes)
    this.#appendInternal({ kind: 'epoch', term: this.#term, nonce: random.bytes(nonceBytes), openedMs: clock.now() })
    if (isEnding) this.#roll()
    else this.#closeFrame(false)
  }

  // ---- append

  get buffer(): Uint8Array {
    return this.#builder.buffer
  }

  get appended(): Position {
    return this.#appended
  }

  get uncommittedBytes(): number {
    return this.#recordBytes - this.#committedBytes
  }

  get isFull(): boolean {
    return this.#supply.isFull
  }

  reserve(byteLength: number): number {
    let at = this.#builder.reserve(byteLength, 0)
    if (at < 0) at = this.#reserveElsewhere(byteLength, 0)
    this.#appended = this.#builder.position
    this.#recordBytes += byteLength + recordHeaderBytes
    if (!this.#isScheduled) this.#schedule()
    return at
  }

  /** This page has no more room: closes the frame and goes on in the next page, perhaps of the next segment. */
  #reserveElsewhere(byteLength: number, flag: number): number {
    assert(byteLength <= this.#recordBytesMax, 'a record is at most recordBytesMax long')
    this.#checkUsable()
    // A segment begins with a list that may leave no room for a large record in the first page.
    for (let pages = 0; pages < 2; pages++) {
      this.#nextPage()
      const at = this.#builder.reserve(byteLength, flag)
      if (at >= 0) return at
    }
    throw new LogFailed(`a record of ${byteLength} bytes finds no room in an empty page`)
  }

  #appendInternal(record: InternalRecord): void {
    const bytes = encodeInternal(record)
    let at = this.#builder.reserve(bytes.byteLength, internalRecordFlag)
    if (at < 0) at = this.#reserveElsewhere(bytes.byteLength, internalRecordFlag)
    this.#builder.buffer.set(bytes, at)
  }

  #checkUsable(): void {
    if (this.#state === 'open' || this.#state === 'opening') return
    throw this.#failure ?? new LogFailed(`log '${this.#options.name}' is ${this.#state} and takes no records`)
  }

  #schedule(): void {
    this.#checkUsable()
    this.#isScheduled = true
    this.#options.clock.soon(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isScheduled = false
    this.#commit.pump()
  }

  // ---- pages and segments

  #nextPage(): void {
    if (this.#builder.isOpen) this.#closeFrame(false)
    const next = this.#page.number + 1
    if (next * this.#pageBytes === this.#open.end) return this.#roll()
    this.#cache.unpin(this.#page)
    this.#adoptPage(this.#cache.take(), next, 0)
  }

  /** The last page of a segment keeps room for the frames that end it. */
  #adoptPage(page: Page, number: number, from: number): void {
    const isLast = (number + 1) * this.#pageBytes === this.#open.end
    this.#page = page
    this.#cache.put(page, number, this.#pageBytes, null)
    this.#cache.pin(page)
    this.#builder.turnTo(
      page,
      number * this.#pageBytes,
      from,
      isLast ? this.#pageBytes - sealSlackBytes : this.#pageBytes,
    )
  }

  /** Ends the segment and begins the next one. */
  #roll(): void {
    const bytes = encodeInternal({ kind: 'sealed', next: this.#open.id + 1 })
    this.#builder.extendTo(this.#pageBytes)
    const at = this.#builder.reserve(bytes.byteLength, internalRecordFlag)
    assert(at >= 0, 'the end of a segment has room for its seal')
    this.#builder.buffer.set(bytes, at)
    this.#closeFrame(true)
    this.#cache.unpin(this.#page)
    this.#page = this.#cache.take()
    this.#openSegment()
  }

  /** Its file may not be prepared yet: positions are known without it, and frames wait until it is there. */
  #openSegment(): void {
    const id = this.#open.id + 1
    this.#open = new LogSegment(id, this.#open.end, this.#supply.spanOf(id))
    this.#segments = [...this.#segments, this.#open]
    this.#adoptPage(this.#page, this.#open.base / this.#pageBytes, segmentHeaderBytes)
    this.#appendInternal({
      kind: 'segments',
      term: this.#term,
      live: runsOf(this.#segments.map((segment) => segment.id)),
    })
  }

  // ---- commit

  #closeFrame(isSeal: boolean): void {
    const built = this.#builder.close()
    const recordBytes = this.#recordBytes - this.#closedBytes
    this.#closedBytes = this.#recordBytes
    this.#cache.pin(built.page)
    this.#commit.add({
      page: built.page,
      offset: built.offset,
      bytes: built.bytes,
      segment: this.#open,
      committed: recordBytes > 0 ? this.#appended : 0,
      recordBytes,
      frees: this.#freesNoted,
      isSeal,
    })
  }

  #stored(frame: WaitingFrame): void {
    this.framesStored++
    this.bytesStored += frame.bytes
    this.#committedBytes += frame.recordBytes
    this.#cache.unpin(frame.page)
    while (this.#freesDone < frame.frees) this.#releaseFreed()
    if (frame.isSeal) this.#closeSealed(frame.segment)
    if (frame.committed > 0) {
      this.committed = frame.committed
      this.listener?.committed(frame.committed)
    }
    if (frame.isSeal) this.listener?.sealed(frame.segment)
  }

  /** Its bytes were synced by each write; closing the handle cannot lose any. */
  #closeSealed(segment: LogSegment): void {
    const { file } = segment
    segment.isSealed = true
    segment.file = null
    file?.close().catch((error: unknown) => this.#warn(error, 'a sealed segment could not be closed', segment))
  }

  #fail(what: string, cause: unknown): void {
    if (this.#state === 'failed' || this.#state === 'closed') return
    const { name, logger } = this.#options
    this.#state = 'failed'
    this.#failure = new LogFailed(
      `log '${name}': ${what} failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
    logger.error({ error: cause, log: name, what }, 'the log has failed')
    void this.#commit.stop(this.#failure)
    this.listener?.failed(this.#failure)
  }

  #warn(error: unknown, message: string, segment: LogSegment): void {
    this.#options.logger.warn({ error, log: this.#options.name, segment: segment.id }, message)
  }

  // ---- read

  get viewBuffer(): Uint8Array {
    return this.#viewed.bytes
  }

  view(position: Position): boolean {
    const number = Math.floor(position / this.#pageBytes)
    const start = position - number * this.#pageBytes
    // An evicted page has lost its number; one with damage is looked at anew for each record.
    if (this.#viewed.number !== number || this.#viewed.damage !== null) {
      const page = this.#cache.find(number)
      if (page === null || !page.isReadable(start)) return false
      this.#viewed = page
    }
    if (start >= this.#viewed.verifiedEnd) return false
    this.viewStart = start + recordHeaderBytes
    this.viewEnd = start + recordHeaderBytes + this.#viewed.view.getUint32(start, true)
    return true
  }

  load(position: Position, loaded: (error: Error | null) => void): void {
    this.#loader.load(findSegment(this.#segments, position), position, loaded)
  }

  // ---- segments

  get segments(): readonly LogSegment[] {
    return this.#segments
  }

  replay(segment: Segment, visit: RecordVisitor): Promise<void> {
    const { clock } = this.#options
    const options = { reader: this.#reader, clock, logId: this.#recovered.logId, pageBytes: this.#pageBytes }
    return new SegmentReplay(options, own(segment), visit).run()
  }

  async writeDigest(segment: Segment, digest: Uint8Array): Promise<void> {
    assert(segment.isSealed, 'only a sealed segment has a digest')
    try {
      await this.#digests.write(segment.id, digest)
    } catch (cause) {
      throw new LogFailed(`log '${this.#options.name}': the digest of segment ${segment.id} could not be written`, {
        cause,
      })
    }
  }

  async readDigest(segment: Segment, offset: number, byteLength: number): Promise<Uint8Array | null> {
    try {
      return await this.#digests.read(segment.id, offset, byteLength)
    } catch (cause) {
      throw new LogFailed(`log '${this.#options.name}': the digest of segment ${segment.id} could not be read`, {
        cause,
      })
    }
  }

  free(segment: Segment): void {
    assert(segment.isSealed && this.#segments.includes(own(segment)), 'a live, sealed segment is freed')
    if (this.#state === 'failed') return
    this.#checkUsable()
    this.#postponed.push(own(segment))
    while (this.#noteFree(this.#postponed[0]));
    if (!this.#isScheduled) this.#schedule()
  }

  /** The file is used again only once this record is committed, and with it all that was appended before. */
  #noteFree(segment: LogSegment | undefined): boolean {
    if (segment === undefined) return false
    const live = this.#segments.filter((other) => other !== segment)
    if (live.length > liveRunsMax && runsOf(live.map((other) => other.id)).length > liveRunsMax) return false
    this.#postponed.shift()
    this.#segments = live
    this.#appendInternal({ kind: 'freed', segment: segment.id })
    this.#freed.push(segment)
    this.#freesNoted++
    return true
  }

  #releaseFreed(): void {
    const segment = this.#freed.shift()
    assert(segment !== undefined, 'each committed free has its segment')
    this.#freesDone++
    this.#cache.drop(segment.base / this.#pageBytes, segment.end / this.#pageBytes)
    this.#reader.forget(segment.id)
    this.#digests
      .remove(segment.id)
      .catch((error: unknown) => this.#warn(error, 'a digest could not be removed', segment))
    this.#supply.addSpare({ name: segmentName(segment.id), bytes: segment.span })
  }

  // ---- close

  async close(): Promise<void> {
    try {
      if (this.#state === 'open') await this.#commitAll()
    } finally {
      this.#state = 'closed'
      await this.#commit.stop(new LogFailed(`log '${this.#options.name}' is closed`))
      await this.#supply.stop()
      await this.#loader.settled()
      await this.#digests.settled()
      await this.#reader.close()
      for (const segment of this.#segments) await segment.file?.close()
    }
  }

  /** Ends with a record that says so: the next open need not doubt the tail. */
  async #commitAll(): Promise<void> {
    await this.#commit.settle()
    this.#builder.extendTo(this.#pageBytes)
    this.#appendInternal({ kind: 'closed' })
    this.#state = 'closing'
    await this.#commit.settle()
  }
}

function own(segment: Segment): LogSegment {
  assert(segment instanceof LogSegment, 'the segment is of this log')
  return segment
}

function lastOf(segments: readonly LogSegment[]): LogSegment {
  const last = segments.at(-1)
  assert(last !== undefined, 'a log has at least one segment')
  return last
}
