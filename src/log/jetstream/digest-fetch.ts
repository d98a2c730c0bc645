/**
 * Brings the digests of sealed segments from the owner into a replica's directory. An owner writes them some time after it has
 * sealed the segment, so a replica asks again and again, ever more seldom. One that never comes is made anew by the
 * shard that needs it.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { DigestStore } from '../file/digest-store.ts'
import { getDigest } from './digest-parts.ts'
import type { DigestStream } from './frame-stream.ts'

export interface DigestFetchOptions {
  readonly stream: DigestStream
  readonly store: DigestStore
  readonly clock: Clock
  readonly logger: Logger
  readonly name: string
}

/** Between two rounds, in milliseconds: after a segment was sealed, and at most. */
const roundMs = { first: 1_000, most: 60_000 } as const

export class DigestFetch {
  readonly #options: DigestFetchOptions
  readonly #wanted = new Set<number>()
  #timer: Timer | null = null
  #pauseMs: number = roundMs.first
  #round: Promise<void> | null = null
  #isStopped = false

  constructor(options: DigestFetchOptions) {
    this.#options = options
  }

  want(segmentId: number): void {
    this.#wanted.add(segmentId)
    this.#pauseMs = roundMs.first
    this.#schedule()
  }

  /** The segment is not live any more. */
  forget(segmentId: number): void {
    this.#wanted.delete(segmentId)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#round
  }

  #schedule(): void {
    if (this.#isStopped || this.#round !== null || this.#wanted.size === 0) return
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(this.#pauseMs, () => {
      this.#round = this.#fetch().then(() => {
        this.#round = null
        this.#pauseMs = Math.min(this.#pauseMs * 2, roundMs.most)
        this.#schedule()
      })
    })
  }

  async #fetch(): Promise<void> {
    const { stream, store, logger, name } = this.#options
    for (const id of [...this.#wanted]) {
      if (this.#isStopped) return
      try {
        const digest = await getDigest(stream, id)
        if (digest === null || !this.#wanted.has(id) || this.#isStopped) continue
        await store.write(id, digest)
        this.#wanted.delete(id)
      } catch (error) {
        logger.debug({ error, log: name, segment: id }, 'a digest could not be fetched; it is tried again')
        return
      }
    }
  }
}
