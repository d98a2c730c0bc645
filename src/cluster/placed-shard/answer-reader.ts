/** Reads what an owner answers, and calls for each what is to be done about it. */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import { Message } from '../../broker/message.ts'
import { MessageTraits } from '../../broker/message-traits.ts'
import { isWithin } from '../../broker/shard/origins.ts'
import { readMessage } from './message-codec.ts'
import type { PlacedConsumer } from './placed-consumer.ts'
import type { RemoteChunks } from './remote-body.ts'
import type { ShardRequest } from './requests.ts'
import { Answer, deliveryOverheadBytes, readError } from './wire.ts'

export interface AnswerHandler {
  /** What is still in a message concerns nobody. */
  isOver(): boolean
  notOwner(): void
  progress(applied: number, refused: ReadonlySet<number>, isStored: (durable: number) => boolean): void
  confirmed(first: number, last: number): void
  refused(number: number): void
  /** Calls back with the request of this number, if it still waits. */
  answered(number: number, read: (request: ShardRequest) => void): void
  settlementsStored(count: number): void
  /** A delivery of so many bytes came for a consumer. Null: nobody takes it. */
  delivered(consumerId: number, bytes: number): PlacedConsumer | null
  chunksOf(body: number, count: number, bodyBytes: number): RemoteChunks
  cancelled(consumerId: number): void
  leaseEnded(consumerId: number, sequence: number): void
  wantsGrant(consumerId: number): void
  grantReturned(consumerId: number): void
}

export class AnswerReader {
  readonly #handler: AnswerHandler
  readonly #message = new Message()
  readonly #traits = new MessageTraits()

  constructor(handler: AnswerHandler) {
    this.#handler = handler
  }

  /** The handler may say in the middle that it is over. */
  read(reader: ByteReader): void {
    while (reader.remaining > 0 && !this.#handler.isOver()) this.#one(reader)
  }

  #one(reader: ByteReader): void {
    const handler = this.#handler
    const answer = reader.uint8()
    switch (answer) {
      case Answer.deliver:
        return this.#deliver(reader)
      case Answer.confirm:
        return handler.confirmed(reader.uint64(), reader.uint64())
      case Answer.refuse:
        return handler.refused(reader.uint64())
      case Answer.settled:
        return handler.settlementsStored(reader.uint64())
      case Answer.done:
        return this.#done(reader)
      case Answer.failed:
        return this.#failed(reader)
      case Answer.progress:
        return this.#progress(reader)
      case Answer.notOwner:
        return handler.notOwner()
      case Answer.cancelled:
        return handler.cancelled(reader.uint32())
      case Answer.leaseEnded:
        return handler.leaseEnded(reader.uint32(), reader.uint64())
      case Answer.wantsGrant:
        return handler.wantsGrant(reader.uint32())
      case Answer.grantReturned:
        return handler.grantReturned(reader.uint32())
      default:
        throw new Error(`answer ${answer} of a shard's owner is not known`)
    }
  }

  #deliver(reader: ByteReader): void {
    const id = reader.uint32()
    const sequence = reader.uint64()
    const isRedelivered = reader.uint8() === 1
    const message = this.readMessage(reader)
    const bytes = message.contentEnd - message.routeStart + deliveryOverheadBytes
    const consumer = this.#handler.delivered(id, bytes)
    if (consumer === null) message.chunks?.release()
    else consumer.deliver(consumer, message, sequence, isRedelivered)
  }

  /** A message as a view of what is read, with its large body if it has one. */
  readMessage(reader: ByteReader): Message {
    const message = this.#message
    const body = readMessage(reader, message, this.#traits)
    if (body !== null) message.chunks = this.#handler.chunksOf(body.id, body.count, message.bodyBytes)
    return message
  }

  /** An answer says how long it is, since nobody may wait for it. */
  #done(reader: ByteReader): void {
    const number = reader.uint32()
    const end = reader.uint32() + reader.position
    this.#handler.answered(number, (request) => request.answered(reader, this))
    reader.position = end
  }

  #failed(reader: ByteReader): void {
    const number = reader.uint32()
    const error = readError(reader)
    this.#handler.answered(number, (request) => request.failed(error))
  }

  #progress(reader: ByteReader): void {
    const applied = reader.uint64()
    const refused = new Set(Array.from({ length: reader.uint32() }, () => reader.uint64()))
    const highest = reader.uint64()
    const gaps = Array.from({ length: reader.uint32() }, () => reader.uint64())
    this.#handler.progress(applied, refused, (durable) => durable <= highest && !isWithin(gaps, durable))
  }
}
