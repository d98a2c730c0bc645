/**
 * Commands that are answered: what is asked, and how it is asked of an owner here or elsewhere. Each is asked until it is
 * answered, of one owner after another; when there is none for too long it fails.
 */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import { BrokerError } from '../../broker/errors.ts'
import type { Message } from '../../broker/message.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { LocalShard } from './ports.ts'

/** Reads a message that is part of an answer. */
export interface MessageReader {
  readMessage(reader: ByteReader): Message
}

export interface ShardRequest {
  readonly queue: PlacedQueue
  /** The command and what follows the number of the request. */
  readonly command: number
  write(writer: ByteWriter): void
  /** The answer of an owner elsewhere, from where the reader stands on. */
  answered(reader: ByteReader, messages: MessageReader): void
  /** Asks the shard that is served here. */
  askHere(local: LocalShard): void
  failed(error: BrokerError): void
}

export class ParkedRequests {
  #list: { request: ShardRequest; sinceMs: number }[] = []

  get length(): number {
    return this.#list.length
  }

  /** `now` is monotonic. */
  add(request: ShardRequest, now: number): void {
    this.#list.push({ request, sinceMs: now })
  }

  /** Those that were asked before go first. */
  addFirst(requests: Iterable<ShardRequest>, now: number): void {
    this.#list.unshift(...[...requests].map((request) => ({ request, sinceMs: now })))
  }

  takeAll(): ShardRequest[] {
    const taken = this.#list.map(({ request }) => request)
    this.#list = []
    return taken
  }

  /** Takes those that have waited since before `sinceMs`. */
  takeSince(sinceMs: number): ShardRequest[] {
    const taken = this.#list.filter((one) => one.sinceMs <= sinceMs).map(({ request }) => request)
    if (taken.length > 0) this.#list = this.#list.filter((one) => one.sinceMs > sinceMs)
    return taken
  }

  /** Takes those about one queue. */
  takeOf(queue: PlacedQueue): ShardRequest[] {
    const taken = this.#list.filter(({ request }) => request.queue === queue).map(({ request }) => request)
    if (taken.length > 0) this.#list = this.#list.filter(({ request }) => request.queue !== queue)
    return taken
  }
}

export function noOwner({ definition }: PlacedQueue, parkedMs: number): BrokerError {
  const { name, vhost } = definition
  return new BrokerError(
    'internal-error',
    `queue '${name}' in vhost '${vhost}' has been on no node that can be reached for ${parkedMs / 1_000} s`,
  )
}

/** Null: what it was is not known any more. */
export function queueGone(queue: PlacedQueue | null): BrokerError {
  if (queue === null) return new BrokerError('not-found', 'the queue has been deleted')
  return new BrokerError('not-found', `no queue '${queue.definition.name}' in vhost '${queue.definition.vhost}'`)
}
