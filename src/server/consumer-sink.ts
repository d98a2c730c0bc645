import { writeUint16, writeUint32, writeUint64 } from '../amqp/byte-writer.ts'
import { FrameTypes, frameEndOctet, frameHeaderBytes, frameOverheadBytes } from '../amqp/frame-decoder.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { encodedBytes, encodeText } from '../amqp/short-string.ts'
import { assert } from '../base/assert.ts'
import type { Message } from '../broker/message.ts'
import type { Consumer, DeliverySink } from '../broker/ports.ts'
import type { Channel } from './channel.ts'
import { Holder } from './holders.ts'
import { copyFrames, writeContent } from './message-frames.ts'
import type { Output } from './output.ts'

/**
 * The server's side of one consumer: turns messages into `basic.deliver` frames.
 *
 * Messages of a consumer mostly come by the same exchange and key, so the method frame is kept as a template and only
 * delivery tag and redelivered are put in. Content that came in one body frame is copied
 * as it came, with the channel number changed.
 *
 *     template: 1 | channel | size | 60 60 | consumer tag | delivery tag | redelivered | exchange, routing key | 0xCE
 *                                                           ^ tagAt                      ^ routeAt
 */
export class ConsumerSink implements DeliverySink {
  readonly tag: string
  /** It stands in the list of `WaitingConsumers`. */
  isWaiting = false
  readonly #channel: Channel
  readonly #output: Output
  readonly #channelId: number
  #holder: Holder | null = null
  #template: Uint8Array
  #templateBytes = 0
  readonly #tagAt: number
  /** Where the template was last written, in the block with this stamp: from there it is copied without a view. */
  #lastAt = 0
  #lastStamp = -1

  constructor(channel: Channel, output: Output, tag: string) {
    this.tag = tag
    this.#channel = channel
    this.#output = output
    this.#channelId = channel.id
    const tagBytes = encodedBytes(tag)
    this.#tagAt = frameHeaderBytes + 4 + 1 + tagBytes
    this.#template = new Uint8Array(this.#tagAt + 9 + 64)
    this.#template[0] = FrameTypes.Method
    writeUint16(this.#template, 1, channel.id)
    writeUint32(this.#template, frameHeaderBytes, Methods.BasicDeliver)
    this.#template[frameHeaderBytes + 4] = tagBytes
    encodeText(tag, this.#template, frameHeaderBytes + 5)
  }

  /** The consumer that this is the sink of; null before the broker has made it, and where the sink is for direct replies. */
  get consumer(): Consumer | null {
    return this.#holder?.consumer ?? null
  }

  attach(consumer: Consumer): void {
    this.#holder = new Holder(consumer.queue, consumer)
  }

  get isReady(): boolean {
    if (!this.#channel.mayHoldMore) return false
    if (this.#output.hasRoom) return true
    this.#channel.connection.waitingConsumers.add(this)
    return false
  }

  /** There may be room again. */
  resume(): void {
    const { consumer } = this
    if (consumer !== null && this.#channel.hasConsumer(this)) this.#channel.vhost.resume(consumer)
  }

  deliver(consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const channel = this.#channel
    try {
      const holder = this.#holder
      assert(holder !== null, 'nothing is delivered before the consumer is activated')
      const deliveryTag = channel.nextDeliveryTag++
      channel.delivered(consumer, isRedelivered)
      if (!consumer.isNoAck) channel.unacked.add(deliveryTag, holder, sequence)
      // A closing channel gives it back when the consumer's end has been confirmed.
      if (channel.isOpen) this.#write(message, deliveryTag, isRedelivered)
      else message.chunks?.release()
    } catch (error) {
      channel.connection.failInternally(error)
    }
  }

  /**
   * A direct reply: nothing holds it and nothing acknowledges it. It is dropped when so much waits for a peer that does not
   * read.
   */
  reply(message: Message): void {
    const channel = this.#channel
    if (!channel.isOpen || this.#output.waitingBytes >= channel.limits.replyOutputBytesMax) return
    try {
      this.#write(message, channel.nextDeliveryTag++, false)
    } catch (error) {
      channel.connection.failInternally(error)
    }
  }

  cancelled(_consumer: Consumer): void {
    this.#channel.consumerCancelled(this)
  }

  leaseEnded(_consumer: Consumer, sequence: number): void {
    if (this.#holder !== null) this.#channel.unacked.disown(this.#holder, sequence)
  }

  #write(message: Message, deliveryTag: number, isRedelivered: boolean): void {
    if (!this.#hasRouteOf(message)) this.#takeRoute(message)
    const output = this.#output
    const methodBytes = this.#templateBytes
    const at = output.reserve(message.isFrames ? methodBytes + message.contentEnd - message.contentStart : methodBytes)
    const to = output.buffer
    if (output.stamp === this.#lastStamp) to.copyWithin(at, this.#lastAt, this.#lastAt + methodBytes)
    else to.set(this.#template.subarray(0, methodBytes), at)
    this.#lastStamp = output.stamp
    this.#lastAt = at
    const tagAt = at + this.#tagAt
    writeUint64(to, tagAt, deliveryTag)
    to[tagAt + 8] = isRedelivered ? 1 : 0
    if (message.isFrames) copyFrames(message, to, at + methodBytes, this.#channelId)
    else writeContent(output, this.#channelId, message)
  }

  #hasRouteOf(message: Message): boolean {
    const template = this.#template
    const { buffer, routeStart } = message
    let own = this.#templateBytes - 2
    let at = message.routeEnd - 1
    if (own - at !== this.#tagAt + 9 - routeStart) return false
    for (; at >= routeStart; at--, own--) {
      if (template[own] !== buffer[at]) return false
    }
    return true
  }

  #takeRoute(message: Message): void {
    const routeAt = this.#tagAt + 9
    const routeBytes = message.routeEnd - message.routeStart
    const bytes = routeAt + routeBytes + 1
    if (bytes > this.#template.length) {
      const larger = new Uint8Array(this.#tagAt + 9 + 512 + 1)
      larger.set(this.#template.subarray(0, routeAt))
      this.#template = larger
    }
    this.#template.set(message.buffer.subarray(message.routeStart, message.routeEnd), routeAt)
    this.#template[bytes - 1] = frameEndOctet
    writeUint32(this.#template, 3, bytes - frameOverheadBytes)
    this.#templateBytes = bytes
    this.#lastStamp = -1
  }
}
