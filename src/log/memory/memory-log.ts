/**
 * A log that promises nothing: it commits at once (reported once per turn, like the others) and forgets everything when
 * it is closed. Without a page store it keeps all until it is freed; with one it is the scratch log, which moves its
 * oldest segments to disk above a budget.
 *
 * Appending bumps an offset: this is the path of the body of each transient message.
 */
import { assert } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import {
  type Log,
  LogDamaged,
  type LogListener,
  type Position,
  type RecordVisitor,
  recordBytesMax,
  type Segment,
} from '../log.ts'
import { MemorySegment, memorySegmentBytes } from './memory-segment.ts'
import type { Paging } from './paging.ts'

export { memorySegmentBytes } from './memory-segment.ts'

const recordHeaderBytes = 4
const sliceMs = 2
/** How many records are visited between two looks at the clock. */
const recordsPerLook = 64
const idlePagesMax = 8

export interface MemoryLogOptions {
  readonly clock: Clock
}

export async function openMemoryLog(options: MemoryLogOptions): Promise<MemoryLog> {
  return new MemoryLog(options.clock, null)
}

export class MemoryLog implements Log {
  listener: LogListener | null = null
  appended: Position = 0
  committed: Position = 0
  uncommittedBytes = 0
  buffer: Uint8Array
  viewBuffer: Uint8Array = empty
  viewStart = 0
  viewEnd = 0
  readonly canFreeAnyOrder = true

  readonly #clock: Clock
  readonly #paging: Paging | null
  readonly #keepsContent: boolean
  readonly #live = new Map<number, MemorySegment>()
  readonly #digests = new Map<number, Uint8Array>()
  readonly #idle: Uint8Array[] = []
  #segments: readonly MemorySegment[] | null = null
  #sealedInTurn: MemorySegment[] = []
  #open: MemorySegment
  #openView: DataView
  #used: number
  #isScheduled = false
  #isClosed = false
  #viewId = -1
  #viewOfBytes: DataView

  /** With `keepsContent` a log that was closed may be used again, with all that is in it. */
  constructor(clock: Clock, paging: Paging | null, { keepsContent = false }: { keepsContent?: boolean } = {}) {
    this.#clock = clock
    this.#keepsContent = keepsContent
    this.#paging = paging
    this.buffer = new Uint8Array(memorySegmentBytes)
    this.#open = new MemorySegment(0, this.buffer)
    this.#openView = dataView(this.buffer)
    this.#viewOfBytes = this.#openView
    this.#used = this.#open.used
    this.#live.set(0, this.#open)
    paging?.attach({
      roomChanged: () => this.listener?.roomChanged(),
      pageOut: (segment) => this.#letGo(segment),
      takePage: () => this.#takePage(),
    })
  }

  // ---- append

  reserve(byteLength: number): number {
    const need = byteLength + recordHeaderBytes
    if (this.#used + need > memorySegmentBytes) this.#roll(byteLength)
    const at = this.#used
    this.#openView.setUint32(at, byteLength, true)
    this.#used = at + need
    this.appended = this.#open.base + at
    this.uncommittedBytes += need
    if (!this.#isScheduled) this.#schedule()
    return at + recordHeaderBytes
  }

  get isFull(): boolean {
    return this.#paging?.isFull ?? false
  }

  #roll(byteLength: number): void {
    assert(byteLength <= recordBytesMax, 'a record is at most recordBytesMax long')
    const full = this.#open
    full.used = this.#used
    full.isSealed = true
    this.#sealedInTurn.push(full)
    this.buffer = this.#takePage()
    this.#openView = dataView(this.buffer)
    this.#open = new MemorySegment(full.id + 1, this.buffer)
    this.#used = this.#open.first
    this.#live.set(this.#open.id, this.#open)
    this.#segments = null
  }

  #schedule(): void {
    assert(!this.#isClosed, 'a closed log takes no records')
    this.#isScheduled = true
    this.#clock.soon(this.#commit)
  }

  readonly #commit = (): void => {
    if (!this.#isScheduled) return
    this.#isScheduled = false
    this.committed = this.appended
    this.uncommittedBytes = 0
    const sealed = this.#sealedInTurn
    this.#sealedInTurn = []
    this.listener?.committed(this.committed)
    for (const segment of sealed) {
      if (!segment.isFreed) this.#paging?.add(segment)
      this.listener?.sealed(segment)
    }
  }

  // ---- read

  view(position: Position): boolean {
    const id = Math.floor(position / memorySegmentBytes)
    if (id !== this.#viewId && !this.#turnTo(id)) return false
    const start = position - id * memorySegmentBytes
    this.viewStart = start + recordHeaderBytes
    this.viewEnd = start + recordHeaderBytes + this.#viewOfBytes.getUint32(start, true)
    return true
  }

  #turnTo(id: number): boolean {
    const segment = this.#live.get(id)
    if (segment === undefined || segment.bytes === null || segment.view === null) return false
    this.#paging?.touch(segment)
    this.#viewId = id
    this.viewBuffer = segment.bytes
    this.#viewOfBytes = segment.view
    return true
  }

  load(position: Position, loaded: (error: Error | null) => void): void {
    const segment = this.#live.get(Math.floor(position / memorySegmentBytes))
    if (segment === undefined) {
      this.#clock.soon(() => loaded(new LogDamaged(`position ${position} is in no live segment`)))
    } else if (segment.bytes !== null || this.#paging === null) {
      this.#clock.soon(() => this.#loadedSoon(segment, position, loaded))
    } else {
      this.#paging.load(segment, loaded)
    }
  }

  /** Segments are small, and come back whole: the others have their turn when they are asked for. */
  gather(positions: readonly Position[], loaded: (error: Error | null) => void): void {
    this.load(positions[0] as Position, loaded)
  }

  /** Other loads may meanwhile have sent it away. */
  #loadedSoon(segment: MemorySegment, position: Position, loaded: (error: Error | null) => void): void {
    if (segment.bytes === null) {
      this.load(position, loaded)
    } else {
      this.#paging?.hold(segment)
      loaded(null)
    }
  }

  // ---- segments

  get segments(): readonly MemorySegment[] {
    this.#segments ??= [...this.#live.values()]
    return this.#segments
  }

  async replay(segment: Segment, visit: RecordVisitor): Promise<void> {
    const own = this.#liveSegment(segment)
    const end = own === this.#open ? this.#used : own.used
    // A copy where the bytes may leave memory, and their buffer be used again, between two slices.
    const bytes = this.#paging === null ? own.bytes : (own.bytes?.slice() ?? (await this.#paging.read(own)))
    assert(bytes !== null, 'only paging takes bytes out of memory')
    const view = dataView(bytes)
    let sliceStart = this.#clock.monotonic()
    let untilLook = recordsPerLook
    for (let at = own.first; at < end; ) {
      const start = at + recordHeaderBytes
      const next = start + view.getUint32(at, true)
      visit(own.base + at, bytes, start, next)
      at = next
      if (--untilLook > 0) continue
      untilLook = recordsPerLook
      if (this.#clock.monotonic() - sliceStart < sliceMs) continue
      await new Promise<void>((resolve) => this.#clock.soon(resolve))
      sliceStart = this.#clock.monotonic()
    }
  }

  async writeDigest(segment: Segment, digest: Uint8Array): Promise<void> {
    assert(segment.isSealed, 'only a sealed segment has a digest')
    if (this.#live.has(segment.id)) this.#digests.set(segment.id, digest.slice())
  }

  async readDigest(segment: Segment, offset: number, byteLength: number): Promise<Uint8Array | null> {
    const digest = this.#digests.get(segment.id)
    if (digest === undefined || offset + byteLength > digest.byteLength) return null
    return digest.slice(offset, offset + byteLength)
  }

  free(segment: Segment): void {
    const own = this.#liveSegment(segment)
    assert(own.isSealed, 'only a sealed segment is freed')
    own.isFreed = true
    this.#live.delete(own.id)
    this.#segments = null
    this.#digests.delete(own.id)
    if (!own.isBeingStored) this.#letGo(own)
    this.#paging?.remove(own)
  }

  #liveSegment(segment: Segment): MemorySegment {
    const own = this.#live.get(segment.id)
    assert(own !== undefined, 'the segment is live and of this log')
    return own
  }

  // ---- close

  async close(): Promise<void> {
    this.#commit()
    if (this.#keepsContent) {
      this.listener = null
      return
    }
    this.#isClosed = true
    await this.#paging?.close()
    this.#live.clear()
    this.#segments = null
    this.#viewId = -1
  }

  // ---- pages

  #takePage(): Uint8Array {
    return this.#idle.pop() ?? new Uint8Array(memorySegmentBytes)
  }

  /** The bytes may be used for another segment from now on: whoever views this one must load it first. */
  #letGo(segment: MemorySegment): void {
    const bytes = segment.letGo()
    if (bytes !== null && this.#idle.length < idlePagesMax) this.#idle.push(bytes)
    if (this.#viewId === segment.id) this.#viewId = -1
  }
}

const empty = new Uint8Array(0)

function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
