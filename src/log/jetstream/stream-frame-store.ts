/**
 * Stores the frames of an owner in the stream, one after the other. An append that is not acknowledged is UNKNOWN, whatever
 * the answer says: nothing new is sent until it is resolved by reading what stands behind the last sequence whose content
 * is known.
 *
 *   there, identical     it was stored
 *   there, void          counted, and looked further
 *   there, a new epoch   deposed
 *   not there            proves nothing: the identical frame is sent again, expecting the same sequence
 *   trimmed              another owner has been there since, and has done with it
 *
 * Two copies can not both stand there, and a later copy is void by its number in the epoch.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { FrameStore, StoredSegment } from '../file/frame-store.ts'
import { LogDamaged, LogDeposed, LogFailed } from '../log.ts'
import type { AppendOutcome, FrameStream, SegmentPlace, StreamFrame } from './frame-stream.ts'
import type { LocalCopy } from './local-copy.ts'
import { checkNotOutrun, LogOutrun } from './outrun.ts'
import type { StreamRoom } from './stream-room.ts'
import type { StreamTail } from './stream-tail.ts'
import type { StreamTrim } from './stream-trim.ts'

export interface FrameStoreOptions {
  readonly stream: FrameStream
  readonly tail: StreamTail
  readonly copy: LocalCopy
  readonly room: StreamRoom
  readonly trim: StreamTrim
  readonly pageBytes: number
  readonly clock: Clock
  readonly logger: Logger
  readonly name: string
}

/** Between two attempts, in milliseconds: the first pause, the longest, and the one after the stream said that it is full. */
const pauseMs = { first: 5, most: 500, full: 1_000 } as const

/** While this node was taking over, another owner has stored a frame in the place of the epoch's first. */
export class FrameOvertaken extends LogFailed {
  readonly frame: StreamFrame

  constructor(frame: StreamFrame) {
    super(`a frame of another owner stands at sequence ${frame.sequence}`)
    this.frame = frame
  }
}

export class StreamFrameStore implements FrameStore {
  readonly #options: FrameStoreOptions
  #ended: Error | null = null
  #reject: (error: Error) => void = () => {}
  #pausing: { timer: Timer; resolve: () => void } | null = null
  /** The frame that opened the epoch of this owner, once it is stored. */
  #epochFrame: StreamFrame | null = null
  /** The outcome of an append has not been known for more than one attempt. */
  isStalled = false
  /** A frame could not be stored. */
  hasFailed = false

  constructor(options: FrameStoreOptions) {
    this.#options = options
  }

  // ---- FrameStore

  store(bytes: Uint8Array, segment: StoredSegment): Promise<void> {
    const { tail, copy, pageBytes } = this.#options
    // All frames before this one have been written to the directory.
    if (tail.isSealed) copy.saveLevel(tail.state)
    copy.touch(segment.id)
    const { id, base, span } = segment
    return new Promise((resolve, reject) => {
      this.#reject = reject
      this.#store(bytes, { id, base, span, pageBytes }).then(resolve, (error: unknown) => {
        this.hasFailed = true
        reject(error)
      })
    })
  }

  freed(segmentId: number): void {
    this.#options.trim.freed(segmentId)
  }

  // ---- one frame

  async #store(bytes: Uint8Array, segment: SegmentPlace): Promise<void> {
    const { stream, tail } = this.#options
    for (let attempt = 0; ; attempt++) {
      this.#checkNotEnded()
      const expected = tail.sequence
      const outcome = await stream.append(expected, segment, bytes)
      this.#checkNotEnded()
      if (outcome.kind === 'stored' && outcome.sequence === expected + 1) {
        return this.#accept({ sequence: expected + 1, segment, bytes })
      }
      if (await this.#isThere(bytes)) return
      if (attempt > 0) await this.#checkNotTrimmed()
      this.#noteUnknown(outcome, attempt)
      await this.#pause(outcome.kind === 'unknown' && outcome.isFull ? pauseMs.full : pauseOf(attempt))
    }
  }

  /** Reads on from the last known sequence until the frame is found there, or nothing is. */
  async #isThere(bytes: Uint8Array): Promise<boolean> {
    const { stream, tail, name } = this.#options
    for (;;) {
      const found = await stream.read(tail.sequence + 1).catch(() => null)
      this.#checkNotEnded()
      if (found === null) return false
      if (Buffer.compare(found.bytes, bytes) === 0) {
        this.#accept(found)
        return true
      }
      const judged = tail.judge(found)
      if (judged.verdict === 'void') {
        tail.accept(found, judged)
        continue
      }
      if (this.#epochFrame === null) throw new FrameOvertaken(found)
      if (judged.term > 0) {
        throw new LogDeposed(
          `log '${name}' has another owner since sequence ${found.sequence}, with term ${judged.term}`,
        )
      }
      throw new LogDamaged(`log '${name}': another frame of this owner's epoch stands at sequence ${found.sequence}`)
    }
  }

  /** Who has an epoch and is outrun was deposed; who has none yet has to read what the owner before has written. */
  async #checkNotTrimmed(): Promise<void> {
    const { stream, tail, name } = this.#options
    const outrun = await checkNotOutrun(stream, tail, name).then(
      () => null,
      (error: unknown) => error,
    )
    this.#checkNotEnded()
    if (!(outrun instanceof LogOutrun)) return
    if (this.#epochFrame === null) throw outrun
    throw new LogDeposed(
      `log '${name}' has had another owner since sequence ${tail.sequence + 1}, which has been trimmed meanwhile`,
    )
  }

  #accept(frame: StreamFrame): void {
    const { tail, room } = this.#options
    if (this.#epochFrame === null) this.#epochFrame = { ...frame, bytes: frame.bytes.slice() }
    tail.accept(frame, tail.trust(frame))
    room.appended(frame.bytes.byteLength)
    this.isStalled = false
  }

  #noteUnknown(outcome: AppendOutcome, attempt: number): void {
    const { room, logger, name, tail } = this.#options
    const reason = outcome.kind === 'unknown' ? outcome.reason : `acknowledged at sequence ${outcome.sequence}`
    if (outcome.kind === 'unknown' && outcome.isFull) room.refused()
    if (attempt === 0) return
    if (!this.isStalled) logger.warn({ log: name, reason, after: tail.sequence }, 'a frame waits to be stored')
    this.isStalled = true
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, () => {
        this.#pausing = null
        resolve()
      })
      this.#pausing = { timer, resolve }
    })
  }

  // ---- the epoch

  /** Reads the epoch's first frame back. Rejects when something else stands in its place. */
  async readBack(): Promise<void> {
    const { stream, name } = this.#options
    const frame = this.#epochFrame
    if (frame === null) throw new LogFailed(`log '${name}' has no epoch`)
    for (let attempt = 0; ; attempt++) {
      const found = await stream.read(frame.sequence).catch(() => null)
      this.#checkNotEnded()
      if (found !== null && Buffer.compare(found.bytes, frame.bytes) === 0) return
      if (found !== null) {
        throw new LogDamaged(
          `log '${name}': the epoch was stored at sequence ${frame.sequence}, where another frame stands`,
        )
      }
      await this.#pause(pauseOf(attempt))
    }
  }

  // ---- end

  /** What is under way fails with `reason`, as does all that comes later. It may be stored all the same. */
  end(reason: Error): void {
    if (this.#ended !== null) return
    this.#ended = reason
    this.hasFailed = true
    this.#reject(reason)
    this.#pausing?.timer.cancel()
    this.#pausing?.resolve()
  }

  #checkNotEnded(): void {
    if (this.#ended !== null) throw this.#ended
  }
}

function pauseOf(attempt: number): number {
  return Math.min(pauseMs.first * 2 ** Math.min(attempt, 10), pauseMs.most)
}
