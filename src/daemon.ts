/**
 * The composition root of one node: read `startDaemon` top to bottom to know what a node is made of.
 *
 * It opens from the bottom up (data directory, topology, shard, broker, alarms, listener) and closes in reverse. Nothing
 * is decided here but who is connected with whom, and when a node must end: when the topology's log or, for a second
 * time, the shard's log cannot go on.
 */
import { Alarms } from './alarms.ts'
import { AnyOf } from './base/any-of.ts'
import { type Clock, SystemClock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import { type Memory, SystemMemory } from './base/memory.ts'
import type { Network } from './base/network.ts'
import { type Random, SystemRandom } from './base/random.ts'
import { RunQueue } from './base/run-queue.ts'
import { SystemFiles } from './base/system-files.ts'
import { SystemNetwork } from './base/system-network.ts'
import { Broker } from './broker/broker.ts'
import { DefinitionsError } from './broker/definitions/entry.ts'
import { definitionsBytesMax, parseDefinitions } from './broker/definitions/import-definitions.ts'
import { LocalShards, type LocalShardsOptions } from './broker/shard/local-shards.ts'
import { Streams } from './broker/stream/streams.ts'
import { Topology } from './broker/topology/topology.ts'
import type { Config } from './config.ts'
import { type DataPaths, dataPaths, prepareDataDirectory, writeFormat } from './data-directory.ts'
import { DataDirectoryLocked, lockDataDirectory } from './log/file/data-directory-lock.ts'
import { openFileLog } from './log/file/file-log.ts'
import { roomBytesMinDefault } from './log/file/file-log-options.ts'
import { FormatUnknown } from './log/file/format.ts'
import { LogDirectories } from './log/file/log-directories.ts'
import { openScratchLog, scratchSegmentBytes } from './log/file/scratch-log.ts'
import { LogDamaged } from './log/log.ts'
import { defaultServerLimits, type ServerLimits } from './server/limits.ts'
import { Server } from './server/listener.ts'
import { errorName, StartError } from './start-error.ts'
import { version } from './version.ts'

export { StartError } from './start-error.ts'

/** Everything outside of the program that a node touches. */
export interface World {
  readonly clock: Clock
  readonly random: Random
  readonly files: Files
  readonly network: Network
  readonly memory: Memory
  readonly logger: Logger
}

export interface Daemon {
  /** Where it listens, as URLs; `*` stands for all interfaces. */
  readonly addresses: readonly string[]
  /** Absolute path. */
  readonly dataDirectory: string
  /** Settles when the node cannot go on; the process should then end. */
  readonly failed: Promise<Error>
  /**
   * Accepts no more, tells clients to go (320) once their confirms are out, commits and closes. False when some client
   * had not gone within `drainMsMax`; it is then cut off. Nothing confirmed is lost either way.
   */
  stop(drainMsMax: number): Promise<boolean>
}

/** What tests put between the parts. */
export interface Insertions {
  /** Stands in front of the shard: one that answers late, say, as a shard on another node does. */
  readonly shardFace?: NonNullable<LocalShardsOptions['face']>
}

export function systemWorld(logger: Logger): World {
  return {
    clock: new SystemClock(),
    random: new SystemRandom(),
    files: new SystemFiles(),
    network: new SystemNetwork(),
    memory: new SystemMemory(),
    logger,
  }
}

export async function startDaemon(config: Config, world: World, insertions: Insertions = {}): Promise<Daemon> {
  const paths = dataPaths(config.dataDirectory)
  const closers: Closer[] = []
  const failure = new Failure()
  const runQueue = new RunQueue(world.clock)
  try {
    const isNew = await openDoor(world, paths, closers)
    const alarms = makeAlarms(config, world, paths)
    const broker = await openBroker(config, world, paths, { runQueue, closers, failure, alarms, insertions })
    if (isNew) await writeFormat(world.files, paths.root)
    await loadDefinitions(config, world, broker)
    closers.push(() => alarms.stop())
    await alarms.start(broker)
    const server = new Server({
      ...world,
      runQueue,
      broker,
      limits: serverLimits(config),
      identity: { version: config.toldVersion },
      version,
    })
    const port = await listen(server, config)
    return {
      addresses: [urlOf(config.host, port)],
      dataDirectory: paths.root,
      failed: failure.happened,
      stop: async (drainMsMax) => {
        const isDrained = await server.close(drainMsMax)
        await closeAll(closers)
        return isDrained
      },
    }
  } catch (error) {
    await closeAll(closers)
    throw asStartError(error, paths)
  }
}

/** Definitions are few and small; what is dead among them is written again and again. In bytes. */
const topologySegmentBytes = 16 * 1024 * 1024

/** There may be many streams, so each begins small, and has less in memory. A page is what is read at once. In bytes. */
const streamLogSizes = {
  pageBytes: 512 * 1024,
  firstSegmentBytes: 1024 * 1024,
  cacheBytes: 8 * 1024 * 1024,
} as const

/** IPv6 addresses stand in brackets (RFC 3986 §3.2.2). */
function urlOf(host: string, port: number): string {
  return `amqp://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What was opened, in the order of opening; it is closed in reverse. */
type Closer = () => Promise<void> | void

async function closeAll(closers: Closer[]): Promise<void> {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close()
}

/** The first thing after which the node cannot go on. */
class Failure {
  readonly happened: Promise<Error>
  #resolve: (error: Error) => void = () => {}

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  readonly set = (error: Error): void => this.#resolve(error)
}

/**
 * Nothing in the directory is touched before it is known to be ours and nobody else uses it. Returns true when a first
 * start begins there.
 */
async function openDoor({ files }: World, paths: DataPaths, closers: Closer[]): Promise<boolean> {
  const isNew = await prepareDataDirectory(files, paths.root)
  const lock = await lockDataDirectory(paths.root)
  closers.push(() => lock.release())
  return isNew
}

/** What the broker shares with the rest of the node. */
interface BrokerSurroundings {
  readonly runQueue: RunQueue
  readonly closers: Closer[]
  readonly failure: Failure
  readonly alarms: Alarms
  readonly insertions: Insertions
}

/** Topology first, wholly: shard records of queues it does not know are dead. */
async function openBroker(
  config: Config,
  world: World,
  paths: DataPaths,
  { runQueue, closers, failure, alarms, insertions }: BrokerSurroundings,
): Promise<Broker> {
  const { files, clock, random, logger } = world
  const { shardFace } = insertions
  const roomBytesMin = Math.min(roomBytesMinDefault, config.diskFreeBytesMin)
  const logOptions = { files, clock, random, logger, roomBytesMin }
  let broker: Broker | null = null
  const congested = new AnyOf<'shard' | 'streams'>((isAny) => broker?.setCongested(isAny))
  const full = new AnyOf<'shard' | 'streams'>((isAny) => alarms.setLogFull(isAny))
  const shards: LocalShards = new LocalShards({
    openLogs: async () => ({
      log: await openFileLog({
        ...logOptions,
        directory: paths.shard,
        name: 'shard-0',
        cacheBytes: config.logCacheBytesMax,
      }),
      scratch: await openScratchLog({ ...logOptions, directory: paths.scratch, memoryBytes: config.transientBytesMax }),
    }),
    scratchSegmentBytes,
    uncommittedBytesMax: config.uncommittedBytesMax,
    entryBytesMax: config.entryBytesMax,
    clock,
    random,
    runQueue,
    logger,
    ...(shardFace === undefined ? {} : { face: shardFace }),
    congestionChanged: (isCongested) => congested.set('shard', isCongested),
    roomChanged: (isFull) => full.set('shard', isFull),
    reopened: () => broker?.shardsReopened(),
    fatal: failure.set,
  })

  const streams = new Streams({
    queues: shards,
    logs: new LogDirectories({ ...logOptions, ...streamLogSizes, root: paths.streams, name: 'stream' }),
    clock,
    runQueue,
    logger,
    uncommittedBytesMax: config.uncommittedBytesMax,
    congestionChanged: (isCongested) => congested.set('streams', isCongested),
    roomChanged: (isFull) => full.set('streams', isFull),
    fatal: failure.set,
  })

  const topology = new Topology({ directory: streams, runQueue, random, logger, onFailed: failure.set })
  const topologyLog = await openFileLog({
    ...logOptions,
    directory: paths.topology,
    name: 'topology',
    firstSegmentBytes: 1024 * 1024,
    segmentBytes: topologySegmentBytes,
  })
  topologyLog.listener = topology.logListener
  closers.push(() => topology.close())
  await topology.open(topologyLog)
  topology.hearCommits(() => shards.topologyCommitted())
  topology.hearCommits(() => streams.topologyCommitted())

  closers.push(() => shards.close())
  await shards.start(topology)
  closers.push(() => streams.close())
  await streams.start(topology)
  broker = new Broker({ topology, clock, random, logger })
  return broker
}

/** What a file says there should be; whatever of it is there already stays. */
async function loadDefinitions({ definitions: path }: Config, { files, logger }: World, broker: Broker): Promise<void> {
  if (path === 'none') return
  try {
    const document = parseDefinitions(await readText(files, path))
    const { warnings } = await broker.importDefinitions(document)
    for (const warning of warnings) logger.warn({ definitions: path }, warning)
    logger.info({ definitions: path, warnings: warnings.length }, 'definitions are imported')
  } catch (error) {
    if (error instanceof DefinitionsError) {
      const sentence = `the definitions in ${path} cannot be imported: ${error.message}; mend the file or give another`
      throw new StartError('definitions', sentence, error)
    }
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const mend = 'give definitions the path of a file that this user may read'
    throw new StartError('definitions', `the definitions ${path} cannot be read (${errorName(error)}): ${mend}`, error)
  }
}

async function readText(files: Files, path: string): Promise<string> {
  const file = await files.open(path, 'read')
  try {
    const size = await file.size()
    if (size > definitionsBytesMax) throw new DefinitionsError(`they are longer than ${definitionsBytesMax} bytes`)
    const bytes = new Uint8Array(size)
    return Buffer.from(bytes.buffer, 0, await file.read(bytes, 0, size, 0)).toString()
  } finally {
    await file.close()
  }
}

function makeAlarms(config: Config, world: World, paths: DataPaths): Alarms {
  return new Alarms({
    ...world,
    directory: paths.root,
    memoryBytesMax: Math.floor(world.memory.limitBytes * config.memoryWatermark),
    diskFreeBytesMin: config.diskFreeBytesMin,
  })
}

async function listen(server: Server, { host, port }: Config): Promise<number> {
  try {
    return await server.listen({ host, port })
  } catch (error) {
    const name = errorName(error)
    const mends: Readonly<Record<string, string>> = {
      EADDRINUSE: 'another program listens there; stop it or give another --port',
      EACCES: 'this user may not; give a --port above 1023',
      EADDRNOTAVAIL: 'no network interface has this address; give another --host',
      ENOTFOUND: 'nobody knows this name; give an address with --host',
    }
    const mend = mends[name] ?? 'give another --host or --port'
    throw new StartError('address', `cannot listen on port ${port} of ${host} (${name}): ${mend}`, error)
  }
}

/** What the world did to us has a sentence; our own mistakes go on as they are. */
function asStartError(error: unknown, { root }: DataPaths): unknown {
  if (error instanceof LogDamaged) {
    const mend = `\`warren fsck ${root}\` shows the damage, and with --repair writes what is whole to a new directory`
    return new StartError('data-directory', `the data in ${root} is damaged: ${error.message}; ${mend}`, error)
  }
  if (error instanceof DataDirectoryLocked) {
    return new StartError('data-directory', error.message, error)
  }
  if (error instanceof FormatUnknown) {
    return new StartError('data-directory', `${error.message}; use the version of Warren that wrote ${root}`, error)
  }
  if (error instanceof Error && 'syscall' in error) {
    const mend = 'see that it is a local directory which this user may read and write'
    return new StartError(
      'data-directory',
      `the data directory ${root} cannot be used (${error.message}); ${mend}`,
      error,
    )
  }
  return error
}

/** Limits of the server are options of the same names; those that only tuning would touch keep their defaults. */
export function serverLimits(config: Config): ServerLimits {
  return Object.freeze({ ...defaultServerLimits, ...config, heartbeatSeconds: Math.floor(config.heartbeatMs / 1_000) })
}
