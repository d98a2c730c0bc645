/**
 * What becomes of a message that failed. One way, for Warren and RabbitMQ alike: a copy that counts its attempts goes to
 * a queue `NAME.retry.MS`, which nobody consumes; there it expires after MS milliseconds and the broker dead-letters it
 * back into the queue NAME. There is one such queue for each delay, so none waits behind another. When the attempts are
 * used up the copy goes to the dead-letter queue, with headers that say why. The original is acknowledged when its copy
 * is confirmed: nothing is lost in between, and a crash at that moment leaves both.
 */
import { type Backoff, backoffMs } from './backoff.ts'
import type { Delivery, OutgoingMessage, QueueDeclaration } from './driver/driver.ts'
import type { Table, TableValue } from './driver/properties.ts'
import { badOption, WarrenError } from './errors.ts'
import type { Publisher } from './publisher.ts'
import type { Topology } from './topology.ts'

export interface Retry {
  /** Retries after the first delivery. */
  readonly attempts: number
  readonly backoff: Pick<Backoff, 'initialMs' | 'factor' | 'maxMs'>
}

export interface FailuresParts {
  readonly queue: string
  /** Of the queue itself: waiting queues are durable or exclusive as it is. */
  readonly declaration: QueueDeclaration
  /** `broker`: by the queue's own `x-retry-…` arguments. */
  readonly retry: Retry | 'broker'
  /** Null: rejected, so what the queue's arguments say applies. */
  readonly deadLetter: string | null
  readonly publisher: Publisher
  readonly topology: Topology
  readonly now: () => number
}

export type FailedAs = 'retried' | 'dead-lettered' | 'requeued' | 'rejected'

/** Counts failed attempts in the copies of the client. */
const attemptHeader = 'x-warren-attempt'
/** What an error says is cut to so many characters. */
const reasonLengthMax = 1_000
/** As long as AMQP allows, in bytes. */
const nameBytesMax = 255

export class Failures {
  readonly #parts: FailuresParts

  constructor(parts: FailuresParts) {
    this.#parts = parts
    const longest = `${parts.queue}.retry.${Number.MAX_SAFE_INTEGER}`
    if (
      parts.retry !== 'broker' &&
      parts.retry.attempts > 0 &&
      new TextEncoder().encode(longest).length > nameBytesMax
    ) {
      throw badOption(`The queue '${parts.queue}' has a name too long for retries.`, 'Shorten it, or set retry: false.')
    }
  }

  /** Resolves when the original may be acknowledged ('requeued': put back; 'rejected': rejected). */
  async failed(delivery: Delivery, error: unknown, isFinal: boolean): Promise<FailedAs> {
    const { retry, deadLetter, topology, queue, declaration } = this.#parts
    const failures = attemptsOf(delivery)
    if (!isFinal && retry === 'broker') return 'requeued'
    if (!isFinal && retry !== 'broker' && failures < retry.attempts) {
      const delayMs = backoffMs({ ...retry.backoff, jitter: 0 }, failures + 1, noRandom)
      const name = `${queue}.retry.${delayMs}`
      await topology.ensure({ kind: 'queue', name, declaration: waitingQueue(queue, declaration, delayMs) })
      await this.#publish(name, this.#copy(delivery, { [attemptHeader]: failures + 1 }, failures + 1))
      return 'retried'
    }
    if (deadLetter === null) return 'rejected'
    await topology.ensureSomeQueue(deadLetter, durable)
    await this.#publish(deadLetter, this.#copy(delivery, this.#reasons(error, failures), failures + 1))
    return 'dead-lettered'
  }

  async #publish(queue: string, message: Omit<OutgoingMessage, 'routingKey'>): Promise<void> {
    // One that came back is declared again when the message fails the next time.
    await this.#parts.publisher.publish({ ...message, routingKey: queue })
  }

  #copy(delivery: Delivery, added: Table, attempt: number): Omit<OutgoingMessage, 'routingKey'> {
    const { expiration: _, userId, ...properties } = delivery.properties
    const { exchange, routingKey } = delivery
    // Where it came from at first: what the broker tells of a copy is the way of the copy.
    const origin = { 'x-warren-exchange': exchange, 'x-warren-routing-key': routingKey }
    const headers: { [key: string]: TableValue } = { ...origin, ...properties.headers, ...added }
    for (const name of droppedHeaders) delete headers[name]
    if (userId !== undefined) headers['x-warren-user-id'] = userId
    const id = headers['x-deduplication-header'] ?? properties.messageId
    // So that a queue with deduplication does not take it for the message it has seen.
    if (typeof id === 'string' || typeof id === 'number')
      headers['x-deduplication-header'] = retryId(String(id), attempt)
    return { exchange: '', isMandatory: true, properties: { ...properties, headers }, body: delivery.body }
  }

  #reasons(error: unknown, failures: number): Table {
    const { queue, now } = this.#parts
    const isSchema = error instanceof WarrenError && error.issues.length > 0
    return {
      'x-warren-error': textOf(error),
      'x-warren-error-name': error instanceof WarrenError ? error.code : error instanceof Error ? error.name : 'Error',
      'x-warren-queue': queue,
      'x-warren-attempts': failures + 1,
      'x-warren-failed-at': new Date(now()),
      ...(isSchema ? { 'x-warren-schema-issues': error.issues.map((issue) => issue.slice(0, reasonLengthMax)) } : {}),
    }
  }
}

/** Failed attempts before this delivery, as the client has counted them. */
export function attemptsOf(delivery: Delivery): number {
  const counted = delivery.properties.headers?.[attemptHeader]
  return typeof counted === 'number' && counted > 0 ? counted : 0
}

/** They would send the copy elsewhere, or delay it again. */
const droppedHeaders = ['CC', 'BCC', 'x-delay', 'x-deliver-at']
const noRandom = { bytes: (count: number) => new Uint8Array(count) }
const durable: QueueDeclaration = { isDurable: true, isExclusive: false, isAutoDelete: false, arguments: {} }

function waitingQueue(queue: string, { isDurable, isExclusive }: QueueDeclaration, delayMs: number): QueueDeclaration {
  return {
    isDurable,
    isExclusive,
    isAutoDelete: false,
    arguments: {
      'x-message-ttl': delayMs,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': queue,
    },
  }
}

function retryId(id: string, attempt: number): string {
  return `${id.replace(/~\d+$/, '').slice(0, 200)}~${attempt}`
}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, reasonLengthMax)
}
