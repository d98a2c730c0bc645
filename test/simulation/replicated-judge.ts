/**
 * What the nodes of a simulated replicated log have promised, and whether it was kept:
 *
 * - a record that was reported as committed is there for every later reader, once, at its place, unless it was freed
 * - no two readers see different records at one place, and no record is seen twice
 * - each term has one owner, and what it confirmed lies behind all that was confirmed under lower terms
 */
import assert from 'node:assert/strict'
import type { FrameMark } from '../../src/log/jetstream/replica.ts'
import type { Log, Position, RecordVisitor } from '../../src/log/log.ts'

export interface Reader {
  readonly ids: Map<Position, number>
  readonly record: RecordVisitor
}

interface Span {
  readonly owner: object
  first: Position
  last: Position
}

const idBytes = 4

export class ReplicatedJudge {
  readonly counts: Record<string, number> = {}
  /** The highest frame that anybody knew to be committed. */
  highest: FrameMark = { ordinal: -1, chain: 0 }
  readonly #confirmed = new Map<number, Position>()
  /** What anybody saw or appended with success, by place. */
  readonly #idAt = new Map<Position, number>()
  readonly #placeOf = new Map<number, Position>()
  readonly #spans = new Map<number, Span>()
  readonly #freed: { base: Position; end: Position }[] = []
  readonly #digests = new Map<number, string[]>()
  #nextId = 1

  count(what: string, times = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + times
  }

  // ---- what nodes do

  /** A record unlike any other. */
  newRecord(byteLength: number): { readonly id: number; readonly bytes: Uint8Array } {
    const id = this.#nextId++
    const bytes = new Uint8Array(Math.max(idBytes, byteLength)).fill(id & 255)
    new DataView(bytes.buffer).setUint32(0, id, true)
    return { id, bytes }
  }

  confirm(id: number, position: Position, term: number, owner: object): void {
    this.#saw(id, position)
    this.#confirmed.set(id, position)
    this.count('confirmed')
    const span = this.#spans.get(term)
    if (span === undefined) this.#spans.set(term, { owner, first: position, last: position })
    else {
      assert.ok(span.owner === owner, `two owners confirm under term ${term}`)
      assert.ok(position > span.last, 'an owner confirms in order')
      span.last = position
    }
  }

  know(mark: FrameMark): void {
    if (mark.ordinal > this.highest.ordinal) this.highest = mark
  }

  /** From now on nobody need have the records of a segment. */
  freed(base: Position, end: Position): void {
    this.#freed.push({ base, end })
    this.count('segments freed')
  }

  wroteDigest(segmentId: number, digest: Uint8Array): void {
    this.#digests.set(segmentId, [...(this.#digests.get(segmentId) ?? []), Buffer.from(digest).toString('hex')])
  }

  checkDigest(segmentId: number, digest: Uint8Array): void {
    this.count('digests read')
    const all = this.#digests.get(segmentId) ?? []
    assert.ok(
      all.includes(Buffer.from(digest).toString('hex')),
      `the digest of segment ${segmentId} is one that was written`,
    )
  }

  // ---- what readers see

  newReader(): Reader {
    const ids = new Map<Position, number>()
    let last = 0
    const record: RecordVisitor = (position, buffer, start, end) => {
      assert.ok(position > last, 'records come in order')
      last = position
      const id = new DataView(buffer.buffer, buffer.byteOffset + start).getUint32(0, true)
      for (let at = start + idBytes; at < end; at += 97) assert.equal(buffer[at], id & 255, 'a record has its bytes')
      this.#saw(id, position)
      ids.set(position, id)
    }
    return { ids, record }
  }

  async replayed(log: Log): Promise<Reader> {
    const reader = this.newReader()
    for (const segment of log.segments) await log.replay(segment, reader.record)
    return reader
  }

  /** Whoever reads the log from its first live record to its end sees all that was confirmed before it began. */
  checkWhole({ ids }: Reader, confirmed: ReadonlyMap<number, Position> = this.#confirmed): void {
    this.count('readings')
    for (const [id, position] of confirmed) {
      if (ids.get(position) === id) continue
      assert.ok(
        this.#isFreed(position),
        `record ${id} at ${position} was confirmed and is ${ids.has(position) ? 'another' : 'gone'}`,
      )
    }
    this.#checkSpans()
  }

  /** What was confirmed up to now. */
  get confirmedNow(): ReadonlyMap<number, Position> {
    return new Map(this.#confirmed)
  }

  #checkSpans(): void {
    let last = 0
    for (const [term, span] of [...this.#spans].sort(([a], [b]) => a - b)) {
      assert.ok(span.first > last, `what was confirmed under term ${term} lies behind what was before`)
      last = span.last
    }
  }

  #saw(id: number, position: Position): void {
    const other = this.#idAt.get(position)
    assert.ok(other === undefined || other === id, `records ${id} and ${other} are both seen at ${position}`)
    const place = this.#placeOf.get(id)
    assert.ok(place === undefined || place === position, `record ${id} is seen at ${position} and at ${place}`)
    this.#idAt.set(position, id)
    this.#placeOf.set(id, position)
  }

  #isFreed(position: Position): boolean {
    return this.#freed.some(({ base, end }) => position >= base && position < end)
  }
}
