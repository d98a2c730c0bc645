/**
 * Drives a `Log` as a shard does, and remembers what it was told: for tests of the logs themselves.
 */
import assert from 'node:assert/strict'
import type { Log, LogListener, Position, Segment } from '../../src/log/log.ts'

export type DrivenLog = Log & { listener: LogListener | null }

export interface Appended {
  readonly position: Position
  readonly bytes: Uint8Array
}

export class LogDriver implements LogListener {
  readonly log: DrivenLog
  readonly records: Appended[] = []
  readonly commits: Position[] = []
  readonly seals: Segment[] = []
  readonly failures: Error[] = []
  roomChanges = 0
  onCommitted: (position: Position) => void = () => {}
  onSealed: (segment: Segment) => void = () => {}

  constructor(log: DrivenLog) {
    this.log = log
    log.listener = this
  }

  // ---- LogListener

  committed(position: Position): void {
    assert.ok(position > (this.commits.at(-1) ?? 0), 'commits ascend')
    assert.ok(position <= this.log.appended, 'nothing is committed that was not appended')
    assert.equal(this.log.committed, position)
    this.commits.push(position)
    this.onCommitted(position)
  }

  failed(error: Error): void {
    this.failures.push(error)
  }

  sealed(segment: Segment): void {
    assert.equal(segment.isSealed, true)
    const last = this.records.findLast((record) => record.position < segment.end)
    assert.ok(
      last === undefined || last.position <= this.log.committed,
      'all records of a sealed segment are committed',
    )
    this.seals.push(segment)
    this.onSealed(segment)
  }

  roomChanged(): void {
    this.roomChanges++
  }

  // ---- the shard's side

  append(bytes: Uint8Array): Position {
    const at = this.log.reserve(bytes.byteLength)
    this.log.buffer.set(bytes, at)
    const position = this.log.appended
    assert.ok(position > (this.records.at(-1)?.position ?? 0), 'positions ascend and are above 0')
    this.records.push({ position, bytes })
    return position
  }

  /** Waits until everything appended is committed, or the log has failed. */
  async settle(): Promise<void> {
    await until(() => this.log.committed === this.log.appended || this.failures.length > 0)
  }

  view(position: Position): Uint8Array | null {
    if (!this.log.view(position)) return null
    return this.log.viewBuffer.slice(this.log.viewStart, this.log.viewEnd)
  }

  /** Views a record, after a load where it is not in memory. */
  async read(position: Position): Promise<Uint8Array> {
    const now = this.view(position)
    if (now !== null) return now
    await load(this.log, position)
    const then = this.view(position)
    assert.ok(then !== null, 'a view succeeds after a load')
    return then
  }
}

export function load(log: Log, position: Position): Promise<void> {
  return new Promise((resolve, reject) => {
    let isCallOver = false
    log.load(position, (error) => {
      assert.ok(isCallOver, 'load never calls back at once')
      if (error === null) resolve()
      else reject(error)
    })
    isCallOver = true
  })
}

export async function replayed(log: Log, segment: Segment): Promise<Appended[]> {
  const records: Appended[] = []
  await log.replay(segment, (position, buffer, start, end) => {
    assert.ok(position >= segment.base && position < segment.end, 'positions lie inside their segment')
    records.push({ position, bytes: buffer.slice(start, end) })
  })
  return records
}

export async function replayedAll(log: Log): Promise<Appended[]> {
  const records: Appended[] = []
  for (const segment of log.segments) records.push(...(await replayed(log, segment)))
  return records
}

/** Bytes that tell which record they are: its number, then a pattern. */
export function recordBytes(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = (number * 31 + index * 7 + (index >> 8)) & 255
  for (let index = 0; index < Math.min(4, length); index++) bytes[index] = (number >>> (index * 8)) & 255
  return bytes
}

/** What takes more turns of the event loop waits for something outside. */
const quickTurns = 20_000
const untilMsMax = 30_000

/** Lets the event loop turn until the condition holds; fails loudly rather than wait for ever. Real servers need real time. */
export async function until(condition: () => boolean, what = 'the condition', turnsMax = 200_000): Promise<void> {
  const begun = performance.now()
  for (let turns = 0; !condition(); turns++) {
    if (turns > turnsMax || performance.now() - begun > untilMsMax) throw new Error(`${what} did not come true`)
    await new Promise((resolve) => {
      if (turns < quickTurns) setImmediate(resolve)
      else setTimeout(resolve, 1)
    })
  }
}
