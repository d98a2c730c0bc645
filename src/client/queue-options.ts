import type { AnyCodec, CodecName } from './codec.ts'
import type { CompressionName } from './compression.ts'
import type { QueueDeclaration } from './driver/driver.ts'
import type { Table, TableValue } from './driver/properties.ts'
import type { StandardSchema } from './schema.ts'
import type { Definition } from './topology.ts'

/** How a queue is declared on first use. Times are milliseconds, sizes bytes of bodies. */
export interface QueueOptions {
  /** Survives a restart of the broker; true by default. */
  readonly durable?: boolean
  /** For this client only, and gone with its connection. */
  readonly exclusive?: boolean
  /** Gone with its last consumer. */
  readonly autoDelete?: boolean
  readonly type?: 'classic' | 'quorum' | 'stream'
  /** A queue for messages that expired, were rejected or failed for good; declared as well. Or an exchange, which is not. */
  readonly deadLetter?: string | { readonly exchange: string; readonly routingKey?: string }
  readonly maxLength?: number
  readonly maxLengthBytes?: number
  readonly overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx'
  /** Messages expire after so long. */
  readonly ttl?: number
  /** The queue goes after so long without use. */
  readonly expires?: number
  /** Priorities from 0 to this one; 255 at most. */
  readonly maxPriority?: number
  readonly singleActiveConsumer?: boolean
  /** Warren only: retries by the broker, for `consume(…, { retry: 'broker' })` and for clients in any language. */
  readonly retry?: {
    readonly attempts: number
    readonly delayMs: number
    readonly backoff?: number
    readonly maxDelayMs?: number
    readonly jitter?: number
    readonly parkingQueue?: string
  }
  /** Warren only: messages of one group that may be in hand at once; 1 by default. */
  readonly groupLimit?: number
  /** Warren only: one message per id within the window. */
  readonly deduplication?: { readonly windowMs?: number; readonly idsMax?: number }
  /** More arguments of `queue.declare`, or other values for those above. */
  readonly arguments?: Table
  /** False: it must exist already, and nothing of the above counts. */
  readonly declare?: boolean
  readonly compression?: CompressionName
  readonly codec?: CodecName | AnyCodec
  readonly schema?: StandardSchema
}

export function queueDeclarationOf(options: QueueOptions): QueueDeclaration {
  const table: { [key: string]: TableValue } = {}
  const put = (key: string, value: TableValue): void => {
    if (value !== undefined) table[key] = value
  }
  put('x-queue-type', options.type)
  put('x-message-ttl', options.ttl)
  put('x-expires', options.expires)
  put('x-max-length', options.maxLength)
  put('x-max-length-bytes', options.maxLengthBytes)
  put('x-overflow', options.overflow)
  put('x-max-priority', options.maxPriority)
  put('x-single-active-consumer', options.singleActiveConsumer)
  put('x-group-limit', options.groupLimit)
  putDeadLetter(put, options.deadLetter)
  putRetry(put, options.retry)
  if (options.deduplication !== undefined) {
    put('x-message-deduplication', true)
    put('x-deduplication-window', options.deduplication.windowMs)
    put('x-deduplication-size', options.deduplication.idsMax)
  }
  return {
    isDurable: options.durable ?? options.exclusive !== true,
    isExclusive: options.exclusive ?? false,
    isAutoDelete: options.autoDelete ?? false,
    arguments: { ...table, ...options.arguments },
  }
}

type Put = (key: string, value: TableValue) => void

function putDeadLetter(put: Put, deadLetter: QueueOptions['deadLetter']): void {
  if (deadLetter === undefined) return
  const isQueue = typeof deadLetter === 'string'
  put('x-dead-letter-exchange', isQueue ? '' : deadLetter.exchange)
  put('x-dead-letter-routing-key', isQueue ? deadLetter : deadLetter.routingKey)
}

function putRetry(put: Put, retry: QueueOptions['retry']): void {
  if (retry === undefined) return
  put('x-retry-attempts', retry.attempts)
  put('x-retry-delay', retry.delayMs)
  put('x-retry-backoff', retry.backoff)
  put('x-retry-max-delay', retry.maxDelayMs)
  put('x-retry-jitter', retry.jitter)
  put('x-retry-parking-queue', retry.parkingQueue)
}

/** The queue, and before it the one for its dead letters. */
export function queueDefinitions(name: string, options: QueueOptions): Definition[] {
  if (options.declare === false) return []
  const definitions: Definition[] = []
  if (typeof options.deadLetter === 'string') {
    const declaration = { isDurable: true, isExclusive: false, isAutoDelete: false, arguments: {} }
    definitions.push({ kind: 'queue', name: options.deadLetter, declaration })
  }
  definitions.push({ kind: 'queue', name, declaration: queueDeclarationOf(options) })
  return definitions
}
