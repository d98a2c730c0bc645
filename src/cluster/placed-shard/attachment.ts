/**
 * What this node says to the owner of one shard, from when it finds that one until it is another's or the link goes down.
 *
 *     said: attach, member …, claim …, attached      heard: progress
 *     said: settle …, resettled, publishes; from then on each command as it comes      heard: answers, deliveries
 *
 * It keeps nothing that must outlive it: publishes and settlements are the shard's until their owner has stored them, and
 * requests that were not answered go back to the shard.
 */
import { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import type { Clock } from '../../base/clock.ts'
import type { Position } from '../../broker/ports.ts'
import type { Peer } from '../peers.ts'
import { type AnswerHandler, AnswerReader } from './answer-reader.ts'
import type { HeldPublishes } from './held-publishes.ts'
import { type HeldSettlement, type HeldSettlements, isGiveBack } from './held-settlements.ts'
import { writeMember } from './member-codec.ts'
import { Outbox } from './outbox.ts'
import type { PlacedConsumer } from './placed-consumer.ts'
import type { PlacedQueue } from './placed-queue.ts'
import { BodySender, type ByteRange, type PieceSource, RemoteChunks } from './remote-body.ts'
import type { ShardRequest } from './requests.ts'
import type { SharedTurns } from './shared-turns.ts'
import { Command, MessageKind, outcomeCode, PieceKind } from './wire.ts'

/** What an attachment needs of its shard. */
export interface AttachmentHost {
  readonly shardId: number
  readonly clock: Clock
  readonly publishes: HeldPublishes
  readonly settlements: HeldSettlements
  readonly sharedTurns: SharedTurns
  /** All that are registered or hold something. */
  readonly consumers: ReadonlyMap<number, PlacedConsumer>
  /** Queues of which clients hold something that they took by `get`. */
  readonly queuesWithGets: Iterable<PlacedQueue>
  topologyPosition(): Position
  /** The owner does not serve the shard under this epoch, or not any more. */
  refused(): void
  /** The owner has heard all; requests that wait may be asked. */
  ready(): void
  /** Publishes were settled. */
  settled(): void
  consumerCancelled(consumer: PlacedConsumer): void
}

export interface AttachmentPlace {
  readonly peer: Peer
  readonly epoch: number
  /** Counts the attachments of this shard of this node. */
  readonly number: number
}

export class Attachment implements PieceSource {
  readonly number: number
  readonly peer: Peer
  readonly epoch: number
  isOver = false
  isReady = false
  readonly #host: AttachmentHost
  readonly #outbox: Outbox
  readonly #reader = new ByteReader()
  readonly #answers: AnswerReader
  readonly #bodies: BodySender
  readonly #chunks = new Map<number, RemoteChunks>()
  readonly #requests = new Map<number, ShardRequest>()
  #nextRequest = 1
  /** Consumers that got something of the message at hand. */
  #takers: PlacedConsumer[] = []

  constructor(host: AttachmentHost, { peer, epoch, number }: AttachmentPlace) {
    this.#host = host
    this.peer = peer
    this.epoch = epoch
    this.number = number
    this.#outbox = new Outbox({ peer, clock: host.clock, writeHeader: (writer) => this.#writeHeader(writer) })
    this.#bodies = new BodySender(peer, { kind: PieceKind.ofPublish, shardId: host.shardId, attachment: number })
    this.#answers = new AnswerReader(this.#handler())
  }

  #writeHeader(writer: ByteWriter): void {
    const { shardId, publishes } = this.#host
    writer.uint8(MessageKind.commands)
    writer.uint64(shardId)
    writer.uint64(this.epoch)
    writer.uint32(this.number)
    writer.uint64(this.#host.topologyPosition())
    writer.uint64(publishes.first)
    writer.uint64(publishes.firstDurable)
  }

  // ---------------------------------------------------------------- the beginning

  /** Says who is here and what they hold. */
  begin(): void {
    this.#outbox.begin().uint8(Command.attach)
    const settlers = new Set<PlacedConsumer>()
    for (const { consumer } of this.#host.settlements) if (consumer !== null) settlers.add(consumer)
    for (const consumer of new Set([...this.#host.consumers.values(), ...settlers])) {
      if (!consumer.isMember && consumer.held.count === 0 && !settlers.has(consumer)) continue
      const writer = this.#outbox.begin()
      writer.uint8(Command.member)
      writeMember(writer, consumer)
      if (consumer.keepsPlace) continue
      consumer.held.eachRun((first, last) => this.#claim(consumer.id, consumer.placed, { first, last }))
    }
    for (const queue of this.#host.queuesWithGets)
      queue.held?.eachRun((first, last) => this.#claim(0, queue, { first, last }))
    // What was settled and may not be stored is claimed like what is held, and settled again then.
    for (const settlement of this.#host.settlements)
      this.#claim(settlement.consumer?.id ?? 0, settlement.queue, settlement, isGiveBack(settlement))
    this.#outbox.begin().uint8(Command.attached)
    this.#outbox.flush()
  }

  #claim(
    consumerId: number,
    { definition }: PlacedQueue,
    { first, last }: { first: number; last: number },
    isGivenBack = false,
  ): void {
    const writer = this.#outbox.begin()
    writer.uint8(Command.claim)
    writer.uint32(consumerId)
    writer.uint64(definition.id)
    writer.uint64(first)
    writer.uint64(last)
    writer.uint8(isGivenBack ? 1 : 0)
  }

  /**
   * What the owner knows of our publishes: those it has are settled, so are those that are gone with an earlier one, the
   * others go out, and all else behind them.
   */
  #progress(applied: number, refused: ReadonlySet<number>, isStored: (durable: number) => boolean): void {
    if (this.isReady) return
    const { publishes, settlements } = this.#host
    this.isReady = true
    settlements.begin()
    for (const settlement of settlements) this.settle(settlement)
    this.#outbox.begin().uint8(Command.resettled)
    const sentBefore = publishes.sentBefore(this.epoch)
    for (let number = publishes.first; number < publishes.next; number++) {
      if (publishes.isSettled(number)) continue
      const durable = publishes.durableOf(number)
      if (number <= applied) publishes.settle(number, !refused.has(number))
      else if (durable > 0 && isStored(durable)) publishes.settle(number, true)
      else if (number < sentBefore && publishes.diesWithOwner(number)) publishes.settle(number, false)
      else this.publish(number)
    }
    this.#host.settled()
    this.#host.ready()
  }

  // ---------------------------------------------------------------- commands

  publish(number: number): void {
    if (!this.isReady) return
    const { publishes } = this.#host
    const body = publishes.bodyOf(number)
    if (body !== null) this.#bodies.add(body)
    publishes.writeTo(this.#outbox.begin(), number)
    publishes.sent(number, this.epoch)
  }

  ask(request: ShardRequest): void {
    const number = this.#nextRequest++
    this.#requests.set(number, request)
    const writer = this.#outbox.begin()
    const start = writer.length
    try {
      writer.uint8(request.command)
      writer.uint32(number)
      request.write(writer)
    } catch (error) {
      // What cannot be said must not spoil what is said besides.
      writer.length = start
      this.#requests.delete(number)
      throw error
    }
  }

  settle({ queue, consumer, first, last, outcome }: HeldSettlement): void {
    if (!this.isReady) return
    const writer = this.#outbox.begin()
    writer.uint8(Command.settle)
    writer.uint32(consumer?.id ?? 0)
    writer.uint64(queue.definition.id)
    writer.uint64(first)
    writer.uint64(last)
    writer.uint8(outcomeCode(outcome))
  }

  extendLease({ definition }: PlacedQueue, consumer: PlacedConsumer | null, sequence: number, ms: number): void {
    const writer = this.#outbox.begin()
    writer.uint8(Command.extendLease)
    writer.uint32(consumer?.id ?? 0)
    writer.uint64(definition.id)
    writer.uint64(sequence)
    writer.uint64(ms)
  }

  /** An owner that comes later takes the queue for used anyway. */
  used({ definition }: PlacedQueue): void {
    if (!this.isReady) return
    const writer = this.#outbox.begin()
    writer.uint8(Command.used)
    writer.uint64(definition.id)
  }

  /** This, and what else is said of one consumer, waits at the owner until that has heard of it. */
  activate({ id }: PlacedConsumer): void {
    this.#ofConsumer(Command.activate, id)
  }

  /** Its output may have room again; and whether it shares credit may have changed. */
  resume(consumer: PlacedConsumer): void {
    const { shared } = consumer.near
    const isSharing = shared !== null && shared.limit > 0 && !consumer.near.isNoAck
    if (isSharing !== consumer.isSharing) {
      consumer.isSharing = isSharing
      this.#ofConsumer(Command.shares, consumer.id).uint8(isSharing ? 1 : 0)
    }
    if (!consumer.isPaused || !consumer.near.sink.isReady) return
    consumer.isPaused = false
    this.#ofConsumer(Command.resume, consumer.id)
  }

  #ofConsumer(command: number, id: number): ByteWriter {
    const writer = this.#outbox.begin()
    writer.uint8(command)
    writer.uint32(id)
    return writer
  }

  // ---------------------------------------------------------------- pieces of bodies

  askPiece(body: number, index: number): void {
    this.#ofConsumer(Command.readBody, body).uint32(index)
  }

  releaseBody(body: number): void {
    this.#chunks.delete(body)
    if (!this.isOver) this.#ofConsumer(Command.releaseBody, body)
  }

  /** A piece of a delivery's body. */
  piece({ body, index }: { body: number; index: number }, isThere: boolean, bytes: ByteRange): void {
    this.#chunks.get(body)?.piece(index, isThere, bytes)
  }

  /** The link has room again. */
  drained(): void {
    this.#bodies.pump()
  }

  // ---------------------------------------------------------------- answers

  /** `start` is behind the header. */
  message(bytes: Uint8Array, start: number, end: number): void {
    this.#answers.read(this.#reader.reset(bytes, start, end))
    this.#giveCredit()
  }

  #handler(): AnswerHandler {
    const { publishes, settlements, sharedTurns } = this.#host
    const consumerOf = (id: number): PlacedConsumer | null => this.#host.consumers.get(id) ?? null
    return {
      isOver: () => this.isOver,
      notOwner: () => this.#host.refused(),
      progress: (applied, refused, isStored) => this.#progress(applied, refused, isStored),
      confirmed: (first, last) => {
        publishes.confirm(first, last)
        this.#host.settled()
      },
      refused: (number) => {
        publishes.settle(number, false)
        this.#host.settled()
      },
      answered: (number, read) => this.#answered(number, read),
      settlementsStored: (count) => settlements.stored(count),
      delivered: (id, bytes) => this.#delivered(id, bytes),
      chunksOf: (id, count, bodyBytes) => this.#chunksOf(id, count, bodyBytes),
      cancelled: (id) => {
        const consumer = consumerOf(id)
        if (consumer !== null) this.#host.consumerCancelled(consumer)
      },
      leaseEnded: (id, sequence) => {
        const consumer = consumerOf(id)
        consumer?.leaseEnded(consumer, sequence)
      },
      wantsGrant: (id) => {
        const consumer = consumerOf(id)
        if (consumer !== null) sharedTurns.want(consumer, this.#grant)
      },
      grantReturned: (id) => {
        const consumer = consumerOf(id)
        if (consumer !== null) sharedTurns.returned(consumer)
      },
    }
  }

  readonly #grant = ({ id }: PlacedConsumer): void => {
    if (!this.isOver) this.#ofConsumer(Command.grant, id)
  }

  #answered(number: number, read: (request: ShardRequest) => void): void {
    const request = this.#requests.get(number)
    this.#requests.delete(number)
    if (request !== undefined) read(request)
  }

  #chunksOf(id: number, count: number, bodyBytes: number): RemoteChunks {
    const chunks = new RemoteChunks(this, id, count, bodyBytes)
    this.#chunks.set(id, chunks)
    return chunks
  }

  /** Returns the consumer that is to get the delivery at hand; null when it is not here any more. */
  #delivered(id: number, bytes: number): PlacedConsumer | null {
    const consumer = this.#host.consumers.get(id)
    if (consumer === undefined) {
      this.#credit(id, 1, bytes)
      return null
    }
    if (consumer.taken++ === 0) this.#takers.push(consumer)
    consumer.takenBytes += bytes
    return consumer
  }

  /** The owner may send as much again; a consumer whose output is full says so. */
  #giveCredit(): void {
    const takers = this.#takers
    if (takers.length === 0) return
    this.#takers = []
    for (const consumer of takers) {
      if (!this.isOver) {
        this.#credit(consumer.id, consumer.taken, consumer.takenBytes)
        if (!consumer.isPaused && !consumer.near.sink.isReady) {
          consumer.isPaused = true
          this.#ofConsumer(Command.pause, consumer.id)
        }
      }
      consumer.taken = 0
      consumer.takenBytes = 0
    }
  }

  #credit(id: number, count: number, bytes: number): void {
    const writer = this.#ofConsumer(Command.credit, id)
    writer.uint32(count)
    writer.uint32(bytes)
  }

  // ---------------------------------------------------------------- the end

  /** Nothing is said or heard any more. Returns the requests that were not answered, in order. */
  end(): ShardRequest[] {
    this.isOver = true
    this.isReady = false
    this.#outbox.close()
    for (const chunks of this.#chunks.values()) chunks.fail()
    this.#chunks.clear()
    const requests = [...this.#requests.values()]
    this.#requests.clear()
    return requests
  }
}
