/**
 * Composition root of what makes a node one of several: read the constructor and `open` top to bottom to know what that is.
 *
 * Its session and links come first (`cluster-join.ts`), then the topology, which it follows, then the data shards, of which
 * it is given some, and the broker on top of them all. Clients are let in when the node counts: what is declared anywhere
 * is then known here.
 */
import type { Alarms } from './alarms.ts'
import { AnyOf } from './base/any-of.ts'
import type { Clock } from './base/clock.ts'
import { logOf } from './base/logger.ts'
import { Broker } from './broker/broker.ts'
import type { AccessParts } from './broker/broker-parts.ts'
import { TopologyChanges } from './broker/changes.ts'
import type { ReplyRelay } from './broker/reply-relay.ts'
import { Topology } from './broker/topology/topology.ts'
import { ClusterShards } from './cluster/cluster-shards.ts'
import { DataShard } from './cluster/data-shard.ts'
import { JournalFile } from './cluster/journal-file.ts'
import { lateTopology } from './cluster/late-topology.ts'
import { keepMarks } from './cluster/marks-file.ts'
import type { MembersListener } from './cluster/members.ts'
import { CannotJoin } from './cluster/membership/cannot-join.ts'
import { Gossip } from './cluster/membership/gossip.ts'
import { LeaseOwners } from './cluster/membership/lease-owners.ts'
import { Ownership } from './cluster/membership/ownership.ts'
import { incarnationOf, type NodeIdentity } from './cluster/node-identity.ts'
import { NodeShards } from './cluster/node-shards.ts'
import { NodeTelling } from './cluster/node-telling.ts'
import { PeerReplies } from './cluster/peer-replies.ts'
import { PlacedShard } from './cluster/placed-shard/placed-shard.ts'
import { placedShardLimits } from './cluster/placed-shard/ports.ts'
import { ShardLink } from './cluster/placed-shard/shard-link.ts'
import type { ShardWorld } from './cluster/served-shard.ts'
import { nodeShardOf } from './cluster/shard-homes.ts'
import { ClusterTopology } from './cluster/topology/cluster-topology.ts'
import { queuePlacement } from './cluster/topology/queue-placement.ts'
import { TopologyHost, topologyShard } from './cluster/topology-host.ts'
import { NodeOutdated } from './cluster-daemon.ts'
import { type Joined, type JoinParts, join } from './cluster-join.ts'
import { ClusterLinks } from './cluster-links.ts'
import { ClusterLogs, shardNames } from './cluster-logs.ts'
import { ClusterReports } from './cluster-reports.ts'
import { openScratchLog, scratchSegmentBytes } from './log/file/scratch-log.ts'
import { openMemoryLog } from './log/memory/memory-log.ts'
import { MemoryLogs } from './log/memory/memory-logs.ts'
import type { ClusterFacts } from './management/cluster-facts.ts'
import { StartError } from './start-error.ts'
import { TopologyStart } from './topology-start.ts'

export interface ClusterNodeParts extends JoinParts {
  /** What messages go by. */
  readonly clock: Clock
  readonly alarms: Alarms
  readonly access: AccessParts
  readonly tracing: Pick<ShardWorld, 'residences'>
  /** The node cannot go on: `NodeOutdated`, or what ends the process. */
  failed(error: Error): void
}

/** A node of a cluster, from the moment clients may come. */
export interface ClusterNode {
  readonly broker: Broker
  readonly replyRelay: ReplyRelay
  readonly cluster: ClusterFacts
  /** The node is going to stop: its shards are given to others, while its clients take their leave. */
  stopping(): Promise<void>
  close(): Promise<void>
}

type Closers = (() => Promise<void> | void)[]

/** How many shards of a node are busy at a time: of what is meant for all of them, each may use this part. */
const busyShards = 4

/** Rejects with `StartError` when it cannot be a member as it was started. */
export async function openClusterNode(parts: ClusterNodeParts): Promise<ClusterNode> {
  const closers: Closers = []
  const close = async (): Promise<void> => {
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) await next()
  }
  try {
    const joined = await join(parts, closers)
    const logs = await ClusterLogs.open(parts, joined.directory, shardNames(joined.shared.shards), joined.membership)
    const node = new Composition(parts, joined, logs)
    await node.open(closers)
    const { broker, replies: replyRelay, reports: cluster } = node
    return { broker, replyRelay, cluster, stopping: () => node.stopping(), close }
  } catch (error) {
    await close()
    throw error instanceof CannotJoin ? new StartError('cluster', error.message, error) : error
  }
}

class Composition implements MembersListener {
  readonly broker: Broker
  readonly replies: PeerReplies
  readonly reports: ClusterReports
  readonly #parts: ClusterNodeParts
  readonly #joined: Joined
  readonly #logs: ClusterLogs
  readonly #shardLink: ShardLink
  readonly #gossip: Gossip
  readonly #links: ClusterLinks
  readonly #telling: NodeTelling
  readonly #dataShards: readonly DataShard[]
  readonly #nodeShards: NodeShards
  readonly #shards: ClusterShards
  readonly #topology: Topology
  readonly #clusterTopology: ClusterTopology
  readonly #topologyHost: TopologyHost
  readonly #ownership: Ownership
  readonly #owners: LeaseOwners
  readonly #congested = new AnyOf<number>((isAny) => this.broker.setCongested(isAny))
  readonly #alarm = new AnyOf<'session' | 'links' | 'logs'>((isAny) => this.broker.setAlarm('cluster', isAny))
  readonly #full = new AnyOf<number>((isAny) => this.#parts.alarms.setLogFull(isAny))
  #journal: JournalFile | null = null
  /** Incarnations that were live when it was last looked. */
  #known: ReadonlySet<number> = new Set()
  #isStopping = false
  readonly #ending = new AbortController()
  readonly #start = new TopologyStart()

  constructor(parts: ClusterNodeParts, joined: Joined, logs: ClusterLogs) {
    const { clock, upkeepClock, random, runQueue } = parts
    const logger = logOf(parts.logger, 'cluster')
    const { membership, links: peers, secret, shared } = joined
    const { self } = membership
    this.#parts = parts
    this.#joined = joined
    this.#logs = logs
    const names = shardNames(shared.shards)
    this.#telling = new NodeTelling({
      ...{ peers, members: membership, clock: upkeepClock, random, runQueue, secret },
      queues: () => this.#shards,
      limited: () => this.broker.sessionCounts.limited(),
    })
    this.replies = new PeerReplies({ members: membership, peers, secret })
    this.#nodeShards = new NodeShards(membership, (shardId) => this.#placed(shardId))
    this.#shardLink = new ShardLink({ peers, logger, otherNodes: () => this.#nodeShards.others() })
    this.#gossip = this.#makeGossip([topologyShard, ...names])
    this.#links = this.#makeLinks()
    this.#dataShards = names.map((name, shardId) => this.#dataShard(name, shardId))
    this.#shards = new ClusterShards(
      (shardId) => this.#dataShards[shardId] ?? this.#nodeShards.find(incarnationOf(shardId)),
    )
    this.#topology = this.#makeTopology()
    this.#clusterTopology = new ClusterTopology({
      topology: this.#topology,
      changes: new TopologyChanges({ topology: this.#topology, random, logger }),
      members: membership,
      peers,
      clock: upkeepClock,
      logger,
      mustRestart: (error) => this.#beginAnew(error.message),
    })
    this.#topologyHost = new TopologyHost({
      topology: this.#clusterTopology,
      openReplica: (listener) => logs.topology(listener, this.#ending.signal),
      knownMark: () => this.#gossip.highest(topologyShard),
      listener: this.#lost,
      logger,
      failed: (error) => this.#beginAnew(error.message),
    })
    this.broker = new Broker({
      ...{ ...parts.access, clock, random, logger: logOf(parts.logger, 'broker') },
      topology: this.#topology,
      authority: this.#clusterTopology,
      firstSessionId: nodeShardOf(self.incarnation) + 1,
    })
    this.broker.sessionCounts.others = this.#telling.sessions
    this.#ownership = new Ownership({
      membership,
      coordination: joined.coordination,
      clock: upkeepClock,
      logger,
      hosts: [this.#topologyHost, ...this.#dataShards],
      ready: () => this.#start.following(this.#topologyHost.start()).then(() => this.#links.linked()),
      journal: (line) => this.#journal?.write(line),
    })
    this.#owners = new LeaseOwners(membership.view, [topologyShard, ...names])
    this.reports = new ClusterReports({
      ...{ clock: upkeepClock, settings: shared, membership, ownership: this.#ownership, gossip: this.#gossip },
      nats: parts.nats,
      configured: parts.settings,
      telling: this.#telling,
      shardName: (shardId) => names[shardId] ?? null,
      ownCopies: () => this.#copies(),
    })
  }

  // ---------------------------------------------------------------- parts

  get #lost() {
    return { hostLost: (...args: Parameters<Ownership['hostLost']>): void => this.#ownership.hostLost(...args) }
  }

  #makeTopology(): Topology {
    const { random, runQueue } = this.#parts
    const { shared, membership } = this.#joined
    return new Topology({
      directory: this.#shards,
      runQueue,
      random,
      logger: logOf(this.#parts.logger, 'broker'),
      placement: queuePlacement(shared.shards, membership.self),
      onFailed: (error) => this.#topologyFailed(error),
    })
  }

  #makeGossip(shards: readonly string[]): Gossip {
    const { upkeepClock: clock, alarms } = this.#parts
    return new Gossip({
      ...{ peers: this.#joined.links, clock, logger: logOf(this.#parts.logger, 'cluster'), shards },
      source: {
        alarms: () => alarms.own,
        topologyPosition: () => this.#topology.appended,
        copies: () => this.#copies(),
      },
      listener: {
        remoteAlarmsChanged: (remote) => this.broker.setRemoteAlarms([...remote.keys()]),
        logsDisagree: () => this.#alarm.set('logs', true),
      },
    })
  }

  #makeLinks(): ClusterLinks {
    return new ClusterLinks({
      ...{ clock: this.#parts.upkeepClock, logger: logOf(this.#parts.logger, 'cluster'), joined: this.#joined },
      ownership: () => this.#ownership,
      changed: (isApart) => this.#alarm.set('links', isApart),
      isolated: (reason) => this.#beginAnew(reason),
    })
  }

  *#copies(): Generator<readonly [string, { readonly ordinal: number; readonly chain: number }]> {
    for (const host of [this.#topologyHost, ...this.#dataShards]) {
      if (host.lastCommitted !== null) yield [host.shard, host.lastCommitted]
    }
  }

  #placed(shardId: number): PlacedShard {
    const { upkeepClock: clock, config } = this.#parts
    const logger = logOf(this.#parts.logger, 'cluster')
    return new PlacedShard({
      shardId,
      self: this.#joined.membership.self,
      clock,
      logger,
      limits: { ...placedShardLimits, heldBytesMax: config.uncommittedBytesMax },
      link: this.#shardLink,
      isCurrentNow: () => this.#joined.membership.isCurrent,
      congestionChanged: (isCongested) => this.#congested.set(-1 - shardId, isCongested),
      topologyPosition: () => this.#topology.appended,
      consumerCame: (id) => this.#telling.consumerCame(id),
    })
  }

  get #world(): ShardWorld {
    const { clock, upkeepClock, random, runQueue, config, tracing } = this.#parts
    const logger = logOf(this.#parts.logger, 'broker')
    const entryBytesMax = Math.ceil(config.entryBytesMax / busyShards)
    const limits = { scratchSegmentBytes, uncommittedBytesMax: config.uncommittedBytesMax, entryBytesMax }
    return { clock, upkeepClock, random, runQueue, logger, ...limits, ...tracing }
  }

  #dataShard(name: string, shardId: number): DataShard {
    const { config, logger } = this.#parts
    return new DataShard({
      ...this.#world,
      shardId,
      name,
      placed: this.#placed(shardId),
      topology: lateTopology(() => this.#clusterTopology),
      listener: this.#lost,
      openReplica: (listener) => this.#logs.shard(name, listener),
      openScratch: () => this.#openScratch(name, Math.ceil(config.transientBytesMax / busyShards)),
      streamLogs: this.#logs.streams(name),
      topologyCaughtUp: () => this.#topologyHost.caughtUp(),
      knownMark: () => this.#gossip.highest(name),
      toldOf: (id) => this.#shards.toldOf(id),
      servedLast: (id, status) => this.#shards.told(id, status),
      congestionChanged: (isCongested) => this.#congested.set(shardId, isCongested),
      roomChanged: (isFull) => this.#full.set(shardId, isFull),
      alarm: (error) => logOf(logger, 'log').error({ error, shard: name }, 'the log of a shard must be looked at'),
    })
  }

  #openScratch(name: string, memoryBytes: number) {
    const { files, clock } = this.#parts
    const logger = logOf(this.#parts.logger, 'log')
    return openScratchLog({ files, clock, logger, memoryBytes, directory: this.#joined.directory.scratch(name) })
  }

  // ---------------------------------------------------------------- open

  /** Resolves when clients may come. */
  async open(closers: Closers): Promise<void> {
    const { files, upkeepClock } = this.#parts
    const logger = logOf(this.#parts.logger, 'cluster')
    const { links, membership, directory } = this.#joined
    this.#journal = await JournalFile.open(files, directory.journal, logger)
    closers.push(() => this.#journal?.close())
    closers.push(() => links.close())
    closers.push(await keepMarks({ files, logger, path: directory.marks, clock: upkeepClock }, this.#gossip))
    await links.start()
    for (const part of [this.#gossip, this.#telling, this.#links]) {
      part.start()
      closers.push(() => part.stop())
    }
    await this.#serveOwn(closers)
    this.#topology.hearCommits(() => {
      this.#shards.topologyCommitted()
      this.#shardLink.topologyAdvanced()
    })
    membership.listen(this)
    this.membersChanged()
    this.#owners.listen({ ownerChanged: (...owner) => this.#ownerChanged(...owner) })
    closers.push(() => this.#close())
    this.#ownership.start()
    await this.#start.until(this.#clusterTopology.ready(), this.#parts.stopAsked)
  }

  /** The shard of this node itself: in memory, and gone with it. */
  async #serveOwn(closers: Closers): Promise<void> {
    const { clock } = this.#parts
    const { incarnation } = this.#joined.membership.self
    const own = this.#nodeShards.find(incarnation)
    await own.serve({
      ...this.#world,
      epoch: 1,
      awaitsClaims: false,
      hadConsumers: [],
      log: await openMemoryLog({ clock }),
      scratch: await this.#openScratch('own', this.#parts.config.transientBytesMax),
      streamLogs: new MemoryLogs(clock),
      topology: lateTopology(() => this.#clusterTopology),
      definitions: [],
      congestionChanged: (isCongested) => this.#congested.set(nodeShardOf(incarnation), isCongested),
      roomChanged: (isFull) => this.#full.set(nodeShardOf(incarnation), isFull),
      failed: (error) => this.#parts.failed(error),
    })
    closers.push(() => own.close())
  }

  // ---------------------------------------------------------------- what happens

  #ownerChanged(shard: string, owner: NodeIdentity | null, epoch: number): void {
    if (shard === topologyShard) return this.#clusterTopology.ownerChanged(owner)
    const { placed } = this.#dataShards.find((one) => one.shard === shard) ?? {}
    // Of this node's own, the shard itself says when it is served.
    if (placed === undefined || owner?.incarnation === this.#joined.membership.self.incarnation) return
    if (owner === null) placed.servedByNobody()
    else placed.servedBy(owner, epoch)
  }

  membersChanged(): void {
    this.#nodeShards.membersChanged()
    const live = new Set([...this.#joined.membership.live.values()].map(({ incarnation }) => incarnation))
    for (const incarnation of this.#known) if (!live.has(incarnation)) this.#shardLink.gone(incarnation)
    this.#known = live
    this.#telling.sessions.membersChanged()
    this.reports.membersChanged()
  }

  currentChanged(isCurrent: boolean): void {
    for (const { placed } of this.#dataShards) placed.setCurrent(isCurrent)
    for (const placed of this.#nodeShards.placed) placed.setCurrent(isCurrent)
    this.#alarm.set('session', !isCurrent)
  }

  sessionLost(reason: string): void {
    this.#beginAnew(reason)
  }

  #topologyFailed(error: Error): void {
    this.#clusterTopology.logFailed(error)
    this.#topologyHost.logFailed(error)
  }

  #beginAnew(reason: string): void {
    if (!this.#isStopping) this.#parts.failed(new NodeOutdated(reason))
  }

  // ---------------------------------------------------------------- the end

  async stopping(): Promise<void> {
    this.#isStopping = true
    await this.#joined.membership.setDraining(true).catch(() => {})
  }

  async #close(): Promise<void> {
    this.#isStopping = true
    this.#ending.abort()
    await this.#ownership.stop()
    await this.#topologyHost.stop()
    for (const shard of this.#dataShards) await shard.stop()
    this.#clusterTopology.close()
  }
}
