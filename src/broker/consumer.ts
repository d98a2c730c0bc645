import type { FieldTable } from '../amqp/field-table.ts'
import type { ConsumeArguments } from './commands.ts'
import type { Consumer, DeliverySink, Queue, SharedCredit } from './ports.ts'
import { wholeNumber } from './topology/field-values.ts'

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
  isInTurn = false

  constructor(id: number, queue: Queue, priority: number, args: ConsumeArguments) {
    this.id = id
    this.tag = args.tag
    this.queue = queue
    this.sink = args.sink
    this.isNoAck = args.isNoAck
    this.isExclusive = args.isExclusive
    this.priority = priority
    this.limit = args.limit
    this.shared = args.shared
    this.timeoutMs = consumerTimeoutMs(args.arguments)
    this.arguments = args.arguments
  }
}

/** `x-consumer-timeout` of a consumer; what is no positive number means nothing. */
function consumerTimeoutMs(table: FieldTable): number | null {
  const field = table.fields.get('x-consumer-timeout')
  const number = field === undefined ? null : wholeNumber(field)
  return number === null || number <= 0 ? null : Number(number)
}
