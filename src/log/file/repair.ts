/**
 * Writes a new directory with every intact record of a damaged log, each at its old position: records may name one another
 * by position. What is damaged becomes an internal record *lost* of the same length; frames get fresh numbers and a
 * fresh chain; segments that are missing are live no more. The damaged directory is not touched.
 */
import { crc32 } from 'node:zlib'
import { SystemClock } from '../../base/clock.ts'
import type { File, Files } from '../../base/files.ts'
import { SystemRandom } from '../../base/random.ts'
import { LogFailed } from '../log.ts'
import { openFileLog } from './file-log.ts'
import {
  alignUp,
  blockEntryBytes,
  frameHeaderBytes,
  internalRecordFlag,
  recordHeaderBytes,
  segmentHeaderBytes,
} from './format.ts'
import { encodeFrameHeader, FrameHeader, type FramePlace } from './frame.ts'
import { type Examination, examine, type FsckReport } from './fsck.ts'
import { encodeInternal, lostCode } from './internal-record.ts'
import type { Block, PageItem } from './page-inspection.ts'
import { digestName, segmentName } from './segment.ts'
import { copyFile, writeIdentity, writeWholeFile } from './segment-files.ts'
import { encodeSegmentHeader, type SegmentHeader } from './segment-header.ts'
import { inspectSegment, type SegmentInspection } from './segment-inspection.ts'

export interface RepairReport {
  /** Of the damaged directory. */
  readonly found: FsckReport
  /** Of the new one: nothing in it is damaged. */
  readonly written: FsckReport
}

export async function repair(files: Files, from: string, to: string): Promise<RepairReport> {
  await files.makeDirectory(to)
  if ((await files.list(to)).length > 0) throw new LogFailed(`${to} is not empty; give a new directory to repair into`)
  const found = await examine(files, from, {})
  const last = found.segments.at(-1)
  if (last === undefined) throw new LogFailed(`${from} has no segment that could be repaired`)
  const rewrite = new Rewrite(files, from, to, found)
  for (const segment of found.segments) await rewrite.segment(segment, segment === last)
  await writeIdentity(files, to, { ...last.header, logId: found.logId, frames: 0, end: 0, chain: 0 })
  await listSegments(files, to, last.header)
  const written = await examine(files, to, {})
  return { found: found.report, written: written.report }
}

/** The log itself lists its segments anew, and says that it was closed. */
async function listSegments(files: Files, directory: string, like: SegmentHeader): Promise<void> {
  const { pageBytes, span } = like
  const log = await openFileLog({
    files,
    directory,
    clock: new SystemClock(),
    random: new SystemRandom(),
    name: 'repaired log',
    pageBytes,
    segmentBytes: span,
    firstSegmentBytes: span,
    roomBytesMin: 0,
    isAfterRepair: true,
  })
  await log.close()
}

class Rewrite {
  readonly #files: Files
  readonly #from: string
  readonly #to: string
  readonly #found: Examination
  readonly #header = new FrameHeader()
  #isStarted = false
  #epoch = 0
  #k = -1
  #ordinal = -1
  #chain = 0
  /** Offset behind the last frame written to the segment. */
  #end = 0

  constructor(files: Files, from: string, to: string, found: Examination) {
    this.#files = files
    this.#from = from
    this.#to = to
    this.#found = found
  }

  async segment(segment: SegmentInspection, isLast: boolean): Promise<void> {
    const { id, header } = segment
    const { logId } = this.#found
    const tornFrom = isLast && segment.isLastBroken ? (segment.lastFrame?.position ?? 0) - header.base : header.span
    this.#end = segmentHeaderBytes
    await writeWholeFile({ files: this.#files, directory: this.#to }, segmentName(id), header.span, async (file) => {
      await file.write(encodeSegmentHeader({ ...header, logId }), 0, segmentHeaderBytes, 0)
      await inspectSegment(this.#files, this.#from, id, logId, async (place, items, offset, end) => {
        if (items.length > 0)
          await this.#page(file, { place, items, offset, end: Math.min(end, tornFrom - offset), tornFrom })
      })
      if (!isLast && !segment.isSealed) await this.#seal(file, header)
    })
    const isWhole = segment.damage.length === 0 && this.#found.digests.includes(id)
    if (isWhole)
      await copyFile(this.#files, `${this.#from}/${digestName(id)}`, { directory: this.#to, name: digestName(id) })
  }

  async #page(
    file: File,
    page: { place: FramePlace; items: readonly PageItem[]; offset: number; end: number; tornFrom: number },
  ): Promise<void> {
    const { place, items, offset, end, tornFrom } = page
    let from = -1
    for (const item of items) {
      if (offset + item.at >= tornFrom) break
      if (from < 0) from = item.at
      if (item.kind === 'gap') this.#fill(place, item.at, item.end)
      else if (!item.isTableIntact) this.#fill(place, item.at, item.at + item.header.bytes)
      else this.#frame(place, item)
    }
    if (from < 0) return
    await file.write(place.bytes, from, end - from, offset + from)
    this.#end = offset + end
  }

  /** A frame that may have bad blocks: each becomes one *lost* record. */
  #frame(place: FramePlace, item: PageItem & { kind: 'frame' }): void {
    const { at, header } = item
    for (const block of item.badBlocks) loseBlock(place, block)
    const table = at + frameHeaderBytes + header.payloadBytes
    const isFirstOfEpoch = header.k === 0 && header.epoch === header.position
    this.#write(place, at, {
      payloadBytes: header.payloadBytes,
      blocks: header.blocks,
      tableCrc: crc32(place.bytes.subarray(table, table + header.blocks * blockEntryBytes)),
      epoch: isFirstOfEpoch ? header.position : this.#isStarted ? this.#epoch : header.epoch,
    })
  }

  /** One frame with one *lost* record in place of bytes that make no sense. */
  #fill(place: FramePlace, from: number, end: number): void {
    const start = from + frameHeaderBytes
    const table = end - blockEntryBytes
    loseBlock(place, { entry: table, start, end: table })
    this.#write(place, from, {
      payloadBytes: table - start,
      blocks: 1,
      tableCrc: crc32(place.bytes.subarray(table, end)),
      epoch: this.#isStarted ? this.#epoch : 0,
    })
  }

  #write(
    place: FramePlace,
    at: number,
    frame: { payloadBytes: number; blocks: number; tableCrc: number; epoch: number },
  ): void {
    const header = this.#header
    const position = place.position + at
    const isFirstOfEpoch = frame.epoch === position
    this.#k = isFirstOfEpoch ? 0 : this.#k + 1
    this.#epoch = frame.epoch
    this.#ordinal++
    header.position = position
    header.epoch = frame.epoch
    header.k = this.#k
    header.ordinal = this.#ordinal
    header.payloadBytes = frame.payloadBytes
    header.blocks = frame.blocks
    header.tableCrc = frame.tableCrc
    header.previousChain = this.#chain
    this.#chain = encodeFrameHeader(place.bytes, place.view, at, this.#found.logId, header)
    this.#isStarted = true
  }

  /** The frame that ended the segment is gone; there is room where it was. */
  async #seal(file: File, header: SegmentHeader): Promise<void> {
    const record = encodeInternal({ kind: 'sealed', next: header.id + 1 })
    const payloadBytes = recordHeaderBytes + record.byteLength
    const size = alignUp(frameHeaderBytes + payloadBytes + blockEntryBytes)
    const { pageBytes } = header
    const isInPage = (this.#end % pageBytes) + size <= pageBytes && this.#end % pageBytes > 0
    const offset = isInPage ? this.#end : Math.ceil(this.#end / pageBytes) * pageBytes
    if (offset + size > header.span) throw new LogFailed(`segment ${header.id} has no room for its end`)
    const bytes = new Uint8Array(size)
    const view = new DataView(bytes.buffer)
    view.setUint32(frameHeaderBytes, record.byteLength | internalRecordFlag, true)
    bytes.set(record, frameHeaderBytes + recordHeaderBytes)
    const table = frameHeaderBytes + payloadBytes
    view.setUint32(table, payloadBytes, true)
    view.setUint32(table + 4, crc32(bytes.subarray(frameHeaderBytes, table)), true)
    const tableCrc = crc32(bytes.subarray(table, table + blockEntryBytes))
    const place = { bytes, view, position: header.base + offset, logId: this.#found.logId }
    this.#write(place, 0, { payloadBytes, blocks: 1, tableCrc, epoch: this.#epoch })
    await file.write(bytes, 0, size, offset)
  }
}

/** Makes the block one internal record of the same length. One that is too short for a kind says so by its length. */
function loseBlock({ bytes, view }: FramePlace, { entry, start, end }: Block): void {
  const length = end - start - recordHeaderBytes
  bytes.fill(0, start, end)
  view.setUint32(start, length | internalRecordFlag, true)
  if (length >= 4) view.setUint32(start + recordHeaderBytes, lostCode, true)
  view.setUint32(entry, end - start, true)
  view.setUint32(entry + 4, crc32(bytes.subarray(start, end)), true)
}
