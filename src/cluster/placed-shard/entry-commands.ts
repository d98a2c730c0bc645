/** The commands of another node, one after the other, done with the shard that is served here. */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import type { BrokerError } from '../../broker/errors.ts'
import type {
  BodyWriter,
  BrowsedMessage,
  GetSink,
  Queue,
  QueueStatus,
  Reply,
  ScheduledMessage,
  ShardCommands,
} from '../../broker/ports.ts'
import type { EntryHost, EntryNode } from './entry-node.ts'
import { ReadPublish } from './held-publishes.ts'
import { type Member, readMember } from './member-codec.ts'
import type { PlacedQueue } from './placed-queue.ts'
import type { RemoteConsumer } from './remote-consumer.ts'
import { writeBrowsed, writeNumber, writeScheduled, writeStatus } from './request-codec.ts'
import { queueGone } from './requests.ts'
import { Answer, Command, outcomeOf, writeError } from './wire.ts'

type WriteResult<T> = (writer: ByteWriter, result: T) => void

export class EntryCommands {
  readonly #host: EntryHost
  readonly #node: EntryNode
  readonly #publish = new ReadPublish()
  readonly #targets: Queue[] = []
  /** Of the last targets that were found. */
  #commands: ShardCommands | null = null
  /** Pieces of bodies whose publish has not come, or waits for the others of them. */
  readonly #pieces = new Map<number, Uint8Array[]>()

  constructor(host: EntryHost, node: EntryNode) {
    this.#host = host
    this.#node = node
  }

  /** Does one command; false, and nothing is read, when it must wait. */
  next(reader: ByteReader): boolean {
    const at = reader.position
    const command = reader.uint8()
    if (command <= Command.attached) {
      this.#introduce(command, reader)
      return true
    }
    if (this.#host.isServing && this.#node.hasBegun && this.#do(command, reader)) return true
    reader.position = at
    return false
  }

  /** A piece of a large body. Whatever comes in another order than it was sent is dropped with its publish. */
  piece(body: number, index: number, bytes: Uint8Array): void {
    const pieces = this.#pieces.get(body) ?? []
    this.#pieces.set(body, pieces)
    if (pieces.length === index) pieces.push(bytes)
  }

  // ---------------------------------------------------------------- who is there

  #introduce(command: number, reader: ByteReader): void {
    const node = this.#node
    switch (command) {
      case Command.attach:
        return
      case Command.member:
        node.members.push(readMember(reader))
        return
      case Command.claim: {
        const number = reader.uint32()
        const queueId = reader.uint64()
        const [first, last] = [reader.uint64(), reader.uint64()]
        node.claims.push({ number, queueId, first, last, isGivenBack: reader.uint8() === 1 })
        return
      }
      default:
        node.isAttached = true
        this.#host.attached(node)
    }
  }

  // ---------------------------------------------------------------- commands

  #do(command: number, reader: ByteReader): boolean {
    const node = this.#node
    switch (command) {
      case Command.publish:
        return this.#publishOne(reader)
      case Command.settle:
        this.#settle(reader)
        return true
      case Command.credit:
        node.deliveries.taken(this.#consumer(reader), reader.uint32(), reader.uint32())
        return true
      case Command.activate:
      case Command.pause:
      case Command.resume:
      case Command.grant:
        this.#ofConsumer(command, this.#consumer(reader))
        return true
      case Command.shares:
        this.#shares(this.#consumer(reader), reader.uint8() === 1)
        return true
      case Command.extendLease:
        this.#extendLease(reader)
        return true
      case Command.used:
        this.#used(this.#host.queueOf(reader.uint64()))
        return true
      case Command.resettled:
        node.resettled()
        return true
      case Command.readBody:
        node.deliveries.readBody(reader.uint32(), reader.uint32())
        return true
      case Command.releaseBody:
        node.deliveries.releaseBody(reader.uint32())
        return true
      default:
        this.#request(command, reader)
        return true
    }
  }

  #consumer(reader: ByteReader): RemoteConsumer | null {
    return this.#node.consumers.get(reader.uint32()) ?? null
  }

  /** False: pieces of its body are missing. */
  #publishOne(reader: ByteReader): boolean {
    const publish = this.#publish
    publish.read(reader)
    const { message, number, storedNumber: stored, bodyId } = publish
    const { origin } = this.#node
    if (bodyId > 0 && (this.#pieces.get(bodyId)?.length ?? 0) < publish.bodyPieces) return false
    const count = this.#findTargets(publish.queueIds)
    origin.taken(number)
    const shard = this.#commands
    if (count === 0 || shard === null) {
      // As for any queue that is deleted while a message is on its way to it.
      this.#pieces.delete(bodyId)
      origin.confirm(number)
      return true
    }
    if (bodyId > 0) message.chunks = this.#writeBody(bodyId, shard)
    if (stored === 0) shard.publish(message, this.#targets, count, origin, number)
    else {
      const from = { incarnation: origin.incarnation, number: stored }
      this.#host.local.publishFrom(from, message, this.#targets, count, origin, number)
    }
    return true
  }

  /** Those of the queues that are still there. */
  #findTargets(queueIds: readonly number[]): number {
    let count = 0
    for (let index = 0; index < queueIds.length; index++) {
      const placed = this.#host.queueOf(queueIds[index] as number)
      if (placed === null) continue
      this.#targets[count++] = placed.handleIn(this.#host.local)
      this.#commands = placed.commands
    }
    return count
  }

  #writeBody(id: number, shard: ShardCommands): BodyWriter {
    const { message } = this.#publish
    const writer = shard.openBody(message.isPersistent, message.bodyBytes)
    for (const piece of this.#pieces.get(id) ?? []) writer.append(piece, 0, piece.length)
    this.#pieces.delete(id)
    return writer
  }

  #settle(reader: ByteReader): void {
    const number = reader.uint32()
    const placed = this.#host.queueOf(reader.uint64())
    const first = reader.uint64()
    const last = reader.uint64()
    const outcome = outcomeOf(reader.uint8())
    this.#node.settled()
    if (placed === null) return
    const handle = placed.handleIn(this.#host.local)
    const consumer = number === 0 ? null : this.#node.consumers.get(number)
    if (consumer === undefined) return
    if (consumer === null) this.#node.heldByGets(placed).remove(first, last)
    else consumer.held.remove(first, last)
    placed.commands.settle(handle, consumer, first, last, outcome)
    if (consumer?.hasLeft === true && consumer.unacked === 0) this.#node.consumers.delete(number)
  }

  #ofConsumer(command: number, consumer: RemoteConsumer | null): void {
    if (consumer === null) return
    const { commands: shard } = consumer.placed
    switch (command) {
      case Command.activate:
        consumer.mayTake = true
        return shard.activate(consumer)
      case Command.pause:
        consumer.isPaused = true
        return
      case Command.resume:
        consumer.isPaused = false
        return shard.resume(consumer)
      default:
        return this.#granted(consumer)
    }
  }

  /** What it does not need at once it gives back: others may. */
  #granted(consumer: RemoteConsumer): void {
    consumer.isAskingForGrant = false
    consumer.grants++
    consumer.placed.commands.resume(consumer)
    if (consumer.grants === 0) return
    consumer.grants = 0
    this.#node.returnGrant(consumer)
  }

  #shares(consumer: RemoteConsumer | null, isSharing: boolean): void {
    if (consumer === null) return
    consumer.isSharing = isSharing
    if (!isSharing) consumer.placed.commands.resume(consumer)
  }

  #extendLease(reader: ByteReader): void {
    const number = reader.uint32()
    const placed = this.#host.queueOf(reader.uint64())
    const sequence = reader.uint64()
    const ms = reader.uint64()
    const consumer = number === 0 ? null : this.#node.consumers.get(number)
    if (placed === null || consumer === undefined) return
    const handle = placed.handleIn(this.#host.local)
    placed.commands.extendLease(handle, consumer, sequence, ms)
  }

  #used(placed: PlacedQueue | null): void {
    if (placed !== null) this.#host.local.used(placed.handleIn(this.#host.local))
  }

  // ---------------------------------------------------------------- commands that are answered

  #request(command: number, reader: ByteReader): void {
    const request = reader.uint32()
    switch (command) {
      case Command.register:
        return this.#register(request, readMember(reader))
      case Command.unregister:
        return this.#unregister(request, reader.uint32(), reader.uint8() === 1)
      default:
        return this.#ofQueue(command, request, reader)
    }
  }

  #register(request: number, member: Member): void {
    const consumer = this.#node.addConsumer(member)
    if (consumer === null) return this.#fail(request, null)
    consumer.isMember = true
    consumer.isRegistered = true
    consumer.placed.commands.register(consumer, {
      done: (begins) => this.#answer(request, (writer) => writeNumber(writer, begins + 1)),
      failed: (error) => {
        consumer.isRegistered = false
        this.#node.consumers.delete(member.id)
        this.#fail(request, error)
      },
    })
  }

  /** One that is not known has left with an earlier owner. */
  #unregister(request: number, number: number, isLeaving: boolean): void {
    const consumer = this.#node.consumers.get(number)
    if (consumer === undefined) return this.#answer(request, (writer) => writeNumber(writer, 0))
    consumer.isLeaving = isLeaving
    consumer.hasLeft = true
    consumer.isMember = false
    consumer.isRegistered = false
    consumer.placed.commands.unregister(consumer, this.#reply(request, writeNumber))
    if (consumer.unacked === 0) this.#node.consumers.delete(number)
  }

  #ofQueue(command: number, request: number, reader: ByteReader): void {
    const placed = this.#host.queueOf(reader.uint64())
    const { local } = this.#host
    const queue = placed?.handleIn(local) ?? null
    switch (command) {
      case Command.get: {
        const isNoAck = reader.uint8() === 1
        if (placed === null || queue === null) return this.#fail(request, null)
        return placed.commands.get(queue, isNoAck, this.#getSink(request, placed, isNoAck))
      }
      case Command.listScheduled: {
        const after = reader.uint64()
        const limit = reader.uint32()
        const reply = this.#reply<readonly ScheduledMessage[]>(request, writeScheduled)
        return placed === null || queue === null
          ? this.#fail(request, null)
          : placed.commands.listScheduled(queue, after, limit, reply)
      }
      case Command.browse: {
        const [after, limit, bodyBytesMax] = [reader.uint64(), reader.uint32(), reader.uint32()]
        const page = { after, limit, bodyBytesMax, bodyFrom: reader.uint64() }
        const reply = this.#reply<readonly BrowsedMessage[]>(request, writeBrowsed)
        return placed === null || queue === null
          ? this.#fail(request, null)
          : placed.commands.browse(queue, page, reply)
      }
      case Command.forget: {
        const sequence = reader.uint64()
        const reply = this.#reply(request, writeNumber)
        return placed === null || queue === null
          ? this.#fail(request, null)
          : placed.commands.forget(queue, sequence, reply)
      }
      case Command.cancelScheduled: {
        const id = reader.longString()
        const reply = this.#reply(request, writeNumber)
        return placed === null || queue === null
          ? this.#fail(request, null)
          : placed.commands.cancelScheduled(queue, id, reply)
      }
      case Command.reschedule: {
        const id = reader.longString()
        const dueAt = reader.uint64()
        const reply = this.#reply(request, writeNumber)
        return placed === null || queue === null
          ? this.#fail(request, null)
          : placed.commands.reschedule(queue, id, dueAt, reply)
      }
      case Command.purge:
        return placed === null || queue === null
          ? this.#fail(request, null)
          : placed.commands.purge(queue, this.#reply(request, writeNumber))
      case Command.status: {
        const reply = this.#reply<QueueStatus>(request, writeStatus)
        return placed === null || queue === null ? this.#fail(request, null) : placed.commands.status(queue, reply)
      }
      default:
        throw new Error(`command ${command} of another node is not known`)
    }
  }

  #getSink(request: number, placed: PlacedQueue, isNoAck: boolean): GetSink {
    return {
      message: (queue, message, sequence, isRedelivered, readyLeft) => {
        if (this.#node.isOver) {
          message.chunks?.release()
          this.#host.clock.soon(() => placed.commands.settle(queue, null, sequence, sequence, 'requeue'))
          return
        }
        if (!isNoAck) this.#node.heldByGets(placed).add(sequence)
        this.#answer(request, (writer) => {
          writer.uint8(1)
          writer.uint64(sequence)
          writer.uint8(isRedelivered ? 1 : 0)
          writer.uint32(readyLeft)
          this.#node.deliveries.write(writer, message)
        })
      },
      empty: () => this.#answer(request, (writer) => writer.uint8(0)),
      failed: (error) => this.#fail(request, error),
    }
  }

  #reply<T>(request: number, write: WriteResult<T>): Reply<T> {
    return {
      done: (result) => this.#answer(request, (writer) => write(writer, result)),
      failed: (error) => this.#fail(request, error),
    }
  }

  #answer(request: number, write: (writer: ByteWriter) => void): void {
    if (this.#node.isOver) return
    const writer = this.#node.answer()
    writer.uint8(Answer.done)
    writer.uint32(request)
    const lengthAt = writer.reserve(4)
    write(writer)
    writer.patchUint32(lengthAt, writer.length - lengthAt - 4)
  }

  /** Without an error: the queue is not there. What a shard that fails says is not passed on: the next owner is asked. */
  #fail(request: number, error: BrokerError | null): void {
    if (this.#node.isOver || !this.#host.local.isServing) return
    const writer = this.#node.answer()
    writer.uint8(Answer.failed)
    writer.uint32(request)
    writeError(writer, error ?? queueGone(null))
  }
}
