/**
 * Spans of a stream, for messages whose publisher traces them: one for each message from when it came until it was stored,
 * and one for each delivery until the consumer has settled it. There is one only where that is asked for.
 *
 * A message never leaves a stream, and is delivered as often as somebody reads it; so nothing is kept between.
 */
import type { Position } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type { Source } from '../message-traits.ts'
import type { Outcome } from '../ports.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { routingKeyOf, sampledParentOf, type TraceParent } from '../trace-parent.ts'

/** Times are wall time in milliseconds. */
export interface StreamSpan extends TraceParent {
  readonly operation: 'publish' | 'deliver'
  /** The stream and the offset. */
  readonly entry: Source
  /** Of a publish: the entry whose dead letter it is; null: of none. */
  readonly origin: Source | null
  readonly stream: string
  readonly vhost: string
  readonly routingKey: string
  readonly bodyBytes: number
  /** Null: it is a publish. */
  readonly consumerTag: string | null
  readonly startedAt: number
}

/** A publish: stored. A delivery: acknowledged, rejected, or given back, which is credit too. */
export type StreamSpanEnd = 'stored' | 'acknowledged' | 'rejected' | 'returned'

export interface StreamSpanListener {
  readonly now: () => number
  /** Whether one more may be followed. False: it is counted as lost. */
  began(): boolean
  streamed(span: StreamSpan, end: StreamSpanEnd): void
  /** The stream failed, or is another node's now: nobody knows how they end. */
  lost(count: number): void
}

export class StreamTracing {
  readonly #definition: QueueDefinition
  readonly #listener: StreamSpanListener
  /** What is not stored yet, in the order of the log. */
  #appended: { readonly position: Position; readonly span: StreamSpan }[] = []

  constructor(definition: QueueDefinition, listener: StreamSpanListener) {
    this.#definition = definition
    this.#listener = listener
  }

  published(message: Message, offset: number, position: Position): void {
    const origin = message.traits?.letterOf ?? null
    const span = this.begun(message, { operation: 'publish', offset, origin, consumerTag: null })
    if (span !== null) this.#appended.push({ position, span })
  }

  committed(position: Position): void {
    if (this.#appended.length === 0) return
    const waiting = this.#appended.findIndex((one) => one.position > position)
    const stored = this.#appended.splice(0, waiting < 0 ? this.#appended.length : waiting)
    for (const { span } of stored) this.#listener.streamed(span, 'stored')
  }

  abandon(): void {
    this.#listener.lost(this.#appended.length)
    this.#appended = []
  }

  deliveries(consumerTag: string): TracedDeliveries {
    return new TracedDeliveries(this, this.#listener, consumerTag)
  }

  /** Null: its trace is not recorded, or too much is followed. */
  begun(
    message: Message,
    facts: Pick<StreamSpan, 'operation' | 'origin' | 'consumerTag'> & { readonly offset: number },
  ): StreamSpan | null {
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return null
    const { id, name, vhost } = this.#definition
    const { offset, ...rest } = facts
    return {
      ...parent,
      ...rest,
      entry: { queueId: id, sequence: offset },
      stream: name,
      vhost,
      routingKey: routingKeyOf(message),
      bodyBytes: message.bodyBytes,
      startedAt: this.#listener.now(),
    }
  }
}

/** What one consumer holds of traced messages, by offset, which only grows. */
export class TracedDeliveries {
  readonly #tracing: StreamTracing
  readonly #listener: StreamSpanListener
  readonly #consumerTag: string
  readonly #held = new Map<number, StreamSpan>()

  constructor(tracing: StreamTracing, listener: StreamSpanListener, consumerTag: string) {
    this.#tracing = tracing
    this.#listener = listener
    this.#consumerTag = consumerTag
  }

  /** Before it is given away: the message is a view. */
  delivered(message: Message, offset: number): void {
    const facts = { operation: 'deliver', offset, origin: null, consumerTag: this.#consumerTag } as const
    const span = this.#tracing.begun(message, facts)
    if (span !== null) this.#held.set(offset, span)
  }

  settled(first: number, last: number, outcome: Outcome): void {
    if (this.#held.size === 0) return
    for (const [offset, span] of this.#held) {
      if (offset > last) return
      if (offset < first) continue
      this.#held.delete(offset)
      this.#listener.streamed(span, endOf(outcome))
    }
  }

  abandon(): void {
    this.#listener.lost(this.#held.size)
    this.#held.clear()
  }
}

function endOf(outcome: Outcome): StreamSpanEnd {
  if (outcome === 'ack') return 'acknowledged'
  return outcome === 'reject' ? 'rejected' : 'returned'
}
