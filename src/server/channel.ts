import { type Method, Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Session, VhostCommands } from '../broker/commands.ts'
import { BrokerError } from '../broker/errors.ts'
import type { Consumer, Outcome, Position, Queue, Reply, SharedCredit } from '../broker/ports.ts'
import { countsOf, MessageCounts } from '../broker/statistics/message-counts.ts'
import type { Connection } from './connection.ts'
import type { ConsumerSink } from './consumer-sink.ts'
import type { ReplyConsumer } from './direct-replies.ts'
import { HeldReplies } from './held-replies.ts'
import { Holder } from './holders.ts'
import type { ServerLimits } from './limits.ts'
import { LongTake } from './long-take.ts'
import { ParkedInput } from './parked-input.ts'
import { PendingResult, type ResultOwner } from './pending-result.ts'
import { Publisher } from './publisher.ts'
import { replyFor } from './reply-mapping.ts'
import { type Settler, Unacked } from './unacked.ts'

/**
 *     open ──► closing ──► gone      we sent `channel.close`: all but close and close-ok is dropped (AMQP §1.5.2.5)
 *       │         └──────► crossed   the peer closed as well: its close-ok may still come, or a new open
 *       └────► ending ───► gone      the peer sent `channel.close`: close-ok follows when all is given back
 */
export type ChannelState = 'open' | 'closing' | 'crossed' | 'ending' | 'gone'

/**
 * One channel: its state, its replies in order, what it waits for, its consumers and what they hold. What the methods
 * mean is in `handlers/`, publishing in `publisher.ts`; no bytes here.
 *
 * Invariant: once the channel is not open it writes nothing but its close, and everything it held goes back to the
 * queues, after its consumers have been cancelled, in order.
 */
export class Channel implements ResultOwner, Settler {
  readonly id: number
  readonly connection: Connection
  readonly session: Session
  readonly vhost: VhostCommands
  readonly limits: ServerLimits
  readonly publisher: Publisher
  readonly unacked: Unacked
  readonly consumers = new Map<string, ConsumerSink>()
  readonly counts = new MessageCounts()
  /** The one of them that gets direct replies. */
  replyConsumer: ReplyConsumer | null = null
  /** `basic.qos` with `global`; every consumer of the channel shares it, limited or not. */
  readonly sharedCredit: SharedCredit = { limit: 0, unacked: 0 }
  /** Frames that came while the channel was parked. */
  readonly parked = new ParkedInput()
  nextDeliveryTag = 1
  /** `basic.qos` without `global`: the limit of consumers to come; 0 is unlimited. */
  prefetchCount = 0
  /** The queue declared last, which an empty name stands for. */
  lastQueue = ''
  /** Acks have come in this slice of input that are not handed on. */
  isSettling = false
  #state: ChannelState = 'open'
  readonly #replies: HeldReplies
  #pending: PendingResult<unknown> | null = null
  #waitsForReplies = false
  /** Deliveries were refused because too many are unsettled, or some were being put back. */
  #isHeldBack = false
  #getHolder: Holder | null = null
  readonly #longTake = new LongTake(this)

  constructor(connection: Connection, session: Session, id: number) {
    this.id = id
    this.connection = connection
    this.session = session
    this.vhost = session.vhost
    this.limits = connection.limits
    this.publisher = new Publisher(this)
    this.unacked = new Unacked(this)
    this.#replies = new HeldReplies((method) => connection.output.method(id, method))
  }

  get state(): ChannelState {
    return this.#state
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  // ---------------------------------------------------------------- replies

  /** Sends a reply in its turn; `after` follows it. */
  reply(method: Method | null, committedWith: Position = 0, after: (() => void) | null = null): void {
    this.#replies.add({ method, committedWith, after }, this.connection.broker.topologyCommitted)
    if (!this.#replies.isEmpty) this.connection.repliesHeld()
  }

  /** Whether replies, or confirms of unroutable publishes, wait for the topology. */
  get hasHeldReplies(): boolean {
    return !this.#replies.isEmpty || this.publisher.hasHeldConfirms
  }

  /** The topology is stored up to here. */
  topologyCommitted(committed: Position): void {
    const wasParked = this.isParked
    this.publisher.topologyCommitted(committed)
    this.#replies.commit(committed)
    if (this.#replies.isEmpty) this.#waitsForReplies = false
    if (wasParked && !this.isParked) this.connection.router.channelResumed(this)
  }

  // ---------------------------------------------------------------- parking

  /** The channel's next frame waits: for a result, or for replies that must go first. */
  get isParked(): boolean {
    if (this.#pending !== null || this.#waitsForReplies || this.#longTake.isBusy) return true
    return this.#replies.count >= this.limits.heldRepliesMax
  }

  /** For what writes to the output by itself: false, and parked, while earlier replies are held. */
  get mayWrite(): boolean {
    if (this.#replies.isEmpty) return true
    this.#waitsForReplies = true
    return false
  }

  /**
   * Gives a command to the broker. `use` gets the result, at once or later (then the channel is parked until it comes);
   * `undo` gets it when the channel has been closed in between. A refusal, which `refused` gets before, closes the channel or
   * the connection.
   */
  perform<T>(
    method: number,
    command: (reply: Reply<T>) => void,
    steps: {
      use: (result: T, committedWith: Position) => void
      undo?: (result: T) => void
      refused?: (error: BrokerError) => void
    },
  ): void {
    const fail = (error: BrokerError): void => {
      steps.refused?.(error)
      this.fail(replyFor(error, method))
    }
    const result = new PendingResult<T>(this, { ...steps, fail })
    try {
      command(result)
    } catch (error) {
      if (result.isSettled || !(error instanceof BrokerError)) throw error
      result.failed(error)
    }
    if (!result.isSettled) this.#pending = result as PendingResult<unknown>
  }

  resultCame(result: PendingResult<unknown>): void {
    if (this.#pending !== result) return
    this.#pending = null
    if (!this.isParked) this.connection.router.channelResumed(this)
  }

  contain(step: () => void): void {
    this.connection.contain(step)
  }

  // ---------------------------------------------------------------- deliveries

  /** Whether it may be given deliveries, as far as it is its own affair. */
  get mayHoldMore(): boolean {
    if (this.#state !== 'open') return false
    if (this.unacked.count < this.limits.unackedPerChannelMax && !this.unacked.isRestoring) return true
    this.#isHeldBack = true
    return false
  }

  delivered({ isNoAck, queue }: Consumer, isRedelivered: boolean): void {
    this.counts.delivered(isNoAck, isRedelivered)
    this.vhost.counts.delivered(isNoAck, isRedelivered)
    countsOf(queue.definition).delivered(isNoAck, isRedelivered)
  }

  /** A message by `basic.get`. */
  got(queue: Queue, isNoAck: boolean, isRedelivered: boolean): void {
    this.counts.got(isNoAck, isRedelivered)
    this.vhost.counts.got(isNoAck, isRedelivered)
    countsOf(queue.definition).got(isNoAck, isRedelivered)
  }

  /** Hands on what was settled. */
  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    if (outcome === 'ack') {
      const count = last - first + 1
      this.counts.ack += count
      this.vhost.counts.ack += count
      countsOf(queue.definition).ack += count
    }
    this.vhost.settle(queue, consumer, first, last, outcome)
  }

  /** Whether the consumer has not ended. */
  hasConsumer(sink: ConsumerSink): boolean {
    return this.#state === 'open' && this.consumers.get(sink.tag) === sink
  }

  /** Whose a delivery by `basic.get` is: one holder for as long as the queue stays the same. */
  getHolder(queue: Queue): Holder {
    if (this.#getHolder?.queue !== queue) this.#getHolder = new Holder(queue, null)
    return this.#getHolder
  }

  /** Settles all deliveries up to a tag: at once or, when they are many, in slices while the channel is parked. */
  settleUpTo(lastTag: number, outcome: Outcome, done: () => void = () => {}): void {
    let isLater = false
    this.#longTake.settle(lastTag, outcome, () => {
      if (isLater) this.flushSettled()
      else this.noteSettled()
      if (!this.isOpen) return
      done()
      if (isLater && !this.isParked) this.connection.router.channelResumed(this)
    })
    isLater = true
  }

  /** Something was settled that is to be handed on when the slice of input ends. */
  noteSettled(): void {
    if (!this.isSettling) this.connection.channels.settling(this)
  }

  /** Hands on what has been settled, and wakes consumers that this may have given room. */
  flushSettled(): void {
    this.isSettling = false
    if (!this.unacked.hasOpenRun) return
    this.unacked.flush()
    const isBelow = this.#isHeldBack && this.unacked.count <= this.limits.unackedPerChannelMax / 2
    if (isBelow) this.#isHeldBack = false
    if (isBelow || (this.sharedCredit.limit > 0 && this.consumers.size > 1)) this.resumeConsumers()
  }

  /** What a transaction took is unsettled again: consumers that were refused meanwhile may go on. */
  restored(): void {
    if (!this.#isHeldBack || this.unacked.count >= this.limits.unackedPerChannelMax) return
    this.#isHeldBack = false
    this.resumeConsumers()
  }

  /** Credit or output has room again. */
  resumeConsumers(): void {
    if (this.#state !== 'open') return
    for (const { consumer } of this.consumers.values()) {
      if (consumer !== null) this.vhost.resume(consumer)
    }
  }

  /** No more direct replies come to this channel. */
  endReplies(): void {
    const { replyConsumer } = this
    if (replyConsumer === null) return
    this.replyConsumer = null
    this.connection.parts.directReplies.close(replyConsumer)
    this.consumers.delete(replyConsumer.sink.tag)
  }

  /** The broker ended a consumer. */
  consumerCancelled(sink: ConsumerSink): void {
    if (!this.hasConsumer(sink)) return
    this.consumers.delete(sink.tag)
    if (!this.connection.client.takesCancel) return
    this.reply({ id: Methods.BasicCancel, name: 'basic.cancel', consumerTag: sink.tag, noWait: true })
  }

  // ---------------------------------------------------------------- close

  /** Closes what the error says must be closed; null is a mistake of ours. */
  fail(error: ProtocolError | null): void {
    if (error === null) this.connection.failInternally(new Error('a refusal without a reply'))
    else if (error.scope === 'connection') this.connection.fail(error)
    else this.closeWith(error)
  }

  /** We close the channel: everything it held goes back, and the peer is told why. */
  closeWith(error: ProtocolError): void {
    if (this.#state !== 'open') return
    this.connection.noteError(error, this.id)
    this.#state = 'closing'
    this.#giveBack(() => {})
    this.reply({
      id: Methods.ChannelClose,
      name: 'channel.close',
      replyCode: error.replyCode,
      replyText: error.message,
      classId: error.classId,
      methodId: error.methodId,
    })
  }

  /** The peer closes the channel. */
  closeByPeer(): void {
    const closeOk: Method = { id: Methods.ChannelCloseOk, name: 'channel.close-ok' }
    if (this.#state === 'closing') {
      this.#state = 'crossed'
      this.reply(closeOk)
    }
    if (this.#state !== 'open') return
    this.flushSettled()
    this.#state = 'ending'
    this.#giveBack(() => {
      if (this.#state !== 'ending') return
      this.reply(closeOk, 0, () => {
        this.#state = 'gone'
        this.connection.channels.gone(this)
      })
    })
  }

  /** The peer answers our close. */
  closeOkCame(): void {
    if (this.#state !== 'closing' && this.#state !== 'crossed') return
    this.#state = 'gone'
    this.connection.channels.gone(this)
  }

  /** The connection ends, and the channel with it. Calls back when everything has gone back to the queues. */
  end(done: () => void): void {
    const wasOpen = this.#state === 'open'
    this.#state = 'gone'
    this.#replies.drop()
    if (wasOpen) this.#giveBack(done)
    else done()
  }

  /** Cancels the consumers, so that nothing comes back to this channel, then gives back all it holds, in order. */
  #giveBack(done: () => void): void {
    this.connection.router.dropParked(this)
    this.endReplies()
    let left = 2
    const ended = (): void => {
      if (--left > 0) return
      this.contain(() => {
        // The server stops: no consumer has failed. What they hold goes out again after the next start.
        if (this.connection.isStopping) return done()
        this.#longTake.settle(this.unacked.lastTag, 'fail', () => {
          this.unacked.flush()
          done()
        })
      })
    }
    this.publisher.close(ended)
    this.unacked.flush()
    const sinks = [...this.consumers.values()]
    this.consumers.clear()
    for (const { consumer } of sinks) {
      if (consumer === null) continue
      left++
      consumer.isLeaving = true
      try {
        this.vhost.cancel(consumer, { done: ended, failed: ended })
      } catch (error) {
        // Whatever went wrong, what the channel holds must go back.
        this.connection.failInternally(error)
        ended()
      }
    }
    ended()
  }
}

/** The peer used a channel it has not opened. */
export function notOpened(method = 0): ProtocolError {
  return new ProtocolError(ReplyCodes.ChannelError, "expected 'channel.open'", method)
}
