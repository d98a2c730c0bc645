import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { copyBytes } from '../base/arena.ts'
import type { Task } from '../base/run-queue.ts'
import type { Route } from '../broker/commands.ts'
import { type Chunks, Message } from '../broker/message.ts'
import type { MessageTraits } from '../broker/message-traits.ts'
import type { BodyWriter, ConfirmSink, Outcome, Position } from '../broker/ports.ts'
import type { Channel } from './channel.ts'
import type { PublishTarget } from './route-cache.ts'
import type { Detached } from './unacked.ts'

/**
 * What a transactional channel keeps until commit: publishes, routed and copied when they came, and settlements.
 *
 * RabbitMQ's semantics: a commit delivers everything, in order, then settles; returns go out before `commit-ok`, and that
 * only when every message is safe. It is not atomic over several queues. Rollback forgets the publishes and gives the
 * delivery tags back. While a commit is under way the channel may only close.
 *
 * Both come in slices, between which others have their turn.
 */
export class Transaction implements Task, ConfirmSink {
  readonly #channel: Channel
  readonly #message = new Message()
  #publishes: KeptPublish[] = []
  #settlements: KeptSettlement[] = []
  #bytes = 0
  #entries = 0
  #state: 'open' | 'committing' | 'rolling back' = 'open'
  /** How far a commit is: publishes, settlements, deliveries of one settlement. */
  #committed = 0
  #settled = 0
  #settledWithin = 0
  #waiting = 0
  #hasRefusal = false
  /** What the routing of messages that no queue gets took for granted. */
  #committedWith: Position = 0
  /** The rollback under way, and who hears of its end. */
  #rollback: Iterator<void, void, void> | null = null
  #rolledBack: (() => void)[] = []

  constructor(channel: Channel) {
    this.#channel = channel
  }

  get isCommitting(): boolean {
    return this.#state === 'committing'
  }

  addPublish(message: Message, target: PublishTarget): void {
    const bytes = message.routeEnd - message.routeStart + message.contentEnd - message.contentStart
    this.#count(1, bytes + (message.chunks?.bodyBytes ?? 0), Methods.BasicPublish)
    this.#publishes.push(keep(message, target))
  }

  addSettlement(deliveries: readonly Detached[], outcome: Outcome, method: number): void {
    this.#settlements.push({ deliveries, outcome })
    this.#count(deliveries.length, 0, method)
  }

  /** Begins to commit; the channel replies at the end. */
  commit(): void {
    this.#state = 'committing'
    this.#waiting = 0
    this.#hasRefusal = false
    this.#committedWith = 0
    this.#start()
  }

  /** Gives the delivery tags back and forgets the rest; calls back when that is done, perhaps before this returns. */
  rollback(done: () => void): void {
    this.#rolledBack.push(done)
    if (this.#state !== 'rolling back') {
      this.#state = 'rolling back'
      this.#rollback = this.#rollingBack()
    }
    this.#start()
  }

  /** The channel ends. What was kept for a commit, or is left of one, does not happen. */
  drop(done: () => void): void {
    this.#channel.connection.runQueue.remove(this)
    this.rollback(done)
  }

  /** What is little is done at once. */
  #start(): void {
    let looks = 0
    if (this.run(() => ++looks > looksAtOnce)) this.#channel.connection.runQueue.add(this)
  }

  run(shouldYield: () => boolean): boolean {
    let hasMore = false
    this.#channel.contain(() => {
      hasMore = this.#state === 'committing' ? this.#commitSlice(shouldYield) : this.#rollbackSlice(shouldYield)
    })
    return hasMore
  }

  // ---------------------------------------------------------------- commit
  // Whatever it leads to may end the channel, and then a rollback is under way.

  #commitSlice(shouldYield: () => boolean): boolean {
    if (this.#publishSlice(shouldYield) || this.#settleSlice(shouldYield)) return true
    if (this.isCommitting) this.#finish()
    return false
  }

  #publishSlice(shouldYield: () => boolean): boolean {
    for (let count = 1; this.isCommitting && this.#committed < this.#publishes.length; count++) {
      const kept = this.#publishes[this.#committed++]
      if (kept !== undefined) this.#publish(kept)
      if (count % publishesPerLook === 0 && shouldYield()) return true
    }
    return false
  }

  #publish(kept: KeptPublish): void {
    const channel = this.#channel
    const message = view(this.#message, kept)
    kept.chunks = null
    channel.counts.publish++
    if (kept.route.count === 0) {
      channel.publisher.passBesides(message, kept)
      this.#committedWith = channel.connection.broker.topologyPending
    } else {
      this.#waiting++
      channel.publisher.replyBesides(message, kept)
      channel.vhost.publish(kept.route, message, this, this.#committed)
    }
  }

  #settleSlice(shouldYield: () => boolean): boolean {
    for (let count = 1; this.isCommitting; count++) {
      const settlement = this.#settlements[this.#settled]
      if (settlement === undefined) return false
      const delivery = settlement.deliveries[this.#settledWithin++]
      if (delivery === undefined) {
        this.#settled++
        this.#settledWithin = 0
      } else this.#channel.unacked.settleDetached(delivery, settlement.outcome)
      if (count % settlementsPerLook === 0 && shouldYield()) return true
    }
    return false
  }

  #finish(): void {
    this.#settlements = []
    this.#channel.flushSettled()
    this.#publishes = []
    this.#finishIfDone()
  }

  confirm(_sequence: number): void {
    this.#waiting--
    this.#finishIfDone()
  }

  refuse(_sequence: number): void {
    this.#hasRefusal = true
    this.#waiting--
    this.#finishIfDone()
  }

  #finishIfDone(): void {
    if (this.#state !== 'committing' || this.#waiting > 0 || this.#publishes.length > 0) return
    const channel = this.#channel
    const committedWith = this.#committedWith
    this.#forget()
    if (!channel.isOpen) return
    channel.contain(() => {
      if (this.#hasRefusal) {
        channel.fail(new ProtocolError(ReplyCodes.PreconditionFailed, 'partial tx completion', Methods.TxCommit))
      } else channel.reply({ id: Methods.TxCommitOk, name: 'tx.commit-ok' }, committedWith)
    })
  }

  #forget(): void {
    this.#publishes = []
    this.#settlements = []
    this.#committed = 0
    this.#settled = 0
    this.#settledWithin = 0
    this.#bytes = 0
    this.#entries = 0
    this.#state = 'open'
  }

  // ---------------------------------------------------------------- rollback

  #rollbackSlice(shouldYield: () => boolean): boolean {
    while (this.#rollback?.next().done === false) if (shouldYield()) return true
    this.#rollback = null
    this.#forget()
    for (const done of this.#rolledBack.splice(0)) done()
    this.#channel.restored()
    return false
  }

  /** Puts back what no commit has settled, then lets go of the bodies. */
  *#rollingBack(): Generator<void, void, void> {
    yield* this.#channel.unacked.restore(yield* this.#unsettled())
    for (let count = 1; this.#publishes.length > 0; count++) {
      this.#publishes.pop()?.chunks?.abandon()
      if (count % publishesPerLook === 0) yield
    }
  }

  *#unsettled(): Generator<void, readonly Detached[], void> {
    const all: Detached[] = []
    for (let within = this.#settledWithin; this.#settled < this.#settlements.length; within = 0) {
      const deliveries = this.#settlements[this.#settled++]?.deliveries ?? []
      for (; within < deliveries.length; within++) {
        all.push(deliveries[within] as Detached)
        if (all.length % settlementsPerLook === 0) yield
      }
    }
    return all
  }

  #count(entries: number, bytes: number, method: number): void {
    const { transactionBytesMax, transactionEntriesMax } = this.#channel.limits
    this.#entries += entries
    this.#bytes += bytes
    if (this.#entries > transactionEntriesMax) throw tooLarge(`${transactionEntriesMax} entries`, method)
    if (this.#bytes > transactionBytesMax) throw tooLarge(`${transactionBytesMax} bytes`, method)
  }
}

const publishesPerLook = 16
const settlementsPerLook = 512
/** A commit that needs no more looks than this is done at once. */
const looksAtOnce = 8

interface KeptSettlement {
  readonly deliveries: readonly Detached[]
  readonly outcome: Outcome
}

interface KeptPublish {
  /** `[route][content]`. */
  readonly bytes: Uint8Array
  readonly routeBytes: number
  readonly isFrames: boolean
  readonly isPersistent: boolean
  readonly bodyBytes: number
  readonly isMandatory: boolean
  readonly replyNames: readonly string[]
  readonly traits: MessageTraits | null
  readonly route: Route
  /** Ours until it is published or abandoned. */
  chunks: BodyWriter | null
}

function keep(message: Message, target: PublishTarget): KeptPublish {
  const routeBytes = message.routeEnd - message.routeStart
  const contentBytes = message.contentEnd - message.contentStart
  const bytes = new Uint8Array(routeBytes + contentBytes)
  copyBytes(message.buffer, message.routeStart, message.routeEnd, bytes, 0)
  copyBytes(message.buffer, message.contentStart, message.contentEnd, bytes, routeBytes)
  const { route } = target
  return {
    bytes,
    routeBytes,
    isFrames: message.isFrames,
    isPersistent: message.isPersistent,
    bodyBytes: message.bodyBytes,
    isMandatory: target.isMandatory,
    replyNames: target.replyNames,
    traits: message.traits === null ? null : message.traits.copy(),
    route: { ...route, queues: route.queues.slice(0, route.count) },
    chunks: writerOf(message.chunks),
  }
}

function view(message: Message, kept: KeptPublish): Message {
  message.buffer = kept.bytes
  message.routeStart = 0
  message.routeEnd = kept.routeBytes
  message.contentStart = kept.routeBytes
  message.contentEnd = kept.bytes.length
  message.isFrames = kept.isFrames
  message.isPersistent = kept.isPersistent
  message.bodyBytes = kept.bodyBytes
  message.traits = kept.traits
  message.chunks = kept.chunks
  return message
}

/** What a publisher's content is gathered by is always a writer. */
function writerOf(chunks: Chunks | null): BodyWriter | null {
  return chunks !== null && 'abandon' in chunks ? (chunks as BodyWriter) : null
}

function tooLarge(limit: string, method: number): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, `transaction is larger than the maximum of ${limit}`, method)
}
