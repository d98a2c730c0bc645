import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import type { Files } from '../../../src/base/files.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { type FileLog, type FileLogOptions, openFileLog } from '../../../src/log/file/file-log.ts'
import { fsck } from '../../../src/log/file/fsck.ts'
import type { Segment } from '../../../src/log/log.ts'
import { type Appended, LogDriver, load, recordBytes, replayedAll, until } from '../../support/log-driver.ts'
import { ProcessView } from '../../support/process-view.ts'
import { type Call, SimulatedFiles } from '../../support/simulated-files.ts'

const kibi = 1024
const directory = '/log'

function open(files: Files, options: Partial<FileLogOptions> = {}): Promise<FileLog> {
  const sizes = {
    pageBytes: 16 * kibi,
    segmentBytes: 32 * kibi,
    firstSegmentBytes: 32 * kibi,
    cacheBytes: 64 * kibi,
    roomBytesMin: 0,
  }
  return openFileLog({ files, directory, clock: new ManualClock(), random: new SeededRandom(1), ...sizes, ...options })
}

const disk = (): SimulatedFiles => new SimulatedFiles({ hasJournal: false })

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function fillSegments(driver: LogDriver, count: number): Promise<void> {
  while (driver.seals.length < count) {
    for (let index = 0; index < 8; index++) driver.append(recordBytes(driver.records.length, 700))
    await driver.settle()
  }
}

describe('closing', () => {
  test("a second time touches no file again: its number may be another one's by then", async () => {
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (_: unknown, message: string) => warnings.push(message) } as Logger
    const driver = new LogDriver(await open(disk(), { logger }))
    driver.append(recordBytes(0, 50))
    const log = driver.log as FileLog
    await log.close()
    await log.close()
    assert.deepEqual(warnings, [])
  })
})

describe('group commit', () => {
  test('stores all that a turn appends in one frame, and all that arrives meanwhile in the next', async () => {
    const driver = new LogDriver(await open(disk()))
    const log = driver.log as FileLog
    const before = log.framesStored
    for (let index = 0; index < 20; index++) driver.append(recordBytes(index, 50))
    await new Promise((resolve) => setImmediate(resolve))
    for (let index = 0; index < 20; index++) driver.append(recordBytes(index, 50))
    await driver.settle()
    assert.equal(log.framesStored - before, 2)
    assert.equal(driver.commits.length, 2)
    await log.close()
  })

  test('has one frame in flight at any time', async () => {
    let inFlight = 0
    let most = 0
    const files = disk()
    const watched = withWrites(files, async (write) => {
      inFlight++
      most = Math.max(most, inFlight)
      await write()
      inFlight--
    })
    const driver = new LogDriver(await open(watched))
    for (let index = 0; index < 100; index++) {
      driver.append(recordBytes(index, 3000))
      if (index % 3 === 0) await turns(1)
    }
    await driver.settle()
    assert.equal(most, 1)
    await driver.log.close()
  })
})

describe('opening a file log', () => {
  test('tells a log that was closed from one that was interrupted', async () => {
    const files = disk()
    const first = await open(files)
    assert.equal(first.tailReport.copiedBytes, 0, 'a new log has nothing to doubt')
    await first.close()
    const second = await open(files)
    assert.equal(second.tailReport.isClean, true)
    await second.close()
    const process = new ProcessView(files)
    await open(process)
    process.kill()
    const fourth = await open(files)
    assert.equal(fourth.tailReport.isClean, false)
    assert.ok(fourth.tailReport.copiedBytes > 0)
    await fourth.close()
  })

  test('works at every place where the last frame may end near the end of a segment, again and again', async () => {
    for (let gap = 0; gap <= 1400; gap += gap < 160 ? 8 : 40) {
      for (const isClosed of [true, false]) await openNearEnd(gap, isClosed)
    }
  })

  test('makes small segments first and then larger ones', async () => {
    const files = disk()
    const driver = new LogDriver(await open(files, { firstSegmentBytes: 16 * kibi, segmentBytes: 64 * kibi }))
    await fillSegments(driver, 5)
    const spans = driver.log.segments.map(({ base, end }) => (end - base) / kibi)
    assert.deepEqual(spans.slice(0, 5), [16, 32, 64, 64, 64])
    await driver.log.close()
  })

  test('keeps the page size that the log was made with', async () => {
    const files = disk()
    const driver = new LogDriver(await open(files))
    driver.append(recordBytes(1, 100))
    await driver.log.close()
    const again = await open(files, { pageBytes: 32 * kibi })
    assert.equal((await replayedAll(again)).length, 1)
    await again.close()
  })

  test('removes what an interrupted operation left', async () => {
    const files = disk()
    await (await open(files)).close()
    const file = await files.open(`${directory}/0000000099.segment.tmp`, 'create')
    await file.close()
    await (await open(files)).close()
    assert.ok((await files.list(directory)).every((name) => !name.endsWith('.tmp')))
  })
})

/** Ends the last frame `gap` bytes before the end that records may reach, ends the process, and opens three times. */
async function openNearEnd(gap: number, isClosed: boolean): Promise<void> {
  const files = disk()
  const records: Appended[] = []
  const options = { segmentBytes: 16 * kibi, firstSegmentBytes: 16 * kibi }
  const process = new ProcessView(files)
  const driver = new LogDriver(await open(process, options))
  // 16 KiB less header (4096), slack (512), epoch frame, and this frame's own 92 bytes.
  const [first] = (driver.log as FileLog).segments
  assert.ok(first !== undefined)
  const room = 16 * kibi - first.committedEnd - 512 - 92 - gap
  records.push({ position: driver.append(recordBytes(1, room - (room % 8))), bytes: recordBytes(1, room - (room % 8)) })
  await driver.settle()
  if (isClosed) await driver.log.close()
  process.kill()
  for (let life = 0; life < 3; life++) {
    const next = new ProcessView(files)
    const again = new LogDriver(await open(next, options))
    const shown = await replayedAll(again.log)
    assert.deepEqual(
      shown.map(({ position }) => position),
      records.map(({ position }) => position),
      `gap ${gap}, life ${life}`,
    )
    if (life === 1) records.push({ position: again.append(recordBytes(9, 30)), bytes: recordBytes(9, 30) })
    await again.settle()
    if (isClosed) await again.log.close()
    next.kill()
  }
  assert.equal((await fsck(files, directory)).isIntact, true)
}

describe('segment files', () => {
  test('are used again, so that their number does not grow', async () => {
    const files = disk()
    const driver = new LogDriver(await open(files))
    driver.onSealed = (segment) => driver.log.free(segment)
    const created = countCalls(files, (call) => call.kind === 'open' && call.path.endsWith('.tmp'))
    await fillSegments(driver, 40)
    assert.ok(created() <= 8, `${created()} files were made for 40 segments`)
    const names = (await files.list(directory)).filter((name) => name.endsWith('.segment'))
    assert.ok(names.length <= 8, names.join())
    await driver.log.close()
  })

  test('are removed when more are free than will be needed', async () => {
    const files = disk()
    const driver = new LogDriver(await open(files))
    await fillSegments(driver, 30)
    for (const segment of driver.seals) driver.log.free(segment)
    await turns(2000)
    const names = (await files.list(directory)).filter((name) => name.endsWith('.segment'))
    assert.ok(names.length <= 8, names.join())
    await driver.log.close()
    const again = await open(files)
    assert.ok((await replayedAll(again)).length < driver.records.length)
    await again.close()
  })

  test('are not touched after `free` before everything appended until then is committed', async () => {
    const files = disk()
    const held: (() => void)[] = []
    let isHeld = false
    const gated = withWrites(files, async (write) => {
      if (isHeld) await new Promise<void>((resolve) => held.push(resolve))
      await write()
    })
    const driver = new LogDriver(await open(gated))
    await fillSegments(driver, 3)
    await turns(100)
    // No room for another file: a spare one is used at once.
    files.capacityBytes = files.usedBytes
    await fillSegments(driver, 4)
    await until(() => driver.log.isFull)
    const before = contentOf(files, 0)
    isHeld = true
    driver.append(recordBytes(1, 100))
    await until(() => held.length === 1)
    driver.log.free(driver.seals[0] as Segment)
    held.shift()?.()
    await until(() => held.length === 1)
    await turns(200)
    assert.ok(Buffer.compare(contentOf(files, 0), before) === 0, 'the frame that says it is freed is still in flight')
    isHeld = false
    held.shift()?.()
    await until(() => !driver.log.isFull)
    assert.equal(contentOf(files, 0).byteLength, 0, 'now it has become another one')
    await driver.log.close()
  })
})

describe('reading', () => {
  test('reads a page once for all who wait for it', async () => {
    const files = disk()
    const driver = new LogDriver(await open(files))
    await fillSegments(driver, 4)
    const reads = countCalls(files, (call) => call.kind === 'read')
    const inFirstPage = driver.records.filter(({ position }) => position < 16 * kibi)
    assert.ok(inFirstPage.length > 5)
    await Promise.all(inFirstPage.map(({ position }) => load(driver.log, position)))
    assert.equal(reads(), 1)
    await driver.log.close()
  })

  test('lets the event loop turn while it replays', async () => {
    const clock = new (class extends ManualClock {
      #ticks = 0
      override monotonic(): number {
        return this.#ticks++
      }
    })()
    const driver = new LogDriver(await open(disk(), { clock }))
    for (let index = 0; index < 60; index++) {
      driver.append(recordBytes(index, 100))
      await driver.settle()
    }
    let turnsMeanwhile = 0
    let isDone = false
    const count = (): void => {
      turnsMeanwhile++
      if (!isDone) setImmediate(count)
    }
    setImmediate(count)
    await replayedAll(driver.log)
    isDone = true
    assert.ok(turnsMeanwhile > 15, `${turnsMeanwhile} turns`)
    await driver.log.close()
  })
})

// ---- helpers

function countCalls(files: SimulatedFiles, matches: (call: Call) => boolean): () => number {
  let count = 0
  files.fault = (call) => {
    if (matches(call)) count++
    return null
  }
  return () => count
}

function contentOf(files: SimulatedFiles, id: number): Uint8Array {
  return files.image().get(`${directory}/${String(id).padStart(10, '0')}.segment`) ?? new Uint8Array(0)
}

/** Passes each synced write through `around`. */
function withWrites(files: Files, around: (write: () => Promise<void>) => Promise<void>): Files {
  return {
    makeDirectory: (path) => files.makeDirectory(path),
    list: (path) => files.list(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    removeDirectory: (path) => files.removeDirectory(path),
    syncDirectory: (path) => files.syncDirectory(path),
    freeBytes: (path) => files.freeBytes(path),
    open: async (path, mode, options) => {
      const file = await files.open(path, mode, options)
      if (options?.isSynced !== true) return file
      return { ...file, write: (from, at, length, position) => around(() => file.write(from, at, length, position)) }
    },
  }
}
