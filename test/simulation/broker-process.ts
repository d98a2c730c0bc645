/** The shard's side of one simulated process: real shards on a real file log over the simulated disk. */
import { type Logger, silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { RunQueue } from '../../src/base/run-queue.ts'
import type { LocalQueue } from '../../src/broker/queue/local-queue.ts'
import { LocalShards } from '../../src/broker/shard/local-shards.ts'
import { type FileLog, openFileLog } from '../../src/log/file/file-log.ts'
import { openScratchLog, scratchSegmentBytes } from '../../src/log/file/scratch-log.ts'
import type { MemoryLog } from '../../src/log/memory/memory-log.ts'
import type { DiskImage } from '../support/simulated-files.ts'
import { ProcessFiles, SimulatedClock, turn } from './simulated-process.ts'

/** What differs from run to run. */
export interface Profile {
  readonly segmentBytes: number
  readonly cacheBytes: number
  readonly entryBytesMax: number
  readonly roomBytesMin: number
  /** Turns of the event loop that a call of the disk takes at most. */
  readonly diskTurnsMax: number
}

export const pageBytes = 256 * 1024
const uncommittedBytesMax = 400 * 1024

export interface ProcessListener {
  reopened(): void
  fatal(error: Error): void
  /** Something threw where nothing may. */
  violated(error: unknown): void
}

export class BrokerProcess {
  readonly clock: SimulatedClock
  readonly files: ProcessFiles
  readonly shards: LocalShards
  readonly runQueue: RunQueue
  readonly #random: SeededRandom
  readonly #profile: Profile
  log: FileLog | null = null
  scratch: MemoryLog | null = null
  isCongested = false
  isFull = false
  /** Errors that somebody logged. */
  readonly errors: string[] = []

  constructor(image: DiskImage, random: SeededRandom, profile: Profile, listener: ProcessListener) {
    this.#random = random
    this.#profile = profile
    this.clock = new SimulatedClock(random, (error) => listener.violated(error))
    this.files = new ProcessFiles(image, random, profile.diskTurnsMax)
    this.runQueue = new RunQueue(this.clock)
    const logger: Logger = {
      ...silentLogger,
      error: (details, message) => this.errors.push(`${message}: ${JSON.stringify(details, errorText)}`),
    }
    this.shards = new LocalShards({
      openLogs: async () => ({ log: await this.#openLog(logger), scratch: await this.#openScratch() }),
      scratchSegmentBytes,
      clock: this.clock,
      random: new SeededRandom(1),
      runQueue: this.runQueue,
      logger,
      uncommittedBytesMax,
      entryBytesMax: profile.entryBytesMax,
      congestionChanged: (isCongested) => {
        this.isCongested = isCongested
      },
      roomChanged: (isFull) => {
        this.isFull = isFull
      },
      reopened: () => {
        if (!this.clock.isStopped) listener.reopened()
      },
      fatal: (error) => {
        if (!this.clock.isStopped) listener.fatal(error)
      },
    })
  }

  async #openLog(logger: Logger): Promise<FileLog> {
    const { segmentBytes, cacheBytes, roomBytesMin } = this.#profile
    this.log = await openFileLog({
      files: this.files,
      directory: '/data/shard-0',
      clock: this.clock,
      random: this.#random,
      logger,
      name: 'shard-0',
      pageBytes,
      segmentBytes,
      firstSegmentBytes: pageBytes,
      cacheBytes,
      roomBytesMin,
    })
    return this.log
  }

  async #openScratch(): Promise<MemoryLog> {
    const { files, clock } = this
    this.scratch = await openScratchLog({
      files,
      directory: '/data/scratch',
      clock,
      memoryBytes: 4 * scratchSegmentBytes,
    })
    return this.scratch
  }

  /** Nothing of this process happens or is heard of from now on. */
  end(): void {
    this.clock.isStopped = true
    this.files.isStopped = true
  }

  /** Lets the event loop turn, and time go on with it. */
  async turns(count: number): Promise<void> {
    for (let left = count; left > 0 && !this.clock.isStopped; left--) {
      await turn()
      this.clock.pass()
    }
  }

  /** Changes whenever something moves. */
  activity(queues: Iterable<LocalQueue>): string {
    let waiting = 0
    for (const queue of queues) if (queue.isLoading || queue.isScheduled || queue.isWaitingForMark) waiting++
    const { log, scratch } = this
    return `${log?.appended} ${log?.committed} ${scratch?.appended} ${this.runQueue.length} ${waiting}`
  }
}

function errorText(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value
  return `${value.message}${value.cause instanceof Error ? ` (${value.cause.message})` : ''}`
}
