/**
 * Publishes to a shard that another node serves, or nobody, in order, from when they come until it is known what became of
 * them: as the bytes that are sent, and perhaps sent again to the next owner.
 *
 * Each has a number, counted from 1 over all of this process; those that may be stored durably have a second one, which is
 * stored with them. A stream has a log of its own, so these are counted for each stream by themselves. Memory is freed as the
 * oldest are settled.
 */
import { ByteReader } from '../../amqp/byte-reader.ts'
import { ByteWriter } from '../../amqp/byte-writer.ts'
import { Message } from '../../broker/message.ts'
import { MessageTraits } from '../../broker/message-traits.ts'
import type { ConfirmSink, Queue } from '../../broker/ports.ts'
import { isStream } from '../../broker/topology/queue-arguments.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'
import type { HeldBody } from './held-body.ts'
import { readMessage, writeMessage } from './message-codec.ts'
import { Command } from './wire.ts'

const smallestCapacity = 256
const blockBytes = 64 * 1024

/** One publish, read from its bytes; used again and again. */
export class ReadPublish {
  number = 0
  /** As stored with the shard, or with the stream that it leads to; 0: what it leads to is not stored. */
  storedNumber = 0
  readonly queueIds: number[] = []
  readonly message = new Message()
  bodyId = 0
  bodyPieces = 0
  readonly #traits = new MessageTraits()

  /** Behind the command's code. */
  read(reader: ByteReader): void {
    this.number = reader.uint64()
    this.storedNumber = reader.uint64()
    this.queueIds.length = reader.uint16()
    for (let index = 0; index < this.queueIds.length; index++) this.queueIds[index] = reader.uint64()
    const body = readMessage(reader, this.message, this.#traits)
    this.bodyId = body?.id ?? 0
    this.bodyPieces = body?.count ?? 0
  }
}

export class HeldPublishes {
  /** Bytes of those that are not settled. */
  bytes = 0
  /** The number of the oldest one, and the one that the next will have. */
  first = 1
  next = 1
  #nextDurable = 1
  /** None from `first` to here may be stored. */
  #looked = 1
  #blocks: (Uint8Array | null)[] = new Array<Uint8Array | null>(smallestCapacity).fill(null)
  #starts = new Uint32Array(smallestCapacity)
  #ends = new Uint32Array(smallestCapacity)
  #durable = new Float64Array(smallestCapacity)
  #sinks: (ConfirmSink | null)[] = new Array<ConfirmSink | null>(smallestCapacity).fill(null)
  #sequences = new Float64Array(smallestCapacity)
  readonly #bodies = new Map<number, HeldBody>()
  /** Those to streams, and their numbers there. */
  readonly #toStreams = new Map<number, number>()
  /** The last number of each stream, by the id of its queue. */
  readonly #streams = new Map<number, number>()
  /** All below have been sent, the last of them under this epoch. */
  #sentNext = 1
  #sentEpoch = 0
  readonly #writer = new ByteWriter(4096)
  readonly #reader = new ByteReader()
  #block = new Uint8Array(blockBytes)
  #used = 0

  /** Publishes that are not settled, or stand behind one that is not. */
  get length(): number {
    return this.next - this.first
  }

  /** The lowest number that may be stored and is not settled; what is below need not be remembered for us. */
  get firstDurable(): number {
    if (this.#looked < this.first) this.#looked = this.first
    while (this.#looked < this.next && this.durableOf(this.#looked) === 0) this.#looked++
    return this.#looked === this.next ? this.#nextDurable : this.durableOf(this.#looked)
  }

  /** Returns its number. */
  add(
    message: Message,
    queues: readonly Queue[],
    count: number,
    confirms: ConfirmSink | null,
    sequence: number,
  ): number {
    if (this.length === this.#blocks.length) this.#grow()
    const number = this.next++
    const stream = this.#numberInStream(queues, count)
    const durable = stream === 0 && mayBeStored(message, queues, count) ? this.#nextDurable++ : 0
    const writer = this.#writer
    writer.reset()
    writer.uint8(Command.publish)
    writer.uint64(number)
    writer.uint64(durable + stream)
    writer.uint16(count)
    for (let index = 0; index < count; index++) writer.uint64((queues[index] as Queue).definition.id)
    const body = message.chunks as HeldBody | null
    writeMessage(writer, message, body)
    const at = number & (this.#blocks.length - 1)
    this.#keep(at, writer)
    this.#durable[at] = durable
    if (stream > 0) this.#toStreams.set(number, stream)
    this.#sinks[at] = confirms
    this.#sequences[at] = sequence
    if (body !== null) {
      this.#bodies.set(number, body)
      this.bytes += body.bodyBytes
    }
    return number
  }

  /** A publish to a stream goes to nothing else; what is not persistent is stored there all the same. */
  #numberInStream(queues: readonly Queue[], count: number): number {
    const { definition } = queues[0] as Queue
    if (count !== 1 || !isStream(definition)) return 0
    const number = (this.#streams.get(definition.id) ?? 0) + 1
    this.#streams.set(definition.id, number)
    return number
  }

  /** The queue is gone. */
  forgetStream({ id }: QueueDefinition): void {
    this.#streams.delete(id)
  }

  #keep(at: number, { buffer, length }: ByteWriter): void {
    if (length > blockBytes / 4) {
      this.#blocks[at] = buffer.slice(0, length)
      this.#starts[at] = 0
    } else {
      if (this.#used + length > blockBytes) {
        this.#block = new Uint8Array(blockBytes)
        this.#used = 0
      }
      this.#block.set(buffer.subarray(0, length), this.#used)
      this.#blocks[at] = this.#block
      this.#starts[at] = this.#used
      this.#used += length
    }
    this.#ends[at] = (this.#starts[at] as number) + length
    this.bytes += length
  }

  isSettled(number: number): boolean {
    return number < this.first || this.#blocks[this.#at(number)] === null
  }

  /** Its number among those that may be stored; 0: it is not among them. */
  durableOf(number: number): number {
    return this.#durable[this.#at(number)] as number
  }

  /** It is on its way to the owner of this epoch. */
  sent(number: number, epoch: number): void {
    this.#sentEpoch = epoch
    this.#sentNext = Math.max(this.#sentNext, number + 1)
  }

  /** Those below this number have been sent to owners before that of this epoch, and not to that one. */
  sentBefore(epoch: number): number {
    return epoch === this.#sentEpoch ? 0 : this.#sentNext
  }

  /** There will be no owner: what one was sent is refused, the rest confirmed like whatever finds no queue. */
  giveUp(): void {
    for (let number = this.first; number < this.next; number++) this.settle(number, number >= this.#sentNext)
  }

  /** Whether it is gone with an owner that has had it. Nobody knows then whom it was given to: it must not be there twice. */
  diesWithOwner(number: number): boolean {
    return this.durableOf(number) === 0 && !this.#toStreams.has(number)
  }

  bodyOf(number: number): HeldBody | null {
    return this.#bodies.get(number) ?? null
  }

  /** Appends the command to what is sent. */
  writeTo(writer: ByteWriter, number: number): void {
    const at = this.#at(number)
    const block = this.#blocks[at]
    if (block !== null && block !== undefined) writer.bytes(block, this.#starts[at], this.#ends[at])
  }

  /** The publish as it came, for an owner that is this node. */
  read(number: number, into: ReadPublish): void {
    const at = this.#at(number)
    const block = this.#blocks[at] as Uint8Array
    into.read(this.#reader.reset(block, (this.#starts[at] as number) + 1, this.#ends[at] as number))
  }

  /** The publisher is told, once. */
  settle(number: number, isConfirmed: boolean): void {
    const taken = this.take(number)
    if (isConfirmed) taken?.sink?.confirm(taken.sequence)
    else taken?.sink?.refuse(taken.sequence)
  }

  /** What `settleAll` does for most: `first..last` are confirmed. */
  confirm(first: number, last: number): void {
    for (let number = Math.max(first, this.first); number <= last && number < this.next; number++) {
      const at = this.#at(number)
      if (this.#blocks[at] === null) continue
      const sink = this.#sinks[at]
      const sequence = this.#sequences[at] as number
      this.#drop(number, at)
      sink?.confirm(sequence)
    }
  }

  /** Forgets a publish; whoever takes it sees to its confirm. Null: it was settled before. */
  take(number: number): { sink: ConfirmSink | null; sequence: number } | null {
    if (number >= this.next || this.isSettled(number)) return null
    const at = this.#at(number)
    const taken = { sink: this.#sinks[at] ?? null, sequence: this.#sequences[at] as number }
    this.#drop(number, at)
    return taken
  }

  #drop(number: number, at: number): void {
    this.bytes -= (this.#ends[at] as number) - (this.#starts[at] as number)
    this.#blocks[at] = null
    this.#sinks[at] = null
    if (this.#toStreams.size > 0) this.#toStreams.delete(number)
    if (this.#bodies.size > 0) {
      this.bytes -= this.#bodies.get(number)?.bodyBytes ?? 0
      this.#bodies.delete(number)
    }
    while (this.first < this.next && this.#blocks[this.#at(this.first)] === null) this.first++
  }

  #at(number: number): number {
    return number & (this.#blocks.length - 1)
  }

  #grow(): void {
    const old = this.#blocks.length
    const moved = <T>(from: T[], empty: T): T[] => {
      const into = new Array<T>(old * 2).fill(empty)
      for (let number = this.first; number < this.next; number++)
        into[number & (old * 2 - 1)] = from[number & (old - 1)] as T
      return into
    }
    const movedNumbers = <T extends Float64Array | Uint32Array>(from: T, into: T): T => {
      for (let number = this.first; number < this.next; number++)
        into[number & (old * 2 - 1)] = from[number & (old - 1)] as number
      return into
    }
    this.#blocks = moved(this.#blocks, null)
    this.#sinks = moved(this.#sinks, null)
    this.#starts = movedNumbers(this.#starts, new Uint32Array(old * 2))
    this.#ends = movedNumbers(this.#ends, new Uint32Array(old * 2))
    this.#durable = movedNumbers(this.#durable, new Float64Array(old * 2))
    this.#sequences = movedNumbers(this.#sequences, new Float64Array(old * 2))
  }
}

/** Whether the owner's log will hold something of it. */
function mayBeStored(message: Message, queues: readonly Queue[], count: number): boolean {
  if (!message.isPersistent) return false
  for (let index = 0; index < count; index++) {
    const { definition } = queues[index] as Queue
    if (definition.isDurable) return true
  }
  return false
}
