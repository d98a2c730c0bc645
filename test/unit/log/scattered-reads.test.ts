import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import type { Files } from '../../../src/base/files.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { openFileLog } from '../../../src/log/file/file-log.ts'
import { findSegment, segmentName } from '../../../src/log/file/segment.ts'
import { LogDamaged, LogFailed, type Position } from '../../../src/log/log.ts'
import { type Appended, LogDriver, recordBytes, until } from '../../support/log-driver.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'

const kibi = 1024
const pageBytes = 64 * kibi
const segmentBytes = 512 * kibi
/** What is in them need not be gathered, and may go while other blocks are. */
const cachePages = 4
const recordLength = 700
/** Room for the records of one gathering, as `cacheBytes` of four pages gives it. */
const roomRecords = Math.floor(pageBytes / (recordLength + 4))

interface Reads {
  count: number
  bytes: number
  /** Waited for by each read. */
  gate: Promise<void>
  error: Error | null
}

/** Four sealed segments of eight pages each, of which a cache of four pages holds the last. */
async function filled(): Promise<{ driver: LogDriver; disk: SimulatedFiles; reads: Reads }> {
  const disk = new SimulatedFiles({ hasJournal: false })
  const reads: Reads = { count: 0, bytes: 0, gate: Promise.resolve(), error: null }
  const log = await openFileLog({
    files: watched(disk, reads),
    directory: '/log',
    clock: new ManualClock(),
    random: new SeededRandom(1),
    pageBytes,
    segmentBytes,
    firstSegmentBytes: segmentBytes,
    cacheBytes: cachePages * pageBytes,
    roomBytesMin: 0,
  })
  const driver = new LogDriver(log)
  while (driver.seals.length < 4) {
    for (let index = 0; index < 200; index++) driver.append(recordBytes(driver.records.length, recordLength))
    await driver.settle()
  }
  return { driver, disk, reads }
}

function watched(files: SimulatedFiles, reads: Reads): Files {
  const open: Files['open'] = async (path, mode, options) => {
    const file = await files.open(path, mode, options)
    const read: typeof file.read = async (into, at, length, position) => {
      reads.count++
      reads.bytes += length
      await reads.gate
      if (reads.error !== null) throw reads.error
      return file.read(into, at, length, position)
    }
    return { ...file, read }
  }
  return new Proxy(files, {
    get: (target, name) => {
      if (name === 'open') return open
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function gather(driver: LogDriver, records: readonly Appended[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let isCallOver = false
    driver.log.gather(
      records.map(({ position }) => position),
      (error) => {
        assert.ok(isCallOver, 'gather never calls back at once')
        const first = records[0] as Appended
        if (error !== null) return reject(error)
        assert.deepEqual(driver.view(first.position), first.bytes, 'the first is in memory when gather calls back')
        resolve()
      },
    )
    isCallOver = true
  })
}

const pageOf = (position: Position): number => Math.floor(position / pageBytes)

/** The nth record of each of the pages that have been evicted. */
function onePerPage(driver: LogDriver, nth: number): Appended[] {
  const byPage = grouped(driver.records)
  return [...byPage.values()].slice(0, 24).map((records) => records[nth] as Appended)
}

function grouped(records: readonly Appended[]): Map<number, Appended[]> {
  const pages = new Map<number, Appended[]>()
  for (const record of records) {
    const page = pages.get(pageOf(record.position))
    if (page === undefined) pages.set(pageOf(record.position), [record])
    else page.push(record)
  }
  return pages
}

/** How many of them are in memory, each as it was written. */
function shown(driver: LogDriver, records: readonly Appended[]): number {
  let count = 0
  for (const { position, bytes } of records) {
    const there = driver.view(position)
    if (there === null) continue
    assert.deepEqual(there, bytes)
    count++
  }
  return count
}

describe('records that lie here and there', () => {
  test('are read by their blocks once their pages are known', async () => {
    const { driver, reads } = await filled()
    await gather(driver, onePerPage(driver, 3))
    assert.ok(reads.bytes >= 20 * pageBytes, 'a page that is not known is read in full')
    const before = { ...reads }
    const wanted = onePerPage(driver, 40)
    await gather(driver, wanted)
    const [count, bytes] = [reads.count - before.count, reads.bytes - before.bytes]
    assert.ok(count > 0 && count <= wanted.length, `${count} reads`)
    assert.ok(bytes <= wanted.length * 16 * kibi, `${bytes} bytes`)
    assert.ok(shown(driver, wanted) >= wanted.length - cachePages)
    await driver.log.close()
  })

  test('are read together where their blocks are near one another', async () => {
    const { driver, reads } = await filled()
    await gather(driver, onePerPage(driver, 3))
    const before = reads.count
    const wanted = [...onePerPage(driver, 40), ...onePerPage(driver, 60), ...onePerPage(driver, 41)]
    await gather(driver, wanted)
    assert.ok(reads.count - before <= 24, `${reads.count - before} reads`)
    assert.ok(shown(driver, wanted) >= wanted.length - 3 * cachePages)
    await driver.log.close()
  })

  test('are read by pages where there are few', async () => {
    const { driver, reads } = await filled()
    const near = driver.records.slice(100, 150)
    const before = reads.count
    await gather(driver, near)
    assert.equal(reads.count - before, 1)
    const page = pageOf(near[0]?.position ?? 0)
    const inPage = near.filter(({ position }) => pageOf(position) === page)
    assert.equal(shown(driver, inPage), inPage.length)
    await driver.log.close()
  })

  test('of a damaged block are never shown, and are damage for whoever asks for one first', async () => {
    const { driver, disk } = await filled()
    await gather(driver, onePerPage(driver, 3))
    const wanted = onePerPage(driver, 40)
    const bad = wanted[5] as Appended
    const segment = findSegment(driver.log.segments, bad.position)
    assert.ok(segment !== null)
    disk.flipBit(`/log/${segmentName(segment.id)}`, bad.position - segment.base + 4 + 300)
    await gather(driver, wanted)
    assert.equal(driver.view(bad.position), null)
    assert.ok(shown(driver, wanted) >= wanted.length - 1 - cachePages)
    await assert.rejects(
      gather(driver, [bad, ...onePerPage(driver, 50)]),
      (error: unknown) => error instanceof LogDamaged && error.message.includes(segmentName(segment.id)),
    )
    assert.equal(driver.view(bad.position), null)
    await driver.log.close()
  })

  test('that cannot be read say why, and can be read again when they can', async () => {
    const { driver, reads } = await filled()
    await gather(driver, onePerPage(driver, 3))
    reads.error = Object.assign(new Error('the disk does not answer'), { code: 'EIO' })
    await assert.rejects(gather(driver, onePerPage(driver, 40)), LogFailed)
    reads.error = null
    await gather(driver, onePerPage(driver, 40))
    await driver.log.close()
  })

  test('are as many as there is room for, the first always among them, and then others take their place', async () => {
    const { driver } = await filled()
    const random = new SeededRandom(4)
    const some = (): Appended[] =>
      Array.from({ length: 8 * roomRecords }, () => driver.records[random.below(driver.records.length)] as Appended)
    const early = some()
    await gather(driver, early)
    assert.ok(shown(driver, early) >= roomRecords - 1, `${shown(driver, early)} of ${early.length}`)
    assert.ok(shown(driver, early) < early.length / 2, 'memory is bounded')
    for (let round = 0; round < 10; round++) await gather(driver, some())
    assert.ok(shown(driver, early) < early.length / 2)
    await driver.log.close()
  })

  test('are gathered for several at once, of the same blocks too', async () => {
    const { driver } = await filled()
    await gather(driver, onePerPage(driver, 3))
    const turned = (from: number): Appended[] => {
      const records = onePerPage(driver, 40)
      return [...records.slice(from), ...records.slice(0, from)]
    }
    await Promise.all([0, 0, 7, 20].map((from) => gather(driver, turned(from))))
    for (let nth = 1; nth < 20; nth++)
      await Promise.all([gather(driver, onePerPage(driver, nth)), gather(driver, turned(nth))])
    await driver.log.close()
  })

  test('are let go with their segment, and no damage of those that are wanted', async () => {
    const { driver, reads } = await filled()
    await gather(driver, onePerPage(driver, 3))
    const [freed] = driver.log.segments
    assert.ok(freed !== undefined)
    const wanted = onePerPage(driver, 40).toReversed()
    const open = hold(reads)
    const gathered = gather(driver, wanted)
    driver.log.free(freed)
    while (driver.seals.length < 6) {
      for (let index = 0; index < 50; index++) driver.append(recordBytes(driver.records.length, recordLength))
      await driver.settle()
    }
    open()
    await gathered
    const left = wanted.filter(({ position }) => position >= freed.end)
    assert.ok(shown(driver, left) >= left.length - cachePages, `${shown(driver, left)} of ${left.length}`)
    shown(driver, wanted)
    await driver.log.close()
  })

  test('do not keep a log from being closed', async () => {
    const { driver, reads } = await filled()
    const open = hold(reads)
    let answers = 0
    for (const nth of [3, 40, 50]) {
      const positions = onePerPage(driver, nth).map(({ position }) => position)
      driver.log.gather(positions, () => answers++)
    }
    const closed = driver.log.close()
    open()
    await closed
    await until(() => answers === 3)
  })
})

/** Keeps all reads waiting until the answer is called. */
function hold(reads: Reads): () => void {
  let open = (): void => {}
  reads.gate = new Promise((resolve) => {
    open = resolve
  })
  return open
}
