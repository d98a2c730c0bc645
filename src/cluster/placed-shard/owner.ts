/**
 * Whoever serves a shard, as one node knows it, and all that must not be lost when that changes: publishes and
 * settlements that no owner has said to be stored, and what clients hold.
 */
import type { Message } from '../../broker/message.ts'
import type { ConfirmSink, Queue } from '../../broker/ports.ts'
import { isWithin } from '../../broker/shard/origins.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import type { NodeIdentity } from '../node-identity.ts'
import type { Peer } from '../peers.ts'
import { Attachment, type AttachmentHost } from './attachment.ts'
import { HeldPublishes, ReadPublish } from './held-publishes.ts'
import { type HeldSettlement, HeldSettlements, isGiveBack } from './held-settlements.ts'
import type { PlacedConsumer } from './placed-consumer.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { LocalShard, PlacedShardOptions } from './ports.ts'
import type { ShardRequest } from './requests.ts'
import { type OwnClaim, refuseMessage, ShardService } from './shard-service.ts'

export interface OwnerHost {
  queueOf(id: number): PlacedQueue | null
  consumers(): Iterable<PlacedConsumer>
  /** Commands go straight to this shard from now on; null: they do not any more. */
  localChanged(local: LocalShard | null): void
  /** An owner elsewhere can be asked. */
  reached(): void
  /** These were not answered. */
  requestsEnded(requests: readonly ShardRequest[]): void
  /** Publishes were settled. */
  settled(): void
  consumerCancelled(consumer: PlacedConsumer): void
}

/** Pause before an owner that did not know it is one is asked again, in milliseconds. */
const retryMs = 100
/** How long the last words of a former owner are waited for when there is another, in milliseconds. */
const lastWordsMs = 200

export class Owner {
  /** To an owner elsewhere whose link is up. */
  attachment: Attachment | null = null
  isCurrent = true
  readonly #options: PlacedShardOptions
  readonly #host: OwnerHost
  readonly #publishes = new HeldPublishes()
  readonly #settlements = new HeldSettlements()
  /** Consumers by the number under which owners know them. */
  readonly #numbered = new Map<number, PlacedConsumer>()
  readonly #queuesWithGets = new Set<PlacedQueue>()
  readonly #publish = new ReadPublish()
  #service: ShardService | null = null
  #elsewhere: { node: NodeIdentity; epoch: number } | null = null
  #attachments = 0
  #holders = 0
  /** All claims of the shard that is served here are made. */
  #hasClaims = false

  constructor(options: PlacedShardOptions, host: OwnerHost) {
    this.#options = options
    this.#host = host
  }

  /** Bytes of publishes that are not settled. */
  get heldBytes(): number {
    return this.#publishes.bytes
  }

  /** Whether an owner that ends a consumer means it. */
  get mayCancel(): boolean {
    return this.attachment !== null || this.#service?.local.isServing === true
  }

  /** An id for one more holder of deliveries: consumers of this node, and those of others while the shard is served here. */
  nextHolder(): number {
    this.#holders = this.#holders >= holdersMax ? 1 : this.#holders + 1
    return this.#holders
  }

  // ---------------------------------------------------------------- who it is

  servedHere(local: LocalShard): void {
    // What a former owner has sent is on its way before its own claims, for which this one waits.
    this.#elsewhere = null
    this.#endService()
    const { shardId, clock, logger, limits, link } = this.#options
    this.#service = new ShardService({
      shardId,
      clock,
      logger,
      limits,
      local,
      others: local.isNew ? [] : link.otherNodes(),
      own: {
        // Asked when claims are taken: a former owner may have answered a registration since.
        consumers: () => this.#members(),
        eachClaim: (visit) => {
          this.#endAttachment()
          this.#forgetOutdated()
          this.#eachClaim(visit)
        },
      },
      isCurrent: () => this.isCurrent,
      nextHolder: () => this.nextHolder(),
      queueOf: (id) => this.#host.queueOf(id),
      topologyPosition: () => this.#options.topologyPosition(),
      serving: () => {
        this.#hasClaims = true
        this.#serveHere()
      },
    })
  }

  servedBy(node: NodeIdentity, epoch: number): void {
    this.#endService()
    const elsewhere = { node, epoch }
    this.#elsewhere = elsewhere
    if (this.attachment === null) return this.attach()
    // One that gives a shard away says so behind all that it has delivered.
    this.#options.clock.after(lastWordsMs, () => {
      if (this.#elsewhere !== elsewhere || this.attachment?.epoch === epoch) return
      this.#endAttachment()
      this.attach()
    })
  }

  /** One elsewhere is heard until it says so itself, or there is another: what it has sent is claimed from that one. */
  servedByNobody(): void {
    this.#elsewhere = null
    this.#endService()
  }

  #endService(): void {
    const service = this.#service
    this.#service = null
    this.#hasClaims = false
    if (service === null) return
    this.#host.localChanged(null)
    for (const consumer of this.#host.consumers()) consumer.detach()
    service.end()
  }

  setCurrent(isCurrent: boolean): void {
    if (isCurrent === this.isCurrent) return
    this.isCurrent = isCurrent
    if (!isCurrent) {
      this.#endAttachment()
      if (this.#service !== null) this.#host.localChanged(null)
      return
    }
    this.attach()
    if (this.#hasClaims) this.#serveHere()
    this.#service?.goOn()
  }

  // ---------------------------------------------------------------- here

  /** Everything that was held goes to the shard that is served here, and all else from now on. */
  #serveHere(): void {
    const service = this.#service
    if (service === null || !this.isCurrent) return
    const { local } = service
    const settlements = [...this.#settlements]
    this.#settlements.clear()
    for (const { queue, consumer, first, last, outcome } of settlements) {
      if (queue.isDropped) continue
      const handle = queue.handleIn(local)
      queue.commands.settle(handle, consumer, first, last, outcome)
    }
    this.#publishHere(local)
    this.#host.localChanged(local)
    for (const consumer of this.#members()) {
      if (!consumer.isActive) consumer.activate()
      else consumer.placed.commands.resume(consumer)
    }
  }

  /**
   * What an earlier owner stored of our publishes is confirmed, what is gone with it refused; the others are published in
   * order, those to streams with their numbers, since only the stream knows whether it has them.
   */
  #publishHere(local: LocalShard): void {
    const publishes = this.#publishes
    const { highest, gaps } = local.originProgress(this.#options.self.incarnation)
    const sentBefore = publishes.sentBefore(local.epoch)
    for (let number = publishes.first; number < publishes.next; number++) {
      if (publishes.isSettled(number)) continue
      const durable = publishes.durableOf(number)
      if (durable > 0 && durable <= highest && !isWithin(gaps, durable)) publishes.settle(number, true)
      else if (number < sentBefore && publishes.diesWithOwner(number)) publishes.settle(number, false)
      else this.#publishOne(local, number)
    }
    this.#host.settled()
  }

  #publishOne(local: LocalShard, number: number): void {
    const publish = this.#publish
    const body = this.#publishes.bodyOf(number)
    this.#publishes.read(number, publish)
    const taken = this.#publishes.take(number)
    const queues = publish.queueIds.map((id) => this.#host.queueOf(id)).filter((queue) => queue !== null)
    const targets = queues.map((queue) => queue.handleIn(local))
    const shard = queues[0]?.commands
    if (taken === null) return
    if (shard === undefined) return taken.sink?.confirm(taken.sequence)
    const { message } = publish
    if (body !== null) message.chunks = body.copyTo(shard, message)
    if (!queues.some(({ definition }) => isStream(definition)))
      return shard.publish(message, targets, targets.length, taken.sink, taken.sequence)
    const origin = { incarnation: this.#options.self.incarnation, number: publish.storedNumber }
    local.publishFrom(origin, message, targets, targets.length, taken.sink, taken.sequence)
  }

  giveUp(): void {
    this.servedByNobody()
    this.#settlements.clear()
    this.#publishes.giveUp()
    this.#host.settled()
  }

  #members(): PlacedConsumer[] {
    return [...this.#host.consumers()].filter((consumer) => consumer.isMember || consumer.held.count > 0)
  }

  #eachClaim(visit: (claim: OwnClaim) => void): void {
    for (const consumer of this.#host.consumers()) {
      const { placed: queue, held, keepsPlace } = consumer
      if (!keepsPlace) held.eachRun((first, last) => visit({ queue, consumer, first, last, isGivenBack: false }))
    }
    for (const queue of this.#queuesWithGets)
      queue.held?.eachRun((first, last) => visit({ queue, consumer: null, first, last, isGivenBack: false }))
    for (const settlement of this.#settlements) visit({ ...settlement, isGivenBack: isGiveBack(settlement) })
  }

  #forgetOutdated(): void {
    const consumers = [...this.#host.consumers()]
    this.#settlements.forgetOutdated(
      (queue, sequence) =>
        queue.held?.has(sequence) === true ||
        consumers.some(({ placed, held }) => placed === queue && held.has(sequence)),
    )
  }

  // ---------------------------------------------------------------- elsewhere

  /** Begins to speak with the owner, if its link is up and that has not begun. */
  attach(): void {
    const elsewhere = this.#elsewhere
    if (elsewhere === null || this.attachment !== null || !this.isCurrent) return
    const peer = this.#options.link.find(elsewhere.node)
    if (peer === null) return
    const place = { peer, epoch: elsewhere.epoch, number: ++this.#attachments }
    this.#forgetOutdated()
    this.attachment = new Attachment(this.#attachmentHost(), place)
    this.attachment.begin()
  }

  #attachmentHost(): AttachmentHost {
    const { shardId, clock, link } = this.#options
    return {
      shardId,
      clock,
      publishes: this.#publishes,
      settlements: this.#settlements,
      sharedTurns: link.sharedTurns,
      consumers: this.#numbered,
      queuesWithGets: this.#queuesWithGets,
      topologyPosition: () => this.#options.topologyPosition(),
      refused: () => this.#refused(),
      ready: () => this.#host.reached(),
      settled: () => this.#host.settled(),
      consumerCancelled: (consumer) => this.#host.consumerCancelled(consumer),
    }
  }

  /** It may not know yet that it is the owner, or is it no longer and we are about to hear of the next one. */
  #refused(): void {
    const { attachment } = this
    this.#endAttachment()
    const elsewhere = this.#elsewhere
    if (attachment === null || elsewhere === null) return
    if (elsewhere.epoch !== attachment.epoch) return this.attach()
    this.#options.clock.after(retryMs, () => {
      if (this.#elsewhere === elsewhere) this.attach()
    })
  }

  #endAttachment(): void {
    const { attachment } = this
    if (attachment === null) return
    this.attachment = null
    const requests = attachment.end()
    for (const consumer of this.#host.consumers()) {
      this.#options.link.sharedTurns.end(consumer)
      consumer.isPaused = false
    }
    this.#host.requestsEnded(requests)
  }

  // ---------------------------------------------------------------- what is held

  publish(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): void {
    const number = this.#publishes.add(message, queues, count, confirms, sequence)
    this.attachment?.publish(number)
  }

  settle(settlement: HeldSettlement): void {
    this.#settlements.add(settlement)
    this.attachment?.settle(settlement)
  }

  /** A client took something by `get`. */
  got(queue: PlacedQueue, sequence: number): void {
    queue.heldFor().add(sequence)
    this.#queuesWithGets.add(queue)
  }

  add(consumer: PlacedConsumer): void {
    this.#numbered.set(consumer.id, consumer)
  }

  dropped(queue: PlacedQueue): void {
    this.#queuesWithGets.delete(queue)
    this.#publishes.forgetStream(queue.definition)
  }

  /** The consumer has left and holds nothing. */
  forget(consumer: PlacedConsumer): void {
    this.#numbered.delete(consumer.id)
  }

  // ---------------------------------------------------------------- the link

  up(peer: Peer): void {
    if (this.#elsewhere?.node.name === peer.name) this.attach()
  }

  down(peer: Peer): void {
    if (this.attachment?.peer === peer) {
      this.#endAttachment()
      this.attach()
    }
    this.#service?.down(peer)
  }

  /** What it says cannot be read: both begin anew. */
  misunderstood(peer: Peer): void {
    if (this.attachment?.peer === peer) this.#refused()
    this.#service?.refuse(peer)
  }

  drained(peer: Peer): void {
    if (this.attachment?.peer === peer) this.attachment.drained()
    this.#service?.drained(peer)
  }

  /** The process of this incarnation is gone for good. */
  gone(incarnation: number): void {
    this.#service?.gone(incarnation)
  }

  topologyAdvanced(): void {
    this.#service?.goOn()
  }

  /** Answers of the owner, behind the header. */
  answers(place: AnswerPlace, bytes: Uint8Array, start: number, end: number): void {
    const { attachment } = this
    if (attachment === null || attachment.peer !== place.peer || attachment.number !== place.attachment) return
    if (attachment.epoch === place.epoch) attachment.message(bytes, start, end)
  }

  /** The service for commands under this epoch; null, and the node is told, when there is none. */
  serviceFor({ peer, epoch, attachment }: AnswerPlace): ShardService | null {
    const service = this.#service
    if (service !== null && service.local.epoch === epoch) return service
    refuseMessage(peer, this.#options.shardId, epoch, attachment)
    return null
  }

  /** Where a piece of a body belongs, that was not said with an epoch. */
  get service(): ShardService | null {
    return this.#service
  }
}

/** From whom a message comes, and to what it belongs. */
export interface AnswerPlace {
  readonly peer: Peer
  readonly epoch: number
  readonly attachment: number
}

/** Holders are numbers of 32 bits; the highest ones mean something else. */
const holdersMax = 0xffff_0000
