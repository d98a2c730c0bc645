/**
 * Where a node keeps what it keeps: in a data directory, or in memory. Both give the same logs to the same code; in
 * memory nothing outlives the node.
 */
import { resolve } from 'node:path'
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import type { Random } from './base/random.ts'
import type { LocalShardsOptions } from './broker/shard/local-shards.ts'
import type { StreamLogs } from './broker/stream/streams.ts'
import type { Config } from './config.ts'
import { dataPaths, makeRoot, prepareDataDirectory, writeFormat } from './data-directory.ts'
import { type DataDirectoryLock, lockDataDirectory } from './log/file/data-directory-lock.ts'
import { type FileLog, openFileLog } from './log/file/file-log.ts'
import { type FileLogOptions, roomBytesMinDefault } from './log/file/file-log-options.ts'
import { HeldLogs } from './log/file/held-logs.ts'
import { LogDirectories } from './log/file/log-directories.ts'
import { openScratchLog } from './log/file/scratch-log.ts'
import type { Log, LogListener } from './log/log.ts'
import { openMemoryLog } from './log/memory/memory-log.ts'
import { MemoryLogs } from './log/memory/memory-logs.ts'

export interface Storage extends Place {
  readonly streamLogs: StreamLogs
  openTopologyLog(): Promise<Log & { listener: LogListener | null }>
  /** Called again when the shard has failed. */
  openShardLogs: LocalShardsOptions['openLogs']
  /** Its logs, as they can be held; null where nothing is stored. */
  readonly held: HeldLogs | null
}

/** The directory of a node, whatever is in it. */
export interface Place {
  /** Absolute path; null when there is none. */
  readonly directory: string | null
  /** First of all: takes it for this node alone. */
  open(): Promise<void>
  /** All that is to be there exists. */
  opened(): Promise<void>
  freeBytes(): Promise<number>
  /** Last of all: others may have it. */
  close(): Promise<void>
}

export interface StorageParts {
  readonly files: Files
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Definitions are few and small; what is dead among them is written again and again. In bytes. */
const topologySegmentBytes = 16 * 1024 * 1024

/** There may be many streams, so each begins small, and has less in memory. A page is what is read at once. In bytes. */
const streamLogSizes = {
  pageBytes: 512 * 1024,
  firstSegmentBytes: 1024 * 1024,
  cacheBytes: 8 * 1024 * 1024,
} as const

/** Nothing in the directory is touched before it is known to be ours and nobody else uses it. */
export function fileStorage(config: Config, { files, clock, random, logger }: StorageParts): Storage {
  const paths = dataPaths(config.dataDirectory)
  const roomBytesMin = Math.min(roomBytesMinDefault, config.diskFreeBytesMin)
  const options = { files, clock, random, logger, roomBytesMin }
  const held = new HeldLogs()
  const open = async (
    own: Omit<FileLogOptions, keyof typeof options> & { readonly name: string },
  ): Promise<FileLog> => {
    const log = await openFileLog({ ...options, ...own })
    held.opened(own.name, log)
    files.io?.opened({ log: own.name, at: clock.now(), ...log.tailReport })
    return log
  }
  let lock: DataDirectoryLock | null = null
  let isNew = false
  return {
    directory: paths.root,
    held,
    streamLogs: new LogDirectories({ ...options, ...streamLogSizes, root: paths.streams, name: 'stream', held }),
    open: async () => {
      isNew = await prepareDataDirectory(files, paths.root)
      lock = await lockDataDirectory(paths.root)
    },
    openTopologyLog: () =>
      open({
        directory: paths.topology,
        name: 'topology',
        firstSegmentBytes: 1024 * 1024,
        segmentBytes: topologySegmentBytes,
      }),
    openShardLogs: async () => ({
      log: await open({
        directory: paths.shard,
        name: 'shard-0',
        cacheBytes: config.logCacheBytesMax,
      }),
      scratch: await openScratchLog({ ...options, directory: paths.scratch, memoryBytes: config.transientBytesMax }),
    }),
    opened: async () => {
      if (isNew) await writeFormat(files, paths.root)
    },
    freeBytes: () => files.freeBytes(paths.root),
    close: async () => {
      await lock?.release()
    },
  }
}

/** What a node of a cluster has of its own; its logs are streams of NATS (`cluster-directory.ts`). */
export function clusterStorage(config: Config, files: Files): Place {
  const root = resolve(config.dataDirectory)
  let lock: DataDirectoryLock | null = null
  return {
    directory: root,
    open: async () => {
      await makeRoot(files, root)
      lock = await lockDataDirectory(root)
    },
    opened: async () => {},
    freeBytes: () => files.freeBytes(root),
    close: async () => {
      await lock?.release()
    },
  }
}

/** Everything is gone when the node is. */
export function memoryStorage(clock: Clock): Storage {
  return {
    directory: null,
    held: null,
    streamLogs: new MemoryLogs(clock),
    open: async () => {},
    openTopologyLog: () => openMemoryLog({ clock }),
    openShardLogs: async () => ({ log: await openMemoryLog({ clock }), scratch: await openMemoryLog({ clock }) }),
    opened: async () => {},
    freeBytes: () => Promise.resolve(Number.POSITIVE_INFINITY),
    close: async () => {},
  }
}
