/** A node's copy of a replicated log: what it trusts, what it reads again, what it tells, and when it raises an alarm. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LogOutrun } from '../../../../src/log/jetstream/outrun.ts'
import type { ReplicaListener, ReplicatedLog } from '../../../../src/log/jetstream/replica.ts'
import { LogDamaged, LogFailed, LogWentBack, type Position } from '../../../../src/log/log.ts'
import { type LogDriver, load, recordBytes, replayedAll, until } from '../../../support/log-driver.ts'
import { fillSegments, ReplicaStage } from '../../../support/replica-stage.ts'

interface Heard extends ReplicaListener {
  readonly records: { readonly position: Position; readonly bytes: Uint8Array }[]
  readonly failures: Error[]
  readonly advances: Position[]
}

function hearing(): Heard {
  const records: { position: Position; bytes: Uint8Array }[] = []
  const failures: Error[] = []
  const advances: Position[] = []
  return {
    records,
    failures,
    advances,
    record: (position, buffer, start, end) => void records.push({ position, bytes: buffer.slice(start, end) }),
    advanced: (position) => void advances.push(position),
    failed: (error) => void failures.push(error),
  }
}

describe('a replica', () => {
  it('tells every record once, those of its directory first, and goes on with the stream', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 3)
    const disk = stage.newDisk()
    const first = await stage.open(disk)
    await first.caughtUp()
    await first.close()
    await fillSegments(driver, 5)
    const heard = hearing()
    const replica = await stage.open(disk, heard)
    assert.ok(heard.records.length > 0, 'those of the directory have been told')
    await replica.caughtUp()
    assert.deepEqual(heard.records, driver.records)
    driver.append(recordBytes(1, 10))
    await driver.settle()
    await until(() => heard.records.length === driver.records.length)
    assert.equal(replica.position, driver.records.at(-1)?.position)
    assert.equal(heard.advances.at(-1), replica.position)
    assert.deepEqual(replica.lastCommitted, log.lastCommitted)
    await replica.close()
  })

  it('tells all records before it becomes the owner', async () => {
    const stage = new ReplicaStage()
    const { driver } = await stage.own(stage.newDisk())
    const heard = hearing()
    const replica = await stage.open(stage.newDisk(), heard)
    for (let number = 0; number < 20; number++) {
      driver.append(recordBytes(number, 500))
      await driver.settle()
    }
    const log = await replica.takeOver(1)
    assert.deepEqual(heard.records, driver.records)
    assert.ok(log.term > 1)
    await log.close()
  })

  it('reads only the last page to become the owner, however much there is', async () => {
    const stage = new ReplicaStage()
    const { driver } = await stage.own(stage.newDisk())
    await fillSegments(driver, 12)
    const disk = stage.newDisk()
    const replica = await stage.open(disk)
    await replica.caughtUp()
    let reads = 0
    disk.files.fault = ({ kind }) => {
      if (kind === 'read') reads++
      return null
    }
    const log = await replica.takeOver(1)
    assert.ok(reads <= 2, `${reads} reads`)
    await log.close()
  })

  it('reads the log again from the stream when its directory is damaged', async () => {
    const stage = new ReplicaStage()
    const { driver } = await stage.own(stage.newDisk())
    await fillSegments(driver, 2)
    const disk = stage.newDisk()
    const before = await stage.open(disk)
    await before.caughtUp()
    await before.close()
    const names = (await disk.files.list(disk.directory)).filter((name) => name.endsWith('.segment'))
    disk.files.flipBit(`${disk.directory}/${names.at(-1)}`, 4096 + 90)
    const heard = hearing()
    const replica = await stage.open(disk, heard)
    await replica.caughtUp()
    assert.deepEqual(heard.records, driver.records)
    await replica.close()
  })

  it('reads the log again from the stream after an owner met damage in the directory', async () => {
    const stage = new ReplicaStage()
    const disk = stage.newDisk()
    const { driver, log } = await stage.own(disk)
    await fillSegments(driver, 8)
    disk.files.flipBit(`${disk.directory}/0000000000.segment`, 4096 + 2_000)
    await assert.rejects(load(log, driver.records[0]?.position ?? 0), LogDamaged)
    await log.close()
    const again = await stage.own(disk)
    assert.deepEqual(await replayedAll(again.log), driver.records)
    await again.log.close()
  })

  it('forgets a directory of another log', async () => {
    const stage = new ReplicaStage()
    const disk = stage.newDisk()
    const { driver, log } = await stage.own(disk)
    await fillSegments(driver, 1)
    await log.close()
    const other = new ReplicaStage({ seed: 99 })
    const replica = await other.open(disk)
    assert.equal(replica.position, 0)
    await replica.close()
  })

  it('stops with an alarm at a message that is no frame, and at one that is damaged', async () => {
    for (const spoil of [
      (bytes: Uint8Array) => (bytes[100] = 1 ^ (bytes[100] ?? 0)),
      (bytes: Uint8Array) => bytes.fill(0),
    ]) {
      const stage = new ReplicaStage()
      const { driver } = await stage.own(stage.newDisk())
      driver.append(recordBytes(1, 100))
      await driver.settle()
      const last = stage.model.at(stage.model.last)
      assert.ok(last !== null)
      const bytes = last.bytes.slice()
      spoil(bytes)
      stage.model.inject(last.segment, bytes)
      const heard = hearing()
      const replica = await stage.open(stage.newDisk(), heard)
      await until(() => heard.failures.length > 0)
      assert.ok(heard.failures[0] instanceof LogDamaged)
      await assert.rejects(replica.caughtUp(), LogDamaged)
      await replica.close()
    }
  })

  it('begins anew where the stream was trimmed beyond what it knew', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 1)
    const disk = stage.newDisk()
    const before = await stage.open(disk)
    await before.caughtUp()
    await before.close()
    await fillSegments(driver, 6)
    for (const segment of driver.seals.slice(0, 4)) log.free(segment)
    await fillSegments(driver, 7)
    await until(() => stage.model.first > 1)
    const heard = hearing()
    const replica = await stage.open(disk, heard)
    await replica.caughtUp()
    assert.deepEqual(
      heard.records,
      driver.records.filter(({ position }) => position >= (log.segments[0]?.base ?? 0)),
    )
    assert.deepEqual(heard.failures, [])
    await replica.close()
  })

  it('fails when the stream is trimmed beyond what it has read', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 2)
    const heard = hearing()
    const replica = await stage.open(stage.newDisk(), heard)
    await replica.caughtUp()
    stage.model.isTelling = false
    await goOnAndTrim(stage, driver, log)
    stage.model.isTelling = true
    driver.append(recordBytes(1, 10))
    await driver.settle()
    await until(() => heard.failures.length > 0)
    assert.match(String(heard.failures[0]), /were trimmed before they were read/)
    await replica.close()
    await log.close()
  })

  it('does not become the owner when the stream is trimmed beyond what it has read, and does when it has read it anew', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 2)
    const disk = stage.newDisk()
    const replica = await stage.open(disk)
    await replica.caughtUp()
    stage.model.isTelling = false
    await goOnAndTrim(stage, driver, log)
    await log.close()
    await assert.rejects(replica.takeOver(2), LogOutrun)
    const next = await stage.open(disk)
    const second = await next.takeOver(2)
    assert.deepEqual(
      await replayedAll(second),
      driver.records.filter(({ position }) => position >= (second.segments[0]?.base ?? 0)),
    )
    await second.close()
  })

  it('does not become the owner when the owner before goes on and trims while it opens', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 2)
    const disk = stage.newDisk()
    const replica = await stage.open(disk)
    await replica.caughtUp()
    stage.model.beforeAppend = () => goOnAndTrim(stage, driver, log)
    const outcome = assert.rejects(replica.takeOver(2), LogOutrun)
    await stage.pass(1_000)
    await outcome
    await log.close()
  })

  it('gives a take-over up when it is told to, and lets go of its directory', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 2)
    await log.close()
    const disk = stage.newDisk()
    const replica = await stage.open(disk)
    await replica.caughtUp()
    stage.model.fallSilent(1_000_000)
    const abort = new AbortController()
    const outcome = assert.rejects(replica.takeOver(2, abort.signal), LogFailed)
    await stage.pass(500)
    abort.abort()
    await stage.pass(500)
    await outcome
    stage.model.silentUntil = 0
    const second = await stage.own(disk)
    assert.deepEqual(await replayedAll(second.log), driver.records)
    await second.log.close()
  })

  it('reads what was left out on the way, and takes what is missing for damage', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    const heard = hearing()
    const replica = await stage.open(stage.newDisk(), heard)
    await replica.caughtUp()
    const append = async (number: number): Promise<void> => {
      driver.append(recordBytes(number, 10))
      await driver.settle()
    }
    stage.model.untold.add(stage.model.last + 2)
    for (let number = 0; number < 4; number++) await append(number)
    await until(() => heard.records.length === 4)
    assert.deepEqual(heard.records, driver.records)
    stage.model.missing.add(stage.model.last + 1)
    for (let number = 4; number < 6; number++) await append(number)
    await until(() => heard.failures.length > 0)
    assert.ok(heard.failures[0] instanceof LogDamaged)
    assert.match(String(heard.failures[0]), /is missing/)
    await replica.close()
    await log.close()
  })

  it('fails when what it remembers is not in the stream any more', async () => {
    const stage = new ReplicaStage()
    const disk = stage.newDisk()
    const { driver, log } = await stage.own(disk)
    await fillSegments(driver, 1)
    await log.close()
    stage.model.loseTail(2)
    const opening = stage.open(disk)
    const outcome = assert.rejects(opening, LogWentBack)
    await stage.pass(40_000)
    await outcome
  })

  it('waits for a frame that others know of, and then says that it is lost', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 3)
    const replica = await stage.open(stage.newDisk(), { failed: () => {} })
    await replica.verify(log.lastCommitted)
    const { ordinal, chain } = log.lastCommitted
    await replica.verify({ ordinal: 1, chain: stageChain(stage, 2) })
    const late = replica.verify({ ordinal: ordinal + 1, chain })
    const outcome = assert.rejects(late, LogWentBack)
    await stage.pass(40_000)
    await outcome
    await assert.rejects(replica.caughtUp(), LogWentBack)
    await replica.close()
    await log.close()
  })

  it('brings the digests of sealed segments, so that a later owner has them', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 3)
    const disk = stage.newDisk()
    const replica = await stage.open(disk)
    await replica.caughtUp()
    const digest = recordBytes(5, 200_000)
    for (const segment of driver.seals) await log.writeDigest(segment, digest)
    await stage.pass(3_000)
    const second = await replica.takeOver(2)
    for (const segment of second.segments.filter(({ isSealed }) => isSealed)) {
      assert.deepEqual(await second.readDigest(segment, 0, digest.byteLength), digest)
    }
    const [oldest] = second.segments
    assert.ok(oldest !== undefined)
    second.free(oldest)
    await stage.pass(1_000)
    assert.ok(![...stage.model.digests.values()].some(({ segmentId }) => segmentId === oldest.id))
    await second.close()
  })

  it('gives a take-over up when it is closed', async () => {
    const stage = new ReplicaStage()
    const replica = await stage.open(stage.newDisk())
    await replica.caughtUp()
    stage.model.fallSilent(1_000_000)
    const outcome = assert.rejects(replica.takeOver(1), LogFailed)
    await stage.pass(500)
    await replica.close()
    await stage.pass(500)
    await outcome
  })

  it('takes no log whose frames are all gone', async () => {
    const stage = new ReplicaStage()
    const { driver, log } = await stage.own(stage.newDisk())
    await fillSegments(driver, 1)
    await log.close()
    stage.model.purge(stage.model.last + 1)
    const replica = await stage.open(stage.newDisk())
    await assert.rejects(replica.takeOver(1), LogDamaged)
    await replica.close()
  })
})

/** From two segments to seven, of which the first five go: whoever has read two is outrun. */
async function goOnAndTrim(stage: ReplicaStage, driver: LogDriver, log: ReplicatedLog): Promise<void> {
  const before = stage.model.last
  await fillSegments(driver, 6)
  for (const segment of driver.seals.slice(0, 5)) log.free(segment)
  await fillSegments(driver, 7)
  await until(() => stage.model.first > before + 1)
}

function stageChain(stage: ReplicaStage, sequence: number): number {
  const bytes = stage.model.at(sequence)?.bytes ?? new Uint8Array(80)
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(76, true)
}
