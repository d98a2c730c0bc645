/**
 * Takes out of the stream what the log does not need any more: all frames before the first one of the oldest live segment.
 *
 * Only what is committed counts, and what is dead there stays dead, so that the late purge of an owner that was deposed
 * does no harm. A purge may be asked for again, so one that was not answered is.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { FrameStream } from './frame-stream.ts'
import type { StreamRoom } from './stream-room.ts'
import type { StreamTail } from './stream-tail.ts'

export interface StreamTrimOptions {
  readonly stream: FrameStream
  readonly tail: StreamTail
  readonly room: StreamRoom
  readonly clock: Clock
  readonly logger: Logger
  readonly name: string
}

const retryMs = 2_000

export class StreamTrim {
  readonly #options: StreamTrimOptions
  /** Segments whose digests are to go. */
  readonly #freed: number[] = []
  #purgedBelow = 1
  #isRunning = false
  #isStopped = false
  #retry: Timer | null = null
  #work: Promise<void> = Promise.resolve()

  constructor(options: StreamTrimOptions) {
    this.#options = options
  }

  freed(segmentId: number): void {
    this.#freed.push(segmentId)
    this.run()
  }

  run(): void {
    if (this.#isRunning || this.#isStopped) return
    this.#isRunning = true
    this.#retry?.cancel()
    this.#work = this.#trim().then(
      () => {
        this.#isRunning = false
      },
      (error: unknown) => {
        const { clock, logger, name } = this.#options
        this.#isRunning = false
        if (this.#isStopped) return
        logger.warn({ error, log: name }, 'the stream could not be trimmed; it is tried again')
        this.#retry = clock.after(retryMs, () => this.run())
      },
    )
  }

  async #trim(): Promise<void> {
    const { stream, tail, room } = this.#options
    while (!this.#isStopped) {
      const below = tail.segments[0]?.firstSequence ?? 1
      const [freed] = this.#freed
      if (below > this.#purgedBelow) {
        await stream.purge(below)
        this.#purgedBelow = below
        void room.ask()
      } else if (freed !== undefined) {
        await stream.digests.remove(freed)
        this.#freed.shift()
      } else {
        return
      }
    }
  }

  /** Resolves when what was under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#retry?.cancel()
    await this.#work
  }
}
