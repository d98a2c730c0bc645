/**
 * The end of a replicated log as its stream tells it: which frames count, and what the log's own records say. The same for
 * every reader, since all see the same frames in the same order:
 *
 * valid   it continues the chain: the next k of the current epoch, or the first frame of a new epoch with a higher term
 * void    of another epoch, or a repeat: of an owner that did not know that it was deposed, or sent twice. Skipped.
 * damage  anything else: not intact, of another log, of the current epoch but not the next one
 *
 * A log's first frame, or after trimming the first of its oldest segment, is taken at its word.
 */
import { assert } from '../../base/assert.ts'
import { areEqual, readUint64, viewOf } from '../file/byte-codec.ts'
import { frameHeaderBytes, segmentHeaderBytes } from '../file/format.ts'
import { decodeFrameHeader, FrameHeader, type FramePlace, isFrameIntact } from '../file/frame.ts'
import { FrameWalk } from '../file/frame-walk.ts'
import { type InternalRecord, idsOf } from '../file/internal-record.ts'
import { visitInternal } from '../file/replay.ts'
import { LogDamaged } from '../log.ts'
import { FrameMarks } from './frame-marks.ts'
import type { SegmentPlace, StreamFrame } from './frame-stream.ts'

/** A segment that is live as far as the frames up to now say. */
export interface TailSegment extends SegmentPlace {
  /** Sequence of its first frame. */
  readonly firstSequence: number
}

/** A frame that was judged. Overwritten by the next one. */
export interface Judged {
  readonly verdict: 'valid' | 'void'
  readonly place: FramePlace
  readonly header: FrameHeader
  /** It begins an epoch, with this term; 0: it does not. */
  readonly term: number
}

/** What is remembered of a tail over a restart. */
export interface TailState {
  readonly sequence: number
  /** Of the last frame that counts. */
  readonly frameSequence: number
  readonly epoch: number
  readonly k: number
  readonly ordinal: number
  readonly chain: number
  readonly term: number
  readonly lastPosition: number
  /** File offset behind the last frame of the last segment. */
  readonly end: number
  readonly isSealed: boolean
  /** Live, ascending. */
  readonly segments: readonly TailSegment[]
}

export class StreamTail {
  readonly #logId: Uint8Array
  readonly #name: string
  readonly #header = new FrameHeader()
  readonly walk = new FrameWalk()
  readonly marks = new FrameMarks()
  /** The last sequence whose content is known, void ones too. */
  sequence = 0
  /** Of the last frame that counts. */
  frameSequence = 0
  term = 0
  /** Of the last record that is not the log's own. */
  lastPosition = 0
  end = segmentHeaderBytes
  isSealed = false
  segments: readonly TailSegment[] = []

  constructor(logId: Uint8Array, name: string) {
    this.#logId = logId
    this.#name = name
  }

  get logId(): Uint8Array {
    return this.#logId
  }

  get open(): TailSegment | undefined {
    return this.segments.at(-1)
  }

  get isStarted(): boolean {
    return this.walk.isStarted
  }

  // ---- state

  get state(): TailState {
    const { epoch, k, ordinal, chain } = this.walk
    const { sequence, frameSequence, term, lastPosition, end, isSealed, segments } = this
    return { sequence, frameSequence, epoch, k, ordinal, chain, term, lastPosition, end, isSealed, segments }
  }

  restore(state: TailState): void {
    this.walk.startAfter(state)
    this.sequence = state.sequence
    this.frameSequence = state.frameSequence
    this.term = state.term
    this.lastPosition = state.lastPosition
    this.end = state.end
    this.isSealed = state.isSealed
    this.segments = state.segments
  }

  // ---- frames

  /** Looks at a frame and changes nothing. Throws `LogDamaged` when it should not be there, `FormatUnknown` for another version. */
  judge(frame: StreamFrame): Judged {
    const { bytes } = frame
    const view = viewOf(bytes)
    const position = bytes.byteLength >= frameHeaderBytes ? readUint64(view, 24) : 0
    const place: FramePlace = { bytes, view, position, logId: this.#logId }
    const header = this.#header
    if (!decodeFrameHeader(place, 0, bytes.byteLength, header) || header.bytes !== bytes.byteLength) {
      throw this.#damaged(frame, this.#isOfAnotherLog(bytes) ? 'is of another log' : 'is no intact frame')
    }
    if (!isFrameIntact(place, 0, header)) throw this.#damaged(frame, 'does not pass its checks')
    const { base, span } = frame.segment
    if (header.position < base + segmentHeaderBytes || header.position + header.bytes > base + span) {
      throw this.#damaged(frame, `says that it is of segment ${frame.segment.id}, in which its place is not`)
    }
    const isFirst = header.k === 0 && header.epoch === header.position
    const term = isFirst ? termOf(place, header) : 0
    if (!this.isStarted) {
      if (header.position !== frame.segment.base + segmentHeaderBytes || !this.walk.fits(header)) {
        throw this.#damaged(frame, 'comes first and begins no segment')
      }
      return { verdict: 'valid', place, header, term }
    }
    if (isFirst && term > this.term && this.walk.fits(header)) return { verdict: 'valid', place, header, term }
    // Rivals that begin at the same place name the same epoch; what the loser sent there is a repeat to us.
    const isOfOthers = header.epoch !== this.walk.epoch
    if (isOfOthers || header.k <= this.walk.k) return { verdict: 'void', place, header, term }
    if (this.walk.fits(header)) return { verdict: 'valid', place, header, term: 0 }
    throw this.#damaged(frame, `is number ${header.k} of its epoch and does not follow number ${this.walk.k}`)
  }

  /** What `judge` says of a frame that this node has built itself to come next. */
  trust(frame: StreamFrame): Judged {
    const view = viewOf(frame.bytes)
    const place: FramePlace = { bytes: frame.bytes, view, position: readUint64(view, 24), logId: this.#logId }
    const isIntact = decodeFrameHeader(place, 0, frame.bytes.byteLength, this.#header)
    assert(isIntact && (this.walk.fits(this.#header) || !this.isStarted), 'an own frame continues the chain')
    return { verdict: 'valid', place, header: this.#header, term: 0 }
  }

  /** What the header of a stored frame says of its place in the log. */
  describe(frame: StreamFrame): { readonly ordinal: number; readonly chain: number } {
    const place = { bytes: frame.bytes, view: viewOf(frame.bytes), position: 0, logId: this.#logId }
    const position = frame.bytes.byteLength >= frameHeaderBytes ? readUint64(place.view, 24) : 0
    if (!decodeFrameHeader({ ...place, position }, 0, frame.bytes.byteLength, this.#header)) {
      throw this.#damaged(frame, 'is no intact frame')
    }
    return { ordinal: this.#header.ordinal, chain: this.#header.chain }
  }

  /** Takes a frame as the next one: a void one is only counted. Tells the ids of segments that it frees. */
  accept(frame: StreamFrame, judged: Judged): number[] {
    this.sequence = frame.sequence
    if (judged.verdict === 'void') return []
    this.frameSequence = frame.sequence
    const { place, header } = judged
    const { segment } = frame
    const before = this.segments
    if (this.open?.id !== segment.id) this.#beginSegment(frame)
    const last = visitInternal(place, 0, header, (record) => this.#apply(record))
    if (last > 0) this.lastPosition = last
    this.walk.startAfter(header)
    this.marks.add(header.ordinal, header.chain)
    this.end = header.position - segment.base + header.bytes
    return before.filter(({ id }) => !this.segments.some((other) => other.id === id)).map(({ id }) => id)
  }

  #beginSegment(frame: StreamFrame): void {
    const { segment, sequence } = frame
    const open = this.open
    if (open !== undefined && segment.base < open.base + open.span) {
      throw this.#damaged(frame, `says that it is of segment ${segment.id}, which begins within segment ${open.id}`)
    }
    this.segments = [...this.segments, { ...segment, firstSequence: sequence }]
    this.isSealed = false
    this.end = segmentHeaderBytes
  }

  #apply(record: InternalRecord): void {
    switch (record.kind) {
      case 'epoch':
        this.term = Math.max(this.term, record.term)
        break
      case 'segments': {
        this.term = Math.max(this.term, record.term)
        const live = idsOf(record.live)
        const open = this.open?.id
        this.segments = this.segments.filter(({ id }) => live.has(id) || id === open)
        break
      }
      case 'freed':
        this.segments = this.segments.filter(({ id }) => id !== record.segment)
        break
      case 'sealed':
        this.isSealed = true
        break
      case 'closed':
      case 'lost':
        break
    }
  }

  #isOfAnotherLog(bytes: Uint8Array): boolean {
    return bytes.byteLength >= frameHeaderBytes && !areEqual(bytes, 8, this.#logId, 0, 16)
  }

  #damaged(frame: StreamFrame, why: string): LogDamaged {
    return this.damagedAt(frame.sequence, why)
  }

  damagedAt(sequence: number, why: string): LogDamaged {
    return new LogDamaged(`log '${this.#name}': the message at sequence ${sequence} of its stream ${why}`)
  }
}

/** The term in an epoch's first frame. */
function termOf(place: FramePlace, header: FrameHeader): number {
  let term = 0
  visitInternal(place, 0, header, (record) => {
    if (record.kind === 'epoch') term = record.term
  })
  return term
}
