/** What a file log is opened with, and the sizes it has by itself. */
import { assert } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { pageBytesDefault, pageBytesMin } from './format.ts'
import type { FrameStore } from './frame-store.ts'

export interface FileLogOptions {
  readonly files: Files
  /** Belongs to this log alone. */
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly logger?: Logger
  /** What messages call this log. */
  readonly name?: string
  readonly segmentBytes?: number
  /** The first segment; those after it double up to `segmentBytes`, so that an empty log opens fast. */
  readonly firstSegmentBytes?: number
  /** Pages kept in memory for readers. */
  readonly cacheBytes?: number
  /** Bytes of the file system below which the log says that it is full. */
  readonly roomBytesMin?: number
  /** Only for a new log: one that exists keeps its own. */
  readonly pageBytes?: number
  /** No record is longer, in bytes. Default: half a page. More, up to three quarters, needs segments of at least two pages. */
  readonly recordBytesMax?: number
  /** A frame is closed when it would become larger, in bytes; a longer record has one of its own. */
  readonly frameBytesMax?: number
  /** The term of the epoch that begins is not lower. */
  readonly termMin?: number
  /** Where frames are stored before they are written to the directory, which then need not outlive a crash. */
  readonly frameStore?: FrameStore | null
  /**
   * How long a small frame waits behind the one before it for more records, in milliseconds; 0: not at all. For stores
   * where each frame is dear.
   */
  readonly gatherMs?: number
  /** Only for repair: all segments that are there are live, and are listed anew. */
  readonly isAfterRepair?: boolean
}

export const segmentBytesDefault = 64 * 1024 * 1024
export const firstSegmentBytesDefault = 4 * 1024 * 1024
export const cacheBytesDefault = 16 * 1024 * 1024
export const roomBytesMinDefault = 256 * 1024 * 1024

/** All of them, with defaults. */
export type FullFileLogOptions = Required<Omit<FileLogOptions, 'recordBytesMax'>> & {
  /** Null: half a page, which the log's files say. */
  readonly recordBytesMax: number | null
}

export function withDefaults(options: FileLogOptions): FullFileLogOptions {
  const segmentBytes = options.segmentBytes ?? segmentBytesDefault
  const full = {
    files: options.files,
    directory: options.directory,
    clock: options.clock,
    random: options.random,
    logger: options.logger ?? silentLogger,
    name: options.name ?? 'log',
    segmentBytes,
    firstSegmentBytes: Math.min(options.firstSegmentBytes ?? firstSegmentBytesDefault, segmentBytes),
    cacheBytes: options.cacheBytes ?? cacheBytesDefault,
    roomBytesMin: options.roomBytesMin ?? roomBytesMinDefault,
    pageBytes: options.pageBytes ?? pageBytesDefault,
    recordBytesMax: options.recordBytesMax ?? null,
    frameBytesMax: options.frameBytesMax ?? Number.POSITIVE_INFINITY,
    termMin: options.termMin ?? 0,
    frameStore: options.frameStore ?? null,
    gatherMs: options.gatherMs ?? 0,
    isAfterRepair: options.isAfterRepair ?? false,
  }
  const { pageBytes } = full
  assert(
    pageBytes >= pageBytesMin && (pageBytes & (pageBytes - 1)) === 0,
    'a page is a power of two of at least 16 KiB',
  )
  assert(segmentBytes % pageBytes === 0 && full.firstSegmentBytes % pageBytes === 0, 'a segment is whole pages')
  return full
}
