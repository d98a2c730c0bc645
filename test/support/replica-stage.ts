/** A stream in memory and nodes with disks of their own, for tests of the replicated log one step at a time. */
import { ManualClock } from '../../src/base/clock.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { openReplica, type Replica, type ReplicaListener, type ReplicatedLog } from '../../src/log/jetstream/replica.ts'
import { LogDriver, recordBytes } from './log-driver.ts'
import { SimulatedFiles } from './simulated-files.ts'
import { StreamModel, type StreamModelOptions } from './stream-model.ts'

const kibi = 1024
export const stageSizes = {
  pageBytes: 16 * kibi,
  segmentBytes: 32 * kibi,
  firstSegmentBytes: 32 * kibi,
  cacheBytes: 64 * kibi,
  roomBytesMin: 0,
  gatherMs: 0,
}

export interface Disk {
  readonly files: SimulatedFiles
  readonly directory: string
}

export class ReplicaStage {
  readonly clock = new ManualClock()
  readonly model: StreamModel
  readonly random = new SeededRandom(7)

  constructor(options: Omit<StreamModelOptions, 'clock'> = {}) {
    this.model = new StreamModel({ ...options, clock: this.clock })
  }

  newDisk(): Disk {
    return { files: new SimulatedFiles({ hasJournal: false }), directory: '/replica' }
  }

  open(disk: Disk, listener?: ReplicaListener, sizes: Partial<typeof stageSizes> = {}): Promise<Replica> {
    return openReplica({
      ...stageSizes,
      ...sizes,
      ...disk,
      stream: this.model.connect(),
      clock: this.clock,
      random: this.random,
      ...(listener !== undefined && { listener }),
    })
  }

  async own(disk: Disk, sizes: Partial<typeof stageSizes> = {}): Promise<{ driver: LogDriver; log: ReplicatedLog }> {
    const replica = await this.open(disk, undefined, sizes)
    const log = await replica.takeOver(1)
    return { driver: new LogDriver(log), log }
  }

  /** Lets what is under way go on, and time with it. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      for (let turn = 0; turn < 40; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
      this.clock.advance(50)
    }
  }
}

/** Appends records, one frame each, until so many segments are sealed. */
export async function fillSegments(driver: LogDriver, count: number, length = 3_000): Promise<void> {
  while (driver.seals.length < count) {
    driver.append(recordBytes(driver.records.length, length))
    await driver.settle()
  }
}
