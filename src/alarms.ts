/**
 * Watches memory and disk and raises the broker's alarms: over the watermark, or with too little free space, publishers
 * are blocked (`connection.blocked`) while consumers go on. Reports changes only.
 *
 * Not here: a log without room for new work (`log.isFull`); the shards say so themselves.
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
  readonly files: Files
  readonly memory: Memory
  readonly logger: Logger
  /** Whose file system is watched. */
  readonly directory: string
  /** Resident memory above this raises the memory alarm. */
  readonly memoryBytesMax: number
  /** Free disk space below this raises the disk alarm. */
  readonly diskFreeBytesMin: number
  readonly onChange: (reason: AlarmReason, isOn: boolean) => void
}

/** How often memory is looked at: a fast publisher fills a few hundred MB in this time. */
export const memoryCheckMs = 200
/** How often the disk is looked at; ten times as often when less than twice the limit is free. */
export const diskCheckMs = 1_000
const hysteresis = 0.05

export class Alarms {
  readonly #parts: AlarmsParts
  readonly #raised = new Set<AlarmReason>()
  #memoryTimer: Timer | null = null
  #diskTimer: Timer | null = null
  #isStopped = false

  constructor(parts: AlarmsParts) {
    this.#parts = parts
  }

  /** Looks once, before there are publishers, and then again and again. */
  async start(): Promise<void> {
    this.#checkMemory()
    await this.#checkDisk()
  }

  stop(): void {
    this.#isStopped = true
    this.#memoryTimer?.cancel()
    this.#diskTimer?.cancel()
  }

  get raised(): readonly AlarmReason[] {
    return [...this.#raised]
  }

  #checkMemory(): void {
    const { memory, memoryBytesMax, clock } = this.#parts
    const used = memory.usedBytes()
    const limit = this.#raised.has('memory') ? memoryBytesMax * (1 - hysteresis) : memoryBytesMax
    this.#set('memory', used > limit, { usedBytes: used, memoryBytesMax })
    this.#memoryTimer = clock.after(memoryCheckMs, () => this.#checkMemory())
  }

  async #checkDisk(): Promise<void> {
    const { files, directory, diskFreeBytesMin, clock, logger } = this.#parts
    let delay = diskCheckMs
    try {
      const freeBytes = await files.freeBytes(directory)
      const limit = this.#raised.has('disk') ? diskFreeBytesMin * (1 + hysteresis) : diskFreeBytesMin
      if (this.#isStopped) return
      this.#set('disk', freeBytes < limit, { freeBytes, diskFreeBytesMin })
      if (freeBytes < 2 * diskFreeBytesMin) delay /= 10
    } catch (error) {
      // Not to know is no reason to block: a log that cannot write says so itself.
      logger.warn({ error, directory }, 'free disk space cannot be read')
    }
    if (!this.#isStopped) this.#diskTimer = clock.after(delay, () => void this.#checkDisk())
  }

  #set(reason: AlarmReason, isOn: boolean, figures: Readonly<Record<string, number>>): void {
    if (this.#raised.has(reason) === isOn) return
    if (isOn) this.#raised.add(reason)
    else this.#raised.delete(reason)
    const { logger, onChange } = this.#parts
    if (isOn) logger.warn(figures, `${reason} alarm: publishers are blocked until there is room again`)
    else logger.info(figures, `${reason} alarm is over: publishers go on`)
    onChange(reason, isOn)
  }
}
