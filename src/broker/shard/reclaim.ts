/**
 * Frees segments whose records nobody needs, in any order.
 *
 * A sealed segment is free when (1) none of its entries is live, (2) no chunk of a live large body is in it, and (3) what
 * its settlements, marks and states said of each queue is said again by a later record: a queue's state record is
 * appended for those of which it is not. A later digest does not count, since nothing may depend on a digest: one that is
 * damaged is replaced by reading its segment, which says less. Segments with few live entries have these copied to the end of the
 * log (`mover.ts`), so that one old message does not hold 64 MiB.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log, Segment } from '../../log/log.ts'
import { chunkEntries, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { type Digests, sentMarkOf } from './digests.ts'
import type { LargeBodies } from './large-bodies.ts'
import type { Mover } from './mover.ts'
import { queueStateBytes, queueStates, writeQueueState } from './queue-state.ts'
import { type DigestRow, digestReader, readDigestIndex } from './segment-digest.ts'
import type { Settlements } from './settlements.ts'

/** Pause between two rounds in which nothing else asked for one, in milliseconds. */
const roundMs = 500
/** Rows looked at between two turns of the event loop. */
const rowsPerTurn = 2_000
/** Queues whose state is said again between two turns. */
const restatedPerTurn = 500

export interface ReclaimPorts {
  readonly log: Log
  readonly clock: Clock
  readonly bodies: LargeBodies
  readonly digests: Digests
  readonly settlements: Settlements
  readonly mover: Mover
  readonly queues: ReadonlyMap<number, LocalQueue>
  failed(error: Error): void
}

/** Why a segment could not be freed when it was last looked at: the first thing to look at the next time. */
interface Blocker {
  readonly queue: LocalQueue
  readonly row: DigestRow
}

export class Reclaim {
  readonly #ports: ReclaimPorts
  readonly #blockers = new Map<number, Blocker>()
  /** Ids of segments that hold chunks of bodies and nothing else that is live. */
  readonly #chunked = new Set<number>()
  #isRunning = false
  #isStopped = false

  constructor(ports: ReclaimPorts) {
    this.#ports = ports
  }

  start(): void {
    this.#ports.clock.after(roundMs, () => {
      if (this.#isStopped) return
      this.runSoon()
      this.start()
    })
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Looks at all sealed segments, unless that is under way. */
  runSoon(): void {
    if (this.#isRunning || this.#isStopped || this.#ports.log.segments.length < 2) return
    this.#isRunning = true
    this.#round().then(
      () => {
        this.#isRunning = false
      },
      (error: Error) => {
        this.#isRunning = false
        if (!this.#isStopped) this.#ports.failed(error)
      },
    )
  }

  async #round(): Promise<void> {
    const { log, digests, mover } = this.#ports
    const sealed = log.segments.filter((segment) => segment.isSealed && segment.end <= digests.digestedBelow)
    for (const segment of sealed) {
      if (this.#isStopped) return
      if (this.#isBlockedStill(segment)) continue
      await this.#look(segment)
    }
    if (this.#isStopped) return
    const moved = await mover.run(sealed.filter(({ id }) => this.#blockers.has(id) || this.#chunked.has(id)))
    if (moved === null || this.#isStopped) return
    this.#blockers.delete(moved.id)
    await this.#look(moved)
  }

  #isBlockedStill(segment: Segment): boolean {
    const blocker = this.#blockers.get(segment.id)
    if (blocker === undefined) return false
    if (holdsLive(blocker.queue, blocker.row, segment)) return true
    this.#blockers.delete(segment.id)
    return false
  }

  async #look(segment: Segment): Promise<void> {
    const { log, bodies, settlements } = this.#ports
    const index = await readDigestIndex(digestReader(log, segment), () => this.#pause())
    // Without a digest nothing is known of what it holds: it stays until the next opening writes one.
    if (index === null || this.#isStopped) return
    if (!(await this.#isFree(segment, index.rows)) || this.#isStopped) return
    this.#chunked.delete(segment.id)
    if (bodies.chunkedWithin(segment.base, segment.end).length > 0) {
      this.#chunked.add(segment.id)
      return
    }
    if (await this.#restate(segment, index.rows)) await this.#ports.digests.caughtUp()
    if (this.#isStopped) return
    // What is settled must stand before what says that its place is free.
    settlements.flush()
    for (const row of index.rows) forgetRun(this.#ports.queues.get(row.queueId), segment)
    log.free(segment)
  }

  async #isFree(segment: Segment, rows: readonly DigestRow[]): Promise<boolean> {
    let looked = 0
    for (const row of rows) {
      const queue = this.#ports.queues.get(row.queueId)
      if (queue !== undefined && holdsLive(queue, row, segment)) {
        this.#blockers.set(segment.id, { queue, row })
        return false
      }
      if (++looked % rowsPerTurn === 0) await this.#pause()
    }
    return true
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#ports.clock.soon(resolve))
  }

  /** Says again what no later record says. True when something was appended. */
  async #restate(segment: Segment, rows: readonly DigestRow[]): Promise<boolean> {
    let restated = 0
    for (const row of rows) {
      const queue = this.#ports.queues.get(row.queueId)
      if (queue === undefined || queue.restatedAt >= segment.end) continue
      // Before the first one too: finding out that the segment is free may have taken all of a turn.
      if (restated++ % restatedPerTurn === 0) await this.#pause()
      if (this.#isStopped) break
      await this.#restateQueue(queue)
      if (this.#isStopped) break
    }
    return restated > 0
  }

  /** Appends the complete state of a queue, part by part: each is true when it is appended. */
  async #restateQueue(queue: LocalQueue): Promise<void> {
    const { log, digests } = this.#ports
    let begunAt = 0
    for (const state of queueStates(queue, sentMarkOf(queue))) {
      if (this.#isStopped || queue.isDead) return
      const at = log.reserve(queueStateBytes(state))
      writeQueueState(log.buffer, at, state)
      digests.touch(queue, log.appended)
      if (begunAt > 0) await this.#pause()
      else begunAt = log.appended
    }
    queue.restatedAt = begunAt
  }
}

/** Whether entries of the queue whose record is in the segment are live. A chunk that is away counts as live. */
export function holdsLive(queue: LocalQueue, row: DigestRow, segment: Segment): boolean {
  if (queue.isDead || row.count === 0) return false
  for (let first = Math.floor(row.first / chunkEntries) * chunkEntries; first <= row.last; first += chunkEntries) {
    const chunk = queue.entries.chunkOf(first)
    if (chunk === null || chunk.live === 0) continue
    if (chunk.isAway) return true
    for (let slot = 0; slot < chunk.flags.length; slot++) {
      const flags = chunk.flags[slot] as number
      if (flags === 0 || (flags & EntryFlag.transient) !== 0) continue
      const position = chunk.positions[slot] as number
      if (position >= segment.base && position < segment.end) return true
    }
  }
  return false
}

function forgetRun(queue: LocalQueue | undefined, segment: Segment): void {
  if (queue === undefined || queue.runs.length === 0) return
  queue.runs = queue.runs.filter((run) => run.segmentId !== segment.id)
}
