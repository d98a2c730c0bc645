/**
 * Shows every record of a segment to a visitor: each block checked before its records are seen, each frame bound to the
 * one before. The next page is read while this one is visited.
 */
import type { Clock } from '../../base/clock.ts'
import type { RecordVisitor } from '../log.ts'
import { viewOf } from './byte-codec.ts'
import {
  blockEntryBytes,
  frameHeaderBytes,
  internalRecordFlag,
  recordHeaderBytes,
  recordLengthMask,
  segmentHeaderBytes,
} from './format.ts'
import { FrameHeader, type FramePlace, findFrame, isBlockIntact } from './frame.ts'
import { FrameWalk } from './frame-walk.ts'
import { decodeInternal, type InternalRecord } from './internal-record.ts'
import { damagedRange, type LogSegment } from './segment.ts'
import type { SegmentReader } from './segment-reader.ts'

const sliceMs = 2

export interface ReplayOptions {
  readonly reader: SegmentReader
  readonly clock: Clock
  readonly logId: Uint8Array
  readonly pageBytes: number
}

export class SegmentReplay {
  readonly #options: ReplayOptions
  readonly #segment: LogSegment
  readonly #visit: RecordVisitor
  readonly #walk = new FrameWalk()
  /** Frames of an open segment end here; a sealed one ends with its `sealed` record. */
  readonly #end: number
  #isSealSeen = false
  /** Offset behind the last intact frame. */
  #reached = segmentHeaderBytes
  /** One is visited while the other is read into. */
  readonly #buffers: readonly Uint8Array[]
  #sliceStart: number

  constructor(options: ReplayOptions, segment: LogSegment, visit: RecordVisitor) {
    this.#options = options
    this.#segment = segment
    this.#visit = visit
    this.#end = segment.isSealed ? segment.span : segment.committedEnd
    this.#buffers = [new Uint8Array(options.pageBytes), new Uint8Array(options.pageBytes)]
    this.#sliceStart = options.clock.monotonic()
  }

  async run(): Promise<void> {
    const { pageBytes } = this.#options
    let ahead = this.#readPage(0)
    for (let offset = 0; offset < this.#end && !this.#isSealSeen; offset += pageBytes) {
      const place = await ahead
      const next = offset + pageBytes
      ahead = next < this.#end ? this.#readPage(next) : ahead
      // It is awaited in the next round, or never when this page ends the replay.
      ahead.catch(() => {})
      await this.#page(place, offset, Math.min(pageBytes, this.#end - offset))
    }
    if (this.#segment.isSealed && !this.#isSealSeen)
      throw this.#damaged(this.#reached, this.#segment.span, 'the segment has lost its end')
  }

  async #readPage(offset: number): Promise<FramePlace> {
    const { reader, logId, pageBytes } = this.#options
    const bytes = this.#buffers[(offset / pageBytes) & 1] as Uint8Array
    const count = await reader.read(this.#segment.id, bytes, pageBytes, offset)
    bytes.fill(0, count)
    return { bytes, view: viewOf(bytes), position: this.#segment.base + offset, logId }
  }

  async #page(place: FramePlace, offset: number, end: number): Promise<void> {
    let at = offset === 0 ? segmentHeaderBytes : 0
    const { header } = this.#walk
    while (at < end && !this.#isSealSeen) {
      const state = this.#walk.look(place, at, end)
      if (state === 'absent' && this.#isRestUnused(place, at, end)) return
      if (state === 'misfit')
        throw this.#damaged(offset + at, offset + at + header.bytes, 'the frame does not continue the one before')
      if (state === 'broken')
        throw this.#damaged(offset + at, offset + at + header.bytes, 'the block table does not pass its check')
      if (state === 'absent') throw this.#damaged(offset + at, offset + end, 'there is no intact frame header')
      await this.#frame(place, at, offset)
      this.#walk.accept()
      at += header.bytes
      this.#reached = offset + at
    }
  }

  /**
   * A page may end with bytes that no frame needed. Whether a frame is missing there shows in the chain of the next page's
   * first frame; in the last page of an open segment the last frame's place is known.
   */
  #isRestUnused(place: FramePlace, at: number, end: number): boolean {
    const isLastOfOpen = !this.#segment.isSealed && place.position + end === this.#segment.base + this.#end
    return !isLastOfOpen && this.#walk.isStarted && findFrame(place, at, end, new FrameHeader()) < 0
  }

  async #frame(place: FramePlace, at: number, offset: number): Promise<void> {
    const { payloadBytes, blocks } = this.#walk.header
    const { clock } = this.#options
    let start = at + frameHeaderBytes
    let entry = start + payloadBytes
    for (let block = 0; block < blocks; block++, entry += blockEntryBytes) {
      const end = start + place.view.getUint32(entry, true)
      if (!isBlockIntact(place, entry, start))
        throw this.#damaged(offset + start, offset + end, 'the block does not pass its check')
      this.#records(place, start, end)
      start = end
      if (clock.monotonic() - this.#sliceStart < sliceMs) continue
      await new Promise<void>((resolve) => clock.soon(resolve))
      this.#sliceStart = clock.monotonic()
    }
  }

  #records(place: FramePlace, from: number, end: number): void {
    const { bytes, view, position } = place
    for (let at = from; at < end; ) {
      const length = view.getUint32(at, true)
      const start = at + recordHeaderBytes
      const next = start + (length & recordLengthMask)
      if (length < internalRecordFlag) this.#visit(position + at, bytes, start, next)
      else if (decodeInternal(bytes.subarray(start, next)).kind === 'sealed') this.#isSealSeen = true
      at = next
    }
  }

  #damaged(from: number, to: number, why: string): Error {
    const { reader } = this.#options
    return damagedRange(reader.path(this.#segment.id), this.#segment.base, from, to, why)
  }
}

/** Calls back for each internal record of an intact frame, and returns the position of its last other record (0: none). */
export function visitInternal(
  place: FramePlace,
  at: number,
  header: FrameHeader,
  visit: (record: InternalRecord) => void,
): number {
  const end = at + frameHeaderBytes + header.payloadBytes
  let last = 0
  for (let record = at + frameHeaderBytes; record < end; ) {
    const length = place.view.getUint32(record, true)
    const next = record + recordHeaderBytes + (length & recordLengthMask)
    if (length >= internalRecordFlag) visit(decodeInternal(place.bytes.subarray(record + recordHeaderBytes, next)))
    else last = place.position + record
    record = next
  }
  return last
}
