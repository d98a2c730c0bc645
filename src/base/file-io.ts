import { Histogram } from './histogram.ts'

/** What was at the end of a log when it was opened. */
export interface LogOpening {
  readonly log: string
  /** Wall time in milliseconds. */
  readonly at: number
  /** It had been closed in good order. */
  readonly isClean: boolean
  /** A batch had been begun and not finished: it was cut off. Nothing of it had been confirmed. */
  readonly isTorn: boolean
  /** Where the valid part ended. */
  readonly file: string
  readonly offset: number
  /** Valid bytes that were copied into a new file. */
  readonly copiedBytes: number
}

const openingsMax = 16

/** What was asked of the file system since the process started, and how long it took. Seconds, bytes. */
export class FileIo {
  reads = 0
  readBytes = 0
  readSeconds = 0
  writes = 0
  writeBytes = 0
  writeSeconds = 0
  syncs = 0
  syncSeconds = 0
  /** Writes that return when their data is on stable storage: commits of logs. */
  readonly commitSeconds = new Histogram([0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2])
  readonly commitBytes = new Histogram([512, 4_096, 16_384, 65_536, 262_144, 1_048_576])
  /** Wall time in milliseconds at which the last of those returned; 0: none has. */
  lastCommitAt = 0
  /** In the order of opening; the oldest ones are forgotten. */
  readonly openings: LogOpening[] = []

  opened(opening: LogOpening): void {
    this.openings.push(opening)
    if (this.openings.length > openingsMax) this.openings.shift()
  }

  read(bytes: number, seconds: number): void {
    this.reads++
    this.readBytes += bytes
    this.readSeconds += seconds
  }

  wrote(bytes: number, seconds: number): void {
    this.writes++
    this.writeBytes += bytes
    this.writeSeconds += seconds
  }

  committed(bytes: number, seconds: number, at: number): void {
    this.commitSeconds.observe(seconds)
    this.commitBytes.observe(bytes)
    this.lastCommitAt = at
  }

  synced(seconds: number): void {
    this.syncs++
    this.syncSeconds += seconds
  }
}
