/**
 * One vhost as a channel sees it. The shape is final, the commands follow.
 */
import type {
  BindArguments,
  ConsumeArguments,
  Declared,
  ExchangeArguments,
  QueueArguments,
  Route,
  Session,
  VhostCommands,
} from './commands.ts'
import { BrokerError } from './errors.ts'
import type { Message } from './message.ts'
import type { BodyWriter, ConfirmSink, Consumer, GetSink, Outcome, Queue, Reply } from './ports.ts'

export class Vhost implements VhostCommands {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  get routingVersion(): number {
    return 0
  }

  declareExchange(_session: Session, _args: ExchangeArguments, reply: Reply<void>): void {
    reply.failed(missing())
  }

  deleteExchange(_session: Session, _name: string, _ifUnused: boolean, reply: Reply<void>): void {
    reply.failed(missing())
  }

  bindExchange(_session: Session, _args: BindArguments, reply: Reply<void>): void {
    reply.failed(missing())
  }

  unbindExchange(_session: Session, _args: BindArguments, reply: Reply<void>): void {
    reply.failed(missing())
  }

  declareQueue(_session: Session, _args: QueueArguments, reply: Reply<Declared>): void {
    reply.failed(missing())
  }

  deleteQueue(
    _session: Session,
    _name: string,
    _conditions: { ifUnused: boolean; ifEmpty: boolean },
    reply: Reply<number>,
  ): void {
    reply.failed(missing())
  }

  purgeQueue(_session: Session, _name: string, reply: Reply<number>): void {
    reply.failed(missing())
  }

  bindQueue(_session: Session, _args: BindArguments, reply: Reply<void>): void {
    reply.failed(missing())
  }

  unbindQueue(_session: Session, _args: BindArguments, reply: Reply<void>): void {
    reply.failed(missing())
  }

  resolve(_session: Session, _exchange: string, _routingKey: string, _message: Message, _route: Route): void {
    throw missing()
  }

  publish(_route: Route, _message: Message, _confirms: ConfirmSink | null, _sequence: number): void {
    throw missing()
  }

  openBody(_route: Route, _isPersistent: boolean, _bodyBytes: number): BodyWriter {
    throw missing()
  }

  get(_session: Session, _queue: string, _isNoAck: boolean, sink: GetSink): void {
    sink.failed(missing())
  }

  consume(_session: Session, _args: ConsumeArguments, reply: Reply<Consumer>): void {
    reply.failed(missing())
  }

  activate(consumer: Consumer): void {
    consumer.queue.shard.activate(consumer)
  }

  cancel(_consumer: Consumer, reply: Reply<void>): void {
    reply.failed(missing())
  }

  resume(consumer: Consumer): void {
    consumer.queue.shard.resume(consumer)
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    queue.shard.settle(queue, consumer, first, last, outcome)
  }
}

function missing(): BrokerError {
  return new BrokerError('not-implemented', 'this command is missing')
}
