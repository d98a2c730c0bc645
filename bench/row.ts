/** One row of the table: what is sent through the broker, and how. Plain data made by `scenarios.ts`. */
export interface Row {
  readonly name: string
  /** `flow`: published and consumed at once. `backlog`: all published first, then drained. */
  readonly kind: 'flow' | 'backlog'
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
  /** Backlog only. */
  readonly messages: number
  /** Measure a light connection of its own beside. */
  readonly hasQuietConnection: boolean
}
