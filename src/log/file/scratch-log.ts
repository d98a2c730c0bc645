/**
 * The log for bodies of transient messages: in memory up to a budget, above it on disk, never synced, empty after a
 * restart. A memory log with a page store beneath it.
 */
import type { Clock } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import { MemoryLog } from '../memory/memory-log.ts'
import { memorySegmentBytes } from '../memory/memory-segment.ts'
import { Paging } from '../memory/paging.ts'
import { SpillFiles, spillEnding } from './spill-files.ts'

/** Span of every segment: `segment.id === Math.floor(position / scratchSegmentBytes)`. */
export const scratchSegmentBytes = memorySegmentBytes

export interface ScratchLogOptions {
  readonly files: Files
  /** Belongs to this log alone; what an earlier one left is removed. */
  readonly directory: string
  readonly clock: Clock
  readonly logger?: Logger
  /** Sealed segments above this go to disk. */
  readonly memoryBytes?: number
  /** Bytes of the file system that are left alone. */
  readonly roomBytesMin?: number
}

export const scratchMemoryBytesDefault = 64 * 1024 * 1024

export async function openScratchLog(options: ScratchLogOptions): Promise<MemoryLog> {
  const { files, directory, clock } = options
  await files.makeDirectory(directory)
  for (const name of await files.list(directory)) {
    if (name.endsWith(spillEnding)) await files.remove(`${directory}/${name}`)
  }
  const store = new SpillFiles({ files, directory, roomBytesMin: options.roomBytesMin ?? 0 })
  const memoryBytes = options.memoryBytes ?? scratchMemoryBytesDefault
  return new MemoryLog(clock, new Paging({ store, clock, logger: options.logger ?? silentLogger, memoryBytes }))
}
