/**
 * A real shard with a few queues, a clock that is moved by hand, and exchanges that are a table: what it is told through
 * its ports, and everything it says through them, in order.
 */
import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../src/amqp/content-header.ts'
import { emptyTable, tableOf } from '../../src/amqp/field-table.ts'
import { encodeShortString } from '../../src/amqp/short-string.ts'
import { ManualClock } from '../../src/base/clock.ts'
import type { Route } from '../../src/broker/commands.ts'
import type { BrokerError } from '../../src/broker/errors.ts'
import { Message } from '../../src/broker/message.ts'
import { MessageTraits } from '../../src/broker/message-traits.ts'
import type { Consumer, DeliverySink, GetSink, Outcome, Queue, ShardTopology } from '../../src/broker/ports.ts'
import { dyingHolder } from '../../src/broker/queue/dying-entries.ts'
import { chunkEntries, type EntryChunk, EntryFlag } from '../../src/broker/queue/entry-chunk.ts'
import type { QueueSettings } from '../../src/broker/queue/queue-settings.ts'
import { memorySegmentBytes } from '../../src/log/memory/memory-log.ts'
import { definitionOf, ShardHarness, TestConfirms } from '../support/shard-harness.ts'
import type { ModelMessage, Publication } from './model-message.ts'
import { ModelConsumer } from './model-queue.ts'
import type { QueuePlan } from './queue-model.ts'
import { bodyText, type Died, type SeenMessage, seenDeath, seenMessage } from './seen-events.ts'

export type WorldEvent =
  | { type: 'delivered'; queue: string; sequence: number; seen: SeenMessage; consumer: WorldConsumer }
  | { type: 'got'; queue: string; sequence: number; seen: SeenMessage; isNoAck: boolean }
  | { type: 'empty'; queue: string }
  | { type: 'refused'; queue: string }
  | { type: 'died'; died: Died; routed: ReadonlyMap<string, number> }

/** A consumer with the model's view of it. */
export interface WorldConsumer {
  readonly consumer: Consumer
  readonly model: ModelConsumer
  readonly queue: string
}

const fillerBytes = 60_000
/** Turns of the event loop after which something goes round for ever. */
const restTurnsMax = 10_000

/** Queues to which an exchange leads; null: there is no such exchange. */
type Exchanges = (exchange: string, keys: readonly string[]) => readonly string[] | null

export class QueueWorld {
  readonly clock = new ManualClock()
  readonly events: WorldEvent[] = []
  readonly #harness: ShardHarness
  readonly #exchanges: Exchanges
  #ids = 0

  constructor(plans: readonly QueuePlan[], exchanges: Exchanges) {
    this.#exchanges = exchanges
    const definitions = plans.map(({ name, isDurable, settings }, index) =>
      definitionOf(index + 1, name, isDurable, settings),
    )
    definitions.push(definitionOf(plans.length + 1, 'filler'))
    const topology: ShardTopology = {
      appended: 0,
      committed: 0,
      reroute: (_vhost, exchange, keys, message, route) => this.#reroute(exchange, keys, message, route),
      expireQueue: () => {},
    }
    this.#harness = new ShardHarness(definitions, { clock: this.clock, topology })
  }

  async start(): Promise<this> {
    await this.#harness.start()
    return this
  }

  get failures(): readonly Error[] {
    return this.#harness.failures
  }

  #reroute(exchange: string, keys: readonly string[], message: Message, route: Route): boolean {
    const names = this.#exchanges(exchange, keys)
    const routed = new Map((names ?? []).map((name) => [name, this.nextSequence(name)]))
    this.events.push({ type: 'died', died: seenDeath(message, exchange, keys), routed })
    route.count = 0
    for (const name of names ?? []) route.queues[route.count++] = this.#harness.queue(name)
    return names !== null
  }

  // ---------------------------------------------------------------- commands

  /** Returns what hears whether it was taken. */
  publish(publication: Publication, name: string): TestConfirms {
    const confirms = new TestConfirms()
    const message = viewOf(publication, this.clock.now())
    this.#harness.shard.publish(message, [this.#harness.queue(name)], 1, confirms, 1)
    return confirms
  }

  consume(queue: string, options: { isNoAck: boolean; limit: number; priority: number }): WorldConsumer {
    const id = ++this.#ids
    const sink: DeliverySink = {
      isReady: true,
      deliver: (_consumer, message, sequence, isRedelivered) => {
        const seen = seenMessage(message, isRedelivered)
        this.events.push({ type: 'delivered', queue, sequence, seen, consumer: made })
      },
      leaseEnded: () => {},
      cancelled: () => {},
    }
    const consumer: Consumer = {
      id,
      tag: `c${id}`,
      queue: this.#harness.queue(queue),
      sink,
      isNoAck: options.isNoAck,
      isExclusive: false,
      priority: options.priority,
      limit: options.limit,
      shared: null,
      timeoutMs: null,
      arguments: emptyTable,
      unacked: 0,
      isActive: false,
      isInTurn: false,
      isLeaving: false,
    }
    const made: WorldConsumer = { consumer, model: new ModelConsumer(id, options), queue }
    const { shard } = this.#harness
    shard.register(consumer, { done: () => {}, failed: fail })
    return made
  }

  /** Separate from `consume`, so that the model knows of it before it gets anything. */
  activate({ consumer }: WorldConsumer): void {
    this.#harness.shard.activate(consumer)
  }

  cancel({ consumer }: WorldConsumer): void {
    this.#harness.shard.unregister(consumer, { done: () => {}, failed: fail })
  }

  settle(queue: string, holder: WorldConsumer | null, range: { first: number; last: number }, outcome: Outcome): void {
    const { shard } = this.#harness
    shard.settle(this.#harness.queue(queue), holder?.consumer ?? null, range.first, range.last, outcome)
  }

  extendLease(queue: string, holder: WorldConsumer | null, sequence: number, ms: number): void {
    this.#harness.shard.extendLease(this.#harness.queue(queue), holder?.consumer ?? null, sequence, ms)
  }

  /** Fills a segment of the log with messages of another queue, which then go: what is sealed is summed up. */
  async fillSegment(): Promise<void> {
    const body = 'x'.repeat(fillerBytes)
    for (let count = 0; count * fillerBytes < memorySegmentBytes; count++) this.#harness.publish(body, ['filler'])
    await this.rest()
    await this.purge('filler')
  }

  get(name: string, isNoAck: boolean): void {
    const sink: GetSink = {
      message: (_queue: Queue, message, sequence, isRedelivered) => {
        this.events.push({ type: 'got', queue: name, sequence, seen: seenMessage(message, isRedelivered), isNoAck })
      },
      empty: () => this.events.push({ type: 'empty', queue: name }),
      failed: () => this.events.push({ type: 'refused', queue: name }),
    }
    this.#harness.shard.get(this.#harness.queue(name), isNoAck, sink)
  }

  purge(name: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const reply = { done: (count: number) => resolve(count), failed: (error: BrokerError) => reject(error) }
      this.#harness.shard.purge(this.#harness.queue(name), reply)
    })
  }

  changeSettings(name: string, settings: Partial<QueueSettings>): void {
    const queue = this.#harness.queue(name)
    queue.definition.settings = { ...queue.definition.settings, ...settings }
    this.#harness.shard.settingsChanged(queue)
  }

  async restart(isClean: boolean): Promise<void> {
    if (isClean) await this.#harness.stop()
    await this.#harness.restart()
  }

  // ---------------------------------------------------------------- looks

  counts(name: string): { ready: number; unacked: number; waiting: number; readyBytes: number } {
    const { ready, unacked, waiting, readyBytes } = this.#harness.queue(name).entries
    return { ready, unacked, waiting, readyBytes }
  }

  nextSequence(name: string): number {
    return this.#harness.queue(name).entries.next
  }

  /** Every entry of a queue, by its sequence. */
  states(name: string): Map<number, ModelMessage['state']> {
    const states = new Map<number, ModelMessage['state']>()
    for (const chunk of this.#harness.queue(name).entries.chunks()) {
      for (let sequence = chunk.first; sequence < chunk.first + chunkEntries; sequence++) {
        const state = stateOf(chunk, sequence)
        if (state !== null) states.set(sequence, state)
      }
    }
    return states
  }

  takeEvents(): WorldEvent[] {
    return this.events.splice(0)
  }

  /** Waits until nothing moves by itself any more: commits, digests, loads, tasks. Time stands still. */
  async rest(): Promise<void> {
    let turns = 0
    for (let quiet = 0; quiet < 5; ) {
      if (++turns > restTurnsMax) throw new Error('what moves by itself does not come to rest')
      const before = this.#activity()
      await new Promise<void>((resolve) => setImmediate(resolve))
      quiet = before === this.#activity() ? quiet + 1 : 0
    }
  }

  #activity(): string {
    const { log, scratch, runQueue } = this.#harness
    return `${this.events.length}/${log.appended}/${log.committed}/${scratch.appended}/${runQueue.length}/${log.segments.length}`
  }
}

function stateOf(chunk: EntryChunk, sequence: number): ModelMessage['state'] | null {
  if (chunk.isAway) return chunk.isAwayLive(sequence) ? 'ready' : null
  const flags = chunk.flagsOf(sequence)
  if (flags === 0) return null
  if ((flags & EntryFlag.waiting) !== 0) return 'waiting'
  if ((flags & EntryFlag.unacked) === 0) return 'ready'
  return chunk.holders?.[sequence - chunk.base] === dyingHolder ? 'dying' : 'unacked'
}

function fail(error: BrokerError): never {
  throw error
}

/** A message in parts, with what the server would have read of it. */
function viewOf(publication: Publication, now: number): Message {
  const { id, bytes, priority, expirationMs, isPersistent, messageId, exchange, key, cc } = publication
  const properties: SomeProperties = {
    headers: cc.length === 0 ? null : tableOf({ CC: [...cc] }),
    deliveryMode: isPersistent ? 2 : 1,
    priority: priority === 0 ? null : priority,
    expiration: expirationMs === null ? null : String(expirationMs),
    messageId,
  }
  const body = Buffer.from(bodyText(id, bytes))
  const writer = new ByteWriter()
  encodeShortString(writer, exchange)
  encodeShortString(writer, key)
  const message = new Message()
  message.routeEnd = writer.length
  message.contentStart = writer.length
  const lengthAt = writer.reserve(4)
  encodeContentHeader(writer, body.length, properties)
  writer.patchUint32(lengthAt, writer.length - lengthAt - 4)
  writer.bytes(body)
  message.contentEnd = writer.length
  message.buffer = writer.copy()
  message.isPersistent = isPersistent
  message.bodyBytes = body.length
  message.traits = traitsOf(publication, now)
  return message
}

function traitsOf({ priority, expirationMs, delayMs, group }: Publication, now: number): MessageTraits | null {
  if (priority === 0 && expirationMs === null && delayMs === 0 && group === '') return null
  const traits = new MessageTraits()
  traits.priority = priority
  traits.group = group
  traits.expirationMs = expirationMs
  traits.dueAt = delayMs === 0 ? 0 : now + delayMs
  return traits
}
