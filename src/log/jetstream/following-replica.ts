/**
 * Keeps a local directory level with a log's stream: frame by frame, each judged, written to its segment file and its
 * records told.
 *
 *   opening ──► following ──► taking over ──► ended
 *                   └────────────┴──────────────► failed
 *
 * Not here: what a frame is worth (`stream-tail.ts`), the directory (`local-copy.ts`), taking over (`take-over.ts`).
 */
import { type Logger, silentLogger } from '../../base/logger.ts'
import { frameHeaderBytes, internalRecordFlag, recordHeaderBytes, recordLengthMask } from '../file/format.ts'
import { LogFailed, LogWentBack, type Position } from '../log.ts'
import { DigestFetch } from './digest-fetch.ts'
import type { Following, StreamFrame } from './frame-stream.ts'
import { LocalCopy } from './local-copy.ts'
import { LocalRecords } from './local-records.ts'
import { openTail } from './open-tail.ts'
import { checkNotOutrun } from './outrun.ts'
import type { FrameMark, Replica, ReplicaOptions, ReplicatedLog } from './replica.ts'
import { type Judged, StreamTail } from './stream-tail.ts'
import { TakeOver } from './take-over.ts'
import { lastMark, verifyMark } from './verify-mark.ts'

/** Records are told for so long before the event loop has its turn, in milliseconds. */
const sliceMs = 2
/** A frame that is said to be committed is waited for so long, in milliseconds: a server may lag behind until the next election. */
const verifyMs = 30_000
const verifyStepMs = 250
/** Between two questions when nobody answers, in milliseconds. */
const askAgainMs = 200
/** A replica that is further behind catches up by following, not by reading frame after frame. */
const framesReadSinglyMax = 256

type State = 'opening' | 'following' | 'taking over' | 'ended' | 'failed'

export async function openReplica(options: ReplicaOptions): Promise<Replica> {
  const replica = new FollowingReplica(options)
  await replica.open()
  return replica
}

interface Waiter {
  readonly sequence: number
  resolve(): void
  reject(error: Error): void
}

export class FollowingReplica implements Replica {
  readonly #options: ReplicaOptions
  readonly #name: string
  readonly #logger: Logger
  readonly #tail: StreamTail
  readonly #copy: LocalCopy
  readonly #digests: DigestFetch
  #state: State = 'opening'
  #failure: Error | null = null
  #following: Following | null = null
  #waiters: Waiter[] = []
  #sliceStart = 0
  #takeOver: TakeOver | null = null
  #takingOver: Promise<ReplicatedLog> | null = null
  #closed: Promise<void> | null = null

  constructor(options: ReplicaOptions) {
    const { stream, files, directory, random, clock } = options
    this.#options = options
    this.#name = options.name ?? stream.name
    this.#logger = options.logger ?? silentLogger
    const common = { clock, logger: this.#logger, name: this.#name }
    this.#tail = new StreamTail(stream.logId, this.#name)
    this.#copy = new LocalCopy({ ...common, files, directory, logId: stream.logId, random })
    this.#digests = new DigestFetch({ ...common, stream: stream.digests, store: this.#copy.digests })
  }

  // ---- open

  async open(): Promise<void> {
    const { stream, clock, listener } = this.#options
    const tail = this.#tail
    const isWholeWanted = listener?.record !== undefined
    await openTail({ stream, tail, copy: this.#copy, clock, logger: this.#logger, name: this.#name, isWholeWanted })
    const local = new LocalRecords({ tail, copy: this.#copy, clock })
    if (isWholeWanted) await local.tell((...record) => listener?.record?.(...record))
    for (const id of await local.withoutDigest()) this.#digests.want(id)
    this.#state = 'following'
    if (tail.lastPosition > 0) listener?.advanced?.(tail.lastPosition)
    this.#follow()
  }

  #follow(): void {
    this.#following = this.#options.stream.follow(this.#tail.sequence + 1, {
      frame: (frame) => this.#whileFollowing(() => this.#take(frame)),
      idle: () => this.#whileFollowing(() => this.#copy.flush()),
      ended: (error) => this.#fail(error),
    })
  }

  async #whileFollowing(work: () => Promise<void>): Promise<void> {
    if (this.#state !== 'following') return
    try {
      await work()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new LogFailed(String(error)))
    }
  }

  // ---- frames

  async #take(frame: StreamFrame): Promise<void> {
    const tail = this.#tail
    if (frame.sequence <= tail.sequence) return
    if (frame.sequence > tail.sequence + 1 && tail.isStarted) return await this.#gap(frame)
    await this.#apply(frame, tail.judge(frame))
  }

  async #apply(frame: StreamFrame, judged: Judged): Promise<void> {
    const tail = this.#tail
    const copy = this.#copy
    const before = tail.lastPosition
    if (judged.verdict === 'valid') {
      await copy.write(frame, judged.header.position)
      for (const id of tail.accept(frame, judged)) await this.#forget(id)
      if (tail.isSealed) await this.#noteSealed()
      await this.#tellRecords(judged)
    } else {
      tail.accept(frame, judged)
      this.#logger.debug({ log: this.#name, sequence: frame.sequence }, 'a void frame was skipped')
    }
    if (tail.lastPosition > before) this.#options.listener?.advanced?.(tail.lastPosition)
    this.#wake()
  }

  async #forget(segmentId: number): Promise<void> {
    this.#digests.forget(segmentId)
    await this.#copy.remove(segmentId)
  }

  async #noteSealed(): Promise<void> {
    await this.#copy.flush()
    this.#copy.saveLevel(this.#tail.state)
    const sealed = this.#tail.open
    if (sealed !== undefined) this.#digests.want(sealed.id)
  }

  async #tellRecords({ place, header }: Judged): Promise<void> {
    const { listener, clock } = this.#options
    if (listener?.record === undefined) return
    const { bytes, view, position } = place
    const end = frameHeaderBytes + header.payloadBytes
    for (let at = frameHeaderBytes; at < end; ) {
      const length = view.getUint32(at, true)
      const start = at + recordHeaderBytes
      const next = start + (length & recordLengthMask)
      if (length < internalRecordFlag) listener.record(position + at, bytes, start, next)
      at = next
      if (clock.monotonic() - this.#sliceStart < sliceMs) continue
      await new Promise<void>((resolve) => clock.soon(resolve))
      this.#sliceStart = clock.monotonic()
    }
  }

  /** Frames before this one are missing: trimmed before they were read here, skipped on the way, or lost. */
  async #gap(frame: StreamFrame): Promise<void> {
    const { stream } = this.#options
    const next = this.#tail.sequence + 1
    const found = await stream.read(next)
    if (found !== null) {
      await this.#apply(found, this.#tail.judge(found))
      return await this.#take(frame)
    }
    await checkNotOutrun(stream, this.#tail, this.#name)
    throw this.#tail.damagedAt(next, `is missing, and there is one at ${frame.sequence}`)
  }

  #fail(error: Error): void {
    if (this.#state === 'failed' || this.#state === 'ended') return
    this.#state = 'failed'
    this.#failure = error
    this.#logger.error({ error, log: this.#name }, 'the copy of a replicated log has failed')
    void this.#following?.stop()
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    this.#options.listener?.failed(error)
  }

  // ---- position

  get position(): Position {
    return this.#tail.lastPosition
  }

  get lastCommitted(): FrameMark {
    return lastMark(this.#tail)
  }

  async caughtUp(): Promise<void> {
    const target = await this.#untilAnswered(() => this.#lastInStream())
    if (this.#tail.sequence < target) {
      await new Promise<void>((resolve, reject) => {
        this.#waiters.push({ sequence: target, resolve, reject })
      })
    }
    this.#checkWhole()
  }

  /** What the stream says is a hint; whoever reads on knows. */
  async #lastInStream(): Promise<number> {
    const { stream } = this.#options
    let last = Math.max((await stream.state()).last, this.#tail.sequence)
    while ((await stream.read(last + 1)) !== null) last++
    return last
  }

  /** Asks again and again while nobody answers, until the replica is closed. */
  async #untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    const { clock } = this.#options
    for (;;) {
      this.#checkUsable()
      const answer = await ask().then(
        (value) => ({ value }),
        () => null,
      )
      this.#checkUsable()
      if (answer !== null) return answer.value
      await new Promise<void>((resolve) => clock.after(askAgainMs, resolve))
    }
  }

  #wake(): void {
    if (this.#waiters.length === 0) return
    const { sequence } = this.#tail
    const done = this.#waiters.filter((waiter) => waiter.sequence <= sequence)
    this.#waiters = this.#waiters.filter((waiter) => waiter.sequence > sequence)
    for (const waiter of done) waiter.resolve()
  }

  #checkUsable(): void {
    if (this.#state === 'following' || this.#state === 'taking over') return
    throw this.#failure ?? new LogFailed(`the copy of log '${this.#name}' is closed`)
  }

  /** What was missing when the directory was opened must have been freed by now. */
  #checkWhole(): void {
    const [id] = this.#copy.missing
    if (id === undefined) return
    this.#copy.distrust()
    const error = new LogFailed(
      `segment ${id} of log '${this.#name}' is missing in ${this.#copy.directory}; it is read again`,
    )
    this.#fail(error)
    throw error
  }

  async verify(mark: FrameMark): Promise<void> {
    const { clock } = this.#options
    const deadline = clock.monotonic() + verifyMs
    while (mark.ordinal > lastMark(this.#tail).ordinal && clock.monotonic() < deadline) {
      await this.caughtUp()
      if (mark.ordinal > lastMark(this.#tail).ordinal) {
        await new Promise<void>((resolve) => clock.after(verifyStepMs, resolve))
      }
    }
    this.#checkUsable()
    try {
      await verifyMark({ tail: this.#tail, copy: this.#copy, name: this.#name }, mark)
    } catch (error) {
      if (error instanceof LogWentBack) this.#fail(error)
      throw error
    }
  }

  // ---- end

  async takeOver(term: number, signal?: AbortSignal): Promise<ReplicatedLog> {
    const giveUp = (): void => void this.close()
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      signal?.throwIfAborted()
      return await this.#becomeOwner(term)
    } catch (error) {
      await this.close()
      throw error
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  async #becomeOwner(term: number): Promise<ReplicatedLog> {
    const { last } = await this.#untilAnswered(() => this.#options.stream.state())
    if (last - this.#tail.sequence > framesReadSinglyMax) await this.caughtUp()
    this.#checkUsable()
    this.#state = 'taking over'
    await this.#following?.stop()
    await this.#digests.stop()
    this.#checkUsable()
    this.#takeOver = new TakeOver({
      options: this.#options,
      name: this.#name,
      logger: this.#logger,
      tail: this.#tail,
      copy: this.#copy,
      take: (frame) => this.#take(frame),
      checkWhole: () => this.#checkWhole(),
    })
    this.#takingOver = this.#takeOver.run(term)
    const log = await this.#takingOver
    if (this.#closed === null) {
      this.#state = 'ended'
      return log
    }
    log.abandon('its replica was closed')
    await log.close().catch(() => {})
    throw new LogFailed(`the copy of log '${this.#name}' is closed`)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const before = this.#state
    this.#state = 'ended'
    for (const waiter of this.#waiters.splice(0))
      waiter.reject(new LogFailed(`the copy of log '${this.#name}' is closed`))
    if (before === 'ended') return
    this.#takeOver?.giveUp()
    // The directory is the new owner's until it is known that there is none.
    const hasOwner = await (this.#takingOver ?? Promise.reject()).then(
      () => true,
      () => false,
    )
    await this.#following?.stop()
    await this.#digests.stop()
    if (hasOwner) return
    const isLevel = before === 'following' || (before === 'taking over' && this.#takeOver?.isLevel !== false)
    await this.#copy.close(isLevel && this.#tail.isStarted ? this.#tail.state : null)
  }
}
