import { decodeMethod, type Method, Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Channel } from './channel.ts'
import { directReplyQueue } from './direct-replies.ts'
import * as basic from './handlers/basic.ts'
import * as confirm from './handlers/confirm.ts'
import * as directReply from './handlers/direct-reply.ts'
import * as exchange from './handlers/exchange.ts'
import * as queue from './handlers/queue.ts'
import * as tx from './handlers/tx.ts'

/**
 * The methods of an open channel, but for `basic.publish`: one case each. When you add one: its handler, a line here,
 * and the server's capabilities in `handshake.ts` if clients look for it there.
 *
 * False when the method must wait for replies that go before it; it is then given again.
 */
export function channelMethod(channel: Channel, id: number, buffer: Uint8Array, start: number, end: number): boolean {
  if (channel.publisher.transaction?.isCommitting === true && id !== Methods.ChannelClose) {
    throw new ProtocolError(ReplyCodes.ChannelError, "unexpected command while processing 'tx.commit'", id)
  }
  if (id === Methods.BasicAck || id === Methods.BasicNack || id === Methods.BasicReject) {
    basic.settle(channel, id, buffer, start, end)
    return true
  }
  // Acks that came before must have happened when this does.
  channel.flushSettled()
  const method = decodeMethod(buffer, start, end)
  if (method.id === Methods.BasicGet) return basic.get(channel, method)
  if (method.id === Methods.BasicConsume && method.queue === directReplyQueue)
    return directReply.consume(channel, method)
  deliveryMethod(channel, method)
  return true
}

/** Consuming, and publishing but for the publish itself. */
function deliveryMethod(channel: Channel, method: Method): void {
  switch (method.id) {
    case Methods.BasicConsume:
      basic.consume(channel, method)
      break
    case Methods.BasicCancel:
      basic.cancel(channel, method)
      break
    case Methods.BasicQos:
      basic.qos(channel, method)
      break
    case Methods.BasicRecover:
    case Methods.BasicRecoverAsync:
      basic.recover(channel, method)
      break
    case Methods.ConfirmSelect:
      confirm.select(channel, method)
      break
    case Methods.TxSelect:
      tx.select(channel)
      break
    case Methods.TxCommit:
      tx.commit(channel)
      break
    case Methods.TxRollback:
      tx.rollback(channel)
      break
    default:
      topologyMethod(channel, method)
      break
  }
}

function topologyMethod(channel: Channel, method: Method): void {
  switch (method.id) {
    case Methods.QueueDeclare:
      queue.declare(channel, method)
      break
    case Methods.QueueBind:
      queue.bind(channel, method)
      break
    case Methods.QueueUnbind:
      queue.unbind(channel, method)
      break
    case Methods.QueuePurge:
      queue.purge(channel, method)
      break
    case Methods.QueueDelete:
      queue.remove(channel, method)
      break
    case Methods.ExchangeDeclare:
      exchange.declare(channel, method)
      break
    case Methods.ExchangeDelete:
      exchange.remove(channel, method)
      break
    case Methods.ExchangeBind:
      exchange.bind(channel, method)
      break
    case Methods.ExchangeUnbind:
      exchange.unbind(channel, method)
      break
    default:
      lifeMethod(channel, method)
      break
  }
}

/** The channel's own life, and what needs no answer. */
function lifeMethod(channel: Channel, method: Method): void {
  switch (method.id) {
    case Methods.ChannelClose:
      channel.closeByPeer()
      break
    case Methods.ChannelFlow:
      flow(channel, method.active)
      break
    case Methods.AccessRequest:
      channel.reply({ id: Methods.AccessRequestOk, name: 'access.request-ok', ticket: 1 })
      break
    // Some clients answer a cancel of ours although it says `nowait`.
    case Methods.BasicCancelOk:
    case Methods.ChannelFlowOk:
    case Methods.ChannelCloseOk:
      break
    case Methods.ChannelOpen:
      throw new ProtocolError(ReplyCodes.ChannelError, "second 'channel.open' seen", method.id)
    default:
      throw new ProtocolError(ReplyCodes.CommandInvalid, 'unimplemented method', method.id)
  }
}

/** We do not stop deliveries on request; prefetch is for that. */
function flow(channel: Channel, active: boolean): void {
  if (!active) throw new ProtocolError(ReplyCodes.NotImplemented, 'active=false', Methods.ChannelFlow)
  channel.reply({ id: Methods.ChannelFlowOk, name: 'channel.flow-ok', active: true })
}
