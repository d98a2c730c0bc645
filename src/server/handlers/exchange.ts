import {
  type ExchangeBind,
  type ExchangeDeclare,
  type ExchangeDelete,
  type ExchangeUnbind,
  type Method,
  Methods,
} from '../../amqp/methods.generated.ts'
import type { Channel } from '../channel.ts'

/** AMQP class exchange (40). */

export function declare(channel: Channel, method: ExchangeDeclare): void {
  const args = {
    name: method.exchange,
    type: method.type,
    isPassive: method.passive,
    isDurable: method.durable,
    isAutoDelete: method.autoDelete,
    isInternal: method.internal,
    arguments: method.arguments,
  }
  channel.perform<void>(method.id, (reply) => channel.vhost.declareExchange(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeDeclareOk, name: 'exchange.declare-ok' }),
  })
}

export function remove(channel: Channel, method: ExchangeDelete): void {
  const { exchange, ifUnused } = method
  channel.perform<void>(
    method.id,
    (reply) => channel.vhost.deleteExchange(channel.session, exchange, ifUnused, reply),
    {
      use: answer(channel, method.noWait, { id: Methods.ExchangeDeleteOk, name: 'exchange.delete-ok' }),
    },
  )
}

export function bind(channel: Channel, method: ExchangeBind): void {
  const args = bindArguments(method)
  channel.perform<void>(method.id, (reply) => channel.vhost.bindExchange(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeBindOk, name: 'exchange.bind-ok' }),
  })
}

export function unbind(channel: Channel, method: ExchangeUnbind): void {
  const args = bindArguments(method)
  channel.perform<void>(method.id, (reply) => channel.vhost.unbindExchange(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeUnbindOk, name: 'exchange.unbind-ok' }),
  })
}

function bindArguments(method: ExchangeBind | ExchangeUnbind) {
  const { source, destination, routingKey } = method
  return { source, destination, bindingKey: routingKey, arguments: method.arguments }
}

/** The reply of a command that has no result but its success. */
export function answer(channel: Channel, noWait: boolean, method: Method) {
  return (_result: unknown, committedWith: number): void => channel.reply(noWait ? null : method, committedWith)
}
