import { readUint64 } from '../../amqp/byte-reader.ts'
import {
  type BasicCancel,
  type BasicConsume,
  type BasicGet,
  type BasicQos,
  Methods,
} from '../../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../../amqp/reply-codes.ts'
import { randomName } from '../../base/random.ts'
import type { BrokerError } from '../../broker/errors.ts'
import type { Consumer, GetSink, Outcome } from '../../broker/ports.ts'
import type { Channel } from '../channel.ts'
import { ConsumerSink } from '../consumer-sink.ts'
import { writeGetOk } from '../message-frames.ts'
import { refuseTaking } from './direct-reply.ts'
import { knownQueue } from './queue.ts'

/** AMQP class basic (60) without publishing, which is `publisher.ts`. */

export function qos(channel: Channel, method: BasicQos): void {
  if (method.prefetchSize !== 0) {
    throw new ProtocolError(ReplyCodes.NotImplemented, `prefetch_size!=0 (${method.prefetchSize})`, method.id)
  }
  if (method.global) {
    channel.sharedCredit.limit = method.prefetchCount
    channel.resumeConsumers()
  } else channel.prefetchCount = method.prefetchCount
  channel.reply({ id: Methods.BasicQosOk, name: 'basic.qos-ok' })
}

// ---------------------------------------------------------------- consumers

export function consume(channel: Channel, method: BasicConsume): void {
  const queue = knownQueue(channel, method.queue, method.id)
  refuseTaking(channel, queue, method.id)
  const tag = tagOf(channel, method)
  checkConsumer(channel, tag)
  const sink = new ConsumerSink(channel, channel.connection.output, tag)
  const args = {
    queue,
    tag,
    isNoAck: method.noAck,
    isExclusive: method.exclusive,
    arguments: method.arguments,
    limit: channel.prefetchCount,
    shared: channel.sharedCredit,
    sink,
  }
  channel.perform<Consumer>(method.id, (reply) => channel.vhost.consume(channel.session, args, reply), {
    use: (consumer, committedWith) => {
      sink.attach(consumer)
      channel.consumers.set(tag, sink)
      const ok = { id: Methods.BasicConsumeOk, name: 'basic.consume-ok', consumerTag: tag } as const
      channel.reply(method.noWait ? null : ok, committedWith, () => activate(channel, sink))
    },
    undo: (consumer) => channel.vhost.cancel(consumer, nobody),
  })
}

/** The tag the client has chosen, or one that is made for it. */
export function tagOf(channel: Channel, { consumerTag }: BasicConsume): string {
  return consumerTag === '' ? `amq.ctag-${randomName(channel.connection.random, 22)}` : consumerTag
}

export function checkConsumer(channel: Channel, tag: string): void {
  const max = channel.limits.consumersPerChannelMax
  if (channel.consumers.has(tag)) {
    throw new ProtocolError(ReplyCodes.NotAllowed, `attempt to reuse consumer tag '${tag}'`, Methods.BasicConsume)
  }
  if (channel.consumers.size < max) return
  throw new ProtocolError(
    ReplyCodes.NotAllowed,
    `reached maximum (${max}) of consumers per channel`,
    Methods.BasicConsume,
  )
}

/** Its consume-ok has gone out. By now the consumer may have been cancelled again. */
function activate(channel: Channel, sink: ConsumerSink): void {
  if (sink.consumer !== null && channel.consumers.get(sink.tag) === sink) channel.vhost.activate(sink.consumer)
}

const nobody = { done: () => {}, failed: () => {} }

/** An unknown tag is answered like a known one: the broker may have cancelled it a moment ago. */
export function cancel(channel: Channel, method: BasicCancel): void {
  const { consumerTag } = method
  const sink = channel.consumers.get(consumerTag)
  const ok = { id: Methods.BasicCancelOk, name: 'basic.cancel-ok', consumerTag } as const
  const consumer = sink?.consumer ?? null
  if (sink !== undefined && channel.replyConsumer?.sink === sink) channel.endReplies()
  if (consumer === null) {
    channel.reply(method.noWait ? null : ok)
    return
  }
  channel.perform<void>(method.id, (reply) => channel.vhost.cancel(consumer, reply), {
    use: (_result, committedWith) => {
      if (channel.consumers.get(consumerTag) === sink) channel.consumers.delete(consumerTag)
      channel.reply(method.noWait ? null : ok, committedWith)
    },
  })
}

// ---------------------------------------------------------------- get

/** False when replies that must go first are still held: then it is tried again. */
export function get(channel: Channel, method: BasicGet): boolean {
  if (!channel.mayWrite) return false
  const queue = knownQueue(channel, method.queue, method.id)
  refuseTaking(channel, queue, method.id)
  const max = channel.limits.unackedPerChannelMax
  if (!method.noAck && channel.unacked.count >= max) {
    throw new ProtocolError(
      ReplyCodes.PreconditionFailed,
      `reached maximum (${max}) of unacknowledged deliveries per channel`,
      method.id,
    )
  }
  channel.perform<Answer>(
    method.id,
    (reply) => {
      channel.vhost.get(channel.session, queue, method.noAck, getSink(channel, method.noAck, reply))
    },
    { use: () => {} },
  )
  return true
}

/** What a get leads to has been written already when its result is done. */
type Answer = 'message' | 'empty'

/** The message is a view for the duration of the call, so it is written here, or given back when nobody wants it. */
function getSink(
  channel: Channel,
  isNoAck: boolean,
  reply: { done(answer: Answer, committedWith: number): void; failed(error: BrokerError): void },
): GetSink {
  return {
    message: (queue, message, sequence, isRedelivered, readyLeft) => {
      channel.contain(() => {
        if (channel.isOpen) {
          const deliveryTag = channel.nextDeliveryTag++
          channel.got(queue, isNoAck, isRedelivered)
          if (!isNoAck) channel.unacked.add(deliveryTag, channel.getHolder(queue), sequence)
          writeGetOk(channel.connection.output, channel.id, message, { deliveryTag, isRedelivered, readyLeft })
        } else {
          message.chunks?.release()
          // Later, because the queue is in the middle of handing this message out.
          const { vhost } = channel
          if (!isNoAck) channel.connection.clock.soon(() => vhost.settle(queue, null, sequence, sequence, 'requeue'))
        }
      })
      reply.done('message', 0)
    },
    empty: () => {
      channel.counts.getEmpty++
      channel.vhost.counts.getEmpty++
      channel.contain(() => {
        if (channel.isOpen)
          channel.connection.output.method(channel.id, { id: Methods.BasicGetEmpty, name: 'basic.get-empty' })
      })
      reply.done('empty', 0)
    },
    failed: (error) => reply.failed(error),
  }
}

// ---------------------------------------------------------------- settle

/** `basic.ack`, `basic.nack` and `basic.reject` as they stand in the frame: the delivery tag, then an octet of flags. */
export function settle(channel: Channel, id: number, buffer: Uint8Array, start: number, end: number): void {
  if (end - start !== 13) {
    throw new ProtocolError(ReplyCodes.FrameError, `${end - start} bytes of arguments where 13 are needed`, id)
  }
  const tag = readUint64(buffer, start + 4)
  const flags = buffer[start + 12] as number
  if (id === Methods.BasicAck) settleTag(channel, id, tag, (flags & 1) !== 0, 'ack')
  else if (id === Methods.BasicNack)
    settleTag(channel, id, tag, (flags & 1) !== 0, (flags & 2) !== 0 ? 'requeue' : 'reject')
  else settleTag(channel, id, tag, false, (flags & 1) !== 0 ? 'fail' : 'reject')
}

/** Tag 0 with `multiple` means all there are, and that may be none (AMQP 0-9-1 §1.8.3.13). */
function settleTag(channel: Channel, id: number, tag: number, multiple: boolean, outcome: Outcome): void {
  const { unacked } = channel
  const { transaction } = channel.publisher
  if (transaction !== null) {
    const taken = tag === 0 && multiple ? unacked.detachAll() : unacked.detach(tag, multiple)
    if (taken === null) throw unknownTag(id, tag)
    transaction.addSettlement(taken, outcome, id)
    return
  }
  if (!multiple) {
    if (!unacked.take(tag, outcome)) throw unknownTag(id, tag)
    channel.noteSettled()
    return
  }
  if (tag !== 0 && !unacked.has(tag)) throw unknownTag(id, tag)
  channel.settleUpTo(tag === 0 ? unacked.lastTag : tag, outcome)
}

function unknownTag(id: number, tag: number): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, `unknown delivery tag ${tag}`, id)
}

/** `basic.recover` and `basic.recover-async`: everything unsettled goes back to its place. */
export function recover(channel: Channel, method: { id: number; requeue: boolean }): void {
  if (!method.requeue) throw new ProtocolError(ReplyCodes.NotImplemented, 'requeue=false', method.id)
  channel.settleUpTo(channel.unacked.lastTag, 'requeue', () => {
    channel.flushSettled()
    if (method.id === Methods.BasicRecover) channel.reply({ id: Methods.BasicRecoverOk, name: 'basic.recover-ok' })
  })
}
