/**
 * Nodes in one process, joined by links in memory, with one shard that any of them may own: its log is in memory and goes
 * to whoever opens it next, as a replicated one would.
 */
import { SystemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import type { ConfirmSink, Consumer, GetSink, Outcome, ShardTopology } from '../../../src/broker/ports.ts'
import type { QueueDefinition } from '../../../src/broker/topology/queue-definition.ts'
import type { NodeIdentity } from '../../../src/cluster/node-identity.ts'
import type { PlacedQueue } from '../../../src/cluster/placed-shard/placed-queue.ts'
import { PlacedShard } from '../../../src/cluster/placed-shard/placed-shard.ts'
import { type PlacedShardLimits, placedShardLimits } from '../../../src/cluster/placed-shard/ports.ts'
import { ShardLink } from '../../../src/cluster/placed-shard/shard-link.ts'
import { ServedShard } from '../../../src/cluster/served-shard.ts'
import { type MemoryLog, memorySegmentBytes, openMemoryLog } from '../../../src/log/memory/memory-log.ts'
import { MemoryLogs } from '../../../src/log/memory/memory-logs.ts'
import { messageOf, TestConfirms, TestConsumer } from '../shard-harness.ts'
import { MemoryNetwork, type MemoryPeers } from './memory-peers.ts'

export interface PlacedClusterOptions {
  readonly limits?: Partial<PlacedShardLimits>
  readonly seed?: number
  /** Turns of the event loop that a commit of the log takes. Default: 1. */
  readonly commitTurns?: number
}

/** What is soon takes some turns. */
class SlowClock extends SystemClock {
  readonly #turns: number

  constructor(turns: number) {
    super()
    this.#turns = turns
  }

  override soon(callback: () => void): void {
    const wait = (turns: number): void => super.soon(turns <= 1 ? callback : () => wait(turns - 1))
    wait(this.#turns)
  }
}

export class PlacedCluster {
  readonly clock = new SystemClock()
  readonly runQueue = new RunQueue(this.clock)
  readonly network = new MemoryNetwork()
  readonly nodes = new Map<string, PlacedNode>()
  readonly definitions: QueueDefinition[]
  readonly limits: PlacedShardLimits
  /** Streams outlive their owner too. */
  readonly streamLogs = new MemoryLogs(this.clock)
  log!: MemoryLog
  epoch = 0
  owner: PlacedNode | null = null
  /** What nodes that open the shard know of earlier owners' auto-delete queues. */
  hadConsumers: readonly QueueDefinition[] = []
  #incarnations = 0
  #consumers = 0

  private constructor(definitions: QueueDefinition[], options: PlacedClusterOptions) {
    this.definitions = definitions
    this.limits = { ...placedShardLimits, claimsMsMax: 300, ...options.limits }
    const random = new SeededRandom(options.seed ?? 1)
    if (options.seed !== undefined) this.network.turns = () => random.below(4)
  }

  /** Nodes of these names, none of which owns the shard. */
  static async start(
    names: readonly string[],
    definitions: QueueDefinition[],
    options: PlacedClusterOptions = {},
  ): Promise<PlacedCluster> {
    const cluster = new PlacedCluster(definitions, options)
    cluster.log = await openMemoryLog({ clock: new SlowClock(options.commitTurns ?? 1) })
    for (const name of names) cluster.add(name)
    cluster.network.connectAll()
    return cluster
  }

  add(name: string): PlacedNode {
    const node = new PlacedNode(this, { name, incarnation: ++this.#incarnations })
    this.nodes.set(name, node)
    return node
  }

  node(name: string): PlacedNode {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`no node '${name}'`)
    return node
  }

  nextConsumer(): number {
    return ++this.#consumers
  }

  /** A node opens the shard, and all are told. */
  async own(name: string): Promise<void> {
    const node = this.node(name)
    this.epoch++
    await node.open(this.epoch)
    this.owner = node
    for (const other of this.nodes.values()) if (other !== node) other.shard.servedBy(node.identity, this.epoch)
  }

  /** The owner gives the shard away in good order; nobody has it then. */
  async giveUp(): Promise<void> {
    const { owner } = this
    this.owner = null
    for (const node of this.nodes.values()) if (node !== owner) node.shard.servedByNobody()
    await owner?.close()
  }

  /** The node is gone from one moment to the next. */
  kill(name: string): void {
    const node = this.node(name)
    this.nodes.delete(name)
    this.network.kill(name)
    node.die()
    if (this.owner === node) {
      this.owner = null
      for (const other of this.nodes.values()) other.shard.servedByNobody()
    }
    for (const other of this.nodes.values()) other.link.gone(node.identity.incarnation)
  }

  async settle(turns = 200): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  }

  /** Waits until it is so; fails when that takes too long. */
  async until(what: string, isSo: () => boolean, msMax = 30_000): Promise<void> {
    const end = this.clock.monotonic() + msMax
    while (!isSo()) {
      if (this.clock.monotonic() > end) throw new Error(`not within ${msMax} ms: ${what}`)
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }
}

export class PlacedNode {
  readonly identity: NodeIdentity
  readonly peers: MemoryPeers
  readonly link: ShardLink
  readonly shard: PlacedShard
  readonly topology: Mutable<ShardTopology> = { appended: 0, committed: 0, reroute: () => false, expireQueue: () => {} }
  readonly congestion: boolean[] = []
  /** Ids of auto-delete queues whose consumers were told of. */
  readonly consumersCame: number[] = []
  topologyPosition = 0
  local: ServedShard | null = null
  readonly #cluster: PlacedCluster
  readonly #queues = new Map<string, PlacedQueue>()

  constructor(cluster: PlacedCluster, identity: NodeIdentity) {
    this.#cluster = cluster
    this.identity = identity
    this.peers = cluster.network.join(identity)
    this.link = new ShardLink({
      peers: this.peers,
      logger: silentLogger,
      otherNodes: () => [...cluster.nodes.values()].map((node) => node.identity).filter((one) => one !== identity),
    })
    this.shard = new PlacedShard({
      shardId: 0,
      self: identity,
      clock: cluster.clock,
      logger: silentLogger,
      limits: cluster.limits,
      link: this.link,
      congestionChanged: (isCongested) => this.congestion.push(isCongested),
      topologyPosition: () => this.topologyPosition,
      consumerCame: (id) => void this.consumersCame.push(id),
      isCurrentNow: () => true,
    })
    for (const definition of cluster.definitions) this.#queues.set(definition.name, this.shard.open(definition))
  }

  async open(epoch: number): Promise<void> {
    const { clock, runQueue, log, definitions, streamLogs } = this.#cluster
    this.local = await ServedShard.open({
      log,
      scratch: await openMemoryLog({ clock }),
      scratchSegmentBytes: memorySegmentBytes,
      streamLogs,
      topology: this.topology,
      clock,
      upkeepClock: clock,
      random: new SeededRandom(1),
      runQueue,
      logger: silentLogger,
      uncommittedBytesMax: 8 * 1024 * 1024,
      entryBytesMax: 12 * 1024 * 1024,
      definitions,
      epoch,
      awaitsClaims: true,
      hadConsumers: this.#cluster.hadConsumers,
      congestionChanged: () => {},
      roomChanged: () => {},
      failed: () => this.shard.servedByNobody(),
    })
    this.shard.servedHere(this.local.local)
  }

  /** In good order: what is in the log outlives it. */
  async close(): Promise<void> {
    const local = this.local
    this.local = null
    this.shard.servedByNobody()
    // The log itself stays open for the next owner, when all of it is committed.
    const { log } = this.#cluster
    const close = log.close
    log.close = async () => {
      while (log.committed < log.appended) await this.#cluster.settle(1)
    }
    await local?.close()
    log.close = close
  }

  die(): void {
    if (this.local === null) return
    this.#cluster.log.listener?.failed(new Error('killed'))
    this.#cluster.log.listener = null
    this.local = null
  }

  queue(name: string): PlacedQueue {
    const queue = this.#queues.get(name)
    if (queue === undefined) throw new Error(`no queue '${name}'`)
    return queue
  }

  publish(text: string, name: string, options: PublishOptions = {}): void {
    const { confirms = null, sequence = 0, isPersistent = true } = options
    this.shard.publish(messageOf(text, isPersistent), [this.queue(name)], 1, confirms, sequence)
  }

  consume(name: string, options: Partial<Consumer> = {}): PlacedTestConsumer {
    const consumer = new PlacedTestConsumer(this.#cluster.nextConsumer(), this, name, options)
    this.shard.register(consumer.consumer, {
      done: () => {
        consumer.isRegistered = true
        this.shard.activate(consumer.consumer)
      },
      failed: (error) => {
        consumer.error = error
      },
    })
    return consumer
  }

  async get(name: string, isNoAck = false): Promise<{ text: string; sequence: number; isRedelivered: boolean } | null> {
    return await new Promise((resolve, reject) => {
      const sink: GetSink = {
        message: (_queue, message, sequence, isRedelivered) => {
          const content = Buffer.from(message.buffer.subarray(message.contentStart, message.contentEnd))
          const text = content.subarray(4 + content.readUInt32BE(0)).toString()
          resolve({ text, sequence, isRedelivered })
        },
        empty: () => resolve(null),
        failed: reject,
      }
      this.shard.get(this.queue(name), isNoAck, sink)
    })
  }

  async status(name: string): Promise<{ ready: number; unacked: number; consumers: number }> {
    return await new Promise((resolve, reject) => {
      this.shard.status(this.queue(name), { done: resolve, failed: reject })
    })
  }
}

export interface PublishOptions {
  readonly confirms?: ConfirmSink
  readonly sequence?: number
  readonly isPersistent?: boolean
}

export class PlacedTestConsumer extends TestConsumer {
  error: Error | null = null
  isRegistered = false
  readonly #node: PlacedNode

  constructor(id: number, node: PlacedNode, name: string, options: Partial<Consumer>) {
    super(id, node.queue(name), options)
    this.#node = node
  }

  get texts(): string[] {
    return this.received.map((one) => one.text)
  }

  get redelivered(): string[] {
    return this.received.filter((one) => one.isRedelivered).map((one) => one.text)
  }

  settle(outcome: Outcome, count = this.unsettled.length): void {
    for (const one of this.unsettled.splice(0, count))
      this.#node.shard.settle(this.consumer.queue, this.consumer, one.sequence, one.sequence, outcome)
  }

  async leave(): Promise<number> {
    this.consumer.isLeaving = true
    return await new Promise((resolve, reject) => {
      this.#node.shard.unregister(this.consumer, { done: resolve, failed: reject })
    })
  }
}

export { TestConfirms }

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
