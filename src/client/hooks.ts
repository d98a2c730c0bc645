import type { Delivery, OutgoingMessage } from './driver/driver.ts'

/**
 * For those who measure and trace. All are optional and called per message, so they should be quick; what they throw is
 * logged and changes nothing else.
 */
export interface Hooks {
  /** Before a message is sent: may return it with more headers. */
  readonly publishing?: (message: OutgoingMessage) => OutgoingMessage
  /** A send has settled. `ms` is the time since `send` was called. */
  readonly published?: (event: PublishedEvent) => void
  /** Around a handler: must call `run` once and return what it returns. */
  readonly handling?: (delivery: Delivery, queue: string, run: () => Promise<void>) => Promise<void>
  /** A message is settled. `ms` is the time since it arrived. */
  readonly consumed?: (event: ConsumedEvent) => void
}

export interface PublishedEvent {
  /** As `publishing` returned it. */
  readonly message: OutgoingMessage
  readonly exchange: string
  readonly routingKey: string
  readonly bytes: number
  readonly ms: number
  /** Null: confirmed. */
  readonly error: Error | null
}

export interface ConsumedEvent {
  readonly queue: string
  readonly outcome: ConsumeOutcome
  readonly ms: number
}

export type ConsumeOutcome = 'acked' | 'retried' | 'dead-lettered' | 'requeued' | 'rejected' | 'lost'
