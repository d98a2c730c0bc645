/**
 * Writes the digest of each segment as it is sealed: one after the other, each only when the log has committed all that
 * it says. Knows which queues have records that stand in no digest yet.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { inSlices } from '../../base/sliced.ts'
import type { Log, Position, Segment } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { buildDigest } from './digest-builder.ts'
import { noteRun } from './digest-rows.ts'
import { digestRetryMs, isLackOfRoom } from './lack-of-room.ts'
import type { LargeBodies } from './large-bodies.ts'
import { queueStates } from './queue-state.ts'
import { digestHeaderBytes, indexRowBytes, readDigestRow } from './segment-digest.ts'
import type { Senders } from './senders.ts'
import type { Settlements } from './settlements.ts'

export interface DigestsPorts {
  readonly log: Log
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly bodies: LargeBodies
  readonly settlements: Settlements
  readonly senders: Senders
  /** A digest has been written. */
  written(): void
  failed(error: Error): void
}

export class Digests {
  readonly #ports: DigestsPorts
  #touched: LocalQueue[] = []
  #chain: Promise<void> = Promise.resolve()
  #commitWaiters: { position: Position; resolve: () => void }[] = []
  #isStopped = false
  /** Ends the pause before the next try. */
  #endPause: () => void = () => {}
  /** Sealed segments whose digest is not written, in the order in which they get it. */
  readonly #waiting: Segment[] = []
  #sealedBelow: Position = 0

  constructor(ports: DigestsPorts) {
    this.#ports = ports
  }

  /** A record that names the queue has been appended. */
  readonly touch = (queue: LocalQueue, position: Position): void => {
    queue.lastPosition = position
    if (queue.isTouched) return
    queue.isTouched = true
    this.#touched.push(queue)
  }

  /** Every sealed segment below this position has its digest. */
  get digestedBelow(): Position {
    return this.#waiting[0]?.base ?? this.#sealedBelow
  }

  /** This sealed segment has its digest from before. */
  hasDigest(segment: Segment): void {
    this.#sealedBelow = Math.max(this.#sealedBelow, segment.end)
  }

  sealed(segment: Segment): void {
    this.#waiting.push(segment)
    this.#sealedBelow = Math.max(this.#sealedBelow, segment.end)
    this.#chain = this.#chain.then(() => this.#write(segment)).catch((error: Error) => this.#fail(error))
  }

  committed(position: Position): void {
    while (this.#commitWaiters[0] !== undefined && this.#commitWaiters[0].position <= position) {
      this.#commitWaiters.shift()?.resolve()
    }
  }

  /** Waits for what is under way; nothing is begun any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const waiter of this.#commitWaiters) waiter.resolve()
    this.#endPause()
    await this.#chain
  }

  /** Resolves when everything appended by now is committed. */
  async caughtUp(): Promise<void> {
    const { log } = this.#ports
    if (log.committed >= log.appended) return
    const position = log.appended
    await new Promise<void>((resolve) => this.#commitWaiters.push({ position, resolve }))
  }

  async #write(segment: Segment): Promise<void> {
    if (this.#isStopped) return
    const { log, bodies, settlements, senders, runQueue } = this.#ports
    const queues = this.#touched.filter((queue) => !queue.isDead)
    const digest = await inSlices(
      runQueue,
      buildDigest({
        base: segment.base,
        end: segment.end,
        queues,
        large: bodies.namedWithin(segment.base, segment.end),
        sentMarkOf,
        statesOf: queueStates,
      }),
    )
    if (this.#isStopped) return
    // Whatever the digest knows to be settled must stand in the log before it.
    settlements.flush()
    // From now on nobody reads the segment's records, and it may be freed.
    senders.append(log)
    await this.caughtUp()
    if (this.#isStopped) return
    while (!(await this.#isStored(segment, digest))) {
      await this.#pause()
      if (this.#isStopped) return
    }
    await inSlices(runQueue, this.#note(segment, digest, queues))
    this.#ports.written()
  }

  /** A digest can wait for room, its segment is only not freed meanwhile. Any other failure ends the shard. */
  async #isStored(segment: Segment, digest: Uint8Array): Promise<boolean> {
    try {
      await this.#ports.log.writeDigest(segment, digest)
      return true
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      this.#ports.logger.warn({ error, segment: segment.id }, 'there is no room for a digest; trying again')
      return false
    }
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#endPause = resolve
      this.#ports.clock.after(digestRetryMs, resolve)
    })
  }

  /** What was written is remembered from the digest itself, as opening would. */
  *#note(segment: Segment, digest: Uint8Array, queues: readonly LocalQueue[]): Generator<void, void, void> {
    for (const [index, queue] of queues.entries()) {
      noteRun(segment, queue, readDigestRow(digest, digestHeaderBytes + index * indexRowBytes))
      yield
    }
    this.#waiting.shift()
    const stillTouched = (queue: LocalQueue): boolean => !queue.isDead && queue.lastPosition >= segment.end
    for (const queue of this.#touched) queue.isTouched = stillTouched(queue)
    this.#touched = this.#touched.filter((queue) => queue.isTouched)
  }

  #fail(error: Error): void {
    if (!this.#isStopped) this.#ports.failed(error)
  }
}

/** What an unclean stop must believe of a queue: at least what was reserved, and whatever an earlier stop named. */
export function sentMarkOf(queue: LocalQueue): number {
  return Math.max(queue.sentReserved, queue.maybeSentBelow, queue.flaggedBelow)
}
