/**
 * Walks the last segment of a log: which frames are valid, what the log's own records say, and how the walk ended.
 */
import type { Files } from '../../base/files.ts'
import { viewOf } from './byte-codec.ts'
import { segmentHeaderBytes } from './format.ts'
import type { FrameHeader, FramePlace } from './frame.ts'
import { FrameWalk } from './frame-walk.ts'
import { type InternalRecord, idsOf } from './internal-record.ts'
import { visitInternal } from './replay.ts'
import { segmentName } from './segment.ts'
import type { SegmentHeader } from './segment-header.ts'

/** The end of a log. */
export interface Tail {
  readonly header: SegmentHeader
  readonly logId: Uint8Array
  /** Stands behind the last valid frame. */
  readonly walk: FrameWalk
  /** It holds at least one valid frame. */
  readonly isStarted: boolean
  /** File offset behind the last valid frame. */
  readonly end: number
  /** How the walk ended: at nothing, or at a frame that was begun and is not whole. */
  readonly stop: 'absent' | 'broken'
  readonly isSealed: boolean
  readonly isClosed: boolean
  readonly term: number
  /** Position of the last record that is not the log's own; the segment's base when there is none in it. */
  readonly lastPosition: number
  /** Null when no list of live segments was found, which each segment begins with. */
  readonly live: ReadonlySet<number> | null
  /** A frame with this header proves that the one after the tail's last was stored. */
  isOvertakenBy(header: FrameHeader): boolean
}

export interface TailOptions {
  readonly files: Files
  readonly directory: string
}

export class TailWalk {
  readonly #options: TailOptions
  readonly #header: SegmentHeader
  readonly #logId: Uint8Array
  readonly #walk = new FrameWalk()
  #live: Set<number> | null = null
  #end = segmentHeaderBytes
  #stop: Tail['stop'] = 'absent'
  #isSealed = false
  #isClosed = false
  #term = 0
  #lastPosition: number

  constructor(options: TailOptions, header: SegmentHeader, logId: Uint8Array) {
    this.#options = options
    this.#header = header
    this.#logId = logId
    this.#lastPosition = header.base
  }

  async run(): Promise<Tail> {
    const { span, pageBytes, base, id } = this.#header
    const file = await this.#options.files.open(`${this.#options.directory}/${segmentName(id)}`, 'read')
    try {
      const bytes = new Uint8Array(pageBytes)
      const view = viewOf(bytes)
      for (let offset = 0; offset < span && !this.#isSealed; offset += pageBytes) {
        const count = await file.read(bytes, 0, pageBytes, offset)
        const place = { bytes, view, position: base + offset, logId: this.#logId }
        if (!this.#page(place, offset, count)) break
      }
    } finally {
      await file.close()
    }
    return this.#result()
  }

  /** False when the log ends before this page: it does not begin with the next frame. */
  #page(place: FramePlace, offset: number, end: number): boolean {
    let at = offset === 0 ? segmentHeaderBytes : 0
    const from = at
    const { header } = this.#walk
    while (at < end && !this.#isSealed) {
      const state = this.#walk.step(place, at, end)
      if (state === 'broken') this.#stop = 'broken'
      if (state !== 'intact') break
      this.#isClosed = false
      const last = visitInternal(place, at, header, (record) => this.#apply(record))
      if (last > 0) this.#lastPosition = last
      at += header.bytes
      this.#end = offset + at
    }
    return at > from && this.#stop === 'absent'
  }

  #apply(record: InternalRecord): void {
    switch (record.kind) {
      case 'epoch':
        this.#term = Math.max(this.#term, record.term)
        break
      case 'segments':
        this.#term = Math.max(this.#term, record.term)
        this.#live = idsOf(record.live).add(this.#header.id)
        break
      case 'freed':
        this.#live?.delete(record.segment)
        break
      case 'sealed':
        this.#isSealed = true
        break
      case 'closed':
        this.#isClosed = true
        break
      case 'lost':
        break
    }
  }

  #isOvertakenBy(header: FrameHeader): boolean {
    // Of a log that holds nothing only the very first frame can be torn.
    if (!this.#walk.isStarted) return header.k > 0 || header.position !== this.#header.base + segmentHeaderBytes
    return this.#walk.isNewer(header) && !this.#walk.fits(header)
  }

  #result(): Tail {
    return {
      header: this.#header,
      logId: this.#logId,
      walk: this.#walk,
      isStarted: this.#walk.isStarted,
      end: this.#end,
      stop: this.#stop,
      isSealed: this.#isSealed,
      isClosed: this.#isClosed,
      term: this.#term,
      lastPosition: this.#lastPosition,
      live: this.#live,
      isOvertakenBy: (header) => this.#isOvertakenBy(header),
    }
  }
}
