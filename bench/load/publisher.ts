import { Histogram } from '../stats/histogram.ts'
import { confirmSelect } from '../wire/method-frames.ts'
import { MethodId } from '../wire/method-ids.ts'
import { RawConnection } from '../wire/raw-connection.ts'
import type { FrameReader } from '../wire/read-buffer.ts'
import type { Board } from './board.ts'
import { sourceOf } from './body.ts'
import { ConfirmReader } from './confirm-reader.ts'
import { ConfirmWindow } from './confirm-window.ts'
import type { PublishJob } from './jobs.ts'
import { monotonicMs } from './monotonic-time.ts'
import { Problems } from './problems.ts'
import { PublishBatch } from './publish-batch.ts'

/** Batches with different filler, used in turn. */
const batchCount = 4
const batchBytesMax = 1024 * 1024
/** Sends between two looks at the event loop. */
const sendsPerTurnMax = 16
/** Confirms that a publisher without a window of its own may wait for. */
const openWindow = 1 << 17
/** Below this the thread only looks at its socket again. */
const sleepMsMin = 0.02
/** A sleep is asked for so much shorter, because waking up takes about as long. */
const wakeUpMs = 0.035
const sleepMsMax = 0.25

/**
 * One publishing connection: prebuilt frames, many per send, as fast as the broker takes them within the window, or
 * paced. Confirms are read by `ConfirmReader`. Not a client: no topology, no reconnecting.
 */
export class Publisher implements FrameReader {
  readonly confirmLatency = new Histogram()
  readonly problems = new Problems()
  blockedMs = 0
  /** Resolves when all is sent and confirmed; rejects when the connection fails first. */
  readonly done: Promise<void>
  readonly #job: PublishJob
  readonly #board: Board
  readonly #connection: RawConnection
  readonly #batches: PublishBatch[] = []
  readonly #window: ConfirmWindow | null
  readonly #confirms: ConfirmReader
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4))
  #sent = 0
  #startedAt = 0
  #blockedSince: number | null = null
  #isRunning = false
  /** A turn is due in the next round of the event loop. */
  #isQueued = false
  /** A turn is due by a timer. */
  #isPolling = false
  #isBackedUp = false
  #isDone = false
  #resolve: () => void = () => {}
  #reject: (error: Error) => void = () => {}

  static async open(job: PublishJob, board: Board): Promise<Publisher> {
    const name = `bench publisher ${job.publisher}`
    const connection = await RawConnection.open(job.address, { name, frameBytesMax: job.frameBytesMax })
    if (job.confirmWindow > 0) await connection.call(confirmSelect(connection.channel), MethodId.ConfirmSelectOk)
    return new Publisher(job, board, connection)
  }

  private constructor(job: PublishJob, board: Board, connection: RawConnection) {
    this.#job = job
    this.#board = board
    this.#connection = connection
    this.#window = job.confirmWindow > 0 ? new ConfirmWindow(job.rate > 0 ? openWindow : job.confirmWindow) : null
    this.#confirms = new ConfirmReader({
      frameBytesMax: connection.frameBytesMax,
      window: this.#window,
      latency: this.confirmLatency,
      board,
      problems: this.problems,
      control: (view, frameStart, frameEndAt) => connection.control(view, frameStart, frameEndAt),
    })
    this.#makeBatches()
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.done.catch(() => {})
    connection.use(this, {
      drained: () => this.#drained(),
      blocked: (isBlocked) => this.#setBlocked(isBlocked),
      failed: (error) => this.#reject(error),
    })
  }

  get serverName(): string {
    return this.#connection.serverName
  }

  get nacked(): number {
    return this.#confirms.nacked
  }

  /** Sum of the sequences 0 … sent - 1. */
  get sequenceSum(): number {
    return (this.#sent * (this.#sent - 1)) / 2
  }

  start(): void {
    this.#isRunning = true
    this.#startedAt = monotonicMs()
    this.#turn()
  }

  /** To be called now and then: the end of a row is noticed even while no confirm comes and nothing may be sent. */
  poll(): void {
    this.#finishWhenDone()
  }

  close(): Promise<void> {
    this.#isRunning = false
    return this.#connection.close()
  }

  read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const next = this.#confirms.read(bytes, view, start, end)
    this.#board.setConfirmed(this.#job.publisher, this.#confirms.confirmed)
    if (this.#isRunning && !this.#isQueued && this.#job.rate === 0) this.#turn()
    else this.#finishWhenDone()
    return next
  }

  // ---- sending

  /** One turn: a bounded number of sends, then back to the event loop. */
  readonly #turn = (): void => {
    this.#isQueued = false
    this.#isPolling = false
    if (!this.#isRunning || this.#isBackedUp || this.#blockedSince !== null) return
    if (this.#isOver()) this.#finishWhenDone()
    else if (this.#job.rate > 0) this.#pacedTurn()
    else this.#freeTurn()
  }

  #isOver(): boolean {
    const { messagesMax } = this.#job
    return this.#board.isStopped || (messagesMax > 0 && this.#sent >= messagesMax)
  }

  #freeTurn(): void {
    for (let sends = 0; sends < sendsPerTurnMax; sends++) {
      const count = this.#allowed()
      if (count === 0) {
        this.#finishWhenDone()
        return
      }
      if (!this.#send(count, 0, 0)) return
    }
    this.#queue()
  }

  /** How many messages go into the next send: a whole pack or, for want of room, none. The very last may be fewer. */
  #allowed(): number {
    const { leadMax, messagesMax, copies } = this.#job
    const pack = this.#batches[0]?.count ?? 1
    const left = messagesMax > 0 ? messagesMax - this.#sent : pack
    const wanted = Math.min(pack, left)
    if (this.#window !== null && this.#job.confirmWindow - this.#window.waiting < wanted) return 0
    if (this.#window !== null && this.#window.room < wanted) return 0
    if (leadMax > 0 && (this.#board.sent() + wanted) * copies - this.#board.delivered() > leadMax) {
      this.#waitForConsumers()
      return 0
    }
    return wanted
  }

  /** A confirm wakes us up by itself; consumers do not, they are elsewhere. */
  #waitForConsumers(): void {
    if (this.#isPolling) return
    this.#isPolling = true
    setTimeout(this.#turn, 1)
  }

  /**
   * Sends `count` messages as one write, timed from `firstDue` in steps of `intervalMs` or, when that is 0, from now.
   * Returns false when the socket wants to be waited for.
   */
  #send(count: number, firstDue: number, intervalMs: number): boolean {
    const batch = this.#batches[Math.floor(this.#sent / count) % batchCount] as PublishBatch
    const now = monotonicMs()
    for (let index = 0; index < count; index++) {
      const at = intervalMs === 0 ? now : firstDue + index * intervalMs
      batch.stamp(index, this.#sent >>> 0, at)
      this.#window?.sent(at)
      this.#sent++
    }
    this.#board.setSent(this.#job.publisher, this.#sent)
    this.#isBackedUp = !this.#connection.send(batch.first(count))
    return !this.#isBackedUp
  }

  /** Sends what is due; a time that has been missed stays the message's intended time. */
  #pacedTurn(): void {
    const intervalMs = 1000 / this.#job.rate
    const timedBy = this.#job.isCoarselyPaced ? 0 : intervalMs
    const pack = this.#batches[0]?.count ?? 1
    for (let sends = 0; sends < sendsPerTurnMax; sends++) {
      const firstDue = this.#startedAt + this.#sent * intervalMs
      const due = Math.floor((monotonicMs() - firstDue) / intervalMs) + 1
      const room = this.#window === null ? pack : this.#window.room
      const count = Math.min(due, pack, room)
      if (count <= 0) break
      if (!this.#send(count, firstDue, timedBy)) return
    }
    this.#pause(this.#startedAt + this.#sent * intervalMs - monotonicMs())
  }

  /** Timers are too coarse for 50 µs: the thread itself sleeps, then looks at its socket. */
  #pause(ms: number): void {
    if (this.#job.isCoarselyPaced) {
      this.#isQueued = true
      setTimeout(this.#turn, ms)
      return
    }
    const sleepMs = Math.min(Math.max(ms - wakeUpMs, 0.001), sleepMsMax)
    if (ms > sleepMsMin) Atomics.wait(this.#sleeper, 0, 0, sleepMs)
    this.#queue()
  }

  #queue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    setImmediate(this.#turn)
  }

  #drained(): void {
    if (!this.#isBackedUp) return
    this.#isBackedUp = false
    if (!this.#isQueued) this.#turn()
  }

  #setBlocked(isBlocked: boolean): void {
    if (isBlocked) this.#blockedSince ??= monotonicMs()
    else if (this.#blockedSince !== null) {
      this.blockedMs += monotonicMs() - this.#blockedSince
      this.#blockedSince = null
      this.#queue()
    }
  }

  #finishWhenDone(): void {
    if (this.#isDone || !this.#isRunning || !this.#isOver() || (this.#window?.waiting ?? 0) > 0) return
    this.#isDone = true
    this.#resolve()
  }

  #makeBatches(): void {
    const job = this.#job
    const roughBytes = job.bodyBytes + 64
    const window = job.confirmWindow > 0 ? job.confirmWindow : job.pack
    const count = Math.max(1, Math.min(job.pack, window, Math.floor(batchBytesMax / roughBytes)))
    for (let index = 0; index < batchCount; index++) {
      this.#batches.push(
        new PublishBatch({
          channel: this.#connection.channel,
          exchange: job.exchange,
          routingKey: job.routingKey,
          isPersistent: job.isPersistent,
          bodyBytes: job.bodyBytes,
          frameBytesMax: this.#connection.frameBytesMax,
          count,
          source: sourceOf(job.runId, job.publisher),
          firstSlot: index * count,
          property: job.property,
        }),
      )
    }
  }
}
