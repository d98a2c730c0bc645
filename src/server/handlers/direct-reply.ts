import { type BasicConsume, Methods, type QueueDeclare } from '../../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../../amqp/reply-codes.ts'
import { shown, withoutLineBreaks } from '../../broker/topology/names.ts'
import type { Channel } from '../channel.ts'
import { ConsumerSink } from '../consumer-sink.ts'
import { directReplyPrefix, directReplyQueue } from '../direct-replies.ts'
import { checkConsumer, tagOf } from './basic.ts'

/**
 * What methods mean for `amq.rabbitmq.reply-to` and the names made from it (`direct-replies.ts`). There is no such queue,
 * so it needs no permission, and what is not here ends as for any queue that does not exist.
 */

/** False when replies that must go first are still held: then it is tried again. */
export function consume(channel: Channel, method: BasicConsume): boolean {
  // Its consume-ok must be out before the first reply can come.
  if (!channel.mayWrite) return false
  const consumerTag = tagOf(channel, method)
  checkConsumer(channel, consumerTag)
  if (!method.noAck) throw failure('reply consumer cannot acknowledge')
  if (channel.replyConsumer !== null) throw failure('reply consumer already set')
  const sink = new ConsumerSink(channel, channel.connection.output, consumerTag)
  channel.consumers.set(consumerTag, sink)
  channel.replyConsumer = channel.connection.parts.directReplies.open(channel, sink)
  channel.reply(method.noWait ? null : { id: Methods.BasicConsumeOk, name: 'basic.consume-ok', consumerTag })
  return true
}

/** Nothing is declared, whatever the method says: it asks whether the one who waits for replies is still there. */
export function declare(channel: Channel, method: QueueDeclare): void {
  const queue = withoutLineBreaks(method.queue)
  if (queue !== directReplyQueue && !hasConsumer(channel, queue)) {
    const text = `no ${shown('queue', queue, channel.vhost.name)}`
    throw new ProtocolError(ReplyCodes.NotFound, text, Methods.QueueDeclare)
  }
  channel.lastQueue = queue
  const ok = { id: Methods.QueueDeclareOk, name: 'queue.declare-ok', queue, messageCount: 0, consumerCount: 1 } as const
  channel.reply(method.noWait ? null : ok)
}

/** Throws when a binding would lead to a channel's replies. */
export function refuseBinding(queue: string, method: number): void {
  if (!withoutLineBreaks(queue).startsWith(directReplyPrefix)) return
  const text = 'cannot bind or unbind to a volatile (direct reply-to) queue'
  throw new ProtocolError(ReplyCodes.AccessRefused, text, method)
}

/** Throws when somebody waits for replies under this name: they come to that consumer and to nobody else. */
export function refuseTaking(channel: Channel, name: string, method: number): void {
  if (!name.startsWith(directReplyPrefix) || !hasConsumer(channel, name)) return
  const queue = shown('queue', name, channel.vhost.name)
  if (method === Methods.BasicGet) {
    throw new ProtocolError(ReplyCodes.NotImplemented, `basic.get not supported by volatile ${queue}`, method)
  }
  const isOwn = channel.replyConsumer?.name === name
  const text = isOwn ? 'multiple consumers are unsupported for' : 'only creator channel may consume from'
  throw new ProtocolError(ReplyCodes.PreconditionFailed, `${text} ${queue}`, method)
}

function hasConsumer(channel: Channel, name: string): boolean {
  return channel.connection.parts.directReplies.has(channel.vhost, name)
}

function failure(text: string): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, text, Methods.BasicConsume)
}
