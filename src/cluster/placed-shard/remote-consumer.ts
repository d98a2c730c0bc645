/**
 * A consumer of another node, as the shard that is served here sees it: registered singly, so that round robin,
 * priorities and exclusive use are the shard's. What it is given goes over the link, as much at a time as that and the
 * other node take.
 */
import type { FieldTable } from '../../amqp/field-table.ts'
import type { Message } from '../../broker/message.ts'
import type { Consumer, DeliverySink, Queue, SharedCredit } from '../../broker/ports.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import { HeldSequences } from './held-sequences.ts'
import type { Member } from './member-codec.ts'
import type { PlacedQueue } from './placed-queue.ts'

/** The other node, as its consumers see it. */
export interface ConsumerLink {
  /** Whether more may be sent to it. */
  readonly hasRoom: boolean
  /** The consumer has been refused a message: it is resumed when there is room. */
  waitForRoom(consumer: RemoteConsumer): void
  askForGrant(consumer: RemoteConsumer): void
  deliver(consumer: RemoteConsumer, message: Message, sequence: number, isRedelivered: boolean): void
  cancelled(consumer: RemoteConsumer): void
  leaseEnded(consumer: RemoteConsumer, sequence: number): void
}

/** Deliveries on their way to one consumer, at most. */
const underWayMax = 2_048

export class RemoteConsumer implements Consumer, DeliverySink {
  /** Of the holder, in this shard. */
  readonly id: number
  /** Under which its node knows it. */
  readonly number: number
  readonly placed: PlacedQueue
  /** What it was given and has not settled. */
  readonly held = new HeldSequences()
  isMember: boolean
  /** It has been given something before. */
  readonly hasTaken: boolean
  /** The shard has it. */
  isRegistered = false
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  readonly priority: number
  readonly limit: number
  readonly timeoutMs: number | null
  readonly tag: string
  readonly arguments: FieldTable
  link: ConsumerLink
  queue: Queue
  unacked = 0
  isActive = false
  isInTurn = false
  isLeaving = false
  /** It is to be activated once all claims are made. */
  mayTake: boolean
  isPaused: boolean
  isSharing: boolean
  /** It has left; it may still hold something. */
  hasLeft = false
  /** Messages of shared credit that it may be given. */
  grants = 0
  isAskingForGrant = false
  /** Deliveries that its node has not said to have taken. */
  underWay = 0
  readonly #isStream: boolean

  constructor(id: number, member: Member, placed: PlacedQueue, queue: Queue, link: ConsumerLink) {
    this.id = id
    this.number = member.id
    this.placed = placed
    this.#isStream = isStream(placed.definition)
    this.queue = queue
    this.link = link
    this.isMember = member.isMember
    this.hasTaken = member.hasTaken
    this.isNoAck = member.isNoAck
    this.isExclusive = member.isExclusive
    this.priority = member.priority
    this.limit = member.limit
    this.timeoutMs = member.timeoutMs
    this.tag = member.tag
    this.arguments = member.arguments
    this.mayTake = member.mayTake
    this.isPaused = member.isPaused
    this.isSharing = member.isSharing
  }

  get sink(): DeliverySink {
    return this
  }

  /** Its node counts it. Streams are told that there is some, since they refuse that. */
  get shared(): SharedCredit | null {
    return this.isSharing && this.#isStream ? { limit: 1, unacked: 0 } : null
  }

  get isReady(): boolean {
    if (this.isPaused) return false
    if (this.underWay >= underWayMax || !this.link.hasRoom) {
      this.link.waitForRoom(this)
      return false
    }
    if (!this.isSharing || this.grants > 0) return true
    if (!this.isAskingForGrant) {
      this.isAskingForGrant = true
      this.link.askForGrant(this)
    }
    return false
  }

  /** Whether it may be given something again that was refused before. */
  get hasRoom(): boolean {
    return this.underWay <= underWayMax / 2
  }

  /** Its node is attached anew, and tells how it is there. */
  reattach(member: Member, link: ConsumerLink): void {
    this.link = link
    this.mayTake = member.mayTake
    this.isPaused = member.isPaused
    this.isSharing = member.isSharing
    this.grants = 0
    this.isAskingForGrant = false
    this.underWay = 0
    if (this.isMember && !member.isMember && this.isRegistered) this.#unregister()
    this.isMember = member.isMember
  }

  #unregister(): void {
    this.isRegistered = false
    this.hasLeft = true
    this.isLeaving = true
    this.placed.commands.unregister(this, { done: () => {}, failed: () => {} })
  }

  /** Registers it again with an owner that has not had it. Where that is refused, it has ended. */
  register(): void {
    if (!this.isMember || this.placed.isDropped) return
    this.isRegistered = true
    this.placed.commands.register(this, {
      // Streams open their logs first, and answer later.
      done: () => {
        if (this.#isStream) this.activate()
      },
      failed: () => {
        this.isRegistered = false
        this.cancelled()
      },
    })
  }

  activate(): void {
    if (this.isMember && this.mayTake && !this.isActive) this.placed.commands.activate(this)
  }

  deliver(_consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    this.underWay++
    if (this.grants > 0) this.grants--
    if (!this.isNoAck) this.held.add(sequence)
    this.link.deliver(this, message, sequence, isRedelivered)
  }

  cancelled(): void {
    this.link.cancelled(this)
  }

  leaseEnded(_consumer: Consumer, sequence: number): void {
    this.held.remove(sequence, sequence)
    this.link.leaseEnded(this, sequence)
  }
}
