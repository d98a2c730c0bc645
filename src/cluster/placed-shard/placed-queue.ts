/**
 * A queue as everybody on a node holds it, for as long as it exists, wherever its shard is served. Where that is here, it
 * knows the shard's own handle.
 */
import type { Message } from '../../broker/message.ts'
import type {
  BodyWriter,
  BrowsedMessage,
  BrowsePage,
  ConfirmSink,
  Consumer,
  GetSink,
  Outcome,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  ShardCommands,
} from '../../broker/ports.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'
import { HeldSequences } from './held-sequences.ts'
import type { LocalShard } from './ports.ts'

export class PlacedQueue implements Queue {
  readonly definition: QueueDefinition
  readonly shard: ShardCommands
  /** Its definition is gone. */
  isDropped = false
  /** What clients of this node took by `get` and have not settled; null as long as there was nothing. */
  held: HeldSequences | null = null
  /** Of the shard that `handleIn` was last asked about. */
  commands: ShardCommands
  #handle: Queue | null = null
  #handleOf: LocalShard | null = null

  constructor(definition: QueueDefinition, shard: ShardCommands) {
    this.definition = definition
    this.shard = shard
    this.commands = shard
  }

  /** The handle in a shard that is served here; `commands` is then what takes commands for it. */
  handleIn(local: LocalShard): Queue {
    if (this.#handleOf === local && this.#handle !== null) return this.#handle
    const handle = local.handleOf(this.definition)
    this.commands = local.commandsOf(handle)
    this.#handle = handle
    this.#handleOf = local
    return handle
  }

  heldFor(): HeldSequences {
    this.held ??= new HeldSequences()
    return this.held
  }
}

/** Whether all of these queues are gone. */
export function areDropped(queues: readonly Queue[], count: number): boolean {
  for (let index = 0; index < count; index++) if (!(queues[index] as PlacedQueue).isDropped) return false
  return true
}

/**
 * The face of one stream. It has a log of its own, so what goes to it is never one with what goes to other queues of its
 * shard; all else is the shard's.
 */
export class PlacedStream implements ShardCommands {
  readonly #shard: ShardCommands
  readonly #openBody: (isPersistent: boolean, bodyBytes: number) => BodyWriter

  constructor(shard: ShardCommands, openBody: (isPersistent: boolean, bodyBytes: number) => BodyWriter) {
    this.#shard = shard
    this.#openBody = openBody
  }

  publish(message: Message, queues: readonly Queue[], count: number, sink: ConfirmSink | null, sequence: number): void {
    this.#shard.publish(message, queues, count, sink, sequence)
  }

  openBody(isPersistent: boolean, bodyBytes: number): BodyWriter {
    return this.#openBody(isPersistent, bodyBytes)
  }

  get(queue: Queue, isNoAck: boolean, sink: GetSink): void {
    this.#shard.get(queue, isNoAck, sink)
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    this.#shard.register(consumer, reply)
  }

  activate(consumer: Consumer): void {
    this.#shard.activate(consumer)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    this.#shard.unregister(consumer, reply)
  }

  resume(consumer: Consumer): void {
    this.#shard.resume(consumer)
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    this.#shard.settle(queue, consumer, first, last, outcome)
  }

  extendLease(queue: Queue, consumer: Consumer | null, sequence: number, ms: number): void {
    this.#shard.extendLease(queue, consumer, sequence, ms)
  }

  listScheduled(queue: Queue, after: number, limit: number, reply: Reply<readonly ScheduledMessage[]>): void {
    this.#shard.listScheduled(queue, after, limit, reply)
  }

  cancelScheduled(queue: Queue, messageId: string, reply: Reply<number>): void {
    this.#shard.cancelScheduled(queue, messageId, reply)
  }

  reschedule(queue: Queue, messageId: string, dueAt: number, reply: Reply<number>): void {
    this.#shard.reschedule(queue, messageId, dueAt, reply)
  }

  browse(queue: Queue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): void {
    this.#shard.browse(queue, page, reply)
  }

  forget(queue: Queue, sequence: number, reply: Reply<number>): void {
    this.#shard.forget(queue, sequence, reply)
  }

  purge(queue: Queue, reply: Reply<number>): void {
    this.#shard.purge(queue, reply)
  }

  status(queue: Queue, reply: Reply<QueueStatus>): void {
    this.#shard.status(queue, reply)
  }
}
