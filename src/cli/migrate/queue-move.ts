/**
 * Moves the messages of one queue: each is published to the queue of the same name, and settled at the source only when
 * the other side has confirmed that it is stored. So nothing is lost however this ends. What is on its way is there twice
 * when this is killed and run again: at most `onTheirWayMax` messages of a queue, since no more are sent before it is
 * on the disk of the source that earlier ones are settled.
 */
import type { Delivery, DriverChannel, OutgoingMessage, ReturnedMessage } from '../../client/driver/driver.ts'
import type { MessageProperties, TableValue } from '../../client/driver/properties.ts'
import { CommandFailure } from '../client/command-failure.ts'
import { ExitCode } from '../exit-code.ts'

/** Messages of a queue that are published and not yet settled on the disk of the source. */
export const onTheirWayMax = 64

/** What a move tells of itself. */
export interface MoveEvents {
  /** One more is stored at the other side. */
  moved(): void
  /** The move cannot go on. */
  failed(error: Error): void
}

/** Sends to the cluster on one channel in confirm mode, for many queues. */
export class ConfirmedSender {
  /** Set before anything is sent. */
  channel: DriverChannel | null = null
  readonly #waiting = new Map<number, { readonly queue: string; readonly stored: () => void }>()
  readonly #failed: (error: Error) => void

  constructor(failed: (error: Error) => void) {
    this.#failed = failed
  }

  /** `stored` is called when the message is confirmed. */
  send(message: OutgoingMessage, stored: () => void): void {
    try {
      const sequence = this.channel?.publish(message) ?? 0
      this.#waiting.set(sequence, { queue: message.routingKey, stored })
    } catch (error) {
      this.#failed(error instanceof Error ? error : new Error(String(error)))
    }
  }

  confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void {
    if (!isMultiple) this.#settle(sequence, isNack)
    else {
      for (const waiting of this.#waiting.keys()) {
        if (waiting > sequence) break
        this.#settle(waiting, isNack)
      }
    }
  }

  /** Before the confirm: then there is no such queue any more. */
  returned({ routingKey, replyText }: ReturnedMessage): void {
    const mend = 'declare it again as it was, and run the command again'
    this.#failed(
      new CommandFailure(ExitCode.undelivered, `the cluster has no queue '${routingKey}' (${replyText}); ${mend}`),
    )
  }

  #settle(sequence: number, isNack: boolean): void {
    const found = this.#waiting.get(sequence)
    if (found === undefined) return
    this.#waiting.delete(sequence)
    if (!isNack) return found.stored()
    const mend = 'see whether it is full and refuses (x-overflow), and run the command again'
    this.#failed(
      new CommandFailure(ExitCode.undelivered, `the cluster did not take a message of '${found.queue}'; ${mend}`),
    )
  }
}

/** Where a queue is moved from. */
export interface MoveSource {
  readonly channel: DriverChannel
  /** Resolves when all that was settled so far is on the disk. */
  whenStored(): Promise<void>
}

/** The messages of a queue that is no stream. */
export class QueueMove {
  readonly queue: string
  /** Stored at the other side, and settled at the source. */
  moved = 0
  /** Of them, those that were delayed and wait there for their time. */
  delayed = 0
  /** Sent, and not settled on the disk of the source. */
  onTheirWay = 0
  readonly #source: MoveSource
  readonly #sender: ConfirmedSender
  readonly #events: MoveEvents
  /** Delivered, and not sent since enough are on their way; at most as many as may be. */
  #kept: (() => void)[] = []
  /** Settled since it was looked last whether they are on the disk. */
  #settled = 0
  #isStoring = false

  constructor(queue: string, source: MoveSource, sender: ConfirmedSender, events: MoveEvents) {
    this.queue = queue
    this.#source = source
    this.#sender = sender
    this.#events = events
  }

  /** Begins. `dueAt` is asked for each message: the time for which it waits, or null when it is ready. */
  async start(dueAt: () => number | null): Promise<void> {
    const cancelled = (): void =>
      this.#events.failed(new Error(`the queue '${this.queue}' has gone while it was moved`))
    const delivered = (delivery: Delivery): void => {
      const due = dueAt()
      this.#kept.push(() => this.#send(delivery, due))
      this.#sendKept()
    }
    await this.#source.channel.consume(this.queue, plainConsumer, { delivered, cancelled })
  }

  #sendKept(): void {
    while (this.onTheirWay < onTheirWayMax && this.#kept.length > 0) this.#kept.shift()?.()
  }

  #send({ deliveryTag, properties, body }: Delivery, dueAt: number | null): void {
    this.onTheirWay++
    this.#sender.send(messageTo(this.queue, carried(properties, dueAt), body), () => {
      this.#source.channel.ack(deliveryTag, false)
      this.#settled++
      if (dueAt !== null) this.delayed++
      void this.#store().catch(this.#events.failed)
    })
  }

  /** One look at the disk at a time, each for all that was settled before it. */
  async #store(): Promise<void> {
    if (this.#isStoring) return
    this.#isStoring = true
    while (this.#settled > 0) {
      // Those that are confirmed in one turn are looked at together.
      await Promise.resolve()
      const stored = this.#settled
      this.#settled = 0
      // Answered when the acks before it have been taken in.
      await this.#source.channel.qos(onTheirWayMax)
      await this.#source.whenStored()
      this.onTheirWay -= stored
      this.moved += stored
      for (let count = 0; count < stored; count++) this.#events.moved()
      this.#sendKept()
    }
    this.#isStoring = false
  }
}

/** The messages of a stream, which stay at the source as well: those that are at the other side already are passed over. */
export class StreamMove {
  moved = 0
  #read = 0
  readonly #queue: string
  readonly #skip: number
  readonly #total: number
  readonly #from: DriverChannel
  readonly #sender: ConfirmedSender
  readonly #events: MoveEvents
  #done: () => void = () => {}

  constructor(
    { queue, skip, total }: { readonly queue: string; readonly skip: number; readonly total: number },
    from: DriverChannel,
    sender: ConfirmedSender,
    events: MoveEvents,
  ) {
    this.#queue = queue
    this.#skip = skip
    this.#total = total
    this.#from = from
    this.#sender = sender
    this.#events = events
  }

  /** Resolves when all are stored. */
  async run(): Promise<void> {
    if (this.#skip >= this.#total) return
    const done = new Promise<void>((resolve) => {
      this.#done = resolve
    })
    const cancelled = (): void =>
      this.#events.failed(new Error(`the stream '${this.#queue}' has gone while it was read`))
    const options = { ...plainConsumer, arguments: { 'x-stream-offset': 'first' } }
    const tag = await this.#from.consume(this.#queue, options, {
      delivered: (delivery) => this.#take(delivery),
      cancelled,
    })
    await done
    await this.#from.cancel(tag)
  }

  #take({ deliveryTag, properties, body }: Delivery): void {
    if (this.#read >= this.#total) return
    if (this.#read++ < this.#skip) return this.#from.ack(deliveryTag, false)
    this.#sender.send(messageTo(this.#queue, carried(properties, null), body), () => {
      this.#from.ack(deliveryTag, false)
      this.moved++
      this.#events.moved()
      if (this.#skip + this.moved === this.#total) this.#done()
    })
  }
}

const plainConsumer = { isNoAck: false, isExclusive: false, arguments: {} } as const

function messageTo(queue: string, properties: MessageProperties, body: Uint8Array): OutgoingMessage {
  return { exchange: '', routingKey: queue, isMandatory: true, properties, body }
}

/** What would be acted on once more: copies by `CC` and delays are over; the others are added at delivery. */
const spentHeaders = ['CC', 'BCC', 'x-delay', 'x-deliver-at', 'x-delivery-count', 'x-stream-offset'] as const

/** The properties as they were, but for headers that would be acted on again. */
export function carried(properties: MessageProperties, dueAt: number | null): MessageProperties {
  const { headers } = properties
  if (headers === undefined && dueAt === null) return properties
  const kept: Record<string, TableValue> = { ...headers }
  for (const name of spentHeaders) delete kept[name]
  if (dueAt !== null) kept['x-deliver-at'] = dueAt
  return { ...properties, headers: kept }
}
