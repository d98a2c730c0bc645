/** The replicated logs of a node: of the topology, of data shards, of streams; each with a copy in the node's directory. */
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Random } from './base/random.ts'
import type { StreamLogs } from './broker/stream/streams.ts'
import { keepTrying, type Trying } from './cluster/keep-trying.ts'
import { makeInTurn } from './cluster/make-in-turn.ts'
import type { Members } from './cluster/members.ts'
import { accountRefusal, cannotStore } from './cluster/nats/refusals.ts'
import type { Nats } from './cluster/nats/start-nats.ts'
import { topologyShard } from './cluster/topology-host.ts'
import type { ClusterDirectory } from './cluster-directory.ts'
import type { ClusterSettings, Config } from './config.ts'
import { type FrameStreams, type StreamSettings, StreamUnfit } from './log/jetstream/frame-stream.ts'
import { openNatsStreams } from './log/jetstream/nats-streams.ts'
import { openReplica, type Replica, type ReplicaListener } from './log/jetstream/replica.ts'
import { ReplicatedStreamLogs } from './log/jetstream/replicated-stream-logs.ts'
import { LogWentBack } from './log/log.ts'

export interface ClusterLogsParts {
  readonly upkeepClock: Clock
  readonly random: Random
  readonly files: Files
  readonly logger: Logger
  readonly config: Config
  readonly settings: ClusterSettings
  readonly nats: Nats
}

/** Bytes that the stream of a log may hold. */
const streamBytesMax = { shard: 64 * 1024 ** 3, topology: 4 * 1024 ** 3 } as const
/** Of one log's copy, sizes in bytes: a node has many. */
const shardSizes = {
  /**
   * Storing a frame costs the servers as much as some hundred messages, whatever is in it: under load small ones wait so
   * long for more, in milliseconds. A publisher that is alone and waits for each confirm does not meet it.
   */
  gatherMs: 5,
  /**
   * Who follows a shard need not be level with it at once: a frame that is told alone costs both sides as much as many. When
   * it takes over, it reads what it has not been told.
   */
  followMs: 100,
  cacheBytes: 16 * 1024 ** 2,
  segmentBytes: 64 * 1024 ** 2,
  firstSegmentBytes: 4 * 1024 ** 2,
} as const
const topologySizes = {
  gatherMs: 0,
  // What is declared anywhere is answered when all nodes have it.
  followMs: 0,
  cacheBytes: 8 * 1024 ** 2,
  segmentBytes: 16 * 1024 ** 2,
  firstSegmentBytes: 1024 ** 2,
} as const

type LogSizes = typeof shardSizes | typeof topologySizes

export class ClusterLogs {
  readonly #parts: ClusterLogsParts
  readonly #directory: ClusterDirectory
  readonly #streams: FrameStreams
  readonly #replicas: StreamSettings['replicas']

  private constructor(parts: ClusterLogsParts, directory: ClusterDirectory, streams: FrameStreams) {
    this.#parts = parts
    this.#directory = directory
    this.#streams = streams
    this.#replicas = replicasOf(parts.nats)
  }

  /**
   * Makes the streams of the topology and of all shards, where there are none: what there is no room or no right for is
   * said before anything is served. Rejects with `StartError` then.
   */
  static async open(
    given: ClusterLogsParts,
    directory: ClusterDirectory,
    shards: readonly string[],
    members: Pick<Members, 'self' | 'live'>,
  ): Promise<ClusterLogs> {
    const parts = { ...given, logger: logOf(given.logger, 'log') }
    const { upkeepClock: clock, random, logger, nats, settings } = parts
    const prefix = `warren-${settings.clusterName}`
    const { connection, domain } = nats
    const signal = AbortSignal.timeout(parts.config.clusterStartMsMax)
    const logs = async (): Promise<ClusterLogs> => {
      const replicas = replicasOf(nats)
      const streams = await openNatsStreams({ connection, prefix, clock, random, logger, domain, replicas })
      const made = new ClusterLogs(parts, directory, streams)
      await made.#make(shards, members, signal)
      return made
    }
    try {
      return await keepTrying('opening the streams of the cluster', logs, tryingFor(parts, signal))
    } catch (error) {
      throw cannotStore(error, error instanceof StreamUnfit ? error.message : null)
    }
  }

  async #make(shards: readonly string[], members: Pick<Members, 'self' | 'live'>, signal: AbortSignal): Promise<void> {
    const { upkeepClock: clock } = this.#parts
    const wanted = [[topologyShard, streamBytesMax.topology] as const, ...shards.map(shardWanted)]
    await makeInTurn({
      clock,
      signal,
      names: wanted.map(([name]) => name),
      there: () => this.#streams.list(''),
      isFirst: () => isFirst(members),
      make: async (missing) => {
        for (const [name, bytesMax] of wanted) {
          if (missing.has(name)) await this.#streams.open(name, { replicas: this.#replicas, bytesMax })
        }
      },
    })
  }

  /** Nothing goes without the topology: tries until `signal` ends it. */
  topology(listener: ReplicaListener, signal: AbortSignal): Promise<Replica> {
    return keepTrying(
      'opening the log of the topology',
      () => this.#open(topologyShard, streamBytesMax.topology, topologySizes, listener),
      tryingFor(this.#parts, signal),
    )
  }

  shard(name: string, listener: ReplicaListener): Promise<Replica> {
    return this.#open(name, streamBytesMax.shard, shardSizes, listener)
  }

  async #open(name: string, bytesMax: number, sizes: LogSizes, listener: ReplicaListener): Promise<Replica> {
    const { upkeepClock: clock, random, files, logger, config } = this.#parts
    const stream = await this.#streams.open(name, { replicas: this.#replicas, bytesMax, followMs: sizes.followMs })
    const roomBytesMin = config.diskFreeBytesMin
    const directory = this.#directory.copy(name)
    return await openReplica({
      stream,
      directory,
      files,
      clock,
      random,
      logger,
      name,
      listener,
      roomBytesMin,
      ...sizes,
    })
  }

  /** Of the AMQP streams that have this shard as their home. */
  streams(shard: string): StreamLogs {
    const { upkeepClock: clock, random, files, logger, config } = this.#parts
    return new ReplicatedStreamLogs({
      streams: this.#streams,
      settings: { replicas: this.#replicas, bytesMax: streamBytesMax.shard },
      home: shard,
      files,
      root: this.#directory.copy(`${shard}-streams`),
      clock,
      random,
      logger,
      roomBytesMin: config.diskFreeBytesMin,
    })
  }
}

/** Whether nobody who is there has come before. */
function isFirst({ self, live }: Pick<Members, 'self' | 'live'>): boolean {
  return [...live.values()].every(({ incarnation }) => incarnation >= self.incarnation)
}

/** Of all data shards of a cluster. */
export function shardNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `shard-${index}`)
}

function shardWanted(name: string): readonly [name: string, bytesMax: number] {
  return [name, streamBytesMax.shard]
}

function tryingFor({ upkeepClock: clock, logger }: ClusterLogsParts, signal: AbortSignal): Trying {
  const isFinal = (error: unknown): boolean =>
    error instanceof StreamUnfit || error instanceof LogWentBack || accountRefusal(error) !== null
  return { clock, logger, signal, isFinal }
}

function replicasOf({ replicas }: Nats): StreamSettings['replicas'] {
  return replicas >= 5 ? 5 : replicas >= 3 ? 3 : 1
}
