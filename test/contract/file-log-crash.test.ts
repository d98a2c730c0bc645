/**
 * The file log after a crash at every point of recorded traces: nothing committed is lost, nothing appears that was not
 * appended, and a crash during recovery changes nothing. The tests are tested too: on disks that break a promise they fail.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import type { Files } from '../../src/base/files.ts'
import { SeededRandom } from '../../src/base/random.ts'
import type { FileLog } from '../../src/log/file/file-log.ts'
import { CrashStates, type Fate } from '../support/crash-states.ts'
import { LogDriver, recordBytes, replayedAll } from '../support/log-driver.ts'
import { openTraceLog, recordTrace, TraceModel } from '../support/log-trace.ts'
import { ProcessView } from '../support/process-view.ts'
import { type DiskImage, type JournalEntry, SimulatedFiles } from '../support/simulated-files.ts'

/** More and longer traces for a long run: `LOG_TRACES=100 LOG_TRACE_STEPS=60`. */
const traceCount = Number(process.env['LOG_TRACES'] ?? 2)
const traceSteps = Number(process.env['LOG_TRACE_STEPS'] ?? 14)

describe('the file log after a crash', () => {
  for (let seed = 1; seed <= traceCount; seed++) {
    test(`loses nothing that was committed, at every point of trace ${seed}`, async (context) => {
      const states = await crashEverywhere(await recordTrace(seed, traceSteps), seed)
      context.diagnostic(`${states} different disks`)
      assert.ok(states > 500, `enough different disks (${states})`)
    })
  }

  test('keeps what it showed after a kill at any point, though the power goes next', async () => {
    const journal = await recordTrace(6, Math.ceil(traceSteps / 2))
    const model = new TraceModel()
    for (const [index, entry] of journal.entries()) {
      model.follow(entry)
      if (entry.type !== 'mark') await killThenPowerCut(journal.slice(0, index + 1), model)
    }
  })

  test('is lost on a disk that ignores syncs of writes', async () => {
    const journal = await recordTrace(3, 25, withoutSyncedWrites)
    await assert.rejects(crashEverywhere(journal, 3), /lost the committed record|missing|committed frame is damaged/)
  })

  test('is lost on a disk that ignores syncs of directories', async () => {
    const journal = await recordTrace(4, 25, withoutSync('syncDirectory'))
    await assert.rejects(crashEverywhere(journal, 4), /lost|missing|one of those written/)
  })

  test('is lost on a disk that ignores syncs of files', async () => {
    const journal = await recordTrace(5, 25, withoutSync('sync'))
    await assert.rejects(crashEverywhere(journal, 5), /lost|missing|damage|pass|one of those written/)
  })
})

/** Recovers every different disk that a crash may leave, and some of those that a second crash leaves. */
async function crashEverywhere(journal: readonly JournalEntry[], seed: number): Promise<number> {
  const states = new CrashStates(journal)
  const model = new TraceModel()
  const random = new SeededRandom(seed)
  const seen = new Set<string>()
  for (let entry = states.step(); entry !== null; entry = states.step()) {
    model.follow(entry)
    for (const fate of fatesAt(states)) {
      const image = states.image(fate, random)
      const key = `${fingerprint(image)} ${model.committed}`
      if (seen.has(key)) continue
      seen.add(key)
      await recoverTwice(image, model, random)
    }
  }
  return seen.size
}

type FateOf = (change: unknown, index: number) => Fate

function fatesAt(states: CrashStates): FateOf[] {
  const { pendingCount, lastWriteBytes } = states
  const fates: FateOf[] = [() => 'drop', () => 'keep']
  if (pendingCount > 1 && pendingCount < 8) {
    for (let one = 0; one < pendingCount; one++) {
      fates.push((_, index) => (index === one ? 'drop' : 'keep'))
      fates.push((_, index) => (index === one ? 'keep' : 'drop'))
    }
  }
  const last = pendingCount - 1
  const cuts = [1, 7, 4095]
  // Headers and small frames at each sector, and a large one here and there.
  for (let cut = 512; cut < lastWriteBytes; cut += cut < 2048 ? 512 : 2560) cuts.push(cut)
  for (const cut of cuts) {
    if (cut < lastWriteBytes) fates.push((_, index) => (index === last ? cut : 'keep'))
  }
  if (lastWriteBytes > 0)
    fates.push(
      (_, index) => (index === last ? 'sectors' : 'keep'),
      () => 'sectors',
    )
  return fates
}

/** Recovers; then crashes again somewhere in that recovery, and recovers: it must show the same. */
async function recoverTwice(image: DiskImage, model: TraceModel, random: SeededRandom): Promise<void> {
  const files = new SimulatedFiles({ image })
  const start = files.journal.length
  const log = await openTraceLog(files, 77)
  const shown = await model.check(log)
  const { journal } = files
  const end = journal.length
  if (random.below(8) === 0) await checkGoesOn(log, files)
  else await log.close()

  const states = new CrashStates(journal)
  const stop = start + random.below(end - start + 1)
  for (let index = 0; index < stop; index++) states.step()
  const kind = random.below(4)
  const fate: FateOf =
    kind === 0 ? () => 'drop' : kind === 1 ? () => 'keep' : () => (random.below(2) === 0 ? 'keep' : 'sectors')
  const again = await openTraceLog(new SimulatedFiles({ image: states.image(fate, random), hasJournal: false }), 78)
  const shownAgain = await model.check(again)
  assert.equal(shownAgain.length, shown.length, 'the second recovery shows what the first one showed')
  await again.close()
}

/**
 * A process that was killed leaves its writes in the page cache: the next one sees them, and must not rely on them. The
 * disk is full from then on, so that nothing else syncs by chance what was left.
 */
async function killThenPowerCut(journal: readonly JournalEntry[], model: TraceModel): Promise<void> {
  const files = new SimulatedFiles({ after: journal })
  const process = new ProcessView(files)
  const driver = new LogDriver(await openTraceLog(process, 80))
  files.capacityBytes = files.usedBytes
  const shown = await model.check(driver.log as FileLog)
  for (let index = 0; index < 9; index++) driver.append(recordBytes(4711 + index, 3500))
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve))
  const committed = driver.records.filter(({ position }) => position <= driver.log.committed)
  process.kill()

  const states = new CrashStates(files.journal)
  while (states.step() !== null);
  const image = states.image(() => 'drop', new SeededRandom(1))
  const again = await openTraceLog(new SimulatedFiles({ image, hasJournal: false }), 81)
  const shownAgain = await replayedAll(again)
  for (const [index, { position, bytes }] of [...shown, ...committed].entries()) {
    assert.equal(shownAgain[index]?.position, position, 'what was shown and what was committed since')
    assert.ok(Buffer.compare(shownAgain[index]?.bytes ?? new Uint8Array(0), bytes) === 0)
  }
  await again.close()
}

async function checkGoesOn(log: Awaited<ReturnType<typeof openTraceLog>>, files: SimulatedFiles): Promise<void> {
  const driver = new LogDriver(log)
  const bytes = recordBytes(4711, 700)
  const position = driver.append(bytes)
  await log.close()
  const again = new LogDriver(await openTraceLog(files, 79))
  assert.deepEqual(await again.read(position), bytes)
  await again.log.close()
}

function fingerprint(image: DiskImage): string {
  return [...image].map(([path, bytes]) => `${path}:${bytes.byteLength}:${crc32(bytes)}`).join()
}

// ---- disks that break a promise

function withoutSyncedWrites(files: Files): Files {
  return override(files, { open: (path, mode) => files.open(path, mode) })
}

function withoutSync(which: 'sync' | 'syncDirectory'): (files: Files) => Files {
  return (files) => {
    if (which === 'syncDirectory') return override(files, { syncDirectory: async () => {} })
    return override(files, {
      open: async (path, mode, options) => {
        const file = await files.open(path, mode, options)
        return { ...file, sync: async () => {} }
      },
    })
  }
}

function override(files: Files, changes: Partial<Files>): Files {
  return {
    makeDirectory: (path) => files.makeDirectory(path),
    list: (path) => files.list(path),
    open: (path, mode, options) => files.open(path, mode, options),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    removeDirectory: (path) => files.removeDirectory(path),
    syncDirectory: (path) => files.syncDirectory(path),
    freeBytes: (path) => files.freeBytes(path),
    ...changes,
  }
}
