/**
 * Another node, attached to a shard that is served here: its consumers, what they hold, and its commands, which are done
 * in the order in which they come. They wait, and later ones behind them, until the shard serves, until this node's
 * topology has come as far as that under which they were given, and until the pieces of a large body are there.
 */
import { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import type { Clock } from '../../base/clock.ts'
import type { Message } from '../../broker/message.ts'
import type { Position } from '../../broker/ports.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import type { Peer } from '../peers.ts'
import { EntryCommands } from './entry-commands.ts'
import { EntryDeliveries } from './entry-deliveries.ts'
import { HeldSequences } from './held-sequences.ts'
import type { Member } from './member-codec.ts'
import type { OriginState } from './origin-state.ts'
import { Outbox } from './outbox.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { LocalShard } from './ports.ts'
import { type ConsumerLink, RemoteConsumer } from './remote-consumer.ts'
import { Answer, MessageKind } from './wire.ts'

/** What an attached node needs of the shard that is served here. */
export interface EntryHost {
  readonly shardId: number
  readonly clock: Clock
  readonly local: LocalShard
  /** Claims have been made, and this node is current: commands may be done. */
  readonly isServing: boolean
  nextHolder(): number
  queueOf(id: number): PlacedQueue | null
  topologyPosition(): Position
  /** It has said what its clients hold. */
  attached(node: EntryNode): void
}

/** Commands whose topology does not come are given back: their node attaches anew. In milliseconds. */
const behindMsMax = 10_000
/** How often it is looked whether the topology has come. */
const behindCheckMs = 5

interface Waiting {
  readonly bytes: Uint8Array
  at: number
  readonly topologyPosition: Position
}

/** The same as it was said: by number of the consumer (0: gets) and id of the queue. */
interface SaidClaim {
  readonly number: number
  readonly queueId: number
  readonly first: number
  readonly last: number
  readonly isGivenBack: boolean
}

/** One run of entries that clients of the node hold. */
export interface Claim {
  readonly queue: PlacedQueue
  /** Null: taken by `get`. */
  readonly consumer: RemoteConsumer | null
  readonly first: number
  readonly last: number
  /** Its client has given it back, which may not be stored: it may have been another's since, who then has it. */
  readonly isGivenBack: boolean
}

export class EntryNode implements ConsumerLink {
  readonly peer: Peer
  readonly number: number
  readonly origin: OriginState
  readonly deliveries: EntryDeliveries
  readonly consumers = new Map<number, RemoteConsumer>()
  /** What its clients took by `get`, by queue. */
  readonly gets = new Map<PlacedQueue, HeldSequences>()
  /** What it has said before it was attached. */
  members: Member[] = []
  claims: SaidClaim[] = []
  /** Its last attachment, whose consumers go on as those of this one; null: there was none, or they do already. */
  previous: EntryNode | null = null
  /** Its consumers have been made. */
  isTakenIn = false
  /** It has said all that it holds. */
  isAttached = false
  /** It has been told what is stored of its publishes. */
  hasBegun = false
  /** It has said again what its clients have settled: they may be given more. */
  hasResettled = false
  isOver = false
  readonly #host: EntryHost
  readonly #outbox: Outbox
  readonly #commands: EntryCommands
  readonly #reader = new ByteReader()
  #waiting: Waiting[] = []
  #behindSinceMs = 0
  #isWatching = false
  /** Neighbouring confirms, not yet written. */
  #confirmFirst = 0
  #confirmLast = -1
  #settlements = 0
  #settlementsAsked = 0
  #settlementsStored = 0

  constructor(host: EntryHost, peer: Peer, number: number, origin: OriginState) {
    this.#host = host
    this.peer = peer
    this.number = number
    this.origin = origin
    this.deliveries = new EntryDeliveries(peer, host.shardId, number)
    this.#outbox = new Outbox({
      peer,
      clock: host.clock,
      writeHeader: (writer) => writeAnswersHeader(writer, host.shardId, host.local.epoch, number),
      beforeSend: (outbox) => {
        if (this.#confirmFirst > 0 || this.#settlementsStored > 0) this.#writeConfirms(outbox.add())
      },
    })
    this.#commands = new EntryCommands(host, this)
  }

  // ---------------------------------------------------------------- who is there

  /** Those that it has said to have: the former ones where they are the same. */
  makeConsumers(): void {
    this.isTakenIn = true
    for (const member of this.members) {
      const former = this.previous?.consumers.get(member.id)
      if (former === undefined || former.hasLeft || isStream(former.placed.definition)) this.addConsumer(member)
      else {
        former.reattach(member, this)
        this.consumers.set(member.id, former)
      }
    }
    this.members = []
    this.previous = null
  }

  /** Null when its queue is gone. */
  addConsumer(member: Member): RemoteConsumer | null {
    const placed = this.#host.queueOf(member.queueId)
    if (placed === null) {
      this.#ofConsumer(Answer.cancelled, member.id)
      return null
    }
    const handle = placed.handleIn(this.#host.local)
    const consumer = new RemoteConsumer(this.#host.nextHolder(), member, placed, handle, this)
    this.consumers.set(member.id, consumer)
    return consumer
  }

  /** What it claims, of queues and for consumers that are there. */
  takeClaims(): Claim[] {
    const claims: Claim[] = []
    for (const { number, queueId, ...claim } of this.claims) {
      const queue = this.#host.queueOf(queueId)
      const consumer = number === 0 ? null : this.consumers.get(number)
      if (queue !== null && consumer !== undefined) claims.push({ queue, consumer, ...claim })
    }
    this.claims = []
    return claims
  }

  // ---------------------------------------------------------------- in

  /** Commands, `start` being behind the header. */
  message(bytes: Uint8Array, start: number, end: number, topologyPosition: Position): void {
    if (this.#waiting.length > 0) {
      this.#keep(bytes, start, end, topologyPosition)
      return
    }
    const reader = this.#reader.reset(bytes, start, end)
    this.#do(reader, topologyPosition)
    if (reader.remaining > 0 && !this.isOver) this.#keep(bytes, reader.position, end, topologyPosition)
    this.#afterCommands()
  }

  #keep(bytes: Uint8Array, start: number, end: number, topologyPosition: Position): void {
    this.#waiting.push({ bytes: bytes.slice(start, end), at: 0, topologyPosition })
    if (!this.#isWatching) this.#watch()
  }

  /** Does what may be done; whatever is left of the message must wait. */
  #do(reader: ByteReader, topologyPosition: Position): void {
    if (topologyPosition > this.#host.topologyPosition()) return
    while (reader.remaining > 0 && !this.isOver) if (!this.#commands.next(reader)) return
  }

  /** Something has changed for which commands may have waited. */
  goOn(): void {
    while (!this.isOver) {
      const next = this.#waiting[0]
      if (next === undefined) break
      const reader = this.#reader.reset(next.bytes, next.at, next.bytes.length)
      this.#do(reader, next.topologyPosition)
      next.at = reader.position
      if (reader.remaining > 0) break
      this.#waiting.shift()
      this.#behindSinceMs = 0
    }
    this.#afterCommands()
  }

  /** The topology comes by another way than the commands, as a rule before them: looks whether it has come. */
  #watch(): void {
    this.#isWatching = true
    const { clock } = this.#host
    clock.after(behindCheckMs, () => {
      this.#isWatching = false
      const next = this.#waiting[0]
      if (this.isOver || next === undefined) return
      if (next.topologyPosition <= this.#host.topologyPosition()) {
        this.#behindSinceMs = 0
        this.goOn()
      } else {
        if (this.#behindSinceMs === 0) this.#behindSinceMs = clock.monotonic()
        if (clock.monotonic() - this.#behindSinceMs > behindMsMax) return this.refuse()
      }
      if (this.#waiting.length > 0 && !this.#isWatching) this.#watch()
    })
  }

  #afterCommands(): void {
    this.drained()
    if (this.#settlements === this.#settlementsAsked) return
    const count = this.#settlements
    this.#settlementsAsked = count
    this.#host.local.whenCommitted(() => {
      this.#settlementsStored = count
      this.#outbox.schedule()
    })
  }

  /** One more settlement has been passed on. */
  settled(): void {
    this.#settlements++
  }

  /** A piece of a publish's body has come. */
  piece(body: number, index: number, bytes: Uint8Array): void {
    this.#commands.piece(body, index, bytes)
    if (this.#waiting.length > 0) this.goOn()
  }

  // ---------------------------------------------------------------- out

  /** Where an answer is to be written. */
  answer(): ByteWriter {
    return this.#outbox.begin()
  }

  confirmed(number: number): void {
    if (number !== this.#confirmLast + 1 || this.#confirmFirst === 0) {
      if (this.#confirmFirst > 0) this.#writeConfirms(this.#outbox.begin())
      this.#confirmFirst = number
    }
    this.#confirmLast = number
    this.#outbox.schedule()
  }

  refused(number: number): void {
    const writer = this.#outbox.begin()
    writer.uint8(Answer.refuse)
    writer.uint64(number)
  }

  #writeConfirms(writer: ByteWriter): void {
    if (this.#confirmFirst > 0) {
      writer.uint8(Answer.confirm)
      writer.uint64(this.#confirmFirst)
      writer.uint64(this.#confirmLast)
      this.#confirmFirst = 0
    }
    if (this.#settlementsStored > 0) {
      writer.uint8(Answer.settled)
      writer.uint64(this.#settlementsStored)
      this.#settlementsStored = 0
    }
  }

  get hasRoom(): boolean {
    return !this.isOver && this.#host.isServing && this.hasResettled && this.deliveries.hasRoom
  }

  waitForRoom(consumer: RemoteConsumer): void {
    this.deliveries.refused(consumer)
  }

  askForGrant({ number }: RemoteConsumer): void {
    this.#ofConsumer(Answer.wantsGrant, number)
  }

  returnGrant({ number }: RemoteConsumer): void {
    this.#ofConsumer(Answer.grantReturned, number)
  }

  #ofConsumer(answer: number, number: number): ByteWriter {
    const writer = this.#outbox.begin()
    writer.uint8(answer)
    writer.uint32(number)
    return writer
  }

  deliver(consumer: RemoteConsumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const writer = this.#ofConsumer(Answer.deliver, consumer.number)
    writer.uint64(sequence)
    writer.uint8(isRedelivered ? 1 : 0)
    this.deliveries.write(writer, message)
    this.deliveries.sent(message)
  }

  /** The link has room again, or the node has taken much. */
  drained(): void {
    if (this.hasRoom) this.deliveries.resumeRefused()
  }

  /** Its queue is gone. Where its shard has failed, or is given away, it is claimed by the next owner. */
  cancelled(consumer: RemoteConsumer): void {
    const { isDropped } = consumer.placed
    consumer.hasLeft = true
    consumer.isRegistered = false
    if (this.isOver || (!isDropped && (!this.#host.isServing || !this.#host.local.isServing))) return
    this.#ofConsumer(Answer.cancelled, consumer.number)
  }

  leaseEnded({ number }: RemoteConsumer, sequence: number): void {
    if (!this.isOver) this.#ofConsumer(Answer.leaseEnded, number).uint64(sequence)
  }

  heldByGets(queue: PlacedQueue): HeldSequences {
    const held = this.gets.get(queue) ?? new HeldSequences()
    this.gets.set(queue, held)
    return held
  }

  // ---------------------------------------------------------------- beginning and end

  /** Claims are made: tells what is stored of its publishes, when that is certain; then its commands are done. */
  begin(): void {
    this.origin.listener = null
    this.origin.whenSettled(() => {
      if (this.isOver) return
      const { incarnation, applied, refusedNumbers } = this.origin
      const { highest, gaps } = this.#host.local.originProgress(incarnation)
      const writer = this.#outbox.begin()
      writer.uint8(Answer.progress)
      writer.uint64(applied)
      writer.uint32(refusedNumbers.size)
      for (const number of refusedNumbers) writer.uint64(number)
      writer.uint64(highest)
      writer.uint32(gaps.length)
      for (const number of gaps) writer.uint64(number)
      this.origin.listener = this
      this.hasBegun = true
      this.#outbox.flush()
      this.goOn()
    })
  }

  resettled(): void {
    this.hasResettled = true
    for (const consumer of this.consumers.values()) if (consumer.isActive) consumer.placed.commands.resume(consumer)
  }

  /** This node does not serve the shard, or not any more; its node is told. */
  refuse(): void {
    if (this.isOver) return
    this.#outbox.begin().uint8(Answer.notOwner)
    this.#outbox.flush()
    this.end()
  }

  /** Nothing is heard or said any more; its consumers stay until it comes again or is known to be gone. */
  end(): void {
    this.isOver = true
    this.#outbox.close()
    if (this.origin.listener === this) this.origin.listener = null
    this.deliveries.end()
    this.#waiting = []
  }
}

export function writeAnswersHeader(writer: ByteWriter, shardId: number, epoch: number, attachment: number): void {
  writer.uint8(MessageKind.answers)
  writer.uint64(shardId)
  writer.uint64(epoch)
  writer.uint32(attachment)
}
