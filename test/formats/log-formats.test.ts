/**
 * Directories that earlier versions of the log wrote, kept as files. Each must open with everything in it, now and in later
 * versions; `docs/formats/log-frames.md` describes them. Nothing here is ever written again.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { openFileLog } from '../../src/log/file/file-log.ts'
import { fsck } from '../../src/log/file/fsck.ts'
import { LogDriver, recordBytes, replayedAll } from '../support/log-driver.ts'
import { projectRoot } from '../support/project-root.ts'
import { type DiskImage, SimulatedFiles } from '../support/simulated-files.ts'

const directory = '/log'

function saved(name: string): DiskImage {
  const folder = join(projectRoot, 'test', 'formats', name)
  return new Map(readdirSync(folder).map((file) => [`${directory}/${file}`, readFileSync(join(folder, file))]))
}

/** What was appended: 60 records, of which those of segment 0 were freed. */
const lengthOf = (index: number): number => (index % 6 === 5 ? 4000 : 20 + index)

describe('log format 1', () => {
  const open = (files: SimulatedFiles) =>
    openFileLog({ files, directory, clock: new ManualClock(), random: new SeededRandom(1), roomBytesMin: 0 })

  test('is checked without complaint', async () => {
    const report = await fsck(new SimulatedFiles({ image: saved('log-1') }), directory)
    assert.deepEqual(report.damage, [])
    assert.equal(report.isClean, true)
    assert.equal(report.formatVersion, 1)
    assert.equal(report.counts.digests, 1)
  })

  test('opens with its records and its digest, and takes new ones', async () => {
    const files = new SimulatedFiles({ image: saved('log-1') })
    const log = await open(files)
    assert.equal(log.tailReport.isClean, true)
    const shown = await replayedAll(log)
    const [first, second] = log.segments
    assert.ok(first !== undefined && second !== undefined)
    assert.equal(first.id, 1)
    const count = 60 - shown.length
    assert.ok(count > 0 && count < 20, `${count} records were in the freed segment`)
    for (const [index, { bytes }] of shown.entries()) {
      assert.deepEqual(bytes, recordBytes(count + index, lengthOf(count + index)))
    }
    assert.deepEqual(await log.readDigest(first, 0, 1000), recordBytes(77, 1000))
    const driver = new LogDriver(log)
    const position = driver.append(recordBytes(60, 80))
    await log.close()
    const again = new LogDriver(await open(files))
    assert.deepEqual(await again.read(position), recordBytes(60, 80))
    await again.log.close()
  })

  test('has the bytes that its specification says', () => {
    const bytes = saved('log-1').get(`${directory}/0000000001.segment`)
    assert.ok(bytes !== undefined)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const text = (at: number, length: number): string => Buffer.from(bytes.subarray(at, at + length)).toString('latin1')
    assert.equal(text(0, 8), 'WARRENSG')
    assert.deepEqual([8, 12, 56].map((at) => view.getUint32(at, true)), [1, 4096, 16_384])
    assert.deepEqual([32, 40, 48].map((at) => Number(view.getBigUint64(at, true))), [1, 16_384, 16_384])
    assert.equal(text(4096, 4), 'WFR1')
    assert.deepEqual([4, 6].map((at) => view.getUint16(4096 + at, true)), [1, 80])
    assert.deepEqual(bytes.subarray(4104, 4120), bytes.subarray(16, 32), 'the log id')
    assert.equal(Number(view.getBigUint64(4096 + 24, true)), 16_384 + 4096, 'the position')
    assert.equal(Number(view.getBigUint64(4096 + 32, true)), 4096, 'the epoch')
    assert.equal(view.getUint32(4096 + 80, true) >>> 31, 1, 'a segment begins with a record of the log itself')
    assert.equal(view.getUint32(4096 + 84, true), 2, 'the list of live segments')
  })
})
