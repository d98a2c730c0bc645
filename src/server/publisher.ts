import { deliveryModeOf, flagsOf, PropertyFlags } from '../amqp/content-header.ts'
import { changeFields, type FieldTable } from '../amqp/field-table.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { MessageCopy, propertiesOf } from '../broker/dead-letter/message-copy.ts'
import { chunkBytes, Message } from '../broker/message.ts'
import type { BodyWriter, ConfirmSink, Position } from '../broker/ports.ts'
import { countUnroutable } from '../broker/statistics/counting.ts'
import type { Channel } from './channel.ts'
import type { Confirms, ConfirmWriter } from './confirms.ts'
import { Content } from './content.ts'
import type { DirectReplies } from './direct-replies.ts'
import { framesPerLook, type SmallPublish } from './frame-loop.ts'
import { HeldConfirms } from './held-confirms.ts'
import { isLeasePublish, LeaseExtension } from './lease-extension.ts'
import { DiscardedBody, MemoryBody } from './memory-body.ts'
import { writeConfirm, writeReturn } from './message-frames.ts'
import { consequentialFlags, PublishRequest } from './publish-request.ts'
import { ManyKeysTarget, type PublishTarget, RouteCache } from './route-cache.ts'
import type { Transaction } from './transaction.ts'

/**
 * The publishing half of a channel: content in, messages to the vhost, returns and confirms back.
 *
 * A message takes one of two ways. Small ones that lie in the read buffer as a whole go on from there (`small`); all
 * others are put together by `Content` (`begin`, `header`, `body`). Both end in `#publish`.
 *
 * A return goes out at once and confirms when the turn ends, so a return is always ahead of its confirm.
 */
export class Publisher implements ConfirmSink, ConfirmWriter {
  readonly content: Content
  /** Set by `confirm.select`. */
  confirms: Confirms | null = null
  /** Set by `tx.select`. */
  transaction: Transaction | null = null
  readonly #channel: Channel
  readonly #routes = new RouteCache()
  readonly #message = new Message()
  /** Of the large message whose body is coming in. */
  #target: PublishTarget | null = null
  #isDirty = false
  readonly #request = new PublishRequest()
  /** The message at hand is not simply passed on: it is rewritten, a reply, or no message at all. */
  #isParticular = false
  #heldConfirms: HeldConfirms | null = null
  #leases: LeaseExtension | null = null

  constructor(channel: Channel) {
    this.#channel = channel
    this.content = new Content(channel.connection.arena)
  }

  /** Whether one more publish may be numbered. */
  get hasRoom(): boolean {
    return this.confirms === null || this.confirms.waiting < this.#channel.limits.unconfirmedPerChannelMax
  }

  get #directReplies(): DirectReplies {
    return this.#channel.connection.parts.directReplies
  }

  /** Content is coming in that only extends a lease. */
  get isLeaseComing(): boolean {
    const { content } = this
    return !content.isIdle && isLeasePublish(content.method, 0, content.methodBytes)
  }

  // ---------------------------------------------------------------- in

  /** A message whose frames lie in the read buffer as they came. */
  small(parts: SmallPublish): void {
    const message = this.#message
    this.#channel.connection.publishedBytes += parts.contentEnd - parts.contentStart
    const { buffer, methodStart, methodEnd, headerStart, headerEnd } = parts
    message.buffer = buffer
    message.routeStart = methodStart + 2
    message.routeEnd = methodEnd - 1
    message.contentStart = parts.contentStart
    message.contentEnd = parts.contentEnd
    message.isFrames = true
    message.bodyBytes = parts.bodyBytes
    message.chunks = null
    this.#publish(this.#address(this.#routes.find(buffer, methodStart, methodEnd), headerStart, headerEnd))
  }

  /** `basic.publish`, the arguments only. */
  begin(buffer: Uint8Array, start: number, end: number): void {
    this.content.begin(buffer, start, end)
  }

  header(buffer: Uint8Array, start: number, end: number): void {
    const content = this.content
    this.#channel.connection.publishedBytes += end - start
    const bodyBytes = content.header(buffer, start, end, this.#channel.limits.messageBytesMax)
    if (bodyBytes === 0) this.#complete()
    else if (bodyBytes > chunkBytes) content.large(this.#openLarge(bodyBytes))
  }

  body(buffer: Uint8Array, start: number, end: number): void {
    this.#channel.connection.publishedBytes += end - start
    if (this.content.body(buffer, start, end)) this.#complete()
  }

  /** Where the large body goes that begins now: its message is routed before the body comes. */
  #openLarge(bodyBytes: number): BodyWriter {
    const { content } = this
    const message = this.#message
    content.view(message)
    const found = this.#routes.find(content.method, 0, content.methodBytes)
    const target = this.#address(found, content.headerStart, content.headerEnd)
    this.#target = target
    if (target.route.count > 0) {
      return this.#channel.vhost.openBody(target.route, message.isPersistent, bodyBytes)
    }
    const { replyBytesMax, returnedBytesMax } = this.#channel.limits
    if (this.#directReplies.hasAny(this.#channel.vhost, target.replyNames)) {
      if (bodyBytes <= replyBytesMax) return new MemoryBody(bodyBytes)
      throw failure(`direct reply of ${bodyBytes} bytes is larger than ${replyBytesMax}, what can be delivered`)
    }
    if (!target.isMandatory) return new DiscardedBody(bodyBytes)
    if (bodyBytes <= returnedBytesMax) return new MemoryBody(bodyBytes)
    const max = returnedBytesMax
    throw failure(`unroutable mandatory message of ${bodyBytes} bytes is larger than ${max}, what can be returned`)
  }

  #complete(): void {
    const { content } = this
    const message = this.#message
    content.view(message)
    const known = this.#target
    this.#target = null
    try {
      if (known !== null) this.#publish(known)
      else {
        const found = this.#routes.find(content.method, 0, content.methodBytes)
        this.#publish(this.#address(found, content.headerStart, content.headerEnd))
      }
    } catch (error) {
      content.drop()
      throw error
    }
    content.finish()
  }

  // ---------------------------------------------------------------- on

  /**
   * Checks the message at hand, whose header payload is `message.buffer[start..end)`, and finds where it goes. RabbitMQ's
   * order: the right to write, the exchange, internal or not; a direct reply that is asked for; expiration; CC and BCC;
   * rights on topics; user id.
   */
  #address(target: PublishTarget, start: number, end: number): PublishTarget {
    const message = this.#message
    const { buffer } = message
    const flags = flagsOf(buffer, start, end)
    message.isPersistent =
      (flags & PropertyFlags.deliveryMode) !== 0 && deliveryModeOf(buffer, start, end) === persistentMode
    message.traits = null
    this.#isParticular = !target.isUsual
    if ((flags & consequentialFlags) !== 0 || !target.isUsual) {
      this.#request.read(buffer, start, end, flags)
      if (!this.#request.isPlain) return this.#addressParticular(target)
    }
    this.#resolve(target)
    return target
  }

  #addressParticular(target: PublishTarget): PublishTarget {
    const request = this.#request
    const { vhost, session, connection, replyConsumer } = this.#channel
    refuseImmediate(target)
    if (!this.#isResolved(target)) vhost.checkPublish(session, target.exchange)
    if (request.wantsReply && replyConsumer === null) throw failure('fast reply consumer does not exist')
    this.#message.traits = request.check(connection.clock.now())
    const { moreKeys } = request
    const all = moreKeys.length === 0 ? target : new ManyKeysTarget(target, moreKeys)
    if (moreKeys.length > 0) connection.spend(moreKeys.length)
    this.#resolve(all)
    request.checkUserId(session.principal)
    if (request.wantsReply || request.hasBcc || !all.isUsual) this.#isParticular = true
    return all
  }

  #isResolved({ route }: PublishTarget): boolean {
    return route.isCacheable && route.version === this.#channel.vhost.routingVersion
  }

  #resolve(target: PublishTarget): void {
    refuseImmediate(target)
    if (this.#isResolved(target)) return
    const { route } = target
    const { vhost, session } = this.#channel
    route.isCacheable = false
    // Through many bindings this takes as long as hundreds of publishes whose route is known.
    this.#channel.connection.spend(framesPerLook)
    vhost.resolve(session, target.exchange, target.routingKey, this.#message, route, target.moreKeys)
  }

  #publish(target: PublishTarget): void {
    if (this.#isParticular) this.#publishParticular(target)
    else this.#pass(this.#message, target)
  }

  #publishParticular(target: PublishTarget): void {
    const request = this.#request
    const message = this.#message
    if (target.isLease) {
      this.#leases ??= new LeaseExtension(this.#channel)
      const sequence = this.#number()
      const wasExtended = this.#leases.extend(request)
      this.#giveBack(message, target.isMandatory && !wasExtended)
      this.#confirmLater(sequence)
      return
    }
    const isForSomebody = target.route.count > 0 || this.#directReplies.hasAny(this.#channel.vhost, target.replyNames)
    // What comes back to its publisher is as it was.
    const isRewritten = isForSomebody && (request.wantsReply || request.hasBcc)
    this.#pass(isRewritten ? this.#rewritten(message) : message, target)
  }

  /** The message without BCC, and with the name under which this channel gets its replies. */
  #rewritten(message: Message): Message {
    const request = this.#request
    const properties = propertiesOf(message)
    const changes: { replyTo?: string; headers?: FieldTable } = {}
    const replyTo = this.#channel.replyConsumer?.name
    if (request.wantsReply && replyTo !== undefined) changes.replyTo = replyTo
    if (request.hasBcc && properties.headers !== null) {
      changes.headers = changeFields(properties.headers, new Map([['BCC', null]]))
    }
    return rewriting.fill(message, properties, changes, null)
  }

  #pass(message: Message, target: PublishTarget): void {
    const { confirms, transaction } = this
    if (transaction !== null) {
      transaction.addPublish(message, target)
      return
    }
    const { route } = target
    const sequence = this.#number()
    this.#channel.counts.publish++
    if (route.count === 0) {
      this.passBesides(message, target)
      this.#confirmLater(sequence)
      return
    }
    if (route.count > queuesPerFrame) this.#channel.connection.spend(route.count / queuesPerFrame)
    if (target.replyNames.length > 0) this.replyBesides(message, target)
    this.#channel.vhost.publish(route, message, confirms === null ? null : this, sequence)
  }

  /** A message that no queue gets: to those who wait for it as a reply, else back to its publisher if that was asked for. */
  passBesides(message: Message, target: ReplyTarget): void {
    const wasTaken = target.replyNames.length > 0 && this.#reply(message, target)
    const { counts, vhost } = this.#channel
    const { exchangeCounts } = target.route
    vhost.counts.publish++
    if (exchangeCounts !== null) exchangeCounts.publishIn++
    if (!wasTaken) {
      countUnroutable(counts, target.isMandatory)
      countUnroutable(vhost.counts, target.isMandatory)
    }
    this.#giveBack(message, target.isMandatory && !wasTaken)
  }

  /** What waits for a message among queues' messages as well. A large body is on its way into a log then, and not read. */
  replyBesides(message: Message, target: ReplyTarget): void {
    if (target.replyNames.length > 0 && message.chunks === null) this.#reply(message, target)
  }

  #reply(message: Message, { replyNames }: ReplyTarget): boolean {
    return this.#directReplies.deliver(this.#channel.vhost, replyNames, message)
  }

  #giveBack(message: Message, isReturned: boolean): void {
    const { connection, id } = this.#channel
    if (isReturned) writeReturn(connection.output, id, message)
    else message.chunks?.release()
  }

  // ---------------------------------------------------------------- confirms

  /** The number of a publish; 0 where nobody wants its confirm. */
  #number(): number {
    return this.confirms === null ? 0 : this.confirms.open()
  }

  /** Confirms what no queue got once the topology by which it was routed is stored; as a rule it is. */
  #confirmLater(sequence: number): void {
    if (sequence === 0) return
    const pending = this.#channel.connection.broker.topologyPending
    if (pending === 0 && !this.hasHeldConfirms) {
      this.confirm(sequence)
      return
    }
    this.#heldConfirms ??= new HeldConfirms()
    this.#heldConfirms.add(pending, sequence)
    this.#channel.connection.repliesHeld()
  }

  get hasHeldConfirms(): boolean {
    return this.#heldConfirms?.isEmpty === false
  }

  topologyCommitted(committed: Position): void {
    this.#heldConfirms?.release(committed, this)
  }

  confirm(sequence: number): void {
    this.#channel.counts.confirm++
    this.#channel.vhost.counts.confirm++
    this.confirms?.confirm(sequence)
    if (!this.#isDirty) this.#waitForTurnEnd()
  }

  refuse(sequence: number): void {
    this.confirms?.refuse(sequence)
    if (!this.#isDirty) this.#waitForTurnEnd()
  }

  #waitForTurnEnd(): void {
    this.#isDirty = true
    this.#channel.connection.channels.confirming(this.#channel)
  }

  /** Sends the confirms of this turn. */
  flush(): void {
    this.#isDirty = false
    if (this.#channel.isOpen) this.confirms?.flush(this)
  }

  ack(sequence: number, multiple: boolean): void {
    writeConfirm(this.#channel.connection.output, this.#channel.id, Methods.BasicAck, { sequence, multiple })
  }

  nack(sequence: number, multiple: boolean): void {
    writeConfirm(this.#channel.connection.output, this.#channel.id, Methods.BasicNack, { sequence, multiple })
  }

  // ---------------------------------------------------------------- close

  /** The channel ends; calls back, perhaps later, when what a transaction took is back with the channel. */
  close(done: () => void): void {
    this.#target = null
    this.content.drop()
    this.#heldConfirms?.drop()
    this.#leases?.close()
    if (this.transaction === null) done()
    else this.transaction.drop(done)
  }
}

/** What of a target concerns those besides queues. */
export type ReplyTarget = Pick<PublishTarget, 'replyNames' | 'isMandatory' | 'route'>

const persistentMode = 2
/** Gets one message at a time, which is passed on at once. */
const rewriting = new MessageCopy()
/** Entering a message in so many queues is as much work as a publish to one. */
const queuesPerFrame = 8

function refuseImmediate({ isImmediate }: PublishTarget): void {
  if (isImmediate) throw new ProtocolError(ReplyCodes.NotImplemented, 'immediate=true', Methods.BasicPublish)
}

function failure(text: string): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, text, Methods.BasicPublish)
}
