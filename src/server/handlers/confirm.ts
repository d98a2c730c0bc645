import { type ConfirmSelect, Methods } from '../../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../../amqp/reply-codes.ts'
import type { Channel } from '../channel.ts'
import { Confirms } from '../confirms.ts'

/** RabbitMQ's class confirm (85). */

export function select(channel: Channel, method: ConfirmSelect): void {
  if (channel.publisher.transaction !== null) {
    throw new ProtocolError(ReplyCodes.PreconditionFailed, 'cannot switch from tx to confirm mode', method.id)
  }
  channel.publisher.confirms ??= new Confirms()
  channel.reply(method.noWait ? null : { id: Methods.ConfirmSelectOk, name: 'confirm.select-ok' })
}
