/**
 * Moves the messages of one queue: each is published to the queue of the same name, and settled at the source only when
 * the other side has confirmed that it is stored. So nothing is lost however this ends; what was on its way then (at most
 * `onTheirWayMax` messages of a queue), or was settled and not yet stored as such, is there twice when it is moved again.
 */
import type { Delivery, DriverChannel, OutgoingMessage, ReturnedMessage } from '../../client/driver/driver.ts'
import type { MessageProperties, TableValue } from '../../client/driver/properties.ts'
import { CommandFailure } from '../client/command-failure.ts'
import { ExitCode } from '../exit-code.ts'

/** Messages of a queue that are published and not confirmed. */
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

/** The messages of a queue that is no stream. */
export class QueueMove {
  readonly queue: string
  /** Stored at the other side. */
  moved = 0
  /** Of them, those that were delayed and wait there for their time. */
  delayed = 0
  onTheirWay = 0
  readonly #from: DriverChannel
  readonly #sender: ConfirmedSender
  readonly #events: MoveEvents

  constructor(queue: string, from: DriverChannel, sender: ConfirmedSender, events: MoveEvents) {
    this.queue = queue
    this.#from = from
    this.#sender = sender
    this.#events = events
  }

  /** Begins. `dueAt` is asked for each message: the time for which it waits, or null when it is ready. */
  async start(dueAt: () => number | null): Promise<void> {
    const cancelled = (): void =>
      this.#events.failed(new Error(`the queue '${this.queue}' has gone while it was moved`))
    const delivered = (delivery: Delivery): void => this.#take(delivery, dueAt())
    await this.#from.consume(this.queue, plainConsumer, { delivered, cancelled })
  }

  #take({ deliveryTag, properties, body }: Delivery, dueAt: number | null): void {
    this.onTheirWay++
    this.#sender.send(messageTo(this.queue, carried(properties, dueAt), body), () => {
      this.#from.ack(deliveryTag, false)
      this.onTheirWay--
      this.moved++
      if (dueAt !== null) this.delayed++
      this.#events.moved()
    })
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
