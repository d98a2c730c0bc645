/**
 * Failing calls: whatever call fails, the log confirms nothing that is not stored, reports the failure once, and what it
 * confirmed is there when it is opened again. And the full disk: no loss, no failure, and it goes on by itself.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { type FileLog, openFileLog } from '../../src/log/file/file-log.ts'
import { LogFailed } from '../../src/log/log.ts'
import { CrashStates } from '../support/crash-states.ts'
import { type Appended, LogDriver, load, recordBytes, replayedAll, until } from '../support/log-driver.ts'
import { type Call, SimulatedFiles } from '../support/simulated-files.ts'

const kibi = 1024
const segmentBytes = 32 * kibi

async function open(files: SimulatedFiles, clock = new ManualClock(), roomBytesMin = 0): Promise<FileLog> {
  const sizes = {
    pageBytes: 16 * kibi,
    segmentBytes,
    firstSegmentBytes: segmentBytes,
    cacheBytes: 64 * kibi,
    roomBytesMin,
  }
  return openFileLog({ files, directory: '/log', clock, random: new SeededRandom(1), ...sizes })
}

/** A short life with rolls, frees, a digest, a far read and a close. Returns what it confirmed, at its end or at its failure. */
async function live(files: SimulatedFiles): Promise<{ records: Appended[]; committed: number; failures: Error[] }> {
  const clock = new ManualClock()
  const driver = new LogDriver(await open(files, clock))
  const result = { records: driver.records, failures: driver.failures, committed: 0 }
  /** What is tried again after a while is tried again soon. */
  const settle = async (): Promise<void> => {
    for (let round = 0; driver.log.committed < driver.log.appended && driver.failures.length === 0; round++) {
      assert.ok(round < 10_000, 'it goes on')
      if (round % 50 === 49) clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  try {
    for (let step = 0; step < 16 && driver.failures.length === 0; step++) {
      for (let index = 0; index < 3; index++) driver.append(recordBytes(driver.records.length, 500 * (1 + (step % 5))))
      await settle()
      const [first, second] = driver.seals
      if (step === 12 && first !== undefined) driver.log.free(first)
      if (step === 10 && second !== undefined) await driver.log.writeDigest(second, recordBytes(1, 500))
      if (step === 11) await driver.read(driver.records[5]?.position ?? 0)
    }
    await driver.log.close()
  } catch (error) {
    assert.ok(error instanceof LogFailed, `a clear error, not ${String(error)}`)
    await driver.log.close().catch(() => {})
  }
  result.committed = driver.commits.at(-1) ?? 0
  return result
}

describe('a call that fails', () => {
  for (const code of ['EIO', 'ENOSPC', 'EMFILE', 'EROFS']) {
    test(`never makes the log confirm what is not stored, whichever call it is (${code})`, async () => {
      const whole = new SimulatedFiles()
      await live(whole)
      let failed = 0
      for (let number = 1; number <= whole.calls; number++) failed += await failNth(number, code)
      assert.ok(failed > whole.calls / 3, `${failed} of ${whole.calls} calls were noticed`)
    })
  }
})

/** Returns 1 when the failure was noticed by somebody. Afterwards the power goes as well: what was not durable is lost. */
async function failNth(number: number, code: string): Promise<number> {
  let hit: Call | null = null
  const files = new SimulatedFiles({
    fault: (call: Call) => {
      if (call.number !== number) return null
      hit = call
      return code
    },
  })
  let result: Awaited<ReturnType<typeof live>>
  try {
    result = await live(files)
  } catch (error) {
    // Opening failed: nothing was confirmed, and nothing is in the way of the next try.
    assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error))
    result = { records: [], committed: 0, failures: [error] }
  }
  assert.ok(hit !== null || result.failures.length === 0)
  assert.ok(result.failures.length <= 1, 'a failure is reported once')
  assert.equal(files.openCount, 0, `no file is left open after ${JSON.stringify(hit)}`)
  const states = new CrashStates(files.journal)
  while (states.step() !== null);
  const image = states.image(() => 'drop', new SeededRandom(1))
  const again = await open(new SimulatedFiles({ image, hasJournal: false }))
  await checkShown(again, result.records, result.committed)
  await again.close()
  return result.failures.length
}

/** A prefix of what was appended, with all that was confirmed, but for segments that were freed. */
async function checkShown(log: FileLog, records: readonly Appended[], committed: number): Promise<void> {
  const shown = new Map((await replayedAll(log)).map(({ position, bytes }) => [position, bytes]))
  const firstLive = log.segments[0]?.base ?? 0
  for (const { position, bytes } of records) {
    const there = shown.get(position)
    if (position <= committed && position >= firstLive)
      assert.ok(there !== undefined, `lost the confirmed record at ${position}`)
    assert.ok(there === undefined || Buffer.compare(there, bytes) === 0)
  }
  assert.ok(shown.size <= records.length)
}

describe('a failed write', () => {
  test('is reported once; nothing more is accepted; what was stored can still be read', async () => {
    const files = new SimulatedFiles()
    const driver = new LogDriver(await open(files))
    const first = driver.append(recordBytes(1, 100))
    await driver.settle()
    files.fault = (call) => (call.kind === 'write' && call.path.endsWith('0000000000.segment') ? 'EIO' : null)
    driver.append(recordBytes(2, 100))
    await until(() => driver.failures.length > 0)
    assert.ok(driver.failures[0] instanceof LogFailed)
    assert.match(driver.failures[0].message, /writing segment 0 at \d+ failed: EIO/)
    assert.equal(driver.commits.at(-1), first)
    assert.throws(() => driver.log.reserve(10), LogFailed)
    await load(driver.log, first)
    assert.deepEqual(driver.view(first), recordBytes(1, 100))
    files.fault = null
    await driver.log.close()
    assert.equal(driver.failures.length, 1)
    assert.equal(files.openCount, 0)
  })

  test('may leave bytes that are seen and not durable; the next open makes them durable or cuts them', async () => {
    const files = new SimulatedFiles()
    const driver = new LogDriver(await open(files))
    const first = driver.append(recordBytes(1, 100))
    await driver.settle()
    files.fault = (call) => (call.kind === 'write' ? 'EIO' : null)
    const second = driver.append(recordBytes(2, 100))
    await until(() => driver.failures.length > 0)
    files.fault = null
    await driver.log.close()

    const again = await open(files)
    const shown = (await replayedAll(again)).map(({ position }) => position)
    assert.deepEqual(shown, [first, second], 'the page cache shows it')
    assert.ok(again.tailReport.copiedBytes > 0 && !again.tailReport.isClean)
    // Whatever was shown once must survive a power cut: the shard may have acted on it.
    const states = new CrashStates(files.journal)
    while (states.step() !== null);
    const image = states.image(() => 'drop', new SeededRandom(1))
    const third = await open(new SimulatedFiles({ image, hasJournal: false }))
    assert.deepEqual(
      (await replayedAll(third)).map(({ position }) => position),
      shown,
    )
  })
})

describe('a full disk', () => {
  test('is announced while there is room for settlements, and they go on', async () => {
    const clock = new ManualClock()
    const files = new SimulatedFiles({ hasJournal: false, capacityBytes: 5 * segmentBytes + 8 * kibi })
    const driver = new LogDriver(await open(files, clock))
    while (!driver.log.isFull) await appendSome(driver)
    assert.equal(driver.roomChanges, 1)
    const { length } = driver.records
    for (let index = 0; index < 200; index++) driver.append(recordBytes(index, 60))
    await driver.settle()
    assert.equal(driver.records.length, length + 200, 'the reserve takes settlements')

    // Consumers have drained: their segments are freed, and room comes back by itself.
    for (const segment of driver.log.segments.filter(({ isSealed }) => isSealed)) driver.log.free(segment)
    await until(() => !driver.log.isFull)
    assert.equal(driver.roomChanges, 2)
    for (let round = 0; round < 10; round++) await appendSome(driver)
    assert.equal(driver.failures.length, 0)
    await driver.log.close()
    const again = await open(files)
    assert.ok((await replayedAll(again)).length > 0)
    await again.close()
  })

  test('leaves the bytes that are to stay free, and uses them for settlements only', async () => {
    const floor = 4 * segmentBytes
    const files = new SimulatedFiles({ hasJournal: false, capacityBytes: 10 * segmentBytes + 8 * kibi })
    const driver = new LogDriver(await open(files, new ManualClock(), floor))
    while (!driver.log.isFull) await appendSome(driver)
    assert.ok(files.capacityBytes - files.usedBytes >= floor)
    for (let index = 0; index < 40; index++) {
      driver.append(recordBytes(index, 2000))
      await driver.settle()
    }
    assert.ok(files.capacityBytes - files.usedBytes < floor)
    await driver.log.close()
  })

  test('holds frames back when nothing is left, loses none, and goes on when somebody makes room', async () => {
    const clock = new ManualClock()
    const files = new SimulatedFiles({ hasJournal: false, capacityBytes: 3 * segmentBytes + 8 * kibi })
    const driver = new LogDriver(await open(files, clock))
    for (let index = 0; index < 60; index++) {
      driver.append(recordBytes(index, 3000))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await turns(200)
    assert.ok(driver.log.uncommittedBytes > 0 && driver.log.isFull)
    assert.equal(driver.failures.length, 0)
    files.capacityBytes *= 4
    clock.advance(1000)
    await driver.settle()
    assert.equal(driver.log.isFull, false)
    await driver.log.close()
    const again = await open(files)
    assert.equal((await replayedAll(again)).length, 60)
    await again.close()
  })

  test('does not keep the log from closing: it says that records could not be committed', async () => {
    const files = new SimulatedFiles({ hasJournal: false, capacityBytes: 3 * segmentBytes + 8 * kibi })
    const driver = new LogDriver(await open(files))
    for (let index = 0; index < 60; index++) driver.append(recordBytes(index, 3000))
    await turns(300)
    await assert.rejects(driver.log.close(), /no room for another segment/)
    assert.equal(files.openCount, 0)
    const again = await open(new SimulatedFiles({ image: files.image(), hasJournal: false }))
    await checkShown(again, driver.records, driver.commits.at(-1) ?? 0)
    await again.close()
  })

  test('at the start is refused with a clear error when not even the first segment fits', async () => {
    const files = new SimulatedFiles({ hasJournal: false, capacityBytes: segmentBytes / 2 })
    await assert.rejects(open(files), { code: 'ENOSPC' })
    assert.equal(files.openCount, 0)
    files.capacityBytes *= 100
    const log = await open(files)
    await log.close()
  })
})

async function appendSome(driver: LogDriver): Promise<void> {
  for (let index = 0; index < 4; index++) driver.append(recordBytes(driver.records.length, 1500))
  await driver.settle()
  await turns(40)
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
