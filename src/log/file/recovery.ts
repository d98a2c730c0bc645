/**
 * Opens the directory of a file log: finds the end of the log, tells a torn tail from damage, and leaves behind only what
 * is certainly on stable storage. It writes no frame; `file-log.ts` goes on with the epoch.
 *
 * 1. The tail is the segment with the highest id that begins with an intact frame. It is walked frame by frame.
 * 2. Where the walk ends, nothing newer may follow, here or in later files. One frame is stored at a time, so a frame that
 *    is newer than the next one proves that the next one was stored: then it is not torn but damaged.
 * 3. The tail's own records say which segments are live. Each must be there with an intact header.
 * 4. Unless the identity file says that the log was closed here, the tail may be visible only in the page cache (a failed
 *    sync before the crash, or a kill during one), so its valid frames are copied into a new file that is synced and takes
 *    the old one's name. The *closed* record alone does not do: it may itself be only in the page cache.
 */
import { dirname } from 'node:path'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { LogDamaged } from '../log.ts'
import { viewOf } from './byte-codec.ts'
import { frameAlignBytes, segmentHeaderBytes } from './format.ts'
import { FrameHeader, type FramePlace, findAnywhere, findFrame } from './frame.ts'
import { FrameWalk } from './frame-walk.ts'
import { damagedRange, type Listing, LogSegment, segmentName, sortNames } from './segment.ts'
import { readIdentity, readSegmentFile, writeIdentity, writeWholeFile } from './segment-files.ts'
import { encodeSegmentHeader, type Identity, type SegmentHeader } from './segment-header.ts'
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
  // Names may be visible and not durable (a process that was killed between a rename and its sync); from here on we rely on them.
  await files.syncDirectory(dirname(directory))
  await files.syncDirectory(directory)
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
  const { random, firstSegmentBytes: span, pageBytes } = options
  const header = { logId: random.bytes(16), id: 0, base: 0, span, pageBytes }
  await writeWholeFile(options, segmentName(0), span, async (file) => {
    await file.write(encodeSegmentHeader(header), 0, segmentHeaderBytes, 0)
  })
}

class Recovery {
  readonly #options: RecoveryOptions
  readonly #listing: Listing
  /** Segment files whose header does not pass. Damage, unless they were only prepared for later. */
  readonly #unreadable = new Set<number>()

  constructor(options: RecoveryOptions, listing: Listing) {
    this.#options = options
    this.#listing = listing
  }

  async run(isNew: boolean): Promise<Recovered> {
    const { name, logger, files, directory } = this.#options
    const identity = this.#listing.hasIdentity ? await readIdentity(files, directory) : null
    if (identity === null && !isNew)
      logger.warn({ log: name }, 'the identity file is gone or damaged; it is made again')
    const tail = await this.#findTail(identity?.logId ?? null)
    const { header, logId } = tail
    const pristine = await this.#checkNothingNewer(tail)
    if (identity !== null) this.#checkNotShorter(tail, identity)
    const segments = await this.#liveSegments(tail)
    const prepared = await this.#keepPrepared(tail, pristine)
    const isClean = isNew || isKnownEnd(tail, identity)
    const report = {
      isClean,
      isTorn: tail.stop === 'broken',
      file: segmentName(header.id),
      offset: tail.end,
      position: header.base + tail.end,
      copiedBytes: isClean ? 0 : tail.end,
    }
    if (!isClean) await this.#copyTail(tail, logId)
    if (!isClean) logger.warn({ log: name, ...report }, 'the log was not closed; its last segment has been copied')
    if (identity === null) await writeIdentity(files, directory, { ...header, frames: 0, end: 0, chain: 0 })
    const live = new Set(segments.map((segment) => segment.id))
    await this.#removeOldDigests(live)
    return {
      logId,
      pageBytes: header.pageBytes,
      segments,
      tail,
      prepared,
      spares: await this.#spares(tail, live),
      report,
    }
  }

  /** Freed segments: their files may be used again. */
  async #spares(tail: Tail, live: ReadonlySet<number>): Promise<SpareFile[]> {
    const { files } = this.#options
    const spares: SpareFile[] = []
    for (const id of this.#listing.segments) {
      if (id >= tail.header.id || live.has(id)) continue
      const file = await files.open(this.#path(id), 'read')
      spares.push({ name: segmentName(id), bytes: await file.size() })
      await file.close()
    }
    return spares
  }

  #path(id: number): string {
    return `${this.#options.directory}/${segmentName(id)}`
  }

  /** Headers are synced before a file gets its name, so one that does not pass is damaged, not torn. Files are never short. */
  async #header(id: number, logId: Uint8Array): Promise<SegmentHeader> {
    const found = await readSegmentFile(this.#options.files, this.#options.directory, id)
    if (found === null) throw this.#badHeader(id)
    const { header, fileBytes } = found
    this.#checkOurs(header, id, logId)
    if (fileBytes < header.span) {
      throw damagedRange(this.#path(id), header.base, fileBytes, header.span, 'the file has lost its end')
    }
    return header
  }

  #badHeader(id: number): LogDamaged {
    const range = `bytes 0 to ${segmentHeaderBytes - 1}`
    return new LogDamaged(`${this.#path(id)}, ${range}: the segment header does not pass its check`)
  }

  #checkOurs(header: SegmentHeader, id: number, logId: Uint8Array): void {
    if (header.id === id && Buffer.compare(header.logId, logId) === 0) return
    throw new LogDamaged(`${this.#path(id)} is segment ${header.id} of another log, or misplaced`)
  }

  /** Without an identity, the first header that passes says which log this is. */
  async #findTail(knownLogId: Uint8Array | null): Promise<Tail> {
    const { files, directory } = this.#options
    let logId = knownLogId
    for (const id of this.#listing.segments.toReversed()) {
      const found = await readSegmentFile(files, directory, id)
      if (found === null) {
        this.#unreadable.add(id)
        continue
      }
      const { header } = found
      logId ??= header.logId
      this.#checkOurs(header, id, logId)
      const tail = await new TailWalk(this.#options, header, logId).run()
      if (tail.isStarted || id === 0) return tail
    }
    throw new LogDamaged(`${directory}: no segment begins with an intact frame`)
  }

  /**
   * Looks at every place where a frame could stand behind the tail's last one. Returns the later files in which there is
   * none. After a clean close a look at the first page of each is enough: whoever opens the log next begins there.
   */
  async #checkNothingNewer(tail: Tail): Promise<Map<number, SegmentHeader>> {
    const { id, base, span, pageBytes } = tail.header
    await this.#header(id, tail.logId)
    const later = this.#listing.segments.filter((other) => other > id)
    if (tail.isSealed && later[0] !== id + 1 && !this.#options.isAfterRepair) {
      throw new LogDamaged(`${this.#path(id + 1)} is missing (positions from ${base + span} on)`)
    }
    await this.#countStrays(tail, tail.header, tail.end, span)
    const pristine = new Map<number, SegmentHeader>()
    for (const other of later) {
      if (this.#unreadable.has(other)) {
        if (await this.#holdsLaterFrame(other, tail)) throw this.#badHeader(other)
        continue
      }
      const header = await this.#header(other, tail.logId)
      const strays = await this.#countStrays(tail, header, segmentHeaderBytes, tail.isClosed ? pageBytes : header.span)
      if (strays === 0) pristine.set(other, header)
    }
    return pristine
  }

  /** Whether a file that does not say where it belongs holds a frame from behind the tail's segment. */
  async #holdsLaterFrame(id: number, tail: Tail): Promise<boolean> {
    const file = await this.#options.files.open(this.#path(id), 'read')
    try {
      const bytes = new Uint8Array(await file.size())
      const count = await file.read(bytes, 0, bytes.byteLength, 0)
      return findAnywhere(bytes.subarray(0, count), tail.logId, tail.header.base + tail.header.span)
    } finally {
      await file.close()
    }
  }

  /** The end of a log that was closed is known for good: an older copy of the last segment, or a part of it, is no torn tail. */
  #checkNotShorter(tail: Tail, identity: Identity): void {
    const { walk, header } = tail
    const frames = walk.ordinal + 1
    if (frames > identity.frames || (frames === identity.frames && (frames === 0 || walk.chain === identity.chain)))
      return
    const why = `the log ends here; when it was last closed, it ended at position ${identity.end}`
    throw damagedRange(
      this.#path(header.id),
      header.base,
      tail.end,
      Math.max(identity.end - header.base, tail.end + 1),
      why,
    )
  }

  /** Intact frame headers between two offsets of a segment; remains of the frame that was being stored. */
  async #countStrays(tail: Tail, header: SegmentHeader, from: number, end: number): Promise<number> {
    const { files } = this.#options
    const { pageBytes } = header
    const bytes = new Uint8Array(pageBytes)
    const view = viewOf(bytes)
    const found = new FrameHeader()
    let strays = 0
    const file = await files.open(this.#path(header.id), 'read')
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
    return damagedRange(this.#path(id), base, tail.end, to, why)
  }

  /** Ascending. After a repair, whatever has been written is live. */
  #liveIds(tail: Tail): number[] {
    const { id } = tail.header
    if (this.#options.isAfterRepair) return this.#listing.segments.filter((other) => other <= id)
    if (!tail.isStarted) return [id]
    if (tail.live === null) throw new LogDamaged(`${this.#path(id)} holds no list of the live segments`)
    return [...tail.live].sort((a, b) => a - b)
  }

  async #liveSegments(tail: Tail): Promise<LogSegment[]> {
    const there = new Set(this.#listing.segments)
    const segments: LogSegment[] = []
    let previousEnd = 0
    for (const id of this.#liveIds(tail)) {
      if (!there.has(id)) {
        throw new LogDamaged(`${this.#path(id)} is missing (positions from ${previousEnd} on)`)
      }
      const header = id === tail.header.id ? tail.header : await this.#header(id, tail.logId)
      if (header.base < previousEnd)
        throw new LogDamaged(`${this.#path(id)}: its positions overlap those of the segment before`)
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
  async #keepPrepared(tail: Tail, pristine: ReadonlyMap<number, SegmentHeader>): Promise<SegmentHeader[]> {
    const { files, directory } = this.#options
    const prepared: SegmentHeader[] = []
    let nextId = tail.header.id + 1
    let nextBase = tail.header.base + tail.header.span
    for (const id of this.#listing.segments.filter((other) => other > tail.header.id)) {
      const header = pristine.get(id)
      if (header !== undefined && id === nextId && header.base === nextBase) {
        prepared.push(header)
        nextId = id + 1
        nextBase = header.base + header.span
      } else if (!(tail.isSealed && id === tail.header.id + 1)) {
        await files.remove(this.#path(id))
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
        await file.write(encodeSegmentHeader({ ...header, logId }), 0, segmentHeaderBytes, 0)
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

/** The identity is written after the last frame's sync has returned: being able to see it proves that the tail is stored. */
function isKnownEnd(tail: Tail, identity: Identity | null): boolean {
  const { walk, isClosed, stop } = tail
  return isClosed && stop === 'absent' && identity?.frames === walk.ordinal + 1 && identity.chain === walk.chain
}

/** Follows the chain through one page; returns the offset behind the last intact frame. */
function walkPage(walk: FrameWalk, place: FramePlace, from: number, end: number): number {
  let at = from
  while (at < end && walk.step(place, at, end) === 'intact') at += walk.header.bytes
  return at
}
