/**
 * The log on one disk: records gathered into frames, each written to a preallocated segment and on stable storage before
 * it is reported as committed. `trimmed ≤ committed ≤ appended`.
 *
 * Any failed write ends the log (`LogListener.failed`): after it nobody knows what the disk holds, and trying again might
 * report success for bytes that are not there.
 *
 * Not here: finding the end of the log (`recovery.ts`), filling pages (`appender.ts`), storing frames
 * (`group-commit.ts`), files ahead of the log (`segment-supply.ts`).
 */
import { assert } from '../../base/assert.ts'
import { type Log, LogFailed, type LogListener, type Position, type RecordVisitor, type Segment } from '../log.ts'
import { Appender } from './appender.ts'
import { BlockTables } from './block-table.ts'
import { DigestStore } from './digest-store.ts'
import { type FileLogOptions, type FullFileLogOptions, withDefaults } from './file-log-options.ts'
import { recordHeaderBytes } from './format.ts'
import { GroupCommit, type WaitingFrame } from './group-commit.ts'
import { nonceBytes } from './internal-record.ts'
import { failureOf } from './log-failure.ts'
import { Holds, type LogSnapshot } from './log-snapshot.ts'
import { Page, PageCache } from './page-cache.ts'
import { PageLoader } from './page-loader.ts'
import { RecordCache } from './record-cache.ts'
import { type Recovered, recover, type TailReport } from './recovery.ts'
import { SegmentReplay } from './replay.ts'
import { ScatteredReads } from './scattered-reads.ts'
import { findSegment, type LogSegment, ownSegment, segmentName } from './segment.ts'
import { writeIdentity } from './segment-files.ts'
import { SegmentReader } from './segment-reader.ts'
import { closeSegment, closeSynced, SegmentSupply } from './segment-supply.ts'

export type { FileLogOptions } from './file-log-options.ts'

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
  whenClosed: (() => void) | null = null
  /** What was found at the end of the log when it was opened. */
  readonly tailReport: TailReport
  committed: Position
  viewBuffer: Uint8Array
  viewStart = 0
  viewEnd = 0
  readonly canFreeAnyOrder: boolean = true
  /** Frames stored since the log was opened, and their bytes. */
  framesStored = 0
  bytesStored = 0

  readonly #options: FullFileLogOptions
  readonly #recovered: Recovered
  readonly #pageBytes: number
  readonly #cache: PageCache
  readonly #tables = new BlockTables()
  readonly #records: RecordCache
  readonly #reader: SegmentReader
  readonly #loader: PageLoader
  readonly #scattered: ScatteredReads
  readonly #digests: DigestStore
  readonly #supply: SegmentSupply
  readonly #commit: GroupCommit
  readonly #appender: Appender
  #state: State = 'opening'
  #failure: LogFailed | null = null
  #committedBytes = 0
  #isScheduled = false
  /** Freed, and the record that says so is not yet committed. */
  readonly #freed: LogSegment[] = []
  /** Freed, and the list of live segments has no room for another gap. */
  readonly #postponed: LogSegment[] = []
  #freesDone = 0
  readonly #holds: Holds
  /** Done when the files of sealed segments are closed. */
  #closing: Promise<void> = Promise.resolve()
  /** The page that `view` looked at last. */
  #viewed: Page

  constructor(options: FullFileLogOptions, recovered: Recovered) {
    const { tail, logId, pageBytes, segments, report } = recovered
    const { files, directory, clock, random } = options
    this.#options = options
    this.#recovered = recovered
    this.tailReport = report
    this.#pageBytes = pageBytes
    this.committed = tail.lastPosition
    this.#cache = new PageCache(pageBytes, options.cacheBytes)
    this.#reader = new SegmentReader(files, directory)
    this.#records = new RecordCache(Math.max(pageBytes, options.cacheBytes / 4))
    const reading = { reader: this.#reader, cache: this.#cache, tables: this.#tables, clock, pageBytes }
    this.#loader = new PageLoader({ ...reading, logId })
    this.#scattered = new ScatteredReads({
      ...reading,
      loader: this.#loader,
      records: this.#records,
      segments: () => this.segments,
    })
    this.#digests = new DigestStore({ files, directory, logId, random })
    this.#viewed = new Page(0)
    this.viewBuffer = this.#viewed.bytes
    const last = segments.at(-1)
    assert(last !== undefined, 'a log has at least one segment')
    const storing = { ...options, logId, pageBytes, isSparse: options.frameStore !== null }
    this.#supply = new SegmentSupply(storing, last.id + 1, last.end, {
      prepared: () => this.#commit.pump(),
      roomChanged: () => this.listener?.roomChanged(),
      failed: (error, what) => this.#fail(what, error),
    })
    this.#holds = new Holds({ directory, logId, pageBytes }, (spare) => this.#supply.addSpare(spare))
    this.#commit = new GroupCommit(this.#supply, storing, {
      closeOpenFrame: () => this.#appender.closeFrame(),
      openBytes: () => this.#appender.openBytes,
      stored: (frame) => this.#stored(frame),
      failed: (what, cause) => this.#fail(what, cause),
    })
    const filling = { cache: this.#cache, supply: this.#supply, commit: this.#commit }
    this.#appender = new Appender({ ...options, ...filling, recovered })
  }

  // ---- open

  /** Brings the last page into memory and commits the epoch; the log then takes records. */
  async begin(): Promise<void> {
    const { random, clock } = this.#options
    const { open, isNearEnd } = this.#appender
    await this.#takeOverFiles(open)
    if (isNearEnd || open.isSealed) await this.#supply.prepareFirst()
    if (!open.isSealed) {
      await this.#appender.resume((segment, into, length, offset) =>
        this.#reader.read(segment.id, into, length, offset),
      )
    }
    this.#appender.beginEpoch(random.bytes(nonceBytes), clock.now())
    if (this.#options.isAfterRepair) this.#appender.appendSegments()
    await this.#commit.settle()
    this.#state = 'open'
    this.#supply.start()
  }

  async #takeOverFiles(open: LogSegment): Promise<void> {
    const { files } = this.#options
    for (const header of this.#recovered.prepared) {
      const file = await files.open(this.#reader.path(header.id), 'write', { isSynced: true })
      this.#supply.adopt({ ...header, file })
    }
    for (const spare of this.#recovered.spares) this.#supply.addSpare(spare)
    if (!open.isSealed) open.file = await files.open(this.#reader.path(open.id), 'write', { isSynced: true })
  }

  // ---- append

  get buffer(): Uint8Array {
    return this.#appender.buffer
  }

  /** Null while it can go on, and after it was closed whole. */
  get failure(): LogFailed | null {
    return this.#failure
  }

  /** Of the epoch that this log began. */
  get term(): number {
    return this.#appender.term
  }

  get appended(): Position {
    return this.#appender.appended
  }

  get uncommittedBytes(): number {
    return this.#appender.recordBytes - this.#committedBytes
  }

  get isFull(): boolean {
    return this.#supply.isFull
  }

  reserve(byteLength: number): number {
    if (!this.#isScheduled) this.#schedule()
    return this.#appender.reserve(byteLength)
  }

  /** Once per turn: what the turn appends is stored together, at its end or when the frame in flight is done. */
  #schedule(): void {
    this.#checkUsable()
    this.#isScheduled = true
    this.#options.clock.soon(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isScheduled = false
    this.#commit.pump()
  }

  #checkUsable(): void {
    if (this.#state === 'open') return
    throw this.#failure ?? new LogFailed(`log '${this.#options.name}' is ${this.#state} and takes no records`)
  }

  // ---- commit

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

  #closeSealed(segment: LogSegment): void {
    const { file } = segment
    segment.isSealed = true
    segment.file = null
    if (file !== null) this.#closing = this.#closing.then(() => closeSynced(file, this.#options.logger))
  }

  #fail(what: string, cause: unknown): void {
    if (this.#state === 'failed' || this.#state === 'closed') return
    const { name, logger } = this.#options
    this.#state = 'failed'
    this.#failure = failureOf(name, `${what} failed`, cause)
    logger.error({ error: cause, log: name, what }, 'the log has failed')
    void this.#commit.stop(this.#failure)
    void this.#supply.stop()
    this.listener?.failed(this.#failure)
  }

  #warn(error: unknown, message: string, segment: LogSegment): void {
    this.#options.logger.warn({ error, log: this.#options.name, segment: segment.id }, message)
  }

  // ---- read

  view(position: Position): boolean {
    const number = Math.floor(position / this.#pageBytes)
    const start = position - number * this.#pageBytes
    // An evicted page has lost its number; one with damage is looked at anew for each record.
    if (this.#viewed.number !== number || this.#viewed.damage !== null) {
      const page = this.#cache.find(number)
      if (page === null || !page.isReadable(start)) return this.#viewSingle(position)
      this.#viewed = page
    }
    if (start >= this.#viewed.verifiedEnd) return false
    this.viewBuffer = this.#viewed.bytes
    this.viewStart = start + recordHeaderBytes
    this.viewEnd = start + recordHeaderBytes + this.#viewed.view.getUint32(start, true)
    return true
  }

  /** A record in memory whose page is not. */
  #viewSingle(position: Position): boolean {
    const records = this.#records
    if (!records.find(position)) return false
    this.viewBuffer = records.bytes
    this.viewStart = records.start
    this.viewEnd = records.end
    return true
  }

  load(position: Position, loaded: (error: Error | null) => void): void {
    this.#loader.load(findSegment(this.segments, position), position, loaded)
  }

  gather(positions: readonly Position[], loaded: (error: Error | null) => void): void {
    this.#scattered.gather(positions, loaded)
  }

  // ---- segments

  get segments(): readonly LogSegment[] {
    return this.#appender.segments
  }

  replay(segment: Segment, visit: RecordVisitor): Promise<void> {
    const { clock } = this.#options
    const options = { reader: this.#reader, clock, logId: this.#recovered.logId, pageBytes: this.#pageBytes }
    return new SegmentReplay(options, ownSegment(segment), visit).run()
  }

  async writeDigest(segment: Segment, digest: Uint8Array): Promise<void> {
    assert(segment.isSealed, 'only a sealed segment has a digest')
    if (this.#state === 'closed') throw new LogFailed(`log '${this.#options.name}' is closed`)
    try {
      await this.#digests.write(segment.id, digest)
    } catch (cause) {
      throw failureOf(this.#options.name, `the digest of segment ${segment.id} could not be written`, cause)
    }
  }

  async readDigest(segment: Segment, offset: number, byteLength: number): Promise<Uint8Array | null> {
    try {
      return await this.#digests.read(segment.id, offset, byteLength)
    } catch (cause) {
      throw failureOf(this.#options.name, `the digest of segment ${segment.id} could not be read`, cause)
    }
  }

  /** The file is used again only once the disk knows that it is free, and with that all that was appended before. */
  free(segment: Segment): void {
    assert(segment.isSealed && this.segments.includes(ownSegment(segment)), 'a live, sealed segment is freed')
    // A log that is ending frees nothing more; whoever opens it next finds the segment and can free it.
    if (this.#state !== 'open') return
    if (!this.#isScheduled) this.#schedule()
    this.#postponed.push(ownSegment(segment))
    for (let next = this.#postponed[0]; next !== undefined; next = this.#postponed[0]) {
      if (!this.#appender.noteFreed(next)) return
      this.#postponed.shift()
      this.#freed.push(next)
    }
  }

  #releaseFreed(): void {
    const segment = this.#freed.shift()
    assert(segment !== undefined, 'each committed free has its segment')
    this.#freesDone++
    this.#cache.drop(segment.base / this.#pageBytes, segment.end / this.#pageBytes)
    this.#tables.drop(segment.base / this.#pageBytes, segment.end / this.#pageBytes)
    this.#reader.forget(segment.id)
    this.#digests
      .remove(segment.id)
      .catch((error: unknown) => this.#warn(error, 'a digest could not be removed', segment))
    this.#options.frameStore?.freed(segment.id)
    this.#holds.spare({ name: segmentName(segment.id), bytes: segment.span })
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** What is committed now, in files that stay as they are until it is released. By that those are live whose freeing is not. */
  hold(): LogSnapshot {
    return this.#holds.hold([...this.#freed, ...this.segments])
  }

  // ---- close

  async close(): Promise<void> {
    try {
      if (this.#state === 'open') await this.#commitAll()
    } finally {
      this.#state = 'closed'
      this.whenClosed?.()
      await this.#commit.stop(new LogFailed(`log '${this.#options.name}' is closed`))
      await this.#supply.stop()
      await this.#scattered.close()
      await this.#loader.settled()
      await this.#digests.settled()
      await this.#reader.close()
      await this.#closing
      for (const segment of this.segments) await closeSegment(segment, this.#options.logger)
    }
  }

  /** Ends with a record that says so: the next open need not doubt the tail. */
  async #commitAll(): Promise<void> {
    await this.#commit.settle()
    this.#state = 'closing'
    this.#appender.appendClosed()
    await this.#commit.settle()
    await this.#noteEnd()
  }

  /** So that the log is never found shorter than it is now. What is in it is safe without. */
  async #noteEnd(): Promise<void> {
    const { files, directory, logger, name } = this.#options
    const { logId, pageBytes } = this.#recovered
    try {
      await writeIdentity(files, directory, { logId, pageBytes, ...this.#appender.end })
    } catch (error) {
      logger.warn({ error, log: name }, 'the end of the log could not be noted')
    }
  }
}
