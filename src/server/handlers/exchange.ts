import {
  type ExchangeBind,
  type ExchangeDeclare,
  type ExchangeDelete,
  type ExchangeUnbind,
  type Method,
  Methods,
} from '../../amqp/methods.generated.ts'
import type { Position, Reply } from '../../broker/ports.ts'
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
  perform<boolean>(channel, method, (reply) => channel.vhost.declareExchange(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeDeclareOk, name: 'exchange.declare-ok' }),
    isChange: (isNew) => isNew,
  })
}

export function remove(channel: Channel, method: ExchangeDelete): void {
  const { exchange, ifUnused } = method
  perform<void>(channel, method, (reply) => channel.vhost.deleteExchange(channel.session, exchange, ifUnused, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeDeleteOk, name: 'exchange.delete-ok' }),
  })
}

export function bind(channel: Channel, method: ExchangeBind): void {
  const args = bindArguments(method)
  perform<boolean>(channel, method, (reply) => channel.vhost.bindExchange(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeBindOk, name: 'exchange.bind-ok' }),
    isChange: (isNew) => isNew,
  })
}

export function unbind(channel: Channel, method: ExchangeUnbind): void {
  const args = bindArguments(method)
  perform<boolean>(channel, method, (reply) => channel.vhost.unbindExchange(channel.session, args, reply), {
    use: answer(channel, method.noWait, { id: Methods.ExchangeUnbindOk, name: 'exchange.unbind-ok' }),
    isChange: (wasThere) => wasThere,
  })
}

function bindArguments(method: ExchangeBind | ExchangeUnbind) {
  const { source, destination, routingKey } = method
  return { source, destination, bindingKey: routingKey, arguments: method.arguments }
}

/** A change of what exists, which is written down. `isChange`: whether a result stands for one; left out: each does. */
export function perform<T>(
  channel: Channel,
  method: Method,
  command: (reply: Reply<T>) => void,
  { use, isChange = () => true }: { use(result: T, committedWith: Position): void; isChange?(result: T): boolean },
): void {
  channel.perform<T>(method.id, command, channel.connection.parts.audit.around(channel, method, { use }, isChange))
}

/** The reply of a command that has no result but its success. */
export function answer(channel: Channel, noWait: boolean, method: Method) {
  return (_result: unknown, committedWith: number): void => channel.reply(noWait ? null : method, committedWith)
}
