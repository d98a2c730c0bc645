import { deliveryModeOf, expirationOf, flagsOf, PropertyFlags, userIdOf } from '../amqp/content-header.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { chunkBytes, Message } from '../broker/message.ts'
import type { BodyWriter, ConfirmSink } from '../broker/ports.ts'
import type { Channel } from './channel.ts'
import type { Confirms, ConfirmWriter } from './confirms.ts'
import { Content } from './content.ts'
import { framesPerLook, type SmallPublish } from './frame-loop.ts'
import { DiscardedBody, MemoryBody } from './memory-body.ts'
import { writeConfirm, writeReturn } from './message-frames.ts'
import { type PublishTarget, RouteCache } from './route-cache.ts'
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

  constructor(channel: Channel) {
    this.#channel = channel
    this.content = new Content(channel.connection.arena)
  }

  /** Whether one more publish may be numbered. */
  get hasRoom(): boolean {
    return this.confirms === null || this.confirms.waiting < this.#channel.limits.unconfirmedPerChannelMax
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
    this.#readHeader(buffer, headerStart, headerEnd)
    const target = this.#routes.find(buffer, methodStart, methodEnd)
    this.#resolve(target)
    this.#publish(target)
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
    this.#readHeader(message.buffer, content.headerStart, content.headerEnd)
    const target = this.#routes.find(content.method, 0, content.methodBytes)
    this.#resolve(target)
    this.#target = target
    if (target.route.count > 0) {
      return this.#channel.vhost.openBody(target.route, message.isPersistent, bodyBytes)
    }
    if (!target.isMandatory) return new DiscardedBody(bodyBytes)
    if (bodyBytes > this.#channel.limits.returnedBytesMax) {
      const max = this.#channel.limits.returnedBytesMax
      throw failure(`unroutable mandatory message of ${bodyBytes} bytes is larger than ${max}, what can be returned`)
    }
    return new MemoryBody(bodyBytes)
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
        this.#readHeader(message.buffer, content.headerStart, content.headerEnd)
        const target = this.#routes.find(content.method, 0, content.methodBytes)
        this.#resolve(target)
        this.#publish(target)
      }
    } catch (error) {
      content.drop()
      throw error
    }
    content.finish()
  }

  // ---------------------------------------------------------------- on

  /** What the broker wants to know of the properties, and what RabbitMQ refuses in them. */
  #readHeader(buffer: Uint8Array, start: number, end: number): void {
    const flags = flagsOf(buffer, start, end)
    this.#message.isPersistent =
      (flags & PropertyFlags.deliveryMode) !== 0 && deliveryModeOf(buffer, start, end) === persistentMode
    if ((flags & (PropertyFlags.userId | PropertyFlags.expiration)) !== 0) this.#checkProperties(buffer, start, end)
  }

  #checkProperties(buffer: Uint8Array, start: number, end: number): void {
    const expiration = expirationOf(buffer, start, end)
    if (expiration !== null && !/^\d{1,15}$/.test(expiration)) {
      throw failure(`invalid expiration '${expiration}': a number of milliseconds is needed`)
    }
    const userId = userIdOf(buffer, start, end)
    const { username, tags } = this.#channel.session.principal
    if (userId === null || userId === username || tags.includes('impersonator')) return
    throw failure(`user_id property set to '${userId}' but authenticated user was '${username}'`)
  }

  #resolve(target: PublishTarget): void {
    if (target.isImmediate) {
      throw new ProtocolError(ReplyCodes.NotImplemented, 'immediate=true', Methods.BasicPublish)
    }
    const { route } = target
    const { vhost, session } = this.#channel
    if (route.isCacheable && route.version === vhost.routingVersion) return
    route.isCacheable = false
    // Through many bindings this takes as long as hundreds of publishes whose route is known.
    this.#channel.connection.spend(framesPerLook)
    vhost.resolve(session, target.exchange, target.routingKey, this.#message, route)
  }

  #publish(target: PublishTarget): void {
    const { confirms, transaction } = this
    if (transaction !== null) {
      transaction.addPublish(this.#message, target)
      return
    }
    const sequence = confirms === null ? 0 : confirms.open()
    if (target.route.count > 0) {
      if (target.route.count > queuesPerFrame) this.#channel.connection.spend(target.route.count / queuesPerFrame)
      this.#channel.vhost.publish(target.route, this.#message, confirms === null ? null : this, sequence)
      return
    }
    this.giveBack(this.#message, target.isMandatory)
    if (confirms !== null) this.confirm(sequence)
  }

  /** An unroutable message: to its publisher if that was asked for, else it is forgotten. */
  giveBack(message: Message, isMandatory: boolean): void {
    const { connection, id } = this.#channel
    if (isMandatory) writeReturn(connection.output, id, message)
    else message.chunks?.release()
  }

  // ---------------------------------------------------------------- confirms

  confirm(sequence: number): void {
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
    if (this.transaction === null) done()
    else this.transaction.drop(done)
  }
}

const persistentMode = 2
/** Entering a message in so many queues is as much work as a publish to one. */
const queuesPerFrame = 8

function failure(text: string): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, text, Methods.BasicPublish)
}
