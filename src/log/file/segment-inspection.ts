/**
 * Goes through one segment file from its first byte to its last, behind every damage, and reports exactly which bytes do
 * not pass. Reads only.
 */
import type { File, Files } from '../../base/files.ts'
import { areEqual, readUint64, viewOf } from './byte-codec.ts'
import {
  blockEntryBytes,
  frameHeaderBytes,
  internalRecordFlag,
  pageBytesDefault,
  recordHeaderBytes,
  recordLengthMask,
  segmentHeaderBytes,
} from './format.ts'
import type { FrameHeader, FramePlace } from './frame.ts'
import { FrameWalk } from './frame-walk.ts'
import { decodeInternal, type InternalRecord } from './internal-record.ts'
import { inspectPage, isBad, type PageItem } from './page-inspection.ts'
import { segmentName } from './segment.ts'
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts'

export interface Damage {
  /** Name in the log's directory. */
  readonly file: string
  /** Bytes `from` to `to - 1` of the file. */
  readonly from: number
  readonly to: number
  /** The same as positions; null where the file has none. */
  readonly positions: { readonly from: number; readonly to: number } | null
  readonly what: string
  /** `lost`: records are gone. `rebuilt`: made again at the next open, nothing is lost. */
  readonly consequence: 'lost' | 'rebuilt'
}

export interface SegmentInspection {
  readonly id: number
  readonly header: SegmentHeader
  readonly isHeaderIntact: boolean
  readonly frames: number
  readonly blocks: number
  readonly records: number
  readonly recordBytes: number
  readonly internal: readonly InternalRecord[]
  readonly isSealed: boolean
  /** The last frame says that the log was closed. */
  readonly isClosed: boolean
  /** File offset behind the last frame whose header is intact; the header's size when there is none. */
  readonly end: number
  /** The last frame is not whole. */
  readonly isLastBroken: boolean
  readonly firstFrame: FrameHeader | null
  readonly lastFrame: FrameHeader | null
  readonly damage: readonly Damage[]
}

/** Called with each page that was read; used by repair. */
export type PageVisitor = (place: FramePlace, items: readonly PageItem[], offset: number, end: number) => Promise<void>

/** Null when the file is no segment: its header does not pass and no frame in it tells where it belongs. */
export async function inspectSegment(
  files: Files,
  directory: string,
  id: number,
  logId: Uint8Array,
  visit: PageVisitor = async () => {},
): Promise<SegmentInspection | null> {
  const file = await files.open(`${directory}/${segmentName(id)}`, 'read')
  try {
    const sector = new Uint8Array(segmentHeaderBytes)
    const count = await file.read(sector, 0, segmentHeaderBytes, 0)
    const decoded = decodeSegmentHeader(sector.subarray(0, count), segmentName(id))
    const isHeaderIntact = decoded !== null && decoded.id === id && areEqual(decoded.logId, 0, logId, 0, 16)
    const header = isHeaderIntact ? decoded : await guessHeader(file, id, logId)
    if (header === null) return null
    return await new Inspection(file, header, isHeaderIntact, visit).run()
  } finally {
    await file.close()
  }
}

/** Any frame of this log tells by its position where its segment begins. Pages have their usual size. */
async function guessHeader(file: File, id: number, logId: Uint8Array): Promise<SegmentHeader | null> {
  const span = await file.size()
  const bytes = new Uint8Array(Math.min(span, pageBytesDefault))
  const count = await file.read(bytes, 0, bytes.byteLength, 0)
  const view = viewOf(bytes)
  for (let at = segmentHeaderBytes; at + frameHeaderBytes <= count; at += 8) {
    if (!areEqual(bytes, at + 8, logId, 0, 16)) continue
    const base = readUint64(view, at + 24) - at
    const place = { bytes, view, position: base, logId }
    if (base < 0 || base % 4096 !== 0 || inspectPage(place, at, count).items.length === 0) continue
    return { logId, id, base, span, pageBytes: span % pageBytesDefault === 0 ? pageBytesDefault : 16 * 1024 }
  }
  return null
}

class Inspection {
  readonly #file: File
  readonly #header: SegmentHeader
  readonly #isHeaderIntact: boolean
  readonly #visit: PageVisitor
  readonly #walk = new FrameWalk()
  readonly #damage: Damage[] = []
  readonly #internal: InternalRecord[] = []
  #frames = 0
  #blocks = 0
  #records = 0
  #recordBytes = 0
  #end = segmentHeaderBytes
  #isSealed = false
  #isClosed = false
  #isLastBroken = false
  /** Damage has been reported behind the last frame, so that the next one need not fit. */
  #isBehindDamage = false
  #firstFrame: FrameHeader | null = null
  #lastFrame: FrameHeader | null = null

  constructor(file: File, header: SegmentHeader, isHeaderIntact: boolean, visit: PageVisitor) {
    this.#file = file
    this.#header = header
    this.#isHeaderIntact = isHeaderIntact
    this.#visit = visit
  }

  async run(): Promise<SegmentInspection> {
    const { span, pageBytes, base, logId, id } = this.#header
    if (!this.#isHeaderIntact) this.#report(0, segmentHeaderBytes, 'the segment header does not pass its check', 'lost')
    const bytes = new Uint8Array(pageBytes)
    const view = viewOf(bytes)
    for (let offset = 0; offset < span; offset += pageBytes) {
      const count = await this.#file.read(bytes, 0, pageBytes, offset)
      bytes.fill(0, count)
      const place = { bytes, view, position: base + offset, logId }
      const { items, end } = inspectPage(place, offset === 0 ? segmentHeaderBytes : 0, pageBytes)
      for (const item of items) this.#item(place, offset, item)
      await this.#visit(place, items, offset, end)
    }
    return {
      id,
      header: this.#header,
      isHeaderIntact: this.#isHeaderIntact,
      frames: this.#frames,
      blocks: this.#blocks,
      records: this.#records,
      recordBytes: this.#recordBytes,
      internal: this.#internal,
      isSealed: this.#isSealed,
      isClosed: this.#isClosed,
      end: this.#end,
      isLastBroken: this.#isLastBroken,
      firstFrame: this.#firstFrame,
      lastFrame: this.#lastFrame,
      damage: this.#damage,
    }
  }

  #item(place: FramePlace, offset: number, item: PageItem): void {
    if (item.kind === 'gap') {
      this.#report(offset + item.at, offset + item.end, 'there is no intact frame header', 'lost')
      this.#isBehindDamage = true
      return
    }
    const { header, at } = item
    if (!this.#walk.fits(header) && !this.#isBehindDamage) this.#reportMisfit(offset + at, header)
    this.#isBehindDamage = false
    this.#walk.startAfter(header)
    this.#frames++
    this.#firstFrame ??= header
    this.#lastFrame = header
    this.#end = offset + at + header.bytes
    this.#isClosed = false
    this.#isLastBroken = !item.isTableIntact || item.badBlocks.length > 0
    if (!item.isTableIntact) {
      this.#report(offset + at, this.#end, 'the block table of this frame does not pass its check', 'lost')
      return
    }
    for (const { start, end } of item.badBlocks)
      this.#report(offset + start, offset + end, 'this block does not pass its check', 'lost')
    this.#countBlocks(place, item)
  }

  /** Intact by itself, but not what comes after the last one: what should stand between is gone. */
  #reportMisfit(offset: number, header: FrameHeader): void {
    const isAdjacent = offset === this.#end
    const what = `the frame at position ${header.position} does not continue the one before`
    this.#report(isAdjacent ? offset : this.#end, isAdjacent ? offset + frameHeaderBytes : offset, what, 'lost')
  }

  #countBlocks(place: FramePlace, item: PageItem & { kind: 'frame' }): void {
    const { at, header, badBlocks } = item
    let start = at + frameHeaderBytes
    let entry = start + header.payloadBytes
    for (let block = 0; block < header.blocks; block++, entry += blockEntryBytes) {
      const end = start + place.view.getUint32(entry, true)
      this.#blocks++
      if (!isBad(badBlocks, start)) this.#countRecords(place, start, end)
      start = end
    }
  }

  #countRecords(place: FramePlace, from: number, end: number): void {
    for (let at = from; at < end; ) {
      const length = place.view.getUint32(at, true)
      const next = at + recordHeaderBytes + (length & recordLengthMask)
      if (length < internalRecordFlag) {
        this.#records++
        this.#recordBytes += length
      } else {
        const record = decodeInternal(place.bytes.subarray(at + recordHeaderBytes, next))
        this.#internal.push(record)
        if (record.kind === 'sealed') this.#isSealed = true
        if (record.kind === 'closed') this.#isClosed = true
      }
      at = next
    }
  }

  #report(from: number, to: number, what: string, consequence: Damage['consequence']): void {
    const { id, base } = this.#header
    this.#damage.push({
      file: segmentName(id),
      from,
      to,
      positions: { from: base + from, to: base + to },
      what,
      consequence,
    })
  }
}
