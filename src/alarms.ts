/**
 * Watches memory, disk and the room of the shard's log, and raises the broker's alarms: while one is on, publishers are
 * blocked (`connection.blocked`) and consumers go on. Reports changes only.
 *
 * An alarm is raised at its limit and cleared 5 % away from it, so that it does not flutter.
 */
import type { Clock, Timer } from './base/clock.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import type { Memory } from './base/memory.ts'
import type { AlarmReason } from './broker/commands.ts'

export interface AlarmsParts {
  readonly clock: Clock
  readonly files: Pick<Files, 'freeBytes'>
  readonly memory: Memory
  readonly logger: Logger
  /** Whose file system is watched. */
  readonly directory: string
  /** Memory in use above this raises the memory alarm. */
  readonly memoryBytesMax: number
  /** Free disk space below this raises the disk alarm. */
  readonly diskFreeBytesMin: number
}

export interface AlarmTarget {
  setAlarm(reason: AlarmReason, isOn: boolean): void
}

/** How often memory is looked at, in milliseconds: a fast publisher fills some hundred MB in this time. */
export const memoryCheckMs = 200
/** How often the disk is looked at, in milliseconds; ten times as often when less than twice the limit is free. */
export const diskCheckMs = 1_000
const hysteresis = 0.05

/** Those of `AlarmsParts`. */
export type Watermarks = Pick<AlarmsParts, 'memoryBytesMax' | 'diskFreeBytesMin'>

export class Alarms {
  readonly #parts: AlarmsParts
  #watermarks: Watermarks
  #target: AlarmTarget | null = null
  #isMemoryLow = false
  #isDiskLow = false
  #isLogFull = false
  /** Of what is resident, so much was in use at one time. */
  #onceInUse = 0
  #memoryTimer: Timer | null = null
  #diskTimer: Timer | null = null
  #isStopped = false

  constructor(parts: AlarmsParts) {
    this.#parts = parts
    this.#watermarks = parts
  }

  /** Counts from the next look on. */
  set watermarks(watermarks: Watermarks) {
    this.#watermarks = watermarks
  }

  /** Looks once, before there are publishers, and then again and again. */
  async start(target: AlarmTarget): Promise<void> {
    this.#target = target
    this.#checkMemory()
    await this.#checkDisk()
  }

  /** The shard's log has no room for new messages, or has it again. May be said before `start`. */
  setLogFull(isFull: boolean): void {
    this.#isLogFull = isFull
    this.#report()
  }

  /** Those that are on because of this node. */
  get own(): readonly ('memory' | 'disk')[] {
    const isDiskOn = this.#isDiskLow || this.#isLogFull
    return [...(this.#isMemoryLow ? (['memory'] as const) : []), ...(isDiskOn ? (['disk'] as const) : [])]
  }

  stop(): void {
    this.#isStopped = true
    this.#memoryTimer?.cancel()
    this.#diskTimer?.cancel()
  }

  #checkMemory(): void {
    const { logger, clock } = this.#parts
    const { memoryBytesMax } = this.#watermarks
    const usedBytes = this.#memoryUsed()
    const isLow = usedBytes > (this.#isMemoryLow ? memoryBytesMax * (1 - hysteresis) : memoryBytesMax)
    if (isLow !== this.#isMemoryLow) logger.info({ usedBytes, memoryBytesMax }, 'memory has passed its watermark')
    this.#isMemoryLow = isLow
    this.#report()
    this.#memoryTimer = clock.after(memoryCheckMs, () => this.#checkMemory())
  }

  /**
   * Resident memory without what was in use once and is kept by the allocator for what comes next: after a peak the
   * process may never give it back, and publishers would be blocked for ever. Close to the limit all of it counts.
   */
  #memoryUsed(): number {
    const { memory } = this.#parts
    const [resident, inUse] = [memory.usedBytes(), memory.inUseBytes()]
    this.#onceInUse = Math.max(inUse, Math.min(this.#onceInUse, resident))
    const closeToLimit = (this.#watermarks.memoryBytesMax + memory.limitBytes) / 2
    return resident > closeToLimit ? resident : Math.max(0, resident - (this.#onceInUse - inUse))
  }

  async #checkDisk(): Promise<void> {
    const { files, directory, clock, logger } = this.#parts
    const { diskFreeBytesMin } = this.#watermarks
    let delayMs = diskCheckMs
    try {
      const freeBytes = await files.freeBytes(directory)
      if (this.#isStopped) return
      const isLow = freeBytes < (this.#isDiskLow ? diskFreeBytesMin * (1 + hysteresis) : diskFreeBytesMin)
      if (isLow !== this.#isDiskLow)
        logger.info({ freeBytes, diskFreeBytesMin }, 'free disk space has passed its limit')
      this.#isDiskLow = isLow
      this.#report()
      if (freeBytes < 2 * diskFreeBytesMin) delayMs /= 10
    } catch (error) {
      // Not to know is no reason to block: a log that cannot write says so itself.
      logger.warn({ error, directory }, 'free disk space cannot be read')
    }
    if (!this.#isStopped) this.#diskTimer = clock.after(delayMs, () => void this.#checkDisk())
  }

  #report(): void {
    this.#target?.setAlarm('memory', this.#isMemoryLow)
    this.#target?.setAlarm('disk', this.#isDiskLow || this.#isLogFull)
  }
}
