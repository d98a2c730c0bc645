import type { AmqpAddress } from '../wire/amqp-url.ts'
import type { MessageProperty } from './message-property.ts'

/** What one publishing connection does. Plain data: it travels to a worker thread. */
export interface PublishJob {
  readonly address: AmqpAddress
  /** Index of its counters on the board; part of each body's source. */
  readonly publisher: number
  readonly runId: number
  readonly exchange: string
  readonly routingKey: string
  readonly isPersistent: boolean
  readonly bodyBytes: number
  readonly frameBytesMax: number
  /** Messages per send. */
  readonly pack: number
  /** Publishes that may wait for a confirm; 0: no confirms are asked for. */
  readonly confirmWindow: number
  /** Deliveries that may be outstanding, over all publishers of the board; 0: no limit. */
  readonly leadMax: number
  /** Deliveries per publish. */
  readonly copies: number
  /** Messages a second, each with its intended time; 0: as fast as it goes. */
  readonly rate: number
  /** Paced by timers of a millisecond (a light connection) instead of short sleeps. */
  readonly isCoarselyPaced: boolean
  /** Stop after this many; 0: when the row ends. */
  readonly messagesMax: number
  /** What messages carry besides; null: nothing. */
  readonly property: MessageProperty | null
}

/** What one consuming connection does. */
export interface ConsumeJob {
  readonly address: AmqpAddress
  readonly consumer: number
  readonly runId: number
  readonly frameBytesMax: number
  /** One consumer for each, all on one channel. */
  readonly queues: readonly string[]
  readonly bodyBytes: number
  /** Publishers whose messages may arrive. */
  readonly publishers: number
  /** No other consumer takes from these queues, so each publisher's sequences must come without a gap. */
  readonly isAlone: boolean
  /** Messages come in the order in which they were sent; else in any. */
  readonly isInOrder: boolean
  /** Settle multiple after this many; 0: automatic acknowledgement. */
  readonly ackEvery: number
  readonly prefetchCount: number
}

/** One thread's share of a row. */
export interface WorkerJob {
  readonly board: SharedArrayBuffer
  readonly publishers: number
  readonly consumers: number
  readonly publish: readonly PublishJob[]
  readonly consume: readonly ConsumeJob[]
}

/** Runner to worker. `consume` attaches the consumers, `publish` starts the publishers, `finish` closes everything. */
export type WorkerOrder = 'consume' | 'publish' | 'finish'

/** Worker to runner. */
export type WorkerReport =
  | { readonly kind: 'connected'; readonly serverName: string }
  | { readonly kind: 'consuming' }
  /** All its publishers have sent their last message and, where asked for, have it confirmed. */
  | { readonly kind: 'published' }
  | { readonly kind: 'finished'; readonly outcome: WorkerOutcome }
  | { readonly kind: 'failed'; readonly text: string }

export interface WorkerOutcome {
  readonly deliverCounts: Float64Array
  readonly confirmCounts: Float64Array
  /** Sums over all checked messages: with nothing lost or repeated they equal what was sent. */
  readonly deliveredSequences: number
  readonly sentSequences: number
  readonly nacked: number
  readonly redelivered: number
  readonly blockedMs: number
  readonly problems: readonly string[]
}
