/**
 * Opens the directory of a file log: finds the end of the log, tells a torn tail from damage, and leaves behind only what
 * is certainly on stable storage. It writes no frame; `file-log.ts` goes on with the epoch.
 *
 * 1. The tail is the segment with the highest id that begins with an intact frame. It is walked frame by frame.
 * 2. Where the walk ends, nothing newer may follow, here or in later files. One frame is stored at a time, so a frame that
 *    is newer than the next one proves that the next one was stored: then it is not torn but damaged.
 * 3. The tail's own records say which segments are live. Each must be there with an intact header.
 * 4. Unless the last frame says *closed*, the tail may be visible only in the page cache (a failed sync before the crash),
 *    so its valid frames are copied into a new file that is synced and takes the old one's name.
 */
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { LogDamaged } from '../log.ts'
import { viewOf } from './byte-codec.ts'
import { frameAlignBytes, segmentHeaderBytes } from './format.ts'
import { findFrame, FrameHeader, type FramePlace } from './frame.ts'
import { FrameWalk } from './frame-walk.ts'
import { damagedRange, type Listing, LogSegment, segmentName, sortNames } from './segment.ts'
import { encodeSegmentHeader, type SegmentHeader } from './segment-header.ts'
import { writeIdentity, readHeader, readIdentity, writeWholeFile } from './segment-files.ts'
import { removeIfThere, type SpareFile } from './segment-supply.ts'
import { type Tail, TailWalk } from './tail-walk.ts'

export interface RecoveryOptions {
  readonly files: Files
  readonly directory: string
  readonly random: Random
  readonly logger: Logger
  readonly name: string
  readonly pageBytes: number
  readonly firstSegmentBytes: number
  readonly isAfterRepair: boolean
}

/** What opening found at the end of the log. */
export interface TailReport {
  /** The log was closed; nothing had to be looked at twice. */
  readonly isClean: boolean
  /** A frame had been begun and not finished. Nothing in it was ever reported as committed. */
  readonly isTorn: boolean
  /** Where the valid part ends. */
  readonly file: string
  readonly offset: number
  readonly position: number
  /** Valid bytes that were copied into a new file. */
  readonly copiedBytes: number
}

export interface Recovered {
  readonly logId: Uint8Array
  readonly pageBytes: number
  /** Live, ascending; the last one is the tail. */
  readonly segments: readonly LogSegment[]
  readonly tail: Tail
  /** Files behind the tail that hold nothing and can be used as they are. */
  readonly prepared: readonly SegmentHeader[]
  /** Files of freed segments. */
  readonly spares: readonly SpareFile[]
  readonly report: TailReport
}

export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { files, directory } = options
  await files.makeDirectory(directory)
  let listing = sortNames(await files.list(directory))
  for (const name of listing.temporaries) await removeIfThere(files, `${directory}/${name}`)
  const isNew = listing.segments.length === 0
  if (isNew) {
    if (listing.hasIdentity) throw new LogDamaged(`${directory}: all segments of log '${options.name}' are missing`)
    await createFirst(options)
    listing = sortNames(await files.list(directory))
  }
  return new Recovery(options, listing).run(isNew)
}

/** The first segment comes before the identity file: without a segment, an identity would say that segments are missing. */
async function createFirst(options: RecoveryOptions): Promise<void> {
  const header = {
    logId: options.random.bytes(16),
    id: 0,
    base: 0,
    span: options.firstSegmentBytes,
    pageBytes: options.pageBytes,
  }
  await writeWholeFile(options, segmentName(0), header.span, async (file) => {
    await file.write(encodeSegmentHeader('segment', header), 0, segmentHeaderBytes, 0)
  })
}

class Recovery {
  readonly #options: RecoveryOptions
  readonly #listing: Listing

  constructor(options: RecoveryOptions, listing: Listing) {
    this.#options = options
    this.#listing = listing
  }

  async run(isNew: boolean): Promise<Recovered> {
    const { name, logger } = this.#options
    const identity = this.#listing.hasIdentity ? await readIdentity(this.#options) : null
    const newest = await this.#header(this.#listing.segments.at(-1) ?? 0, identity)
    const logId = identity?.logId ?? newest.logId
    const tail = await this.#findTail(newest, logId)
    const pristine = await this.#checkNothingNewer(tail)
    const segments = await this.#liveSegments(tail, newest)
    const prepared = await this.#keepPrepared(tail, newest, pristine)
    const isClean = isNew || (tail.isClosed && tail.stop === 'absent')
    const report = {
      isClean,
      isTorn: tail.stop === 'broken',
      file: segmentName(tail.header.id),
      offset: tail.end,
      position: tail.header.base + tail.end,
      copiedBytes: isClean ? 0 : tail.end,
    }
    if (!isClean) await this.#copyTail(tail, logId)
    if (!isClean) logger.warn({ log: name, ...report }, 'the log was not closed; its last segment has been copied')
    if (identity === null) await writeIdentity(this.#options, newest)
    const live = new Set(segments.map((segment) => segment.id))
    await this.#removeOldDigests(live)
    const spares = await this.#spares(tail, live)
    return { logId, pageBytes: newest.pageBytes, segments, tail, prepared, spares, report }
  }

  /** Freed segments: their files may be used again. */
  async #spares(tail: Tail, live: ReadonlySet<number>): Promise<SpareFile[]> {
    const { files, directory } = this.#options
    const spares: SpareFile[] = []
    for (const id of this.#listing.segments) {
      if (id >= tail.header.id || live.has(id)) continue
      const file = await files.open(`${directory}/${segmentName(id)}`, 'read')
      spares.push({ name: segmentName(id), bytes: await file.size() })
      await file.close()
    }
    return spares
  }

  /** Headers are synced before a file gets its name, so one that does not pass is damaged, not torn. */
  async #header(id: number, like: SegmentHeader | null): Promise<SegmentHeader> {
    const header = await readHeader(this.#options, id)
    if (header === null)
      throw damagedRange(
        `${this.#options.directory}/${segmentName(id)}`,
        0,
        0,
        segmentHeaderBytes,
        'the segment header does not pass its check',
      )
    const isOurs = header.id === id && (like === null || Buffer.compare(header.logId, like.logId) === 0)
    if (!isOurs)
      throw new LogDamaged(
        `${this.#options.directory}/${segmentName(id)} is segment ${header.id} of another log, or misplaced`,
      )
    return header
  }

  async #findTail(newest: SegmentHeader, logId: Uint8Array): Promise<Tail> {
    for (let index = this.#listing.segments.length - 1; index >= 0; index--) {
      const header = await this.#header(this.#listing.segments[index] ?? 0, newest)
      const tail = await new TailWalk(this.#options, header, logId).run()
      if (tail.isStarted) return tail
    }
    const first = await this.#header(this.#listing.segments[0] ?? 0, newest)
    if (first.id !== 0) throw new LogDamaged(`${this.#options.directory}: no segment begins with an intact frame`)
    return new TailWalk(this.#options, first, logId).run()
  }

  /**
   * Looks at every place where a frame could stand behind the tail's last one. Returns the ids of later files in which
   * there is none. After a clean close a look at the first page of each is enough: whoever opens the log next begins there.
   */
  async #checkNothingNewer(tail: Tail): Promise<Set<number>> {
    const { id, base, span, pageBytes } = tail.header
    const later = this.#listing.segments.filter((other) => other > id)
    if (tail.isSealed && later[0] !== id + 1 && !this.#options.isAfterRepair) {
      throw new LogDamaged(
        `${this.#options.directory}/${segmentName(id + 1)} is missing (positions from ${base + span} on)`,
      )
    }
    await this.#countStrays(tail, tail.header, tail.end, span)
    const pristine = new Set<number>()
    for (const other of later) {
      const header = await this.#header(other, tail.header)
      const strays = await this.#countStrays(tail, header, segmentHeaderBytes, tail.isClosed ? pageBytes : header.span)
      if (strays === 0) pristine.add(other)
    }
    return pristine
  }

  /** Intact frame headers between two offsets of a segment; remains of the frame that was being stored. */
  async #countStrays(tail: Tail, header: SegmentHeader, from: number, end: number): Promise<number> {
    const { files, directory } = this.#options
    const { pageBytes } = header
    const bytes = new Uint8Array(pageBytes)
    const view = viewOf(bytes)
    const found = new FrameHeader()
    let strays = 0
    const file = await files.open(`${directory}/${segmentName(header.id)}`, 'read')
    try {
      for (let offset = from - (from % pageBytes); offset < end; offset += pageBytes) {
        const count = await file.read(bytes, 0, pageBytes, offset)
        const place: FramePlace = { bytes, view, position: header.base + offset, logId: tail.logId }
        let at = findFrame(place, Math.max(from - offset, 0), count, found)
        for (; at >= 0; at = findFrame(place, at + frameAlignBytes, count, found)) {
          if (tail.isOvertakenBy(found)) throw this.#lostFrame(tail, found)
          strays++
        }
      }
    } finally {
      await file.close()
    }
    return strays
  }

  #lostFrame(tail: Tail, found: FrameHeader): LogDamaged {
    const { base, id } = tail.header
    const to = Math.max(tail.end + 1, found.position - base)
    const why = `a committed frame is damaged: a later one stands at position ${found.position}`
    return damagedRange(`${this.#options.directory}/${segmentName(id)}`, base, tail.end, to, why)
  }

  /** Ascending. After a repair, whatever has been written is live. */
  #liveIds(tail: Tail): number[] {
    const { id } = tail.header
    if (this.#options.isAfterRepair) return this.#listing.segments.filter((other) => other <= id)
    if (!tail.isStarted) return [id]
    if (tail.live === null)
      throw new LogDamaged(`${this.#options.directory}/${segmentName(id)} holds no list of the live segments`)
    return [...tail.live].sort((a, b) => a - b)
  }

  async #liveSegments(tail: Tail, newest: SegmentHeader): Promise<LogSegment[]> {
    const there = new Set(this.#listing.segments)
    const segments: LogSegment[] = []
    let previousEnd = 0
    for (const id of this.#liveIds(tail)) {
      if (!there.has(id)) {
        throw new LogDamaged(
          `${this.#options.directory}/${segmentName(id)} is missing (positions from ${previousEnd} on)`,
        )
      }
      const header = id === tail.header.id ? tail.header : await this.#header(id, newest)
      if (header.base < previousEnd)
        throw new LogDamaged(
          `${this.#options.directory}/${segmentName(id)}: its positions overlap those of the segment before`,
        )
      const segment = new LogSegment(id, header.base, header.span)
      segment.isSealed = id !== tail.header.id || tail.isSealed
      previousEnd = segment.end
      segments.push(segment)
    }
    const last = segments.at(-1)
    if (last !== undefined) last.committedEnd = tail.end
    return segments
  }

  /**
   * Files behind the tail without a single frame are kept as they are. Others are removed, but the one that a sealed tail
   * needs: it stays until the new one takes its name, since a sealed segment without a successor counts as damage.
   */
  async #keepPrepared(tail: Tail, newest: SegmentHeader, pristine: ReadonlySet<number>): Promise<SegmentHeader[]> {
    const { files, directory } = this.#options
    const prepared: SegmentHeader[] = []
    let nextId = tail.header.id + 1
    let nextBase = tail.header.base + tail.header.span
    for (const id of this.#listing.segments.filter((other) => other > tail.header.id)) {
      const header = await this.#header(id, newest)
      if (pristine.has(id) && id === nextId && header.base === nextBase) {
        prepared.push(header)
        nextId = id + 1
        nextBase = header.base + header.span
      } else if (!(tail.isSealed && id === tail.header.id + 1)) {
        await files.remove(`${directory}/${segmentName(id)}`)
        await files.syncDirectory(directory)
      }
    }
    return prepared
  }

  /** Copies what the walk has verified, and makes sure that it is still the same. */
  async #copyTail(tail: Tail, logId: Uint8Array): Promise<void> {
    const { directory, files } = this.#options
    const { header } = tail
    const source = await files.open(`${directory}/${segmentName(header.id)}`, 'read')
    try {
      await writeWholeFile(this.#options, segmentName(header.id), header.span, async (file) => {
        await file.write(encodeSegmentHeader('segment', { ...header, logId }), 0, segmentHeaderBytes, 0)
        const bytes = new Uint8Array(header.pageBytes)
        const again = new FrameWalk()
        for (let offset = 0; offset < tail.end; offset += header.pageBytes) {
          await source.read(bytes, 0, header.pageBytes, offset)
          const from = offset === 0 ? segmentHeaderBytes : 0
          const end = walkPage(
            again,
            { bytes, view: viewOf(bytes), position: header.base + offset, logId },
            from,
            Math.min(header.pageBytes, tail.end - offset),
          )
          if (end > from) await file.write(bytes, from, end - from, offset + from)
        }
        if (again.chain !== tail.walk.chain || again.ordinal !== tail.walk.ordinal) {
          throw new LogDamaged(`${directory}/${segmentName(header.id)} read differently the second time`)
        }
      })
    } finally {
      await source.close()
    }
  }

  async #removeOldDigests(live: ReadonlySet<number>): Promise<void> {
    const { files, directory } = this.#options
    for (const name of await files.list(directory)) {
      const [id] = sortNames([name]).digests
      if (id !== undefined && !live.has(id)) await removeIfThere(files, `${directory}/${name}`)
    }
  }
}

/** Follows the chain through one page; returns the offset behind the last intact frame. */
function walkPage(walk: FrameWalk, place: FramePlace, from: number, end: number): number {
  let at = from
  while (at < end && walk.step(place, at, end) === 'intact') at += walk.header.bytes
  return at
}
