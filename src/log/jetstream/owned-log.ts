/**
 * The log of an owner: a file log on the directory of a replica, whose frames are stored in the stream before they are
 * written there.
 */
import type { Timer } from '../../base/clock.ts'
import type { FileLogOptions } from '../file/file-log.ts'
import { FileLog } from '../file/file-log.ts'
import { type FullFileLogOptions, withDefaults } from '../file/file-log-options.ts'
import type { Recovered } from '../file/recovery.ts'
import { LogDamaged, LogDeposed, LogFailed, type Position, type RecordVisitor, type Segment } from '../log.ts'
import { getDigest, putDigest } from './digest-parts.ts'
import type { FrameStream } from './frame-stream.ts'
import type { LocalCopy } from './local-copy.ts'
import type { FrameMark, ReplicatedLog } from './replica.ts'
import type { StreamFrameStore } from './stream-frame-store.ts'
import type { StreamRoom } from './stream-room.ts'
import type { StreamTail } from './stream-tail.ts'
import type { StreamTrim } from './stream-trim.ts'
import { lastMark, verifyMark } from './verify-mark.ts'

export interface OwnedLogParts {
  readonly stream: FrameStream
  readonly tail: StreamTail
  readonly copy: LocalCopy
  readonly store: StreamFrameStore
  readonly room: StreamRoom
  readonly trim: StreamTrim
}

/** What was appended before `close` is waited for so long, in milliseconds: longer than the servers take to elect. */
export const closeMsMax = 15_000

export class OwnedLog extends FileLog implements ReplicatedLog {
  override readonly canFreeAnyOrder = false
  readonly #options: FullFileLogOptions
  readonly #parts: OwnedLogParts
  /** Segments whose digests have been asked for or made. */
  readonly #fetched = new Map<number, Promise<void>>()
  #hasBegun = false
  #closed: Promise<void> | null = null

  constructor(options: FileLogOptions, recovered: Recovered, parts: OwnedLogParts) {
    const full = withDefaults({ ...options, frameStore: parts.store })
    super(full, recovered)
    this.#options = full
    this.#parts = parts
    parts.room.changed = () => this.listener?.roomChanged()
  }

  override async begin(): Promise<void> {
    await super.begin()
    await this.#parts.store.readBack()
    this.#hasBegun = true
    this.#parts.room.start()
    this.#parts.trim.run()
  }

  // ---- the stream

  get lastCommitted(): FrameMark {
    return lastMark(this.#parts.tail)
  }

  get isStalled(): boolean {
    return this.#parts.store.isStalled
  }

  override get isFull(): boolean {
    return super.isFull || this.#parts.room.isFull
  }

  async verify(mark: FrameMark): Promise<void> {
    const { tail, copy, stream } = this.#parts
    const { name } = this.#options
    if (mark.ordinal > lastMark(tail).ordinal) {
      const next = await stream.read(tail.sequence + 1).catch(() => null)
      if (next !== null && next.sequence === tail.sequence + 1 && tail.judge(next).verdict === 'valid') {
        throw new LogDeposed(`log '${name}' has another owner since sequence ${next.sequence}`)
      }
    }
    await verifyMark({ tail, copy, name }, mark)
  }

  abandon(reason: string): void {
    this.#parts.store.end(new LogFailed(`log '${this.#options.name}' was given up: ${reason}`))
  }

  // ---- read: damage here is not damage to the log, whose frames are in the stream

  override load(position: Position, loaded: (error: Error | null) => void): void {
    super.load(position, (error) => {
      if (error !== null) this.#distrust(error)
      loaded(error)
    })
  }

  override gather(positions: readonly Position[], loaded: (error: Error | null) => void): void {
    super.gather(positions, (error) => {
      if (error !== null) this.#distrust(error)
      loaded(error)
    })
  }

  override async replay(segment: Segment, visit: RecordVisitor): Promise<void> {
    try {
      await super.replay(segment, visit)
    } catch (error) {
      this.#distrust(error)
      throw error
    }
  }

  /** So that whoever opens the log next reads it from the stream again. */
  #distrust(error: unknown): void {
    if (error instanceof LogDamaged) this.#parts.copy.distrust()
  }

  // ---- digests

  override async writeDigest(segment: Segment, digest: Uint8Array): Promise<void> {
    this.#fetched.set(segment.id, Promise.resolve())
    await super.writeDigest(segment, digest)
    const { random, logger, name } = this.#options
    try {
      await putDigest(this.#parts.stream.digests, segment.id, digest, random)
    } catch (error) {
      logger.warn({ error, log: name, segment: segment.id }, 'a digest could not be sent to the other nodes')
    }
  }

  override free(segment: Segment): void {
    super.free(segment)
    this.#fetched.delete(segment.id)
  }

  /** One that is not here is asked for, once. */
  override async readDigest(segment: Segment, offset: number, byteLength: number): Promise<Uint8Array | null> {
    const here = await super.readDigest(segment, offset, byteLength)
    if (here !== null) return here
    let fetched = this.#fetched.get(segment.id)
    if (fetched === undefined) {
      fetched = this.#fetchDigest(segment)
      this.#fetched.set(segment.id, fetched)
    }
    await fetched
    return await super.readDigest(segment, offset, byteLength)
  }

  async #fetchDigest(segment: Segment): Promise<void> {
    const { logger, name } = this.#options
    try {
      const digest = await getDigest(this.#parts.stream.digests, segment.id)
      if (digest !== null && this.segments.some(({ id }) => id === segment.id)) await super.writeDigest(segment, digest)
    } catch (error) {
      logger.debug(
        { error, log: name, segment: segment.id },
        'a digest could not be fetched; its segment is read instead',
      )
    }
  }

  // ---- close

  override close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const { store, room, trim, copy, tail } = this.#parts
    const seconds = closeMsMax / 1000
    const timer: Timer = this.#options.clock.after(closeMsMax, () =>
      this.abandon(`what was appended could not be stored within ${seconds} s of closing`),
    )
    try {
      await super.close()
    } finally {
      timer.cancel()
      // A frame that the store has and the directory has not can only be the last one, after a failed write.
      const isLevel = this.failure === null || store.hasFailed
      store.end(new LogFailed(`log '${this.#options.name}' is closed`))
      room.stop()
      await trim.stop()
      if (this.#hasBegun) await copy.close(isLevel ? tail.state : null)
    }
  }
}
