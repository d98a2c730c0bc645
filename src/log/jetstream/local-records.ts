/** What the directory of a replica holds when it is opened. */
import type { Clock } from '../../base/clock.ts'
import { SegmentReplay } from '../file/replay.ts'
import { LogSegment, sortNames } from '../file/segment.ts'
import { SegmentReader } from '../file/segment-reader.ts'
import type { RecordVisitor } from '../log.ts'
import type { SegmentPlace } from './frame-stream.ts'
import type { LocalCopy } from './local-copy.ts'
import type { StreamTail } from './stream-tail.ts'

export interface LocalRecordsOptions {
  readonly tail: StreamTail
  readonly copy: LocalCopy
  readonly clock: Clock
}

export class LocalRecords {
  readonly #options: LocalRecordsOptions

  constructor(options: LocalRecordsOptions) {
    this.#options = options
  }

  /** Visits the records of all live segments. Rejects with `LogDamaged`; the directory then counts for nothing. */
  async tell(visit: RecordVisitor): Promise<void> {
    const { tail, copy, clock } = this.#options
    const reader = new SegmentReader(copy.files, copy.directory)
    try {
      for (const segment of liveSegments(tail)) {
        const { pageBytes } = tail.open ?? { pageBytes: 0 }
        await new SegmentReplay({ reader, clock, logId: tail.logId, pageBytes }, segment, visit).run()
      }
    } catch (error) {
      copy.distrust()
      throw error
    } finally {
      await reader.close()
    }
  }

  /** Ids of sealed segments without a digest. */
  async withoutDigest(): Promise<number[]> {
    const { tail, copy } = this.#options
    const { digests } = sortNames(await copy.files.list(copy.directory))
    return liveSegments(tail)
      .filter(({ id, isSealed }) => isSealed && !digests.includes(id))
      .map(({ id }) => id)
  }
}

/** The live segments as a file log has them. */
export function liveSegments({ segments, end, isSealed }: TailSegments): LogSegment[] {
  return segments.map(({ id, base, span }, index) => {
    const segment = new LogSegment(id, base, span)
    const isLast = index === segments.length - 1
    segment.isSealed = !isLast || isSealed
    if (isLast) segment.committedEnd = end
    return segment
  })
}

interface TailSegments {
  /** Live, ascending. */
  readonly segments: readonly SegmentPlace[]
  /** File offset behind the last frame of the last one. */
  readonly end: number
  readonly isSealed: boolean
}
