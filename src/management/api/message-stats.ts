import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type ExchangeCounts, MessageCounts } from '../../broker/statistics/message-counts.ts'
import type { Counted } from '../../broker/statistics/recent.ts'
import {
  channelWidth,
  exchangeColumns,
  messageColumns,
  readExchange,
  readMessages,
  valueIn,
} from '../statistics/columns.ts'
import { type Span, withDetails } from './rates.ts'

type Name = keyof typeof messageColumns

const ofQueue = [
  'ack',
  'deliver',
  'deliver_get',
  'deliver_no_ack',
  'get',
  'get_empty',
  'get_no_ack',
  'publish',
  'redeliver',
] as const satisfies readonly Name[]
const ofAll = [...ofQueue, 'confirm', 'drop_unroutable', 'return_unroutable'] as const satisfies readonly Name[]

/** `message_stats` of a queue; missing, as in RabbitMQ, where nothing has happened yet. */
export function queueStats(counts: MessageCounts | null, span: Span | null): JsonObject {
  return counts === null ? {} : stats([counts], ofQueue, counts, span)
}

export function channelStats(counts: MessageCounts, span: Span | null): JsonObject {
  return stats([counts], ofAll, counts, span)
}

/** Of several places together, whose rates are those of `places`. */
export function totalStats(
  all: readonly MessageCounts[],
  span: Span | null,
  places: readonly Counted[] = all,
): { message_stats: JsonObject } {
  const sum = new MessageCounts()
  for (const counts of all) sum.add(counts)
  const disk = { disk_reads: 0, disk_reads_details: { rate: 0 }, disk_writes: 0, disk_writes_details: { rate: 0 } }
  const { message_stats: shown = {} } = stats(places, ofAll, sum, span)
  return { message_stats: { ...shown, ...disk } }
}

function stats(
  places: readonly Counted[],
  names: readonly Name[],
  counts: MessageCounts,
  span: Span | null,
): { message_stats?: object } {
  const numbers = new Float64Array(channelWidth)
  readMessages(counts, numbers)
  if (numbers.every((number) => number === 0)) return {}
  const columns = Object.fromEntries(names.map((name) => [name, messageColumns[name]]))
  const now = (name: string): number => valueIn(numbers, messageColumns[name as Name])
  return { message_stats: withDetails(places, columns, { now, span }) }
}

export function exchangeStats(counts: ExchangeCounts, span: Span | null): JsonObject {
  if (counts.publishIn === 0) return {}
  const numbers = new Float64Array(2)
  readExchange(counts, numbers)
  const now = (name: string): number => valueIn(numbers, exchangeColumns[name as keyof typeof exchangeColumns])
  return { message_stats: withDetails([counts], exchangeColumns, { now, span }) }
}
