/**
 * A shard that is served here, as the other nodes see it: who is attached to it, and the time at its beginning in which
 * all say what their clients hold.
 *
 *     claiming ──all live nodes have claimed, or 3 s passed──► serving
 *
 * While it is claiming nobody gets or publishes anything. Then consumers are registered, those that hold something first,
 * then those that have been given something before, so that a single active one stays it; what they hold is taken out of
 * what is ready; and all begin at once.
 */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import { ByteWriter } from '../../amqp/byte-writer.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Consumer, Position } from '../../broker/ports.ts'
import { type Peer, services } from '../peers.ts'
import { type Claim, type EntryHost, EntryNode, writeAnswersHeader } from './entry-node.ts'
import type { HeldSequences } from './held-sequences.ts'
import { OriginState } from './origin-state.ts'
import type { PlacedConsumer } from './placed-consumer.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { LocalShard, PlacedShardLimits } from './ports.ts'
import { leaveAll, reconcile } from './reconcile.ts'
import type { RemoteConsumer } from './remote-consumer.ts'
import { Answer } from './wire.ts'

/** What is claimed by clients of this node. */
export interface OwnClaims {
  consumers(): Iterable<PlacedConsumer>
  /** Calls back for each run that clients hold, or have settled without knowing that to be stored. */
  eachClaim(visit: (claim: OwnClaim) => void): void
}

/** The same as a `Claim`, of a client of this node. */
export interface OwnClaim {
  readonly queue: PlacedQueue
  readonly consumer: PlacedConsumer | null
  readonly first: number
  readonly last: number
  readonly isGivenBack: boolean
}

export interface ShardServiceOptions {
  readonly shardId: number
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: PlacedShardLimits
  readonly local: LocalShard
  /** Incarnations of the other nodes that are alive. */
  readonly others: Iterable<number>
  readonly own: OwnClaims
  isCurrent(): boolean
  nextHolder(): number
  queueOf(id: number): PlacedQueue | null
  topologyPosition(): Position
  /** All claims are made. */
  serving(): void
}

export class ShardService implements EntryHost {
  readonly shardId: number
  readonly clock: Clock
  readonly local: LocalShard
  readonly #options: ShardServiceOptions
  readonly #nodes = new Map<number, EntryNode>()
  readonly #origins = new Map<number, OriginState>()
  /** Nodes whose claims are waited for. */
  readonly #awaited: Set<number>
  /** Auto-delete queues that have lost a consumer with its node, or with an earlier owner. */
  readonly #left = new Set<PlacedQueue>()
  #state: 'claiming' | 'taking' | 'serving' | 'over' = 'claiming'
  readonly #timer: Timer

  constructor(options: ShardServiceOptions) {
    this.#options = options
    this.shardId = options.shardId
    this.clock = options.clock
    this.local = options.local
    this.#awaited = new Set(options.others)
    this.#timer = options.clock.after(options.limits.claimsMsMax, () => this.#claimsOver())
    options.clock.soon(() => this.#lookAtClaims())
  }

  get isServing(): boolean {
    return this.#state === 'serving' && this.#options.isCurrent()
  }

  nextHolder(): number {
    return this.#options.nextHolder()
  }

  queueOf(id: number): PlacedQueue | null {
    return this.#options.queueOf(id)
  }

  topologyPosition(): Position {
    return this.#options.topologyPosition()
  }

  // ---------------------------------------------------------------- claims

  attached(node: EntryNode): void {
    if (this.#state === 'serving') void this.#attachLate(node)
    this.#awaited.delete(node.peer.incarnation)
    this.#lookAtClaims()
    this.#removeUnused()
  }

  /** A queue has lost its last consumer only when nobody can come any more who had one under an earlier owner. */
  #removeUnused(): void {
    if (this.#state !== 'serving' || this.#awaited.size > 0) return
    for (const queue of this.#left) if (!queue.isDropped) this.local.removeUnused(queue.handleIn(this.local))
    this.#left.clear()
  }

  #noteLeft(id: number): void {
    const queue = this.queueOf(id)
    if (queue?.definition.isAutoDelete === true) this.#left.add(queue)
  }

  #lookAtClaims(): void {
    if (this.#state === 'claiming' && this.#awaited.size === 0) this.#take()
  }

  #claimsOver(): void {
    if (this.#state !== 'claiming') return
    const nodes = [...this.#awaited]
    const { logger, shardId } = this.#options
    logger.warn({ shard: shardId, incarnations: nodes }, 'nodes have not said in time what their clients hold')
    this.#take()
  }

  #take(): void {
    this.#state = 'taking'
    this.#timer.cancel()
    this.#takeClaims().catch((error: unknown) => {
      if (this.#isOver()) return
      this.#options.logger.error({ error, shard: this.shardId }, 'what clients hold could not be found again')
      this.#serve()
    })
  }

  async #takeClaims(): Promise<void> {
    const holding = new Set<Consumer>()
    const claims: (OwnClaim | Claim)[] = []
    this.#options.own.eachClaim((claim) => claims.push(claim))
    const nodes = [...this.#nodes.values()].filter((node) => node.isAttached)
    for (const node of nodes) {
      node.makeConsumers()
      for (const claim of node.takeClaims()) {
        claims.push(claim)
        addRange(claim.consumer?.held ?? node.heldByGets(claim.queue), claim.first, claim.last)
      }
    }
    for (const { consumer } of claims) if (consumer !== null) holding.add(consumer)
    const all: (PlacedConsumer | RemoteConsumer)[] = [...this.#options.own.consumers()]
    for (const node of nodes) all.push(...node.consumers.values())
    const consumers = all.filter(({ placed }) => !placed.isDropped)
    for (const consumer of consumers) consumer.queue = consumer.placed.handleIn(this.local)
    const rankOf = (consumer: PlacedConsumer | RemoteConsumer): number =>
      holding.has(consumer) ? 0 : consumer.hasTaken ? 1 : 2
    for (const consumer of consumers.sort((a, b) => rankOf(a) - rankOf(b))) consumer.register()
    // Who was given it last has it.
    for (const { queue, consumer, first, last } of [...claims.filter(isFirst), ...claims.filter(isSecond)]) {
      if (queue.isDropped) continue
      await this.local.claim(queue.handleIn(this.local), consumer, first, last)
      if (this.#isOver()) return
    }
    this.#serve()
  }

  #serve(): void {
    this.#state = 'serving'
    this.local.claimsMade()
    this.#options.serving()
    for (const node of this.#nodes.values()) {
      if (!node.isAttached) continue
      // One may have come while claims were taken.
      if (!node.isTakenIn) void this.#attachLate(node)
      else this.#begin(node)
    }
    for (const { id } of this.local.hadConsumers) this.#noteLeft(id)
    this.#removeUnused()
  }

  /** A node that comes when the shard serves already: again, after its link was cut, or too late. */
  async #attachLate(node: EntryNode): Promise<void> {
    try {
      await reconcile(this.local, node)
    } catch (error) {
      this.#options.logger.error({ error, shard: this.shardId }, 'what clients hold could not be found again')
    }
    if (this.#isOver() || node.isOver) return
    this.#begin(node)
  }

  #begin(node: EntryNode): void {
    for (const consumer of node.consumers.values()) consumer.activate()
    node.begin()
  }

  #isOver(): boolean {
    return this.#state === 'over'
  }

  // ---------------------------------------------------------------- messages

  /** A message of another node; the reader stands behind the number of the attachment. */
  message(peer: Peer, attachment: number, reader: ByteReader): void {
    const node = this.#nodeFor(peer, attachment)
    if (node === null) return
    const topologyPosition = reader.uint64()
    const below = reader.uint64()
    const durableBelow = reader.uint64()
    node.origin.told(below)
    this.local.originTold(peer.incarnation, durableBelow)
    node.message(reader.buffer, reader.position, reader.end, topologyPosition)
  }

  /** Null: it belongs to an attachment that is over. */
  #nodeFor(peer: Peer, attachment: number): EntryNode | null {
    const known = this.#nodes.get(peer.incarnation)
    if (known !== undefined && known.number >= attachment)
      return known.number > attachment || known.isOver || known.peer !== peer ? null : known
    const node = new EntryNode(this, peer, attachment, this.#originOf(peer.incarnation))
    known?.end()
    // What the last attachment left is compared with what this one claims.
    node.previous = known === undefined || known.isTakenIn ? (known ?? null) : known.previous
    this.#nodes.set(peer.incarnation, node)
    return node
  }

  #originOf(incarnation: number): OriginState {
    const origin = this.#origins.get(incarnation) ?? new OriginState(incarnation, this.local)
    this.#origins.set(incarnation, origin)
    return origin
  }

  piece(peer: Peer, attachment: number, place: { body: number; index: number }, bytes: Uint8Array): void {
    const node = this.#nodes.get(peer.incarnation)
    if (node?.peer === peer && node.number === attachment && !node.isOver) node.piece(place.body, place.index, bytes)
  }

  down(peer: Peer): void {
    const node = this.#nodes.get(peer.incarnation)
    if (node?.peer === peer) node.end()
  }

  /** It must attach anew. */
  refuse(peer: Peer): void {
    const node = this.#nodes.get(peer.incarnation)
    if (node?.peer === peer) node.refuse()
  }

  drained(peer: Peer): void {
    const node = this.#nodes.get(peer.incarnation)
    if (node?.peer === peer) node.drained()
  }

  /** The process is gone: what its clients held is given to others. */
  gone(incarnation: number): void {
    const node = this.#nodes.get(incarnation)
    this.#nodes.delete(incarnation)
    this.#origins.delete(incarnation)
    this.local.forgetOrigin(incarnation)
    this.#awaited.delete(incarnation)
    if (node !== undefined) {
      node.end()
      for (const { queueId } of node.members) this.#noteLeft(queueId)
      const taken = node.isTakenIn ? node : (node.previous ?? node)
      for (const { placed } of taken.consumers.values()) this.#noteLeft(placed.definition.id)
      leaveAll(this.local, taken)
    }
    this.#lookAtClaims()
    this.#removeUnused()
  }

  /** Commands may have waited for the topology, or until this node is current. */
  goOn(): void {
    for (const node of this.#nodes.values()) {
      if (!node.isOver) node.goOn()
      node.drained()
    }
  }

  /** The shard is served here no longer: those that are attached look for the next owner. */
  end(): void {
    this.#state = 'over'
    this.#timer.cancel()
    for (const node of this.#nodes.values()) node.refuse()
  }
}

const isSecond = ({ isGivenBack }: OwnClaim | Claim): boolean => isGivenBack
const isFirst = (claim: OwnClaim | Claim): boolean => !isSecond(claim)

function addRange(held: HeldSequences, first: number, last: number): void {
  for (let sequence = first; sequence <= last; sequence++) held.add(sequence)
}

/** Tells a node that it asks the wrong one. */
export function refuseMessage(peer: Peer, shardId: number, epoch: number, attachment: number): void {
  const writer = new ByteWriter(32)
  writeAnswersHeader(writer, shardId, epoch, attachment)
  writer.uint8(Answer.notOwner)
  peer.send(services.shards, writer.buffer, 0, writer.length)
}
