/**
 * A small file log, closed or interrupted, as an image of its disk and the records that are in it: to be damaged by tests.
 */
import assert from 'node:assert/strict'
import { ManualClock } from '../../src/base/clock.ts'
import type { Files } from '../../src/base/files.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { type FileLog, openFileLog } from '../../src/log/file/file-log.ts'
import { LogDamaged } from '../../src/log/log.ts'
import { type Appended, LogDriver, load, recordBytes, replayed } from './log-driver.ts'
import { ProcessView } from './process-view.ts'
import { type DiskImage, SimulatedFiles } from './simulated-files.ts'

export const storeDirectory = '/log'
export const storePageBytes = 16 * 1024

export interface SmallStore {
  readonly image: DiskImage
  readonly records: readonly Appended[]
}

export function openStore(files: Files): Promise<FileLog> {
  const sizes = {
    pageBytes: storePageBytes,
    segmentBytes: storePageBytes,
    firstSegmentBytes: storePageBytes,
    cacheBytes: 1,
    roomBytesMin: 0,
  }
  return openFileLog({
    files,
    directory: storeDirectory,
    clock: new ManualClock(),
    random: new SeededRandom(5),
    ...sizes,
  })
}

/** The same every time, but for the records with another `salt`. Segments of one page, with many small frames, some blocks of several records, and large records. */
export async function makeStore(options: { segments: number; isClosed: boolean; salt?: number }): Promise<SmallStore> {
  const salt = options.salt ?? 0
  const disk = new SimulatedFiles({ hasJournal: false })
  const process = new ProcessView(disk)
  const driver = new LogDriver(await openStore(process))
  while (driver.seals.length < options.segments) {
    const count = driver.records.length
    const burst = count % 3 === 0 ? 5 : 1
    for (let index = 0; index < burst; index++)
      driver.append(recordBytes(salt + count + index, count % 7 === 6 ? 3000 : 20 + (count % 90)))
    await driver.settle()
  }
  for (const [index, segment] of driver.seals.entries()) await driver.log.writeDigest(segment, recordBytes(index, 150))
  for (let index = 0; index < 3; index++) {
    driver.append(recordBytes(salt + 1000 + index, 40))
    await driver.settle()
  }
  if (options.isClosed) await driver.log.close()
  process.kill()
  return { image: disk.image(), records: driver.records }
}

export interface Seen {
  /** What stopped the opening, or a replay. */
  readonly error: Error | null
  /** Whether any byte of any record differed or a record appeared that was not appended. */
  readonly shown: readonly Appended[]
  readonly isTailCut: boolean
}

/**
 * Opens and reads in every way, and throws when a byte is served that was not written. Errors must be `LogDamaged` and
 * name a file.
 */
export async function readEverything(image: DiskImage, records: readonly Appended[]): Promise<Seen> {
  const files = new SimulatedFiles({ image, hasJournal: false })
  let log: FileLog
  try {
    log = await openStore(files)
  } catch (error) {
    return { error: asDamage(error), shown: [], isTailCut: false }
  }
  const known = new Map(records.map((record) => [record.position, record.bytes]))
  const shown: Appended[] = []
  let error: Error | null = null
  try {
    for (const segment of log.segments) shown.push(...(await replayed(log, segment)))
  } catch (failure) {
    error = asDamage(failure)
  }
  checkBytes(shown, known)
  const driver = new LogDriver(log)
  const last = log.appended
  for (const { position, bytes } of records.filter((record) => record.position <= last)) {
    try {
      if (!log.view(position)) await load(log, position)
      assert.ok(
        Buffer.compare(driver.view(position) ?? new Uint8Array(0), bytes) === 0,
        `altered record at ${position}`,
      )
    } catch (failure) {
      asDamage(failure)
    }
  }
  await log.close()
  return { error, shown, isTailCut: !log.tailReport.isClean }
}

function checkBytes(shown: readonly Appended[], known: ReadonlyMap<number, Uint8Array>): void {
  for (const { position, bytes } of shown) {
    const expected = known.get(position)
    assert.ok(expected !== undefined, `phantom record at ${position}`)
    assert.ok(Buffer.compare(expected, bytes) === 0, `altered record at ${position}`)
  }
}

function asDamage(error: unknown): Error {
  if (!(error instanceof LogDamaged)) throw error
  assert.match(error.message, /\/log|position/, 'it names the place')
  return error
}
