/**
 * The consumers of an open stream: who they are, where each begins, what they settle. Acknowledging gives credit; of a
 * named consumer it also moves its place.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Log, Position } from '../../log/log.ts'
import { BrokerError } from '../errors.ts'
import type { Consumer, Outcome, Reply, StreamReaderPlace } from '../ports.ts'
import { checkConsume, nameOf, noStream, type StreamConsume } from './consume-arguments.ts'
import type { OffsetIndex } from './offset-index.ts'
import { consumerNamesPerStreamMax, type Places } from './places.ts'
import type { StreamBodies } from './stream-bodies.ts'
import { type ReaderPorts, StreamReader } from './stream-reader.ts'
import type { StreamTracing } from './stream-tracing.ts'

export interface StreamConsumersPorts {
  readonly log: Log
  readonly index: OffsetIndex
  readonly bodies: StreamBodies
  readonly places: Places
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly logger: Logger
  /** Null: messages are not traced. */
  readonly tracing: StreamTracing | null
}

export class StreamConsumers {
  readonly #ports: StreamConsumersPorts
  /** Those that are registered, and those that have left and hold something. */
  readonly #readers = new Map<Consumer, StreamReader>()
  readonly #members = new Set<Consumer>()
  /** Whoever came last under a name keeps its place. */
  readonly #keepers = new Map<string, StreamReader>()
  /** What waits for a record to be stored, in the order of the log. */
  #waiting: { position: Position; done: () => void; failed: () => void }[] = []
  /** Those that have come to the end. */
  #atEnd: StreamReader[] = []
  #isEnded = false
  readonly #readerPorts: ReaderPorts

  constructor(ports: StreamConsumersPorts) {
    this.#ports = ports
    this.#readerPorts = {
      ...ports,
      waitsForMore: (reader) => this.#atEnd.push(reader),
      damaged: (reader, error) => this.#damaged(reader, error),
    }
  }

  get count(): number {
    return this.#members.size
  }

  /** Where each of them is. */
  places(): StreamReaderPlace[] {
    const found: StreamReaderPlace[] = []
    for (const consumer of this.#members) {
      const reader = this.#readers.get(consumer)
      if (reader !== undefined) found.push({ tag: consumer.tag, name: reader.name, next: reader.next })
    }
    return found
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    const refuse = (error: unknown): void => {
      if (error instanceof BrokerError) reply.failed(error)
      else {
        this.#ports.logger.error({ error, stream: consumer.queue.definition.name }, 'a stream cannot be read')
        reply.failed(noStream(consumer.queue.definition))
      }
    }
    this.#register(consumer, reply).catch(refuse)
  }

  async #register(consumer: Consumer, reply: Reply<number>): Promise<void> {
    const { places, index } = this.#ports
    const asked = checkConsume(consumer, this.#ports.clock.now())
    const { name, filter } = asked
    const known = name === null ? null : places.get(name)
    if (name !== null && !places.hasRoomFor(name)) {
      const what = nameOf(consumer.queue.definition)
      const text = `cannot consume from ${what}: limit of named consumers (${consumerNamesPerStreamMax}) is reached`
      throw new BrokerError('precondition-failed', text)
    }
    const notBeforeMs = known === null && asked.start.at === 'time' ? asked.start.ms : 0
    const offset = Math.max(index.first, known ?? (await this.#offsetOf(asked)))
    if (this.#isEnded) throw noStream(consumer.queue.definition)
    const reader = new StreamReader(this.#readerPorts, consumer, { offset, notBeforeMs, filter, name })
    this.#members.add(consumer)
    this.#readers.set(consumer, reader)
    const begins = asked.start.at === 'next' || asked.start.at === 'last' ? offset : -1
    if (name === null || known !== null) return this.#registered(reader, begins, reply)
    // Where it began is remembered before it gets anything: it may be gone before it has acknowledged.
    places.set(name, offset)
    places.flush()
    this.#waiting.push({
      position: this.#ports.log.appended,
      done: () => this.#registered(reader, begins, reply),
      failed: () => reply.failed(noStream(consumer.queue.definition)),
    })
  }

  #registered(reader: StreamReader, begins: number, reply: Reply<number>): void {
    if (reader.name !== null) this.#keepers.set(reader.name, reader)
    reply.done(begins, 0)
  }

  async #offsetOf({ start }: StreamConsume): Promise<number> {
    const { index } = this.#ports
    switch (start.at) {
      case 'first':
        return index.first
      case 'last':
        return Math.max(index.first, index.committedNext - 1)
      case 'next':
        return index.next
      case 'offset':
        return start.offset
      case 'time':
        return await index.offsetBefore(start.ms)
    }
  }

  activate(consumer: Consumer): void {
    if (!this.#members.has(consumer)) return
    consumer.isActive = true
    this.#readers.get(consumer)?.wake()
  }

  resume(consumer: Consumer): void {
    this.#readers.get(consumer)?.wake()
  }

  /** Returns how many are left. What it holds it may still settle. */
  unregister(consumer: Consumer): number {
    if (this.#members.delete(consumer)) {
      consumer.isActive = false
      const reader = this.#readers.get(consumer)
      if (reader !== undefined) {
        this.#keepPlace(reader)
        reader.end()
      }
      this.#forgetIfDone(consumer)
    }
    return this.#members.size
  }

  /**
   * The consumer is done with offsets that it got. Giving them back (`requeue`, `fail`) is credit too, since nothing is
   * taken out of a stream; but its place stays where it is.
   */
  settle(consumer: Consumer, first: number, last: number, outcome: Outcome): void {
    const reader = this.#readers.get(consumer)
    if (reader === undefined) return
    reader.traced?.settled(first, last, outcome)
    if (reader.name !== null) {
      reader.settled(first, last, outcome === 'ack' || outcome === 'reject')
      this.#keepPlace(reader)
    }
    reader.wake()
    this.#forgetIfDone(consumer)
  }

  #keepPlace(reader: StreamReader): void {
    const { name } = reader
    if (name !== null && this.#keepers.get(name) === reader) this.#ports.places.set(name, reader.place)
  }

  #forgetIfDone(consumer: Consumer): void {
    const reader = this.#readers.get(consumer)
    if (reader === undefined || this.#members.has(consumer) || consumer.unacked > 0) return
    this.#readers.delete(consumer)
    if (reader.name !== null && this.#keepers.get(reader.name) === reader) this.#keepers.delete(reader.name)
  }

  /** Messages up to here are stored, and may be seen. */
  committed(position: Position): void {
    while (this.#waiting.length > 0 && (this.#waiting[0]?.position ?? 0) <= position) this.#waiting.shift()?.done()
    const readers = this.#atEnd
    this.#atEnd = []
    for (const reader of readers) reader.wakeAtEnd()
  }

  /** Others may read elsewhere, and publishers go on: only this consumer is told. */
  #damaged({ consumer, next }: StreamReader, error: Error): void {
    const { name, vhost } = consumer.queue.definition
    this.#ports.logger.error({ error, stream: name, vhost, offset: next }, 'a stream is damaged where a consumer reads')
    this.unregister(consumer)
    consumer.sink.cancelled(consumer)
  }

  /** The stream gives nothing any more: all are told. */
  end(): void {
    this.#isEnded = true
    for (const waiting of this.#waiting.splice(0)) waiting.failed()
    for (const consumer of [...this.#members]) {
      this.unregister(consumer)
      consumer.sink.cancelled(consumer)
    }
    for (const { traced } of this.#readers.values()) traced?.abandon()
  }
}
