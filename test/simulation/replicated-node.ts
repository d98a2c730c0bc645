/**
 * One node of a simulated replicated log: it opens its copy, follows, takes the log, appends and frees for a while, and ends in
 * one of many ways; then it begins again on what its disk holds.
 */
import type { ManualClock } from '../../src/base/clock.ts'
import type { SeededRandom } from '../../src/base/random.ts'
import { openReplica, type Replica, type ReplicatedLog } from '../../src/log/jetstream/replica.ts'
import {
  LogDamaged,
  LogDeposed,
  type LogListener,
  LogWentBack,
  type Position,
  type Segment,
} from '../../src/log/log.ts'
import { CrashStates } from '../support/crash-states.ts'
import { SimulatedFiles } from '../support/simulated-files.ts'
import type { ModelConnection, StreamFaults, StreamModel } from '../support/stream-model.ts'
import type { ReplicatedJudge } from './replicated-judge.ts'

const kibi = 1024
export const logSizes = {
  pageBytes: 16 * kibi,
  segmentBytes: 32 * kibi,
  firstSegmentBytes: 32 * kibi,
  cacheBytes: 64 * kibi,
  roomBytesMin: 0,
} as const

export interface ReplicatedNodeOptions {
  readonly name: string
  readonly model: StreamModel
  readonly faults: StreamFaults
  readonly clock: ManualClock
  readonly random: SeededRandom
  readonly judge: ReplicatedJudge
}

/** How long a take-over or a close may take before it is given up, in milliseconds. */
const patienceMs = 2_000

export class ReplicatedNode {
  readonly #options: ReplicatedNodeOptions
  #files = new SimulatedFiles()
  #connection: ModelConnection
  #calls = 0
  #lease = 0

  constructor(options: ReplicatedNodeOptions) {
    this.#options = options
    this.#connection = options.model.connect(options.faults, options.name)
  }

  /** Counts what it does. */
  get activity(): number {
    return this.#calls + this.#files.calls
  }

  async live(): Promise<void> {
    const { random } = this.#options
    for (let rounds = 2 + random.below(3); rounds > 0; rounds--) {
      await this.#wait(random.below(80))
      await this.#round()
    }
  }

  async #round(): Promise<void> {
    const { random, judge } = this.#options
    const expected = judge.confirmedNow
    const replica = await this.#open()
    if (replica === null) return
    await this.#wait(random.below(60))
    if (random.below(3) === 0) await replica.caughtUp().catch((error) => this.#note(error))
    judge.know(replica.lastCommitted)
    const log = random.below(4) > 0 ? await this.#takeOver(replica) : null
    if (log !== null) {
      if (random.below(3) === 0) judge.checkWhole(await judge.replayed(log), expected)
      await this.#own(log, replica)
    } else if (random.below(4) === 0) {
      this.#crash()
    } else {
      await replica.close()
    }
  }

  async #open(): Promise<Replica | null> {
    const { clock, random, judge, name } = this.#options
    const reader = judge.newReader()
    try {
      return await openReplica({
        ...logSizes,
        stream: this.#connection,
        files: this.#files,
        directory: `/${name}`,
        clock,
        random,
        listener: {
          ...(random.below(2) === 0 && { record: reader.record }),
          failed: (error) => this.#note(error),
        },
      })
    } catch (error) {
      this.#note(error)
      return null
    }
  }

  /** A node with a stale lease tries too. */
  async #takeOver(replica: Replica): Promise<ReplicatedLog | null> {
    const { random, judge } = this.#options
    this.#lease += random.below(3)
    const giveUp = this.#options.clock.after(patienceMs, () => void replica.close())
    try {
      const log = await replica.takeOver(this.#lease)
      judge.count('owners')
      return log
    } catch (error) {
      this.#note(error)
      return null
    } finally {
      giveUp.cancel()
    }
  }

  // ---- an owner's life

  async #own(log: ReplicatedLog, replica: Replica): Promise<void> {
    const { random, judge } = this.#options
    const owner = new Owner(log, judge, (error) => this.#note(error))
    await this.#checkDigests(log)
    for (let turns = 1 + random.below(12); turns > 0 && !owner.hasFailed; turns--) {
      if (log.isFull) judge.count('full')
      else owner.append(1 + random.below(12), 1 + random.below(random.below(3) === 0 ? 4_000 : 300))
      await this.#wait(random.below(3) === 0 ? 0 : random.below(25))
      if (random.below(3) === 0) owner.free(random)
    }
    const end = random.below(5)
    if (end === 0) {
      owner.isDead = true
      this.#crash()
      return
    }
    if (end === 1) log.abandon('the node has lost its lease')
    const giveUp = this.#options.clock.after(patienceMs, () => log.abandon('closing takes too long'))
    await log.close().catch((error) => this.#note(error))
    giveUp.cancel()
    judge.know(log.lastCommitted)
    await replica.close()
  }

  async #checkDigests(log: ReplicatedLog): Promise<void> {
    for (const segment of log.segments) {
      if (!segment.isSealed) continue
      const digest = await log.readDigest(segment, 0, digestBytes)
      if (digest !== null) this.#options.judge.checkDigest(segment.id, digest)
    }
  }

  // ---- crashes

  /** The process is killed; or the machine loses power, and with it what was not synced. */
  #crash(): void {
    const { random, model, faults, name, judge } = this.#options
    judge.count('crashes')
    this.#connection.cut()
    this.#connection = model.connect(faults, name)
    this.#calls += this.#files.calls
    if (random.below(2) === 0) {
      this.#files = new SimulatedFiles({ after: this.#files.journal })
      return
    }
    const states = new CrashStates(this.#files.journal)
    while (states.step() !== null) {}
    this.#files = new SimulatedFiles({ image: states.image(() => (random.below(2) === 0 ? 'keep' : 'drop'), random) })
  }

  // ---- small things

  #wait(ms: number): Promise<void> {
    this.#calls++
    return new Promise((resolve) => this.#options.clock.after(ms, resolve))
  }

  /** A stream that keeps what it acknowledged never looks damaged or shorter. */
  #note(error: unknown): void {
    const { judge } = this.#options
    if (error instanceof LogDamaged || error instanceof LogWentBack) throw error
    judge.count(error instanceof LogDeposed ? 'deposed' : 'failed')
  }
}

const digestBytes = 40

/** What the owner of the log does with it. */
class Owner implements LogListener {
  hasFailed = false
  /** Its process is gone: it hears nothing any more. */
  isDead = false
  readonly #log: ReplicatedLog
  readonly #judge: ReplicatedJudge
  readonly #note: (error: unknown) => void
  readonly #waiting: { readonly id: number; readonly position: Position }[] = []

  constructor(log: ReplicatedLog, judge: ReplicatedJudge, note: (error: unknown) => void) {
    this.#log = log
    this.#judge = judge
    this.#note = note
    log.listener = this
  }

  append(count: number, byteLength: number): void {
    for (let index = 0; index < count; index++) {
      const { id, bytes } = this.#judge.newRecord(byteLength)
      const at = this.#log.reserve(bytes.byteLength)
      this.#log.buffer.set(bytes, at)
      this.#waiting.push({ id, position: this.#log.appended })
    }
  }

  free(random: SeededRandom): void {
    const sealed = this.#log.segments.filter(({ isSealed }) => isSealed)
    const segment = sealed[random.below(Math.max(1, Math.min(2, sealed.length)))]
    if (segment === undefined || this.hasFailed) return
    this.#judge.freed(segment.base, segment.end)
    this.#log.free(segment)
  }

  committed(position: Position): void {
    if (this.isDead) return
    for (let next = this.#waiting[0]; next !== undefined && next.position <= position; next = this.#waiting[0]) {
      this.#judge.confirm(next.id, next.position, this.#log.term, this)
      this.#waiting.shift()
    }
    this.#judge.know(this.#log.lastCommitted)
  }

  failed(error: Error): void {
    this.hasFailed = true
    if (!this.isDead) this.#note(error)
  }

  sealed(segment: Segment): void {
    if (this.isDead) return
    const digest = this.#judge.newRecord(digestBytes).bytes
    this.#judge.wroteDigest(segment.id, digest)
    this.#log.writeDigest(segment, digest).catch(() => {})
  }

  roomChanged(): void {}
}
