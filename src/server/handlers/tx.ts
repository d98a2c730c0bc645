import { Methods } from '../../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../../amqp/reply-codes.ts'
import type { Channel } from '../channel.ts'
import { Transaction } from '../transaction.ts'

/** AMQP class tx (90), with RabbitMQ's semantics (`transaction.ts`). */

export function select(channel: Channel): void {
  if (channel.publisher.confirms !== null) {
    throw new ProtocolError(ReplyCodes.PreconditionFailed, 'cannot switch from confirm to tx mode', Methods.TxSelect)
  }
  channel.publisher.transaction ??= new Transaction(channel)
  channel.reply({ id: Methods.TxSelectOk, name: 'tx.select-ok' })
}

export function commit(channel: Channel): void {
  transactionOf(channel, Methods.TxCommit).commit()
}

export function rollback(channel: Channel): void {
  const transaction = transactionOf(channel, Methods.TxRollback)
  channel.perform<void>(Methods.TxRollback, (reply) => transaction.rollback(() => reply.done(undefined, 0)), {
    use: () => channel.reply({ id: Methods.TxRollbackOk, name: 'tx.rollback-ok' }),
  })
}

function transactionOf(channel: Channel, method: number): Transaction {
  const { transaction } = channel.publisher
  if (transaction !== null) return transaction
  throw new ProtocolError(ReplyCodes.PreconditionFailed, 'channel is not transactional', method)
}
