/**
 * Makes the owner of a log out of a replica that has read all there was to read.
 *
 * 1. Read on until there is nothing more, be it that it was trimmed: then all is to be read anew. That is a hint; what decides is the next step.
 * 2. Open the file log on the directory as it stands; its first frame begins the epoch, and is appended right behind what was read.
 * 3. Another frame stands there: one of the owner before is taken in, and 1. A rival's epoch with a term of at least ours:
 *    deposed.
 * 4. The epoch's frame is read back from the stream. Only then is this node the owner.
 *
 * Nothing in the directory is copied or looked through: the replica knows what is in it.
 */
import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import { firstSegmentBytesDefault, segmentBytesDefault } from '../file/file-log-options.ts'
import { FrameWalk } from '../file/frame-walk.ts'
import type { Recovered } from '../file/recovery.ts'
import { segmentName } from '../file/segment.ts'
import { LogDamaged, LogDeposed, LogFailed, recordBytesMax } from '../log.ts'
import type { SegmentPlace, StreamFrame } from './frame-stream.ts'
import type { LocalCopy } from './local-copy.ts'
import { liveSegments } from './local-records.ts'
import { checkNotOutrun, LogOutrun } from './outrun.ts'
import { OwnedLog } from './owned-log.ts'
import type { ReplicaOptions, ReplicatedLog } from './replica.ts'
import { FrameOvertaken, StreamFrameStore } from './stream-frame-store.ts'
import { StreamRoom } from './stream-room.ts'
import type { StreamTail } from './stream-tail.ts'
import { StreamTrim } from './stream-trim.ts'

export interface TakeOverParts {
  readonly options: ReplicaOptions
  readonly name: string
  readonly logger: Logger
  readonly tail: StreamTail
  readonly copy: LocalCopy
  /** Takes the next frame of the stream into the replica. */
  take(frame: StreamFrame): Promise<void>
  /** Throws when the directory misses something. */
  checkWhole(): void
}

/** So that a frame with its headers stays below what the servers take. */
export const pageBytesMax = 512 * 1024
/** An append of this size takes little longer than a small one; a larger one makes all behind it wait. */
const frameBytesMax = 256 * 1024
/** So much of a page a record may take: room for those to many queues. */
const recordPageShare = 3 / 4
/** Between two attempts to read, in milliseconds, when nobody answers. */
const retryMs = 100

export class TakeOver {
  readonly #parts: TakeOverParts
  #store: StreamFrameStore | null = null
  #isGivenUp = false
  #endPause: () => void = () => {}
  /** The directory holds what the tail speaks of. */
  isLevel = true

  constructor(parts: TakeOverParts) {
    this.#parts = parts
  }

  async run(term: number): Promise<ReplicatedLog> {
    const { tail, copy, name, checkWhole } = this.#parts
    for (;;) {
      await this.#readOn()
      checkWhole()
      await copy.settle()
      const ours = Math.max(term, tail.term + 1)
      const log = await this.#open(ours)
      try {
        await log.begin()
        return log
      } catch (error) {
        await log.close().catch(() => {})
        if (!(error instanceof FrameOvertaken)) {
          this.isLevel = this.#store?.hasFailed === true
          throw error
        }
        const { term: theirs } = tail.judge(error.frame)
        await this.#parts.take(error.frame)
        if (theirs >= ours) throw new LogDeposed(`log '${name}' was taken by another owner, with term ${theirs}`)
      }
    }
  }

  giveUp(): void {
    this.#isGivenUp = true
    this.#endPause()
    this.#store?.end(this.#givenUp())
  }

  #givenUp(): LogFailed {
    return new LogFailed(`log '${this.#parts.name}': taking over was given up`)
  }

  async #readOn(): Promise<void> {
    const { take } = this.#parts
    for (;;) {
      const frame = await this.#untilAnswered(() => this.#readNext())
      if (frame === null) return
      await take(frame)
    }
  }

  async #readNext(): Promise<StreamFrame | null> {
    const { tail, options, name } = this.#parts
    const frame = await options.stream.read(tail.sequence + 1)
    if (frame === null) await checkNotOutrun(options.stream, tail, name)
    return frame
  }

  async #untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    const { clock } = this.#parts.options
    for (;;) {
      if (this.#isGivenUp) throw this.#givenUp()
      try {
        return await ask()
      } catch (error) {
        if (error instanceof LogOutrun) throw error
      }
      if (this.#isGivenUp) throw this.#givenUp()
      await new Promise<void>((resolve) => {
        const timer = clock.after(retryMs, resolve)
        this.#endPause = () => {
          timer.cancel()
          resolve()
        }
      })
    }
  }

  async #open(termMin: number): Promise<OwnedLog> {
    const { options, tail, copy, logger, name } = this.#parts
    const { stream, clock, random } = options
    const first = await this.#firstSegment()
    await copy.keepOnly(first === null ? tail.segments : [first])
    if (this.#isGivenUp) throw this.#givenUp()
    const common = { stream, tail, copy, clock, logger, name }
    const room = new StreamRoom(stream, clock)
    const trim = new StreamTrim({ ...common, room })
    const recovered = this.#recovered(first)
    const store = new StreamFrameStore({ ...common, room, trim, pageBytes: recovered.pageBytes })
    this.#store = store
    const { segmentBytes, firstSegmentBytes, cacheBytes, roomBytesMin, gatherMs = 0 } = options
    const fileOptions = {
      files: copy.files,
      directory: copy.directory,
      clock,
      random,
      logger,
      name,
      pageBytes: recovered.pageBytes,
      frameBytesMax,
      recordBytesMax: Math.min(recordBytesMax, recordPageShare * recovered.pageBytes),
      termMin,
      gatherMs,
      ...(segmentBytes !== undefined && { segmentBytes }),
      ...(firstSegmentBytes !== undefined && { firstSegmentBytes }),
      ...(cacheBytes !== undefined && { cacheBytes }),
      ...(roomBytesMin !== undefined && { roomBytesMin }),
    }
    return new OwnedLog(fileOptions, recovered, { stream, tail, copy, store, room, trim })
  }

  /** Made when the log is new; null when it is not. */
  async #firstSegment(): Promise<SegmentPlace | null> {
    const { options, tail, copy } = this.#parts
    if (tail.isStarted) return null
    if (tail.sequence > 0) {
      throw new LogDamaged(`log '${this.#parts.name}': the stream once held ${tail.sequence} frames and holds none`)
    }
    const segmentBytes = options.segmentBytes ?? segmentBytesDefault
    const span = Math.min(options.firstSegmentBytes ?? firstSegmentBytesDefault, segmentBytes)
    const pageBytes = options.pageBytes ?? pageBytesMax
    assert(
      pageBytes <= pageBytesMax && span >= 2 * pageBytes,
      'a frame fits into a message, and a segment has two pages',
    )
    const first = { id: 0, base: 0, span, pageBytes }
    await copy.makeSegment(first)
    return first
  }

  /** What the recovery of a file log would find, known without looking. */
  #recovered(first: SegmentPlace | null): Recovered {
    const { tail } = this.#parts
    const walk = new FrameWalk()
    if (tail.isStarted) walk.startAfter(tail.walk)
    const last = first ?? tail.open
    if (last === undefined) throw new LogFailed(`log '${this.#parts.name}' has no segment`)
    const header = { ...last, logId: tail.logId }
    const { end, isSealed } = tail
    const segments = liveSegments({ segments: first === null ? tail.segments : [first], end, isSealed })
    return {
      logId: tail.logId,
      pageBytes: last.pageBytes,
      segments,
      tail: {
        header,
        logId: tail.logId,
        walk,
        isStarted: tail.isStarted,
        end,
        stop: 'absent',
        isSealed,
        isClosed: false,
        term: tail.term,
        lastPosition: tail.lastPosition,
        live: new Set(segments.map(({ id }) => id)),
        isOvertakenBy: () => false,
      },
      prepared: [],
      spares: [],
      report: {
        isClean: true,
        isTorn: false,
        file: segmentName(last.id),
        offset: end,
        position: last.base + end,
        copiedBytes: 0,
      },
    }
  }
}
