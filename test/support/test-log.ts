import { assert } from '../../src/base/assert.ts'
import type { Log, LogListener, Position, RecordVisitor, Segment } from '../../src/log/log.ts'

/**
 * A log whose segments hold few records and which commits when it is told to, so that a test decides what a crash
 * leaves. Nothing is read back but by replay.
 */
export class TestLog implements Log {
  listener: LogListener | null = null
  buffer: Uint8Array = new Uint8Array(0)
  appended: Position = 0
  committed: Position = 0
  isFull = false
  readonly canFreeAnyOrder = true
  readonly viewBuffer = new Uint8Array(0)
  readonly viewStart = 0
  readonly viewEnd = 0
  /** Segments freed so far. */
  freed = 0
  #segments: TestSegment[]
  readonly #options: { segmentRecordsMax: number; isCommittedAtOnce: boolean }

  constructor(options: { segmentRecordsMax?: number; isCommittedAtOnce?: boolean } = {}, segments: TestSegment[] = []) {
    this.#options = { segmentRecordsMax: 1_000_000, isCommittedAtOnce: true, ...options }
    for (const segment of segments) segment.isSealed = true
    const last = segments.at(-1)
    this.#segments = [...segments, new TestSegment((last?.id ?? 0) + 1, (last?.end ?? 1) + 1)]
    this.appended = last === undefined ? 0 : last.end - 1
    this.committed = this.appended
  }

  // ---- append

  reserve(byteLength: number): number {
    let open = this.#open
    if (open.records.length >= this.#options.segmentRecordsMax) {
      open.isSealed = true
      this.#segments = [...this.#segments, new TestSegment(open.id + 1, open.end)]
      this.listener?.sealed(open)
      open = this.#open
    }
    this.buffer = new Uint8Array(byteLength)
    this.appended = open.end
    open.records.push({ position: open.end, bytes: this.buffer })
    if (this.#options.isCommittedAtOnce) this.commit()
    return 0
  }

  get #open(): TestSegment {
    const open = this.#segments.at(-1)
    assert(open !== undefined, 'there is always an open segment')
    return open
  }

  get uncommittedBytes(): number {
    return this.appended - this.committed
  }

  commit(upTo: Position = this.appended): void {
    this.committed = upTo
    this.listener?.committed(upTo)
  }

  fail(): void {
    this.listener?.failed(new Error('the disk is gone'))
  }

  // ---- after a crash

  /** What a process would find that starts now: what was committed, in segments that have not been freed. */
  afterCrash(options: { segmentRecordsMax?: number; isCommittedAtOnce?: boolean } = {}): TestLog {
    const segments = this.#segments.map((segment) => segment.until(this.committed))
    return new TestLog(
      { ...this.#options, ...options },
      segments.filter((segment) => segment.records.length > 0),
    )
  }

  get recordCount(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.records.length, 0)
  }

  /** Every record's text, oldest first. */
  get texts(): string[] {
    return this.#segments.flatMap((segment) => segment.records.map(({ bytes }) => Buffer.from(bytes).toString()))
  }

  // ---- segments

  get segments(): readonly Segment[] {
    return this.#segments
  }

  async replay(segment: Segment, visit: RecordVisitor): Promise<void> {
    for (const { position, bytes } of (segment as TestSegment).records) visit(position, bytes, 0, bytes.length)
  }

  free(segment: Segment): void {
    assert(segment.isSealed, 'only a sealed segment is freed')
    assert(segment.end <= this.committed + 1, 'only a committed segment is freed')
    this.#segments = this.#segments.filter((other) => other !== segment)
    this.freed++
  }

  // ---- what topology does not use

  view(): boolean {
    return false
  }

  load(_position: Position, loaded: (error: Error | null) => void): void {
    loaded(new Error('not kept'))
  }

  gather(positions: readonly Position[], loaded: (error: Error | null) => void): void {
    this.load(positions[0] as Position, loaded)
  }

  async writeDigest(): Promise<void> {}

  async readDigest(): Promise<Uint8Array | null> {
    return null
  }

  async close(): Promise<void> {
    this.commit()
  }
}

class TestSegment implements Segment {
  readonly id: number
  readonly base: Position
  isSealed = false
  records: { position: Position; bytes: Uint8Array }[] = []

  constructor(id: number, base: Position) {
    this.id = id
    this.base = base
  }

  get end(): Position {
    return this.base + this.records.length
  }

  until(committed: Position): TestSegment {
    const copy = new TestSegment(this.id, this.base)
    copy.records = this.records.filter(({ position }) => position <= committed)
    return copy
  }
}
