import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { type FileLog, openFileLog } from '../../../src/log/file/file-log.ts'
import { fsck } from '../../../src/log/file/fsck.ts'
import type { LogSnapshot } from '../../../src/log/file/log-snapshot.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'

const kibi = 1024

async function open(files: SimulatedFiles, directory: string): Promise<FileLog> {
  return await openFileLog({
    files,
    directory,
    name: 'l',
    clock: new ManualClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
    pageBytes: 16 * kibi,
    firstSegmentBytes: 32 * kibi,
    segmentBytes: 32 * kibi,
    roomBytesMin: 0,
  })
}

function append(log: FileLog, value: number): void {
  const bytes = Buffer.alloc(1_000, value % 251)
  bytes.writeUInt32LE(value, 0)
  const at = log.reserve(bytes.length)
  bytes.copy(log.buffer, at)
}

async function recordsOf(log: FileLog): Promise<number[]> {
  const values: number[] = []
  for (const segment of log.segments) {
    await log.replay(segment, (_position, buffer, start) => {
      values.push(new DataView(buffer.buffer, buffer.byteOffset + start, 4).getUint32(0, true))
    })
  }
  return values
}

/** Writes what is held into a directory of its own, as a restore does. */
async function copy(files: SimulatedFiles, held: LogSnapshot, to: string): Promise<void> {
  await files.makeDirectory(to)
  for (const { name, content, storedBytes, bytes } of held.files) {
    const file = await files.open(`${to}/${name}`, 'create')
    const part = content ?? new Uint8Array(storedBytes)
    if (content === null) {
      const from = await files.open(`${held.directory}/${name}`, 'read')
      assert.equal(await from.read(part, 0, storedBytes, 0), storedBytes)
      await from.close()
    }
    await file.write(part, 0, part.length, 0)
    await file.truncate(bytes)
    await file.sync()
    await file.close()
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a held log is copied as it was, whatever is appended, freed and used again meanwhile', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed)
    const files = new SimulatedFiles({ hasJournal: false })
    const log = await open(files, '/logs/a')
    let next = 0
    const committed: number[] = []
    const waiting: { position: number; value: number }[] = []
    log.listener = {
      committed: (position) => {
        for (let first = waiting[0]; first !== undefined && first.position <= position; first = waiting[0]) {
          committed.push(first.value)
          waiting.shift()
        }
      },
      failed: (error) => assert.fail(error),
      sealed: () => {},
      roomChanged: () => {},
    }
    const work = async (turns: number, frees: boolean): Promise<void> => {
      for (let at = 0; at < turns; at++) {
        for (let count = random.below(12); count > 0; count--) {
          append(log, next)
          waiting.push({ position: log.appended, value: next++ })
        }
        if (frees && random.below(4) === 0) {
          const sealed = log.segments.filter((segment) => segment.isSealed && segment !== log.segments.at(-1))
          const victim = sealed[random.below(Math.max(1, sealed.length))]
          if (victim !== undefined) log.free(victim)
        }
        if (random.below(3) > 0) await turn()
      }
    }
    await work(60, false)
    // What is freed and not yet known to be still counts.
    const [oldest] = log.segments
    if (seed % 2 === 0 && oldest?.isSealed === true) log.free(oldest)
    const held = log.hold()
    const then = [...committed]
    await work(80, true)
    await copy(files, held, '/logs/b')
    held.release()
    await work(60, true)

    const report = await fsck(files, '/logs/b')
    assert.ok(report.isIntact, `seed ${seed}: ${JSON.stringify(report.damage)}`)
    assert.equal(report.tornTail, null)
    const restored = await open(files, '/logs/b')
    assert.deepEqual(await recordsOf(restored), then, `seed ${seed}`)
    await restored.close()
    await log.close()
    assert.ok((await fsck(files, '/logs/a')).isIntact, `seed ${seed}: the log itself`)
  }
})

test('files of freed segments are used again once nobody holds the log', async () => {
  const files = new SimulatedFiles({ hasJournal: false })
  const log = await open(files, '/logs/a')
  log.listener = { committed: () => {}, failed: (error) => assert.fail(error), sealed: () => {}, roomChanged: () => {} }
  const fill = async (): Promise<void> => {
    for (let at = 0; at < 200; at++) {
      append(log, at)
      await turn()
    }
    for (const segment of log.segments) if (segment.isSealed) log.free(segment)
    for (let at = 0; at < 50; at++) await turn()
  }
  const count = async (): Promise<number> => (await files.list('/logs/a')).length
  await fill()
  const held = log.hold()
  await fill()
  await fill()
  const during = await count()
  held.release()
  held.release()
  for (let at = 0; at < 500; at++) await turn()
  assert.ok((await count()) < during, `${await count()} files, ${during} while it was held`)
  await log.close()
})
