/** What a `basic.consume` on a stream may ask for. The texts of refusals are RabbitMQ's. */
import type { FieldTable } from '../../amqp/field-table.ts'
import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'
import { BrokerError } from '../errors.ts'
import type { Consumer } from '../ports.ts'
import { shown } from '../topology/names.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import { type ConsumerFilter, consumerFilter } from './filter.ts'
import { offsetArgument, type Start, startOf } from './offset-argument.ts'

export interface StreamConsume {
  readonly start: Start
  readonly filter: ConsumerFilter | null
  /** Under which the consumer's place is remembered; null: it is not. */
  readonly name: string | null
}

const nameArgument = 'x-stream-consumer-name'
/** LavinMQ's: the consumer tag is the name. */
const trackingArgument = 'x-stream-automatic-offset-tracking'
/** Consumer tags that begin so were made up by the broker or the client library, and mean nothing the next time. */
const madeUpTag = 'amq.ctag-'
/** Arguments of consumers that other queues know and streams do not. */
const foreignArguments = ['x-priority', 'x-consumer-timeout']

export function nameOf({ name, vhost }: QueueDefinition): string {
  return shown('queue', name, vhost)
}

/** Throws `precondition-failed` (406) or `not-implemented` (540) where a stream cannot be consumed like this. */
export function checkConsume(consumer: Consumer, nowMs: number): StreamConsume {
  const what = nameOf(consumer.queue.definition)
  const table = consumer.arguments
  const start = startOf(what, table, nowMs)
  for (const key of foreignArguments) {
    if (!table.fields.has(key)) continue
    throw new BrokerError('precondition-failed', `invalid arg '${key}' for ${what} of queue type stream`)
  }
  const filter = consumerFilter(what, table)
  const name = consumerName(what, consumer)
  if (consumer.limit === 0) {
    throw new BrokerError('precondition-failed', `consumer prefetch count is not set for stream ${what}`)
  }
  if (consumer.isNoAck) {
    throw new BrokerError('not-implemented', `automatic acknowledgement not supported by stream ${what}`)
  }
  if (consumer.shared !== null && consumer.shared.limit > 0) {
    throw new BrokerError('not-implemented', `${what} does not support global qos`)
  }
  return { start, filter, name }
}

function consumerName(what: string, { arguments: table, tag }: Consumer): string | null {
  const field = table.fields.get(nameArgument)
  if (field !== undefined) {
    const isName = field.tag === 'S' && field.value !== '' && encodedBytes(field.value) <= shortStringBytesMax
    if (isName) return field.value
    const wrong = `"a text of 1 to ${shortStringBytesMax} bytes is needed"`
    throw new BrokerError('precondition-failed', `invalid arg '${nameArgument}' for ${what}: ${wrong}`)
  }
  return isTracked(table) && !tag.startsWith(madeUpTag) ? tag : null
}

/** Whether its place is remembered, if it is taken at all. */
export function keepsPlace({ arguments: table, tag }: Pick<Consumer, 'arguments' | 'tag'>): boolean {
  return table.fields.has(nameArgument) || (isTracked(table) && !tag.startsWith(madeUpTag))
}

function isTracked(table: FieldTable): boolean {
  return table.fields.get(trackingArgument)?.value === true && !table.fields.has(offsetArgument)
}

export function noGet(definition: QueueDefinition): BrokerError {
  return new BrokerError('not-implemented', `basic.get not supported by stream queues ${nameOf(definition)}`)
}

export function noPurge(definition: QueueDefinition): BrokerError {
  return new BrokerError('not-implemented', `queue.purge not supported by stream queues ${nameOf(definition)}`)
}

export function noStream(definition: QueueDefinition): BrokerError {
  return new BrokerError('internal-error', `the log of stream ${nameOf(definition)} is not available`)
}

export function streamGone(definition: QueueDefinition): BrokerError {
  return new BrokerError('not-found', `no ${nameOf(definition)}`)
}
