import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type ExchangeCounts, MessageCounts } from '../../broker/statistics/message-counts.ts'
import type { Counted } from '../../broker/statistics/recent.ts'
import {
  channelWidth,
  exchangeColumns,
  exchangeWidth,
  messageColumns,
  readExchange,
  readMessages,
  valueIn,
} from '../statistics/columns.ts'
import { type Span, withDetails } from './rates.ts'
import type { Path } from './view.ts'

type Name = keyof typeof messageColumns

/** What is told of queues, and of channels and all else. */
export const queueStatNames = [
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
export const channelStatNames = [
  ...queueStatNames,
  'confirm',
  'drop_unroutable',
  'return_unroutable',
] as const satisfies readonly Name[]

interface Stats extends JsonObject {
  readonly message_stats?: JsonObject
}

/** `message_stats` of a queue; missing, as in RabbitMQ, where nothing has happened yet. */
export function queueStats(counts: MessageCounts | null, span: Span | null): Stats {
  return counts === null ? {} : stats([counts], queueStatNames, counts, span)
}

export function channelStats(counts: MessageCounts, span: Span | null): Stats {
  return stats([counts], channelStatNames, counts, span)
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
  const { message_stats: shown = {} } = stats(places, channelStatNames, sum, span)
  return { message_stats: { ...shown, ...disk } }
}

/** Reads one number of `message_stats`, or its rate, as those functions would say it; null: the path is of something else. */
export function statReader(
  path: Path,
  names: readonly string[],
): ((counts: MessageCounts | null) => number | null) | null {
  const [, name = '', isRate] = /^message_stats\.(\w+?)(_details\.rate)?$/.exec(path.join('.')) ?? []
  if (!names.includes(name)) return null
  const column = messageColumns[name as Name]
  const numbers = new Float64Array(channelWidth)
  return (counts) => {
    if (counts === null) return null
    readMessages(counts, numbers)
    if (!hasAny(numbers)) return null
    return valueIn(isRate === undefined ? numbers : counts.recent?.rates, column)
  }
}

function hasAny(numbers: Float64Array): boolean {
  for (const number of numbers) if (number !== 0) return true
  return false
}

function stats(places: readonly Counted[], names: readonly Name[], counts: MessageCounts, span: Span | null): Stats {
  const numbers = new Float64Array(channelWidth)
  readMessages(counts, numbers)
  if (!hasAny(numbers)) return {}
  const columns = Object.fromEntries(names.map((name) => [name, messageColumns[name]]))
  const now = (name: string): number => valueIn(numbers, messageColumns[name as Name])
  return { message_stats: withDetails(places, columns, { now, span }) }
}

export function exchangeStats(counts: ExchangeCounts, span: Span | null): Stats {
  if (counts.publishIn === 0) return {}
  const numbers = new Float64Array(2)
  readExchange(counts, numbers)
  const now = (name: string): number => valueIn(numbers, exchangeColumns[name as keyof typeof exchangeColumns])
  return { message_stats: withDetails([counts], exchangeColumns, { now, span }) }
}

/** As `statReader`. */
export function exchangeStatReader(path: Path): ((counts: ExchangeCounts) => number | null) | null {
  const [, name = '', isRate] = /^message_stats\.(\w+?)(_details\.rate)?$/.exec(path.join('.')) ?? []
  if (!Object.hasOwn(exchangeColumns, name)) return null
  const column = exchangeColumns[name as keyof typeof exchangeColumns]
  const numbers = new Float64Array(exchangeWidth)
  return (counts) => {
    if (counts.publishIn === 0) return null
    readExchange(counts, numbers)
    return valueIn(isRate === undefined ? numbers : counts.recent?.rates, column)
  }
}
