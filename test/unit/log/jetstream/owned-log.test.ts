/** The log of an owner in trouble: no room, no answer, another owner; and what it sends. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LogDeposed, LogFailed } from '../../../../src/log/log.ts'
import { recordBytes, replayedAll, until } from '../../../support/log-driver.ts'
import { fillSegments, ReplicaStage } from '../../../support/replica-stage.ts'

const kibi = 1024

describe('an owned log', () => {
  it('says that it is full while a reserve is left, and goes on when there is room', async () => {
    const stage = new ReplicaStage({ bytesMax: 200 * kibi })
    const { driver, log } = await stage.own(stage.newDisk())
    while (!log.isFull) {
      driver.append(recordBytes(driver.records.length, 3_000))
      await driver.settle()
    }
    assert.ok(stage.model.bytes < 180 * kibi, 'the reserve is left')
    assert.equal(driver.roomChanges, 1)
    for (const segment of log.segments.filter(({ isSealed }) => isSealed).slice(0, 3)) log.free(segment)
    await stage.pass(2_000)
    assert.equal(log.isFull, false)
    assert.equal(driver.roomChanges, 2)
    assert.deepEqual(driver.failures, [])
    await log.close()
  })

  it('waits for room when the stream refuses a frame, and stores it then', async () => {
    const stage = new ReplicaStage({ bytesMax: 60 * kibi })
    const { driver, log } = await stage.own(stage.newDisk())
    while (driver.records.length < 30) driver.append(recordBytes(driver.records.length, 3_000))
    await stage.pass(5_000)
    assert.equal(log.isStalled, true)
    assert.equal(log.isFull, true)
    assert.ok(log.committed < log.appended)
    assert.deepEqual(driver.failures, [])
    stage.model.bytesMax = 10_000 * kibi
    await stage.pass(2_000)
    assert.equal(log.committed, log.appended)
    assert.equal(log.isStalled, false)
    assert.deepEqual(await replayedAll(log), driver.records)
    await log.close()
  })

  it('lets a small frame that finds another under way wait for more, but none that comes alone', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk(), { gatherMs: 10_000 })
    const append = (length: number): unknown => driver.append(recordBytes(driver.records.length, length))
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const alone = append(10)
    await turn()
    append(10)
    await stage.pass(1_000)
    assert.equal(log.committed, alone, 'what came meanwhile waits')
    for (let count = 0; count < 20; count++) append(3_000)
    await stage.pass(100)
    assert.ok(log.committed > Number(alone), 'much does not wait')
    await stage.pass(11_000)
    assert.equal(log.committed, log.appended, 'nor does little when the time is over')
    append(10)
    await stage.pass(100)
    assert.equal(log.committed, log.appended, 'nor one that finds nothing under way')
    assert.deepEqual(driver.failures, [])
    await log.close()
  })

  it('is closed at once while a small frame waits for more', async () => {
    const stage = new ReplicaStage()
    const disk = stage.newDisk()
    const { driver, log } = await stage.own(disk, { gatherMs: 1_000_000 })
    driver.append(recordBytes(0, 10))
    await new Promise((resolve) => setImmediate(resolve))
    driver.append(recordBytes(1, 10))
    await stage.pass(100)
    assert.ok(log.committed < log.appended)
    await log.close()
    assert.equal(log.committed, log.appended)
  })

  it('waits as long as nobody answers, and fails when it is given up', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    stage.model.fallSilent(10_000_000)
    driver.append(recordBytes(1, 10))
    await stage.pass(60_000)
    assert.deepEqual(driver.failures, [])
    assert.equal(log.isStalled, true)
    log.abandon('the lease has ended')
    await until(() => driver.failures.length > 0)
    assert.match(String(driver.failures[0]), /the lease has ended/)
    assert.throws(() => driver.append(recordBytes(2, 10)), LogFailed)
    await log.close()
  })

  it('gives up closing in the end', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    stage.model.fallSilent(10_000_000)
    driver.append(recordBytes(1, 10))
    const closing = assert.rejects(log.close(), /within 15 s of closing/)
    await stage.pass(16_000)
    await closing
  })

  it('is deposed by a later owner, and confirms nothing more', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    const second = await stage.own(stage.newDisk())
    const committed = log.committed
    driver.append(recordBytes(1, 10))
    await driver.settle()
    assert.ok(driver.failures[0] instanceof LogDeposed)
    assert.equal(log.committed, committed)
    await log.close()
    await assert.rejects(log.verify(second.log.lastCommitted), LogDeposed)
    await second.log.close()
  })

  it('is deposed by a later owner that has trimmed what it began with', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 1)
    const before = stage.model.last
    const second = await stage.own(stage.newDisk())
    await fillSegments(second.driver, 6)
    for (const segment of second.log.segments.filter(({ isSealed }) => isSealed)) second.log.free(segment)
    await fillSegments(second.driver, 7)
    await until(() => stage.model.first > before + 1)
    driver.append(recordBytes(1, 10))
    await stage.pass(1_000)
    assert.ok(driver.failures[0] instanceof LogDeposed)
    await log.close()
    await second.log.close()
  })

  it('sends frames of at most 256 KiB, but for a record that is as long', async () => {
    const stage = new ReplicaStage()
    const sizes = { pageBytes: 512 * kibi, segmentBytes: 4096 * kibi, firstSegmentBytes: 4096 * kibi }
    const { driver, log } = await stage.own(stage.newDisk(), sizes)
    for (let number = 0; number < 300; number++) driver.append(recordBytes(number, 5_000))
    for (let number = 300; number < 320; number++) driver.append(recordBytes(number, 384 * kibi))
    assert.throws(() => log.reserve(384 * kibi + 1), /at most recordBytesMax/)
    for (let number = 320; number < 340; number++) driver.append(recordBytes(number, 30_000))
    await driver.settle()
    let largest = 0
    for (let sequence = 1; sequence <= stage.model.last; sequence++) {
      const bytes = stage.model.at(sequence)?.bytes.byteLength ?? 0
      if (bytes < 384 * kibi) largest = Math.max(largest, bytes)
    }
    assert.ok(largest > 200 * kibi && largest <= 257 * kibi, `${largest} bytes`)
    assert.deepEqual(await replayedAll(log), driver.records)
    await log.close()
  })

  it('trims the stream before its oldest live segment, and there only', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 6)
    const [first, second, third] = driver.seals
    assert.ok(first !== undefined && second !== undefined && third !== undefined)
    log.free(second)
    driver.append(recordBytes(1, 10))
    await driver.settle()
    await stage.pass(200)
    assert.equal(stage.model.first, 1)
    log.free(first)
    driver.append(recordBytes(2, 10))
    await driver.settle()
    await until(() => stage.model.first > 1)
    const reader = await stage.own(stage.newDisk())
    assert.equal(reader.log.segments[0]?.id, third.id)
    assert.deepEqual(
      await replayedAll(reader.log),
      driver.records.filter(({ position }) => position >= third.base),
    )
    await reader.log.close()
  })

  it('trims what the owner before it had freed and not trimmed', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 6)
    const purge = stage.model.purge.bind(stage.model)
    stage.model.purge = () => {}
    log.free(driver.seals[0] as (typeof driver.seals)[number])
    driver.append(recordBytes(1, 10))
    await driver.settle()
    await log.close()
    stage.model.purge = purge
    const next = await stage.own(stage.newDisk())
    await until(() => stage.model.first > 1)
    await next.log.close()
  })
})
