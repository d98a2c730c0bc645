/**
 * What every `Log` does, for the file log (small pages, on a simulated disk), the replicated log (over a stream in memory), the
 * memory log and the scratch log (with so little memory that most of it is on disk).
 */
import { describe } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { openFileLog } from '../../src/log/file/file-log.ts'
import { openScratchLog, scratchSegmentBytes } from '../../src/log/file/scratch-log.ts'
import { openReplica } from '../../src/log/jetstream/replica.ts'
import { recordBytesMax } from '../../src/log/log.ts'
import { openMemoryLog } from '../../src/log/memory/memory-log.ts'
import type { DrivenLog } from '../support/log-driver.ts'
import { SimulatedFiles } from '../support/simulated-files.ts'
import { StreamModel } from '../support/stream-model.ts'
import { type Kind, suite } from './log-suite.ts'

const kibi = 1024

function fileKind(pageBytes: number, segmentBytes: number): Kind {
  const disks = new WeakMap<DrivenLog, SimulatedFiles>()
  const openOn = async (files: SimulatedFiles): Promise<DrivenLog> => {
    const options = {
      pageBytes,
      segmentBytes,
      firstSegmentBytes: segmentBytes,
      cacheBytes: 8 * pageBytes,
      roomBytesMin: 0,
    }
    const log = await openFileLog({
      files,
      directory: '/log',
      clock: new ManualClock(),
      random: new SeededRandom(1),
      ...options,
    })
    disks.set(log, files)
    return log
  }
  return {
    name: `file log, pages of ${pageBytes / kibi} KiB`,
    open: () => openOn(new SimulatedFiles({ hasJournal: false })),
    reopen: (log) => openOn(disks.get(log) ?? new SimulatedFiles()),
    segmentBytes,
    recordBytesMax: pageBytes / 2,
    traces: segmentBytes > 100 * kibi ? 8 : 60,
  }
}

/** Opened again, it is read from the stream by a node that never saw it. */
function replicatedKind(pageBytes: number, segmentBytes: number): Kind {
  const models = new WeakMap<DrivenLog, StreamModel>()
  const openOn = async (model: StreamModel): Promise<DrivenLog> => {
    const replica = await openReplica({
      stream: model.connect(),
      files: new SimulatedFiles({ hasJournal: false }),
      directory: '/replica',
      clock: model.clock,
      random: new SeededRandom(model.last),
      pageBytes,
      segmentBytes,
      firstSegmentBytes: segmentBytes,
      cacheBytes: 8 * pageBytes,
      roomBytesMin: 0,
    })
    await replica.caughtUp()
    const log = await replica.takeOver(1)
    models.set(log, model)
    return log
  }
  return {
    name: `replicated log, pages of ${pageBytes / kibi} KiB`,
    open: () => openOn(new StreamModel({ clock: new ManualClock() })),
    reopen: (log) => openOn(models.get(log) ?? new StreamModel({ clock: new ManualClock() })),
    segmentBytes,
    recordBytesMax: (pageBytes * 3) / 4,
    traces: segmentBytes > 100 * kibi ? 8 : 60,
  }
}

const kinds: readonly Kind[] = [
  fileKind(16 * kibi, 64 * kibi),
  { ...fileKind(1024 * kibi, 2048 * kibi), recordBytesMax },
  replicatedKind(16 * kibi, 64 * kibi),
  replicatedKind(512 * kibi, 1024 * kibi),
  {
    name: 'memory log',
    open: () => openMemoryLog({ clock: new ManualClock() }),
    reopen: null,
    segmentBytes: scratchSegmentBytes,
    recordBytesMax,
    traces: 8,
  },
  {
    name: 'scratch log',
    open: () => {
      const files = new SimulatedFiles({ hasJournal: false })
      return openScratchLog({
        files,
        directory: '/scratch',
        clock: new ManualClock(),
        memoryBytes: 4 * scratchSegmentBytes,
      })
    },
    reopen: null,
    segmentBytes: scratchSegmentBytes,
    recordBytesMax,
    traces: 8,
  },
]

for (const kind of kinds) describe(kind.name, () => suite(kind))
