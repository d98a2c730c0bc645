/**
 * A consumer of this node as its shard sees it, wherever that is served: what is delivered to it goes on to the near one,
 * and what that one holds is remembered, so that it can be claimed from the next owner.
 *
 * Credit that consumers share is counted here and nowhere else: they may take from several shards of several nodes.
 */
import { changeFields, type FieldTable, fieldOf } from '../../amqp/field-table.ts'
import type { Message } from '../../broker/message.ts'
import type { Consumer, DeliverySink, Outcome, Queue, SharedCredit } from '../../broker/ports.ts'
import { keepsPlace } from '../../broker/stream/consume-arguments.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import { HeldSequences } from './held-sequences.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { SharedTurns } from './shared-turns.ts'

/** What a placed consumer asks of its shard. */
export interface PlacedConsumerHost {
  /** False: nothing may be handed to clients. */
  readonly isCurrent: boolean
  readonly sharedTurns: SharedTurns
  /** The shard that serves has ended it. */
  consumerCancelled(consumer: PlacedConsumer): void
}

export class PlacedConsumer implements Consumer, DeliverySink {
  readonly id: number
  readonly near: Consumer
  readonly placed: PlacedQueue
  readonly held = new HeldSequences()
  readonly isStream: boolean
  /** The stream remembers its place: each owner begins there again, and is told anew what is held or done beyond. */
  readonly keepsPlace: boolean
  /** Its registration has been answered, and it has not ended. */
  isMember = false
  /** `activate` has been called. */
  mayTake = false
  /** It has been given something, by whatever owner. */
  hasTaken = false
  /** Its owner has been told that it takes nothing for now. */
  isPaused = false
  /** Whether its owner has been told that it shares credit with others. */
  isSharing = false
  /** Messages of shared credit that its owner may deliver. */
  grants = 0
  /** Deliveries of the message at hand of the link that its owner is to hear of. */
  taken = 0
  takenBytes = 0
  /** Offset behind the last one of a stream that it got, or at which it begins in any case; -1: not known. */
  nextOffset = -1
  /** The lowest offset that it gave back: its place stays there. */
  #givenBackFrom = Number.POSITIVE_INFINITY

  // Of `Consumer`, for the shard that serves here.
  queue: Queue
  unacked = 0
  isActive = false
  isInTurn = false
  isLeaving = false
  readonly #host: PlacedConsumerHost

  constructor(id: number, near: Consumer, host: PlacedConsumerHost) {
    this.id = id
    this.near = near
    this.placed = near.queue as PlacedQueue
    this.queue = near.queue
    this.isStream = isStream(this.placed.definition)
    this.keepsPlace = this.isStream && keepsPlace(near)
    this.#host = host
  }

  get sink(): DeliverySink {
    return this
  }

  get tag(): string {
    return this.near.tag
  }

  get isNoAck(): boolean {
    return this.near.isNoAck
  }

  get isExclusive(): boolean {
    return this.near.isExclusive
  }

  get priority(): number {
    return this.near.priority
  }

  get limit(): number {
    return this.near.limit
  }

  get timeoutMs(): number | null {
    return this.near.timeoutMs
  }

  /** Streams only ask whether there is any. */
  get shared(): SharedCredit | null {
    const { shared } = this.near
    return this.isStream && shared !== null ? { limit: shared.limit, unacked: 0 } : null
  }

  /** What it was made with; of a stream that it has begun to read, where it goes on, unless its owner remembers that. */
  get arguments(): FieldTable {
    const table = this.near.arguments
    if (this.nextOffset < 0 || table.fields.get('x-stream-automatic-offset-tracking')?.value === true) return table
    return changeFields(table, new Map([['x-stream-offset', fieldOf(this.nextOffset)]]))
  }

  get isReady(): boolean {
    if (!this.#host.isCurrent || !this.near.sink.isReady) return false
    const { shared } = this.near
    if (shared === null || hasCredit(shared) || this.near.isNoAck) return true
    this.#host.sharedTurns.refused(this, shared)
    return false
  }

  /** Its shard, here or elsewhere, gives it a message. */
  deliver(_consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const { near } = this
    if (this.keepsPlace && sequence < this.nextOffset) return this.#hadBefore(message, sequence)
    this.hasTaken = true
    if (!near.isNoAck) {
      this.held.add(sequence)
      near.unacked++
      if (near.shared !== null) this.#useCredit(near.shared)
    }
    if (this.isStream) this.nextOffset = sequence + 1
    near.sink.deliver(near, message, sequence, isRedelivered)
  }

  /** From an earlier owner: the client still holds it, or is done with it, which this owner does not know. */
  #hadBefore(message: Message, sequence: number): void {
    message.chunks?.release()
    if (this.held.has(sequence)) return
    this.held.add(sequence)
    this.near.unacked++
    const outcome = sequence >= this.#givenBackFrom ? 'requeue' : 'ack'
    this.placed.shard.settle(this.placed, this.near, sequence, sequence, outcome)
  }

  /** What was granted has been counted already. */
  #useCredit(shared: SharedCredit): void {
    if (this.grants > 0) this.grants--
    else shared.unacked++
  }

  /** It no longer holds `first..last`, for this reason; returns how many of them it held. */
  release(first: number, last: number, outcome: Outcome): number {
    if (outcome === 'requeue' || outcome === 'fail') this.#givenBackFrom = Math.min(this.#givenBackFrom, first)
    const count = this.held.remove(first, last)
    this.near.unacked -= count
    const { shared } = this.near
    if (shared !== null && !this.near.isNoAck) shared.unacked -= count
    return count
  }

  /** Registers it with a shard that is served here and has not had it. Where that is refused, it has ended. */
  register(): void {
    if (!this.isMember || this.placed.isDropped) return
    this.placed.commands.register(this, {
      // Streams open their logs first, and answer later.
      done: (begins) => {
        this.begins(begins)
        if (this.isStream) this.activate()
      },
      failed: () => this.cancelled(),
    })
  }

  /** It begins at this offset of a stream because that ended there (-1: not so); with any other owner too, then. */
  begins(offset: number): void {
    if (this.nextOffset < 0 && !this.keepsPlace) this.nextOffset = offset
  }

  activate(): void {
    if (this.isMember && this.mayTake && !this.isActive) this.placed.commands.activate(this)
  }

  cancelled(): void {
    this.#host.consumerCancelled(this)
  }

  leaseEnded(_consumer: Consumer, sequence: number): void {
    const { near } = this
    if (this.release(sequence, sequence, 'fail') > 0 && near.shared !== null) this.#host.sharedTurns.pump(near.shared)
    near.sink.leaseEnded(near, sequence)
  }

  /** Nobody serves it any more: whatever a shard kept in it is void. */
  detach(): void {
    this.queue = this.placed
    this.unacked = 0
    this.isActive = false
    this.isInTurn = false
    this.isPaused = false
  }
}

function hasCredit({ limit, unacked }: SharedCredit): boolean {
  return limit === 0 || unacked < limit
}
