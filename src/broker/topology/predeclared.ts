import { emptyTable } from '../../amqp/field-table.ts'
import type { ExchangeProperties, ExchangeType } from './exchange.ts'

/** The exchanges every vhost has from the start, in the order of their ids. Only ever add at the end. */
export const predeclaredExchanges: readonly ExchangeProperties[] = [
  predeclared('', 'direct'),
  predeclared('amq.direct', 'direct'),
  predeclared('amq.fanout', 'fanout'),
  predeclared('amq.topic', 'topic'),
  predeclared('amq.headers', 'headers'),
  predeclared('amq.match', 'headers'),
  { ...predeclared('amq.rabbitmq.trace', 'topic'), isInternal: true },
]

/** Ids that a vhost takes: its own, those of its exchanges, and some for exchanges to come. */
export const vhostIds = 32

function predeclared(name: string, type: ExchangeType): ExchangeProperties {
  return { name, type, isDurable: true, isAutoDelete: false, isInternal: false, arguments: emptyTable }
}
