import type { FieldTable } from '../amqp/field-table.ts'
import type { ConsumeArguments } from './commands.ts'
import type { Consumer, DeliverySink, Queue, SharedCredit } from './ports.ts'

/** A consumer as it is registered with its queue's shard, which from then on keeps what changes. */
export class RegisteredConsumer implements Consumer {
  readonly id: number
  readonly tag: string
  readonly queue: Queue
  readonly sink: DeliverySink
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  readonly priority: number
  readonly limit: number
  readonly shared: SharedCredit | null
  readonly timeoutMs: number | null
  readonly arguments: FieldTable
  unacked = 0
  isActive = false
  isLeaving = false
  isInTurn = false

  constructor(
    id: number,
    queue: Queue,
    checked: { readonly priority: number; readonly timeoutMs: number | null },
    args: ConsumeArguments,
  ) {
    this.id = id
    this.tag = args.tag
    this.queue = queue
    this.sink = args.sink
    this.isNoAck = args.isNoAck
    this.isExclusive = args.isExclusive
    this.priority = checked.priority
    this.limit = args.limit
    this.shared = args.shared
    this.timeoutMs = checked.timeoutMs
    this.arguments = args.arguments
  }
}
