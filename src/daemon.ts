/**
 * The composition root of one node: read `startDaemon` top to bottom to know what a node is made of.
 *
 * It opens from the bottom up (data directory, topology, shard, broker, alarms, listener) and closes in reverse. Nothing
 * is decided here but who is connected with whom, and when a node must end: when the topology's log or, for a second
 * time, the shard's log cannot go on.
 */
import { Alarms, type Watermarks } from './alarms.ts'
import { NodeBackup } from './backup/node-backup.ts'
import { AnyOf } from './base/any-of.ts'
import { type Clock, SystemClock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import { type Memory, SystemMemory } from './base/memory.ts'
import type { Network, Socket } from './base/network.ts'
import { type Random, SystemRandom } from './base/random.ts'
import type { Resolver } from './base/resolver.ts'
import { RunQueue } from './base/run-queue.ts'
import { SystemFiles } from './base/system-files.ts'
import { SystemNetwork } from './base/system-network.ts'
import { Broker } from './broker/broker.ts'
import type { AccessParts } from './broker/broker-parts.ts'
import type { ReplyRelay } from './broker/reply-relay.ts'
import { LocalShards, type LocalShardsOptions } from './broker/shard/local-shards.ts'
import { Streams } from './broker/stream/streams.ts'
import { Topology } from './broker/topology/topology.ts'
import { Certificates } from './certificates.ts'
import type { Nats } from './cluster/nats/start-nats.ts'
import { type ClusterSettings, type Config, checkCluster } from './config.ts'
import { NodePorts } from './listeners.ts'
import { loadDefinitions } from './load-definitions.ts'
import { scratchSegmentBytes } from './log/file/scratch-log.ts'
import type { BackupNode } from './management/backup.ts'
import type { ClusterFacts } from './management/cluster-facts.ts'
import { shownClusterName } from './management/cluster-name.ts'
import type { ReloadNode } from './management/reload.ts'
import { accessParts, throttleOf } from './node-access.ts'
import { type Closer, closeAll, Failure } from './node-end.ts'
import { type Configuration, NodeReload } from './node-reload.ts'
import { openTracing, type Tracer } from './node-tracing.ts'
import { defaultServerLimits, type ServerLimits } from './server/limits.ts'
import { Server } from './server/listener.ts'
import { asStartError } from './start-failure.ts'
import { clusterStorage, fileStorage, memoryStorage, type Place, type Storage } from './storage.ts'
import { version } from './version.ts'
import { allowedTargets, webhooksOf } from './webhooks.ts'

export type { Configuration } from './node-reload.ts'
export { StartError } from './start-error.ts'

/** Everything outside of the program that a node touches. */
export interface World {
  readonly clock: Clock
  /** What goes by the machine's time where `clock` is moved by hand: heartbeats, alarms, slices. Default: `clock`. */
  readonly machineClock?: Clock
  readonly random: Random
  readonly files: Files
  readonly network: Network
  readonly memory: Memory
  readonly logger: Logger
  /** What webhooks look names up with; default: the machine's. */
  readonly resolver?: Resolver
  /** The node is to stop: a start that waits for other nodes is given up, with all put away, and rejects. */
  readonly stopAsked?: AbortSignal
}

type MachineWorld = World & { readonly machineClock: Clock }

export interface Daemon {
  /** Where it listens, as URLs: `amqp:`, `amqps:`, `http:`, `https:`. `*` stands for all interfaces. Empty when it does not. */
  readonly addresses: readonly string[]
  /** Absolute path; null when there is none. */
  readonly dataDirectory: string | null
  /** Settles when the node cannot go on; the process should then end. */
  readonly failed: Promise<Error>
  /** Takes a connected socket over, as if it had come from a listener. */
  accept(socket: Socket): void
  /** Reads the configuration again. Rejects with a `ReloadRefused`; then all is as before. */
  readonly reload: ReloadNode
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

/** The shards of a node on its own. */
export type OwnShards = Pick<LocalShards, 'whenStored'>

/** What makes a node inside another program different from one that is a process. */
export interface NodeParts extends Insertions {
  /** Default: files in the data directory. */
  readonly storage?: 'files' | 'memory'
  /** False: there is no AMQP port; connections come by `accept`. */
  readonly listens?: boolean
  /** False: nothing is pushed, whatever webhooks there are. */
  readonly pushes?: boolean
  /** Definitions, as JSON text, imported after those of the file. */
  readonly definitions?: string
  /** For whoever reads it again; left out: nobody can. */
  readonly configuration?: Configuration
  /** Is given the broker once all is open, before anybody connects: for work that no connection may do. */
  readonly opened?: (broker: Broker, shards: OwnShards | null) => Promise<void>
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

/** A node on its own, or, where the options say so, one of several. Rejects with `StartError`. */
export async function startDaemon(config: Config, given: World, parts: NodeParts = {}): Promise<Daemon> {
  const world = { ...given, machineClock: given.machineClock ?? given.clock }
  const { settings } = checkCluster(config)
  // A node of a cluster that is begun anew begins with what was read last.
  let latest = config
  const adopted = (next: Config): void => {
    latest = next
  }
  if (settings === null) return await startNode(config, world, { ...parts, adopted })
  // Loaded by nodes of clusters only.
  const { startClusterDaemon } = await import('./cluster-daemon.ts')
  return await startClusterDaemon(settings, config.dataDirectory, world, (nats) =>
    startNode(latest, world, { ...parts, adopted }, { settings, nats }),
  )
}

interface StartedParts extends NodeParts {
  /** This configuration counts from now on. */
  adopted(config: Config): void
}

/** What makes a node one of several. */
interface ClusterPart {
  readonly settings: ClusterSettings
  readonly nats: Nats
}

async function startNode(
  config: Config,
  world: MachineWorld,
  parts: StartedParts,
  cluster: ClusterPart | null = null,
): Promise<Daemon> {
  const own = storageOf(config, world, parts)
  const storage: Place = cluster === null ? own : clusterStorage(config, world.files)
  const closers: Closer[] = []
  const failure = new Failure()
  const runQueue = new RunQueue(world.machineClock)
  try {
    await storage.open()
    closers.push(() => storage.close())
    const alarms = makeAlarms(config, world, storage)
    const access = await accessParts(config, world)
    const tracer = await openTracing(config, world)
    if (tracer !== null) closers.push(() => tracer.stop())
    const surroundings = { runQueue, closers, failure, alarms, access, parts, tracer }
    const core = await (cluster === null
      ? openBroker(config, world, own, surroundings)
      : openClusterBroker(config, world, cluster, surroundings))
    const { broker } = core
    await storage.opened()
    await loadDefinitions(config, world, broker, parts.definitions)
    await parts.opened?.(broker, core.shards ?? null)
    closers.push(() => alarms.stop())
    await alarms.start(broker)
    return await openToClients(config, world, core, { ...surroundings, storage })
  } catch (error) {
    await closeAll(closers)
    throw asStartError(error, storage.directory)
  }
}

/** Everything is there: now whoever wants may come. */
async function openToClients(
  config: Config,
  world: MachineWorld,
  core: Core,
  { runQueue, closers, failure, alarms, parts, storage, tracer }: BrokerSurroundings & { readonly storage: Place },
): Promise<Daemon> {
  const { broker } = core
  const server = new Server({
    ...world,
    clock: world.machineClock,
    logger: logOf(world.logger, 'server'),
    runQueue,
    broker,
    limits: serverLimits(config),
    identity: { version: config.toldVersion, clusterName: () => shownClusterName(broker.topology, core.cluster) },
    userFrom: config.tlsUserFrom,
    audit: { logger: logOf(world.logger, 'audit'), changes: config.auditedChanges },
    version,
    ...(core.replyRelay === null ? {} : { replyRelay: core.replyRelay }),
  })
  const certificates = await Certificates.open(config, {
    ...world,
    clock: world.machineClock,
    logger: logOf(world.logger, 'server'),
  })
  closers.push(() => certificates.stop())
  const webhooks = webhooksOf(config, world, broker)
  closers.push(() => webhooks.stop(0))
  const ports = await NodePorts.open(config, {
    server,
    world,
    certificates,
    listensForAmqp: parts.listens ?? true,
    node: {
      broker,
      runQueue,
      webhooks,
      reload: () => reloading.reload(),
      backup: core.backup ?? null,
      tracer,
      ...(core.cluster === null ? {} : { cluster: core.cluster }),
    },
  })
  const adopt = (next: Config): void => {
    server.limits = serverLimits(next)
    server.auditedChanges = next.auditedChanges
    broker.throttle.limits = throttleOf(next)
    alarms.watermarks = watermarksOf(next, world)
    webhooks.allowed = allowedTargets(next)
    parts.adopted(next)
  }
  const configuration = parts.configuration ?? null
  const { logger } = world
  if (parts.pushes ?? true) webhooks.start()
  const reloading: NodeReload = new NodeReload({ config, configuration, ports, certificates, logger, adopt })
  return {
    addresses: ports.addresses,
    dataDirectory: storage.directory,
    failed: failure.happened,
    accept: (socket) => void server.accept(socket),
    reload: reloading.reload,
    stop: async (drainMsMax) => {
      ports.stopping()
      // Clients are told all the same when there is no majority that the others could be told by.
      const late = new Promise<void>((resolve) => world.machineClock.after(tellMsMax, resolve))
      await Promise.race([core.stopping(), late])
      const [isDrained] = await Promise.all([server.close(drainMsMax), webhooks.stop(drainMsMax)])
      await ports.close()
      await closeAll(closers)
      return isDrained
    },
  }
}

/** How long a node that stops tries to tell the others before its clients, in milliseconds. */
const tellMsMax = 2_000

/** What a node is on top of what it keeps. */
interface Core {
  readonly broker: Broker
  readonly replyRelay: ReplyRelay | null
  readonly cluster: ClusterFacts | null
  /** Left out: they are the cluster's. */
  readonly shards?: OwnShards
  /** Null or left out: nothing on disk is this node's alone. */
  readonly backup?: BackupNode | null
  /** The node is going to stop: what others could do instead is given to them. */
  stopping(): Promise<void>
}

async function openClusterBroker(
  config: Config,
  world: MachineWorld,
  { settings, nats }: ClusterPart,
  { runQueue, closers, failure, alarms, access, tracer }: BrokerSurroundings,
): Promise<Core> {
  const { openClusterNode } = await import('./cluster-node.ts')
  const { machineClock, ...rest } = world
  const parts = { ...rest, upkeepClock: machineClock, config, settings, nats, runQueue, alarms, access }
  const tracing = tracer === null ? {} : { residences: tracer }
  const node = await openClusterNode({ ...parts, tracing, failed: failure.set })
  closers.push(() => node.close())
  return node
}

function storageOf(config: Config, world: MachineWorld, { storage }: NodeParts): Storage {
  const { files, machineClock: clock, random, logger } = world
  if (storage === 'memory') return memoryStorage(clock)
  return fileStorage(config, { files, clock, random, logger: logOf(logger, 'log') })
}

/** What the broker shares with the rest of the node. */
interface BrokerSurroundings {
  readonly runQueue: RunQueue
  readonly closers: Closer[]
  readonly failure: Failure
  readonly alarms: Alarms
  readonly access: AccessParts
  readonly parts: StartedParts
  /** Null: messages are not traced. */
  readonly tracer: Tracer | null
}

/** Topology first, wholly: shard records of queues it does not know are dead. */
async function openBroker(
  config: Config,
  { clock, machineClock: upkeepClock, random, files, ...world }: MachineWorld,
  storage: Storage,
  { runQueue, closers, failure, alarms, access, tracer, parts: { shardFace } }: BrokerSurroundings,
): Promise<Core> {
  const logger = logOf(world.logger, 'broker')
  let broker: Broker | null = null
  const congested = new AnyOf<'shard' | 'streams'>((isAny) => broker?.setCongested(isAny))
  const full = new AnyOf<'shard' | 'streams'>((isAny) => alarms.setLogFull(isAny))
  const shards: LocalShards = new LocalShards({
    openLogs: storage.openShardLogs,
    scratchSegmentBytes,
    uncommittedBytesMax: config.uncommittedBytesMax,
    entryBytesMax: config.entryBytesMax,
    clock,
    upkeepClock,
    random,
    runQueue,
    logger,
    ...(shardFace === undefined ? {} : { face: shardFace }),
    ...(tracer === null ? {} : { residences: tracer }),
    congestionChanged: (isCongested) => congested.set('shard', isCongested),
    roomChanged: (isFull) => full.set('shard', isFull),
    reopened: () => broker?.shardsReopened(),
    fatal: failure.set,
  })

  const streams = new Streams({
    queues: shards,
    logs: storage.streamLogs,
    clock,
    upkeepClock,
    runQueue,
    logger,
    uncommittedBytesMax: config.uncommittedBytesMax,
    looksAtAll: true,
    ...(tracer === null ? {} : { spans: tracer }),
    congestionChanged: (isCongested) => congested.set('streams', isCongested),
    roomChanged: (isFull) => full.set('streams', isFull),
    fatal: failure.set,
  })

  const topology = new Topology({ directory: streams, runQueue, random, logger, onFailed: failure.set })
  const topologyLog = await storage.openTopologyLog()
  topologyLog.listener = topology.logListener
  closers.push(() => topology.close())
  await topology.open(topologyLog)
  topology.hearCommits(() => shards.topologyCommitted())
  topology.hearCommits(() => streams.topologyCommitted())

  closers.push(() => shards.close())
  await shards.start(topology)
  closers.push(() => streams.close())
  await streams.start(topology)
  broker = new Broker({ ...access, topology, clock, random, logger })
  // Who holds logs lets them go before they are closed.
  closers.push(() => storage.held?.end())
  const isFull = (): boolean => full.isAny
  const backup = NodeBackup.of({ ...storage, topology, streams, files, clock: upkeepClock, logger, version, isFull })
  return { broker, replyRelay: null, cluster: null, shards, backup, stopping: async () => {} }
}

function makeAlarms(config: Config, world: MachineWorld, storage: Place): Alarms {
  return new Alarms({
    ...world,
    clock: world.machineClock,
    logger: logOf(world.logger, 'broker'),
    files: storage,
    directory: storage.directory ?? 'memory',
    ...watermarksOf(config, world),
  })
}

function watermarksOf(config: Config, { memory }: World): Watermarks {
  const memoryBytesMax = Math.floor(memory.limitBytes * config.memoryWatermark)
  return { memoryBytesMax, diskFreeBytesMin: config.diskFreeBytesMin }
}

/** Limits of the server are options of the same names; those that only tuning would touch keep their defaults. */
export function serverLimits(config: Config): ServerLimits {
  return Object.freeze({ ...defaultServerLimits, ...config, heartbeatSeconds: Math.floor(config.heartbeatMs / 1_000) })
}
