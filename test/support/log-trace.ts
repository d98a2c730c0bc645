/**
 * A recorded life of a file log on a simulated disk: appends, rolls, frees, digests, clean and unclean ends. The journal
 * holds what was done to the disk, with marks of what the shard had been told by then; `TraceModel` follows the marks
 * and judges what a log shows after a crash.
 */
import assert from 'node:assert/strict'
import { ManualClock } from '../../src/base/clock.ts'
import type { Files } from '../../src/base/files.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { type FileLog, openFileLog } from '../../src/log/file/file-log.ts'
import type { Segment } from '../../src/log/log.ts'
import { type Appended, LogDriver, recordBytes, replayedAll } from './log-driver.ts'
import { ProcessView } from './process-view.ts'
import { type JournalEntry, SimulatedFiles } from './simulated-files.ts'

export const traceDirectory = '/log'
const pageBytes = 16 * 1024
const segmentBytes = 2 * pageBytes

export function openTraceLog(files: Files, seed = 1): Promise<FileLog> {
  const sizes = { pageBytes, segmentBytes, firstSegmentBytes: segmentBytes, cacheBytes: 4 * pageBytes, roomBytesMin: 0 }
  return openFileLog({
    files,
    directory: traceDirectory,
    clock: new ManualClock(),
    random: new SeededRandom(seed),
    ...sizes,
  })
}

type Mark =
  | { readonly type: 'opened'; readonly last: number }
  | { readonly type: 'appended'; readonly record: Appended }
  | { readonly type: 'committed'; readonly position: number }
  | { readonly type: 'freed'; readonly base: number; readonly end: number }
  | { readonly type: 'digestBegun' | 'digestWritten'; readonly segment: number; readonly digest: Uint8Array }

/** Runs a random workload. `wrap` may break the disk's promises, to see that the tests notice. */
export async function recordTrace(
  seed: number,
  steps: number,
  wrap: (files: Files) => Files = (files) => files,
): Promise<readonly JournalEntry[]> {
  const files = new SimulatedFiles()
  const random = new SeededRandom(seed)
  let count = 0
  for (let life = 0; life < 3; life++) {
    const process = new ProcessView(wrap(files))
    const log = await openTraceLog(process, seed + life)
    const shard = new TracedShard(new LogDriver(log), files, random)
    for (let step = 0; step < steps; step++) count = await shard.step(count)
    // Every other end is unclean: what was not stored is lost with the process.
    if (life % 2 === 1) await log.close()
    process.kill()
  }
  return files.journal
}

class TracedShard {
  readonly driver: LogDriver
  readonly #files: SimulatedFiles
  readonly #random: SeededRandom

  constructor(driver: LogDriver, files: SimulatedFiles, random: SeededRandom) {
    this.driver = driver
    this.#files = files
    this.#random = random
    this.#mark({ type: 'opened', last: driver.log.appended })
    driver.onCommitted = (position) => this.#mark({ type: 'committed', position })
  }

  async step(count: number): Promise<number> {
    const random = this.#random
    const burst = 1 + random.below(4)
    for (let index = 0; index < burst; index++) {
      const bytes = recordBytes(count + index, random.below(3) === 0 ? random.below(8000) : random.below(200))
      this.#mark({ type: 'appended', record: { position: this.driver.append(bytes), bytes } })
    }
    if (random.below(3) > 0) await this.driver.settle()
    else await new Promise((resolve) => setImmediate(resolve))
    const sealed = this.driver.log.segments.filter((segment) => segment.isSealed)
    if (sealed.length > 1) this.#free(sealed[random.below(sealed.length)] as Segment)
    if (sealed.length > 0 && random.below(6) === 0) await this.#digest(sealed[random.below(sealed.length)] as Segment)
    return count + burst
  }

  #free(segment: Segment): void {
    if (!this.driver.log.segments.includes(segment)) return
    this.#mark({ type: 'freed', base: segment.base, end: segment.end })
    this.driver.log.free(segment)
  }

  async #digest(segment: Segment): Promise<void> {
    if (!this.driver.log.segments.includes(segment)) return
    const digest = recordBytes(this.#random.below(1000), this.#random.below(300))
    this.#mark({ type: 'digestBegun', segment: segment.id, digest })
    await this.driver.log.writeDigest(segment, digest)
    this.#mark({ type: 'digestWritten', segment: segment.id, digest })
  }

  #mark(mark: Mark): void {
    this.#files.mark(mark)
  }
}

/** What the shard knew at a point of the journal. */
export class TraceModel {
  readonly appended: Appended[] = []
  committed = 0
  readonly #freed: { readonly base: number; readonly end: number }[] = []
  /** By segment: the digest written last, then those begun after it. */
  readonly #digests = new Map<number, (Uint8Array | null)[]>()

  follow(entry: JournalEntry): void {
    if (entry.type !== 'mark') return
    const mark = entry.value as Mark
    switch (mark.type) {
      case 'opened':
        this.#opened(mark.last)
        break
      case 'appended':
        this.appended.push(mark.record)
        break
      case 'committed':
        this.committed = mark.position
        break
      case 'freed':
        this.#freed.push({ base: mark.base, end: mark.end })
        break
      case 'digestBegun':
        this.#digests.set(mark.segment, [...(this.#digests.get(mark.segment) ?? [null]), mark.digest])
        break
      case 'digestWritten':
        this.#digests.set(mark.segment, [mark.digest])
        break
    }
  }

  /** What a new life of the log found is committed, and what it did not find is gone for good. */
  #opened(last: number): void {
    while ((this.appended.at(-1)?.position ?? 0) > last) this.appended.pop()
    this.committed = Math.max(this.committed, last)
  }

  /**
   * Throws when the log lost a committed record, shows one that was never appended, or one out of order. What was
   * appended and not committed may be there: a prefix of it. Returns what the log shows.
   */
  async check(log: FileLog): Promise<Appended[]> {
    const shown = await replayedAll(log)
    const isFreed = (position: number): boolean =>
      this.#freed.some(({ base, end }) => position >= base && position < end)
    const isLive = (position: number): boolean =>
      log.segments.some(({ base, end }) => position >= base && position < end)
    const expected = this.appended.filter(({ position }) => !isFreed(position) || isLive(position))
    for (const [index, record] of shown.entries()) {
      const other = expected[index]
      assert.ok(other !== undefined && other.position === record.position, `unexpected record at ${record.position}`)
      assert.ok(Buffer.compare(other.bytes, record.bytes) === 0, `altered record at ${record.position}`)
    }
    const missing = expected[shown.length]
    assert.ok(
      missing === undefined || missing.position > this.committed,
      `lost the committed record at ${missing?.position}`,
    )
    await this.#checkDigests(log)
    return shown
  }

  async #checkDigests(log: FileLog): Promise<void> {
    for (const segment of log.segments) {
      const possible = this.#digests.get(segment.id) ?? [null]
      const matches = await Promise.all(possible.map((digest) => isDigest(log, segment, digest)))
      assert.ok(matches.includes(true), `the digest of segment ${segment.id} is one of those written`)
    }
  }
}

async function isDigest(log: FileLog, segment: Segment, digest: Uint8Array | null): Promise<boolean> {
  const shown = await log.readDigest(segment, 0, digest?.byteLength ?? 0)
  if (shown === null || digest === null) return shown === digest
  return Buffer.compare(shown, digest) === 0 && (await log.readDigest(segment, 0, digest.byteLength + 1)) === null
}
