/**
 * Nodes of a cluster as far as the topology goes, in memory and by a manual clock: each with its broker, over shards that
 * only note what they are told, one log that they share, and links. A test says who owns, who lives and how long things take.
 */
import assert from 'node:assert/strict'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import { Broker } from '../../../src/broker/broker.ts'
import { TopologyChanges } from '../../../src/broker/changes.ts'
import { BrokerError } from '../../../src/broker/errors.ts'
import type { Reply } from '../../../src/broker/ports.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import { Topology } from '../../../src/broker/topology/topology.ts'
import type { Member, Members, MembersListener } from '../../../src/cluster/members.ts'
import { idsPerIncarnation, type NodeIdentity } from '../../../src/cluster/node-identity.ts'
import { ClusterTopology } from '../../../src/cluster/topology/cluster-topology.ts'
import { queuePlacement } from '../../../src/cluster/topology/queue-placement.ts'
import { NotedShards } from '../broker-harness.ts'
import { type OwnedSharedLog, SharedLog, type SharedLogFollower } from './shared-log.ts'
import { TimedLinks, type TimedPeers } from './timed-links.ts'

export const dataShards = 16

export class TopologyCluster {
  readonly clock: ManualClock
  readonly links: TimedLinks
  readonly log: SharedLog
  readonly live = new Map<string, Member>()
  readonly nodes = new Map<string, TopologyNode>()
  #incarnations = 0

  constructor(options: { segmentRecordsMax?: number; clock?: ManualClock } = {}) {
    this.clock = options.clock ?? new ManualClock()
    this.links = new TimedLinks(this.clock)
    this.log = new SharedLog(this.clock, options.segmentRecordsMax)
    this.links.delayMs = () => 1
  }

  /** Nodes of these names that all count, the first of them the owner. */
  static async of(...names: string[]): Promise<TopologyCluster> {
    const cluster = new TopologyCluster()
    for (const name of names) cluster.start(name)
    await cluster.owns(names[0] ?? '')
    await cluster.settled()
    return cluster
  }

  start(name: string): TopologyNode {
    const node = this.join(name)
    node.follow()
    return node
  }

  /** A live node with links that follows nothing yet. */
  join(name: string): TopologyNode {
    const node = new TopologyNode(this, { name, incarnation: ++this.#incarnations })
    this.nodes.set(name, node)
    const more = { host: '', port: 1, version: '', isDraining: false, startedAt: 0 }
    this.live.set(name, { name, incarnation: this.#incarnations, ...more })
    this.membersChanged()
    this.links.connectAll()
    return node
  }

  node(name: string): TopologyNode {
    const node = this.nodes.get(name)
    assert(node !== undefined, `there is a node ${name}`)
    return node
  }

  get all(): TopologyNode[] {
    return [...this.nodes.values()]
  }

  /** The process is gone, and whatever it had not sent. Its session is live until `sessionEnds`. */
  kill(name: string): TopologyNode {
    const node = this.node(name)
    node.die()
    this.nodes.delete(name)
    this.links.remove(name)
    if (this.log.owner === node.owned) this.log.owner = null
    return node
  }

  sessionEnds(name: string): void {
    this.live.delete(name)
    this.membersChanged()
  }

  membersChanged(): void {
    for (const { members } of this.nodes.values()) members.tellChanged()
  }

  /** The node takes the log, from whoever has it. */
  async owns(name: string): Promise<void> {
    await this.until(() => this.node(name).isCaughtUp)
    await this.node(name).becomeOwner()
  }

  /** Every node counts, has applied everything, and nothing is under way. */
  async settled(): Promise<void> {
    await this.until(() => this.all.every((node) => node.isReady && node.cluster.askedCount === 0))
    const isQuiet = ({ topology }: TopologyNode): boolean =>
      topology.runQueue.length === 0 &&
      topology.appended === this.log.records.length &&
      topology.settled === topology.appended
    await this.until(() => this.all.every(isQuiet))
  }

  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    while (this.clock.now() < end) await this.#step()
  }

  async until(condition: () => boolean, stepsMax = 5_000): Promise<void> {
    for (let steps = 0; !condition(); steps++) {
      if (steps > stepsMax) throw new Error(`not so after ${stepsMax} ms: ${condition}`)
      await this.#step()
    }
  }

  async #step(): Promise<void> {
    this.clock.advance(1)
    for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** What one node believes of who is there: what is so. */
class TrueMembers implements Members {
  readonly self: NodeIdentity
  readonly live: ReadonlyMap<string, Member>
  isCurrent = true
  readonly #listeners: MembersListener[] = []

  constructor(self: NodeIdentity, live: ReadonlyMap<string, Member>) {
    this.self = self
    this.live = live
  }

  listen(listener: MembersListener): void {
    this.#listeners.push(listener)
  }

  tellChanged(): void {
    for (const listener of this.#listeners) listener.membersChanged()
  }

  setCurrent(isCurrent: boolean): void {
    this.isCurrent = isCurrent
    for (const listener of this.#listeners) listener.currentChanged(isCurrent)
  }

  provedDead(): void {}

  setDraining(): Promise<void> {
    return Promise.resolve()
  }
}

interface Held {
  readonly position: number
  readonly release: () => void
}

export class TopologyNode {
  readonly self: NodeIdentity
  readonly members: TrueMembers
  readonly peers: TimedPeers
  readonly shards = new NotedShards()
  readonly topology: Topology
  readonly cluster: ClusterTopology
  readonly broker: Broker
  /** Told first when the log cannot go on. */
  logFailed: (error: Error) => void = () => {}
  /** Why it had to begin anew. */
  readonly restarts: Error[] = []
  owned: OwnedSharedLog | null = null
  isReady = false
  readonly #world: TopologyCluster
  #follower: SharedLogFollower | null = null
  #held: Held[] = []
  #isDead = false

  constructor(world: TopologyCluster, self: NodeIdentity) {
    const { clock, links, live } = world
    this.#world = world
    this.self = self
    this.members = new TrueMembers(self, live)
    this.peers = links.node(self)
    const [random, logger] = [new SeededRandom(self.incarnation), silentLogger]
    this.topology = new Topology({
      directory: this.shards,
      runQueue: new RunQueue(clock),
      random,
      logger,
      placement: queuePlacement(dataShards, self),
      onFailed: (error) => {
        this.logFailed(error)
        this.cluster.logFailed(error)
      },
    })
    const { topology, members, peers } = this
    const changes = new TopologyChanges({ topology, random, logger })
    const mustRestart = (error: Error): void => void this.restarts.push(error)
    this.cluster = new ClusterTopology({ topology, changes, members, peers, clock, logger, mustRestart })
    this.broker = new Broker({
      topology,
      clock,
      random,
      logger,
      verifier: { verify: (stored, password, done) => setImmediate(() => done(stored.endsWith(`$${password}`))) },
      authority: this.cluster,
      firstSessionId: self.incarnation * idsPerIncarnation + 1,
    })
    this.broker.listener = { topologyCommitted: () => this.#release(), publishGateChanged: () => {}, gone: () => {} }
    void this.cluster.ready().then(() => {
      this.isReady = true
    })
  }

  get isCaughtUp(): boolean {
    return this.topology.log.isCaughtUp
  }

  follow(): void {
    const listener = this.cluster.following()
    this.#follower = this.#world.log.follow(this.self.name, listener)
  }

  async becomeOwner(): Promise<void> {
    assert(this.#follower !== null, 'who follows may own')
    this.owned = this.#world.log.takeOver(this.#follower)
    this.#follower = null
    const opening = this.cluster.becomeOwner(this.owned)
    let isOpen = false
    opening.then(
      () => {
        isOpen = true
      },
      () => {
        isOpen = true
      },
    )
    await this.#world.until(() => isOpen)
    await opening
  }

  /** Planned, or because somebody else has the log. */
  async stepDown(): Promise<void> {
    await this.cluster.stepDown()
    this.owned = null
    if (this.restarts.length === 0) this.follow()
  }

  die(): void {
    this.#isDead = true
    this.#follower?.stop()
    if (this.owned !== null) this.owned.isHeld = true
    this.#held = []
    this.cluster.close()
  }

  session(username = 'guest', vhost = '/'): BrokerSession {
    return this.broker.openSession({ username, tags: [] }, vhost)
  }

  /** The answer to a client: given when what it says is settled. Never comes when the node dies before. */
  answered<T>(command: (reply: Reply<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const failed = (error: BrokerError): void => {
        if (!this.#isDead) reject(error)
      }
      const done = (result: T, position: number): void => {
        this.#held.push({ position, release: () => resolve(result) })
        this.#release()
      }
      try {
        command({ done, failed })
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        failed(error)
      }
    })
  }

  /** As the management API answers. */
  async told(change: Promise<number>): Promise<void> {
    const position = await change
    await this.answered<void>((reply) => reply.done(undefined, position))
  }

  /** In order, as a channel does. */
  #release(): void {
    const { topologyCommitted } = this.broker
    const released = this.#held.filter(({ position }) => position <= topologyCommitted)
    this.#held = this.#held.filter(({ position }) => position > topologyCommitted)
    for (const { release } of released) if (!this.#isDead) release()
  }
}
