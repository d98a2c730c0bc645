import {
  Methods,
  type QueueBind,
  type QueueDeclare,
  type QueueDelete,
  type QueuePurge,
  type QueueUnbind,
} from '../../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../../amqp/reply-codes.ts'
import type { Declared } from '../../broker/commands.ts'
import type { Channel } from '../channel.ts'
import { directReplyQueue } from '../direct-replies.ts'
import * as directReply from './direct-reply.ts'
import { answer, perform } from './exchange.ts'

/** AMQP class queue (50). An empty queue name stands for the queue this channel declared last (AMQP 0-9-1 §1.7.2.1). */

export function declare(channel: Channel, method: QueueDeclare): void {
  if (method.queue.startsWith(directReplyQueue)) {
    directReply.declare(channel, method)
    return
  }
  const args = {
    // Passive, there is nothing to make a name for.
    name: method.queue === '' && method.passive ? knownQueue(channel, '', method.id) : method.queue,
    isPassive: method.passive,
    isDurable: method.durable,
    isExclusive: method.exclusive,
    isAutoDelete: method.autoDelete,
    arguments: method.arguments,
  }
  perform<Declared>(channel, method, (reply) => channel.vhost.declareQueue(channel.session, args, reply), {
    use: (declared, committedWith) => {
      channel.lastQueue = declared.name
      const ok = {
        id: Methods.QueueDeclareOk,
        name: 'queue.declare-ok',
        queue: declared.name,
        messageCount: counter(declared.ready),
        consumerCount: counter(declared.consumers),
      } as const
      channel.reply(method.noWait ? null : ok, committedWith)
    },
    isChange: ({ isNew }) => isNew,
  })
}

export function bind(channel: Channel, method: QueueBind): void {
  const args = bindArguments(channel, method)
  perform<boolean>(channel, method, (reply) => channel.vhost.bindQueue(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.QueueBindOk, name: 'queue.bind-ok' }),
    isChange: (isNew) => isNew,
  })
}

export function unbind(channel: Channel, method: QueueUnbind): void {
  const args = bindArguments(channel, method)
  perform<boolean>(channel, method, (reply) => channel.vhost.unbindQueue(channel.session, args, reply), {
    use: answer(channel, false, { id: Methods.QueueUnbindOk, name: 'queue.unbind-ok' }),
    isChange: (wasThere) => wasThere,
  })
}

export function purge(channel: Channel, method: QueuePurge): void {
  const queue = knownQueue(channel, method.queue, method.id)
  perform<number>(channel, method, (reply) => channel.vhost.purgeQueue(channel.session, queue, reply), {
    use: (count, committedWith) => {
      const ok = { id: Methods.QueuePurgeOk, name: 'queue.purge-ok', messageCount: counter(count) } as const
      channel.reply(method.noWait ? null : ok, committedWith)
    },
  })
}

export function remove(channel: Channel, method: QueueDelete): void {
  const queue = knownQueue(channel, method.queue, method.id)
  const conditions = { ifUnused: method.ifUnused, ifEmpty: method.ifEmpty }
  perform<number>(channel, method, (reply) => channel.vhost.deleteQueue(channel.session, queue, conditions, reply), {
    use: (count, committedWith) => {
      const ok = { id: Methods.QueueDeleteOk, name: 'queue.delete-ok', messageCount: counter(count) } as const
      channel.reply(method.noWait ? null : ok, committedWith)
    },
  })
}

/** With neither queue nor key, the name of the queue declared last is the key as well. */
function bindArguments(channel: Channel, method: QueueBind | QueueUnbind) {
  const destination = knownQueue(channel, method.queue, method.id)
  directReply.refuseBinding(destination, method.id)
  const bindingKey = method.queue === '' && method.routingKey === '' ? destination : method.routingKey
  return { source: method.exchange, destination, bindingKey, arguments: method.arguments }
}

/** The queue a name means: itself, or for an empty one the queue declared last. */
export function knownQueue(channel: Channel, name: string, method: number): string {
  if (name !== '') return name
  if (channel.lastQueue !== '') return channel.lastQueue
  throw new ProtocolError(ReplyCodes.NotFound, 'no previously declared queue', method)
}

/** A count as 32 bits hold it. */
export function counter(count: number): number {
  return Math.min(count, 0xffff_ffff)
}
