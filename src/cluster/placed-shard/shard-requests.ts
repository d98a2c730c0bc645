/** The commands of a placed shard that are answered, each as it is asked of a shard here and of an owner elsewhere. */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import { encodeLongString } from '../../amqp/short-string.ts'
import type { BrokerError } from '../../broker/errors.ts'
import type {
  BrowsedMessage,
  BrowsePage,
  GetSink,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  ShardCommands,
} from '../../broker/ports.ts'
import { writeMember } from './member-codec.ts'
import type { PlacedConsumer } from './placed-consumer.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { LocalShard } from './ports.ts'
import { readBrowsed, readNumber, readScheduled, readStatus } from './request-codec.ts'
import type { MessageReader, ShardRequest } from './requests.ts'
import { Command } from './wire.ts'

/** What the requests of one shard need of it. */
export interface RequestHost {
  /** The shard that was asked here has failed: the next owner is asked. */
  askAgain(request: ShardRequest): void
  registered(consumer: PlacedConsumer): void
  notRegistered(consumer: PlacedConsumer): void
  left(consumer: PlacedConsumer): void
  /** A client took this by `get`. */
  got(queue: PlacedQueue, sequence: number): void
}

export class ShardRequests {
  readonly #host: RequestHost

  constructor(host: RequestHost) {
    this.#host = host
  }

  register(consumer: PlacedConsumer, reply: Reply<number>): ShardRequest {
    const host = this.#host
    const done = (begins: number): void => {
      consumer.begins(begins)
      host.registered(consumer)
      reply.done(begins, 0)
    }
    const failed = (error: BrokerError): void => {
      host.notRegistered(consumer)
      reply.failed(error)
    }
    const request: ShardRequest = {
      queue: consumer.placed,
      command: Command.register,
      write: (writer) => writeMember(writer, consumer),
      answered: (reader) => done(readNumber(reader) - 1),
      askHere: (local) => {
        const handle = consumer.placed.handleIn(local)
        consumer.queue = handle
        consumer.placed.commands.register(consumer, {
          done,
          failed: (error) => this.#failedHere(request, local, error),
        })
      },
      failed,
    }
    return request
  }

  unregister(consumer: PlacedConsumer, reply: Reply<number>): ShardRequest {
    const done = (left: number): void => {
      this.#host.left(consumer)
      reply.done(left, 0)
    }
    const request: ShardRequest = {
      queue: consumer.placed,
      command: Command.unregister,
      write: (writer) => {
        writer.uint32(consumer.id)
        writer.uint8(consumer.isLeaving ? 1 : 0)
      },
      answered: (reader) => done(readNumber(reader)),
      askHere: (local) => {
        consumer.placed.handleIn(local)
        consumer.placed.commands.unregister(consumer, {
          done,
          failed: (error) => this.#failedHere(request, local, error),
        })
      },
      // Its queue is gone, or nobody can be asked: it has ended all the same.
      failed: () => done(0),
    }
    return request
  }

  get(queue: PlacedQueue, isNoAck: boolean, sink: GetSink): ShardRequest {
    const got = (sequence: number): void => {
      if (!isNoAck) this.#host.got(queue, sequence)
    }
    const request: ShardRequest = {
      queue,
      command: Command.get,
      write: (writer) => {
        writer.uint64(queue.definition.id)
        writer.uint8(isNoAck ? 1 : 0)
      },
      answered: (reader, messages) => readGot(reader, messages, queue, sink, got),
      askHere: (local) => {
        const handle = queue.handleIn(local)
        queue.commands.get(handle, isNoAck, {
          message: (_handle, message, sequence, isRedelivered, readyLeft) => {
            got(sequence)
            sink.message(queue, message, sequence, isRedelivered, readyLeft)
          },
          empty: () => sink.empty(),
          failed: (error) => this.#failedHere(request, local, error),
        })
      },
      failed: (error) => sink.failed(error),
    }
    return request
  }

  listScheduled(
    queue: PlacedQueue,
    page: { after: number; limit: number },
    reply: Reply<readonly ScheduledMessage[]>,
  ): ShardRequest {
    const write = (writer: ByteWriter): void => {
      writer.uint64(page.after)
      writer.uint32(page.limit)
    }
    return this.#ofQueue(queue, reply, {
      command: Command.listScheduled,
      write,
      read: readScheduled,
      here: (shard, handle, here) => shard.listScheduled(handle, page.after, page.limit, here),
    })
  }

  cancelScheduled(queue: PlacedQueue, messageId: string, reply: Reply<number>): ShardRequest {
    return this.#ofQueue(queue, reply, {
      command: Command.cancelScheduled,
      write: (writer) => encodeLongString(writer, messageId),
      read: readNumber,
      here: (shard, handle, here) => shard.cancelScheduled(handle, messageId, here),
    })
  }

  reschedule(queue: PlacedQueue, messageId: string, dueAt: number, reply: Reply<number>): ShardRequest {
    const write = (writer: ByteWriter): void => {
      encodeLongString(writer, messageId)
      writer.uint64(dueAt)
    }
    return this.#ofQueue(queue, reply, {
      command: Command.reschedule,
      write,
      read: readNumber,
      here: (shard, handle, here) => shard.reschedule(handle, messageId, dueAt, here),
    })
  }

  browse(queue: PlacedQueue, page: BrowsePage, reply: Reply<readonly BrowsedMessage[]>): ShardRequest {
    const write = (writer: ByteWriter): void => {
      writer.uint64(page.after)
      writer.uint32(page.limit)
      writer.uint32(Math.min(page.bodyBytesMax, 0xffff_ffff))
      writer.uint64(page.bodyFrom ?? 0)
    }
    return this.#ofQueue(queue, reply, {
      command: Command.browse,
      write,
      read: readBrowsed,
      here: (shard, handle, here) => shard.browse(handle, page, here),
    })
  }

  forget(queue: PlacedQueue, sequence: number, reply: Reply<number>): ShardRequest {
    return this.#ofQueue(queue, reply, {
      command: Command.forget,
      write: (writer) => writer.uint64(sequence),
      read: readNumber,
      here: (shard, handle, here) => shard.forget(handle, sequence, here),
    })
  }

  purge(queue: PlacedQueue, reply: Reply<number>): ShardRequest {
    return this.#ofQueue(queue, reply, {
      command: Command.purge,
      write: () => {},
      read: readNumber,
      here: (shard, handle, here) => shard.purge(handle, here),
    })
  }

  status(queue: PlacedQueue, reply: Reply<QueueStatus>): ShardRequest {
    return this.#ofQueue(queue, reply, {
      command: Command.status,
      write: () => {},
      read: readStatus,
      here: (shard, handle, here) => shard.status(handle, here),
    })
  }

  #ofQueue<T>(queue: PlacedQueue, reply: Reply<T>, asked: AskedOfQueue<T>): ShardRequest {
    const request: ShardRequest = {
      queue,
      command: asked.command,
      write: (writer) => {
        writer.uint64(queue.definition.id)
        asked.write(writer)
      },
      answered: (reader) => reply.done(asked.read(reader), 0),
      askHere: (local) => {
        const handle = queue.handleIn(local)
        asked.here(queue.commands, handle, {
          done: (result, committedWith) => reply.done(result, committedWith),
          failed: (error) => this.#failedHere(request, local, error),
        })
      },
      failed: (error) => reply.failed(error),
    }
    return request
  }

  /** What a shard refuses that has failed says nothing. */
  #failedHere(request: ShardRequest, local: LocalShard, error: BrokerError): void {
    if (local.isServing || request.queue.isDropped) request.failed(error)
    else this.#host.askAgain(request)
  }
}

interface AskedOfQueue<T> {
  readonly command: number
  /** What follows the id of the queue. */
  write(writer: ByteWriter): void
  read(reader: ByteReader): T
  here(shard: ShardCommands, handle: Queue, reply: Reply<T>): void
}

function readGot(
  reader: ByteReader,
  messages: MessageReader,
  queue: PlacedQueue,
  sink: GetSink,
  got: (sequence: number) => void,
): void {
  if (reader.uint8() === 0) return sink.empty()
  const sequence = reader.uint64()
  const isRedelivered = reader.uint8() === 1
  const readyLeft = reader.uint32()
  const message = messages.readMessage(reader)
  got(sequence)
  sink.message(queue, message, sequence, isRedelivered, readyLeft)
}
