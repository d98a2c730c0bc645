/**
 * One log that several nodes share, in memory: its owner appends, a while later that is committed, and after another while
 * each follower is told. Who is not the owner any more learns it with the next commit, and what it appended is lost.
 */
import { assert } from '../../../src/base/assert.ts'
import type { Clock } from '../../../src/base/clock.ts'
import type { FollowedRecords } from '../../../src/cluster/topology/ports.ts'
import {
  type Log,
  LogDeposed,
  type LogListener,
  type Position,
  type RecordVisitor,
  type Segment,
} from '../../../src/log/log.ts'

export class SharedLog {
  readonly clock: Clock
  /** Committed records; the position of the first is 1. */
  readonly records: Uint8Array[] = []
  /** Records before it are freed: who follows from now on is not told of them. */
  firstPosition: Position = 1
  readonly segmentRecordsMax: number
  /** Milliseconds until an append is committed, and until a follower is told. */
  commitMs: () => number = () => 1
  followMs: (name: string) => number = () => 1
  owner: OwnedSharedLog | null = null
  readonly followers = new Map<string, SharedLogFollower>()

  constructor(clock: Clock, segmentRecordsMax = 1_000_000) {
    this.clock = clock
    this.segmentRecordsMax = segmentRecordsMax
  }

  follow(name: string, listener: FollowedRecords): SharedLogFollower {
    const follower = new SharedLogFollower(this, name, listener)
    this.followers.set(name, follower)
    return follower
  }

  /** The follower is told the rest and is the owner from now on. */
  takeOver(follower: SharedLogFollower): OwnedSharedLog {
    follower.tellAll()
    follower.stop()
    this.owner = new OwnedSharedLog(this)
    return this.owner
  }

  committed(bytes: readonly Uint8Array[]): void {
    this.records.push(...bytes)
    for (const follower of this.followers.values()) follower.come()
  }
}

export class SharedLogFollower {
  readonly #log: SharedLog
  readonly #name: string
  readonly #listener: FollowedRecords
  #told: number
  #isStopped = false
  #isCaughtUp = false

  constructor(log: SharedLog, name: string, listener: FollowedRecords) {
    this.#log = log
    this.#name = name
    this.#listener = listener
    this.#told = log.firstPosition - 1
    this.come()
  }

  come(): void {
    const until = this.#log.records.length
    this.#log.clock.after(this.#log.followMs(this.#name), () => this.#tell(until))
  }

  tellAll(): void {
    this.#tell(this.#log.records.length)
  }

  stop(): void {
    this.#isStopped = true
    if (this.#log.followers.get(this.#name) === this) this.#log.followers.delete(this.#name)
  }

  #tell(until: number): void {
    if (this.#isStopped) return
    for (; this.#told < until; this.#told++) {
      const record = this.#log.records[this.#told]
      if (record === undefined) continue
      const buffer = new Uint8Array(record.length + 10)
      buffer.set(record, 5)
      this.#listener.record(this.#told + 1, buffer, 5, 5 + record.length)
      buffer.fill(0)
    }
    if (this.#isCaughtUp || this.#isStopped) return
    this.#isCaughtUp = true
    this.#listener.caughtUp()
  }
}

export class OwnedSharedLog implements Log {
  listener: LogListener | null = null
  buffer: Uint8Array = new Uint8Array(0)
  appended: Position
  committed: Position
  isFull = false
  readonly canFreeAnyOrder = false
  readonly viewBuffer = new Uint8Array(0)
  readonly viewStart = 0
  readonly viewEnd = 0
  /** Nothing is committed while it is true. */
  isHeld = false
  readonly #shared: SharedLog
  #uncommitted: Uint8Array[] = []
  #isScheduled = false
  #isOver = false

  constructor(shared: SharedLog) {
    this.#shared = shared
    this.appended = shared.records.length
    this.committed = shared.records.length
  }

  reserve(byteLength: number): number {
    assert(!this.#isOver, 'a log that is over takes no records')
    this.buffer = new Uint8Array(byteLength)
    this.#uncommitted.push(this.buffer)
    this.appended++
    this.#schedule()
    return 0
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#shared.clock.after(this.#shared.commitMs(), () => {
      this.#isScheduled = false
      if (!this.isHeld) this.commit()
    })
  }

  commit(): void {
    if (this.#isOver || this.#uncommitted.length === 0) return
    if (this.#shared.owner !== this) return this.#depose()
    const before = this.segments.length
    this.#shared.committed(this.#uncommitted)
    this.#uncommitted = []
    this.committed = this.appended
    this.listener?.committed(this.committed)
    for (const sealed of this.segments.slice(before - 1, -1)) this.listener?.sealed(sealed)
  }

  #depose(): void {
    this.#isOver = true
    this.listener?.failed(new LogDeposed('another node owns the log'))
  }

  get uncommittedBytes(): number {
    return this.appended - this.committed
  }

  get segments(): readonly Segment[] {
    const size = this.#shared.segmentRecordsMax
    const count = Math.max(1, Math.ceil(this.appended / size))
    const segments: Segment[] = []
    for (let id = 0; id < count; id++) {
      if (id * size + 1 < this.#shared.firstPosition) continue
      const isSealed = id < count - 1 && this.committed >= (id + 1) * size
      segments.push({ id, base: id * size + 1, end: Math.min(this.appended, (id + 1) * size) + 1, isSealed })
    }
    return segments
  }

  async replay(segment: Segment, visit: RecordVisitor): Promise<void> {
    for (let position = segment.base; position < segment.end; position++) {
      const record = this.#shared.records[position - 1]
      if (record !== undefined) visit(position, record, 0, record.length)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  free(segment: Segment): void {
    assert(
      segment.isSealed && segment.id === this.segments[0]?.id,
      'only the oldest segment, and a sealed one, is freed',
    )
    this.#shared.firstPosition = segment.end
  }

  async close(): Promise<void> {
    if (this.#isOver) return
    if (this.#uncommitted.length > 0 && this.#shared.owner !== this) {
      this.#depose()
      throw new LogDeposed('another node owns the log')
    }
    this.commit()
    this.#isOver = true
  }

  // ---- what topology does not use

  view(): boolean {
    return false
  }

  load(_position: Position, loaded: (error: Error | null) => void): void {
    loaded(new Error('not kept'))
  }

  gather(_positions: readonly Position[], loaded: (error: Error | null) => void): void {
    loaded(new Error('not kept'))
  }

  async writeDigest(): Promise<void> {}

  async readDigest(): Promise<Uint8Array | null> {
    return null
  }
}
