/**
 * Checks the directory of a file log, reading only: every header, frame, block, chain and digest, and which segments are
 * missing. Goes on behind damage, and tells a torn tail (cut at the next open, nothing of it was ever confirmed) from
 * damage. Nobody may be writing to the log meanwhile.
 */
import type { Files } from '../../base/files.ts'
import { LogDamaged } from '../log.ts'
import { digestChunkBytes, readDigestHeader, readRange } from './digest-store.ts'
import { formatVersion, segmentHeaderBytes } from './format.ts'
import { type InternalRecord, idsOf } from './internal-record.ts'
import { digestName, identityName, type Listing, segmentName, sortNames } from './segment.ts'
import { readIdentity, readSegmentFile } from './segment-files.ts'
import type { Identity } from './segment-header.ts'
import { type Damage, inspectSegment, type SegmentInspection } from './segment-inspection.ts'

export { type RepairReport, repair } from './repair.ts'
export type { Damage } from './segment-inspection.ts'

export interface FsckOptions {
  readonly onProgress?: (done: number, total: number) => void
}

export interface FsckReport {
  readonly directory: string
  readonly formatVersion: number
  /** Hexadecimal. */
  readonly logId: string
  /** No records are lost. Damage that mends itself at the next open does not count. */
  readonly isIntact: boolean
  /** The log was closed, not interrupted. */
  readonly isClean: boolean
  /** What was being stored when the log was interrupted, and will be cut; null when nothing was. */
  readonly tornTail: { readonly file: string; readonly offset: number; readonly position: number } | null
  readonly damage: readonly Damage[]
  readonly counts: {
    readonly segments: number
    readonly frames: number
    readonly blocks: number
    readonly records: number
    readonly recordBytes: number
    readonly digests: number
    /** Files of freed segments, and files prepared for new ones. */
    readonly unusedFiles: number
  }
}

export async function fsck(files: Files, directory: string, options: FsckOptions = {}): Promise<FsckReport> {
  return (await examine(files, directory, options)).report
}

export interface Examination {
  readonly report: FsckReport
  readonly logId: Uint8Array
  /** Live and there, ascending; the last one is the tail. */
  readonly segments: readonly SegmentInspection[]
  /** Live, and not there or not readable at all. */
  readonly missing: readonly number[]
  /** Segments whose digest passes wholly. */
  readonly digests: readonly number[]
}

/** What fsck finds, in the form that repair needs. Throws `FormatUnknown`, and `LogDamaged` when there is no log. */
export async function examine(files: Files, directory: string, options: FsckOptions): Promise<Examination> {
  const listing = sortNames(await files.list(directory))
  if (listing.segments.length === 0) throw new LogDamaged(`${directory} holds no segments of a log`)
  const examiner = new Examiner(files, directory, listing, options.onProgress ?? (() => {}))
  return examiner.run()
}

class Examiner {
  readonly #files: Files
  readonly #directory: string
  readonly #listing: Listing
  readonly #onProgress: (done: number, total: number) => void
  readonly #damage: Damage[] = []
  readonly #digests: number[] = []

  constructor(files: Files, directory: string, listing: Listing, onProgress: (done: number, total: number) => void) {
    this.#files = files
    this.#directory = directory
    this.#listing = listing
    this.#onProgress = onProgress
  }

  async run(): Promise<Examination> {
    const identity = await this.#identity()
    const { logId } = identity
    const tail = await this.#findTail(logId)
    const live = liveIds(tail, this.#listing)
    const segments: SegmentInspection[] = []
    const missing: number[] = []
    for (const [index, id] of live.entries()) {
      this.#onProgress(index, live.length)
      const segment = id === tail.id ? tail : await this.#inspect(id, logId)
      if (segment === null) missing.push(id)
      else segments.push(segment)
    }
    this.#judge(segments, missing, tail)
    this.#judgeEnd(tail, identity)
    for (const segment of segments) await this.#checkDigest(segment, logId)
    this.#onProgress(live.length, live.length)
    return { report: this.#report(segments, tail, logId), logId, segments, missing, digests: this.#digests }
  }

  /** Where it is damaged, the first segment header that passes says which log this is. */
  async #identity(): Promise<Identity> {
    const identity = this.#listing.hasIdentity ? await readIdentity(this.#files, this.#directory) : null
    if (identity !== null) return identity
    this.#rebuilt(identityName, segmentHeaderBytes, 'the identity file is missing or does not pass its check')
    for (const id of this.#listing.segments.toReversed()) {
      const found = await readSegmentFile(this.#files, this.#directory, id)
      if (found !== null) return { ...found.header, frames: 0, end: 0, chain: 0 }
    }
    throw new LogDamaged(`${this.#directory}: no header of any file passes its check`)
  }

  #rebuilt(file: string, to: number, what: string, from = 0): void {
    this.#damage.push({ file, from, to, positions: null, what, consequence: 'rebuilt' })
  }

  /** The segment with the highest id that holds any frame. Files behind it are prepared for later. */
  async #findTail(logId: Uint8Array): Promise<SegmentInspection> {
    for (const id of this.#listing.segments.toReversed()) {
      const segment = await this.#inspect(id, logId)
      if (segment !== null && segment.frames > 0) return segment
      if (segment === null)
        this.#rebuilt(segmentName(id), segmentHeaderBytes, 'the header of a prepared segment does not pass')
    }
    throw new LogDamaged(`${this.#directory}: no file holds an intact frame`)
  }

  async #inspect(id: number, logId: Uint8Array): Promise<SegmentInspection | null> {
    if (!this.#listing.segments.includes(id)) return null
    return inspectSegment(this.#files, this.#directory, id, logId)
  }

  #judge(segments: readonly SegmentInspection[], missing: readonly number[], tail: SegmentInspection): void {
    for (const id of missing) {
      const before = segments.findLast((segment) => segment.id < id)
      const after = segments.find((segment) => segment.id > id)
      const positions = { from: before === undefined ? 0 : endOf(before), to: after?.header.base ?? tail.header.base }
      this.#damage.push({
        file: segmentName(id),
        from: 0,
        to: positions.to - positions.from,
        positions,
        what: 'the segment is missing',
        consequence: 'lost',
      })
    }
    for (const segment of segments) {
      const torn = segment === tail && tail.isLastBroken ? tail.lastFrame?.position : undefined
      const isTornPart = ({ positions }: Damage): boolean =>
        torn !== undefined && positions !== null && positions.from >= torn
      this.#damage.push(...segment.damage.filter((damage) => !isTornPart(damage)))
      if (segment !== tail && !segment.isSealed) this.#lostEnd(segment)
    }
    if (tail.isSealed && !this.#listing.segments.includes(tail.id + 1)) {
      const positions = { from: endOf(tail), to: endOf(tail) + 1 }
      this.#damage.push({
        file: segmentName(tail.id + 1),
        from: 0,
        to: 1,
        positions,
        what: 'the segment is missing',
        consequence: 'lost',
      })
    }
  }

  /** A log that was closed is never shorter again. */
  #judgeEnd(tail: SegmentInspection, identity: Identity): void {
    const { lastFrame, header, isLastBroken } = tail
    const frames = (lastFrame?.ordinal ?? -1) + (isLastBroken ? 0 : 1)
    if (frames > identity.frames) return
    if (frames === identity.frames && (isLastBroken || lastFrame?.chain === identity.chain)) return
    const from = isLastBroken ? (lastFrame?.position ?? 0) : header.base + tail.end
    const to = Math.max(identity.end, from + 1)
    this.#damage.push({
      file: segmentName(tail.id),
      from: from - header.base,
      to: to - header.base,
      positions: { from, to },
      what: 'the log is shorter than when it was last closed',
      consequence: 'lost',
    })
  }

  #lostEnd(segment: SegmentInspection): void {
    const positions = { from: segment.header.base + segment.end, to: endOf(segment) }
    const what = 'the segment has lost its end'
    this.#damage.push({
      file: segmentName(segment.id),
      from: segment.end,
      to: segment.header.span,
      positions,
      what,
      consequence: 'lost',
    })
  }

  async #checkDigest(segment: SegmentInspection, logId: Uint8Array): Promise<void> {
    if (!this.#listing.digests.includes(segment.id)) return
    const file = await this.#files.open(`${this.#directory}/${digestName(segment.id)}`, 'read')
    try {
      const header = await readDigestHeader(file, logId, segment.id)
      for (let offset = 0; header !== null && offset < header.digestBytes; offset += digestChunkBytes) {
        const byteLength = Math.min(digestChunkBytes, header.digestBytes - offset)
        const part = await readRange(file, { logId, segmentId: segment.id, offset, byteLength })
        if (part === null) return this.#badDigest(segment.id, offset, offset + byteLength)
      }
      if (header === null) this.#badDigest(segment.id, 0, await file.size())
      else this.#digests.push(segment.id)
    } finally {
      await file.close()
    }
  }

  #badDigest(id: number, from: number, to: number): void {
    this.#rebuilt(digestName(id), to, 'the digest does not pass its check', from)
  }

  #report(segments: readonly SegmentInspection[], tail: SegmentInspection, logId: Uint8Array): FsckReport {
    const sum = (of: (segment: SegmentInspection) => number): number =>
      segments.reduce((total, segment) => total + of(segment), 0)
    const torn = tail.isLastBroken ? tail.lastFrame : null
    return {
      directory: this.#directory,
      formatVersion,
      logId: Buffer.from(logId).toString('hex'),
      isIntact: this.#damage.every((damage) => damage.consequence === 'rebuilt'),
      isClean: tail.isClosed,
      tornTail: torn && {
        file: segmentName(tail.id),
        offset: torn.position - tail.header.base,
        position: torn.position,
      },
      damage: this.#damage,
      counts: {
        segments: segments.length,
        frames: sum((segment) => segment.frames) - (torn === null ? 0 : 1),
        blocks: sum((segment) => segment.blocks),
        records: sum((segment) => segment.records),
        recordBytes: sum((segment) => segment.recordBytes),
        digests: this.#digests.length,
        unusedFiles: this.#listing.segments.filter((id) => !segments.some((segment) => segment.id === id)).length,
      },
    }
  }
}

function endOf(segment: SegmentInspection): number {
  return segment.header.base + segment.header.span
}

/** By the tail's own records; where its list does not pass its check, whatever is there counts. */
function liveIds(tail: SegmentInspection, listing: Listing): number[] {
  let live: Set<number> | null = null
  for (const record of tail.internal) live = applyTo(live, record)
  live ??= new Set(listing.segments.filter((id) => id <= tail.id))
  live.add(tail.id)
  return [...live].sort((a, b) => a - b)
}

function applyTo(live: Set<number> | null, record: InternalRecord): Set<number> | null {
  if (record.kind === 'segments') return idsOf(record.live)
  if (record.kind === 'freed') live?.delete(record.segment)
  return live
}
