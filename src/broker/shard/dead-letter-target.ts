/** Where what dies in a queue goes. */
import type { LocalQueue } from '../queue/local-queue.ts'

export interface DeadLetterTarget {
  readonly exchange: string
  /** Null: the message's own. */
  readonly routingKey: string | null
}

/** `isParked`: the parking queue of the retry settings, where there is one. Null: what dies there is gone. */
export function targetOf({ settings }: LocalQueue, isParked: boolean): DeadLetterTarget | null {
  const parkingQueue = isParked ? (settings.retry?.parkingQueue ?? null) : null
  if (parkingQueue !== null) return { exchange: '', routingKey: parkingQueue }
  const { deadLetterExchange, deadLetterRoutingKey } = settings
  return deadLetterExchange === null ? null : { exchange: deadLetterExchange, routingKey: deadLetterRoutingKey }
}
