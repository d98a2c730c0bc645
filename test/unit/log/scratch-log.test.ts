import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { openScratchLog, scratchSegmentBytes } from '../../../src/log/file/scratch-log.ts'
import { LogDamaged } from '../../../src/log/log.ts'
import type { MemoryLog } from '../../../src/log/memory/memory-log.ts'
import { LogDriver, load, recordBytes, until } from '../../support/log-driver.ts'
import { SimulatedFiles, type SimulatedFilesOptions } from '../../support/simulated-files.ts'

const mebi = 1024 * 1024
const directory = '/scratch'
const budgetSegments = 4

interface Scratch {
  readonly files: SimulatedFiles
  readonly clock: ManualClock
  readonly log: MemoryLog
  readonly driver: LogDriver
}

async function open(options: SimulatedFilesOptions = {}, roomBytesMin = 0): Promise<Scratch> {
  const files = new SimulatedFiles({ hasJournal: false, ...options })
  const clock = new ManualClock()
  const log = await openScratchLog({ files, directory, clock, memoryBytes: budgetSegments * mebi, roomBytesMin })
  return { files, clock, log, driver: new LogDriver(log) }
}

/** About one segment for each call. */
async function fill({ driver }: Scratch, segments: number): Promise<void> {
  for (let count = 0; count < segments * 4; count++) driver.append(recordBytes(driver.records.length, 260_000))
  await driver.settle()
}

const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('the scratch log', () => {
  test('has segments whose id follows from the position', async () => {
    const scratch = await open()
    await fill(scratch, 3)
    for (const segment of scratch.log.segments) {
      assert.equal(segment.id, Math.floor(segment.base / scratchSegmentBytes))
      assert.equal(segment.end - segment.base, scratchSegmentBytes)
    }
    await scratch.log.close()
  })

  test('does no I/O while it is below its budget, nor for what is freed before it has to be stored', async () => {
    const scratch = await open()
    const { calls } = scratch.files
    for (let round = 0; round < 10; round++) {
      await fill(scratch, 2)
      for (const segment of scratch.log.segments.filter(({ isSealed }) => isSealed)) scratch.log.free(segment)
    }
    await quiet()
    assert.equal(scratch.files.calls, calls)
    await scratch.log.close()
  })

  test('moves its oldest segments to disk above the budget and reads them back', async () => {
    const scratch = await open()
    await fill(scratch, 12)
    await quiet()
    const { driver, files } = scratch
    assert.equal(driver.view(driver.records[0]?.position ?? 0), null, 'the oldest is away')
    assert.ok(driver.view(driver.records.at(-1)?.position ?? 0) !== null, 'the newest is here')
    assert.ok(files.usedBytes >= 6 * mebi)
    for (const { position, bytes } of driver.records)
      assert.ok(Buffer.compare(await driver.read(position), bytes) === 0)
    await scratch.log.close()
    assert.deepEqual(await files.list(directory), [])
  })

  test('gives the disk back what is freed', async () => {
    const scratch = await open()
    await fill(scratch, 80)
    await quiet()
    const { log, files } = scratch
    assert.ok(files.usedBytes > 70 * mebi)
    for (const segment of log.segments.filter(({ isSealed }) => isSealed)) log.free(segment)
    await quiet()
    assert.equal(files.usedBytes, 0)
    await log.close()
  })

  test('is full while the disk cannot keep up, and says when it has caught up', async () => {
    const scratch = await open({ capacityBytes: 3 * mebi })
    await fill(scratch, 14)
    await quiet()
    const { log, driver, files, clock } = scratch
    assert.equal(log.isFull, true)
    assert.equal(driver.roomChanges, 1)
    files.capacityBytes = 100 * mebi
    clock.advance(1000)
    await until(() => !log.isFull)
    assert.equal(driver.roomChanges, 2)
    for (const { position, bytes } of driver.records)
      assert.ok(Buffer.compare(await driver.read(position), bytes) === 0)
    await log.close()
  })

  test('is full while less is free on the disk than has to stay free', async () => {
    const scratch = await open({ capacityBytes: 20 * mebi }, 18 * mebi)
    await fill(scratch, 14)
    await quiet()
    assert.equal(scratch.log.isFull, true)
    assert.ok(scratch.files.usedBytes <= 2 * mebi)
    for (const segment of scratch.log.segments.filter(({ isSealed }) => isSealed)) scratch.log.free(segment)
    await until(() => !scratch.log.isFull)
    await scratch.log.close()
  })

  test('does not serve what came back from the disk altered', async () => {
    const scratch = await open()
    await fill(scratch, 8)
    await quiet()
    const { files, driver, log } = scratch
    const [file] = await files.list(directory)
    files.flipBit(`${directory}/${file}`, 500)
    const first = driver.records[0]?.position ?? 0
    await assert.rejects(load(log, first), LogDamaged)
    assert.equal(log.view(first), false)
    await log.close()
  })

  test('goes on when writing to the disk fails, and loses nothing', async () => {
    let isBroken = true
    const scratch = await open({ fault: (call) => (isBroken && call.kind === 'write' ? 'EIO' : null) })
    await fill(scratch, 12)
    await quiet()
    assert.equal(scratch.log.isFull, true)
    isBroken = false
    scratch.clock.advance(1000)
    await until(() => !scratch.log.isFull)
    for (const { position, bytes } of scratch.driver.records) {
      assert.ok(Buffer.compare(await scratch.driver.read(position), bytes) === 0)
    }
    await scratch.log.close()
  })

  test('forgets what an earlier one left', async () => {
    const image = new Map([[`${directory}/0000000007.spill`, new Uint8Array(10)]])
    const files = new SimulatedFiles({ image })
    const log = await openScratchLog({ files, directory, clock: new ManualClock() })
    assert.deepEqual(await files.list(directory), [])
    await log.close()
  })
})
