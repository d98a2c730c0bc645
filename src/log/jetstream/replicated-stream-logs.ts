/**
 * The logs of AMQP streams in a cluster: each in a stream of its own, owned by the node that serves the stream's home shard, opened
 * on first use.
 *
 * Each costs every server some memory, idle time and syncs of its own, so there is a limit to their number.
 */
import type { Clock } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { removeIfThere } from '../file/segment-supply.ts'
import type { FrameStreams, StreamSettings } from './frame-stream.ts'
import { readLevel } from './level-file.ts'
import { openReplica, type ReplicatedLog } from './replica.ts'
import { pageBytesMax } from './take-over.ts'

export interface ReplicatedStreamLogsOptions {
  readonly streams: FrameStreams
  readonly settings: StreamSettings
  /** Name of the home shard: logs of other shards are not seen. */
  readonly home: string
  readonly files: Files
  /** Belongs to these logs alone; each has a directory below it. */
  readonly root: string
  readonly clock: Clock
  readonly random: Random
  readonly logger?: Logger
  /** Logs of AMQP streams in the whole cluster. Default 1,000. */
  readonly streamsMax?: number
  /** Bytes that are missing in the copy here above which a log is far. Default 1 GiB. */
  readonly farBytes?: number
  /** Bytes of the local file system below which a log says that it is full. */
  readonly roomBytesMin?: number
}

export const streamsMaxDefault = 1_000
const farBytesDefault = 1024 ** 3
/** There may be many, so each begins small, and has less in memory. In bytes. */
const sizes = { firstSegmentBytes: 1024 * 1024, cacheBytes: 8 * 1024 * 1024, pageBytes: pageBytesMax } as const
const streamLogPattern = /-stream-(\d{1,16})$/

/** There are as many logs of AMQP streams in the cluster as there may be. */
export class TooManyStreams extends Error {
  readonly code = 'TOO_MANY_STREAMS'
}

export class ReplicatedStreamLogs {
  readonly #options: ReplicatedStreamLogsOptions
  /** Logs that are known to be there. */
  readonly #known = new Set<number>()

  constructor(options: ReplicatedStreamLogsOptions) {
    this.#options = options
  }

  /**
   * Takes over the log `id`, or makes one. `segmentBytes` is rounded up to whole pages. Rejects with `TooManyStreams`; with
   * `LogDeposed` when another node serves it now.
   */
  async open(id: number, segmentBytes: number): Promise<ReplicatedLog> {
    const { streams, settings, files, clock, random, root, roomBytesMin, logger = silentLogger } = this.#options
    if (!this.#known.has(id)) await this.#checkCount(id)
    const stream = await streams.open(this.#nameOf(id), settings)
    this.#known.add(id)
    await files.makeDirectory(root)
    const replica = await openReplica({
      ...sizes,
      stream,
      files,
      directory: `${root}/${id}`,
      clock,
      random,
      logger,
      name: `stream ${id}`,
      segmentBytes: Math.ceil(segmentBytes / sizes.pageBytes) * sizes.pageBytes,
      ...(roomBytesMin !== undefined && { roomBytesMin }),
    })
    return await replica.takeOver(0)
  }

  /** True when its copy here misses so much that it is fetched for a use only, and not to look at it. */
  async isFar(id: number): Promise<boolean> {
    const { streams, settings, files, root, farBytes = farBytesDefault } = this.#options
    const stream = await streams.open(this.#nameOf(id), settings)
    const { first, last, bytes } = await stream.state()
    if (bytes <= farBytes) return false
    const directory = `${root}/${id}`
    const level = await readLevel(files, directory, stream.logId).catch(() => null)
    const missing = last - Math.max(level?.sequence ?? 0, first - 1)
    return (missing / (last - first + 1)) * bytes > farBytes
  }

  async #checkCount(id: number): Promise<void> {
    const { streams, streamsMax = streamsMaxDefault } = this.#options
    const names = await streams.list('')
    const count = names.filter((name) => streamLogPattern.test(name)).length
    if (count < streamsMax || names.includes(this.#nameOf(id))) return
    throw new TooManyStreams(
      `the cluster has ${count} streams and may have ${streamsMax}; delete one, or use a queue of another type`,
    )
  }

  /** Ids of the logs of this home that are there. */
  async list(): Promise<number[]> {
    const ids: number[] = []
    for (const name of await this.#options.streams.list(`${this.#options.home}-stream-`)) {
      const id = streamLogPattern.exec(name)?.[1]
      if (id === undefined) continue
      ids.push(Number(id))
      this.#known.add(Number(id))
    }
    return ids
  }

  /** Removes a log that nobody has open, with all copies that the servers have, and the one that is here. */
  async remove(id: number): Promise<void> {
    const { streams, files, root } = this.#options
    await streams.remove(this.#nameOf(id))
    this.#known.delete(id)
    const directory = `${root}/${id}`
    let names: string[]
    try {
      names = await files.list(directory)
    } catch {
      // It was never opened here.
      return
    }
    for (const name of names) await removeIfThere(files, `${directory}/${name}`)
    await files.removeDirectory(directory)
  }

  #nameOf(id: number): string {
    return `${this.#options.home}-stream-${id}`
  }
}
