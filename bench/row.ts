import type { MessageProperty } from './load/message-property.ts'
import type { Table } from './wire/method-frames.ts'

/** One row of the table: what is sent through the broker, and how. Plain data made by `scenarios.ts`. */
export interface Row {
  readonly name: string
  /**
   * `flow`: published and consumed at once. `backlog`: all published first, then drained. `held`: a backlog of messages
   * or in a queue with something to it, with a kill in between (`held-run.ts`).
   */
  readonly kind: 'flow' | 'backlog' | 'held'
  readonly bodyBytes: number
  readonly isPersistent: boolean
  readonly queues: number
  readonly publishers: number
  readonly consumers: number
  /** Every queue gets every message, through a fanout exchange. */
  readonly isFanout: boolean
  /** Messages per send. */
  readonly pack: number
  /** Unconfirmed publishes per publisher; 0: no confirms. */
  readonly confirmWindow: number
  /** 0: automatic acknowledgement. */
  readonly ackEvery: number
  readonly prefetchCount: number
  /** Deliveries that may be outstanding; keeps queues short where nothing else does. */
  readonly leadMax: number
  /** Messages a second over all publishers; 0: as many as possible. */
  readonly rate: number
  /** Backlogs only. */
  readonly messages: number
  /** Measure a light connection of its own beside. */
  readonly hasQuietConnection: boolean
  /** Only of rows that are `held`. */
  readonly held: Held | null
}

/** What there is to a backlog besides its length. */
export interface Held {
  readonly property: MessageProperty | null
  readonly queueArguments: Table
  /** It is limited to just as many messages, and gives up the oldest for each that comes. */
  readonly isFull: boolean
  /** What dies goes to a second queue. */
  readonly hasDeadLetters: boolean
  /**
   * What happens between filling and draining: nothing; all fall due; all expire, so that nothing is left to drain; or
   * as many are published `again`, and the queue is as long as before.
   */
  readonly turn: 'none' | 'due' | 'expired' | 'again'
  readonly isInOrder: boolean
}
